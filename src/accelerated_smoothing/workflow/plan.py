"""Cost of a config before anything runs: shards, jobs, passes, disk, hours and time limits.

Hours follow from one rate, the config's `shards.rate`, or from rates that are measured here.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from accelerated_smoothing import registry
from accelerated_smoothing.architectures import cost, embeds, features, rescaling
from accelerated_smoothing.config import Config, as_slice, counter, dataset_shape, embedder, trainer
from accelerated_smoothing.errors import InputError
from accelerated_smoothing.workflow import measuring

if TYPE_CHECKING:
    import torch

    from accelerated_smoothing.data import Shape

TRAINING_COST = 3  # passes that one forward and backward costs, where only the rate of predicting is known
EXACT_COST = 20  # passes that one in float64 costs, where only the rate of predicting is known
THROUGH = ("timing", "attacks")  # stages of a head that also run the backbone


@dataclass(frozen=True)
class Counting:
    """One kind of counting under one sigma.

    Attributes:
        images: number of images that are counted.
        sizes: nested numbers of draws per image, ascending.
        shards: number of jobs, each on a range of images.
    """

    images: int
    sizes: list[int]
    shards: int


@dataclass(frozen=True)
class Stage:
    """One kind of job.

    Attributes:
        name: folder or file of its output.
        arch: the network that runs.
        jobs: number of jobs over all sigmas. Each has a GPU unless `compute.device` is "cpu".
        passes: images predicted (noisy copies) or trained on (all epochs), over all jobs.
        cost: the same in passes of the base classifier. A network is weighed by its layers and channels. A training
            step counts several times, and once for each copy of an image.
        disk: bytes of counts or embeddings that it writes.
        trains: section of the config with the settings of its training, or "".
        exact: whether its passes run in float64 and without noise, as those of a backbone do.
    """

    name: str
    arch: str
    jobs: int
    passes: int
    cost: float
    disk: int = 0
    trains: str = ""
    exact: bool = False


def shape(config: Config) -> "Shape":
    """Return the shape of the config's data set."""
    return dataset_shape(config.dataset.name, config.dataset.folder, config.dataset.size)


def input_shape(experiments: Mapping[str, Config], home: str) -> "Shape":
    """Return the shape of the images, or of their embeddings, on which the networks of an experiment run.

    Args:
        experiments, home: as for `stages`.
    """
    images, backbone = shape(experiments[home]), embedder(experiments, home)
    return replace(images, channels=_features(experiments[backbone]), size=1) if backbone else images


def _features(backbone: Config) -> int:
    """Return the dimension of the embeddings by a backbone."""
    return features(backbone.base.arch)


def counting(config: Config, split: str, purpose: str) -> Counting:
    """Return one kind of counting, in jobs of `shards.minutes` at `shards.rate`.

    Args:
        config: the experiment.
        split: "train" or "test".
        purpose: "estimation", "selection", "pilot" or "variance".

    Raises:
        InputError: the slice of the split is empty.
    """
    part = getattr(config.dataset, split)
    images = len(range(getattr(shape(config), split))[as_slice(part)])
    if not images:
        raise InputError(f"dataset.{split} must keep at least one image, got {part!r}")
    if purpose == "variance":
        images = min(config.variance.images, images)
    sizes = config.sizes(split, purpose)
    draws = config.shards.rate * 60 * config.shards.minutes
    return Counting(images, sizes, min(images, math.ceil(images * sizes[-1] / draws)))


def stages(experiments: Mapping[str, Config], home: str = "") -> list[Stage]:
    """Return the stages of an experiment that run a model.

    Args:
        experiments: all experiments by their folder, since some use the embeddings of others.
        home: folder of this experiment. Sister papers measure no variance, and times only behind a backbone.
    """
    config = experiments[home]
    if config.published:
        return []
    base = config.base.arch
    jobs = _training(experiments, home)
    for way, at in config.chosen().items():
        images = len(config.sigmas) * counting(config, "test", "selection").images
        passes = images * registry.load("sigmas.ways", way).passes(config.chooser(way), at)
        jobs.append(Stage(f"sigmas/{way}", config.arch(), len(config.sigmas), passes, passes))
    jobs += _counts(experiments, home)
    jobs += _timing_and_attacks(experiments, home)
    for depth in config.depths():
        arch = f"resnet{depth}"
        own = sum(trainer(experiments, home, sigma, depth) == home for sigma in config.sigmas)
        passes = own * config.surrogate.epochs * counting(config, "train", "estimation").images
        work = passes * TRAINING_COST * (cost(arch) / cost(base))
        jobs += [Stage(f"surrogates/{arch}", arch, own, passes, work, trains="surrogate")] if own else []
    return jobs


