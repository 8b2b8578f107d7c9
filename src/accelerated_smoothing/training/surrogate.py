"""Training the surrogate h, which predicts the normalised class counts of f under noise (sections IV-B and V-A)."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from accelerated_smoothing import models
from accelerated_smoothing.config import Surrogate
from accelerated_smoothing.config.slices import spaced
from accelerated_smoothing.counting.counts import Counts
from accelerated_smoothing.data import Images
from accelerated_smoothing.errors import InputError
from accelerated_smoothing.files import discard
from accelerated_smoothing.training import loop

if TYPE_CHECKING:
    from accelerated_smoothing.counting.engines import Engine

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


def step(model: nn.Module, settings: Surrogate, device: torch.device) -> loop.Step:
    """Return a training step of h: Adam on the Jensen-Shannon divergence."""
    optimizer = torch.optim.Adam(model.parameters(), settings.lr, betas=settings.betas)

    def loss(h: loop.Step, images: torch.Tensor, shares: torch.Tensor) -> torch.Tensor:
        return jensen_shannon(h.forward(images), shares)

    return loop.Step(model, optimizer, loss, settings.precision, device)


def train(
    images: Images,
    counts: Counts,
    output: Path,
    settings: Surrogate,
    depth: int,
    seed: int,
    device: torch.device,
    *,
    code: str,
) -> None:
    """Train h on the counts of the training split and write its weights.

    Args:
        images: the images that were counted, in the same order; those of `settings.holdout` are left out.
        counts: their counts; the largest sample size is used.
        output: the weight file; `<stem>.csv` beside it logs each epoch.
        settings: of the training.
        depth: of the CIFAR ResNet.
        seed: the root seed.
        device: to train on.
        code: digest of the code; an unfinished training of other code is not continued.

    Raises:
        InputError: the counts are of other images, or of the test split.
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
        "holdout": settings.holdout,
        **{key: counts.meta[key] for key in SHARED},
        **{key: images.meta[key] for key in ("mean", "std")},
    }
    purpose = f"surrogate/{counts.sigma}/{depth}"
    torch.manual_seed(loop.generator(seed, f"{purpose}/weights", torch.device("cpu")).initial_seed())
    model = models.build(description["arch"], description["classes"], description["mean"], description["std"])
    rows = np.flatnonzero(~spaced(len(images.idx), settings.holdout))
    pixels = torch.from_numpy(images.take(rows).pixels()).to(device)
    shares = torch.from_numpy((counts.at(samples)[rows] / samples).astype(np.float32)).to(device)

    def epoch_batches(_: int, random: torch.Generator) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
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
            "seed": seed,
            "code": code,
            "counts": hashlib.sha256(counts.counts.tobytes()).hexdigest(),
            **settings.model_dump(mode="json"),
        },
    )
    models.save(output, model, description)
    discard(loop.partial(output))


def predict(h: "Engine", images: np.ndarray) -> np.ndarray:
    """Return the class probabilities h(x), [n, classes] float64, of images [n, channels, height, width] in [0, 1]."""
    return h.logits(torch.from_numpy(images)).double().softmax(1).numpy()
