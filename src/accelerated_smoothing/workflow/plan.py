"""What a config will cost: shards, jobs, passes, disk, hours and time limits, known before anything runs.

Hours follow from one rate, the config's `shards.rate`, or from rates that are measured here.
"""

import functools
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from accelerated_smoothing.architectures import cost, embeds, rescaling, sll
from accelerated_smoothing.config import Config, chooser_module, embedder, trainer_module
from accelerated_smoothing.data import DATASETS, Shape, as_slice
from accelerated_smoothing.errors import InputError

if TYPE_CHECKING:
    import torch

TRAINING_COST = 3  # passes: where only the rate of predicting is known, one forward and backward is taken for three
EXACT_COST = 20  # passes: where only the rate of predicting is known, one in float64 is taken for so many
MEASURE_SECONDS = 2.0
THROUGH = ("timing", "attacks")  # stages of a head that go through the backbone, too


@dataclass(frozen=True)
class Counting:
    """One kind of counting under one sigma.

    Attributes:
        images: that are counted.
        sizes: nested numbers of draws of each, the last being all.
        shards: jobs that it is cut into, each a range of images.
    """

    images: int
    sizes: list[int]
    shards: int


@dataclass(frozen=True)
class Stage:
    """One kind of job.

    Attributes:
        name: the folder of what it makes, or the file.
        arch: the network that runs.
        jobs: of all sigmas, each with a GPU unless `compute.device` is "cpu".
        passes: of all its jobs together: noisy copies predicted, or images of all epochs trained on.
        cost: the passes, in passes of the base classifier: by layers and channels, and more for a training step, which
            may take several copies of an image forward and backward.
        disk: bytes of counts or embeddings that it leaves behind.
        trains: the config's section of the training, or "".
        exact: whether its passes are those of a backbone, in float64 and without noise.
    """

    name: str
    arch: str
    jobs: int
    passes: int
    cost: float
    disk: int = 0
    trains: str = ""
    exact: bool = False


def shape(config: Config) -> Shape:
    """How much there is of the config's dataset."""
    return _shape(config.dataset.name, config.dataset.folder, config.dataset.size)


def seen(experiments: Mapping[str, Config], home: str) -> Shape:
    """The same as an experiment's networks see it: as embeddings, where it names some.

    Args:
        experiments, home: as for `stages`.
    """
    whole, backbone = shape(experiments[home]), embedder(experiments, home)
    return replace(whole, channels=sll(experiments[backbone].base.arch).features, size=1) if backbone else whole


@functools.cache
def _shape(name: str, folder: str, size: int) -> Shape:
    """To know how many images of one's own there are, all their names are read."""
    return DATASETS[name]().shape(Path(folder), size)


def counting(config: Config, split: str, purpose: str) -> Counting:
    """The counting of a split's images for a purpose, in jobs of `shards.minutes` at `shards.rate`.

    Raises:
        InputError: there are no such images.
    """
    part = getattr(config.dataset, split)
    images = len(range(getattr(shape(config), split))[as_slice(part)])
    if not images:
        raise InputError(f"dataset.{split}: found {part!r}: leaves no image; widen the slice")
    n = config.sampling.sizes[-1]
    if purpose == "variance":
        images = min(config.variance.images, images)
    sizes = {
        "estimation": [config.train_samples] if split == "train" else config.sampling.sizes,
        "selection": [config.n0],
        "variance": [n * repeat for repeat in range(1, config.variance.repeats + 1)],
    }[purpose]
    draws = config.shards.rate * 60 * config.shards.minutes
    return Counting(images, sizes, min(images, math.ceil(images * sizes[-1] / draws)))


