"""Tables III and VI: how far estimated radii lie below or above the sampled ones (section V-D, appendix IX-B)."""

import numpy as np
import pandas as pd

from accelerated_smoothing import analysis
from accelerated_smoothing.analysis.items import Table
from accelerated_smoothing.config.run import Run
from accelerated_smoothing.errors import InputError
from accelerated_smoothing.papers.accelerated_smoothing import accuracy, caption, comparable

KEYS = ["side", "sigma", "method"]
COLUMNS = ["percentage_error", "gt_acr", "share", "mean_error", "error_variance"]


def inputs(run: Run) -> list[str]:
    """Return the certificates at the noise levels that figures show."""
    return run.certificates(sigmas=run.config().figure_sigmas)


def make(logs: pd.DataFrame, settings: analysis.Settings) -> pd.DataFrame:
    """Return Table VI: one row per side, sigma and estimated method.

    Only images with both radii at least `settings.error_radius` count. percentage_error is the mean of
    |r_predicted - r_sampling| / r_sampling in percent, gt_acr the mean of r_sampling, share the part of all test images
    that is on this side, mean_error and error_variance those of the absolute difference, in pixels of [0, 1].
    """
    groups, rows = analysis.groups(logs), []
    for side in ("under", "over"):
        for key, log in groups.items():
            if analysis.guarantee(log) != "estimated":
                continue
            reference = analysis.reference(groups, key, settings.reference)
            if reference is None:
                raise InputError(
                    f"the certificates must include {settings.reference} at sigma {key.sigma}, which {key.method} is "
                    "compared with"
                )
            on_side = _on_side(log, reference, side, settings)
            truth = reference["radius"][on_side]
            error = (log["radius"][on_side] - truth).abs()
            rows.append(
                {
                    "side": side,
                    "sigma": key.sigma,
                    "method": key.method,
                    "percentage_error": 100 * (error / truth).mean(),
                    "gt_acr": truth.mean(),
                    "share": float(on_side.mean()),
                    "mean_error": error.mean(),
                    "error_variance": error.var(),
                }
            )
    return pd.DataFrame(rows, columns=[*KEYS, *COLUMNS])


def make_short(logs: pd.DataFrame, settings: analysis.Settings) -> pd.DataFrame:
    """Return Table III: some columns of Table VI, both sides in one row per sigma and estimated method."""
    long = make(logs, settings)
    columns = ["percentage_error", "gt_acr", "share"]
    sides = [
        long[long["side"] == side].set_index(["sigma", "method"])[columns].add_prefix(f"{side}_")
        for side in ("under", "over")
    ]
    return pd.concat(sides, axis=1).reset_index()


def _on_side(log: pd.DataFrame, reference: pd.DataFrame, side: str, settings: analysis.Settings) -> np.ndarray:
    """Return where both radii are at least `settings.error_radius` and the estimate is on this side, [images]."""
    predicted, sampled = log["radius"].to_numpy(), reference["radius"].to_numpy()
    both = (predicted >= settings.error_radius) & (sampled >= settings.error_radius)
    return both & ((predicted < sampled) if side == "under" else (predicted > sampled))


def behind(logs: pd.DataFrame, settings: analysis.Settings, row: pd.Series, column: str) -> np.ndarray:
    """Return which images are on the side of a row, [images]."""
    log, reference = (analysis.one(logs, row["sigma"], method) for method in (row["method"], settings.reference))
    return _on_side(log, reference, row["side"], settings)


def behind_short(logs: pd.DataFrame, settings: analysis.Settings, row: pd.Series, column: str) -> np.ndarray:
    """Return which images are on the side of a column, [images]."""
    return behind(logs, settings, pd.concat([row, pd.Series({"side": column.partition("_")[0]})]), column)


TABLES = {
    "table3": Table(
        note="Images for which the estimated and the sampled radius both reach the radius of the error analysis, by "
        "whether the estimate is too low (under) or too high (over). A percentage error is relative to the sampled "
        "radius; a share is of all images.",
        title="Table III: under- and overestimation of the certified radius, in short",
        keys=["sigma", "method"],
        shares=frozenset({"under_share", "over_share"}),
        inputs=inputs,
        load=accuracy.load,
        make=make_short,
        resample=analysis.resample_logs,
        behind=behind_short,
        caption=caption,
        comparable=comparable,
        reported="table3.csv",
    ),
    "table6": Table(
        note="As Table III, with the mean and the variance of the absolute error, in pixels of [0, 1].",
        title="Table VI: under- and overestimation of the certified radius",
        keys=KEYS,
        shares=frozenset({"share"}),
        inputs=inputs,
        load=accuracy.load,
        make=make,
        resample=analysis.resample_logs,
        behind=behind,
        caption=caption,
        comparable=comparable,
        reported="table6.csv",
    ),
}
