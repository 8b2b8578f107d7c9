"""Results as an RO-Crate: what was made from what with which arguments, from the records.

The crate is the results folder itself, described in `ro-crate-metadata.json` by the terms of the profile Provenance Run
Crate (https://w3id.org/ro/wfrun/provenance/0.5), with a copy of the workflow in `workflow/`.
"""

import hashlib
import json
import os
import shlex
from collections.abc import Iterable, Iterator
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

import yaml
from rocrate.model.contextentity import ContextEntity
from rocrate.model.file import File
from rocrate.rocrate import ROCrate

from accelerated_smoothing import command
from accelerated_smoothing.errors import InputError
from accelerated_smoothing.files import atomic, sha256
from accelerated_smoothing.provenance import code
from accelerated_smoothing.provenance.records import SUFFIX, Record, record_of, relative
from accelerated_smoothing.provenance.release import WORKFLOW, copy_workflow
from accelerated_smoothing.provenance.runs import Run, identity, walk

VERSION = "1.1"  # of RO-Crate: the one that the profiles extend
TERMS = "https://w3id.org/ro/terms/workflow-run/context"
PROFILES = {
    "https://w3id.org/ro/wfrun/process/0.5": "Process Run Crate",
    "https://w3id.org/ro/wfrun/workflow/0.5": "Workflow Run Crate",
    "https://w3id.org/ro/wfrun/provenance/0.5": "Provenance Run Crate",
    "https://w3id.org/workflowhub/workflow-ro-crate/1.0": "Workflow RO-Crate",
}
BIOSCHEMAS = "https://bioschemas.org/profiles/ComputationalWorkflow/1.0-RELEASE"
LICENSE = "https://spdx.org/licenses/MIT"
MAIN = f"{WORKFLOW}/Snakefile"
# Arguments of the verbs that are settings of the workflow as a whole.
SETTINGS = ("dataset", "seed", "sigma", "alpha", "n0")
TYPES = {bool: "Boolean", int: "Integer", float: "Float"}  # of schema.org; else Text
FORMATS = {
    **{".csv": "text/csv", ".tsv": "text/tab-separated-values", ".md": "text/markdown", ".html": "text/html"},
    **{".json": "application/json", ".ipynb": "application/x-ipynb+json", ".npz": "application/zip"},
    **{".svg": "image/svg+xml", ".png": "image/png", ".safetensors": "application/octet-stream"},
    **{".yaml": "application/yaml", ".cff": "application/yaml", ".toml": "application/toml", ".py": "text/x-python"},
}  # else text/plain


class Graph:
    """Entities by their `@id`; references between them are collected in sets."""

    def __init__(self) -> None:
        self.entities: dict[str, dict[str, Any]] = {}

    def add(self, name: str, kind: str | list[str], /, **properties: Any) -> str:
        self.entities.setdefault(name, {}).update({"@type": kind, **properties})
        return name

    def link(self, name: str, term: str, *others: str) -> None:
        if others:
            self.entities.setdefault(name, {}).setdefault(term, set()).update(others)

    def realise(self, owner: str, term: str, name: str, kind: str, example: str) -> None:
        """Add a parameter of a tool or of the workflow, with a file or value that it had."""
        slot = self.add(f"{'#workflow' if owner == MAIN else owner}/{name}", "FormalParameter", name=name)
        self.entities[slot].setdefault("additionalType", kind)
        self.link(slot, "workExample", example)
        self.link(example, "exampleOfWork", slot)
        self.link(owner, term, slot)

    def value(self, owner: str, name: str, value: Any) -> str:
        """Add the value of a parameter, and return its `@id`."""
        text = value if isinstance(value, str) else json.dumps(value)
        short = text if len(text) < 40 else hashlib.sha256(text.encode()).hexdigest()[:12]
        prefix = "#workflow" if owner == MAIN else owner
        entry = self.add(f"{prefix}/{name}={quote(short, safe='')}", "PropertyValue", name=name, value=text)
        self.realise(owner, "input", name, TYPES.get(type(value), "Text"), entry)
        return entry


