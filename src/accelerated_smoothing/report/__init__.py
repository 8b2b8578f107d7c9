"""The page of a run: what was run, what came out, and where each number came from, in one HTML file.

Everything on it is read from files and their records, so equal ones give an equal page, byte for byte.
"""

import base64
import shlex
from collections.abc import Iterable
from datetime import datetime, timedelta
from pathlib import Path
from types import ModuleType
from typing import Any

import jinja2
import pandas as pd

from accelerated_smoothing import analysis
from accelerated_smoothing.analysis import (
    figure1,
    figure2,
    figure3,
    style,
    table1,
    table2,
    table3,
    table4,
    table5,
    table6,
)
from accelerated_smoothing.files import InputError, write_text
from accelerated_smoothing.provenance import audit
from accelerated_smoothing.provenance.audit import Node
from accelerated_smoothing.provenance.records import Record, relative
from accelerated_smoothing.report import stages

TEMPLATE = Path(__file__).with_name("page.html.j2")
TABLES = {"table1": table1, "table2": table2, "table3": table3, "table4": table4, "table5": table5, "table6": table6}
FIGURES = {"figure1": figure1, "figure2": figure2, "figure3": figure3}
NOTEBOOKS = {"table1": "The story of Table I", "image": "One image under the microscope"}
Guarantees = dict[tuple[float | None, str], tuple[str, float]]
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
        InputError: a file that cannot be read, or no Table I, which says of each method whether it is sound.
    """
    nodes = dict(zip((path.name for path in paths), audit.audit(paths), strict=True))
    if "table1.csv" not in nodes:
        raise InputError("no table1.csv among the files; it says which methods are sound, so no page without it")
    guarantees = _guarantees(nodes)
    files = audit.walk(nodes.values())
    layers = stages.stages(files)
    shown = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined)
    shown.filters |= {"duration": duration, "size": size, "link": lambda path: path.relative_to(output.parent)}
    page = shown.from_string(_bytes(template).decode()).render(
        experiment=experiment,
        comparable=comparable,
        facts=_facts([node.record for node in files if node.record], _images(nodes.values())),
        files=len(files),
        problems=_problems(files),
        tables=[_table(name, nodes, guarantees, comparable) for name in TABLES if f"{name}.csv" in nodes],
        figures=[_figure(name, nodes) for name in FIGURES if f"{name}.svg" in nodes],
        notebooks=[
            {"name": name, "words": words, "files": _beside(name, nodes, "html", "ipynb")}
            | _origin(nodes[f"{name}.html"])
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


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error


def _csv(path: Path, *columns: str) -> pd.DataFrame:
    """A table that must have some columns."""
    try:
        read = pd.read_csv(path, sep="\t" if path.suffix == ".tsv" else ",")
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read as a table ({error}); build it again") from error
    if missing := set(columns) - set(read.columns):
        raise InputError(f"{path}: has no column {min(missing)!r}; build it again")
    return read


def _guarantees(nodes: dict[str, Node]) -> Guarantees:
    """By sigma and method: whether it is sound, and how often it exceeds; the timed methods, under None, likewise."""
    table = _csv(nodes["table1.csv"].path, "sigma", "method", "guarantee", "exceeds")
    keys = zip(table["sigma"], table["method"], strict=True)
    known: Guarantees = dict(zip(keys, zip(table["guarantee"], table["exceeds"], strict=True), strict=True))
    timed = nodes.get("timing.tsv")
    if timed and timed.record:
        sigma = float(timed.record.arguments["sigma"])
        for name, sound in _csv(timed.path, "method", "sound").groupby("method")["sound"].first().items():
            word = "sound" if sound else "estimated"
            known[None, str(name)] = known.get((sigma, str(name)), (word, float("nan")))
    return known


def _table(name: str, nodes: dict[str, Node], guarantees: Guarantees, comparable: bool) -> dict[str, Any]:
    """A table's rows in groups, each of its cells with the paper's number where it has one."""
    module, node = TABLES[name], nodes[f"{name}.csv"]
    made, keys = _csv(node.path, *module.KEYS), module.KEYS
    if "method" in made and "guarantee" not in made:
        sigmas = made["sigma"] if "sigma" in made else [None] * len(made)
        told = [guarantees.get(key, ("-", float("nan"))) for key in zip(sigmas, made["method"], strict=True)]
        made.insert(len(keys), "guarantee", [word for word, _ in told])
        made["exceeds"] = [share for _, share in told]
    reported = _reported(nodes.get(f"{name}_vs_paper.csv"), module)
    shares = {*module.SHARES, "exceeds", *(column for column in map(str, made) if column.startswith("r="))}
    columns = [column for column in map(str, made) if column not in keys]
    groups: dict[str, list[dict[str, Any]]] = {}
    for row in made.to_dict("records"):
        key = tuple(row[name] for name in keys)
        cells = []
        for column in columns:
            paper, within = reported.get((*key, column), (None, None))
            cells.append(
                {
                    "text": analysis.cell(column, row[column], shares, keys),
                    "word": row[column] if column == "guarantee" else None,
                    "paper": None if paper is None else analysis.cell(column, float(paper), shares, keys),
                    "mark": ("\u2248" if within else "\u2260") if comparable else "",
                }
            )
        group = ", ".join(f"\u03c3 = {row[name]}" if name == "sigma" else str(row[name]) for name in keys[:-1])
        groups.setdefault(group, []).append({"key": row[keys[-1]], "cells": cells})
    return {
        "name": name,
        "title": module.TITLE,
        "key": _header(keys[-1]),
        "columns": [_header(column) for column in columns],
        "groups": groups,
        "compared": len(reported),
        "within": sum(within for _, within in reported.values()),
        "files": _beside(name, nodes, "csv", "md", "vs"),
        **_origin(node),
    }


def _reported(versus: Node | None, module: ModuleType) -> dict[tuple[Any, ...], tuple[float, bool]]:
    """The paper's numbers that have a counterpart, by row and column, and whether ours agree."""
    if versus is None:
        return {}
    both = _csv(versus.path, *module.KEYS, "column", "reported", "within")
    places = both[[*module.KEYS, "column"]].itertuples(index=False, name=None)
    return dict(zip(places, zip(both["reported"], both["within"].astype(bool), strict=True), strict=True))


