"""Describe results as an RO-Crate: which files were made from which, and with which arguments, from the records.

The crate is the results folder itself. Its `ro-crate-metadata.json` follows the profile Provenance Run Crate
(https://w3id.org/ro/wfrun/provenance/0.5). A copy of the workflow lies in `workflow/`.
"""

import hashlib
import itertools
import json
import os
import shlex
from collections.abc import Iterable, Iterator
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
from accelerated_smoothing.provenance.runs import Run, identity, layers, walk

VERSION = "1.1"  # of RO-Crate, which the profiles extend
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
    """The entities of a crate by their `@id`. A property that refers to other entities is a set of their `@id`s."""

    def __init__(self) -> None:
        self.entities: dict[str, dict[str, Any]] = {}

    def add(self, name: str, kind: str | list[str], /, **properties: Any) -> str:
        """Add an entity, or further properties of it, and return its `@id`."""
        self.entities.setdefault(name, {}).update({"@type": kind, **properties})
        return name

    def link(self, name: str, term: str, *others: str) -> None:
        """Let a property of an entity refer to further entities."""
        if others:
            self.entities.setdefault(name, {}).setdefault(term, set()).update(others)

    def realise(self, owner: str, term: str, name: str, kind: str, example: str) -> None:
        """Add a parameter of a tool or of the workflow, with a file or value that it had.

        Args:
            owner: `@id` of the tool or workflow.
            term: "input" or "output".
            name: of the parameter.
            kind: type of its values.
            example: `@id` of the file or value.
        """
        parameter = self.add(f"{'#workflow' if owner == MAIN else owner}/{name}", "FormalParameter", name=name)
        self.entities[parameter].setdefault("additionalType", kind)
        self.link(parameter, "workExample", example)
        self.link(example, "exampleOfWork", parameter)
        self.link(owner, term, parameter)

    def value(self, owner: str, name: str, value: Any) -> str:
        """Add the value of a parameter, and return its `@id`."""
        text = value if isinstance(value, str) else json.dumps(value)
        short = text if len(text) < 40 else hashlib.sha256(text.encode()).hexdigest()[:12]
        prefix = "#workflow" if owner == MAIN else owner
        entry = self.add(f"{prefix}/{name}={quote(short, safe='')}", "PropertyValue", name=name, value=text)
        self.realise(owner, "input", name, TYPES.get(type(value), "Text"), entry)
        return entry


def describe(runs: list[Run], hashes: dict[str, str], root: Path, targets: list[Path]) -> Graph:
    """Return the graph of the files, the tools, the workflow and the executions.

    Args:
        runs: the executions behind the targets.
        hashes: of all files that the executions read or wrote.
        root: the folder of the crate.
        targets: the files that the crate is about.
    """
    graph = Graph()
    ids = {file: _id(file, root) for file in hashes}
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
    """Return the `@id` of a file: its path in the crate, or `#file/...` for a file outside of it."""
    within = Path(os.path.relpath(file, root))
    if within.parts[0] == "..":
        within = Path(WORKFLOW, os.path.relpath(Path(file).resolve(), code.ROOT.resolve()))
        if ".." in within.parts or not (root / within).is_file():
            return f"#file/{quote(file)}"
    return quote(within.as_posix())


def _facts(path: Path, digest: str) -> dict[str, str]:
    """Return the properties of a file."""
    kind = FORMATS.get(path.suffix, "text/plain")
    return {"contentSize": str(path.stat().st_size), "encodingFormat": kind, "sha256": digest}


