"""A network of others that is in memory as a PyTorch module, and normalises images itself."""

import copy

import torch
from torch import nn

from accelerated_smoothing.models.normalize import Normalize


class Foreign(nn.Module):
    """A copy of a module in evaluation mode, on the CPU.

    Attributes:
        as_it_is: engines must change neither its layers, nor its precision, nor the layout of its tensors.
    """

    as_it_is = True

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = copy.deepcopy(module).cpu().eval().requires_grad_(False)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.module(images)
        return logits


def classifier(module: nn.Module, channels: int) -> nn.Sequential:
    """Return a copy of a module as a classifier of images [n, channels, height, width] in [0, 1]; it stays as it is."""
    return nn.Sequential(Normalize([0.0] * channels, [1.0] * channels), Foreign(module)).eval()
