"""One number of a table, and the files and images behind it."""

import shlex
import textwrap
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from accelerated_smoothing import analysis, papers
from accelerated_smoothing.certify.guarantees import weakest
from accelerated_smoothing.counting import counts
from accelerated_smoothing.errors import InputError
from accelerated_smoothing.provenance.audit import Node, find, walk
from accelerated_smoothing.provenance.planned import output
from accelerated_smoothing.provenance.records import relative


@dataclass(frozen=True)
class Cell:
    """A number, and what is behind it.

    Attributes:
        name: the keys of its row and its column, in words.
        text: the number in the table.
        again: the number that its inputs give now; "" if they give none.
        table: the table, with only those inputs that the number depends on.
        idx: [n] positions, in their split, of the images that the number counts, sums or averages over.
        images: number of images in the inputs.
    """

    name: str
    text: str
    again: str
    table: Node
    idx: np.ndarray
    images: int


def cell(node: Node, text: str) -> Cell:
    """Find a cell of a table, compute it again, and find the inputs that it depends on.

    Args:
        node: the table, of an audit.
        text: the keys of a row and a column, such as `sigma=0.25,method=resnet20,r=0.5`.

    Raises:
        InputError: the file is not a table, it does not have exactly one such cell, or it cannot be made again.
    """
    record = node.record
    if record is None or record.verb != "table" or node.path.name != Path(output(record.arguments)).name:
        wanted = Path(output(record.arguments)).name if record and record.verb == "table" else "the CSV of a table"
        raise InputError(f"--cell must be used with {wanted} that has a record, got {node.path}")
    arguments = record.arguments
    paths = [find(node.path, record, name) for name in arguments["inputs"]]
    existing = [path for path in paths if path]
    if len(existing) < len(paths):
        raise InputError(f"{node.path}: some of its inputs are missing; audit it without --cell")
    try:
        assert node.call is not None
        (name,) = node.call.arguments.facts()["item"]
        table = papers.table(name)
        settings = analysis.Settings(arguments["radii"], arguments["reference"], arguments["error_radius"])
        data = table.load(existing)
        values = table.make(data, settings)
        stored = pd.read_csv(node.path, dtype=str, keep_default_na=False)
    except (ValueError, KeyError, ImportError, SyntaxError) as error:
        raise InputError(f"{node.path}: its cells cannot be made again ({error}); audit it without --cell") from error
    row, column = _place(stored, table.keys, text)
    keys = {key: stored[key][row] for key in table.keys}
    value, position = _value(values, keys, column)

    inputs = arguments["inputs"]
    entries = analysis.groups(data) if isinstance(data, pd.DataFrame) and "sigma0" in data else data
    if isinstance(entries, dict):  # an entry for each input, in their order

        def sigma(key: Any) -> float:
            return key.sigma if isinstance(key, analysis.Key) else key

        def combined(entries: dict[Any, Any]) -> Any:
            return pd.concat(entries.values(), ignore_index=True) if isinstance(data, pd.DataFrame) else entries

        own = keys.get("sigma")  # rows of other sigmas are made from other entries
        needed = {key: entry for key, entry in entries.items() if own is None or _same(str(sigma(key)), own)}

        def suffice(entries: dict[Any, Any]) -> bool:
            """Return whether these entries give the same number as all of them."""
            try:
                number, _ = _value(table.make(combined(entries), settings), keys, column)
            except (InputError, ValueError):  # the number cannot be made from these entries
                return False
            return number == value or (pd.isna(number) and pd.isna(value))

        for key in reversed(list(needed)):  # if several entries give the same number, the first is kept
            without = {k: entry for k, entry in needed.items() if k != key}
            needed = without if suffice(without) else needed
        inputs = [
            name for name, key in zip(inputs, entries, strict=False) if key in needed
        ]  # measured times follow the logs

    text, again = str(stored[column][row]), "" if pd.isna(value) else str(value)
    if not _same(again, text):
        node.problems.append(f"{column} of row {row + 1} is {text}, its inputs give {again}")
    used = replace(node, inputs={name: node.inputs[name] for name in inputs})
    idx = _images(node.inputs[inputs[0]].path)
    chosen = table.behind(data, settings, values.iloc[position], column) if table.behind else slice(None)
    words = ", ".join([*(f"{key}={keys[key]}" for key in table.keys), column])
    return Cell(words, text, again, used, idx[chosen] if again else idx[:0], len(idx))


