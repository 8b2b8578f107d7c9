"""The tables and figures of a page: the paper's numbers beside ours, and a text that describes each figure."""

import base64
from pathlib import Path
from typing import Any

import pandas as pd

from accelerated_smoothing import analysis, command, papers
from accelerated_smoothing.analysis.items import Table
from accelerated_smoothing.errors import InputError
from accelerated_smoothing.files import read_bytes
from accelerated_smoothing.provenance import records
from accelerated_smoothing.provenance.audit import Node, find
from accelerated_smoothing.provenance.records import relative

NO_GUARANTEE = ("-", float("nan"))
Guarantees = dict[tuple[float | None, str], tuple[str, float]]  # word and `exceeds`, by sigma and method


def csv(path: Path, *columns: str) -> pd.DataFrame:
    """Read a table that must have some columns.

    Raises:
        InputError: it cannot be read, or a column is missing.
    """
    try:
        table = pd.read_csv(path, sep="\t" if path.suffix == ".tsv" else ",")
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read as a table ({error}); build it again") from error
    if missing := set(columns) - set(table.columns):
        raise InputError(f"{path} must have the column {min(missing)!r}; build it again")
    return table


def item(path: Path) -> str | None:
    """Return the name of the table or figure in a file, such as "fars/table1"; None for any other file.

    The record of the file says what it is. A file without a record has the name that the workflow gives it. The other
    files that a table or figure writes, such as its Markdown copy, are not the item itself.
    """
    try:
        record = records.read(path)
        call = command.parse(record.command)
    except InputError:
        return papers.of_file(path)
    if call is None or record.file != record.arguments.get("output"):
        return None
    names = call.arguments.facts().get("item", [])
    return names[0] if len(names) == 1 and record.verb in papers.DECLARATIONS.values() else None


def items(nodes: list[Node]) -> dict[str, Node]:
    """Return the tables' CSV files and the figures' SVG files by the names of the items, in the paper's order.

    Raises:
        InputError: the files are of several papers, or none is a table or figure.
    """
    named = {name: node for node in nodes if (name := item(node.path))}
    folders = {name.rpartition("/")[0] for name in named}
    if len(folders) != 1:
        raise InputError(f"FILES must be the tables and figures of one paper, got those of {len(folders)} papers")
    return {name: named[name] for name in papers.items(folders.pop()) if name in named}


def guarantees(tables: dict[str, Node], timing: Node | None) -> Guarantees:
    """Return the guarantee and `exceeds` of each method at each sigma, for tables that do not have them.

    They come from the tables whose rows are a sigma and a method each. Timed methods stand under the sigma None.
    """
    words: Guarantees = {}
    for name, node in tables.items():
        values = csv(node.path)
        if papers.table(name).keys == ["sigma", "method"] and {"guarantee", "exceeds"} <= set(values):
            keys = zip(values["sigma"], values["method"], strict=True)
            words |= dict(zip(keys, zip(values["guarantee"], values["exceeds"], strict=True), strict=True))
    if timing and timing.record:
        sigma = float(timing.record.arguments.get("sigma", "nan"))
        timed = csv(timing.path, "method", "guarantee").groupby("method")["guarantee"].first()
        for method, word in timed.items():
            words[None, str(method)] = words.get((sigma, str(method)), (word, float("nan")))
    return words


def table(name: str, node: Node, versus: Node | None, words: Guarantees) -> dict[str, Any]:
    """Return a table as data for the page: its rows in groups, and the paper's number in each cell that has one.

    Args:
        name: of the table.
        node: its CSV file.
        versus: the file with the paper's numbers beside ours, if there is one.
        words: of `guarantees`, for a table with methods and without their guarantees.
    """
    declared = papers.table(name)
    values, keys = csv(node.path, *declared.keys), declared.keys
    example = ",".join([*(f"{key}={value}" for key in keys for value in values[key][-1:]), str(values.columns[-1])])
    if "method" in values and "guarantee" not in values:
        sigmas = values["sigma"] if "sigma" in values else [None] * len(values)
        added = [words.get(key, NO_GUARANTEE) for key in zip(sigmas, values["method"], strict=True)]
        values.insert(len(keys), "guarantee", [word for word, _ in added])
        values["exceeds"] = [share for _, share in added]
    reported, comparable = _reported(versus, declared)
    if declared.grows_with_samples and not comparable:
        reported = {}
    shares = {"exceeds", *(column for column in map(str, values) if declared.is_share(column))}
    columns = [column for column in map(str, values) if column not in keys and not column.startswith("choice ")]
    groups: dict[str, list[dict[str, Any]]] = {}
    for row in values.to_dict("records"):
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
        group = ", ".join(f"{_header(name)} = {row[name]}" for name in keys[:-1])
        groups.setdefault(group, []).append({"key": row[keys[-1]], "cells": cells})
    return {
        "name": name.rpartition("/")[2],
        "title": declared.title,
        "note": declared.note,
        "example": f'accelerated-smoothing audit {relative(node.path)} --cell "{example}"',
        "key": _header(keys[-1]),
        "columns": [_header(column) for column in columns],
        "groups": groups,
        "comparable": comparable,
        "compared": len(reported),
        "within": sum(within for _, within in reported.values()),
    }


def _reported(versus: Node | None, declared: Table) -> tuple[dict[tuple[Any, ...], tuple[float, bool]], bool]:
    """Return the paper's numbers for which we have one, too.

    Returns:
        numbers: the paper's number, and whether ours agrees with it, by the keys of the row and the column.
        comparable: whether the paper's experiment was run.
    """
    if versus is None:
        return {}, False
    both = csv(versus.path, *declared.keys, "column", "reported", "within", "comparable")
    places = both[[*declared.keys, "column"]].itertuples(index=False, name=None)
    numbers = zip(both["reported"], both["within"].astype(bool), strict=True)
    return dict(zip(places, numbers, strict=True)), bool(len(both) and both["comparable"].all())


def _header(column: str) -> str:
    """Return the name of a column in words."""
    words = column.replace("gt_acr", "mean sampled radius").replace("=", "\u00a0=\u00a0").replace("_", " ")
    return words.replace("class", "class ", 1 if column.startswith("class") and column[5:].isdigit() else 0).replace(
        "sigma", "\u03c3"
    )


def figure(name: str, node: Node) -> dict[str, Any]:
    """Return a figure as data for the page, with a text that describes it: its title if its inputs are missing."""
    declared = papers.figure(name)
    words = declared.title
    if node.record and node.call:
        recorded = node.record.arguments
        paths = [find(node.path, node.record, path) for path in recorded["inputs"]]
        if all(paths):
            settings = analysis.Settings(recorded["radii"], recorded["reference"], recorded["error_radius"])
            words = declared.words(declared.load([path for path in paths if path]), settings)
    data = base64.b64encode(read_bytes(node.path)).decode()
    return {"name": name.rpartition("/")[2], "title": declared.title, "data": data, "alt": words}
