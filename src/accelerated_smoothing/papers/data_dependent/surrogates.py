"""Table 5: Accelerated Smoothing of other base classifiers, which its paper leaves to future work. In neither paper."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from accelerated_smoothing import analysis
from accelerated_smoothing.analysis.items import Table
from accelerated_smoothing.errors import InputError
from accelerated_smoothing.papers import data_dependent
from accelerated_smoothing.papers.accelerated_smoothing import accuracy

WANTED = {base: ["cohen", "baseline", "resnet"] for base in ("smoothadv", "macer", "yang")}


def load(paths: Sequence[Path]) -> pd.DataFrame:
    """Read the logs of some base classifiers, each with the sampled one.

    Raises:
        InputError: as `data_dependent.read_logs`, or a base without the log that its estimates are compared with.
    """
    logs = data_dependent.read_logs(paths, WANTED)
    groups = analysis.groups(logs)
    for key in groups:
        if analysis.reference(groups, key, "cohen") is None:
            raise InputError(
                f"the certificates must include {analysis.words(key._replace(method='cohen'))}, which {key.method} is "
                "compared with"
            )
    return logs


def make(logs: pd.DataFrame, settings: analysis.Settings) -> pd.DataFrame:
    """Return one row per base, sigma and method, as in Table I of Accelerated Smoothing."""
    parts = []
    for base, part in logs.groupby("experiment", sort=False):
        rows = accuracy.make(part, settings)
        rows.insert(0, "base", base)
        parts.append(rows)
    return pd.concat(parts, ignore_index=True)


def behind(logs: pd.DataFrame, settings: analysis.Settings, row: pd.Series, column: str) -> np.ndarray:
    """Return which images a share counts, or ACR sums over, [images]."""
    return accuracy.behind(logs[logs["experiment"] == row["base"]], settings, row, column)


TABLES = {
    "table5": Table(
        note="Accelerated Smoothing for base classifiers that its paper leaves to future work; the columns are those "
        "of its Table I. This table is not in the paper.",
        title="Table 5: surrogates of other base classifiers, certified accuracy at radius r (l1 for yang, else l2), "
        "and ACR",
        keys=["base", *accuracy.KEYS],
        shares=accuracy.SHARES,
        inputs=lambda run: data_dependent.inputs(run, WANTED),
        load=load,
        make=make,
        resample=analysis.resample_logs,
        behind=behind,
        caption=data_dependent.caption,
        comparable=data_dependent.comparable,
        reported="data-dependent/table5.csv",
    )
}
