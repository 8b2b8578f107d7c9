"""Tables 1 to 4: the best of several settings, each a training sigma and a number K of steps (sections 4.1 to 4.4).

The best setting is chosen on the images on which it is then evaluated, as in the paper, so the numbers are optimistic.

Three numbers can be called the ACR of several settings. `ACR` is that of the best setting; one classifier attains it.
`ACR_envelope` is the area under the envelope of all curves; a different setting may attain each radius. `ACR_oracle` is
the mean over the images of each image's best radius; this takes a setting per image and needs the label, so no
classifier attains it.
"""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from accelerated_smoothing import analysis
from accelerated_smoothing.analysis.items import Table
from accelerated_smoothing.config.run import Run
from accelerated_smoothing.errors import InputError
from accelerated_smoothing.papers import data_dependent

Rows = dict[tuple[str, ...], tuple[str, str]]  # experiment and kind of method, by the keys of a row
YANG: Rows = {("YANG",): ("yang", "cohen"), ("YANG-DS",): ("yang", "ascent")}


def rows_of(experiment: str) -> Rows:
    """Return the rows of Tables 1 to 3: FS or DS to train, FS or DS to certify."""
    return {
        ("FS", "FS"): (experiment, "cohen"),
        ("FS", "DS"): (experiment, "ascent"),
        ("DS", "DS"): (f"{experiment}-ds", "ascent"),
    }


def wanted(rows: Rows) -> dict[str, list[str]]:
    """Return the kinds of methods by experiment that rows are made from."""
    kinds: dict[str, list[str]] = {}
    for experiment, kind in rows.values():
        kinds.setdefault(experiment, []).append(kind)
    return kinds


def inputs(run: Run, rows: Rows) -> list[str]:
    """Return the certificates that rows are made from."""
    return data_dependent.inputs(run, wanted(rows))


def load(paths: Sequence[Path], rows: Rows) -> pd.DataFrame:
    """Read the logs of all rows.

    Raises:
        InputError: as `data_dependent.read_logs`, or a row has no log.
    """
    logs = data_dependent.read_logs(paths, wanted(rows))
    for experiment, kind in rows.values():
        if not data_dependent.settings(logs, experiment, kind):
            raise InputError(f"the certificates must include {experiment} by {kind}, got none of these")
    return logs


def make(logs: pd.DataFrame, settings: analysis.Settings, rows: Rows, keys: list[str]) -> pd.DataFrame:
    """Return one row per entry of `rows`.

    The columns `choice ...` name the setting of a number above 0; of equally good settings, the first.
    """
    lines = []
    for names, (experiment, kind) in rows.items():
        by_setting = data_dependent.settings(logs, experiment, kind)
        if not by_setting:
            continue
        several = list(by_setting.values())
        accuracy = np.array([analysis.certified_accuracy(log, settings.radii) for log in several])
        acr = np.array([analysis.average_certified_radius(log) for log in several])
        radii, best = envelope(several)
        columns = [f"r={r:g}" for r in settings.radii]
        choices = {
            f"choice {column}": data_dependent.words(*list(by_setting)[values.argmax()]) if values.max() else ""
            for column, values in zip([*columns, "ACR"], [*accuracy.T, acr], strict=True)
        }
        lines.append(
            {
                **dict(zip(keys, names, strict=True)),
                "guarantee": analysis.guarantee(several[0]),
                **dict(zip(columns, accuracy.max(axis=0), strict=True)),
                "ACR": acr.max(),
                "ACR_envelope": float(np.diff(radii) @ best[1:]),
                "ACR_oracle": float(_reached(several).max(axis=0).clip(min=0).mean()),
                **choices,
            }
        )
    return pd.DataFrame(lines)


def behind(
    logs: pd.DataFrame, settings: analysis.Settings, row: pd.Series, column: str, rows: Rows, keys: list[str]
) -> np.ndarray:
    """Return which images a share counts, or an ACR sums over, [images].

    The envelope and the oracle depend on all settings.
    """
    by_setting = data_dependent.settings(logs, *rows[tuple(row[keys])])
    r = float(column.removeprefix("r=")) if column.startswith("r=") else np.nextafter(0, 1)
    if column.startswith(("choice", "guarantee")):
        return np.full(len(next(iter(by_setting.values()))), True)
    chosen = [log for key, log in by_setting.items() if data_dependent.words(*key) == row.get(f"choice {column}")]
    return np.any(_reached(chosen or list(by_setting.values())) >= r, axis=0)


def envelope(logs: list[pd.DataFrame]) -> tuple[np.ndarray, np.ndarray]:
    """Return the best certified accuracy of any log at each radius, as steps.

    Returns:
        radii: [steps] 0, every radius up to which an accuracy is the best, and one just above the largest of them.
        best: [steps] the accuracy at each radius, and between it and the one before.
    """
    reached = _reached(logs)
    steps = np.unique(reached[reached > 0])
    radii = np.concatenate([[0.0], steps, [np.nextafter(max(steps, default=0.0), np.inf)]])
    below = np.array([np.searchsorted(np.sort(one), radii) for one in reached])
    best = 1 - below.min(axis=0) / reached.shape[1]
    falls = np.concatenate([[True], best[1:-1] != best[2:], [True]])  # not every step of a curve is one of the envelope
    return radii[falls], best[falls]


def _reached(logs: list[pd.DataFrame]) -> np.ndarray:
    """Return the radius up to which each image is certified correctly, -1 for none, [logs, images]."""
    return np.array([np.where(log["correct"] == 1, log["radius"], -1.0) for log in logs])


def _table(title: str, keys: list[str], rows: Rows, reported: str, reported_imagenet: str | None = None) -> Table:
    return Table(
        note="Each number uses its best setting: a noise level of the training and a number K of steps. The ACR "
        "envelope takes the best setting at each radius, the ACR oracle the best for each image. FS certifies with "
        "the noise level of the training, DS with one for each image, so the radii of DS hold for the memory-enhanced "
        "classifier only.",
        title=title,
        keys=keys,
        inputs=partial(inputs, rows=rows),
        load=partial(load, rows=rows),
        make=partial(make, rows=rows, keys=keys),
        resample=analysis.resample_logs,
        behind=partial(behind, rows=rows, keys=keys),
        caption=data_dependent.caption,
        comparable=data_dependent.comparable,
        reported=reported,
        reported_imagenet=reported_imagenet,
    )


TABLES = {
    "table1": _table(
        f"Table 1 of {data_dependent.NAME}: best certified accuracy at radius r, and ACR, over sigma and K, Cohen",
        ["train", "certify"],
        rows_of("cohen"),
        "data-dependent/table1.csv",
        "data-dependent/table1_imagenet.csv",
    ),
    "table2": _table(
        f"Table 2 of {data_dependent.NAME}: best certified accuracy at radius r, and ACR, over sigma and K, SmoothAdv",
        ["train", "certify"],
        rows_of("smoothadv"),
        "data-dependent/table2.csv",
        "data-dependent/table2_imagenet.csv",
    ),
    "table3": _table(
        f"Table 3 of {data_dependent.NAME}: best certified accuracy at radius r, and ACR, over sigma and K, MACER",
        ["train", "certify"],
        rows_of("macer"),
        "data-dependent/table3.csv",
    ),
    "table4": _table(
        f"Table 4 of {data_dependent.NAME}: best certified accuracy at l1 radius r, and ACR, over sigma and K, Yang",
        ["method"],
        YANG,
        "data-dependent/table4.csv",
        "data-dependent/table4_imagenet.csv",
    ),
}
