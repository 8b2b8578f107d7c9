"""Table 5: all test images, certified online by plans."""

import numpy as np
import pandas as pd

from accelerated_smoothing import analysis
from accelerated_smoothing.analysis.items import Table
from accelerated_smoothing.config.run import Run
from accelerated_smoothing.papers import captions
from accelerated_smoothing.papers import fast_and_sound as paper

KEYS = ["sigma", "method"]
SHARES = frozenset({"abstained"})
WHOLE = f"{paper.FOLDER}/whole/"


def make(logs: pd.DataFrame, settings: analysis.Settings) -> pd.DataFrame:
    """Return a row for each sigma and method."""
    rows = []
    for key, log in analysis.groups(logs).items():
        accuracy = analysis.certified_accuracy(log, settings.radii)
        rows.append(
            {
                "sigma": key.sigma,
                "method": key.method,
                "guarantee": analysis.guarantee(log),
                "images": len(log),
                "passes": float(log["passes"].mean()),
                "passes_max": int(log["passes"].max()),
                "seconds": float(pd.to_numeric(log["time"]).mean()),
                "abstained": float((log["predict"] < 0).mean()),
                **{f"r={r:g}": share for r, share in zip(settings.radii, accuracy, strict=True)},
                "ACR": analysis.average_certified_radius(log),
            }
        )
    return pd.DataFrame(rows)


def behind(logs: pd.DataFrame, settings: analysis.Settings, row: pd.Series, column: str) -> np.ndarray:
    """Return which images a number comes from, [images]."""
    log = analysis.one(logs, row["sigma"], row["method"])
    if column.startswith("r="):
        return analysis.certified(log, float(column.removeprefix("r=")))
    if column == "abstained":
        return np.asarray(log["predict"] < 0)
    return analysis.certified(log, np.nextafter(0, 1)) if column == "ACR" else np.full(len(log), True)


def caption(run: Run) -> str:
    """Return what was run, in words."""
    return captions.certified(run.config(WHOLE))


TABLES = {
    "table5": Table(
        note="Sound rows draw only what they spend. Passes: of the base classifier, mean and largest. Seconds: "
        "mean time of a certificate, as it was made.",
        title="Table 5: all test images: certified accuracy at radius r, ACR, passes and time",
        keys=KEYS,
        shares=SHARES,
        inputs=lambda run: run.certificates(WHOLE),
        load=lambda paths: analysis.check_one_experiment(analysis.read_logs(paths)),
        make=make,
        resample=analysis.resample_logs,
        behind=behind,
        caption=caption,
        comparable=paper.comparable,
    )
}
