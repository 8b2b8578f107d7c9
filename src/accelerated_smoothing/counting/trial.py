"""A base classifier from elsewhere, tried on noisy images before any long work."""

import numpy as np
import torch
from torch import nn

from accelerated_smoothing.counting import engines
from accelerated_smoothing.counting.engines.pytorch import Pytorch
from accelerated_smoothing.data import Images
from accelerated_smoothing.errors import InputError

TOLERANCE = 1e-3  # of the largest logit: what rounding explains
CPU = torch.device("cpu")


def run(model: nn.Sequential, images: Images, sigma: float, classes: int | None = None, plain: bool = False) -> int:
    """Check that a classifier maps noisy images to finite logits, each by itself and in batches of any size.

    Args:
        model: the classifier.
        images: the first and the last are taken.
        sigma: scale of the noise, [0,1] pixels.
        classes: how many logits there must be; None for any number from 2.
        plain: whether PyTorch runs it, and not OpenVINO.

    Returns:
        The number of logits.

    Raises:
        InputError: it does not; the line begins with "must".
    """
    copies = noisy(images, sigma, 1)
    pair, three = (_engine(model, copies.shape, number, plain) for number in (2, 3))
    found = logits(pair, copies)
    if found.shape[1] != (classes or max(found.shape[1], 2)):
        raise InputError(
            f"must return {classes or 'two or more'} logits, one for each class of {images.meta['dataset']}, "
            f"got {found.shape[1]}"
        )
    if not found.isfinite().all():
        raise InputError("must return finite logits, got NaN or infinity for a noisy image")
    for other in (pair.logits(copies[[0, 0]])[:1], three.logits(copies[[0, 1, 1]])[:1]):
        if not near(other, found[:1], found):
            raise InputError(
                "must predict an image alike at any time and in any batch, got other logits; export it after "
                "model.eval(), with a dynamic batch"
            )
    return found.shape[1]


def noisy(images: Images, sigma: float, copies: int) -> torch.Tensor:
    """Return noisy copies of the first and the last image, [2 * copies, *shape]."""
    pixels = torch.from_numpy(images.take(np.array([0, -1])).pixels()).repeat(copies, 1, 1, 1)
    return pixels + sigma * torch.randn(pixels.shape, generator=torch.Generator().manual_seed(0))


def logits(engine: engines.Engine, images: torch.Tensor) -> torch.Tensor:
    """Return the logits [n, classes] of an engine.

    Raises:
        InputError: it fails, or returns something else; the line begins with "must".
    """
    try:
        found = engine.logits(images)
    except InputError:
        raise
    except Exception as error:  # a network of others may raise any
        line = next((line for line in str(error).splitlines() if line.strip()), "no message")
        raise InputError(
            f"must return logits for images of shape {list(images.shape[1:])}, got {type(error).__name__}: {line}"
        ) from error
    if found.dim() != 2 or len(found) != len(images):
        raise InputError(f"must return logits [n, classes], n = {len(images)}, got {list(found.shape)}")
    return found


def near(some: torch.Tensor, others: torch.Tensor, typical: torch.Tensor) -> bool:
    """Return whether rounding explains how logits differ, next to typical ones."""
    return bool((some - others).abs().max() <= TOLERANCE * typical.abs().max())


def _engine(model: nn.Sequential, shape: torch.Size, batch: int, plain: bool) -> engines.Engine:
    if plain:
        return Pytorch(model, shape[1:], batch=batch, device=CPU)
    return engines.build(model, shape[1:], device=CPU, batch_size=batch, draws=batch)
