"""The survey's question, is randomized smoothing scalable (Kumari et al. 2024), on the same images for all methods.

The first table has a row for each base classifier, the second for each certificate on two of them. An entry is the
certificates of one method, and for the first table what the base classifier and its training are known by.
"""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from accelerated_smoothing import analysis
from accelerated_smoothing.config import owner
from accelerated_smoothing.config.run import Run
from accelerated_smoothing.errors import InputError
from accelerated_smoothing.files import describe
from accelerated_smoothing.papers import captions

NAME = "Is randomized smoothing scalable?"
FOLDER = "survey"
LINE = "frontier"  # Cohen et al.'s certificates at every size
COHEN = "cohen"


def caption(run: Run) -> str:
    """Return what was run, in words."""
    return captions.certified(run.config())


def comparable(run: Run) -> bool:
    """Return False: published numbers are of other images, networks and numbers of draws."""
    return False


def homes(run: Run) -> list[str]:
    """Return the experiments of the survey."""
    return [home for home in run.experiments if home.startswith(f"{FOLDER}/")]


def name(experiment: str) -> str:
    """Return the name of an experiment within the survey."""
    return experiment.removeprefix(f"{FOLDER}/")


def trainings(run: Run, home: str, sigma: float) -> list[str]:
    """Return the logs of all trainings behind a base classifier: its own, and those of what it builds on."""
    config, place = run.config(home), owner(run.experiments, home)
    logs = [f"{run.results}/{place}base/sigma{sigma}.csv"] if run.config(place).trains(sigma) else []
    for other in filter(None, (config.initial, config.teacher, *config.members)):
        logs += trainings(run, f"{FOLDER}/{other}/", sigma)
    return list(dict.fromkeys(logs))


def classifier_files(run: Run) -> list[str]:
    """Return for each experiment and sigma Cohen et al.'s certificates, the weights, and the logs of trainings."""
    files = []
    for home in homes(run):
        for sigma in run.config(home).sigmas:
            files += run.certificates(home, [sigma], [COHEN])
            files.append(f"{run.results}/{owner(run.experiments, home)}base/sigma{sigma}.safetensors")
            files += trainings(run, home, sigma)
    return files


def certificate_files(run: Run) -> list[str]:
    """Return all certificates of the experiments with more methods than Cohen et al.'s."""
    return [file for home in homes(run) if len(run.methods(home)) > 1 for file in run.certificates(home)]


def load_classifiers(paths: Sequence[Path]) -> pd.DataFrame:
    """Read the entries of `classifier_files`.

    Returns:
        The certificates, with the columns `training` (the way), `arch`, `networks` (that run in one pass),
        `training_passes` and `training_seconds` (of all trainings; none where a log does not say).

    Raises:
        InputError: a file is broken, or an entry is not complete.
    """
    entries: list[list[Path]] = []
    for path in paths:
        if path.suffix == ".tsv":
            entries.append([path])
        elif entries:
            entries[-1].append(path)
        else:
            raise InputError(f"{path} must come after the certificates that it belongs to")
    logs = analysis.read_logs([entry[0] for entry in entries])
    parts = []
    for log, (certified, *rest) in zip(analysis.groups(logs).values(), entries, strict=True):
        if not rest or rest[0].suffix != ".safetensors":
            raise InputError(f"{certified} must stand before the weights of its base classifier")
        about = describe(rest[0])
        spent = [pd.read_csv(path) for path in rest[1:]]
        passes = [float(epochs["passes"].sum()) if "passes" in epochs else float("nan") for epochs in spent]
        parts.append(
            log.assign(
                training=about.get("training", "-"),
                arch=about["arch"],
                networks=about.get("members", 1),
                training_passes=sum(passes),
                training_seconds=sum(float(epochs["seconds"].sum()) for epochs in spent),
            )
        )
    return pd.concat(parts, ignore_index=True)
