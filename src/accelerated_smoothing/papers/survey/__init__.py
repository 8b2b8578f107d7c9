"""The survey's question, is randomized smoothing scalable (Kumari et al. 2024), on the same images for all methods.

The first table has a row for each base classifier, the second for each certificate on two of them. An entry is the
certificates of one method, and for the first table what the base classifier and its training are known by.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from accelerated_smoothing import analysis
from accelerated_smoothing.config import Config, owner
from accelerated_smoothing.config.run import Run
from accelerated_smoothing.counting import counts
from accelerated_smoothing.errors import InputError
from accelerated_smoothing.files import describe, sha256
from accelerated_smoothing.papers import captions

NAME = "Is randomized smoothing scalable?"
FOLDER = "survey"
LINE = "frontier"  # Cohen et al.'s certificates at every size
COHEN = "cohen"
AGREEMENT = "agreement"  # combines members, and counts the images on which they differ


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


def classifier_files(run: Run) -> list[str]:
    """Return the certificates by Cohen et al., and what is known of each classifier that has them.

    These are its weights, the log of its training if it was trained, and if it is a consensus, how often its first
    members agree, if an experiment counts this.
    """
    files = []
    for home in [each for each in homes(run) if COHEN in run.methods(each)]:
        config, place = run.config(home), owner(run.experiments, home)
        for sigma in config.sigmas:
            stem = f"{run.results}/{place}base/sigma{sigma}"
            files += [*run.certificates(home, [sigma], [COHEN]), f"{stem}.safetensors"]
            files += [f"{stem}.csv"] if run.config(place).trains(sigma) else []
            files += _agreement(run, config, sigma)
    return files


def _agreement(run: Run, config: Config, sigma: float) -> list[str]:
    """Return weights and counts of the experiment of which a consensus asks all members first, if there is one."""
    wanted = (AGREEMENT, config.first_members())
    experiments = [home for home in homes(run) if (run.config(home).combine, run.config(home).members) == wanted]
    return [
        file
        for home in experiments[:1]
        for file in (
            f"{run.results}/{home}base/sigma{sigma}.safetensors",
            run.counts(home, sigma, "test", "estimation"),
        )
    ]


def certificate_files(run: Run) -> list[str]:
    """Return all certificates of the experiments with more methods than Cohen et al.'s."""
    return [file for home in homes(run) if len(run.methods(home)) > 1 for file in run.certificates(home)]


def images_behind(log: pd.DataFrame, settings: analysis.Settings, column: str) -> np.ndarray:
    """Return which images of a log a number of the tables comes from, [images]."""
    if column.startswith("r="):
        return analysis.certified(log, float(column.removeprefix("r=")))
    if column == "abstained":
        return np.asarray(log["predict"] < 0)
    if column in ("ACR", "above_half"):
        return np.asarray(log["correct"] == 1)
    return np.full(len(log), True)


def load_classifiers(paths: Sequence[Path]) -> pd.DataFrame:
    """Read the entries of `classifier_files`.

    Returns:
        The certificates, with the columns `training` (the way), `arch`, `networks` (mean number that run in a pass),
        `training_passes` and `training_seconds` (of all trainings behind it; none where a log does not say).

    Raises:
        InputError: a file is broken, or an entry is not complete.
    """
    entries: list[list[Path]] = []
    for path in paths:
        if path.suffix == ".tsv":
            entries.append([])
        elif not entries:
            raise InputError(f"{path} must come after the certificates that it belongs to")
        entries[-1].append(path)
    logs = analysis.read_logs([certified for certified, *_ in entries])
    known, parts = [_classifier(*entry) for entry in entries], []
    by_hash = {each.hash: each for each in known}
    for log, own in zip(analysis.groups(logs).values(), known, strict=True):
        behind, waiting = set[str](), [own.hash]
        while waiting:
            each = by_hash.get(waiting.pop())
            if each and each.hash not in behind:
                behind.add(each.hash)
                waiting += [source for sources in each.about.get("sources", {}).values() for source in sources]
        trained = [by_hash[each] for each in sorted(behind)]
        parts.append(
            log.assign(
                training=own.about.get("training", "-"),
                arch=own.about["arch"],
                networks=own.networks,
                training_passes=sum(each.passes for each in trained),
                training_seconds=sum(each.seconds for each in trained),
            )
        )
    return pd.concat(parts, ignore_index=True)


class Classifier(NamedTuple):
    """A base classifier: the hash of its weights, what they say of themselves, its own training, and its networks."""

    hash: str
    about: dict[str, Any]
    passes: float
    seconds: float
    networks: float


def _classifier(certified: Path, *files: Path) -> Classifier:
    """Return the classifier of one entry.

    Raises:
        InputError: the weights are missing.
    """
    if not files or files[0].suffix != ".safetensors":
        raise InputError(f"{certified} must stand before the weights of its base classifier")
    weights, *others = files
    log = [file for file in others if file.suffix == ".csv"]
    epochs = pd.read_csv(log[0]) if log else pd.DataFrame({"passes": [], "seconds": []})
    passes = epochs["passes"].sum() if "passes" in epochs else float("nan")
    about = describe(weights)
    networks: float = _members(about)
    if others[len(log) :]:  # a consensus, whose last members run only where the first differ
        first, tallies = others[len(log) :]
        tally = counts.read(tallies).counts[:, -1]
        asked = _members(describe(first))
        networks = asked + (networks - asked) * float(tally[:, -1].sum() / tally.sum())
    return Classifier(sha256(weights), about, float(passes), float(epochs["seconds"].sum()), networks)


def _members(about: dict[str, Any]) -> int:
    """Return the number of networks that weights are made of."""
    return len(about.get("sources", {}).get("members", [])) or 1
