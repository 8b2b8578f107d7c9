"""Training the surrogate h, which predicts the normalised class counts of f under noise (sections IV-B and V-A)."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from accelerated_smoothing import models
from accelerated_smoothing.config import Surrogate
from accelerated_smoothing.config.slices import spaced
from accelerated_smoothing.counting.counts import Counts
from accelerated_smoothing.data import Images
from accelerated_smoothing.errors import InputError
from accelerated_smoothing.files import discard, sha256
from accelerated_smoothing.training import loop

if TYPE_CHECKING:
    from accelerated_smoothing.counting.engines import Engine

TRAINING = ("arch", "samples", "seed", "loss", "fresh", "from_base")  # what tells surrogates of one f apart
SHARED = ("sigma", "noise", "choice", "base", "dataset", "classes", "arithmetic")  # with the counts that h predicts


def jensen_shannon(logits: torch.Tensor, shares: torch.Tensor) -> torch.Tensor:
    """Return the mean Jensen-Shannon divergence JS(softmax(logits) || shares) in nats, at most ln 2 (eq. 7).

    Args:
        logits: [n, classes] of h.
        shares: [n, classes] normalised counts C; zeros are allowed.
    """
    log_h = logits.log_softmax(1)
    h = log_h.exp()
    log_m = (0.5 * (h + shares)).clamp_min(torch.finfo(h.dtype).tiny).log()
    divergence = h * (log_h - log_m) + torch.xlogy(shares, shares) - shares * log_m
    return 0.5 * divergence.sum(1).mean()


def cross_entropy(logits: torch.Tensor, shares: torch.Tensor) -> torch.Tensor:
    """Return the mean cross-entropy of softmax(logits) under shares, in nats.

    It is linear in the shares. So its expectation over draws, and that of its gradient, are the same for every number
    of draws, and h = p minimises it even if each image has one draw. The Jensen-Shannon divergence is not linear: with
    few draws its minimum is another.

    Args:
        logits, shares: as for `jensen_shannon`.
    """
    return F.cross_entropy(logits, shares)


LOSSES = {"jensen-shannon": jensen_shannon, "cross-entropy": cross_entropy}


def step(model: nn.Module, settings: Surrogate, device: torch.device) -> loop.Step:
    """Return a training step of h: Adam on the loss of the settings."""
    optimizer = torch.optim.Adam(model.parameters(), settings.lr, betas=settings.betas)
    divergence = LOSSES[settings.loss]

    def loss(h: loop.Step, images: torch.Tensor, shares: torch.Tensor) -> torch.Tensor:
        return divergence(h.forward(images), shares)

    return loop.Step(model, optimizer, loss, settings.precision, device, settings.batch_size)


def targets(counts: Counts, rows: np.ndarray, settings: Surrogate) -> list[np.ndarray]:
    """Return the shares [images, classes] float32 that h learns in turn: one for each epoch if fresh, else one for all.

    Args:
        counts: of the training images; if fresh, their sizes are the draws made after each epoch.
        rows: positions of the images that h is trained on.
        settings: of the training.

    Raises:
        InputError: the settings ask for fresh draws, and the counts are not at as many sizes as there are epochs.
    """
    if not settings.fresh:
        n = int(counts.sizes[-1])
        return [(counts.at(n)[rows] / n).astype(np.float32)]
    if len(counts.sizes) != settings.epochs:
        raise InputError(
            f"--counts must have {settings.epochs} sizes, one after each epoch, since --fresh is set, got "
            f"{len(counts.sizes)}"
        )
    drawn = np.diff(counts.counts[rows], axis=1, prepend=0)
    return [(k / k.sum(axis=1, keepdims=True)).astype(np.float32) for k in np.moveaxis(drawn, 1, 0)]


def train(
    images: Images,
    counts: Counts,
    output: Path,
    settings: Surrogate,
    depth: int,
    seed: int,
    device: torch.device,
    base: Path | None = None,
    *,
    code: str,
) -> None:
    """Train h on the counts of the training split and write its weights.

    Args:
        images: the images that were counted, in the same order; those of `settings.holdout` are left out.
        counts: their counts; the largest sample size is used, or the draws between two sizes if they are fresh.
        output: the weight file; `<stem>.csv` beside it logs each epoch.
        settings: of the training.
        depth: of the CIFAR ResNet.
        seed: the root seed.
        device: to train on.
        base: weights of the base classifier, if h starts from them.
        code: digest of the code; an unfinished training of other code is not continued.

    Raises:
        InputError: the counts are of other images, of the test split, or do not suit the settings; or the weights are
            missing or are those of another base classifier or architecture.
    """
    if not np.array_equal(images.idx, counts.idx) or not np.array_equal(images.labels, counts.labels):
        raise InputError("--counts must be of the images, got counts of others; pass the --slice that was counted")
    if counts.meta["split"] != "train":
        raise InputError(
            f"--counts must be of the train split, from which alone h may learn, got {counts.meta['split']}"
        )
    samples = int(counts.sizes[-1])
    description = {
        "kind": "surrogate",
        "arch": f"resnet{depth}",
        "samples": samples,
        "seed": seed,
        **{key: getattr(settings, key) for key in TRAINING if key in Surrogate.model_fields},
        "holdout": settings.holdout,
        **{key: counts.meta[key] for key in SHARED},
        **{key: images.meta[key] for key in ("mean", "std")},
    }
    purpose = f"surrogate/{counts.sigma}/{depth}"
    torch.manual_seed(loop.generator(seed, f"{purpose}/weights", torch.device("cpu")).initial_seed())
    model = models.build(description["arch"], description["classes"], description["mean"], description["std"])
    if settings.from_base:
        start(model, base, description)
    rows = np.flatnonzero(~spaced(len(images.idx), settings.holdout))
    pixels = torch.from_numpy(images.take(rows).pixels()).to(device)
    learned = targets(counts, rows, settings)

    def epoch_batches(epoch: int, random: torch.Generator) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        shares = torch.from_numpy(learned[epoch % len(learned)]).to(device)
        return loop.batches(pixels, shares, settings.batch_size, settings.crop, settings.flip, random)

    loop.run(
        step(model, settings, device),
        epoch_batches,
        images=len(pixels),
        epochs=settings.epochs,
        rate=loop.schedule(settings),
        seed=seed,
        purpose=purpose,
        output=output,
        identity={
            **description,
            "code": code,
            "counts": hashlib.sha256(counts.counts.tobytes()).hexdigest(),
            **settings.model_dump(mode="json"),
        },
    )
    models.save(output, model, description)
    discard(loop.partial(output))


def start(model: nn.Module, base: Path | None, description: dict[str, Any]) -> None:
    """Give a surrogate the weights of the base classifier that it imitates.

    Args:
        model: the surrogate, changed in place.
        base: the weight file of the base classifier.
        description: of the surrogate.

    Raises:
        InputError: the file is missing, or holds another base classifier or architecture.
    """
    if base is None:
        raise InputError("--base must be the weights of the base classifier, since --from-base is set, got none")
    f, of = models.load(base, "base")
    if of["arch"] != description["arch"]:
        raise InputError(f"{base} must be a {description['arch']}, as the surrogate, got a {of['arch']}")
    if sha256(base) != description["base"]:
        raise InputError(f"{base} must be the base classifier that --counts are of, got another")
    model.load_state_dict(f.state_dict())


def predict(h: "Engine", images: np.ndarray) -> np.ndarray:
    """Return the class probabilities h(x), [n, classes] float64, of images [n, channels, height, width] in [0, 1]."""
    return h.logits(torch.from_numpy(images)).double().softmax(1).numpy()
