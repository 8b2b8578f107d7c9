"""Table 5: Accelerated Smoothing of other base classifiers, which its paper leaves to future work; no paper's table."""

from pathlib import Path

import numpy as np
import pandas as pd

from accelerated_smoothing import analysis
from accelerated_smoothing.errors import InputError
from accelerated_smoothing.papers import data_dependent
from accelerated_smoothing.papers.accelerated_smoothing import table1

TITLE = "Table 5: surrogates of other base classifiers, certified accuracy at radius r (l1 for yang, else l2), and ACR"
KEYS = ["base", *table1.KEYS]
SHARES = table1.SHARES
BASES = ["smoothadv", "macer", "yang"]
METHODS = ["cohen", "baseline", "resnet"]


def load(inputs: list[Path]) -> analysis.Logs:
    """Logs of some bases, each with the sampled one.

    Raises:
        InputError: as `data_dependent.read_logs`, or a base without what its estimates are held against.
    """
    logs = data_dependent.read_logs(inputs, {(base, method) for base in BASES for method in METHODS})
    for sigma, key in logs:
        base = key.partition("/")[0]
        if (sigma, f"{base}/cohen") not in logs:
            raise InputError(f"no log of {base}/cohen at sigma {sigma}, to hold {key} against; pass it too")
    return logs


def make(logs: analysis.Logs, settings: analysis.Settings) -> pd.DataFrame:
    """One row per base, sigma and method, as in the main paper's Table I."""
    parts = []
    for base in dict.fromkeys(key.partition("/")[0] for _, key in logs):
        part = table1.make(_of(logs, base), settings)
        part.insert(0, "base", base)
        parts.append(part)
    return pd.concat(parts, ignore_index=True)


def behind(logs: analysis.Logs, settings: analysis.Settings, row: pd.Series, column: str) -> np.ndarray:
    """[images] which of them a share counts, or ACR sums over."""
    return table1.behind(_of(logs, row["base"]), settings, row, column)


def _of(logs: analysis.Logs, base: str) -> analysis.Logs:
    """The logs of one base, by sigma and method."""
    return {(sigma, key.partition("/")[2]): log for (sigma, key), log in logs.items() if key.startswith(f"{base}/")}


resample = analysis.resample_logs
