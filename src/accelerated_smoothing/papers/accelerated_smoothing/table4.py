"""Table IV: variance of the class counts when the same images are sampled repeatedly (appendix IX-A)."""

from pathlib import Path

import numpy as np
import pandas as pd

from accelerated_smoothing import analysis
from accelerated_smoothing.counting import counts
from accelerated_smoothing.errors import InputError

TITLE = "Table IV: variance of each class's count over repeated sampling, mean over images"
KEYS = ["sigma"]
SHARES: set[str] = set()
Repeats = dict[float, np.ndarray]


def load(inputs: list[Path]) -> Repeats:
    """Counts [images, repeats, classes] by sigma, from runs whose nested sizes are the ends of the repeats."""
    repeats = {}
    for path in inputs:
        counted = counts.read(path)
        if counted.meta["purpose"] != "variance":
            raise InputError(f"{path}: holds draws for {counted.meta['purpose']}; count with --purpose variance")
        repeats[counted.sigma] = np.diff(counted.counts, axis=1, prepend=0)
    return repeats


def make(repeats: Repeats, settings: analysis.Settings) -> pd.DataFrame:
    """One row per sigma, one column per class."""
    rows = []
    for sigma, counted in repeats.items():
        variance = counted.var(axis=1, ddof=1).mean(axis=0)
        rows.append({"sigma": sigma, **{f"class{c}": value for c, value in enumerate(variance)}})
    return pd.DataFrame(rows)


def resample(repeats: Repeats, random: np.random.Generator) -> Repeats:
    """Bootstrap the images."""
    return {sigma: counted[random.integers(len(counted), size=len(counted))] for sigma, counted in repeats.items()}
