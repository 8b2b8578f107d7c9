"""Table 3: radii without counted draws: how often they are larger than the sampled ones, beside what was promised."""

import numpy as np
import pandas as pd

from accelerated_smoothing import analysis
from accelerated_smoothing.analysis.items import Table
from accelerated_smoothing.config import Config
from accelerated_smoothing.papers import fast_and_sound as paper

KEYS = ["sigma", "method"]
SHARES = frozenset({"delta", "bound", "violations"})


def names(config: Config) -> list[str]:
    """Return the methods whose radii are estimated or conformal."""
    return [name for name in config.rows if config.methods[name]["certifier"] in ("accelerated", "conformal")]


def make(logs: pd.DataFrame, settings: analysis.Settings) -> pd.DataFrame:
    """Return a row for each sigma and method."""
    rows = []
    for key, log in analysis.groups(logs).items():
        rows.append(
            {
                "sigma": key.sigma,
                "method": key.method,
                "guarantee": analysis.guarantee(log),
                "delta": _constant(log, "delta"),
                "bound": _constant(log, "bound"),
                "violations": float(violations(logs, key.sigma, key.method).mean()),
                "ACR": analysis.average_certified_radius(log),
                "passes": float(log["passes"].mean()),
            }
        )
    return pd.DataFrame(rows)


def violations(logs: pd.DataFrame, sigma: float, method: str) -> np.ndarray:
    """Return which images [images] have a larger radius than N draws certify for the same class."""
    log, reference = analysis.one(logs, sigma, method), analysis.one(logs, sigma, paper.LINE)
    same = log["predict"].to_numpy() == reference["predict"].to_numpy()
    return np.asarray(log["radius"].to_numpy() > np.where(same, reference["radius"].to_numpy(), 0.0))


def _constant(log: pd.DataFrame, column: str) -> float:
    return float(log[column].iloc[0]) if column in log else np.nan


def behind(logs: pd.DataFrame, settings: analysis.Settings, row: pd.Series, column: str) -> np.ndarray:
    """Return which images a number comes from, [images]."""
    log = analysis.one(logs, row["sigma"], row["method"])
    if column == "violations":
        return violations(logs, row["sigma"], row["method"])
    return analysis.certified(log, np.nextafter(0, 1)) if column == "ACR" else np.full(len(log), True)


TABLES = {
    "table3": Table(
        note="Violations: share of images whose radius is larger than the one that N draws certify for the same class. "
        "Bound: the largest share of exchangeable images whose radius exceeds the true one that a conformal method "
        "promises, delta + alpha: on average over the images that correct it, or, if pac, for most choices of them. "
        "The sampled radius is a lower bound of the true one, so violations count more than the promise is about.",
        title="Table 3: radii without counted draws: violations beside what is promised, and ACR",
        keys=KEYS,
        shares=SHARES,
        inputs=paper.inputs(names),
        load=paper.load,
        make=make,
        resample=analysis.resample_logs,
        behind=behind,
        caption=paper.caption,
        comparable=paper.comparable,
    )
}
