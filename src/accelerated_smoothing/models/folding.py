"""A classifier with fewer passes over memory, for inference."""

import copy
import itertools
from collections.abc import Callable

import torch
from torch import nn

from accelerated_smoothing.models.normalize import Normalize


def fold(model: nn.Sequential) -> tuple[torch.Tensor, nn.Module]:
    """Return a copy of a classifier that computes the same with fewer passes over memory.

    Each batch norm goes into the convolution before it, and the division by the standard deviation goes into the first
    layer. The mean does not: a convolution pads with zeros after it is subtracted. A layer with a method `folded`, such
    as a 1-Lipschitz one, is replaced by what that returns.

    A batch norm must be declared right after its convolution, as in all our architectures. A network that says
    `as_it_is` is left so.

    Returns:
        The mean [channels, 1, 1] to subtract from images, and the network for the result.
    """
    normalize, network = model[0], copy.deepcopy(model[1])
    assert isinstance(normalize, Normalize)
    for module in [] if getattr(network, "as_it_is", False) else list(network.modules()):
        for name, child in module.named_children():
            folded: Callable[[], nn.Module] | None = getattr(child, "folded", None)
            if folded:
                setattr(module, name, folded())
        children = list(module.named_children())
        for (name, conv), (norm_name, norm) in itertools.pairwise(children):
            if isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                setattr(module, name, nn.utils.fuse_conv_bn_eval(conv, norm))
                setattr(module, norm_name, nn.Identity())
    if (normalize.std != 1).any():
        divide(network, normalize.std)
    return normalize.mean.cpu().clone(), network


def divide(network: nn.Module, std: torch.Tensor) -> None:
    """Let a network divide its input by the standard deviations [channels, 1, 1]: in its first layer.

    A network that is not a chain from its first layer offers a method `divide(std)`.
    """
    own: Callable[[torch.Tensor], None] | None = getattr(network, "divide", None)
    if own:
        own(std)
        return
    first = next(module for module in network.modules() if isinstance(module, nn.Conv2d | nn.Linear))
    first.weight.data /= std.view(-1, *[1] * (first.weight.dim() - 2))
