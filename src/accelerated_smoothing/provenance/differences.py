"""Why two files differ: which numbers do, and the first cause upstream."""

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from accelerated_smoothing import command
from accelerated_smoothing.errors import InputError
from accelerated_smoothing.files import describe, sha256
from accelerated_smoothing.provenance import audit, planned, records
from accelerated_smoothing.provenance.records import SUFFIX, Record, relative

MEASURED = {"time", "seconds"}  # columns and arrays that differ between any two runs
LABELS = {"label", "predict", "correct"}  # numbers that name a class


@dataclass
class Difference:
    """How two files differ.

    Attributes:
        numbers: one line for each column, array or other part that differs.
        measured: the same for measured times.
        causes: one line for each first difference upstream.
    """

    numbers: list[str] = field(default_factory=list)
    measured: list[str] = field(default_factory=list)
    causes: list[str] = field(default_factory=list)


def compare(a: Path, b: Path) -> Difference:
    """Compare the contents of two files, number by number where they hold numbers.

    Raises:
        InputError: one of them is missing or broken.
    """
    for path in (a, b):
        if not path.is_file():
            raise InputError(f"{path}: no such file; name two results folders or two files")
    difference = Difference()
    if sha256(a) == sha256(b):
        return difference
    parts = _parts(a), _parts(b)
    for name in dict.fromkeys([*parts[0], *parts[1]]):
        if text := _differ(parts[0].get(name), parts[1].get(name), measures=name not in LABELS):
            lines = difference.measured if name in MEASURED else difference.numbers
            lines.append(f"{name}: {text}" if name else text)
    if not difference.numbers and not difference.measured:
        difference.measured.append("the same numbers, compressed differently")
    return difference


def _parts(path: Path) -> dict[str, Any]:
    """Return the contents of a file by name: columns, arrays, all weights together, or its bytes.

    Raises:
        InputError: it cannot be read.
    """
    about = {name: np.array([json.dumps(value)]) for name, value in describe(path).items()}
    try:
        if path.suffix in (".csv", ".tsv"):
            import pandas as pd

            table = pd.read_csv(path, sep="\t" if path.suffix == ".tsv" else ",")
            return {str(column): table[column].to_numpy() for column in table}
        if path.suffix == ".npz":
            with np.load(path, allow_pickle=False) as stored:
                return {**{name: stored[name] for name in stored.files if name != "meta"}, **about}
        if path.suffix == ".safetensors":
            from safetensors.numpy import load_file

            return {"weights": np.concatenate([tensor.ravel() for tensor in load_file(path).values()]), **about}
        return {"": path.read_bytes()}
    except Exception as error:  # each library has its own for a broken file
        raise InputError(f"{path}: cannot be read ({error}); build it again") from error


def _differ(one: Any, two: Any, measures: bool) -> str:
    """Return how two parts differ, or "". `measures` says whether the difference of two values means something."""
    if one is None or two is None:
        return f"only in the {'first' if two is None else 'second'}"
    if isinstance(one, bytes):
        return "" if one == two else f"other content, {len(one)} and {len(two)} bytes"
    if one.shape != two.shape:
        return f"of shape {list(one.shape)} and {list(two.shape)}"
    both_missing = (one != one) & (two != two)  # NaN
    unequal = np.asarray((one != two) & ~both_missing)
    if not unequal.any():
        return ""
    first = np.unravel_index(int(unequal.argmax()), unequal.shape)
    where = f"line {first[0] + 2}" if len(first) == 1 else f"{list(map(int, first))}"
    values = [
        f"{value:.6g}" if isinstance(value, float | np.floating) else str(value) for value in (one[first], two[first])
    ]
    text = f"{unequal.sum()} of {unequal.size} differ, first in {where}: {values[0]} and {values[1]}"
    if measures and np.issubdtype(one.dtype, np.number) and np.issubdtype(two.dtype, np.number):
        apart = np.abs(one[unequal].astype(float) - two[unequal].astype(float))
        if np.isfinite(apart).any():
            text += f", at most {apart[np.isfinite(apart)].max():.6g} apart"
    return text


def explain(a: Path, b: Path) -> Difference:
    """Compare two files, and find the first differences upstream."""
    seen: dict[tuple[Path, Path], Difference] = {}

    def visit(a: Path, b: Path) -> Difference:
        if (a, b) not in seen:
            difference = seen[a, b] = compare(a, b)
            if difference.numbers or difference.measured:
                difference.causes = list(dict.fromkeys(_causes(a, b, difference, visit)))
        return seen[a, b]

    return visit(a, b)


