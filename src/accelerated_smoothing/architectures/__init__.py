"""Architectures by name, and what each costs, without building one and without torch.

A family of architectures is one file here and one in `models/families/`, which has the network. A name is that of the
first family whose pattern it matches.
"""

import ast
import functools
import re
from pathlib import PurePath
from typing import Any, Protocol

from accelerated_smoothing import registry

PLUGINS = {"family": "architectures"}
LAYER = 2.27e6  # multiply-adds of a layer of a CIFAR ResNet on 32 pixels a side
PROGRAMS = {".onnx": "onnx", ".pt2": "exported"}  # architectures of programs, by the suffix of their files


class Family(Protocol):
    """What a module here offers.

    It may also offer `hidden(arch)`, the widths of the hidden layers of a network on embeddings, and `rescaling(arch)`,
    `parts(arch)`, `learns(arch)` and `outputs(arch, classes)`, see the functions below. A backbone offers
    `features(arch)`.

    Attributes:
        PATTERN: regular expression of its names; a literal, since it is read without importing the module.
        EXAMPLES: some of its names, for error messages; a literal, too. Empty if no config can name one.
        LIPSCHITZ: whether its networks are a 1-Lipschitz backbone with a linear layer behind it.
    """

    PATTERN: str
    EXAMPLES: str
    LIPSCHITZ: bool

    def cost(self, arch: str) -> float:
        """Return the cost of a pass, in layers of a CIFAR ResNet on images of the same size.

        Raises:
            ValueError: `arch` is not the name of a network of the family.
        """

    def side(self, arch: str) -> int | None:
        """Return the pixels a side of the images that the network is made for; None if any size fits."""


@functools.cache
def _literals() -> dict[str, dict[str, str]]:
    """Return the literals `PATTERN` and `EXAMPLES` of each family, without importing it."""
    literals: dict[str, dict[str, str]] = {}
    for name in registry.names("architectures"):
        path = registry.PACKAGE.joinpath(*registry.module("architectures", name).split(".")).with_suffix(".py")
        literals[name] = {
            target.id: ast.literal_eval(node.value)
            for node in ast.parse(path.read_bytes()).body
            if isinstance(node, ast.Assign)
            for target in node.targets
            if isinstance(target, ast.Name) and target.id in ("PATTERN", "EXAMPLES")
        }
    return literals


def family(arch: str) -> str:
    """Return the name of an architecture's family.

    Raises:
        ValueError: `arch` is not the name of an architecture.
    """
    for name, literals in _literals().items():
        if re.fullmatch(literals["PATTERN"], arch):
            return name
    examples = ", ".join(filter(None, (literals["EXAMPLES"] for literals in _literals().values())))
    raise ValueError(f"must be an architecture such as {examples}, got {arch!r}")


def parts(arch: str) -> list[str]:
    """Return the architectures of the networks that a network is made of; [] for one that is made of none.

    Raises:
        ValueError: `arch` is not the name of an architecture.
    """
    offered = getattr(_family(arch), "parts", None)
    return offered(arch) if offered else []


def families(arch: str) -> set[str]:
    """Return the names of the families of an architecture and of all its parts.

    Raises:
        ValueError: `arch` is not the name of an architecture.
    """
    return {family(arch)}.union(*map(families, parts(arch)))


def learns(arch: str) -> bool:
    """Return whether a network has weights that none of its parts has.

    Raises:
        ValueError: `arch` is not the name of an architecture.
    """
    offered = getattr(_family(arch), "learns", None)
    return offered(arch) if offered else True


def outputs(arch: str, classes: int) -> int:
    """Return the number of logits of a network for images of a number of classes.

    Raises:
        ValueError: `arch` is not the name of an architecture.
    """
    offered = getattr(_family(arch), "outputs", None)
    return offered(arch, classes) if offered else classes


def of_file(path: str) -> str | None:
    """Return the architecture of a program, by the suffix of its file; None for weights, which state theirs."""
    return PROGRAMS.get(PurePath(path).suffix.lower())


def _family(arch: str) -> Family:
    module: Family = registry.load("architectures", family(arch))
    return module


def cost(arch: str) -> float:
    """Return the cost of a pass, in layers of a CIFAR ResNet on images of the same size.

    Raises:
        ValueError: `arch` is not the name of an architecture.
    """
    return _family(arch).cost(arch)


def side(arch: str) -> int | None:
    """Return the pixels a side of the images that a network is made for; 1 for embeddings; None if any size fits.

    Raises:
        ValueError: `arch` is not the name of an architecture.
    """
    return _family(arch).side(arch)


def embeds(arch: str) -> bool:
    """Return whether the network is a 1-Lipschitz backbone with a linear layer behind it.

    Raises:
        ValueError: `arch` is not the name of an architecture.
    """
    return _family(arch).LIPSCHITZ


def features(arch: str) -> int:
    """Return the dimension of the embeddings by a 1-Lipschitz backbone.

    Raises:
        ValueError: `arch` is not the name of an architecture.
    """
    backbone: Any = _family(arch)
    dimension: int = backbone.features(arch)
    return dimension


def head(arch: str) -> list[int] | None:
    """Return the widths of the hidden layers of a network on embeddings; None for any other network."""
    try:
        hidden = getattr(_family(arch), "hidden", None)
    except ValueError:
        return None
    return hidden(arch) if hidden else None


def rescaling(arch: str) -> float:
    """Return the fixed cost of a training step, in passes of one image: the scaling T of an SLL network.

    Raises:
        ValueError: `arch` is not the name of an architecture.
    """
    compute = getattr(_family(arch), "rescaling", None)
    return compute(arch) if compute else 0


def resnet_depth(depth: int) -> int:
    """Check that a CIFAR ResNet of this depth exists, and return the depth.

    Raises:
        ValueError: `depth` is not 6n + 2 with n >= 1.
    """
    checked: int = registry.load("architectures", "resnet").checked(depth)
    return checked
