"""Fast and sound: certificates from few passes beside Cohen et al.'s, on the same images: tables and figures.

Cohen et al.'s line is a log by the certifier `frontier`, with a radius for every number of draws. `at_size` and `line`
read it. Everything is judged by the same base classifier's N draws.
"""

import re
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from accelerated_smoothing import analysis
from accelerated_smoothing.certify.statistics import ABSTAIN
from accelerated_smoothing.config import Config
from accelerated_smoothing.config.run import Run
from accelerated_smoothing.errors import InputError
from accelerated_smoothing.papers import captions

NAME = "Fast and sound"
FOLDER = "fast-and-sound"
OPTIONAL = ("table4",)  # made from logs that this repository does not distribute
REPLAYED = f"{FOLDER}/replayed/"  # where the files of the experiment lie below the results folder
LINE = "frontier"  # Cohen et al.'s certificates at every size; the class comes from selection draws
RADIUS = "radius_"  # the columns of its log
TIMES = ["sigma", "method", "images", "passes", "seconds", "same", "arithmetic"]  # of a file of the rule `online`


def caption(run: Run) -> str:
    """Return what was run, in words."""
    return captions.certified(run.config(REPLAYED))


def comparable(run: Run) -> bool:
    """Return False: these tables are in no paper."""
    return False


def methods(config: Config, setting: str) -> list[str]:
    """Return the methods of an experiment that have a setting, such as "budget" or "radii"."""
    return [name for name in config.rows if hasattr(config.method(name), setting)]


def inputs(
    names: Callable[[Config], list[str]], home: str = REPLAYED, timed: bool = False
) -> Callable[[Run], list[str]]:
    """Return a function of a run: the certificates by Cohen et al. at every size, then those by some methods.

    If `timed`, the times of online certificates at each noise level follow.
    """

    def files(run: Run) -> list[str]:
        certificates = run.certificates(home, methods=[LINE, *names(run.config(home))])
        return [*certificates, *(run.online(home, sigma) for sigma in run.config(home).sigmas if timed)]

    return files


def load(paths: Sequence[Path]) -> pd.DataFrame:
    """Read certificates of one experiment.

    Raises:
        InputError: a broken log, or a noise level without Cohen et al.'s line.
    """
    logs = analysis.check_one_experiment(analysis.read_logs(paths))
    for key in analysis.groups(logs):
        if not len(analysis.one(logs, key.sigma, LINE)):
            raise InputError(f"the certificates must include {LINE} at sigma {key.sigma:g}, which others are judged by")
    return logs


def load_timed(paths: Sequence[Path]) -> pd.DataFrame:
    """Read certificates of one experiment; the time of those that were also made online is what they took then.

    Raises:
        InputError: as `load`, or online and replayed certificates differ.
    """
    times = [path for path in paths if _is_times(path)]
    logs = load([path for path in paths if path not in times])
    online = pd.concat([pd.read_csv(path, sep="\t") for path in times]) if times else pd.DataFrame(columns=TIMES)
    if (online["same"] == 0).any():
        other = online.loc[online["same"] == 0, "method"].iloc[0]
        raise InputError(f"online certificates must equal the replayed ones, got others by {other}; count again")
    measured = dict(zip(zip(online["sigma"], online["method"], strict=True), online["seconds"], strict=True))
    keys = zip(logs["sigma0"], logs["method"], logs["time"], strict=True)
    return logs.assign(time=[measured.get((sigma, method), replayed) for sigma, method, replayed in keys])


def _is_times(path: Path) -> bool:
    """Return whether a file holds times of online certificates, by its first line."""
    try:
        with path.open(encoding="utf-8") as lines:
            return lines.readline().rstrip("\n").split("\t") == TIMES
    except (OSError, UnicodeDecodeError):
        return False


def sizes(log: pd.DataFrame) -> list[int]:
    """Return the numbers of draws of a line, ascending."""
    known = [column for column in log if log[column].notna().all()]
    return sorted(int(match[1]) for column in known if (match := re.fullmatch(rf"{RADIUS}(\d+)", str(column))))


def at_size(log: pd.DataFrame, n: int) -> pd.DataFrame:
    """Return the certificates of a line from its first n draws."""
    radius = log[f"{RADIUS}{n}"]
    before = log["passes"] - log["n"]
    right = (log["top"] == log["label"]) & (radius > 0)
    return log.assign(
        radius=radius, correct=right.astype(int), n=n, passes=before + n, predict=log["top"].where(radius > 0, ABSTAIN)
    )


def line(log: pd.DataFrame, share: Callable[[np.ndarray], np.ndarray]) -> Callable[[float], float]:
    """Return a number of Cohen et al.'s certificates as a function of mean passes, linear between sizes.

    Args:
        log: the line.
        share: the number at each size, from the radii [images, sizes] with 0 where the prediction is wrong.
    """
    draws = sizes(log)
    before = float((log["passes"] - log["n"]).mean())
    right = (log["top"] == log["label"]).to_numpy()[:, None]
    values = share(right * log[[f"{RADIUS}{n}" for n in draws]].to_numpy())
    return lambda at: float(np.interp(at, [0.0, *(before + n for n in draws)], [0.0, *values]))


def seconds(log: pd.DataFrame) -> float:
    """Return the median time of a certificate."""
    return float(pd.to_numeric(log["time"]).median())
