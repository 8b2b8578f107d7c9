"""Table VI: how far estimated radii lie below or above the sampled ones (section V-D, appendix IX-B)."""

from pathlib import Path

import numpy as np
import pandas as pd

from accelerated_smoothing import analysis
from accelerated_smoothing.errors import InputError

TITLE = "Table VI: under- and overestimation of the certified radius"
KEYS = ["side", "sigma", "method"]
COLUMNS = ["percentage_error", "gt_acr", "share", "mean_error", "error_variance"]
SHARES = {"share"}


def load(inputs: list[Path]) -> analysis.Logs:
    return analysis.read_logs(inputs)


def make(logs: analysis.Logs, settings: analysis.Settings) -> pd.DataFrame:
    """One row per side, sigma and estimated method, over images where both radii reach `settings.error_radius`.

    percentage_error is the mean of |r_predicted - r_sampling| / r_sampling in percent, gt_acr the mean of r_sampling,
    share the part of the whole test set that lies on this side, mean_error and error_variance those of the absolute
    difference, in [0,1] pixels.
    """
    rows = []
    for side in ("under", "over"):
        for (sigma, method), log in logs.items():
            if analysis.guarantee(log) != "estimated":
                continue
            if (sigma, settings.reference) not in logs:
                raise InputError(
                    f"no log of {settings.reference} at sigma {sigma}, to hold {method} against; pass it too"
                )
            reference = logs[sigma, settings.reference]
            chosen = _chosen(log, reference, side, settings)
            truth = reference["radius"][chosen]
            error = (log["radius"][chosen] - truth).abs()
            rows.append(
                {
                    "side": side,
                    "sigma": sigma,
                    "method": method,
                    "percentage_error": 100 * (error / truth).mean(),
                    "gt_acr": truth.mean(),
                    "share": float(chosen.mean()),
                    "mean_error": error.mean(),
                    "error_variance": error.var(),
                }
            )
    return pd.DataFrame(rows, columns=[*KEYS, *COLUMNS])


def _chosen(log: pd.DataFrame, reference: pd.DataFrame, side: str, settings: analysis.Settings) -> np.ndarray:
    """[images] whether both radii reach `settings.error_radius`, the estimate on this side of the sampled one."""
    predicted, sampled = log["radius"].to_numpy(), reference["radius"].to_numpy()
    both = (predicted >= settings.error_radius) & (sampled >= settings.error_radius)
    return both & ((predicted < sampled) if side == "under" else (predicted > sampled))


def behind(logs: analysis.Logs, settings: analysis.Settings, row: pd.Series, column: str) -> np.ndarray:
    """[images] which of them lie on the row's side."""
    sigma, method = row["sigma"], row["method"]
    return _chosen(logs[sigma, method], logs[sigma, settings.reference], row["side"], settings)


resample = analysis.resample_logs
