"""Table 2: certified accuracy at fixed radii, by methods that stop as soon as a radius is certain."""

from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from accelerated_smoothing import analysis
from accelerated_smoothing.analysis.items import Table
from accelerated_smoothing.config import Config
from accelerated_smoothing.papers import fast_and_sound as paper

KEYS = ["sigma", "r", "method"]
SHARES = frozenset({"certified", "kept", "cohen_at_passes"})
ROUNDING = 2.0**-23  # of a certified radius, relative: the product of its multiple and sigma, rounded to float32


def names(config: Config) -> list[str]:
    """Return the methods at fixed radii."""
    return paper.methods(config, "radii")


def make(logs: pd.DataFrame, settings: analysis.Settings) -> pd.DataFrame:
    """Return a row for each sigma, radius and method; Cohen et al.'s with N draws at each radius of the others."""
    rows: list[dict[str, Any]] = []
    for sigma in logs["sigma0"].unique():
        reference = analysis.one(logs, sigma, paper.LINE)
        groups = {key: log for key, log in analysis.groups(logs).items() if key.sigma == sigma}
        radii = {key: float(log["at"].iloc[0]) * sigma for key, log in groups.items() if key.method != paper.LINE}
        pairs = [(paper.LINE, r) for r in sorted(set(radii.values()))]
        pairs += [(key.method, r) for key, r in radii.items()]
        for method, r in pairs:
            log = analysis.one(logs, sigma, method)
            whole, share = _share(reference, r), _share(log, r)
            passes = float(log["passes"].mean())
            at_passes = paper.line(reference, partial(_shares, r=r))(passes)
            rows.append(
                {
                    "sigma": sigma,
                    "r": r,
                    "method": method,
                    "guarantee": analysis.guarantee(log),
                    "passes": passes,
                    "seconds": paper.seconds(log),
                    "certified": share,
                    "kept": share / whole if whole else np.nan,
                    "cohen_at_passes": at_passes / whole if whole else np.nan,
                }
            )
    rows.sort(key=lambda row: (row["sigma"], row["r"]))
    return pd.DataFrame(rows)


def _rounded(r: float) -> float:
    """Return the least that a certified radius r may be after rounding."""
    return r * (1 - ROUNDING)


def _share(log: pd.DataFrame, r: float) -> float:
    return float(analysis.certified(log, _rounded(r)).mean())


def _shares(radii: np.ndarray, r: float) -> np.ndarray:
    return np.asarray((radii >= _rounded(r)).mean(axis=0))


def behind(logs: pd.DataFrame, settings: analysis.Settings, row: pd.Series, column: str) -> np.ndarray:
    """Return which images a number comes from, [images]."""
    log = analysis.one(logs, row["sigma"], row["method"])
    if column in ("certified", "kept"):
        return analysis.certified(log, _rounded(row["r"]))
    return np.full(len(log), True)


TABLES = {
    "table2": Table(
        note="Certified: share of images that are classified correctly with a radius of at least r. Kept: that share "
        "over Cohen's with N draws (frontier). cohen_at_passes: the same for Cohen's certificates with equal mean "
        "passes.",
        title="Table 2: certified accuracy at fixed radii, and the passes that it takes",
        keys=KEYS,
        shares=SHARES,
        inputs=paper.inputs(names, timed=True),
        load=paper.load_timed,
        make=make,
        resample=analysis.resample_logs,
        behind=behind,
        caption=paper.caption,
        comparable=paper.comparable,
    )
}
