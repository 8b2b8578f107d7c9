"""One number of a table: the files and the images that it is made from."""

import importlib
import shlex
import textwrap
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from accelerated_smoothing import analysis, counts
from accelerated_smoothing.files import InputError
from accelerated_smoothing.provenance.audit import Node, find, walk
from accelerated_smoothing.provenance.records import Record, relative


@dataclass(frozen=True)
class Cell:
    """A number, and what it is made from.

    Attributes:
        name: keys and column, in words.
        text: as it stands in the table.
        table: the file, of its inputs those that the number depends on.
        idx: positions in its split of the images that it counts, sums or averages over.
        images: how many there were to choose from.
    """

    name: str
    text: str
    table: Node
    idx: np.ndarray
    images: int


def cell(node: Node, text: str) -> Cell:
    """Find a cell, and make it again from each of the inputs that it depends on.

    Args:
        node: the table, of an audit.
        text: keys and a column, such as `sigma=0.25,method=resnet20,r=0.5`.

    Raises:
        InputError: the file is no table, has no such cell or more than one, or cannot be made again.
    """
    record = node.record
    if record is None or record.verb != "table" or node.path.name != Path(record.arguments["output"]).name:
        raise InputError(f"--cell: {node.path} is not a table's CSV with a record; audit that of a table")
    told = record.arguments
    module = importlib.import_module(f"accelerated_smoothing.analysis.table{told['number']}")
    settings = analysis.Settings(told["radii"], told["reference"], told["error_radius"])
    paths = [find(node.path, record, name) for name in told["inputs"]]
    if None in paths:
        raise InputError(f"{node.path}: some of its inputs are missing; audit it without --cell")
    data = module.load(paths)
    stored, made = pd.read_csv(node.path, dtype=str, keep_default_na=False), module.make(data, settings)
    row, column = _place(stored, module.KEYS, text)
    keys = {key: stored[key][row] for key in module.KEYS}
    value, position = _value(made, keys, column)

    inputs = told["inputs"]
    if isinstance(data, dict):  # one entry an input, in their order; rows of other sigmas are made from other entries

        def sigma(key: Any) -> float:
            return key[0] if isinstance(key, tuple) else key

        near = {key: value for key, value in data.items() if _same(str(sigma(key)), keys["sigma"])}

        def matters(key: object) -> bool:
            try:
                without, _ = _value(module.make({k: v for k, v in near.items() if k != key}, settings), keys, column)
            except InputError:
                return True
            return without != value and not (pd.isna(without) and pd.isna(value))

        inputs = [name for name, key in zip(inputs, data, strict=True) if key in near and matters(key)]

    text = str(stored[column][row])
    if not _same("" if pd.isna(value) else str(value), text):
        node.problems.append(f"{column} of row {row + 1} is {text}, its inputs give {value}")
    table = replace(node, inputs={name: node.inputs[name] for name in inputs})
    idx = _images(node.inputs[inputs[0]].path)
    chosen = module.behind(data, settings, made.iloc[position], column) if hasattr(module, "behind") else slice(None)
    words = [*(f"{key}={keys[key]}" for key in module.KEYS), column]
    return Cell(", ".join(words), text, table, idx[chosen], len(idx))


def report(found: Cell) -> str:
    """Which images, models, code, machines and commands a number comes from, as text."""
    files = [(node.path, node.record) for node in walk(found.table.inputs.values()) if node.record]
    told = {
        "images": [f"{len(found.idx)} of {found.images}: {ranges(found.idx)}"],
        "from": [relative(node.path) for node in found.table.inputs.values()],
        "models": [f"{relative(path)}: {r.about['arch']}" for path, r in files if path.suffix == ".safetensors"],
        "commits": [r.commit.id + ("" if r.commit.clean else ", with changes") for _, r in files if r.commit],
        "machines": [", ".join([*r.machine.values(), f"Python {r.python}"]) for _, r in files],
    }
    lines = [f"{found.name}: {found.text}"]
    for name, several in told.items():
        for one in dict.fromkeys(several):
            lines += textwrap.wrap(f"  {name:9} {one}", 110, subsequent_indent=" " * 12)
    commands: dict[tuple[str, Path], list[Record]] = {}
    for path, record in files:
        commands.setdefault((record.verb, path.parent), []).append(record)
    for (_, folder), records in commands.items():
        others = len({shlex.join(record.command) for record in records}) - 1
        more = f"  (and {others} more in {relative(folder)})" if others else ""
        lines.append(f"  command   accelerated-smoothing {shlex.join(records[0].command)}{more}")
    return "\n".join(lines)


def _place(table: pd.DataFrame, keys: list[str], text: str) -> tuple[int, str]:
    """The row and the column that a text names."""
    columns = [part for part in text.split(",") if part in table and part not in keys]
    if len(columns) != 1:
        others = [str(name) for name in table if name not in keys]
        raise InputError(
            f"--cell: found {text!r}; one column would do, of {', '.join(others)}, and keys: {', '.join(keys)}"
        )
    rows = np.full(len(table), True)
    for part in text.split(","):
        if part == columns[0]:
            continue
        name, _, value = part.partition("=")
        if name not in keys:
            raise InputError(f"--cell: found {part!r}; {' or '.join(keys)} = a value would do")
        rows &= np.array([_same(found, value) for found in table[name]])
    if rows.sum() != 1:
        there = "; ".join(",".join(f"{key}={row[key]}" for key in keys) for _, row in table.iterrows())
        raise InputError(f"--cell: {text!r} names {rows.sum()} rows; one of these would do: {there}")
    return int(np.flatnonzero(rows)[0]), columns[0]


def _value(made: pd.DataFrame, keys: dict[str, str], column: str) -> tuple[Any, int]:
    """A cell of a table, and its row's position."""
    for position, (_, row) in enumerate(made.iterrows()):
        if all(_same(str(row[key]), value) for key, value in keys.items()):
            return row[column], position
    raise InputError(f"--cell: from the inputs that are there now, there is no row {keys}; build the table again")


def _same(one: str, other: str) -> bool:
    try:
        return float(one) == float(other)
    except ValueError:
        return one == other


def _images(path: Path) -> np.ndarray:
    """Positions of the images that certificates, counts or timings speak of."""
    if path.suffix == ".npz":
        return counts.read(path).idx
    log = pd.read_csv(path, sep="\t")
    return log["idx"].to_numpy() if "idx" in log else log["image"].unique()


def ranges(idx: np.ndarray) -> str:
    """Ascending numbers in short: `0 2-5 9`."""
    if not len(idx):
        return "none"
    runs = np.split(idx, np.flatnonzero(np.diff(idx) != 1) + 1)
    return " ".join(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs)
