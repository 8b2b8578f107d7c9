"""Architectures by name, and what each costs: known without building one, and without torch."""

import itertools
import re
from dataclasses import dataclass

# ResNets of four stages, by the cost of a pass in layers of a CIFAR ResNet on as many pixels. A layer of that takes
# 2.27e6 multiply-adds on 32 pixels a side; resnet18 and resnet34 take 0.555e9 and 1.16e9 there, and a ResNet-50 4.1e9
# on 224.
FOUR_STAGES = {"resnet18": 245, "resnet34": 511, "imagenet-resnet50": 37}
LAYER = 2.27e6
FEATURES = 256  # of the embeddings that a network on them is weighed with: those of images of 32 pixels a side


@dataclass(frozen=True)
class SllShape:
    """The shape of a network of SDP-based Lipschitz layers (`models/sll.py`).

    Attributes:
        unshuffle: side of the squares of pixels that become channels before the first layer.
        stages: (channels, side) of each.
        depth: layers in a stage, and dense ones behind them.
        features: dimension of the embedding.
    """

    unshuffle: int
    stages: list[tuple[int, int]]
    depth: int
    features: int


def resnet_depth(depth: int) -> int:
    """Check that a CIFAR ResNet of this depth exists: 6n + 2 layers (He et al. 2016, section 4.2)."""
    if depth < 8 or (depth - 2) % 6:
        raise ValueError("a CIFAR ResNet has 6n+2 layers: 8, 14, 20, ..., 56, 110")
    return depth


def sll(arch: str) -> SllShape:
    """What `sll<side>-<depth>` names: `sll32-2` is for images of 32 pixels a side, with two layers a stage.

    Raises:
        ValueError: there is no such network.
    """
    found = re.fullmatch(r"sll([1-9]\d*)-([1-9]\d*)", arch)
    if not found:
        raise ValueError(f"found {arch!r}; sll<side of the images>-<layers a stage> would do, such as sll32-2")
    whole, depth = int(found[1]), int(found[2])
    unshuffle = 4 if whole >= 64 else 2 if whole >= 32 else 1
    stages = [(32 if whole < 32 else 64, whole // unshuffle)]
    while stages[-1][1] > 8:
        stages.append((2 * stages[-1][0], stages[-1][1] // 2))
    if stages[-1][1] * 2 ** (len(stages) - 1) * unshuffle != whole:
        raise ValueError(
            f"found {arch!r}: {whole} pixels a side cannot be halved often enough; 8, 28, 32, 224 would do"
        )
    return SllShape(unshuffle, stages, depth, features=8 * whole)


def head(arch: str) -> list[int] | None:
    """Widths of the hidden layers of a network on embeddings: none of `linear`, 64 and 32 of `mlp-64-32`; else None."""
    if arch == "linear":
        return []
    found = re.fullmatch(r"mlp((-[1-9]\d*)+)", arch)
    return [int(width) for width in found[1].split("-")[1:]] if found else None


def embeds(arch: str) -> bool:
    """Whether the network is a 1-Lipschitz backbone with a linear layer behind it."""
    return arch.startswith("sll")


def side(arch: str) -> int | None:
    """Pixels a side of the images that a network is made for, 1 for embeddings; None where any will do."""
    if embeds(arch):
        shape = sll(arch)
        return shape.unshuffle * shape.stages[0][1]
    return None if head(arch) is None else 1


def cost(arch: str) -> float:
    """What a pass costs, in layers of a CIFAR ResNet on images of the same size; a check that `arch` exists, too.

    A network on embeddings is weighed as if these came of images of 32 pixels.
    """
    if arch in FOUR_STAGES:
        return FOUR_STAGES[arch]
    if embeds(arch):
        shape = sll(arch)
        return _adds(shape) * (32 / (side(arch) or 32)) ** 2 / LAYER
    hidden = head(arch)
    if hidden is not None:
        return max(sum(a * b for a, b in itertools.pairwise([FEATURES, *hidden, 10])) / LAYER, 1e-3)
    found = re.fullmatch(r"resnet(\d+)", arch)
    if not found:
        some = ", ".join(["resnet20", "resnet56", "resnet110", *FOUR_STAGES, "sll32-2", "linear", "mlp-128"])
        raise ValueError(f"unknown architecture; one of {some} would do")
    return resnet_depth(int(found[1])) - 2


def rescaling(arch: str) -> float:
    """What a training step computes whatever its batch, in passes of an image: the scaling T of an SLL network."""
    if not embeds(arch):
        return 0
    shape = sll(arch)
    (last, side), narrower = shape.stages[-1], shape.stages[1:]
    layers = sum(225 * width**3 for width, _ in shape.stages) + 16 * shape.features**3  # at 5x5 shifts of 3x3 weights
    narrowings = sum(2 * width**3 for width, _ in narrower) + last * side**2 * shape.features**2
    return (shape.depth * layers + narrowings) / _adds(shape)


def _adds(shape: SllShape) -> int:
    """Multiply-adds of a pass: two in each layer for a weight, and the narrowings between stages and behind them."""
    (last, side), narrower = shape.stages[-1], shape.stages[1:]
    layers = sum(18 * width**2 * side**2 for width, side in shape.stages) + 8 * shape.features**2
    narrowings = sum(2 * width**2 * side**2 for width, side in narrower) + last * side**2 * shape.features
    return shape.depth * layers + narrowings