def _training(experiments: Mapping[str, Config], home: str) -> list[Stage]:
    """Return the training of the base classifiers, and the embedding of all images by a backbone."""
    config = experiments[home]
    images, base, sigmas = shape(config), config.base, len(config.sigmas)
    trained = 0 if config.classifier else sum(map(config.trains, config.sigmas))
    passes = trained * base.epochs * images.train
    step = copies(experiments, home) + rescaling(base.arch) / base.batch_size
    jobs = []
    if trained:
        jobs.append(Stage("base", base.arch, trained, passes, passes * TRAINING_COST * step, trains="base"))
    if home in {embedder(experiments, other) for other in experiments}:
        passes = sigmas * (images.train + images.test)
        disk = passes * _features(config) * 4
        jobs.append(Stage("embeddings", base.arch, sigmas, passes, passes * EXACT_COST, disk, exact=True))
    return jobs


def _counts(experiments: Mapping[str, Config], home: str) -> list[Stage]:
    config = experiments[home]
    chosen = sum(map(len, config.chosen().values()))
    jobs = []
    for split, purpose in config.counted() + ([] if home else [("train", "variance")]):
        counts = counting(config, split, purpose)
        own = [sigma for sigma in config.sigmas if counter(experiments, home, sigma, split, purpose) == home]
        # Test images are counted at the sigma of the training, and at each sigma that is chosen for them.
        levels = len(own) + len(config.sigmas) * (chosen if split == "test" else 0)
        if not levels:
            continue
        passes = levels * counts.images * counts.sizes[-1]
        entry = 8 * (shape(config).classes + 1)  # bytes of one image's counts at one size, and of its time
        disk = levels * counts.images * len(counts.sizes) * entry
        name = f"counts/{split}-{purpose}"
        jobs.append(Stage(name, config.arch(), levels * counts.shards, passes, passes, disk))
    return jobs


def _timing_and_attacks(experiments: Mapping[str, Config], home: str) -> list[Stage]:
    """Return what runs the whole network: a backbone, and the head behind it."""
    config, jobs = experiments[home], []
    backbone = embedder(experiments, home)
    network = experiments[backbone] if backbone else config
    slower = config.shards.rate / network.shards.rate
    timed = config.timing.count * config.timing.repeats * sum(config.sampling.sizes)
    if not home:
        jobs.append(Stage("timing", config.arch(), 1, timed, timed))
    if backbone and config.samples():
        jobs.append(Stage("timing", network.base.arch, 1, timed, timed * (1 + slower)))
    if config.online():  # every image may spend all draws, if there is no budget
        n, levels, images = config.sampling.sizes[-1], len(config.sigmas), counting(config, "test", "selection").images
        most = {name: levels * images * getattr(config.method(name), "budget", n) for name in config.online()}
        timed = levels * len(most) * min(config.timing.online, images) * n
        passes = {"online": timed} if config.replay else {f"certificates/{name}": round(x) for name, x in most.items()}
        jobs += [Stage(name, config.arch(), levels, x, x) for name, x in passes.items()]
    if embeds(network.base.arch):
        sigmas, attack = len(config.sigmas), config.attack
        images = sigmas * counting(config, "test", "selection").images
        attacks = images * (len(config.radii) + 1) * attack.restarts  # one more at the certified radius
        steps = attacks * attack.steps * TRAINING_COST
        draws = 0 if 0 in config.sigmas else (images + attacks) * attack.n
        jobs.append(Stage("attacks", network.base.arch, sigmas, steps, steps * slower + draws))
    return jobs


def copies(experiments: Mapping[str, Config], home: str) -> float:
    """Return how many copies of an image go forward and backward in a training step of f, the mean over epochs.

    Copies that a teacher predicts count by what they cost.
    """
    config = experiments[home]
    base, way = config.base, registry.load("training.ways", config.training)
    ascending = max(1 - base.ascent_from / base.epochs, 0)
    passes: float = way.passes(base) + base.ascent * base.ascent_samples * ascending
    if config.teacher:
        teacher = experiments[f"{home.split('/')[0]}/{config.teacher}/"].arch()
        levels = sum(len(config.taught_at(sigma)) for sigma in config.sigmas) / len(config.sigmas)
        passes += levels * way.lessons(base) / TRAINING_COST * cost(teacher) / cost(base.arch)
    return passes


