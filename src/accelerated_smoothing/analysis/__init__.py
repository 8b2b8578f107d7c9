"""Tables and figures, one file each, from certificates, counts and timings; nothing here loads a model.

A table is a module with

- `KEYS`: the columns that name a row;
- `SHARES`: the columns that are shares of the test set, in [0, 1];
- `FILES`, where not any number of inputs will do: how many;
- `load(inputs)`: its data;
- `make(data, settings)`: the table;
- `resample(data, random)`: the data of one bootstrap replicate, for the sampling error of each number;
- `behind(data, settings, row, column)`, where a number comes from some of the images only: [images] which of them.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from accelerated_smoothing import certify
from accelerated_smoothing.errors import InputError

Logs = dict[tuple[float, str], pd.DataFrame]


@dataclass(frozen=True)
class Settings:
    """What tables and figures are told.

    Attributes:
        radii: at which certified accuracy is listed, in [0,1] pixels.
        reference: the method that estimates are held against.
        error_radius: the error analysis takes images with both radii at least this.
    """

    radii: list[float] = field(default_factory=lambda: [0.25, 0.5, 0.75, 1.0, 1.25, 1.5])
    reference: str = "cohen"
    error_radius: float = 0.25


def certified(log: pd.DataFrame, r: float) -> np.ndarray:
    """[images] whether each is classified correctly with a radius of at least r."""
    return (log["correct"].to_numpy() == 1) & (log["radius"].to_numpy() >= r)


def certified_accuracy(log: pd.DataFrame, radii: list[float]) -> np.ndarray:
    """The share of images that are classified correctly with a radius of at least r, for each r (section V-B)."""
    return np.array([certified(log, r).mean() for r in radii])


def average_certified_radius(log: pd.DataFrame) -> float:
    """ACR: the mean over all images of the radius, 0 where the prediction is wrong or missing (Zhai et al. 2020)."""
    return float((log["radius"] * log["correct"]).mean())


def exceeds(log: pd.DataFrame, reference: pd.DataFrame) -> np.ndarray:
    """[images] whether the radius of each is larger than the one that the reference method certifies."""
    return log["radius"].to_numpy() > reference["radius"].to_numpy()


def guarantee(log: pd.DataFrame) -> str:
    """What the radii of a log are: deterministic, sound, memory or estimated.

    "deterministic" holds with certainty, "sound" with probability 1 - alpha. "memory" holds of the memory-enhanced
    classifier only, whose answers depend on what it was asked before: an input-dependent sigma by itself certifies
    nothing (Sukenik et al. 2021). "estimated" is a guess.
    """
    if log["sound"].all():
        return "sound" if log["alpha"].any() else "deterministic"
    return "memory" if "case" in log else "estimated"


def read_logs(paths: list[Path], method: Callable[[Path], str] = lambda path: path.stem) -> Logs:
    """Certificates by (sigma, method). All must be of the same images.

    Args:
        method: of a path; else the file's name. Sigma is the training's where every image has its own.

    Raises:
        InputError: a broken log, or logs of different images.
    """
    logs: Logs = {}
    for path in paths:
        log = certify.read(path)
        for column in ("sigma", "n", "alpha", "sound"):
            if column not in log:
                raise InputError(f"{path}: has no column {column!r}; tables are made from our own logs")
        key = float(log["sigma0" if "sigma0" in log else "sigma"].iloc[0]), method(path)
        if key in logs:
            raise InputError(f"{path}: a second log of {key[1]} at sigma {key[0]}; pass each once")
        logs[key] = log
        first = next(iter(logs.values()))
        if not np.array_equal(first["idx"], log["idx"]):
            raise InputError(f"{path}: is of other images than {paths[0]}; compare the same images only")
    return logs


def resample_logs(logs: Logs, random: np.random.Generator) -> Logs:
    """The same bootstrap sample of images from every log."""
    images = len(next(iter(logs.values())))
    rows = random.integers(images, size=images)
    return {key: log.iloc[rows].reset_index(drop=True) for key, log in logs.items()}


def index_set(idx: np.ndarray) -> str:
    """Which images a figure or a table speaks of, in words."""
    idx = np.asarray(idx)
    steps = np.unique(np.diff(idx))
    if len(steps) > 1:
        return f"{len(idx)} images between {idx[0]} and {idx[-1]}"
    step = f", every {steps[0]}th" if len(steps) and steps[0] > 1 else ""
    return f"{len(idx)} images, {idx[0]} to {idx[-1]}{step}"


def cell(column: str, value: object, shares: set[str], keys: list[str]) -> str:
    """A value for people: shares in percent, other numbers to four digits, - where there is none."""
    if isinstance(value, float) and np.isnan(value):
        return "-"
    if column in shares:
        return f"{100 * float(value):.1f}%"  # type: ignore[arg-type]
    if isinstance(value, float) and column not in keys:
        return f"{value:.4g}"
    return str(value)


def markdown(table: pd.DataFrame, shares: set[str], keys: list[str]) -> str:
    """A table for people, aligned; what each number was chosen from is left to the CSV."""
    table = table[[column for column in table if not str(column).startswith("choice ")]]
    cells = [
        list(table.columns),
        *([cell(str(c), v, shares, keys) for c, v in zip(table, row, strict=True)] for row in table.to_numpy(object)),
    ]
    widths = [max(len(row[i]) for row in cells) for i in range(len(table.columns))]
    lines = [
        "| " + " | ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)) + " |" for row in cells
    ]
    return "\n".join([lines[0], "|" + "|".join("-" * (width + 2) for width in widths) + "|", *lines[1:]]) + "\n"
