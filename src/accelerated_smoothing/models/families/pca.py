"""Projected smoothing: the principal components of images, and a linear layer behind them (Pfrommer et al. 2023).

Images are close to a space of few dimensions. A projection on it, e = U (x - mu), is 1-Lipschitz where the rows of U
are orthonormal. Floats are orthonormal only nearly, so U is a `Narrowing`, whose scaling makes up for the rest.
"""

import torch
from torch import nn

from accelerated_smoothing.architectures.pca import shape
from accelerated_smoothing.models.families.sll import Backbone, Narrowing


class Pca(Backbone):
    """A fixed projection, and a linear layer that training changes."""

    def __init__(self, arch: str, channels: int, classes: int) -> None:
        side, components = shape(arch)
        if components > channels * side**2:
            raise ValueError(f"components must be at most {channels * side**2} for {arch}, got {components}")
        narrowing = Narrowing(channels * side**2, components, image=False).requires_grad_(False)
        super().__init__(side, nn.Sequential(), nn.Sequential(narrowing), nn.Linear(components, classes))

    def prepare(self, images: torch.Tensor) -> None:
        """Set the rows of U to the principal components of training images [n, channels, side, side]."""
        x = images.flatten(1).double()
        x = x - x.mean(0)
        components = torch.linalg.eigh(x.T @ x).eigenvectors.flip(1).T  # by falling variance
        narrowing = self.vectors[0]
        assert isinstance(narrowing, Narrowing)
        with torch.no_grad():
            narrowing.weight.copy_(components[: len(narrowing.weight)])


def build(arch: str, channels: int, classes: int) -> nn.Module:
    """Return a new network, whose components are random until `prepare` sets them.

    Raises:
        ValueError: `arch` is not the name of such a network, or images have fewer dimensions than components.
    """
    return Pca(arch, channels, classes)
