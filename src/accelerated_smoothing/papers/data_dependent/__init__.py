"""Data-Dependent Randomized Smoothing (Alfarra et al. 2022): its tables and figures.

FS certifies with the sigma of the training. DS certifies with a sigma_x for each image, from Algorithm 1, and is
memory-based. An experiment is a way of training; `-ds` is training by Algorithm 2. A method is "cohen", or a way of
choosing sigma_x and its number: "ascent100", "grid4".
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from accelerated_smoothing import analysis
from accelerated_smoothing.config.run import Run
from accelerated_smoothing.errors import InputError
from accelerated_smoothing.papers import accelerated_smoothing, captions

NAME = "Data-Dependent Randomized Smoothing"
FOLDER = "data-dependent"
TRAININGS = {"cohen": "Cohen", "smoothadv": "SmoothAdv", "macer": "MACER", "yang": "Yang"}
GAUSSIAN = [name + ds for name in ("cohen", "smoothadv", "macer") for ds in ("", "-ds")]
GUARANTEES = {"cohen": "sound", "ascent": "memory", "grid": "memory"}
MEMORY = (
    "Memory: the radii hold for the memory-enhanced classifier only, whose answers depend on earlier inputs; a sigma "
    "of each image's own certifies nothing by itself."
)
Wanted = Mapping[str, Sequence[str]]  # kinds of methods by experiment; a kind is a method's name without its number
Logs = dict[tuple[float, int], pd.DataFrame]  # by training sigma and number of the method, ascending


def caption(run: Run) -> str:
    """Return what was run, in words."""
    return captions.certified(run.paper(FOLDER))


def comparable(run: Run) -> bool:
    """Return whether a run is the paper's experiment on CIFAR-10."""
    return accelerated_smoothing.is_papers(run.paper(FOLDER))


def name(experiment: str) -> str:
    """Return a way of training in words: `MACER`, or `MACER-DS` by Algorithm 2."""
    training, _, ds = experiment.partition("-")
    return TRAININGS[training] + (f"-{ds.upper()}" if ds else "")


def split(method: str) -> tuple[str, int]:
    """Return kind and number of a method: ("ascent", 100) for `ascent100`, ("cohen", 0) for `cohen`."""
    match = re.fullmatch(r"(.*?)(\d*)", method)
    assert match is not None
    return match[1], int(match[2] or 0)


def ascents(run: Run, home: str) -> list[str]:
    """Return the methods of an experiment with sigmas by gradient ascent, by ascending number of steps.

    Raises:
        InputError: no row of the experiment chooses sigmas by gradient ascent.
    """
    steps = run.config(home).chosen().get("ascent", [])
    if not steps:
        raise InputError(f"rows of {home.rstrip('/')} must have a method with choice: ascent, got none")
    return [f"ascent{number}" for number in steps]


def inputs(run: Run, wanted: Wanted) -> list[str]:
    """Return the certificates of some experiments by some kinds of methods."""
    paths = []
    for experiment, kinds in wanted.items():
        home = f"{FOLDER}/{experiment}/"
        paths += run.certificates(home, methods=[name for name in run.methods(home) if split(name)[0] in kinds])
    return paths


def read_logs(paths: Sequence[Path], wanted: Wanted) -> pd.DataFrame:
    """Read certificates of some experiments by some kinds of methods, all of the same images.

    Returns:
        The logs, with the folder of the paper removed from their experiments.

    Raises:
        InputError: a broken log, or one of another experiment, kind or guarantee.
    """
    logs = analysis.read_logs(paths)
    short = {f"{FOLDER}/{experiment}": experiment for experiment in wanted}
    for key, log in analysis.groups(logs).items():
        kind = split(key.method)[0]
        if kind not in wanted.get(short.get(key.experiment, ""), ()):
            expected = ", ".join(sorted(f"{FOLDER}/{name} {kind}" for name, kinds in wanted.items() for kind in kinds))
            raise InputError(
                f"the certificates must be of an experiment and a kind of method among {expected}, got "
                f"{key.experiment} {kind}"
            )
        guarantee = GUARANTEES.get(kind)
        if guarantee and analysis.guarantee(log) != guarantee:
            raise InputError(f"{analysis.words(key)}: the guarantee must be {guarantee}, got {analysis.guarantee(log)}")
    return logs.assign(experiment=logs["experiment"].map(short))


def settings(logs: pd.DataFrame, experiment: str, kind: str) -> Logs:
    """Return the logs of one experiment by one kind of method, by training sigma and number, ascending."""
    by_setting = {
        (key.sigma, split(key.method)[1]): log
        for key, log in analysis.groups(logs[logs["experiment"] == experiment]).items()
        if split(key.method)[0] == kind
    }
    return dict(sorted(by_setting.items()))


def one_experiment(logs: pd.DataFrame) -> str:
    """Return the experiment of the logs.

    Raises:
        InputError: there are several.
    """
    analysis.check_one_experiment(logs)
    return str(logs["experiment"].iloc[0])


def words(sigma: float, number: int) -> str:
    """Return a setting as it stands in a table: `sigma=0.25,K=100`, or `sigma=0.25` for a method without a number."""
    return f"sigma={sigma:g},K={number}" if number else f"sigma={sigma:g}"
