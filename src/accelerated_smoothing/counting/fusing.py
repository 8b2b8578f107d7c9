"""Residual blocks of a folded network by fewer kernels than PyTorch's compiler makes of them."""

from typing import Protocol

from torch import nn

from accelerated_smoothing import registry

PLUGINS = {"kernels": "counting.kernels"}


class Kernels(Protocol):
    """What a module in `kernels/` offers."""

    def fused(self, module: nn.Module) -> nn.Module | None:
        """Return what computes the same as a folded block; None for a module that these kernels do not replace."""


def fuse(network: nn.Module, kernels: str) -> bool:
    """Replace blocks of a folded network, and return whether it has any.

    Args:
        network: on its device and in its precision.
        kernels: name of a module in `kernels/`.

    Raises:
        InputError: `kernels` is not the name of a module in `kernels/`.
    """
    plugin: Kernels = registry.load("counting.kernels", kernels, "compute.kernels")
    replaced = False
    for parent in list(network.modules()):
        for name, child in parent.named_children():
            block = plugin.fused(child)
            if block is not None:
                setattr(parent, name, block)
                replaced = True
    return replaced