def _add_run(graph: Graph, run: Run, ids: dict[str, str]) -> None:
    """Add one execution, its tool, and its arguments."""
    record = run.record
    tool, action = f"#{record.verb}", f"#{identity(record)}"
    outputs = {file: ids[place] for file, place in run.made.items()}
    files = {**{file: ids[place] for file, place in run.read.items()}, **outputs}
    words = command.verb(record.verb).makes
    graph.add(
        action,
        "CreateAction",
        name=f"{words}: {unquote(min(outputs.values()))}",
        description=shlex.join(["accelerated-smoothing", *record.command]),
        startTime=record.started.isoformat(),
        endTime=run.end.isoformat(timespec="milliseconds"),
        location=", ".join(f"{name} {value}" for name, value in sorted(record.machine.items())),
        instrument={"@id": tool},
    )
    graph.link(action, "object", *(ids[place] for place in run.read.values()))
    graph.link(action, "result", *outputs.values())
    graph.add(tool, "SoftwareApplication", name=f"accelerated-smoothing {record.verb}")
    unnamed = set(outputs.values())  # outputs that no argument names: they lie beside one that an argument names
    for name, value in record.arguments.items():
        named = [files[item] for item in (value if isinstance(value, list) else [value]) if str(item) in files]
        for file in named:
            graph.realise(tool, "output" if file in unnamed else "input", name, "File", file)
        unnamed.difference_update(named)
        if not named and value not in (None, []):
            graph.link(action, "object", graph.value(tool, name, value))
    for file in sorted(unnamed):
        graph.realise(tool, "output", "output", "File", file)
    for file, place in run.made.items():
        path, name = record_of(Path(place)), unquote(outputs[file])
        entry = quote(name + SUFFIX)
        graph.add(outputs[file], "File", name=f"{words}: {name}")
        graph.add(entry, "File", name=f"Record of {name}", **_facts(path, sha256(path)))
        graph.link(entry, "about", outputs[file])
    graph.link(tool, "softwareRequirements", *_packages(graph, record))


def _packages(graph: Graph, record: Record) -> Iterator[str]:
    """Add Python and the packages of an execution, and yield their `@id`s."""
    release = f"https://www.python.org/downloads/release/python-{record.python.replace('.', '')}/"
    yield graph.add(release, "SoftwareApplication", name="Python", softwareVersion=record.python, url=release)
    for name, version in record.packages.items():
        if version[0].isdigit():  # else it was not installed
            page = f"https://pypi.org/project/{name}/{version}/"
            yield graph.add(page, "SoftwareApplication", name=name, softwareVersion=version, url=page)


def _add_steps(graph: Graph, runs: list[Run]) -> None:
    """Add a step for each verb, in the order of the data, and the control action of each execution."""
    makers = {place: run.record.verb for run in runs for place in run.made.values()}
    needs: dict[str, list[set[str]]] = {}
    for run in runs:
        needs.setdefault(run.record.verb, []).append({makers[place] for place in run.read.values() if place in makers})
    for position, verb in enumerate(itertools.chain(*layers(needs)), 1):
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
    words = {f"{commit.id}{'' if commit.clean else ' with changes'}" for commit in commits if commit}
    return f"commit {', '.join(sorted(words))}" if words else "of no commit"


def _snakemake(runs: list[Run]) -> str:
    """Return the versions of Snakemake that started executions."""
    versions = {run.record.workflow.snakemake for run in runs if run.record.workflow}
    return ", ".join(sorted(versions)) or "unknown"


def _add_workflow(graph: Graph, runs: list[Run], ids: dict[str, str], targets: set[str]) -> None:
    """Add the workflow, its run as a whole, and the run of its engine."""
    engine = "https://snakemake.github.io/"
    snakemake = _snakemake(runs)
    graph.add(engine, "SoftwareApplication", name="Snakemake", softwareVersion=snakemake, url=engine)
    graph.entities[MAIN].update(name="Accelerated Smoothing, reproducible", version=_versions(runs))
    settings = {run.record.workflow.model_dump_json() for run in runs if run.record.workflow}
    times = {
        "startTime": min(run.record.started for run in runs).isoformat(),
        "endTime": max(run.end for run in runs).isoformat(timespec="milliseconds"),
    }
    description = f"Snakemake's settings: {' and '.join(sorted(settings)) or 'none; the verbs were run by hand'}"
    graph.add("#run", "CreateAction", name="Run of the workflow", description=description, **times)
    graph.link("#run", "instrument", MAIN)
    for name in SETTINGS:
        values = {run.record.arguments[name] for run in runs if name in run.record.arguments}
        for value in sorted(values, key=str):
            graph.link("#run", "object", graph.value(MAIN, name, value))
    outputs = {place for run in runs for place in run.made.values()}
    sources = {ids[place] for run in runs for place in run.read.values() if place not in outputs}
    configs = {f"{WORKFLOW}/{file}" for run in runs if run.record.workflow for file in run.record.workflow.configfiles}
    for name, files in (("source", sources), ("config", {f"{WORKFLOW}/config.yaml", *configs} & graph.entities.keys())):
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


