"""What tables 1 to 4 have in common: the best of a number of settings, which are a training sigma and a K.

The best is chosen on the very images that it is then counted on, as in the paper, so it flatters a little.

Three numbers may be called the ACR of several settings. Of one classifier, and thus attained, is the ACR of the best
setting. The area under the envelope of all curves is attained at no radius but by another setting. The mean over the
images of each one's best radius takes a setting by image, and needs its label: no classifier attains it.
"""

from pathlib import Path

import numpy as np
import pandas as pd

from accelerated_smoothing import analysis
from accelerated_smoothing.errors import InputError
from accelerated_smoothing.papers import data_dependent

Rows = dict[tuple[str, ...], tuple[str, str]]  # experiment and kind of method, by the keys of a table's row
KEYS = ["train", "certify"]


def rows(experiment: str) -> Rows:
    """Those of tables 1 to 3: FS or DS to train, FS or DS to certify."""
    return {
        ("FS", "FS"): (experiment, "cohen"),
        ("FS", "DS"): (experiment, "ascent"),
        ("DS", "DS"): (f"{experiment}-ds", "ascent"),
    }


def load(inputs: list[Path], rows: Rows) -> analysis.Logs:
    """Logs of every row.

    Raises:
        InputError: as `data_dependent.read_logs`, or a row has no log.
    """
    logs = data_dependent.read_logs(inputs, set(rows.values()))
    for experiment, kind in rows.values():
        if not data_dependent.settings(logs, experiment, kind):
            raise InputError(f"no log of {experiment}/certificates/sigma*/{kind}*.tsv; pass one at least")
    return logs


def make(logs: analysis.Logs, settings: analysis.Settings, rows: Rows, keys: list[str]) -> pd.DataFrame:
    """One row per entry of `rows`; `choice ...` tells of which setting a number above 0 is, the first among equals."""
    made = []
    for names, (experiment, kind) in rows.items():
        own = data_dependent.settings(logs, experiment, kind)
        if not own:
            continue
        several = list(own.values())
        accuracy = np.array([analysis.certified_accuracy(log, settings.radii) for log in several])
        acr = np.array([analysis.average_certified_radius(log) for log in several])
        radii, best = envelope(several)
        columns = [f"r={r:g}" for r in settings.radii]
        choices = {
            f"choice {column}": data_dependent.words(*list(own)[found.argmax()]) if found.max() else ""
            for column, found in zip([*columns, "ACR"], [*accuracy.T, acr], strict=True)
        }
        made.append(
            {
                **dict(zip(keys, names, strict=True)),
                "guarantee": analysis.guarantee(several[0]),
                **dict(zip(columns, accuracy.max(axis=0), strict=True)),
                "ACR": acr.max(),
                "ACR_envelope": float(np.diff(radii) @ best[1:]),
                "ACR_oracle": float(_reached(several).max(axis=0).clip(min=0).mean()),
                **choices,
            }
        )
    return pd.DataFrame(made)


def behind(
    logs: analysis.Logs, settings: analysis.Settings, row: pd.Series, column: str, rows: Rows, keys: list[str]
) -> np.ndarray:
    """[images] which of them a share counts, or an ACR sums over: of all settings for the envelope and the oracle."""
    experiment, kind = rows[tuple(row[keys])]
    own = data_dependent.settings(logs, experiment, kind)
    r = float(column.removeprefix("r=")) if column.startswith("r=") else np.nextafter(0, 1)
    if column.startswith(("choice", "guarantee")):
        return np.full(len(next(iter(own.values()))), True)
    chosen = [log for key, log in own.items() if data_dependent.words(*key) == row.get(f"choice {column}")]
    return np.any(_reached(chosen or list(own.values())) >= r, axis=0)


def envelope(logs: list[pd.DataFrame]) -> tuple[np.ndarray, np.ndarray]:
    """The best certified accuracy of any log at each radius, as steps.

    Returns:
        radii: [steps] 0, every radius up to which an accuracy is best, and one just behind the largest of them.
        best: [steps] the accuracy at each radius, and between it and the one before.
    """
    reached = _reached(logs)
    steps = np.unique(reached[reached > 0])
    radii = np.concatenate([[0.0], steps, [np.nextafter(max(steps, default=0.0), np.inf)]])
    below = np.array([np.searchsorted(np.sort(one), radii) for one in reached])
    best = 1 - below.min(axis=0) / reached.shape[1]
    falls = np.concatenate([[True], best[1:-1] != best[2:], [True]])  # not every curve's fall is the envelope's
    return radii[falls], best[falls]


def _reached(logs: list[pd.DataFrame]) -> np.ndarray:
    """[logs, images] the radius up to which each image is certified, -1 where it is so at none, not even at 0."""
    return np.array([np.where(log["correct"] == 1, log["radius"], -1.0) for log in logs])
