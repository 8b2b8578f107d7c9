"""Training the base classifier f under noise, in any of the `ways`, with one sigma or with one for each image.

One for each image is Algorithm 2 of Alfarra et al. 2022: each time an image is in a batch, its sigma_x first takes some
steps of `sigmas.ways.ascent` from its last value, and then f takes a step under noise of that scale.
"""

import hashlib
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

from accelerated_smoothing import models, training
from accelerated_smoothing import noise as noises
from accelerated_smoothing.architectures import learns, parts, side
from accelerated_smoothing.config import Base
from accelerated_smoothing.data import Images
from accelerated_smoothing.errors import InputError
from accelerated_smoothing.files import discard
from accelerated_smoothing.sigmas.ways.ascent import ascend
from accelerated_smoothing.training import loop
from accelerated_smoothing.training.smoothed import Smoothed, Teacher


def step(
    model: nn.Sequential,
    way: str,
    settings: Base,
    noise: str,
    sigma_x: torch.Tensor,
    device: torch.device,
    teachers: Sequence[tuple[nn.Module, float]] = (),
) -> loop.Step:
    """Return a training step of f.

    A batch is (images, labels, rows, epoch, random). The rows [b] are the places of the images in `sigma_x`, which the
    step changes there from the epoch `ascent_from` on. The generator `random` draws all that the step needs.

    Args:
        model: f.
        way: of training.
        settings: of the way.
        noise: the distribution's name.
        sigma_x: [n] of all training images, on the device.
        device: to train on.
        teachers: in evaluation mode, each with its sigma, for a way that learns from them.
    """
    loss, distribution = training.way(way).loss, noises.distribution(noise)
    parameters = [weight for weight in model.parameters() if weight.requires_grad]
    lr, decay = settings.lr, settings.weight_decay
    optimizer: torch.optim.Optimizer
    if settings.optimizer == "adamw":
        optimizer = torch.optim.AdamW(parameters, lr, betas=(settings.momentum, 0.999), weight_decay=decay)
    else:
        optimizer = torch.optim.SGD(parameters, lr, momentum=settings.momentum, weight_decay=decay)
    lessons = [(loop.placed(teacher.requires_grad_(False), device), sigma) for teacher, sigma in teachers]

    def batch_loss(
        f: loop.Step,
        images: torch.Tensor,
        labels: torch.Tensor,
        rows: torch.Tensor,
        epoch: int,
        random: torch.Generator,
    ) -> torch.Tensor:
        _, channels, height, width = images.shape

        def standard(copies: int) -> torch.Tensor:
            shape = (copies, height, width, channels)  # channels last in memory, as the images
            return distribution.standard(shape, random, device).permute(0, 3, 1, 2)

        def scaled(sigma: torch.Tensor, samples: int) -> torch.Tensor:
            return standard(len(sigma) * samples) * sigma.repeat_interleave(samples).view(-1, 1, 1, 1)

        if settings.ascent and epoch >= settings.ascent_from:
            sigma_x[rows] = ascend(
                f.frozen,
                images,
                sigma_x[rows],
                lambda _: standard(len(images) * settings.ascent_samples).unflatten(0, (len(images), -1)),
                distribution.margin,
                range(settings.ascent),
                settings.ascent_lr,
            )
        linear = partial(models.linear, model)
        taught = [Teacher(partial(f.run, teacher), sigma) for teacher, sigma in lessons]
        smoothed = Smoothed(f.forward, f.frozen, scaled, distribution.margin, linear, epoch, random, taught)
        return loss(smoothed, images, labels, sigma_x[rows], settings)

    return loop.Step(model, optimizer, batch_loss, settings.precision, device, settings.batch_size)


def copies(way: str, settings: Base, epoch: int, teachers: int) -> int:
    """Return how many copies of an image go through a network in one step: f, or one of a number of teachers."""
    module: Any = training.way(way)
    lessons: int = module.lessons(settings) * teachers if teachers else 0
    ascending = settings.ascent * settings.ascent_samples if epoch >= settings.ascent_from else 0
    return module.passes(settings) + lessons + ascending