def render(graph: Graph, runs: list[Run], root: Path, targets: list[Path]) -> str:
    """Return the text of the crate's metadata file. The same records give the same text.

    Args:
        graph: of `describe`.
        runs: the executions behind the targets.
        root: the folder of the crate.
        targets: the files that the crate is about.
    """
    crate = ROCrate(version=VERSION)
    crate.metadata.extra_contexts.append(TERMS)
    # Embeddings are named after their images and their network: `digits@88777dbd...`.
    names = {str(run.record.about["dataset"]).partition("@")[0] for run in runs if "dataset" in run.record.about}
    dataset = ", ".join(sorted(names)) or "unknown"
    for name, title in PROFILES.items():
        graph.add(name, "CreativeWork", name=title, version=name.rpartition("/")[2])
    graph.add(LICENSE, "CreativeWork", name="MIT License", description="of the workflow and of these results")
    actions = [name for name, entity in graph.entities.items() if str(entity["@type"]).endswith("Action")]
    names_of_targets = ", ".join(unquote(_id(relative(target), root)) for target in targets)
    executions = f"{len(runs)} execution{'s' * (len(runs) != 1)}"
    graph.add(
        "./",
        "Dataset",
        name=f"Accelerated Smoothing: results on the data set {dataset}",
        description=f"Everything behind {names_of_targets}, made by {executions}: each file with its record, and the "
        f"workflow. The data set is {dataset}.",
        datePublished=max(run.end for run in runs).isoformat(timespec="seconds"),
    )
    graph.link("./", "license", LICENSE)
    graph.link("./", "author", *_authors(graph))
    graph.link("./", "conformsTo", *PROFILES)
    graph.link("./", "mentions", *actions)
    for name, entity in sorted(graph.entities.items()):
        properties = {term: _references(value) if isinstance(value, set) else value for term, value in entity.items()}
        if name == "./":
            crate.root_dataset.properties().update(properties)
        elif name == MAIN:
            version = _snakemake(runs)
            crate.add_workflow(dest_path=MAIN, properties=properties, main=True, lang="snakemake", lang_version=version)
        elif entity["@type"] == "File":
            crate.add(File(crate, dest_path=unquote(name), properties=properties))
        else:
            crate.add(ContextEntity(crate, name, properties))
    return json.dumps(crate.metadata.generate(), indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def _references(names: set[str]) -> Any:
    """Return references to entities: a list, or the only one by itself."""
    references = [{"@id": name} for name in sorted(names)]
    return references[0] if len(references) == 1 else references


def _authors(graph: Graph) -> list[str]:
    """Add the authors of the workflow from its citation, and return their `@id`s."""
    path = code.ROOT / "CITATION.cff"
    authors = yaml.safe_load(path.read_text(encoding="utf-8"))["authors"] if path.is_file() else []
    names = [(author.get("name") or f"{author['given-names']} {author['family-names']}", author) for author in authors]
    kinds = {True: "Organization", False: "Person"}
    return [
        graph.add(author.get("orcid", f"#author/{quote(name)}"), kinds["name" in author], name=name)
        for name, author in names
    ]


def write(targets: list[Path], output: Path) -> None:
    """Describe targets and everything behind them, in the folder of the metadata file `output`.

    Raises:
        InputError: a file is missing, lies outside of the folder, or differs from the one that was recorded or read.
    """
    runs, hashes = walk(targets)
    for file in (file for run in runs for file in run.made.values() if _id(file, output.parent).startswith("#")):
        raise InputError(f"the files of the crate must be in {output.parent}, got {file}; build it there")
    configs = {file for run in runs if run.record.workflow for file in run.record.workflow.configfiles}
    with atomic(output) as draft:
        copy_workflow(output.parent, sorted(configs))
        graph = describe(runs, hashes, output.parent, targets)
        draft.write_text(render(graph, runs, output.parent, targets), encoding="utf-8")
