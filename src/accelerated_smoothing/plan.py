"""What the current config will cost: jobs, forward passes, disk and hours, from rates measured here or given."""

import time
from dataclasses import dataclass
from pathlib import Path

import torch

from accelerated_smoothing import models, sampling
from accelerated_smoothing.config import Config
from accelerated_smoothing.data import DATASETS, Shape, as_slice

TRAINING_COST = 3  # a training step costs its forward pass and, for the backward pass, about two more
MEASURE_SECONDS = 2.0


@dataclass(frozen=True)
class Stage:
    """One kind of job.

    Attributes:
        arch: the network that runs.
        passes: forward passes of all its jobs together; training counts `TRAINING_COST` for each image and epoch.
        disk: bytes of what it leaves behind.
    """

    name: str
    arch: str
    jobs: int
    passes: int
    disk: int


def shape(config: Config) -> Shape:
    """How much there is of the config's dataset."""
    return DATASETS[config.dataset.name]().shape(Path(config.dataset.folder), config.dataset.size)


def stages(config: Config) -> list[Stage]:
    """Every stage of the whole experiment that runs a model."""
    whole = shape(config)
    train = len(range(whole.train)[as_slice(config.dataset.train)])
    test = len(range(whole.test)[as_slice(config.dataset.test)])
    sigmas, sizes, n = len(config.sigmas), len(config.sampling.sizes), config.sampling.sizes[-1]
    base, repeats = config.base.arch, config.variance.repeats
    repeated = min(config.variance.images, train) * repeats
    variance = min(config.shards.test, config.variance.images)
    trained = sigmas - len(config.checkpoints)
    training = trained * config.base.epochs * whole.train * TRAINING_COST
    entry = 8 * (whole.classes + 1)  # bytes of one image's counts at one size, and of its time

    made = [
        Stage("base classifiers", base, trained, training, trained * weights(base)),
        Stage(
            "counts, train",
            base,
            sigmas * config.shards.train,
            sigmas * train * config.train_samples,
            sigmas * train * entry,
        ),
        Stage("counts, test", base, sigmas * config.shards.test, sigmas * test * n, sigmas * test * sizes * entry),
        Stage("counts, selection", base, sigmas, sigmas * test * config.n0, sigmas * test * entry),
        Stage("counts, variance", base, sigmas * variance, sigmas * repeated * n, sigmas * repeated * entry),
        Stage("timing", base, 1, config.timing.count * config.timing.repeats * sum(config.sampling.sizes), 0),
    ]
    for depth in config.depths():
        arch, passes = f"resnet{depth}", sigmas * config.surrogate.epochs * train * TRAINING_COST
        made.append(Stage(f"surrogates of depth {depth}", arch, sigmas, passes, sigmas * weights(arch)))
    return made


def weights(arch: str) -> int:
    """Bytes of a network's weights; the input and the classes hardly matter."""
    model = models.build(arch, 10, [0.5] * 3, [0.25] * 3)
    return sum(tensor.nbytes for tensor in model.state_dict().values())


def rate(arch: str, config: Config, device: torch.device) -> float:
    """Images per second, from noise to counts, measured for `MEASURE_SECONDS` with random weights."""
    whole = shape(config)
    model = models.build(arch, whole.classes, [0.5] * whole.channels, [0.25] * whole.channels)
    model = sampling.prepare(model.eval(), device)
    image = torch.zeros((1, whole.channels, whole.size, whole.size), device=device)
    samples = config.sampling.batch_size

    def count(samples: int) -> float:
        begun = time.perf_counter()
        sampling.count_predictions(
            model, image, 0.25, samples, 0, classes=whole.classes, batch_size=config.sampling.batch_size
        )
        return time.perf_counter() - begun

    count(samples)  # warm-up
    while (seconds := count(samples)) < MEASURE_SECONDS / 2:
        samples *= 2
    return samples / seconds


def report(config: Config, device: torch.device, given: float | None) -> str:
    """The plan as text.

    Args:
        given: images per second of the base architecture, instead of measuring; other architectures are scaled by
            their measured cost relative to it.
    """
    made = stages(config)
    rates = {arch: rate(arch, config, device) for arch in dict.fromkeys(stage.arch for stage in made)}
    scale = given / rates[config.base.arch] if given else 1.0
    lines = [f"{'stage':24} {'network':10} {'jobs':>5} {'forward passes':>15} {'images/s':>9} {'hours':>9} {'disk':>9}"]
    for stage in made:
        speed = rates[stage.arch] * scale
        hours = stage.passes / speed / 3600
        lines.append(
            f"{stage.name:24} {stage.arch:10} {stage.jobs:5} {stage.passes:15.4g} {speed:9.0f} {hours:9.2f} "
            f"{stage.disk / 1e6:6.1f} MB"
        )
    total = sum(stage.passes / (rates[stage.arch] * scale) for stage in made) / 3600
    jobs, passes, disk = (sum(getattr(stage, name) for stage in made) for name in ("jobs", "passes", "disk"))
    lines.append(f"{'all':24} {'':10} {jobs:5} {passes:15.4g} {'':9} {total:9.2f} {disk / 1e6:6.1f} MB")
    where = torch.cuda.get_device_name(device) if device.type == "cuda" else f"CPU, {torch.get_num_threads()} threads"
    lines.append(
        f"measured here on {where}" + (f", scaled to {given:g} images/s of {config.base.arch}" if given else "")
    )
    if device.type == "cuda" or given:
        lines.append(f"GPU-hours: {total:.1f}")
    lines.append(f"training counts {TRAINING_COST} passes per image and epoch; tables and figures take seconds")
    return "\n".join(lines)
