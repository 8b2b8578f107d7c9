"""Table I: certified accuracy and ACR of every method at every noise level."""

from pathlib import Path

import numpy as np
import pandas as pd

from accelerated_smoothing import analysis

TITLE = "Table I: certified accuracy at radius r, and average certified radius (ACR)"
KEYS = ["sigma", "method"]
SHARES = {"exceeds"}  # and each r=...


def load(inputs: list[Path]) -> analysis.Logs:
    return analysis.read_logs(inputs)


def make(logs: analysis.Logs, settings: analysis.Settings) -> pd.DataFrame:
    """One row per sigma and method.

    `guarantee` tells sound radii from estimated ones; `exceeds` is the share of images whose estimated radius is
    larger than the one that the reference method certifies from its samples.
    """
    rows = []
    for (sigma, method), log in logs.items():
        reference = logs.get((sigma, settings.reference))
        exceeds = np.nan
        if analysis.guarantee(log) == "estimated" and reference is not None:
            exceeds = float(analysis.exceeds(log, reference).mean())
        accuracy = analysis.certified_accuracy(log, settings.radii)
        rows.append(
            {
                "sigma": sigma,
                "method": method,
                "N": int(log["n"].iloc[0]),
                "guarantee": analysis.guarantee(log),
                **{f"r={r:g}": share for r, share in zip(settings.radii, accuracy, strict=True)},
                "ACR": analysis.average_certified_radius(log),
                "exceeds": exceeds,
            }
        )
    return pd.DataFrame(rows)


def behind(logs: analysis.Logs, settings: analysis.Settings, row: pd.Series, column: str) -> np.ndarray:
    """[images] which of them a share counts, or ACR sums over."""
    log = logs[row["sigma"], row["method"]]
    if column.startswith("r="):
        return analysis.certified(log, float(column.removeprefix("r=")))
    if column == "exceeds":
        return analysis.exceeds(log, logs[row["sigma"], settings.reference])
    if column == "ACR":
        return analysis.certified(log, np.nextafter(0, 1))
    return np.full(len(log), True)


resample = analysis.resample_logs
