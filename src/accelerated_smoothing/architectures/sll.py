"""Networks of SDP-based Lipschitz layers: `sll32-2` is for images of 32 pixels a side, with two layers a stage."""

import re
from dataclasses import dataclass

from accelerated_smoothing.architectures import LAYER

PATTERN = r"sll.*"
EXAMPLES = "sll32-2"
LIPSCHITZ = True


@dataclass(frozen=True)
class SllShape:
    """The shape of a network (`models/families/sll.py`).

    Attributes:
        unshuffle: side of the squares of pixels that become channels before the first layer.
        stages: (channels, side) of each.
        depth: layers in a stage, and dense layers behind the stages.
        features: dimension of the embedding.
    """

    unshuffle: int
    stages: list[tuple[int, int]]
    depth: int
    features: int


def shape(arch: str) -> SllShape:
    """Return the shape that a name stands for.

    Raises:
        ValueError: `arch` is not the name of an SLL network.
    """
    match = re.fullmatch(r"sll([1-9]\d*)-([1-9]\d*)", arch)
    if not match:
        raise ValueError(f"must be sll<side of the images>-<layers a stage>, such as sll32-2, got {arch!r}")
    whole, depth = int(match[1]), int(match[2])
    unshuffle = 4 if whole >= 64 else 2 if whole >= 32 else 1
    stages = [(32 if whole < 32 else 64, whole // unshuffle)]
    while stages[-1][1] > 8:
        stages.append((2 * stages[-1][0], stages[-1][1] // 2))
    if stages[-1][1] * 2 ** (len(stages) - 1) * unshuffle != whole:
        raise ValueError(f"must be for images that halve evenly, such as 8, 28, 32 or 224 a side, got {arch!r}")
    return SllShape(unshuffle, stages, depth, features=8 * whole)


def side(arch: str) -> int:
    """Return the pixels a side of the images."""
    whole = shape(arch)
    return whole.unshuffle * whole.stages[0][1]


def features(arch: str) -> int:
    """Return the dimension of the embedding."""
    return shape(arch).features


def cost(arch: str) -> float:
    """Return the cost of a pass, in layers of a CIFAR ResNet on images of the same size."""
    return _adds(shape(arch)) * (32 / side(arch)) ** 2 / LAYER


def rescaling(arch: str) -> float:
    """Return the cost of the scaling T in a training step, which no batch changes, in passes of an image."""
    whole = shape(arch)
    (last, side), narrower = whole.stages[-1], whole.stages[1:]
    layers = sum(225 * width**3 for width, _ in whole.stages) + 16 * whole.features**3  # at 5x5 shifts of 3x3 weights
    narrowings = sum(2 * width**3 for width, _ in narrower) + last * side**2 * whole.features**2
    return (whole.depth * layers + narrowings) / _adds(whole)


def _adds(whole: SllShape) -> int:
    """Return the multiply-adds of a pass: two for each weight of a layer, and one for each of a narrowing."""
    (last, side), narrower = whole.stages[-1], whole.stages[1:]
    layers = sum(18 * width**2 * side**2 for width, side in whole.stages) + 8 * whole.features**2
    narrowings = sum(2 * width**2 * side**2 for width, side in narrower) + last * side**2 * whole.features
    return whole.depth * layers + narrowings