def stages(experiments: Mapping[str, Config], home: str = "") -> list[Stage]:
    """Every stage of a whole experiment that runs a model.

    Args:
        experiments: all of them, by where they lie: some see what others embed.
        home: where this one lies; those of sister papers measure no times and no variance.
    """
    config = experiments[home]
    whole = shape(config)
    sigmas, base = len(config.sigmas), config.base.arch
    trained = sigmas - len(config.checkpoints)
    training = trained * config.base.epochs * whole.train
    step = copies(config) + rescaling(base) / config.base.batch_size
    made = [Stage("base", base, trained, training, training * TRAINING_COST * step, trains="base")]
    if home in {embedder(experiments, other) for other in experiments}:
        both = sigmas * (whole.train + whole.test)
        disk = both * sll(base).features * 4
        made.append(Stage("embeddings", base, sigmas, both, both * EXACT_COST, disk, exact=True))
    chosen = config.chosen()
    for way, at in chosen.items():
        passes = (
            sigmas * counting(config, "test", "selection").images * chooser_module(way).passes(config.chooser(way), at)
        )
        made.append(Stage(f"sigmas/{way}", base, sigmas, passes, passes))
    kinds = ["train-estimation"] if config.depths() else []
    kinds += ["test-estimation", "test-selection"] if config.samples() else []
    kinds += [] if home else ["train-variance"]
    for kind in kinds:
        counted = counting(config, *kind.split("-"))
        # Test images are counted at the sigma of the training, and at each that is chosen for them.
        levels = sigmas * (1 + sum(map(len, chosen.values())) if kind.startswith("test") else 1)
        passes = levels * counted.images * counted.sizes[-1]
        entry = 8 * (whole.classes + 1)  # bytes of one image's counts at one size, and of its time
        disk = levels * counted.images * len(counted.sizes) * entry
        made.append(Stage(f"counts/{kind}", base, levels * counted.shards, passes, passes, disk))
    if not home:
        timed = config.timing.count * config.timing.repeats * sum(config.sampling.sizes)
        made.append(Stage("timing", base, 1, timed, timed))
    backbone = embedder(experiments, home)
    network = experiments[backbone] if backbone else config
    slower = config.shards.rate / network.shards.rate
    if backbone and config.samples():
        timed = config.timing.count * config.timing.repeats * sum(config.sampling.sizes)
        made.append(Stage("timing", network.base.arch, 1, timed, timed * (1 + slower)))
    if embeds(network.base.arch):
        images, told = sigmas * counting(config, "test", "selection").images, config.attack
        attacks = images * (len(config.radii) + 1) * told.restarts  # and at what is certified
        steps = attacks * told.steps * TRAINING_COST
        draws = 0 if 0 in config.sigmas else (images + attacks) * told.n
        made.append(Stage("attacks", network.base.arch, sigmas, steps, steps * slower + draws))
    for depth in config.depths():
        arch = f"resnet{depth}"
        passes = sigmas * config.surrogate.epochs * counting(config, "train", "estimation").images
        ratio = cost(arch) / cost(base)
        made.append(
            Stage(f"surrogates/{arch}", arch, sigmas, passes, passes * TRAINING_COST * ratio, trains="surrogate")
        )
    return made


def copies(config: Config) -> float:
    """Copies of an image that go forward and backward in a training step of f, in the mean over epochs."""
    settings = config.base
    ascending = max(settings.epochs - settings.ascent_from, 0) / settings.epochs
    return trainer_module(config.training).passes(settings) + settings.ascent * settings.ascent_samples * ascending


def limits(experiments: Mapping[str, Config], home: str = "") -> dict[str, int]:
    """The time limit of each stage's jobs at their first attempt, in minutes, by the stage's name.

    Twice what it should take, and half an hour: a job that is stopped by it goes on where it was, with more time.

    Args:
        experiments, home: as for `stages`.
    """
    made, rate = stages(experiments, home), experiments[home].shards.rate
    minutes = {stage.name: stage.cost / max(stage.jobs, 1) / rate / 60 for stage in made}
    return {name: 30 + math.ceil(2 * expected) for name, expected in minutes.items()}


def network(arch: str, whole: Shape) -> "torch.nn.Sequential":
    """A network with random weights for images of this shape."""
    from accelerated_smoothing import models

    return models.build(arch, whole.classes, [0.5] * whole.channels, [0.25] * whole.channels)


def weights(arch: str, whole: Shape) -> int:
    """Bytes of a network's weights."""
    import torch

    with torch.device("meta"):  # where they take no memory, and no time
        return sum(tensor.nbytes for tensor in network(arch, whole).state_dict().values())


