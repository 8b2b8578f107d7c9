"""One number of a table: the files and the images that it is made from."""

import importlib
import shlex
import textwrap
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from accelerated_smoothing import analysis
from accelerated_smoothing.counting import counts
from accelerated_smoothing.errors import InputError
from accelerated_smoothing.provenance import code
from accelerated_smoothing.provenance.audit import Node, find, output, walk
from accelerated_smoothing.provenance.records import relative


@dataclass(frozen=True)
class Cell:
    """A number, and what it is made from.

    Attributes:
        name: keys and column, in words.
        text: as it stands in the table.
        again: as it follows from the inputs.
        table: the file, of its inputs those that the number depends on.
        idx: positions in its split of the images that it counts, sums or averages over.
        images: how many there were to choose from.
    """

    name: str
    text: str
    again: str
    table: Node
    idx: np.ndarray
    images: int


def cell(node: Node, text: str) -> Cell:
    """Find a cell of a table, make it again, and find those inputs without which it would be another.

    Args:
        node: the table, of an audit.
        text: keys and a column, such as `sigma=0.25,method=resnet20,r=0.5`.

    Raises:
        InputError: the file is no table, has no such cell or more than one, or cannot be made again.
    """
    record = node.record
    if record is None or record.verb != "table" or node.path.name != Path(output(record.arguments)).name:
        other = Path(output(record.arguments)).name if record and record.verb == "table" else "a table's CSV"
        raise InputError(f"--cell: {node.path} has no cells; {other}, with its record, would do")
    told = record.arguments
    paths = [find(node.path, record, name) for name in told["inputs"]]
    if None in paths:
        raise InputError(f"{node.path}: some of its inputs are missing; audit it without --cell")
    try:
        module = importlib.import_module(f"accelerated_smoothing.{code.numbered('table', told['number'])}")
        settings = analysis.Settings(told["radii"], told["reference"], told["error_radius"])
        data = module.load(paths)
        made = module.make(data, settings)
        stored = pd.read_csv(node.path, dtype=str, keep_default_na=False)
    except (ValueError, KeyError, ImportError, SyntaxError) as error:
        raise InputError(f"{node.path}: its cells cannot be made again ({error}); audit it without --cell") from error
    row, column = _place(stored, module.KEYS, text)
    keys = {key: stored[key][row] for key in module.KEYS}
    value, position = _value(made, keys, column)

    inputs = told["inputs"]
    if isinstance(data, dict):  # one entry an input, in their order; rows of other sigmas are made from other entries

        def sigma(key: Any) -> float:
            return key[0] if isinstance(key, tuple) else key

        near = {key: entry for key, entry in data.items() if _same(str(sigma(key)), keys.get("sigma", str(sigma(key))))}

        def same(entries: dict[Any, Any]) -> bool:
            try:
                found, _ = _value(module.make(entries, settings), keys, column)
            except (InputError, ValueError):  # there is nothing to make it from
                return False
            return found == value or (pd.isna(found) and pd.isna(value))

        for key in reversed(list(near)):  # of equals, which make the same number each, the first is left
            without = {k: entry for k, entry in near.items() if k != key}
            near = without if same(without) else near
        inputs = [name for name, key in zip(inputs, data, strict=True) if key in near]

    found, again = str(stored[column][row]), "" if pd.isna(value) else str(value)
    if not _same(again, found):
        node.problems.append(f"{column} of row {row + 1} is {found}, its inputs give {again}")
    table = replace(node, inputs={name: node.inputs[name] for name in inputs})
    idx = _images(node.inputs[inputs[0]].path)
    chosen = module.behind(data, settings, made.iloc[position], column) if hasattr(module, "behind") else slice(None)
    words = ", ".join([*(f"{key}={keys[key]}" for key in module.KEYS), column])
    return Cell(words, found, again, table, idx[chosen] if again else idx[:0], len(idx))


