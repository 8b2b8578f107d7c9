"""Certificates as one tidy table, and the numbers that follow from them; nothing here loads a model.

A row is an image under one certificate. Certificates are told apart by the columns experiment, sigma0 and method
(`Key`), never by the path of their file.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from accelerated_smoothing.certify.log import IDENTITY, read
from accelerated_smoothing.errors import InputError


@dataclass(frozen=True)
class Settings:
    """Settings of tables and figures.

    Attributes:
        radii: radii at which certified accuracy is listed, in pixels of [0, 1].
        reference: the method that estimates are compared with.
        error_radius: the error analysis uses images with both radii at least this large.
    """

    radii: list[float] = field(default_factory=lambda: [0.25, 0.5, 0.75, 1.0, 1.25, 1.5])
    reference: str = "cohen"
    error_radius: float = 0.25


class Key(NamedTuple):
    """What a log is about: experiment, noise level of the training, and method."""

    experiment: str
    sigma: float
    method: str


KEY = ["experiment", "sigma0", "method"]
Groups = dict[Key, pd.DataFrame]


def read_logs(paths: Sequence[Path]) -> pd.DataFrame:
    """Read certificates into one table, log after log. All must be of the same images, in the same order.

    Returns:
        All rows of all logs, with the columns of the logs.

    Raises:
        InputError: a broken log, two logs with one key, or logs of different images.
    """
    logs: Groups = {}
    for path in paths:
        log = read(path)
        for column in [*IDENTITY, "sigma0", "n", "alpha"]:
            if column not in log:
                raise InputError(f"{path} must have the column {column!r}; use logs that the verb certify wrote")
        for column in [*KEY, "guarantee"]:
            if log[column].nunique() > 1:
                values = ", ".join(map(str, log[column].unique()))
                raise InputError(f"{path} must have one value of {column}, got {values}")
        key = _key(log[KEY].iloc[0])
        if key in logs:
            raise InputError(f"{path} must not be a second log of {words(key)}; pass each log once")
        logs[key] = log
        first = next(iter(logs.values()))
        if not np.array_equal(first["idx"], log["idx"]):
            raise InputError(f"{path} must be of the images of {paths[0]}, got others")
    return (
        pd.concat(logs.values(), ignore_index=True)
        if logs
        else pd.DataFrame(columns=list(dict.fromkeys([*IDENTITY, *KEY])))
    )


def groups(logs: pd.DataFrame) -> Groups:
    """Return the single logs of a table by their keys, in order of appearance."""
    return {_key(key): log.reset_index(drop=True) for key, log in logs.groupby(KEY, sort=False)}


def one(logs: pd.DataFrame, sigma: float, method: str) -> pd.DataFrame:
    """Return the log at a noise level by a method, from logs of one experiment."""
    return logs[(logs["sigma0"] == sigma) & (logs["method"] == method)].reset_index(drop=True)


def reference(logs: Groups, key: Key, method: str) -> pd.DataFrame | None:
    """Return the log by another method of the same experiment and noise level, if there is one."""
    return logs.get(key._replace(method=method))


def words(key: Key) -> str:
    """Return a key for people: `cohen at sigma 0.25 of main`."""
    return f"{key.method} at sigma {key.sigma:g} of {key.experiment}"


def _key(values: Any) -> Key:
    experiment, sigma, method = values
    return Key(experiment, float(sigma), method)  # a plain float, in words and in CSV files


def check_one_experiment(logs: pd.DataFrame) -> pd.DataFrame:
    """Return the logs.

    Raises:
        InputError: they are of several experiments.
    """
    experiments = logs["experiment"].unique()
    if len(experiments) > 1:
        raise InputError(f"the certificates must be of one experiment, got {', '.join(experiments)}")
    return logs


def resample_logs(logs: pd.DataFrame, random: np.random.Generator) -> pd.DataFrame:
    """Draw a bootstrap sample of the images, the same for every log of `read_logs`."""
    images = logs["idx"].nunique()
    return take(logs, random.integers(images, size=images))


def take(logs: pd.DataFrame, rows: np.ndarray) -> pd.DataFrame:
    """Return some rows of each log.

    Args:
        logs: of `read_logs`, so that each log is a run of rows with the same images in the same order.
        rows: positions in each log, in the order of the result.
    """
    starts = np.arange(0, len(logs), logs["idx"].nunique())
    return logs.iloc[(starts[:, None] + rows).ravel()].reset_index(drop=True)


def guarantee(log: pd.DataFrame) -> str:
    """Return the guarantee of one log."""
    return str(log["guarantee"].iloc[0])


def certified(log: pd.DataFrame, r: float) -> np.ndarray:
    """Return whether each image is classified correctly with a radius of at least r, [images]."""
    return (log["correct"].to_numpy() == 1) & (log["radius"].to_numpy() >= r)


def certified_accuracy(log: pd.DataFrame, radii: Sequence[float]) -> np.ndarray:
    """Return the share of images classified correctly with a radius of at least r, for each r (section V-B)."""
    return np.array([certified(log, r).mean() for r in radii])


def average_certified_radius(log: pd.DataFrame) -> float:
    """Return the ACR: the mean radius over all images, 0 where the prediction is not correct (Zhai et al. 2020)."""
    return float((log["radius"] * log["correct"]).mean())


def exceeds(log: pd.DataFrame, reference: pd.DataFrame) -> np.ndarray:
    """Return whether the radius of each image is larger than the one that the reference certifies, [images]."""
    return log["radius"].to_numpy() > reference["radius"].to_numpy()


def curve(log: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Return certified accuracy as a step curve.

    Returns:
        radii: 0, every radius at which the accuracy changes, and one just above the largest of them.
        accuracy: at each radius; it is 0 at the last.
    """
    steps = np.unique(log.loc[log["correct"] == 1, "radius"])
    radii = np.concatenate([[0.0], steps, [np.nextafter(max(steps, default=0.0), np.inf)]])
    return radii, certified_accuracy(log, list(radii))


def index_set(idx: np.ndarray) -> str:
    """Return the images of a table or figure in words: `500 images, 0 to 9980 in steps of 20`."""
    idx = np.asarray(idx)
    steps = np.unique(np.diff(idx))
    if len(steps) > 1:
        return f"{len(idx)} images between {idx[0]} and {idx[-1]}"
    step = f" in steps of {steps[0]}" if len(steps) and steps[0] > 1 else ""
    return f"{len(idx)} images, {idx[0]} to {idx[-1]}{step}"


def cell(column: str, value: object, shares: set[str], keys: list[str]) -> str:
    """Return a value for people: shares in percent, other numbers with four digits, - where there is none."""
    if isinstance(value, float) and np.isnan(value):
        return "-"
    if column in shares:
        return f"{100 * float(value):.1f}%"  # type: ignore[arg-type]
    if isinstance(value, float) and column not in keys:
        return f"{value:.4g}"
    return str(value)


def markdown(table: pd.DataFrame, shares: set[str], keys: list[str]) -> str:
    """Return a table for people, aligned. The columns `choice ...` are in the CSV only."""
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