def describe(runs: list[Run], hashes: dict[str, str], root: Path, targets: list[Path]) -> Graph:
    """Return a graph of files, tools and the workflow, and of what was done with them.

    Raises:
        InputError: a file was built outside of the crate.
    """
    graph = Graph()
    ids = {file: _id(file, root) for file in hashes}
    for file in (file for run in runs for file in run.made.values() if ids[file].startswith("#")):
        raise InputError(f"{file}: must be in {root} to be part of its crate; build it there")
    for path in sorted(path for path in (root / WORKFLOW).rglob("*") if path.is_file()):
        name = path.relative_to(root).as_posix()
        graph.add(quote(name), "File", name=f"Workflow: {name}", **_facts(path, sha256(path)))
    graph.add(MAIN, ["File", "SoftwareSourceCode", "ComputationalWorkflow", "HowTo"])
    graph.link(MAIN, "conformsTo", graph.add(BIOSCHEMAS, "CreativeWork", name="Bioschemas ComputationalWorkflow"))
    for file, entry in ids.items():
        if entry.startswith("#"):
            graph.add(entry, "CreativeWork", name=file, sha256=hashes[file])
        elif entry not in graph.entities:
            graph.add(entry, "File", name=unquote(entry), **_facts(Path(file), hashes[file]))
    for run in runs:
        _add_run(graph, run, ids)
    _add_steps(graph, runs)
    _add_workflow(graph, runs, ids, {relative(target) for target in targets})
    return graph


def _id(file: str, root: Path) -> str:
    """Return the `@id` of a file: its path in the crate, or a name of its own for a file outside of it."""
    within = Path(os.path.relpath(file, root))
    if within.parts[0] == "..":
        within = Path(WORKFLOW, os.path.relpath(Path(file).resolve(), code.ROOT.resolve()))
        if ".." in within.parts or not (root / within).is_file():
            return f"#file/{quote(file)}"
    return quote(within.as_posix())


def _facts(path: Path, known: str) -> dict[str, str]:
    kind = FORMATS.get(path.suffix, "text/plain")
    return {"contentSize": str(path.stat().st_size), "encodingFormat": kind, "sha256": known}


def _add_run(graph: Graph, run: Run, ids: dict[str, str]) -> None:
    """Add one execution, its tool, and its arguments."""
    record = run.record
    tool, action = f"#{record.verb}", f"#{identity(record)}"
    made = {file: ids[place] for file, place in run.made.items()}
    known = {**{file: ids[place] for file, place in run.read.items()}, **made}
    what = command.verb(record.verb).makes
    graph.add(
        action,
        "CreateAction",
        name=f"{what}: {unquote(min(made.values()))}",
        description=shlex.join(["accelerated-smoothing", *record.command]),
        startTime=record.started.isoformat(),
        endTime=run.end.isoformat(timespec="milliseconds"),
        location=", ".join(f"{name} {value}" for name, value in sorted(record.machine.items())),
        instrument={"@id": tool},
    )
    graph.link(action, "object", *(ids[place] for place in run.read.values()))
    graph.link(action, "result", *made.values())
    graph.add(tool, "SoftwareApplication", name=f"accelerated-smoothing {record.verb}")
    unnamed = set(made.values())
    for name, value in record.arguments.items():
        files = [known[item] for item in (value if isinstance(value, list) else [value]) if str(item) in known]
        for file in files:
            graph.realise(tool, "output" if file in unnamed else "input", name, "File", file)
        unnamed.difference_update(files)
        if not files and value not in (None, []):
            graph.link(action, "object", graph.value(tool, name, value))
    for file in sorted(unnamed):  # written beside the one that the command line names
        graph.realise(tool, "output", "output", "File", file)
    for file, place in run.made.items():
        path = record_of(Path(place))
        entry = quote(unquote(ids[place]) + SUFFIX)
        graph.add(made[file], "File", name=f"{what}: {unquote(made[file])}")
        graph.add(entry, "File", name=f"Record of {unquote(made[file])}", **_facts(path, sha256(path)))
        graph.link(entry, "about", made[file])
    graph.link(tool, "softwareRequirements", *_packages(graph, record))