def _header(column: str) -> str:
    """A column's name in words."""
    words = column.replace("gt_acr", "mean sampled radius").replace("=", "\u00a0=\u00a0").replace("_", " ")
    return words.replace("class", "class ").replace("sigma", "\u03c3")


def _figure(name: str, nodes: dict[str, Node]) -> dict[str, Any]:
    """A figure, in the page itself, and in words."""
    node = nodes[f"{name}.svg"]
    return {
        "name": name,
        "title": FIGURES[name].TITLE,
        "data": base64.b64encode(_bytes(node.path)).decode(),
        "alt": {"figure1": _times, "figure2": _method, "figure3": _curves}[name](nodes),
        "files": _beside(name, nodes, "svg", "png"),
        **_origin(node),
    }


def _times(nodes: dict[str, Node]) -> str:
    if "table2.csv" not in nodes:
        return "Lines: time per image against the number of samples, both axes logarithmic."
    times = _csv(nodes["table2.csv"].path, "method").set_index("method")
    first, last = times.columns[[0, -1]]
    lines = [
        f"{method} takes {row[first]:.3g} ms at {_header(first)} and {row[last]:.3g} ms at {_header(last)}"
        for method, row in times.iterrows()
    ]
    return f"Lines, both axes logarithmic: median time per image against the number of samples N. {'; '.join(lines)}."


def _method(nodes: dict[str, Node]) -> str:
    return (
        "Two flow charts side by side. Cohen et al.: from the image x to N noisy copies, N passes of the base "
        "classifier f, the count of the class that other copies named, its lower bound p by Clopper and Pearson, "
        "and the radius \u03c3 \u03a6\u207b\u00b9(p), which is sound. Accelerated Smoothing: a few noisy copies and "
        "f name a class or none; the surrogate h guesses all counts in one pass; where both name the same class, the "
        "bound and the radius are computed as if those counts had been sampled, which is estimated; else it abstains."
    )


def _curves(nodes: dict[str, Node]) -> str:
    made = _csv(nodes["table1.csv"].path, "sigma", "method", "guarantee")
    if "table3.csv" in nodes:
        made = made[made["sigma"].isin(_csv(nodes["table3.csv"].path, "sigma")["sigma"])]
    radius = next(column for column in map(str, made) if column.startswith("r="))
    panels = []
    for sigma, rows in made.groupby("sigma"):
        shares = zip(rows["method"], rows["guarantee"] == "sound", rows[radius], strict=True)
        told = ", ".join(f"{style.label(method, sound)} {share:.1%}" for method, sound, share in shares)
        panels.append(f"At \u03c3 = {sigma} and {_header(radius)}: {told}.")
    return f"Falling curves, a panel for each \u03c3: certified accuracy against the radius r. {' '.join(panels)}"


def _beside(name: str, nodes: dict[str, Node], *kinds: str) -> list[tuple[str, Path]]:
    """What to link, by its name for people."""
    words = {"md": "Markdown", "html": "Page", "ipynb": "Notebook", "vs": "Beside the paper (CSV)"}
    names = {kind: f"{name}_vs_paper.csv" if kind == "vs" else f"{name}.{kind}" for kind in kinds}
    return [(words.get(kind, kind.upper()), nodes[file].path) for kind, file in names.items() if file in nodes]


def _origin(node: Node) -> dict[str, Any]:
    """What made a file, back to the images."""
    files = {relative(below.path): below for below in audit.walk([node])}
    lines = []
    for line in audit.tree([node]).splitlines():
        below = files.get(line.strip()[4:])
        lines.append(f"{line}  {below.record.sha256[:HASH]}" if below and below.record else line)
    record = node.record
    others = record.inputs.items() if record else ()
    return {
        "id": f"{node.path.stem}-{node.path.suffix[1:]}",
        "record": record,
        "command": shlex.join(["accelerated-smoothing", *record.command]) if record else "",
        "holds": node.holds(),
        "count": len(files),
        "tree": "\n".join(lines),
        "others": [(name, known.sha256[:HASH]) for name, known in others if not known.recorded],
    }


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
            return analysis.index_set(_csv(node.path, "idx")["idx"].to_numpy())
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
