"""Networks made of networks, called members, of one architecture on images.

`ensemble3-resnet20` has the mean logits of three ResNet-20s, `sween3-resnet20` a weighted mean of their softmaxes, and
`consensus2of3-resnet20` the mean logits of the first two if these two agree on the class, else of all three.
`agreement2-resnet20` has one more class, for images on which its members differ. `denoised-resnet20` has a denoiser
before one ResNet-20.

One network may also be edited, which keeps its architecture: see `models.editing`.
"""

import re

from accelerated_smoothing import architectures
from accelerated_smoothing.architectures import LAYER

PATTERN = r"(ensemble[1-9]\d*|sween[1-9]\d*|consensus[1-9]\d*of[1-9]\d*|agreement[1-9]\d*|denoised)-.+"
EXAMPLES = "ensemble3-resnet20, denoised-resnet20"
LIPSCHITZ = False
DENOISER = (5, 32)  # layers and channels
PIXELS = 32 * 32
EDITS = ("rounded", "pruned")
SINGLE = ("denoised", *EDITS)  # of one member


def kind(arch: str) -> str:
    """Return "ensemble", "sween", "consensus", "agreement" or "denoised"; or "rounded" or "pruned", of an edit."""
    return arch[: re.match("[a-z]*", arch).end()]  # type: ignore[union-attr]


def combined(how: str, member: str, count: int) -> str:
    """Return the architecture of a number of members of one architecture.

    Args:
        how: "ensemble", "sween", "agreement", "denoised", or "consensus2", if two must agree; "rounded" or such as
            "pruned30", which keep the architecture.

    Raises:
        ValueError: the members cannot be combined in this way.
    """
    if kind(how) in SINGLE and count > 1:
        raise ValueError(f"must be one name, since combine is {how}, got {count}")
    if kind(how) == "agreement" and count < 2:
        raise ValueError(f"must be at least two names, since combine is {how}, got {count}")
    if kind(how) in EDITS:
        return member
    head = how if how == "denoised" else f"{how}of{count}" if kind(how) == "consensus" else f"{how}{count}"
    arch = f"{head}-{member}"
    parts(arch)
    return arch


def parts(arch: str) -> list[str]:
    """Return the architecture of each member.

    Raises:
        ValueError: a member is not a network on images with weights of its own, or there are too few members.
    """
    head, _, member = arch.partition("-")
    if architectures.family(member) in ("ensemble", "program", "heads"):
        raise ValueError(f"must be made of networks on images, such as ensemble3-resnet20, got {arch!r}")
    if kind(arch) == "denoised":
        return [member]
    first, *rest = [int(number) for number in re.findall(r"\d+", head)]
    if rest and rest[0] < first:
        raise ValueError(f"must have at least as many members as shall agree, got {arch!r}")
    return [member] * (rest or [first])[0]


def agreeing(arch: str) -> int:
    """Return how many members must agree for the others not to matter; 0: the others always do."""
    return int(arch.removeprefix("consensus").partition("of")[0]) if kind(arch) == "consensus" else 0


def pruned(how: str) -> float:
    """Return the share of weights that are set to zero, 0.3 for "pruned30"."""
    return int(how.removeprefix("pruned")) / 100


def learns(arch: str) -> bool:
    """Return whether a network, or what is combined in a way such as "sween", has weights beside its members'."""
    return kind(arch) in ("sween", "denoised")


def outputs(arch: str, classes: int) -> int:
    """Return the number of logits: one more than classes, if it stands for networks that differ."""
    return classes + (kind(arch) == "agreement")


def cost(arch: str) -> float:
    """Return the cost of a pass, in layers of a CIFAR ResNet, on images of 32 pixels a side."""
    layers, channels = DENOISER
    denoiser = 9 * PIXELS * ((layers - 2) * channels**2 + 2 * 3 * channels) / LAYER
    return sum(map(architectures.cost, parts(arch))) + (denoiser if kind(arch) == "denoised" else 0)


def side(arch: str) -> int | None:
    """Return the pixels a side of the images that the members are made for; None if any size fits."""
    return architectures.side(parts(arch)[0])
