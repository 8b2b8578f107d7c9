"""Table V: Table IV's mean over classes, as a share of N in percent (appendix IX-A)."""

import pandas as pd

from accelerated_smoothing import analysis
from accelerated_smoothing.papers.accelerated_smoothing import table4

TITLE = "Table V: mean variance of a class's count, in percent of N"
KEYS = ["sigma"]
SHARES: set[str] = set()
load = table4.load
resample = table4.resample


def make(repeats: table4.Repeats, settings: analysis.Settings) -> pd.DataFrame:
    """One row per sigma."""
    rows = []
    for sigma, counted in repeats.items():
        samples = counted.sum(axis=2).max()
        variance = table4.make({sigma: counted}, settings).drop(columns="sigma").to_numpy().mean()
        rows.append({"sigma": sigma, "variance": 100 * variance / samples})
    return pd.DataFrame(rows)
