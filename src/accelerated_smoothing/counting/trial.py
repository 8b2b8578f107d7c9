"""A base classifier from elsewhere, tried on two noisy images before any long work."""

import torch
from torch import nn

from accelerated_smoothing.counting import engines
from accelerated_smoothing.data import Images
from accelerated_smoothing.errors import InputError

TOLERANCE = 1e-3  # of the largest logit: what rounding explains


def run(model: nn.Sequential, images: Images, sigma: float) -> None:
    """Check that a classifier maps noisy images to finite logits, each by itself and in batches of any size.

    Args:
        model: the classifier.
        images: the first and the last are taken.
        sigma: scale of the noise, [0,1] pixels.

    Raises:
        InputError: it does not; the line begins with "must".
    """
    pixels, classes = torch.from_numpy(images.pixels()[[0, -1]]), images.meta["classes"]
    noisy = pixels + sigma * torch.randn(pixels.shape, generator=torch.Generator().manual_seed(0))
    pair, three = (_engine(model, noisy.shape, number) for number in (2, 3))
    logits = pair.logits(noisy)
    if list(logits.shape) != [2, classes]:
        raise InputError(
            f"must return {classes} logits, one for each class of {images.meta['dataset']}, got {logits.shape[1]}"
        )
    if not logits.isfinite().all():
        raise InputError("must return finite logits, got NaN or infinity for a noisy image")
    near = TOLERANCE * float(logits.abs().max())
    for other in (pair.logits(noisy[[0, 0]])[:1], three.logits(noisy[[0, 1, 1]])[:1]):
        if (other - logits[:1]).abs().max() > near:
            raise InputError(
                "must predict an image alike at any time and in any batch, got other logits; export it after "
                "model.eval(), with a dynamic batch"
            )


def _engine(model: nn.Sequential, shape: torch.Size, batch: int) -> engines.Engine:
    return engines.build(model, shape[1:], device=torch.device("cpu"), batch_size=batch, draws=batch)