def facts(number: Cell) -> dict[str, list[str]]:
    """Return what is behind a number: files, models, commits, machines, and commands in the order of their runs."""
    nodes = [node for node in walk(number.table.inputs.values()) if node.record]
    files = sorted(((node.path, node.record) for node in nodes if node.record), key=lambda file: file[1].started)
    commands: dict[tuple[str, Path], list[str]] = {}
    for path, record in files:
        similar = commands.setdefault((record.verb, path.parent), [])
        if (command := f"accelerated-smoothing {shlex.join(record.command)}") not in similar:
            similar.append(command)
    commits = [record.commit for _, record in files if record.commit]
    lines = {
        "from": [relative(node.path) for node in number.table.inputs.values()],
        "models": [
            f"{relative(path)}: {record.about['kind']}, {record.about['arch']}"
            for path, record in files
            if path.suffix == ".safetensors"
        ],
        "commits": [commit.id + ("" if commit.clean else ", with changes") for commit in commits],
        "machines": [", ".join([*record.machine.values(), f"Python {record.python}"]) for _, record in files],
        "commands": [
            f"{similar[0]}  (and {len(similar) - 1} more in {relative(folder)})" if len(similar) > 1 else similar[0]
            for (_, folder), similar in commands.items()
        ],
    }
    return {name: list(dict.fromkeys(values)) for name, values in lines.items()}


def report(number: Cell) -> str:
    """Return a number and what is behind it, as text."""
    first = next(iter(number.table.inputs.values()))
    splits = [node.record.about.get("split") for node in (first, *first.inputs.values()) if node.record]
    split = next((f"{split} images" for split in splits if split), "images")
    value = f"{number.text}; {number.again} when made again" if number.text else "not defined for this row"
    lines = [f"{number.name}: {value}{_guarantee(number)}"]
    images = f"{len(number.idx)} of {number.images} {split}, from 0: {ranges(number.idx)}"
    for name, values in {"images": [images], **facts(number)}.items():
        for line in (f"  {name:9} {value}" for value in values):
            wrapped = textwrap.wrap(line, 110, subsequent_indent=" " * 12, break_on_hyphens=False)
            lines += wrapped if name != "commands" else [line]
    return "\n".join(lines)


def _guarantee(number: Cell) -> str:
    """Return the weakest guarantee of the radii behind a number, in words; "" if it comes from no radii."""
    logs = [pd.read_csv(node.path, sep="\t") for node in number.table.inputs.values() if node.path.suffix == ".tsv"]
    word = weakest(str(word) for log in logs if "radius" in log for word in log["guarantee"])
    return f"; {word}" if word else ""


def _place(table: pd.DataFrame, keys: list[str], text: str) -> tuple[int, str]:
    """Return the row and the column that a text names.

    Args:
        table: the CSV file as text.
        keys: the columns that name a row.
        text: of the flag --cell.

    Raises:
        InputError: the text names no column, no row, or several.
    """
    others = [str(name) for name in table if name not in keys]
    columns: list[str] = []
    rows = np.full(len(table), True)
    for part in text.split(","):
        name, _, value = part.strip().partition("=")
        if same := [column for column in others if _same(column.lower(), part.strip().lower())]:
            columns += same
        elif name in keys and value:
            rows &= np.array([_same(entry.lower(), value.strip().lower()) for entry in table[name]])
        else:
            example = ",".join(f"{key}={table[key].iloc[-1]}" for key in keys)
            raise InputError(
                f"--cell must name a column ({', '.join(others)}) and keys ({', '.join(keys)}) with their values, "
                f"such as {example},{others[-1]}, got {part.strip()!r}"
            )
    if len(columns) != 1:
        raise InputError(f"--cell must name one column of {', '.join(others)}, got {len(columns)} in {text!r}")
    if rows.sum() != 1:
        candidates = table[rows] if rows.any() else table
        rows_in_words = "; ".join(",".join(f"{key}={row[key]}" for key in keys) for _, row in candidates.iterrows())
        raise InputError(f"--cell must name one row of {rows_in_words}, got {rows.sum()} in {text!r}")
    return int(np.flatnonzero(rows)[0]), columns[0]


def _value(table: pd.DataFrame, keys: dict[str, str], column: str) -> tuple[Any, int]:
    """Return a cell of a table, and the position of its row.

    Raises:
        InputError: the table does not have the row.
    """
    for position, (_, row) in enumerate(table.iterrows()):
        if all(_same(str(row[key]), value) for key, value in keys.items()):
            return row[column], position
    wanted = ",".join(f"{key}={value}" for key, value in keys.items())
    raise InputError(f"--cell must name a row that the inputs give now, got {wanted}; build the table again")


def _same(one: str, other: str) -> bool:
    """Return whether two texts are equal, or equal numbers, which may follow the same `name=`."""
    (name, _, value), (other_name, _, other_value) = one.rpartition("="), other.rpartition("=")
    try:
        return name == other_name and float(value) == float(other_value)
    except ValueError:
        return one == other


def _images(path: Path) -> np.ndarray:
    """Return the positions of the images in certificates, counts or timings."""
    if path.suffix == ".npz":
        return counts.read(path).idx
    log = pd.read_csv(path, sep="\t")
    return log["idx"].to_numpy() if "idx" in log else log["image"].unique()


def ranges(idx: np.ndarray) -> str:
    """Return ascending numbers in short: `0 2-5 9`."""
    if not len(idx):
        return "none"
    runs = np.split(idx, np.flatnonzero(np.diff(idx) != 1) + 1)
    return " ".join(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs)