def _packages(graph: Graph, record: Record) -> Iterator[str]:
    """Add Python and the packages that an execution imported, and yield their `@id`s."""
    release = f"https://www.python.org/downloads/release/python-{record.python.replace('.', '')}/"
    yield graph.add(release, "SoftwareApplication", name="Python", softwareVersion=record.python, url=release)
    for name, version in record.packages.items():
        if version[0].isdigit():  # else it was not installed
            page = f"https://pypi.org/project/{name}/{version}/"
            yield graph.add(page, "SoftwareApplication", name=name, softwareVersion=version, url=page)


def _add_steps(graph: Graph, runs: list[Run]) -> None:
    """Add a step for each verb, in the order of the data, and the control of each of its executions."""
    makers = {place: run.record.verb for run in runs for place in run.made.values()}
    needs: dict[str, set[str]] = {run.record.verb: set() for run in runs}
    for run in runs:
        needs[run.record.verb] |= {makers[place] for place in run.read.values() if place in makers}
    order = TopologicalSorter({verb: sorted(needs[verb] - {verb}) for verb in sorted(needs)}).static_order()
    for position, verb in enumerate(order, 1):
        step = graph.add(f"#step/{verb}", "HowToStep", name=command.verb(verb).makes, position=position)
        graph.link(step, "workExample", f"#{verb}")
        graph.link(MAIN, "step", step)
        graph.link(MAIN, "hasPart", f"#{verb}")
        graph.entities[f"#{verb}"]["softwareVersion"] = _versions(run for run in runs if run.record.verb == verb)
    for run in runs:
        name = identity(run.record)
        control = graph.add(f"#control/{name}", "ControlAction", name=f"Step {run.record.verb}")
        graph.link(control, "instrument", f"#step/{run.record.verb}")
        graph.link(control, "object", f"#{name}")
        graph.link("#engine-run", "object", control)


def _versions(runs: Iterable[Run]) -> str:
    """Return the commits of executions, in words."""
    commits = [run.record.commit for run in runs]
    entry = {f"{commit.id}{'' if commit.clean else ' with changes'}" for commit in commits if commit}
    return f"commit {', '.join(sorted(entry))}" if entry else "of no commit"


def _snakemake(runs: list[Run]) -> str:
    """Return the versions of Snakemake that started executions."""
    found = {run.record.workflow.snakemake for run in runs if run.record.workflow}
    return ", ".join(sorted(found)) or "unknown"


def _add_workflow(graph: Graph, runs: list[Run], ids: dict[str, str], targets: set[str]) -> None:
    """Add the workflow, its run as a whole, and the run of its engine."""
    engine = "https://snakemake.github.io/"
    snakemake = _snakemake(runs)
    graph.add(engine, "SoftwareApplication", name="Snakemake", softwareVersion=snakemake, url=engine)
    graph.entities[MAIN].update(name="Accelerated Smoothing, reproducible", version=_versions(runs))
    entry = {run.record.workflow.model_dump_json() for run in runs if run.record.workflow}
    times = {
        "startTime": min(run.record.started for run in runs).isoformat(),
        "endTime": max(run.end for run in runs).isoformat(timespec="milliseconds"),
    }
    description = f"Snakemake's settings: {' and '.join(sorted(entry)) or 'none; the verbs were run by hand'}"
    graph.add("#run", "CreateAction", name="Run of the workflow", description=description, **times)
    graph.link("#run", "instrument", MAIN)
    for name in SETTINGS:
        values = {run.record.arguments[name] for run in runs if name in run.record.arguments}
        for value in sorted(values, key=str):
            graph.link("#run", "object", graph.value(MAIN, name, value))
    made = {place for run in runs for place in run.made.values()}
    given = {ids[place] for run in runs for place in run.read.values() if place not in made}
    configs = {f"{WORKFLOW}/{file}" for run in runs if run.record.workflow for file in run.record.workflow.configfiles}
    for name, files in (("given", given), ("config", {f"{WORKFLOW}/config.yaml", *configs} & graph.entities.keys())):
        for file in sorted(files):
            graph.realise(MAIN, "input", name, "File", file)
            graph.link("#run", "object", file)
    for run in runs:
        if targets & set(run.made.values()):
            for place in run.made.values():
                graph.realise(MAIN, "output", run.record.verb, "File", ids[place])
                graph.link("#run", "result", ids[place])
    graph.add("#engine-run", "OrganizeAction", name=f"Run of Snakemake {snakemake}", **times)
    graph.link("#engine-run", "instrument", engine)
    graph.link("#engine-run", "result", "#run")


