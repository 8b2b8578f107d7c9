"""Principal components with a linear layer behind them: `pca32-64` takes 64 of images of 32 pixels a side."""

import re

from accelerated_smoothing.architectures import LAYER

PATTERN = r"pca.*"
EXAMPLES = "pca32-64"
LIPSCHITZ = True


def shape(arch: str) -> tuple[int, int]:
    """Return the pixels a side of the images, and the number of components.

    Raises:
        ValueError: `arch` is not the name of such a network.
    """
    match = re.fullmatch(r"pca([1-9]\d*)-([1-9]\d*)", arch)
    if not match:
        raise ValueError(f"must be pca<side of the images>-<components>, such as pca32-64, got {arch!r}")
    return int(match[1]), int(match[2])


def side(arch: str) -> int:
    """Return the pixels a side of the images."""
    return shape(arch)[0]


def features(arch: str) -> int:
    """Return the dimension of the embedding."""
    return shape(arch)[1]


def cost(arch: str) -> float:
    """Return the cost of a pass, in layers of a CIFAR ResNet on images of the same size with three channels."""
    return 3 * 32 * 32 * features(arch) / LAYER
