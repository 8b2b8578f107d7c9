"""Classifiers that are a linear layer behind a 1-Lipschitz map."""

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import nn

from accelerated_smoothing.models.folding import fold
from accelerated_smoothing.models.normalize import Normalize

without_cudnn = torch.backends.cudnn.flags(enabled=False)  # a decorator: a GPU then multiplies matrices


@dataclass(frozen=True)
class Linear:
    """A classifier as a linear layer behind a 1-Lipschitz map.

    Attributes:
        features: 1-Lipschitz map in l2 from inputs [n, *shape] to vectors [n, d].
        weight: [classes, d].
        bias: [classes].
        rounding: bound on the l2 rounding error of `features` for inputs in [0,1]; 0 for a head, whose features are
            its inputs but for a shift; infinite if no bound is known, as in float32.
    """

    features: Callable[[torch.Tensor], torch.Tensor]
    weight: torch.Tensor
    bias: torch.Tensor
    rounding: float = math.inf


def linear(model: nn.Sequential) -> Linear:
    """Return what is linear in a classifier: the last layer of an SLL network, or one linear layer on embeddings.

    A network offers it as a method `linear(normalize)`, which may return None.

    Raises:
        ValueError: the network offers none.
    """
    normalize, network = model[0], model[1]
    assert isinstance(normalize, Normalize)
    offered: Callable[[Normalize], Linear | None] | None = getattr(network, "linear", None)
    parts = offered(normalize) if offered else None
    if parts is None:
        raise ValueError(
            "must have a linear layer behind a 1-Lipschitz map; use a network such as sll32-2, or linear on embeddings"
        )
    return parts


@without_cudnn
def exact(model: nn.Sequential) -> Linear:
    """Return the same in float64, with the scalings of layers computed once; the model stays as it is.

    It runs without cuDNN, which may compute convolutions by other sums than those that the bound on rounding is for.

    A network with a backbone offers a method `rounding(mean)`, the bound on the rounding of its folded copy.

    Raises:
        ValueError: as `linear`.
    """
    double = copy.deepcopy(model).double().requires_grad_(False)
    mean, network = fold(double)
    normalize = Normalize([0.0] * len(mean), [1.0] * len(mean)).double()
    normalize.mean.copy_(mean)
    folded = nn.Sequential(normalize, network).to(next(model.parameters()).device)
    parts = linear(folded.requires_grad_(False))
    bound: Callable[[torch.Tensor], float] | None = getattr(double[1], "rounding", None)
    return replace(parts, features=without_cudnn(parts.features), rounding=bound(mean) if bound else parts.rounding)
