"""Table 4: Tables 1 and 2 as simulated from published logs of a ResNet-110 on CIFAR-10 with N = 100,000."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from accelerated_smoothing import analysis
from accelerated_smoothing.analysis.items import Table
from accelerated_smoothing.config import Config
from accelerated_smoothing.config.run import Run
from accelerated_smoothing.data import published
from accelerated_smoothing.papers import fast_and_sound as paper
from accelerated_smoothing.papers.fast_and_sound import budgets, radii

EXPERIMENTS = ("simulated", "simulated-measured")
KEYS = ["surrogate", "sigma", "method", "budget", "r"]
SHARES = frozenset({"certified", "kept", "cohen_at_passes"})
COLUMNS = [*KEYS, "guarantee", "passes", "ACR", "certified", "kept", "cohen_at_passes"]
GUARANTEE = "simulated"


def names(config: Config) -> list[str]:
    """Return all methods but the line."""
    return [name for name in config.rows if name != paper.LINE]


def inputs(run: Run) -> list[str]:
    """Return the certificates of both experiments."""
    return [path for name in EXPERIMENTS for path in paper.inputs(names, f"{paper.FOLDER}/{name}/")(run)]


def load(paths: Sequence[Path]) -> pd.DataFrame:
    """Read the certificates of both experiments."""
    return analysis.read_logs(paths)


def make(logs: pd.DataFrame, settings: analysis.Settings) -> pd.DataFrame:
    """Return the rows of Tables 1 and 2 for each experiment; `surrogate` is the experiment."""
    parts = []
    for experiment in logs["experiment"].unique():
        own = logs[logs["experiment"] == experiment]
        at_radii = own["method"].isin(own.loc[own["at"].notna(), "method"].unique())
        both = [
            budgets.make(own[~at_radii], settings).assign(r=np.nan, certified=np.nan),
            radii.make(own[at_radii | (own["method"] == paper.LINE)], settings).assign(budget=np.nan, ACR=np.nan),
        ]
        parts += [
            part.assign(surrogate=experiment.removeprefix(f"{paper.FOLDER}/"), guarantee=GUARANTEE) for part in both
        ]
    return pd.concat(parts, ignore_index=True)[COLUMNS]


def caption(run: Run) -> str:
    """Return what was simulated, in words."""
    config = run.config(f"{paper.FOLDER}/{EXPERIMENTS[0]}/")
    assert config.published is not None
    return (
        f"simulated from certification logs of {published.REPOSITORY} (CIFAR-10, ResNet-110, every 20th test image), N "
        f"= {config.sampling.sizes[-1]}, surrogate: true logit with a Gaussian error of {config.published.spread:g}, "
        f"and of the spread that was measured on {run.config().dataset.name}, alpha = {config.alpha:g}"
    )


TABLES = {
    "table4": Table(
        note="Simulated: counts are binomial with p = k / N of the published log, and the surrogate is the true "
        "logit plus a Gaussian error. Surrogate: simulated has the error of the caption, simulated-measured that of "
        "the demo or preset. Other columns are those of Tables 1 and 2.",
        title="Table 4: Tables 1 and 2 simulated from published logs",
        keys=KEYS,
        shares=SHARES,
        inputs=inputs,
        load=load,
        make=make,
        resample=analysis.resample_logs,
        caption=caption,
        comparable=paper.comparable,
    )
}