def _causes(a: Path, b: Path, difference: Difference, visit: Callable[[Path, Path], Difference]) -> list[str]:
    """Return what explains a difference: differences of inputs, else those of the making itself."""
    try:
        one, two = records.read(a), records.read(b)
    except InputError as error:
        return [str(error)]
    if altered := [path for path, record in ((a, one), (b, two)) if sha256(path) != record.sha256]:
        return [f"{relative(path)}: changed since it was made" for path in altered]
    lost, above = [], []
    first, second = _placed(one), _placed(two)
    for place in [place for place in first if place in second]:
        names = first[place], second[place]
        if one.inputs[names[0]].sha256 == two.inputs[names[1]].sha256:
            continue
        below = audit.find(a, one, names[0]), audit.find(b, two, names[1])
        if below[0] is None or below[1] is None:
            lost.append(f"{place}: differs; the file is missing, so the cause is unknown")
        elif one.inputs[names[0]].recorded:
            above.append(visit(below[0], below[1]))
        else:
            lost.append(f"{place}: another file")
    decisive = [cause for upstream in above if upstream.numbers for cause in upstream.causes]
    name = relative(a.with_name(Path(planned.output(one.arguments)).name))  # one name for all files of a command
    own = [f"{name}: {text}" for text in _own(one, two, first, second)]
    measured = [cause for upstream in above for cause in upstream.causes]
    if measured and not (decisive or lost or own) and command.verb(one.verb).shows:
        difference.measured, difference.numbers = difference.measured + difference.numbers, []
    again = command.verb(one.verb).measures or not difference.numbers
    cause = f"{name}: {'times were measured again' if again else 'the records show no cause'}"
    return decisive + lost or own or measured or [cause]


def _placed(record: Record) -> dict[str, str]:
    """Return the names of inputs by their place relative to the file; files that no verb makes by their own name."""
    folder = Path(record.file).parent
    return {os.path.relpath(name, folder) if known.recorded else name: name for name, known in record.inputs.items()}


def _own(one: Record, two: Record, first: dict[str, str], second: dict[str, str]) -> Iterator[str]:
    """Yield what differs in the making of two files, other than the contents of their inputs."""
    if first.keys() != second.keys():
        only = [place for place in first if place not in second], [place for place in second if place not in first]
        yield f"made from other files: {', '.join(only[0]) or 'none'} and {', '.join(only[1]) or 'none'}"
    for name in sorted((one.arguments.keys() | two.arguments.keys()) - _untracked(one)):
        before, after = _in_place(one, one.arguments.get(name)), _in_place(two, two.arguments.get(name))
        if before != after:
            yield "--{} {} and {}".format(name, *audit.contrast(before, after))
    for what in ("code", "packages", "machine"):
        old, new = getattr(one, what), getattr(two, what)
        for name in sorted((old.keys() | new.keys()) - {"host"}):
            if old.get(name) != new.get(name):
                yield f"{what} {name}" + (" differs" if what == "code" else f" {old.get(name)} and {new.get(name)}")
    for what in ("python", "lock"):
        if getattr(one, what) != getattr(two, what):
            yield f"{what} {getattr(one, what)} and {getattr(two, what)}"


def _untracked(record: Record) -> set[str]:
    """Return the names of arguments that change the speed only."""
    call = command.parse(record.command)
    return set(call.arguments.untracked) if call else set()


def _in_place(record: Record, value: Any) -> Any:
    """Return a value of a record's arguments without the inputs, which are compared as files."""
    if isinstance(value, list):
        return [item for item in value if str(item) not in record.inputs]
    if isinstance(value, str) and (value in record.inputs or Path(value).parent == Path(record.file).parent):
        return None
    return value


def report(a: Path, b: Path) -> tuple[str, bool]:
    """Return what differs between two files, or two results folders, and whether anything but times does.

    Raises:
        InputError: one is missing, or they have no file in common.
    """
    absent: list[str] = []
    if a.is_dir() and b.is_dir():
        names = _built(a), _built(b)
        for folder, only in ((a, names[0] - names[1]), (b, names[1] - names[0])):
            if only:
                more = f" and {len(only) - 3} more" if len(only) > 3 else ""
                absent.append(f"only in {relative(folder)}: {', '.join(sorted(only)[:3])}{more}")
        pairs = [(a / name, b / name) for name in sorted(names[0] & names[1], key=lambda name: (name.count("/"), name))]
        if not pairs:
            raise InputError(f"A and B must be two results folders with a file in common, got {a} and {b}")
    elif a.is_dir() or b.is_dir():
        raise InputError(f"A and B must be two results folders or two files, got {a} and {b}")
    else:
        pairs = [(a, b)]
    lines: list[str] = []
    differing = same = measured = 0
    causes: dict[str, None] = {}
    for one, two in pairs:
        difference = explain(one, two)
        same += not (difference.numbers or difference.measured)
        measured += bool(difference.measured and not difference.numbers)
        if difference.numbers:
            differing += 1
            lines += [f"{relative(one)} and {relative(two)}", *(f"  {text}" for text in difference.numbers)]
            causes |= dict.fromkeys(difference.causes)
    if causes:
        lines = ["differs first:", *(f"  {cause}" for cause in causes), "and so:", *lines]
    lines += [*absent, f"files that differ: {differing}; in measured times alone: {measured}; the same: {same}"]
    return "\n".join(lines), bool(differing or absent)


def _built(folder: Path) -> set[str]:
    """Return the files that have records, by their names within a folder."""
    files = (path.with_name(path.name.removesuffix(SUFFIX)) for path in folder.rglob(f"*{SUFFIX}"))
    return {path.relative_to(folder).as_posix() for path in files if path.is_file()}