def train(
    train: Images,
    test: Images,
    output: Path,
    way: str,
    settings: Base,
    sigma: float,
    noise: str,
    seed: int,
    device: torch.device,
    initial: Path | None = None,
    teachers: Sequence[Path] = (),
    members: Sequence[Path] = (),
    *,
    code: str,
) -> None:
    """Train f on noisy copies of images and write its weights.

    Args:
        train: all training images.
        test: images on which the log's `test_accuracy` is measured, one noisy copy each.
        output: the weight file; `<stem>.csv` beside it logs each epoch.
        way: of training.
        settings: of the way.
        sigma: scale of the noise, in [0,1] pixels, and the first value of each sigma_x.
        noise: its distribution's name.
        seed: the root seed.
        device: to train on.
        initial: weights to start from; None for random ones.
        teachers: weights of the classifiers that the way learns from, the largest sigma first.
        members: weights of the members of a network that is made of them.
        code: digest of the code; an unfinished training of other code is not continued.

    Raises:
        InputError: `way` or `noise` is not the name of a plug-in, the network is for images of another size or has
            nothing to train, the initial weights or members are of another network or data set, or teachers are given
            to a way that needs none, or are not given to one that does.
    """
    if hasattr(training.way(way), "lessons") != bool(teachers):
        got = " ".join(map(str, teachers)) or "none"
        raise InputError(f"teacher must be {'none' if teachers else 'weights'}, since training is {way}, got {got}")
    if len(teachers) > 1 and not hasattr(training.way(way), "LEVELS"):
        raise InputError(f"teacher must be one file, since training is {way}, got {len(teachers)}")
    description = {
        "kind": "base",
        "arch": settings.arch,
        "sigma": sigma,
        "training": way,
        "noise": noise,
        **{key: train.meta[key] for key in models.INPUT},
    }
    if not learns(settings.arch):
        raise InputError(f"arch must have weights to train, got {settings.arch!r}; the verb assemble makes an ensemble")
    height, width = train.images.shape[2:]
    if side(settings.arch) not in (None, height) or (side(settings.arch) and height != width):
        raise InputError(f"arch must be for images of {height}x{width} pixels, got {settings.arch!r}")
    purpose = f"{way}/{noise}/{sigma}" + ("/tuned" if initial else "")
    if initial is None:
        torch.manual_seed(loop.generator(seed, f"{purpose}/weights", torch.device("cpu")).initial_seed())
        model = models.build(settings.arch, train.meta["classes"], train.meta["mean"], train.meta["std"])
        if members or parts(settings.arch):
            models.assemble(model, members, description)
        models.prepare(model, train.pixels())
    else:
        model, stored = models.load(initial, "base")
        for key in ("arch", *models.INPUT):
            if stored[key] != description[key]:
                raise InputError(f"{initial} must be made for {key} {description[key]}, got {stored[key]}")
    images, labels = torch.from_numpy(train.pixels()).to(device), torch.from_numpy(train.labels).to(device)
    test_images, test_labels = (
        torch.from_numpy(test.pixels()).to(device),
        torch.from_numpy(test.labels).to(device),
    )
    loaded = [models.load(teacher, "base", train.meta) for teacher in teachers]
    taught_by = [(model, float(about["sigma"])) for model, about in loaded]
    description |= models.sources(initial=initial, teacher=teachers, members=members)
    sigma_x, everyone = torch.full((len(images),), sigma, device=device), torch.arange(len(images), device=device)

    def epoch_batches(epoch: int, random: torch.Generator) -> Iterator[tuple[object, ...]]:
        batches = loop.batches(images, everyone, settings.batch_size, settings.crop, settings.flip, random)
        for number, (batch, rows) in enumerate(batches):
            of_batch = loop.generator(seed, f"{purpose}/epoch{epoch}/batch{number}", device)
            yield batch, labels[rows], rows, epoch, of_batch

    @torch.inference_mode()
    def accuracy() -> float:
        random = loop.generator(seed, f"{purpose}/test", device)
        right = 0
        for batch, target in zip(test_images.split(500), test_labels.split(500), strict=True):
            standard = noises.distribution(noise).standard(batch.shape, random, device)
            right += (model(batch + sigma * standard).argmax(1) == target).sum().item()
        return right / len(test_labels)

    def columns(epoch: int) -> dict[str, float]:
        levels = hasattr(training.way(way), "LEVELS")  # f predicts noise levels, and labels are classes
        measured = {} if levels else {"test_accuracy": accuracy()}
        measured |= {"sigma": sigma_x.mean().item()} if settings.ascent else {}
        return measured | {"passes": len(images) * copies(way, settings, epoch, len(teachers))}

    loop.run(
        step(model, way, settings, noise, sigma_x, device, taught_by),
        epoch_batches,
        images=len(images),
        epochs=settings.epochs,
        rate=loop.schedule(settings),
        seed=seed,
        purpose=purpose,
        output=output,
        identity={
            **description,
            "seed": seed,
            "code": code,
            "images": hashlib.sha256(train.images.tobytes() + train.labels.tobytes()).hexdigest(),
            **settings.model_dump(mode="json"),
        },
        evaluate=columns,
        carried={"sigma_x": sigma_x} if settings.ascent else {},
    )
    models.save(output, model, description)
    discard(loop.partial(output))
