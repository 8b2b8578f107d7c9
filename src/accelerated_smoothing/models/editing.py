"""Edits of a trained network that keep its architecture: weights rounded, or the smallest set to zero."""

import torch
from torch import nn

from accelerated_smoothing.architectures.ensemble import kind, pruned


def edit(model: nn.Module, how: str) -> None:
    """Change the weights of convolutions and linear layers, in place. Biases and batch norms stay as they are.

    Args:
        model: the network.
        how: "rounded", to bfloat16; or such as "pruned30", which sets the 30 % of each layer's weights that are
            smallest in absolute value to zero.
    """
    with torch.no_grad():
        for weight in [parameter for parameter in model.parameters() if parameter.dim() > 1]:
            if kind(how) == "rounded":
                weight.copy_(weight.bfloat16())
            else:
                smallest = weight.flatten().abs().argsort()[: round(weight.numel() * pruned(how))]
                weight.view(-1)[smallest] = 0
