"""FaRS: Fast Randomized Smoothing (Ghazanfari 2023), and what it is compared with: tables and figures.

Every radius is one of the image, wherever the noise is added, so all of them can be compared.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from accelerated_smoothing import analysis
from accelerated_smoothing.config.run import Run
from accelerated_smoothing.errors import InputError
from accelerated_smoothing.papers import captions

NAME = "FaRS"
FOLDER = "fars"
LAYERS = ["original", "lmt", "backbone"]  # linear behind the backbone: one layer, one by margin training, the network's
EXPERIMENTS = [*LAYERS, "mlp", "cohen"]
MAIN = "main"  # the experiment of Accelerated Smoothing
GUARANTEES = {
    "margin": "deterministic",
    "sparsemax": "deterministic",
    "top-logit": "estimated",
    "top-sparsemax": "estimated",
    "embedded": "sound",
    "cohen": "sound",
    "baseline": "sound",
}
Wanted = Mapping[str, Sequence[str]]  # methods by experiment


def home(experiment: str) -> str:
    """Return where the files of an experiment of this paper lie below the results folder."""
    return f"{FOLDER}/{experiment}/"


def caption(run: Run) -> str:
    """Return what was run, in words."""
    return captions.certified(run.paper(FOLDER))


def caption_with_main(run: Run) -> str:
    """Return what was run, in words, the main experiment included."""
    config = run.paper(FOLDER)
    base = f"{captions.base(config)} and, in the main experiment, {run.config().base.arch}"
    return captions.join(config, base, captions.samples(config), captions.images(config))


def comparable(run: Run) -> bool:
    """Return False: the paper's backbone was trained on ImageNet-1k."""
    return False


def short(experiment: str) -> str:
    """Return an experiment of a log without the folder of this paper: "mlp" for "fars/mlp"; "main" stays."""
    return experiment.removeprefix(f"{FOLDER}/")


def read_logs(paths: Sequence[Path], wanted: Wanted) -> pd.DataFrame:
    """Read certificates of several classifiers, all of the same images.

    Args:
        wanted: the methods of each experiment, each of which must have a log. The main experiment, where it is named,
            may have logs by further methods.

    Returns:
        The logs, with the folder of the paper removed from their experiments, and the time in seconds.

    Raises:
        InputError: a broken log; one of another experiment or method, or with another guarantee than its method's; an
            estimate without the log that it is compared with; or a missing log.
    """
    logs = analysis.read_logs(paths)
    experiments = {name if name == MAIN else f"{FOLDER}/{name}": name for name in wanted}
    for key in analysis.groups(logs):
        name = experiments.get(key.experiment)
        if name is None or (key.method not in wanted[name] and name != MAIN):
            expected = ", ".join(f"{name} {method}" for name, methods in wanted.items() for method in methods)
            raise InputError(
                f"the certificates must be of an experiment and a method among {expected}, got "
                f"{key.experiment} {key.method}"
            )
    logs = logs.assign(experiment=logs["experiment"].map(experiments), time=_seconds(logs))
    groups = analysis.groups(logs)
    for key, log in groups.items():
        guarantee = GUARANTEES.get(key.method)
        if guarantee and analysis.guarantee(log) != guarantee:
            raise InputError(f"{analysis.words(key)}: the guarantee must be {guarantee}, got {analysis.guarantee(log)}")
        against = key._replace(method=reference(key.experiment))
        if analysis.guarantee(log) == "estimated" and against not in groups:
            raise InputError(
                f"the certificates must include {analysis.words(against)}, which {key.method} is compared with"
            )
    for name, methods in wanted.items():
        for method in methods:
            if (name, method) not in {(key.experiment, key.method) for key in groups}:
                raise InputError(f"the certificates must include {name} by {method}, got none of these")
    return logs


def reference(experiment: str) -> str:
    """Return the method that estimated radii of an experiment are compared with."""
    return "margin" if experiment in LAYERS else "cohen"


def _seconds(logs: pd.DataFrame) -> pd.Series:
    """Return the times as numbers."""
    seconds = pd.to_numeric(logs["time"], errors="coerce")
    if seconds.isna().any():
        raise InputError(f"the time of certificates must be in seconds, got {logs['time'][seconds.isna()].iloc[0]!r}")
    return seconds
