"""Label budget: how few draws per training image a surrogate needs, by loss, and by the weights that it starts from.

The data of the table and of the figure is one tidy table: a row for each test image and surrogate, that of the
certificate, with how the surrogate was trained and how far its prediction is from the counts. The rows of Cohen et al.,
on the same counts, come first.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.spatial.distance import jensenshannon

from accelerated_smoothing import analysis
from accelerated_smoothing.config.run import Run
from accelerated_smoothing.counting import counts, predictions
from accelerated_smoothing.errors import InputError
from accelerated_smoothing.papers import captions

NAME = "Label budget"
FOLDER = "label-budget"
METHOD = "surrogate"  # the row of each experiment
SETTINGS = ["loss", "fresh", "from_base", "draws"]  # what tells experiments apart; seeds repeat them
PAIR = 2  # files of an entry


def caption(run: Run) -> str:
    """Return what was run, in words."""
    return captions.certified(run.config())


def comparable(run: Run) -> bool:
    """Return False: these tables are in no paper."""
    return False


def inputs(run: Run) -> list[str]:
    """Return pairs of files for each noise level.

    First come the reference's certificates and the counts behind them, then the certificates and the predictions of
    each surrogate.
    """
    main = run.config()
    homes = [home for home in run.experiments if home.startswith(f"{FOLDER}/")]
    files = []
    for sigma in sorted({sigma for home in homes for sigma in run.config(home).sigmas}):
        files += run.certificates(sigmas=[sigma], methods=[main.reference])
        files.append(run.counts("", sigma, "test", "estimation"))
        for home in homes:
            if sigma in run.config(home).sigmas:
                files += run.certificates(home, [sigma], [METHOD])
                files.append(f"{run.results}/{home}surrogates/sigma{sigma}/predictions-test.npz")
    return files


def load(paths: Sequence[Path]) -> pd.DataFrame:
    """Read the pairs of files of each noise level.

    Returns:
        The certificates with the columns of `SETTINGS`, `seed`, `divergence` (Jensen-Shannon, of h from the shares of N
        draws) and `error` (of the logit of h's top class; none where all or no draws are in it).

    Raises:
        InputError: a file is broken, the files are not pairs, or the counts and the predictions are of other images.
    """
    if len(paths) % PAIR:
        raise InputError(f"INPUT must be pairs of certificates and counts or predictions, got {len(paths)} files")
    logs = analysis.read_logs(paths[::PAIR])
    estimation: counts.Counts | None = None
    columns = []
    for log, path in zip(analysis.groups(logs).values(), paths[1::PAIR], strict=True):
        if analysis.guarantee(log) != "estimated":
            estimation = counts.read(path)
            columns.append(log.assign(**dict.fromkeys([*SETTINGS, "seed", "divergence", "error"])))
        elif estimation is None:
            raise InputError(f"{path} must come after the reference's certificates and their counts")
        else:
            columns.append(_judged(log, path, estimation))
    return pd.concat(columns, ignore_index=True)


def _judged(log: pd.DataFrame, path: Path, estimation: counts.Counts) -> pd.DataFrame:
    """Return the certificates by a surrogate with how it was trained and how far h is from the counts."""
    predicted = predictions.read(path)
    if not np.array_equal(predicted.idx, estimation.idx) or predicted.meta["base"] != estimation.meta["base"]:
        raise InputError(f"{path} must be predictions for the images of the counts, and of their base classifier")
    (training,) = predicted.meta["surrogates"]
    h, n = predicted.of(None), int(estimation.sizes[-1])
    k = estimation.at(n)
    divergence = jensenshannon(h, k / n, axis=1) ** 2  # the distance is its square root
    top = h.argmax(axis=1)
    of_top = np.take_along_axis(k, top[:, None], axis=1)[:, 0]
    inside = (of_top > 0) & (of_top < n)
    sampled = np.log(of_top + 0.5) - np.log(n - of_top + 0.5)
    error = np.where(inside, predicted.logits(None, top) - sampled, np.nan)
    return log.assign(
        loss=training["loss"],
        fresh=training["fresh"],
        from_base=training["from_base"],
        draws=training["samples"],
        seed=training["seed"],
        divergence=divergence,
        error=error,
    )


def entries(logs: pd.DataFrame) -> dict[float, tuple[pd.DataFrame, dict[tuple[object, ...], list[pd.DataFrame]]]]:
    """Return by noise level the reference's certificates, and those by surrogates, one log a seed, by `SETTINGS`."""
    levels = {}
    for sigma in sorted(logs["sigma0"].unique()):
        level = logs[logs["sigma0"] == sigma]
        sound = level[level["loss"].isna()].reset_index(drop=True)
        surrogates: dict[tuple[object, ...], list[pd.DataFrame]] = {}
        for _, log in level[level["loss"].notna()].groupby(analysis.KEY, sort=False):
            surrogates.setdefault(tuple(log[SETTINGS].iloc[0]), []).append(log.reset_index(drop=True))
        levels[float(sigma)] = sound, surrogates
    return levels
