"""Checks of the experiments of one paper against one another, and against the main experiment.

As in `checks`, the line of an error starts with the key to change, and every function raises a ValueError.
"""

import functools
from collections.abc import Mapping, Sequence
from graphlib import CycleError, TopologicalSorter
from typing import TYPE_CHECKING

from accelerated_smoothing import registry
from accelerated_smoothing.architectures import embeds, of_file
from accelerated_smoothing.config.checks import one_of

if TYPE_CHECKING:
    from accelerated_smoothing.config.experiment import Config


def shared(key: str, config: "Config", main: "Config") -> None:
    """Check that an experiment with the classifiers of the main one changes nothing that they depend on."""
    if config.classifier is None:
        return
    names = (
        "base",
        "training",
        "noise",
        "initial",
        "teacher",
        "members",
        "combine",
        "embedding",
        "dataset.train",
        "sampling.precision",
        "sampling.batch_size",
    )
    for name in names:
        own, others = (functools.reduce(getattr, name.split("."), each) for each in (config, main))
        if own != others:
            raise ValueError(f"{key}.{name} must be as in the main experiment, since classifier is main, got {own!r}")
    for sigma in sorted(set(config.sigmas) - set(main.sigmas)):
        raise ValueError(f"{key}.sigmas must be among {main.sigmas}, since classifier is main, got {sigma}")


def paper(name: str, experiments: Mapping[str, "Config"]) -> None:
    """Check how the experiments of a paper build on one another.

    Args:
        name: of the paper.
        experiments: those in use, by name.
    """
    for experiment, config in experiments.items():
        key = f"papers.{name}.experiments.{experiment}"
        others = [other for other in experiments if other != experiment]
        initial(key, config, others, experiments)
        teacher(key, config, others, experiments)
        members(key, config, others, experiments)
        embedding(key, config, others, experiments)
        other(key, config, others, experiments)
    circles(f"papers.{name}.experiments", experiments)


def initial(key: str, config: "Config", others: Sequence[str], experiments: Mapping[str, "Config"]) -> None:
    if config.initial is None:
        return
    first = source(key, "initial", config.initial, config, others, experiments)
    for sigma in config.sigmas:
        if of_file(first.checkpoints.get(sigma, "")):
            raise ValueError(f"{key}.initial must be weights, got {config.initial!r}, a program at sigma {sigma}")
    if config.base.arch != first.base.arch:
        raise ValueError(f"{key}.base.arch must be {first.base.arch}, as in {config.initial}, got {config.base.arch!r}")


def teacher(key: str, config: "Config", others: Sequence[str], experiments: Mapping[str, "Config"]) -> None:
    taught(f"{key}.teacher", config)
    if config.teacher is None:
        return
    first = source(key, "teacher", config.teacher, config, others, experiments)
    if first.embedding != config.embedding:
        raise ValueError(f"{key}.teacher must have the same embedding, got {config.teacher!r}")


def taught(key: str, config: "Config") -> None:
    """Check that a way of training has a teacher if it needs one."""
    needed = hasattr(registry.load("training.ways", config.training), "lessons")
    if needed != (config.teacher is not None):
        wanted = "an experiment of the same paper" if needed else "null"
        got = config.teacher or "null"
        raise ValueError(f"{key} must be {wanted}, since training is {config.training}, got {got}")


def other(key: str, config: "Config", others: Sequence[str], experiments: Mapping[str, "Config"]) -> None:
    """Check that methods that read the counts of another experiment name one with such counts."""
    for row in config.rows:
        name = getattr(config.method(row), "other", None)
        if name is None:
            continue
        method = f"{key}.methods.{row}".lstrip(".")
        read = source(method, "other", name, config, others, experiments)
        if ("test", "estimation") not in read.counted() or read.dataset.test != config.dataset.test:
            raise ValueError(f"{method}.other must be an experiment that counts the same images, got {name!r}")
        for field in ("n0", "noise"):
            own, others_own = getattr(config, field), getattr(read, field)
            if own != others_own:
                raise ValueError(f"{key}.{field} must be as in {name}, which {row} reads, got {own!r}".lstrip("."))


def source(
    key: str, field: str, name: str, config: "Config", others: Sequence[str], experiments: Mapping[str, "Config"]
) -> "Config":
    """Return the experiment of the same paper whose base classifiers another one reads."""
    one_of(f"{key}.{field}", name, others)
    first = experiments[name]
    for sigma in sorted(set(config.sigmas) - set(first.sigmas)):
        raise ValueError(f"{key}.sigmas must be among those of {name} {first.sigmas}, got {sigma}")
    return first


def members(key: str, config: "Config", others: Sequence[str], experiments: Mapping[str, "Config"]) -> None:
    archs = [source(key, "members", name, config, others, experiments).arch() for name in config.members]
    for name, arch in zip(config.members, archs, strict=True):
        if arch != archs[0]:
            raise ValueError(f"{key}.members must have one architecture, got {name!r} with {arch}, not {archs[0]}")


def circles(key: str, experiments: Mapping[str, "Config"]) -> None:
    """Check that no experiment builds on itself."""
    built = {
        name: {*config.members, *filter(None, (config.initial, config.teacher))} for name, config in experiments.items()
    }
    try:
        TopologicalSorter(built).prepare()
    except CycleError as error:
        raise ValueError(f"{key} must not build on one another in a circle, got {' <- '.join(error.args[1])}") from None


def embedding(key: str, config: "Config", others: Sequence[str], experiments: Mapping[str, "Config"]) -> None:
    if config.embedding is None:
        return
    one_of(f"{key}.embedding", config.embedding, others)
    backbone = experiments[config.embedding]
    if not embeds(backbone.arch()):
        raise ValueError(
            f"{key}.embedding must be an experiment with a 1-Lipschitz network such as sll32-2, got "
            f"{config.embedding!r} with {backbone.arch()}"
        )
    if len(backbone.sigmas) > 1:
        raise ValueError(
            f"{key}.embedding must be an experiment with one sigma, got {config.embedding!r} with {backbone.sigmas}"
        )
