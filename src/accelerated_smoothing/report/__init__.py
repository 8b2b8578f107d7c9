"""The page of a run: what was run, what came out, and where each number came from, in one HTML file.

Everything on it is read from files and their records, so equal ones give an equal page, byte for byte.
"""

import os
import shlex
from collections.abc import Iterable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import jinja2

from accelerated_smoothing import analysis
from accelerated_smoothing.errors import InputError
from accelerated_smoothing.files import write_text
from accelerated_smoothing.provenance import audit
from accelerated_smoothing.provenance.audit import Node
from accelerated_smoothing.provenance.records import Record, relative
from accelerated_smoothing.report import contents, stages
from accelerated_smoothing.report.contents import FIGURES, TABLES

TEMPLATE = Path(__file__).with_name("page.html.j2")
NOTEBOOKS = {"table1": "The story of Table I", "image": "One image under the microscope"}
HASH = 12  # letters of one that are shown


def write(paths: list[Path], output: Path, template: Path, experiment: str, comparable: bool) -> None:
    """Write the page.

    Args:
        paths: what it shows or links: tables (.csv, .md, _vs_paper.csv), timing.tsv, figures (.svg, .png), notebooks
            (.html, .ipynb), by the names that the workflow gives them. What is left out is not on the page.
        output: the page; its links are relative to it.
        template: what it looks like.
        experiment: what was run, in words.
        comparable: whether that is the paper's own experiment.

    Raises:
        InputError: a file that cannot be read, two of one name, or no Table I, which says of each method whether it is
            sound.
    """
    if len({path.name for path in paths}) < len(paths):
        raise InputError("two of the files have one name; a page is of one results folder")
    nodes = dict(zip((path.name for path in paths), audit.audit(paths), strict=True))
    if "table1.csv" not in nodes:
        raise InputError("no table1.csv among the files; it says which methods are sound, so no page without it")
    guarantees = contents.guarantees(nodes)
    files = audit.walk(nodes.values())
    layers = stages.stages(files)
    shown = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined)
    shown.filters |= {"duration": duration, "size": size, "link": lambda path: _link(path, output)}
    try:
        looks = shown.from_string(contents.read(template).decode())
    except (jinja2.TemplateError, UnicodeDecodeError) as error:
        raise InputError(f"{template}: not a template ({error}); the one beside the report's code would do") from error
    page = looks.render(
        experiment=experiment,
        comparable=comparable,
        facts=_facts([node.record for node in files if node.record], _images(nodes.values())),
        files=len(files),
        problems=_problems(files),
        tables=[
            contents.table(name, nodes, guarantees, comparable)
            | _origin(nodes, f"{name}.csv", f"{name}.md", f"{name}_vs_paper.csv")
            for name in TABLES
            if f"{name}.csv" in nodes
        ],
        figures=[
            contents.figure(name, nodes) | _origin(nodes, f"{name}.svg", f"{name}.png")
            for name in FIGURES
            if f"{name}.svg" in nodes
        ],
        notebooks=[
            {"words": words} | _origin(nodes, f"{name}.html", f"{name}.ipynb")
            for name, words in NOTEBOOKS.items()
            if f"{name}.html" in nodes
        ],
        layers=layers,
        graph=stages.graph(layers),
    )
    write_text(output, page)


def duration(seconds: float) -> str:
    """Seconds in words: `8.5 s`, `3 min 20 s`, `51.2 h`."""
    if round(seconds, 1) < 60:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    return f"{whole // 60} min {whole % 60} s" if whole < 3600 else f"{seconds / 3600:.1f} h"


def size(amount: float) -> str:
    """Bytes in words: `1.2 MB`."""
    for unit in ("kB", "MB", "GB", "TB"):
        if round(amount / 1000, 1) < 1000:
            return f"{amount / 1000:.1f} {unit}"
        amount /= 1000
    return f"{amount:,.0f} TB"


