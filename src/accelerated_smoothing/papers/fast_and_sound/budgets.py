"""Table 1: the average certified radius that methods keep within a mean number of passes."""

from typing import Any

import numpy as np
import pandas as pd

from accelerated_smoothing import analysis
from accelerated_smoothing.analysis.items import Table
from accelerated_smoothing.config import Config
from accelerated_smoothing.papers import fast_and_sound as paper

KEYS = ["sigma", "budget", "method"]
SHARES = frozenset({"abstained", "kept", "cohen_at_passes"})
SURROGATES_LINE = "frontier-h"  # the line whose class is the surrogate's


def names(config: Config) -> list[str]:
    """Return the methods with budgets, and those that choose their own draws for each image."""
    certifiers = {name: config.methods[name]["certifier"] for name in config.rows}
    own = [name for name, certifier in certifiers.items() if certifier == "iss"]
    budgeted = [name for name in paper.methods(config, "budget") if certifiers[name] != "oracle"]
    return [*([SURROGATES_LINE] if SURROGATES_LINE in config.rows else []), *budgeted, *own]


def make(logs: pd.DataFrame, settings: analysis.Settings) -> pd.DataFrame:
    """Return a row for each sigma, budget and method; Cohen et al.'s at the budgets of the others, and at N."""
    budgets = sorted(logs["budget"].dropna().unique())
    rows: list[dict[str, Any]] = []
    for key, log in analysis.groups(logs).items():
        reference = analysis.one(logs, key.sigma, paper.LINE)
        acr = paper.line(reference, lambda radii: radii.mean(axis=0))
        whole = analysis.average_certified_radius(reference)
        for budget in _budgets(key.method, log, budgets):
            part = _log(logs, key.sigma, key.method, budget)
            passes, own = float(part["passes"].mean()), analysis.average_certified_radius(part)
            accuracy = analysis.certified_accuracy(part, settings.radii)
            rows.append(
                {
                    "sigma": key.sigma,
                    "budget": int(budget) if budget % 1 == 0 else budget,
                    "method": key.method,
                    "guarantee": analysis.guarantee(part),
                    "passes": passes,
                    "passes_max": int(part["passes"].max()),
                    "seconds": np.nan if key.method in LINES and budget else paper.seconds(part),
                    "abstained": float((part["predict"] < 0).mean()),
                    **{f"r={r:g}": share for r, share in zip(settings.radii, accuracy, strict=True)},
                    "ACR": own,
                    "kept": own / whole if whole else np.nan,
                    "cohen_at_passes": acr(passes) / whole if whole else np.nan,
                }
            )
    rows.sort(key=lambda row: (row["sigma"], row["budget"] or np.inf))
    return pd.DataFrame(rows)


LINES = (paper.LINE, SURROGATES_LINE)


def _budgets(method: str, log: pd.DataFrame, budgets: list[float]) -> list[float]:
    """Return the budgets at which a log has rows; 0 stands for none."""
    if method in LINES:
        before = int((log["passes"] - log["n"]).iloc[0])
        least, most = before + paper.sizes(log)[0], before + paper.sizes(log)[-1]
        return [budget for budget in budgets if least <= budget < most] + [0.0]
    return [float(log["budget"].iloc[0]) if log["budget"].notna().all() else 0.0]


def _log(logs: pd.DataFrame, sigma: float, method: str, budget: float) -> pd.DataFrame:
    """Return the certificates behind a row. Those of a line have the largest size within the budget."""
    log = analysis.one(logs, sigma, method)
    if method in LINES and budget:
        before = int((log["passes"] - log["n"]).iloc[0])
        return paper.at_size(log, max(n for n in paper.sizes(log) if before + n <= budget))
    return log


def behind(logs: pd.DataFrame, settings: analysis.Settings, row: pd.Series, column: str) -> np.ndarray:
    """Return which images a number comes from, [images]."""
    log = _log(logs, row["sigma"], row["method"], row["budget"])
    if column.startswith("r="):
        return analysis.certified(log, float(column.removeprefix("r=")))
    if column == "abstained":
        return np.asarray(log["predict"] < 0)
    if column in ("ACR", "kept"):
        return analysis.certified(log, np.nextafter(0, 1))
    return np.full(len(log), True)


TABLES = {
    "table1": Table(
        note="Budget: mean passes of the base classifier per image that the method aims at, 0 where it has none. "
        "Passes: what it spent, selection and pilot included. Frontier: Cohen et al.'s certificates with the most "
        "draws within the budget, or with N; frontier-h: with the class of the surrogate, which costs no draws. "
        "Kept: ACR over Cohen's at N. cohen_at_passes: the same for Cohen's certificates with equal mean passes, "
        "between counted sizes. Seconds: time of a certificate, measured on images that were certified online, all "
        "together; that of frontier and frontier-h from the counting of N draws.",
        title="Table 1: certified accuracy at radius r, and ACR, within a mean number of passes",
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
