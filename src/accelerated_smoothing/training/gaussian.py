"""Training the base classifier f under Gaussian noise (Cohen et al. 2019, section 3.3)."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn

from accelerated_smoothing import models
from accelerated_smoothing.config import Base
from accelerated_smoothing.data import Images
from accelerated_smoothing.files import discard
from accelerated_smoothing.provenance.code import digest
from accelerated_smoothing.training import loop


def step(model: nn.Module, settings: Base, device: torch.device) -> loop.Step:
    """A training step of f: SGD on the cross-entropy."""
    optimizer = torch.optim.SGD(
        model.parameters(), settings.lr, momentum=settings.momentum, weight_decay=settings.weight_decay
    )
    return loop.Step(model, optimizer, F.cross_entropy, settings.precision, device)


def train(
    train: Images, test: Images, output: Path, settings: Base, sigma: float, seed: int, device: torch.device
) -> None:
    """Train f on noisy copies of images and write its weights.

    Args:
        train: all training images.
        test: images on which the log's `test_accuracy` is measured, one noisy copy each.
        output: the weight file; `<stem>.csv` beside it logs each epoch.
        sigma: standard deviation of the noise, in [0,1] pixels.
        seed: the root seed.
    """
    description = {
        "kind": "base",
        "arch": settings.arch,
        "sigma": sigma,
        **{key: train.meta[key] for key in ("dataset", "classes", "mean", "std")},
    }
    purpose = f"gaussian/{sigma}"
    torch.manual_seed(loop.generator(seed, f"{purpose}/weights", torch.device("cpu")).initial_seed())
    model = models.build(settings.arch, train.meta["classes"], train.meta["mean"], train.meta["std"])
    images, labels = torch.from_numpy(train.pixels()).to(device), torch.from_numpy(train.labels).to(device)
    test_images, test_labels = (
        torch.from_numpy(test.pixels()).to(device),
        torch.from_numpy(test.labels).to(device),
    )

    def noisy_batches(random: torch.Generator) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        for batch, target in loop.batches(images, labels, settings.batch_size, settings.crop, settings.flip, random):
            noise = torch.randn(batch.permute(0, 2, 3, 1).shape, generator=random, device=device).permute(0, 3, 1, 2)
            yield batch.add_(noise, alpha=sigma), target

    @torch.inference_mode()
    def test_accuracy() -> dict[str, float]:
        random = loop.generator(seed, f"{purpose}/test", device)
        right = 0
        for batch, target in zip(test_images.split(500), test_labels.split(500), strict=True):
            noise = torch.randn(batch.shape, generator=random, device=device)
            right += (model(batch + sigma * noise).argmax(1) == target).sum().item()
        return {"test_accuracy": right / len(test_labels)}

    loop.run(
        step(model, settings, device),
        noisy_batches,
        images=len(images),
        epochs=settings.epochs,
        step_size=settings.step_size,
        gamma=settings.gamma,
        seed=seed,
        purpose=purpose,
        output=output,
        identity={
            **description,
            "seed": seed,
            "code": digest("train_base"),
            "images": hashlib.sha256(train.images.tobytes() + train.labels.tobytes()).hexdigest(),
            **settings.model_dump(mode="json"),
        },
        evaluate=test_accuracy,
    )
    models.save(output, model, description)
    discard(loop.partial(output))