def render(graph: Graph, runs: list[Run]) -> str:
    """Return the crate's metadata file; the same for the same records."""
    crate = ROCrate(version=VERSION)
    crate.metadata.extra_contexts.append(TERMS)
    names = {str(run.record.about["dataset"]) for run in runs if "dataset" in run.record.about}
    dataset = ", ".join(sorted(names)) or "unknown"
    for name, title in PROFILES.items():
        graph.add(name, "CreativeWork", name=title, version=name.rpartition("/")[2])
    graph.add(LICENSE, "CreativeWork", name="MIT License", description="of the workflow and of these results")
    actions = [name for name, entity in graph.entities.items() if str(entity["@type"]).endswith("Action")]
    graph.add(
        "./",
        "Dataset",
        name=f"Accelerated Smoothing: results on the data set {dataset}",
        description=f"Everything behind the tables, figures and notebooks, made by {len(runs)} executions: each file "
        f"with its record, and the workflow. The data set is {dataset}.",
        datePublished=max(run.end for run in runs).isoformat(timespec="seconds"),
    )
    graph.link("./", "license", LICENSE)
    graph.link("./", "author", *_authors(graph))
    graph.link("./", "conformsTo", *PROFILES)
    graph.link("./", "mentions", *actions)
    for name, entity in sorted(graph.entities.items()):
        entry = {term: _references(value) if isinstance(value, set) else value for term, value in entity.items()}
        if name == "./":
            crate.root_dataset.properties().update(entry)
        elif name == MAIN:
            version = _snakemake(runs)
            crate.add_workflow(dest_path=MAIN, properties=entry, main=True, lang="snakemake", lang_version=version)
        elif entity["@type"] == "File":
            crate.add(File(crate, dest_path=unquote(name), properties=entry))
        else:
            crate.add(ContextEntity(crate, name, entry))
    return json.dumps(crate.metadata.generate(), indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def _references(names: set[str]) -> Any:
    entry = [{"@id": name} for name in sorted(names)]
    return entry[0] if len(entry) == 1 else entry


def _authors(graph: Graph) -> list[str]:
    """Add the authors of the workflow from its citation, and return their `@id`s."""
    path = code.ROOT / "CITATION.cff"
    entry = yaml.safe_load(path.read_text(encoding="utf-8"))["authors"] if path.is_file() else []
    names = [(author.get("name") or f"{author['given-names']} {author['family-names']}", author) for author in entry]
    kinds = {True: "Organization", False: "Person"}
    return [
        graph.add(author.get("orcid", f"#author/{quote(name)}"), kinds["name" in author], name=name)
        for name, author in names
    ]


def write(targets: list[Path], output: Path) -> None:
    """Describe targets and everything behind them, in the folder of the metadata file `output`.

    Raises:
        InputError: a file is missing, or is not the one that was recorded or read; the folder cannot be written.
    """
    runs, hashes = walk(targets)
    configs = {file for run in runs if run.record.workflow for file in run.record.workflow.configfiles}
    with atomic(output) as draft:
        copy_workflow(output.parent, sorted(configs))
        draft.write_text(render(describe(runs, hashes, output.parent, targets), runs), encoding="utf-8")
