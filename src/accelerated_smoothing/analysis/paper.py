"""Ours beside the paper's: each reported number, the one built here, and whether they agree."""

from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd

from accelerated_smoothing import analysis
from accelerated_smoothing.config import Comparison

REPLICATES = 200  # bootstrap replicates: the standard error's own error is then about 5 %
QUANTILE = 1.96  # 95 % of a normal distribution


def compare(
    table: ModuleType,
    data: Any,
    settings: analysis.Settings,
    reported: pd.DataFrame,
    tolerance: Comparison,
    comparable: bool,
    experiment: str,
) -> pd.DataFrame:
    """One row per reported number that has a counterpart here.

    Args:
        table: a table module.
        data: what its `load` returned.
        reported: the paper's table, with the same columns.
        tolerance: what is allowed beyond sampling error.
        comparable: whether this is the paper's experiment; a difference is one of scale where it is not.
        experiment: what was run here, in words.

    Returns:
        The keys, column, reported, ours, difference, sampling_error (1.96 bootstrap standard errors of ours),
        tolerance, within, comparable, experiment.
    """
    random = np.random.default_rng(0)
    ours = _long(table.make(data, settings), table.KEYS, "ours")
    replicates = [
        _long(table.make(table.resample(data, random), settings), table.KEYS, "ours") for _ in range(REPLICATES)
    ]
    names = [*table.KEYS, "column"]
    spread = pd.concat(replicates).groupby(names, sort=False)["ours"].std().rename("spread").reset_index()
    both = _long(reported, table.KEYS, "reported").dropna().merge(ours, on=names).merge(spread, on=names, how="left")
    share = both["column"].isin(table.SHARES) | both["column"].str.startswith("r=")
    both["difference"] = both["ours"] - both["reported"]
    both["sampling_error"] = QUANTILE * both.pop("spread")
    both["tolerance"] = np.where(share, tolerance.accuracy, tolerance.relative * both["reported"].abs())
    both["within"] = both["difference"].abs() <= both["sampling_error"] + both["tolerance"]
    both["comparable"] = comparable
    both["experiment"] = experiment
    return both


def _long(table: pd.DataFrame, keys: list[str], name: str) -> pd.DataFrame:
    numbers = table.set_index(keys).select_dtypes("number").drop(columns="N", errors="ignore")
    return numbers.reset_index().melt(keys, var_name="column", value_name=name)
