"""Networks on embeddings: `linear` is one linear layer, and `mlp-64-32` has hidden layers of 64 and 32 units."""

import itertools

from accelerated_smoothing.architectures import LAYER

PATTERN = r"linear|mlp(-[1-9]\d*)+"
EXAMPLES = "linear, mlp-128"
LIPSCHITZ = False
FEATURES = 256  # of an embedding, for the cost: as for images of 32 pixels a side


def hidden(arch: str) -> list[int]:
    """Return the widths of the hidden layers."""
    return [int(width) for width in arch.split("-")[1:]]


def cost(arch: str) -> float:
    """Return the cost of a pass, in layers of a CIFAR ResNet on images of 32 pixels a side, with ten classes."""
    return max(sum(a * b for a, b in itertools.pairwise([FEATURES, *hidden(arch), 10])) / LAYER, 1e-3)


def side(arch: str) -> int:
    """Return 1: an embedding is an image of one pixel."""
    return 1
