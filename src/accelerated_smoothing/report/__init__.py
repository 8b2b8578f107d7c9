"""The page of a paper: what was run, what came out, and where each number came from, in one HTML file.

The page follows from files and their records alone: the same files and records give the same page, byte for byte.
"""

import os
import shlex
from collections.abc import Iterable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import jinja2

from accelerated_smoothing import analysis, papers
from accelerated_smoothing.certify.guarantees import GUARANTEES
from accelerated_smoothing.errors import InputError
from accelerated_smoothing.files import read_bytes, write_text
from accelerated_smoothing.provenance import audit
from accelerated_smoothing.provenance.audit import Node
from accelerated_smoothing.provenance.records import Record, relative
from accelerated_smoothing.report import contents, notebook, stages

TEMPLATE = Path(__file__).with_name("page.html.j2")
HASH = 12  # letters of a hash on the page


def write(paths: list[Path], output: Path, template: Path, caption: str) -> None:
    """Write the page of one paper.

    Args:
        paths: files that the page shows or links to: tables (.csv, .md, _vs_paper.csv), timing.tsv, figures (.svg,
            .png) and notebooks (.html, .ipynb). The records of tables and figures say which they are.
        output: the page. Its links are relative to it.
        template: a Jinja template of the page.
        caption: what was run, in words.

    Raises:
        InputError: a file cannot be read, two files have the same name, or they are not of one paper.
    """
    if len({path.name for path in paths}) < len(paths):
        raise InputError("FILES must have different names, got one twice; pass the files of one results folder")
    nodes = dict(zip((path.name for path in paths), audit.audit(paths), strict=True))
    items = contents.items(list(nodes.values()))
    tables = {name: node for name, node in items.items() if node.path.suffix == ".csv"}
    methods = contents.guarantees(tables, nodes.get("timing.tsv"))
    words = {word for word, _ in methods.values()} | _words(tables)
    files = audit.walk(nodes.values())
    layers = stages.stages(files)
    environment = jinja2.Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    environment.filters |= {"duration": duration, "size": size, "link": lambda path: _link(path, output)}
    try:
        page = environment.from_string(read_bytes(template).decode())
    except (jinja2.TemplateError, UnicodeDecodeError) as error:
        raise InputError(
            f"TEMPLATE must be a Jinja template, got {template} ({error}); use the one beside the report's code"
        ) from error
    table_entries = [
        contents.table(name, node, nodes.get(f"{node.path.stem}_vs_paper.csv"), methods)
        | _origin(nodes, *(f"{node.path.stem}{suffix}" for suffix in (".csv", ".md", "_vs_paper.csv")))
        for name, node in tables.items()
    ]
    text = page.render(
        paper=papers.title(next(iter(items)).rpartition("/")[0]),
        caption=caption,
        comparable=any(entry["comparable"] for entry in table_entries),
        printed=any(papers.table(name).reported for name in tables) or not tables,
        guarantees={word: text for word, text in GUARANTEES.items() if word in words},
        facts=_facts([node.record for node in files if node.record], _images(nodes.values())),
        files=len(files),
        problems=_problems(files),
        tables=table_entries,
        figures=[
            contents.figure(name, node) | _origin(nodes, f"{node.path.stem}.svg", f"{node.path.stem}.png")
            for name, node in items.items()
            if node.path.suffix == ".svg"
        ],
        notebooks=[
            {"words": notebook.title(node.path.with_suffix(".ipynb"))}
            | _origin(nodes, node.path.name, f"{node.path.stem}.ipynb")
            for node in nodes.values()
            if node.path.suffix == ".html"
        ],
        layers=layers,
        graph=stages.graph(layers),
    )
    write_text(output, text)


def _words(tables: dict[str, Node]) -> set[str]:
    """Return the guarantees in the cells of tables."""
    values = [contents.csv(node.path) for node in tables.values()]
    return {str(word) for table in values if "guarantee" in table for word in table["guarantee"]}


def duration(seconds: float) -> str:
    """Return seconds in words: `8.5 s`, `3 min 20 s`, `51.2 h`."""
    if round(seconds, 1) < 60:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    return f"{whole // 60} min {whole % 60} s" if whole < 3600 else f"{seconds / 3600:.1f} h"


