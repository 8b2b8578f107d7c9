"""Rows of tables 1 and 3: one per classifier, which is an experiment, sigma and method."""

from dataclasses import replace

import numpy as np
import pandas as pd

from accelerated_smoothing import analysis
from accelerated_smoothing.papers import fars
from accelerated_smoothing.papers.accelerated_smoothing import table1

KEYS = ["classifier", *table1.KEYS]
SHARES = {*table1.SHARES, "natural"}


def make(logs: analysis.Logs, settings: analysis.Settings) -> pd.DataFrame:
    """Rows as of the main paper's Table I, with two further columns.

    `natural` is the share of images that are classified correctly, at whatever radius; where the method abstains, as it
    may when it samples, the image counts as wrong. `seconds` is the median time of one certificate. `exceeds` holds an
    estimate against what the same classifier certifies.
    """
    parts = []
    for experiment in [*fars.EXPERIMENTS, fars.MAIN]:
        own = _of(logs, experiment)
        if own:
            part = table1.make(own, _settings(settings, experiment)).rename(columns={"r=0": "natural"})
            part.insert(0, "classifier", experiment)
            part.insert(len(part.columns) - 1, "seconds", [log["time"].median() for log in own.values()])
            parts.append(part)
    return pd.concat(parts, ignore_index=True)


def behind(logs: analysis.Logs, settings: analysis.Settings, row: pd.Series, column: str) -> np.ndarray:
    """[images] which of them a share counts, or ACR sums over."""
    experiment = row["classifier"]
    column = "r=0" if column == "natural" else column
    return table1.behind(_of(logs, experiment), _settings(settings, experiment), row, column)


def _of(logs: analysis.Logs, experiment: str) -> analysis.Logs:
    """The logs of one experiment, by sigma and method, sigmas ascending."""
    own = {
        (sigma, key.partition("/")[2]): log for (sigma, key), log in logs.items() if key.startswith(f"{experiment}/")
    }
    return dict(sorted(own.items(), key=lambda entry: entry[0][0]))


def _settings(settings: analysis.Settings, experiment: str) -> analysis.Settings:
    return replace(settings, radii=[0.0, *settings.radii], reference=fars.reference(experiment))
