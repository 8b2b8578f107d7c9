"""Our numbers next to the paper's: each reported number, ours, and whether they agree."""

from typing import Any

import numpy as np
import pandas as pd

from accelerated_smoothing.analysis import Settings
from accelerated_smoothing.analysis.items import Table
from accelerated_smoothing.config import Comparison

REPLICATES = 200  # bootstrap replicates: the relative error of the standard error is then about 5 %
QUANTILE = 1.96  # 95 % of a normal distribution


def compare(
    table: Table,
    data: Any,
    settings: Settings,
    reported: pd.DataFrame,
    tolerance: Comparison,
    comparable: bool,
    experiment: str,
) -> pd.DataFrame:
    """Return one row per reported number that we have, too.

    Args:
        data: what `table.load` returned.
        reported: the paper's table, with the columns of ours.
        tolerance: what is allowed in addition to the sampling error.
        comparable: whether the paper's experiment was run; otherwise a difference is one of scale.
        experiment: what was run, in words.

    Returns:
        The keys, column, reported, ours, difference, sampling_error (1.96 bootstrap standard errors of ours),
        tolerance, within, comparable, experiment.
    """
    random = np.random.default_rng(0)
    ours = _long(table.make(data, settings), table.keys, "ours")
    samples = REPLICATES if len(reported) else 1  # without anything to compare with, no error is needed
    replicates = [_long(table.make(table.resample(data, random), settings), table.keys, "ours") for _ in range(samples)]
    names = [*table.keys, "column"]
    spread = pd.concat(replicates).groupby(names, sort=False)["ours"].std().rename("spread").reset_index()
    both = _long(reported, table.keys, "reported").dropna().merge(ours, on=names).merge(spread, on=names, how="left")
    share = both["column"].map(table.is_share).astype(bool)
    both["difference"] = both["ours"] - both["reported"]
    both["sampling_error"] = QUANTILE * both.pop("spread")
    both["tolerance"] = np.where(share, tolerance.accuracy, tolerance.relative * both["reported"].abs())
    both["within"] = both["difference"].abs() <= both["sampling_error"] + both["tolerance"]
    both["comparable"] = comparable
    both["experiment"] = experiment
    return both


def _long(table: pd.DataFrame, keys: list[str], name: str) -> pd.DataFrame:
    """Return the numbers of a table, one per row, in a column of this name."""
    numbers = table.set_index(keys).select_dtypes("number").drop(columns="N", errors="ignore")
    return numbers.reset_index().melt(keys, var_name="column", value_name=name)
