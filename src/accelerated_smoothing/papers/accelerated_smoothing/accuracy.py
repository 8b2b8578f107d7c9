"""Table I: certified accuracy and ACR of every method at every noise level."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from accelerated_smoothing import analysis
from accelerated_smoothing.analysis.items import Table
from accelerated_smoothing.papers.accelerated_smoothing import caption, comparable

KEYS = ["sigma", "method"]
SHARES = frozenset({"exceeds"})


def load(paths: Sequence[Path]) -> pd.DataFrame:
    """Read certificates of one experiment."""
    return analysis.check_one_experiment(analysis.read_logs(paths))


def make(logs: pd.DataFrame, settings: analysis.Settings) -> pd.DataFrame:
    """Return one row per sigma and method.

    `exceeds` is the share of images whose estimated radius is larger than the one that the reference method certifies.
    It stands in rows whose `guarantee` is "estimated".
    """
    groups, rows = analysis.groups(logs), []
    for key, log in groups.items():
        reference = analysis.reference(groups, key, settings.reference)
        exceeds = np.nan
        if analysis.guarantee(log) == "estimated" and reference is not None:
            exceeds = float(analysis.exceeds(log, reference).mean())
        accuracy = analysis.certified_accuracy(log, settings.radii)
        rows.append(
            {
                "sigma": key.sigma,
                "method": key.method,
                "N": int(log["n"].iloc[0]),
                "guarantee": analysis.guarantee(log),
                **{f"r={r:g}": share for r, share in zip(settings.radii, accuracy, strict=True)},
                "ACR": analysis.average_certified_radius(log),
                "exceeds": exceeds,
            }
        )
    return pd.DataFrame(rows)


def behind(logs: pd.DataFrame, settings: analysis.Settings, row: pd.Series, column: str) -> np.ndarray:
    """Return which images a share counts, or ACR sums over, [images]."""
    log = analysis.one(logs, row["sigma"], row["method"])
    if column.startswith("r="):
        return analysis.certified(log, float(column.removeprefix("r=")))
    if column == "exceeds":
        return analysis.exceeds(log, analysis.one(logs, row["sigma"], settings.reference))
    if column == "ACR":
        return analysis.certified(log, np.nextafter(0, 1))
    return np.full(len(log), True)


TABLES = {
    "table1": Table(
        note="Shares of images that are classified correctly with a radius of at least r, in pixels of [0, 1]. ACR is "
        "the mean radius, with 0 for wrong or missing predictions.",
        title="Table I: certified accuracy at radius r, and average certified radius (ACR)",
        keys=KEYS,
        shares=SHARES,
        inputs=lambda run: run.certificates(),
        load=load,
        make=make,
        resample=analysis.resample_logs,
        behind=behind,
        caption=caption,
        comparable=comparable,
        reported="table1.csv",
    )
}
