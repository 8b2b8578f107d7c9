"""Table 2: certificates of the same base classifiers, and what they cost beside Cohen et al.'s at equal passes."""

from typing import Any

import numpy as np
import pandas as pd

from accelerated_smoothing import analysis
from accelerated_smoothing.analysis.items import Table
from accelerated_smoothing.papers import fast_and_sound
from accelerated_smoothing.papers import survey as paper

KEYS = ["sigma", "classifier", "method"]


def make(logs: pd.DataFrame, settings: analysis.Settings) -> pd.DataFrame:
    """Return a row for each noise level, base classifier and method."""
    groups = analysis.groups(logs)
    rows: list[dict[str, Any]] = []
    for key, log in groups.items():
        if key.method == paper.LINE:
            continue
        line = fast_and_sound.line(groups[key._replace(method=paper.LINE)], lambda radii: radii.mean(axis=0))
        cohen = groups[key._replace(method=paper.COHEN)]
        accuracy = analysis.certified_accuracy(log, settings.radii)
        passes = float(log["passes"].mean())
        rows.append(
            {
                "sigma": key.sigma,
                "classifier": paper.name(key.experiment),
                "method": key.method,
                "guarantee": analysis.guarantee(log),
                "passes": passes,
                "passes_max": int(log["passes"].max()),
                "seconds": float(pd.to_numeric(log["time"]).median()),
                "abstained": float((log["predict"] < 0).mean()),
                "exceeds": float(analysis.exceeds(log, cohen).mean()),
                **{f"r={r:g}": value for r, value in zip(settings.radii, accuracy, strict=True)},
                "ACR": analysis.average_certified_radius(log),
                "cohen_at_passes": line(passes),
            }
        )
    rows.sort(key=lambda row: row["sigma"])
    return pd.DataFrame(rows)


def behind(logs: pd.DataFrame, settings: analysis.Settings, row: pd.Series, column: str) -> np.ndarray:
    """Return which images a number comes from, [images]."""
    key = analysis.Key(f"{paper.FOLDER}/{row['classifier']}", row["sigma"], row["method"])
    groups = analysis.groups(logs)
    if column == "exceeds":
        return analysis.exceeds(groups[key], groups[key._replace(method=paper.COHEN)])
    return paper.images_behind(groups[key], settings, column)


TABLES = {
    "table2": Table(
        title="Table 2: certificates of the same base classifiers, and what they cost",
        note="Passes: of the base classifier for a certificate, choices of sigma and pilots included; a surrogate "
        "takes one of its own. Exceeds: share of images whose radius is above Cohen et al.'s from N draws; of a "
        "sound method these are gains, of an estimated one they may be wrong. Cohen_at_passes: ACR of Cohen et al.'s "
        "procedure with equal mean passes, between counted sizes. Seconds of a method that asks for few draws are "
        "those of the draws that it asked for.",
        keys=KEYS,
        shares=frozenset({"abstained", "exceeds"}),
        inputs=paper.certificate_files,
        load=analysis.read_logs,
        make=make,
        resample=analysis.resample_logs,
        behind=behind,
        caption=paper.caption,
        comparable=paper.comparable,
    )
}
