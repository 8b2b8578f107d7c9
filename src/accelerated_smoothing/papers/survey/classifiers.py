"""Table 1: base classifiers, each certified by Cohen et al.'s procedure, with what their training costs."""

from typing import Any

import numpy as np
import pandas as pd

from accelerated_smoothing import analysis
from accelerated_smoothing.analysis.items import Table
from accelerated_smoothing.papers import survey as paper

KEYS = ["sigma", "classifier"]


def make(logs: pd.DataFrame, settings: analysis.Settings) -> pd.DataFrame:
    """Return a row for each noise level and base classifier."""
    rows: list[dict[str, Any]] = []
    for key, log in analysis.groups(logs).items():
        accuracy = analysis.certified_accuracy(log, settings.radii)
        share = log["count"] / log["n"]
        rows.append(
            {
                "sigma": key.sigma,
                "classifier": paper.name(key.experiment),
                "training": log["training"].iloc[0],
                "arch": log["arch"].iloc[0],
                "guarantee": analysis.guarantee(log),
                "passes": float((log["passes"] * log["networks"]).mean()),
                "seconds": float(pd.to_numeric(log["time"]).median()),
                "training_passes": float(log["training_passes"].iloc[0]),
                "training_seconds": float(log["training_seconds"].iloc[0]),
                "abstained": float((log["predict"] < 0).mean()),
                "above_half": float(log["correct"].mean()),
                "p_median": float(share.median()),
                **{f"r={r:g}": value for r, value in zip(settings.radii, accuracy, strict=True)},
                "ACR": analysis.average_certified_radius(log),
            }
        )
    rows.sort(key=lambda row: row["sigma"])
    return pd.DataFrame(rows)


def behind(logs: pd.DataFrame, settings: analysis.Settings, row: pd.Series, column: str) -> np.ndarray:
    """Return which images a number comes from, [images]."""
    log = next(
        log
        for key, log in analysis.groups(logs).items()
        if (key.sigma, paper.name(key.experiment)) == (row["sigma"], row["classifier"])
    )
    return paper.images_behind(log, settings, column)


TABLES = {
    "table1": Table(
        title="Table 1: base classifiers, certified by Cohen et al.'s procedure, and what their training costs",
        note="Classifier: the experiment. Training: the way of the last training; - where none is needed. Passes: "
        "networks that run for a certificate; of a consensus, the mean, since most draws need its first members only. "
        "Training_passes: noisy copies that went through a network in all "
        "trainings behind the classifier, those of teachers and members included; - where a log does not say. "
        "Seconds are measured, on whatever else ran. Above_half: share of the images whose true class certainly has a "
        "probability above 1/2. P_median: median share of draws in the selected class. ACR alone rewards images with "
        "large radii (Sun et al. 2024).",
        keys=KEYS,
        shares=frozenset({"abstained", "above_half", "p_median"}),
        inputs=paper.classifier_files,
        load=paper.load_classifiers,
        make=make,
        resample=analysis.resample_logs,
        behind=behind,
        caption=paper.caption,
        comparable=paper.comparable,
        reported="survey/table1.csv",
        grows_with_samples=True,
    )
}