def size(amount: float) -> str:
    """Return bytes in words: `1.2 MB`."""
    for unit in ("kB", "MB", "GB", "TB"):
        if round(amount / 1000, 1) < 1000:
            return f"{amount / 1000:.1f} {unit}"
        amount /= 1000
    return f"{amount:,.0f} TB"


def _origin(nodes: dict[str, Node], name: str, *others: str) -> dict[str, Any]:
    """Return what made a file, back to the images, with links to the file and to its other formats."""
    node = nodes[name]
    files = {relative(source.path): source for source in audit.walk([node])}
    lines = []
    for line in audit.tree([node]).splitlines():
        source = files.get(line.strip()[4:])
        lines.append(f"{line}  {source.record.sha256[:HASH]}" if source and source.record else line)
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
    """Return the kind of a file in words, from its name."""
    if name.endswith("_vs_paper.csv"):
        return "Beside the paper (CSV)"
    kind = Path(name).suffix[1:]
    return {"md": "Markdown", "html": "Page", "ipynb": "Notebook"}.get(kind, kind.upper())


def _link(path: Path, page: Path) -> str:
    """Return the URL of a file, relative to the page."""
    return quote(Path(os.path.relpath(path, page.parent)).as_posix())


def _problems(files: list[Node]) -> dict[str, list[str]]:
    """Return each problem with the files that have it."""
    problems: dict[str, list[str]] = {}
    for node in files:
        for problem in node.problems:
            problems.setdefault(problem, []).append(relative(node.path))
    return problems


def _images(nodes: Iterable[Node]) -> str:
    """Return the images that were certified, in words, from the first log of certificates."""
    for node in audit.walk(nodes):
        if node.record and node.record.verb == "certify" and node.path.is_file():
            return analysis.index_set(contents.csv(node.path, "idx")["idx"].to_numpy())
    return ""


def _facts(records: list[Record], images: str) -> dict[str, list[str]]:
    """Return what was run, from the records: the lines of each fact."""

    def recorded(verbs: str, name: str) -> list[Any]:
        """Return the values that an argument of these verbs had, each once."""
        values = [r.arguments[name] for r in records if r.verb in verbs.split() and r.arguments.get(name) is not None]
        return list(dict.fromkeys(values))

    def listed(values: Iterable[float]) -> list[str]:
        """Return numbers as one line, ascending."""
        return [", ".join(f"{value:g}" for value in sorted(set(values)))] if values else []

    ended = [record.started + timedelta(seconds=record.seconds) for record in records]
    facts = {
        "Data set": recorded("data", "dataset"),
        "Base classifier": recorded("train-base", "arch") or ["imported"] * bool(recorded("import-base", "sigma")),
        "Surrogates": [f"ResNet-{depth}" for depth in sorted(map(int, recorded("train-surrogate", "depth")))],
        "Noise σ, pixels of [0, 1]": listed(map(float, recorded("train-base import-base", "sigma"))),
        "Distribution of the noise": recorded("count", "noise"),
        "Samples N": listed(map(float, recorded("certify", "n"))),
        "Images certified": [images],
        "Chance of a wrong certificate, α": listed(recorded("certify", "alpha")),
        "Root seed": listed(recorded("count train-base train-surrogate time", "seed")),
        "Arithmetic": sorted({str(r.about["arithmetic"]) for r in records if r.about.get("arithmetic")}),
        "When": [_between(min(r.started for r in records), max(ended))] if records else [],
        "Commit": sorted({_commit(record) for record in records}),
        "Machine": sorted({_machine(record) for record in records}),
    }
    return {name: list(map(str, values)) for name, values in facts.items() if any(values)}


def _between(start: datetime, end: datetime) -> str:
    """Return a span of time in words, in UTC as the records have it."""
    last = f"{end:%H:%M}" if start.date() == end.date() else f"{end:%Y-%m-%d %H:%M}"
    return f"{start:%Y-%m-%d %H:%M} to {last} UTC"


def _commit(record: Record) -> str:
    """Return the commit of the code in words."""
    if record.commit is None:
        return "unknown, without git"
    return record.commit.id[:HASH] + ("" if record.commit.clean else ", with changes that were not committed")


def _machine(record: Record) -> str:
    """Return the machine in words."""
    return ", ".join(record.machine[part] for part in ("host", "processor", "gpu") if part in record.machine)