def facts(found: Cell) -> dict[str, list[str]]:
    """What is behind a number: files, models, commits, machines, and the commands in the order in which they ran."""
    nodes = [node for node in walk(found.table.inputs.values()) if node.record]
    files = sorted(((node.path, node.record) for node in nodes if node.record), key=lambda file: file[1].started)
    commands: dict[tuple[str, Path], list[str]] = {}
    for path, record in files:
        together = commands.setdefault((record.verb, path.parent), [])
        if (command := f"accelerated-smoothing {shlex.join(record.command)}") not in together:
            together.append(command)
    commits = [record.commit for _, record in files if record.commit]
    told = {
        "from": [relative(node.path) for node in found.table.inputs.values()],
        "models": [
            f"{relative(path)}: {record.about['kind']}, {record.about['arch']}"
            for path, record in files
            if path.suffix == ".safetensors"
        ],
        "commits": [commit.id + ("" if commit.clean else ", with changes") for commit in commits],
        "machines": [", ".join([*record.machine.values(), f"Python {record.python}"]) for _, record in files],
        "commands": [
            f"{told[0]}  (and {len(told) - 1} more in {relative(folder)})" if len(told) > 1 else told[0]
            for (_, folder), told in commands.items()
        ],
    }
    return {name: list(dict.fromkeys(several)) for name, several in told.items()}


def report(found: Cell) -> str:
    """A number and all that is behind it, as text."""
    first = next(iter(found.table.inputs.values()))
    splits = [node.record.about.get("split") for node in (first, *first.inputs.values()) if node.record]
    split = next((f"{split} images" for split in splits if split), "images")
    what = f"{found.text}; {found.again} when made again" if found.text else "not defined for this row"
    lines = [f"{found.name}: {what}{_guarantee(found)}"]
    told = {"images": [f"{len(found.idx)} of {found.images} {split}, from 0: {ranges(found.idx)}"], **facts(found)}
    for name, several in told.items():
        for one in several:
            wrapped = textwrap.wrap(f"  {name:9} {one}", 110, subsequent_indent=" " * 12, break_on_hyphens=False)
            lines += wrapped if name != "commands" else [f"  {name:9} {one}"]
    return "\n".join(lines)


def _guarantee(found: Cell) -> str:
    """Whether the radii behind a number are sound."""
    logs = [pd.read_csv(node.path, sep="\t") for node in found.table.inputs.values() if node.path.suffix == ".tsv"]
    words = {analysis.guarantee(log) for log in logs if "radius" in log and "sound" in log}
    return next((f"; {word}" for word in ("estimated", "memory", "sound", "deterministic") if word in words), "")


def _place(table: pd.DataFrame, keys: list[str], text: str) -> tuple[int, str]:
    """The row and the column that a text names."""
    others = [str(name) for name in table if name not in keys]
    columns: list[str] = []
    rows = np.full(len(table), True)
    for part in text.split(","):
        name, _, value = part.strip().partition("=")
        if same := [column for column in others if _same(column.lower(), part.strip().lower())]:
            columns += same
        elif name in keys and value:
            rows &= np.array([_same(found.lower(), value.strip().lower()) for found in table[name]])
        else:
            example = ",".join(f"{key}={table[key].iloc[-1]}" for key in keys)
            raise InputError(
                f"--cell: found {part.strip()!r}; a column ({', '.join(others)}) or a key ({', '.join(keys)}) with its "
                f"value would do: {example},{others[-1]}"
            )
    if len(columns) != 1:
        raise InputError(f"--cell: {text!r} names {len(columns)} columns; one of these would do: {', '.join(others)}")
    if rows.sum() != 1:
        fit = table[rows] if rows.any() else table
        there = "; ".join(",".join(f"{key}={row[key]}" for key in keys) for _, row in fit.iterrows())
        raise InputError(f"--cell: {text!r} names {rows.sum()} rows; one of these would do: {there}")
    return int(np.flatnonzero(rows)[0]), columns[0]


def _value(made: pd.DataFrame, keys: dict[str, str], column: str) -> tuple[Any, int]:
    """A cell of a table, and its row's position."""
    for position, (_, row) in enumerate(made.iterrows()):
        if all(_same(str(row[key]), value) for key, value in keys.items()):
            return row[column], position
    raise InputError(f"--cell: from the inputs that are there now, there is no row {keys}; build the table again")


def _same(one: str, other: str) -> bool:
    """Whether two texts are the same, or numbers that are, also behind the same `name=`."""
    (name, _, value), (named, _, wanted) = one.rpartition("="), other.rpartition("=")
    try:
        return name == named and float(value) == float(wanted)
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