def measure(stage: Stage, config: Config, whole: Shape, device: "torch.device") -> float:
    """Images per second of a stage on this machine, from noise to counts or in training, with random weights.

    Where sigma_x ascends, it does in every step that is measured, though not in every epoch.
    """
    import numpy as np
    import torch

    from accelerated_smoothing import models
    from accelerated_smoothing.counting import engines, sampling
    from accelerated_smoothing.models import embedding
    from accelerated_smoothing.training import base, loop, surrogate

    size = (whole.channels, whole.size, whole.size)
    model = network(stage.arch, whole)
    if stage.trains:
        batch = getattr(config, stage.trains).batch_size
        inputs = torch.rand((batch, *size), device=device).to(memory_format=torch.channels_last)
        rest: tuple[object, ...]
        if stage.trains == "base":
            sigma_x, chosen = torch.full((batch,), config.sigmas[0], device=device), torch.arange(batch, device=device)
            step = base.step(model, config.training, config.base, config.noise, sigma_x, device)
            rest = (chosen % whole.classes, chosen, config.base.ascent > 0, loop.generator(0, "measure", device))
        else:
            step = surrogate.step(model, config.surrogate, device)
            rest = (torch.full((batch, whole.classes), 1 / whole.classes, device=device),)

        def work(amount: int) -> None:
            for _ in range(0, amount, batch):
                loss = step(inputs, *rest)
            loss.item()
    elif stage.exact:
        batch = embedding.BATCH
        linear = models.exact(model.eval().to(device))
        images = torch.rand((batch, *size), dtype=torch.float64, device=device)

        def work(amount: int) -> None:
            with torch.inference_mode():
                for _ in range(0, amount, batch):
                    linear.features(images).cpu()
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


def report(experiments: Mapping[str, Config], device: "torch.device | None", home: str = "") -> str:
    """The plan of one experiment as text.

    Args:
        experiments, home: as for `stages`.
        device: where rates are measured; None for hours from the config's rate.
    """
    config, whole = experiments[home], seen(experiments, home)
    measured: dict[tuple[str, str, bool], float] = {}
    if device is not None:
        counts = Stage("counts", config.base.arch, jobs=0, passes=0, cost=0)  # of which the rate is, counted or not
        own = [stage for stage in stages(experiments, home) if not (config.embedding and stage.name in THROUGH)]
        kinds = {(stage.arch, stage.trains, stage.exact): stage for stage in [counts, *own]}
        measured = {kind: measure(stage, config, whole, device) for kind, stage in kinds.items()}
        found = config.shards.model_copy(update={"rate": float(f"{measured[config.base.arch, '', False]:.3g}")})
        config = config.model_copy(update={"shards": found})
        experiments = {**experiments, home: config}
    made, asked, rate = stages(experiments, home), limits(experiments, home), config.shards.rate
    width = max(10, *(len(stage.arch) for stage in made))
    head = f"{'stage':24} {'network':{width}} {'jobs':>5} {'images':>15} {'disk':>9} {'images/s':>9} "
    lines = [head + f"{'hours':>9} {'limit':>9}"]
    hours = longest = disk = 0.0
    for stage in made:
        kind = (stage.arch, stage.trains, stage.exact)
        speed = measured.get(kind) or rate * stage.passes / max(stage.cost, 1)
        left = stage.jobs * weights(stage.arch, whole) if stage.trains else stage.disk
        hours, disk = hours + stage.passes / speed / 3600, disk + left
        longest += stage.jobs * asked[stage.name] / 60
        lines.append(
            f"{stage.name:24} {stage.arch:{width}} {stage.jobs:5} {stage.passes:15.4g} {left / 1e6:6.1f} MB "
            f"{speed:9.0f} {stage.passes / speed / 3600:9.2f} {asked[stage.name]:5} min"
        )
    jobs, passes = sum(stage.jobs for stage in made), sum(stage.passes for stage in made)
    lines += [
        f"{'all':24} {'':{width}} {jobs:5} {passes:15.4g} {disk / 1e6:6.1f} MB {'':9} {hours:9.2f} {longest:7.1f} h",
        "images: noisy copies predicted, or images of all epochs trained on; tables and figures take seconds",
        f"limit: of a job's first attempt; counting is cut into jobs of {config.shards.minutes:g} minutes",
    ]
    if device is None:
        lines.append(
            f"hours: {config.base.arch} taken to predict {rate:g} images/s (shards.rate), a training step for "
            f"{TRAINING_COST} passes, one in float64 for {EXACT_COST}, the cost of a network from its layers and "
            "channels; --measure measures them here"
        )
    else:
        import torch

        cuda = device.type == "cuda"
        where = torch.cuda.get_device_name(device) if cuda else f"CPU, {torch.get_num_threads()} threads"
        lines.append(f"hours: measured here on {where}, counting in {config.sampling.precision}")
        lines.append(f"for the config: shards: {{minutes: {config.shards.minutes:g}, rate: {rate:g}}}")
    if (config.compute.device if device is None else device.type) != "cpu":
        lines.append(f"GPU-hours: {hours:.1f}, and by the limits at most {longest:.1f}")
    return "\n".join(lines)