def _origin(nodes: dict[str, Node], name: str, *others: str) -> dict[str, Any]:
    """What made a file, back to the images, and links to it and to those of its others that there are."""
    node = nodes[name]
    files = {relative(below.path): below for below in audit.walk([node])}
    lines = []
    for line in audit.tree([node]).splitlines():
        below = files.get(line.strip()[4:])
        lines.append(f"{line}  {below.record.sha256[:HASH]}" if below and below.record else line)
    return {
        "id": name.replace(".", "-"),
        "links": [(_word(other), nodes[other].path) for other in (name, *others) if other in nodes],
        "record": node.record,
        "command": list(map(shlex.quote, ["accelerated-smoothing", *node.record.command])) if node.record else [],
        "holds": node.holds(),
        "count": len(files),
        "tree": "\n".join(lines),
    }


def _word(name: str) -> str:
    """A file by its kind, for people."""
    if name.endswith("_vs_paper.csv"):
        return "Beside the paper (CSV)"
    kind = Path(name).suffix[1:]
    return {"md": "Markdown", "html": "Page", "ipynb": "Notebook"}.get(kind, kind.upper())


def _link(path: Path, page: Path) -> str:
    return quote(Path(os.path.relpath(path, page.parent)).as_posix())


def _problems(files: list[Node]) -> dict[str, list[str]]:
    """What does not hold, and the files that share it."""
    found: dict[str, list[str]] = {}
    for node in files:
        for problem in node.problems:
            found.setdefault(problem, []).append(relative(node.path))
    return found


def _images(nodes: Iterable[Node]) -> str:
    """Which images were certified, by the first log of certificates."""
    for node in audit.walk(nodes):
        if node.record and node.record.verb == "certify" and node.path.is_file():
            return analysis.index_set(contents.csv(node.path, "idx")["idx"].to_numpy())
    return ""


def _facts(records: list[Record], images: str) -> dict[str, list[str]]:
    """What was run, in words, from the records: one or more lines for each fact that they tell."""

    def told(verbs: str, name: str) -> list[Any]:
        values = [r.arguments[name] for r in records if r.verb in verbs.split() and r.arguments.get(name) is not None]
        return list(dict.fromkeys(values))

    def listed(values: Iterable[float]) -> list[str]:
        return [", ".join(f"{value:g}" for value in sorted(set(values)))] if values else []

    ended = [record.started + timedelta(seconds=record.seconds) for record in records]
    samples = listed(map(float, told("certify", "n")))
    facts = {
        "Data set": told("data", "dataset"),
        "Base classifier": told("train-base", "arch") or ["imported"],
        "Surrogates": [f"ResNet-{depth}" for depth in sorted(map(int, told("train-surrogate", "depth")))],
        "Noise σ, pixels of [0, 1]": listed(map(float, told("train-base import-base", "sigma"))),
        "Samples N": samples,
        "Images certified": [images],
        "Chance of a wrong certificate, α": listed(told("certify", "alpha")),
        "Root seed": listed(told("count train-base train-surrogate time", "seed")),
        "Arithmetic": sorted({str(r.about["arithmetic"]) for r in records if r.about.get("arithmetic")}),
        "When": [_between(min(r.started for r in records), max(ended))] if records else [],
        "Commit": sorted({_commit(record) for record in records}),
        "Machine": sorted({_machine(record) for record in records}),
    }
    return {name: list(map(str, values)) for name, values in facts.items() if any(values)}


def _between(start: datetime, end: datetime) -> str:
    last = f"{end:%H:%M}" if start.date() == end.date() else f"{end:%Y-%m-%d %H:%M}"
    return f"{start:%Y-%m-%d %H:%M} to {last} UTC"


def _commit(record: Record) -> str:
    if record.commit is None:
        return "unknown, without git"
    return record.commit.id[:HASH] + ("" if record.commit.clean else ", with changes that were not committed")


def _machine(record: Record) -> str:
    return ", ".join(record.machine[part] for part in ("host", "processor", "gpu") if part in record.machine)
