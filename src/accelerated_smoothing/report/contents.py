"""The contents of a page: tables with the paper's numbers beside ours, and figures with a text that describes them."""

import base64
from pathlib import Path
from typing import Any

import pandas as pd

from accelerated_smoothing import analysis, papers
from accelerated_smoothing.analysis.items import Table
from accelerated_smoothing.errors import InputError
from accelerated_smoothing.provenance.audit import Node, find
from accelerated_smoothing.provenance.records import relative

Guarantees = dict[tuple[float | None, str], tuple[str, float]]


def read(path: Path) -> bytes:
    """Read a file.

    Raises:
        InputError: it cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error


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


def items(nodes: list[Node]) -> dict[str, Node]:
    """Return the tables' CSV files and the figures' SVG files, by the names of the items, in the papers' order.

    Raises:
        InputError: the files are of several papers, or there is no table among them.
    """
    named = {name: node for node in nodes if (name := papers.of_file(node.path))}
    folders = {name.rpartition("/")[0] for name in named}
    if len(folders) != 1:
        raise InputError(f"FILES must be the tables and figures of one paper, got {len(folders)} papers")
    return {name: named[name] for name in papers.items(folders.pop()) if name in named}


def guarantees(tables: dict[str, Node], timing: Node | None) -> Guarantees:
    """Return the guarantee and `exceeds` of each method at each sigma, from the tables that have both.

    The methods that were timed stand under the sigma None.
    """
    known: Guarantees = {}
    for node in tables.values():
        table = csv(node.path)
        if {"sigma", "method", "guarantee", "exceeds"} <= set(table):
            keys = zip(table["sigma"], table["method"], strict=True)
            known |= dict(zip(keys, zip(table["guarantee"], table["exceeds"], strict=True), strict=True))
    if timing and timing.record:
        sigma = float(timing.record.arguments.get("sigma", "nan"))
        words = csv(timing.path, "method", "guarantee").groupby("method")["guarantee"].first()
        for name, word in words.items():
            known[None, str(name)] = known.get((sigma, str(name)), (word, float("nan")))
    return known


def table(name: str, node: Node, versus: Node | None, known: Guarantees) -> dict[str, Any]:
    """Return a table's rows in groups, each of its cells with the paper's number if it has one."""
    item = papers.table(name)
    values, keys = csv(node.path, *item.keys), item.keys
    example = ",".join([*(f"{key}={value}" for key in keys for value in values[key][-1:]), str(values.columns[-1])])
    if "method" in values and "guarantee" not in values:
        sigmas = values["sigma"] if "sigma" in values else [None] * len(values)
        words = [known.get(key, ("-", float("nan"))) for key in zip(sigmas, values["method"], strict=True)]
        values.insert(len(keys), "guarantee", [word for word, _ in words])
        values["exceeds"] = [share for _, share in words]
    reported, comparable = _reported(versus, item)
    if item.grows_with_samples and not comparable:
        reported = {}
    shares = {"exceeds", *(column for column in map(str, values) if item.is_share(column))}
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
        group = ", ".join(f"\u03c3 = {row[name]}" if name == "sigma" else str(row[name]) for name in keys[:-1])
        groups.setdefault(group, []).append({"key": row[keys[-1]], "cells": cells})
    return {
        "name": name.rpartition("/")[2],
        "title": item.title,
        "note": item.note,
        "example": f'accelerated-smoothing audit {relative(node.path)} --cell "{example}"',
        "key": _header(keys[-1]),
        "columns": [_header(column) for column in columns],
        "groups": groups,
        "comparable": comparable,
        "compared": len(reported),
        "within": sum(within for _, within in reported.values()),
    }


def _reported(versus: Node | None, item: Table) -> tuple[dict[tuple[Any, ...], tuple[float, bool]], bool]:
    """Return the paper's numbers that we have, too, and whether both are of the same experiment.

    Returns:
        The number, and whether ours agrees, by row and column.
    """
    if versus is None:
        return {}, False
    both = csv(versus.path, *item.keys, "column", "reported", "within", "comparable")
    places = both[[*item.keys, "column"]].itertuples(index=False, name=None)
    numbers = zip(both["reported"], both["within"].astype(bool), strict=True)
    return dict(zip(places, numbers, strict=True)), bool(len(both) and both["comparable"].all())


def _header(column: str) -> str:
    """Return a column's name in words."""
    words = column.replace("gt_acr", "mean sampled radius").replace("=", "\u00a0=\u00a0").replace("_", " ")
    return words.replace("class", "class ", 1 if column.startswith("class") and column[5:].isdigit() else 0).replace(
        "sigma", "\u03c3"
    )


def figure(name: str, node: Node) -> dict[str, Any]:
    """Return a figure as data for the page, with a text that describes it."""
    item = papers.figure(name)
    words = item.title
    if node.record and node.call:
        recorded = node.record.arguments
        paths = [find(node.path, node.record, path) for path in recorded["inputs"]]
        if all(paths):
            settings = analysis.Settings(recorded["radii"], recorded["reference"], recorded["error_radius"])
            words = item.words(item.load([path for path in paths if path]), settings)
    data = base64.b64encode(read(node.path)).decode()
    return {"name": name.rpartition("/")[2], "title": item.title, "data": data, "alt": words}
