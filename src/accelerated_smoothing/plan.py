"""What a config will cost: jobs, passes and disk at once; hours, too, from rates that are given or measured here."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from accelerated_smoothing.config import Config
from accelerated_smoothing.data import DATASETS, Shape, as_slice

if TYPE_CHECKING:
    import torch

TRAINING_COST = 3  # passes: where only the rate of predicting is known, a training step is taken for three
MEASURE_SECONDS = 2.0


@dataclass(frozen=True)
class Stage:
    """One kind of job.

    Attributes:
        arch: the network that runs.
        passes: of all its jobs together: noisy copies predicted, or images of all epochs trained on.
        trains: the config's section of the training, or "".
        disk: bytes of what it leaves behind.
    """

    name: str
    arch: str
    jobs: int
    passes: int
    disk: int
    trains: str = ""


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
    training = trained * config.base.epochs * whole.train
    entry = 8 * (whole.classes + 1)  # bytes of one image's counts at one size, and of its time

    made = [
        Stage("base classifiers", base, trained, training, trained * weights(base), "base"),
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
        arch, passes = f"resnet{depth}", sigmas * config.surrogate.epochs * train
        made.append(Stage(f"surrogates of depth {depth}", arch, sigmas, passes, sigmas * weights(arch), "surrogate"))
    return made


def weights(arch: str) -> int:
    """Bytes of a network's weights; the input and the classes hardly matter."""
    from accelerated_smoothing import models

    model = models.build(arch, 10, [0.5] * 3, [0.25] * 3)
    return sum(tensor.nbytes for tensor in model.state_dict().values())


def measure(stage: Stage, config: Config, device: "torch.device") -> float:
    """Images per second of a stage on this machine, from noise to counts or in training, with random weights."""
    import numpy as np
    import torch

    from accelerated_smoothing import engines, models, sampling
    from accelerated_smoothing.training import gaussian, surrogate

    whole = shape(config)
    size = (whole.channels, whole.size, whole.size)
    model = models.build(stage.arch, whole.classes, [0.5] * whole.channels, [0.25] * whole.channels)
    if stage.trains:
        step = (gaussian if stage.trains == "base" else surrogate).step(model, getattr(config, stage.trains), device)
        batch = getattr(config, stage.trains).batch_size
        inputs = torch.rand((batch, *size), device=device).to(memory_format=torch.channels_last)
        shares = torch.full((batch, whole.classes), 1 / whole.classes, device=device)

        def work(amount: int) -> None:
            for _ in range(0, amount, batch):
                loss = step(inputs, shares)
            loss.item()
    else:
        sampled, batch = config.sampling, 256
        engine = engines.build(
            model.eval(), size, device=device, precision=sampled.precision, batch_size=sampled.batch_size
        )

        def work(amount: int) -> None:
            image = np.zeros((1, *size), np.float32)
            sampling.count_predictions(engine, image, 0.25, amount, 0, classes=whole.classes)

    amount = batch
    while True:
        work(amount)  # the first time is slower
        begun = time.perf_counter()
        work(amount)
        seconds = time.perf_counter() - begun
        if seconds > MEASURE_SECONDS / 2:
            return amount / seconds
        amount *= 2


def report(config: Config, device: "torch.device | None", given: float | None) -> str:
    """The plan as text.

    Args:
        device: where rates are measured; None for no measuring.
        given: images per second that the base classifier predicts, instead. A training step is then taken for
            `TRAINING_COST` passes, and the cost of a network for proportional to its depth.
    """
    made = stages(config)
    rates = [0.0] * len(made)
    if given:
        depths = [int(stage.arch.removeprefix("resnet")) - 2 for stage in made]
        base = int(config.base.arch.removeprefix("resnet")) - 2
        costs = [TRAINING_COST if stage.trains else 1 for stage in made]
        rates = [given * base / (depth * cost) for depth, cost in zip(depths, costs, strict=True)]
    elif device is not None:
        kinds = {(stage.arch, stage.trains): stage for stage in made}
        measured = {kind: measure(stage, config, device) for kind, stage in kinds.items()}
        rates = [measured[stage.arch, stage.trains] for stage in made]
    hours = [stage.passes / speed / 3600 if speed else 0.0 for stage, speed in zip(made, rates, strict=True)]
    lines = [f"{'stage':24} {'network':10} {'jobs':>5} {'images':>15} {'disk':>9} {'images/s':>9} {'hours':>9}"]
    for stage, speed, needed in zip(made, rates, hours, strict=True):
        cost = f"{speed:9.0f} {needed:9.2f}" if speed else f"{'?':>9} {'?':>9}"
        lines.append(
            f"{stage.name:24} {stage.arch:10} {stage.jobs:5} {stage.passes:15.4g} {stage.disk / 1e6:6.1f} MB {cost}"
        )
    jobs, passes, disk = (sum(getattr(stage, name) for stage in made) for name in ("jobs", "passes", "disk"))
    total = f"{sum(hours):9.2f}" if any(rates) else f"{'?':>9}"
    lines.append(f"{'all':24} {'':10} {jobs:5} {passes:15.4g} {disk / 1e6:6.1f} MB {'':9} {total}")
    lines.append("images: noisy copies predicted, or images of all epochs trained on; tables and figures take seconds")
    if given:
        lines.append(
            f"{config.base.arch} taken to predict {given:g} images/s, a training step for {TRAINING_COST} passes, "
            "and the cost of a network for proportional to its depth"
        )
    elif device is not None:
        import torch

        cuda = device.type == "cuda"
        where = torch.cuda.get_device_name(device) if cuda else f"CPU, {torch.get_num_threads()} threads"
        lines.append(f"measured here on {where}, counting in {config.sampling.precision}")
    else:
        lines.append("hours: --measure takes rates of this machine, --rate R that the base predicts R images/s")
    if given or (device is not None and device.type == "cuda"):
        lines.append(f"GPU-hours: {sum(hours):.1f}")
    return "\n".join(lines)
