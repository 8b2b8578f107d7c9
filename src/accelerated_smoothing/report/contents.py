"""What is on the page: tables with the paper's numbers beside ours, and figures that are told in words, too."""

import base64
from pathlib import Path
from types import ModuleType
from typing import Any

import pandas as pd

from accelerated_smoothing import analysis
from accelerated_smoothing.analysis import style
from accelerated_smoothing.errors import InputError
from accelerated_smoothing.papers.accelerated_smoothing import (
    figure1,
    figure2,
    figure3,
    table1,
    table2,
    table3,
    table4,
    table5,
    table6,
)
from accelerated_smoothing.provenance.audit import Node
from accelerated_smoothing.provenance.records import relative

TABLES = {"table1": table1, "table2": table2, "table3": table3, "table4": table4, "table5": table5, "table6": table6}
FIGURES = {"figure1": figure1, "figure2": figure2, "figure3": figure3}
Guarantees = dict[tuple[float | None, str], tuple[str, float]]


def read(path: Path) -> bytes:
    """A file, whole."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error


def csv(path: Path, *columns: str) -> pd.DataFrame:
    """A table that must have some columns."""
    try:
        found = pd.read_csv(path, sep="\t" if path.suffix == ".tsv" else ",")
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read as a table ({error}); build it again") from error
    if missing := set(columns) - set(found.columns):
        raise InputError(f"{path}: has no column {min(missing)!r}; build it again")
    return found


def guarantees(nodes: dict[str, Node]) -> Guarantees:
    """By sigma and method: whether it is sound, and how often it exceeds; the timed methods, under None, likewise."""
    first = csv(nodes["table1.csv"].path, "sigma", "method", "guarantee", "exceeds")
    keys = zip(first["sigma"], first["method"], strict=True)
    known: Guarantees = dict(zip(keys, zip(first["guarantee"], first["exceeds"], strict=True), strict=True))
    timed = nodes.get("timing.tsv")
    if timed and timed.record:
        sigma = float(timed.record.arguments.get("sigma", "nan"))
        for name, sound in csv(timed.path, "method", "sound").groupby("method")["sound"].first().items():
            word = "sound" if sound else "estimated"
            known[None, str(name)] = known.get((sigma, str(name)), (word, float("nan")))
    return known


def table(name: str, nodes: dict[str, Node], known: Guarantees, comparable: bool) -> dict[str, Any]:
    """A table's rows in groups, each of its cells with the paper's number where it has one."""
    module, node = TABLES[name], nodes[f"{name}.csv"]
    made, keys = csv(node.path, *module.KEYS), module.KEYS
    example = ",".join([*(f"{key}={value}" for key in keys for value in made[key][-1:]), str(made.columns[-1])])
    if "method" in made and "guarantee" not in made:
        sigmas = made["sigma"] if "sigma" in made else [None] * len(made)
        told = [known.get(key, ("-", float("nan"))) for key in zip(sigmas, made["method"], strict=True)]
        made.insert(len(keys), "guarantee", [word for word, _ in told])
        made["exceeds"] = [share for _, share in told]
    reported = _reported(nodes.get(f"{name}_vs_paper.csv"), module)
    if name == "table4" and not comparable:
        reported = {}  # a variance of counts grows with N
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
        "example": f'accelerated-smoothing audit {relative(node.path)} --cell "{example}"',
        "key": _header(keys[-1]),
        "columns": [_header(column) for column in columns],
        "groups": groups,
        "compared": len(reported),
        "within": sum(within for _, within in reported.values()),
    }


def _reported(versus: Node | None, module: ModuleType) -> dict[tuple[Any, ...], tuple[float, bool]]:
    """The paper's numbers that have a counterpart, by row and column, and whether ours agree."""
    if versus is None:
        return {}
    both = csv(versus.path, *module.KEYS, "column", "reported", "within")
    places = both[[*module.KEYS, "column"]].itertuples(index=False, name=None)
    return dict(zip(places, zip(both["reported"], both["within"].astype(bool), strict=True), strict=True))


def _header(column: str) -> str:
    """A column's name in words."""
    words = column.replace("gt_acr", "mean sampled radius").replace("=", "\u00a0=\u00a0").replace("_", " ")
    return words.replace("class", "class ").replace("sigma", "\u03c3")


def figure(name: str, nodes: dict[str, Node]) -> dict[str, Any]:
    """A figure, in the page itself, and in words."""
    node = nodes[f"{name}.svg"]
    return {
        "name": name,
        "title": FIGURES[name].TITLE,
        "data": base64.b64encode(read(node.path)).decode(),
        "alt": {"figure1": _times, "figure2": _method, "figure3": _curves}[name](nodes),
    }


def _times(nodes: dict[str, Node]) -> str:
    if "table2.csv" not in nodes:
        return "Lines: time per image against the number of samples, both axes logarithmic."
    times = csv(nodes["table2.csv"].path, "method").set_index("method")
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
    made = csv(nodes["table1.csv"].path, "sigma", "method", "guarantee")
    if "table3.csv" in nodes:
        made = made[made["sigma"].isin(csv(nodes["table3.csv"].path, "sigma")["sigma"])]
    radius = next(column for column in map(str, made) if column.startswith("r="))
    panels = []
    for sigma, rows in made.groupby("sigma"):
        shares = zip(rows["method"], rows["guarantee"], rows[radius], strict=True)
        told = ", ".join(f"{style.label(method, guarantee)} {share:.1%}" for method, guarantee, share in shares)
        panels.append(f"At \u03c3 = {sigma} and {_header(radius)}: {told}.")
    return f"Falling curves, a panel for each \u03c3: certified accuracy against the radius r. {' '.join(panels)}"
