"""Table III: under- and overestimation in short: some of Table VI's columns, side by side (section V-D)."""

import numpy as np
import pandas as pd

from accelerated_smoothing import analysis
from accelerated_smoothing.papers.accelerated_smoothing import table6

TITLE = "Table III: under- and overestimation of the certified radius, in short"
KEYS = ["sigma", "method"]
SHARES = {"under_share", "over_share"}
load = table6.load
resample = table6.resample


def make(logs: analysis.Logs, settings: analysis.Settings) -> pd.DataFrame:
    """One row per sigma and estimated method."""
    long = table6.make(logs, settings)
    sides = [
        long[long["side"] == side].set_index(KEYS)[["percentage_error", "gt_acr", "share"]].add_prefix(f"{side}_")
        for side in ("under", "over")
    ]
    return pd.concat(sides, axis=1).reset_index()


def behind(logs: analysis.Logs, settings: analysis.Settings, row: pd.Series, column: str) -> np.ndarray:
    """[images] which of them lie on the column's side."""
    return table6.behind(logs, settings, pd.concat([row, pd.Series({"side": column.partition("_")[0]})]), column)
