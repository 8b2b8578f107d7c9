"""Tables and figures of FaRS: Fast Randomized Smoothing, and of what it is held against.

A log of an experiment of that paper lies at `<results>/fars/<experiment>/certificates/sigma<s>/<method>.tsv`, one of
the main experiment at `<results>/certificates/sigma<s>/<method>.tsv`. Every radius is one of the image, wherever the
noise was, so that all of them can be compared.
"""

import re
from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from accelerated_smoothing import analysis
from accelerated_smoothing.errors import InputError

PAPER = "FaRS"
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


def read_logs(paths: list[Path], wanted: Mapping[str, list[str]]) -> analysis.Logs:
    """Certificates by (training sigma, `<experiment>/<method>`), all of the same images; `time` is in seconds.

    Args:
        wanted: methods by experiment, each of which must have a log; of the main experiment others may have some.

    Raises:
        InputError: a broken log, one at another place or of another method, or with a guarantee that it cannot have;
            logs of two results folders or of different images; or one that is missing.
    """
    places = {path: place(path) for path in paths}
    for path, (folder, _) in places.items():
        if folder != places[paths[0]][0]:
            raise InputError(f"{path}: is none of the results of which {paths[0]} is; those of one folder would do")

    def method(path: Path) -> str:
        experiment = places[path][1]
        if path.stem not in wanted.get(experiment, []) and (experiment != MAIN or MAIN not in wanted):
            would = ", ".join(f"{experiment}/{method}" for experiment in wanted for method in wanted[experiment])
            raise InputError(f"{path}: found {experiment}/{path.stem}; a log of these would do: {would}")
        return f"{experiment}/{path.stem}"

    logs = {key: _with_seconds(key, log) for key, log in analysis.read_logs(paths, method).items()}
    for (sigma, key), log in logs.items():
        experiment, _, name = key.partition("/")
        found, right = analysis.guarantee(log), GUARANTEES.get(name)
        if right and found != right:
            raise InputError(f"{key} at sigma {sigma}: its radii are marked {found}; {right} ones would do")
        if found == "estimated" and (sigma, f"{experiment}/{reference(experiment)}") not in logs:
            held = f"{experiment}/{reference(experiment)}"
            raise InputError(f"no log of {held} at sigma {sigma}, to hold {key} against; pass it too")
    for key in (f"{experiment}/{method}" for experiment in wanted for method in wanted[experiment]):
        if key not in {found for _, found in logs}:
            raise InputError(f"no log of {key} at any sigma; pass one at least")
    return logs


def place(path: Path) -> tuple[str, str]:
    """The results folder and the experiment of a log, by where it lies.

    Raises:
        InputError: in no folder of certificates.
    """
    experiments = "|".join(EXPERIMENTS)
    found = re.fullmatch(rf"(.*?)(?:/fars/({experiments}))?/certificates/[^/]+/[^/]+", path.resolve().as_posix())
    if not found:
        raise InputError(f"{path}: lies in no certificates/sigma<s>/; a log where the workflow puts it would do")
    return found[1], found[2] or MAIN


def reference(experiment: str) -> str:
    """The method that estimated radii of an experiment are held against."""
    return "margin" if experiment in LAYERS else "cohen"


def _with_seconds(key: tuple[float, str], log: pd.DataFrame) -> pd.DataFrame:
    """A log whose times are numbers."""
    time = log.get("time", pd.Series([""]))
    seconds = pd.to_numeric(time, errors="coerce")
    if seconds.isna().any():
        raise InputError(f"{key[1]} at sigma {key[0]}: time is {time[seconds.isna()].iloc[0]!r}; seconds would do")
    return log.assign(time=seconds)