def limits(experiments: Mapping[str, Config], home: str = "") -> dict[str, int]:
    """Return the time limit of each stage's jobs at their first attempt, in minutes, by the stage's name.

    A limit is twice the expected time, and half an hour. A job that hits its limit resumes with more time.

    Args:
        experiments, home: as for `stages`.
    """
    rate = experiments[home].shards.rate
    minutes = {stage.name: stage.cost / max(stage.jobs, 1) / rate / 60 for stage in stages(experiments, home)}
    return {name: 30 + math.ceil(2 * expected) for name, expected in minutes.items()}


def report(experiments: Mapping[str, Config], device: "torch.device | None", home: str = "") -> str:
    """Return the plan of one experiment as text.

    Args:
        experiments, home: as for `stages`.
        device: where rates are measured; None: hours follow from the config's rate.
    """
    config, images = experiments[home], input_shape(experiments, home)
    measured: dict[tuple[str, str, bool], float] = {}
    if device is not None:
        counts = Stage("counts", config.arch(), jobs=0, passes=0, cost=0)  # its rate is needed if nothing is counted
        own = [stage for stage in stages(experiments, home) if not (config.embedding and stage.name in THROUGH)]
        kinds = {(stage.arch, stage.trains, stage.exact): stage for stage in [counts, *own]}
        measured = {kind: measuring.rate(stage, config, images, device) for kind, stage in kinds.items()}
        shards = config.shards.model_copy(update={"rate": float(f"{measured[config.arch(), '', False]:.3g}")})
        config = config.model_copy(update={"shards": shards})
        experiments = {**experiments, home: config}
    jobs, limit, rate = stages(experiments, home), limits(experiments, home), config.shards.rate
    width = max([10, *(len(stage.arch) for stage in jobs)])
    head = f"{'stage':24} {'network':{width}} {'jobs':>5} {'images':>15} {'disk':>9} {'images/s':>9} "
    lines = [head + f"{'hours':>9} {'limit':>9}"]
    hours = longest = disk = 0.0
    for stage in jobs:
        speed = measured.get((stage.arch, stage.trains, stage.exact)) or rate * stage.passes / max(stage.cost, 1)
        size = stage.jobs * measuring.weights(stage.arch, images) if stage.trains else stage.disk
        spent = stage.passes / speed / 3600 if stage.passes else 0.0
        hours, disk = hours + spent, disk + size
        longest += stage.jobs * limit[stage.name] / 60
        lines.append(
            f"{stage.name:24} {stage.arch:{width}} {stage.jobs:5} {stage.passes:15.4g} {size / 1e6:6.1f} MB "
            f"{speed:9.0f} {spent:9.2f} {limit[stage.name]:5} min"
        )
    total, passes = (sum(getattr(stage, name) for stage in jobs) for name in ("jobs", "passes"))
    lines += [
        f"{'all':24} {'':{width}} {total:5} {passes:15.4g} {disk / 1e6:6.1f} MB {'':9} {hours:9.2f} {longest:7.1f} h",
        "images: noisy copies predicted, or images trained on in all epochs; tables and figures take seconds",
        f"limit: of a job's first attempt; a counting job takes {config.shards.minutes:g} minutes",
    ]
    if device is None:
        lines.append(
            f"hours: assume {rate:g} images/s for {config.arch()} (shards.rate), {TRAINING_COST} passes per "
            f"training step and {EXACT_COST} per float64 pass; other networks scale with layers and channels; "
            "--measure measures them here"
        )
    else:
        import torch

        cuda = device.type == "cuda"
        machine = torch.cuda.get_device_name(device) if cuda else f"CPU, {torch.get_num_threads()} threads"
        lines.append(f"hours: measured here on {machine}, counting in {config.sampling.precision}")
        lines.append(f"for the config: shards: {{minutes: {config.shards.minutes:g}, rate: {rate:g}}}")
    if (config.compute.device if device is None else device.type) != "cpu":
        lines.append(f"GPU-hours: {hours:.1f} expected, {longest:.1f} if every job reaches its limit")
    return "\n".join(lines)
