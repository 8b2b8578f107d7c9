"""A residual block as two kernels of cuDNN: each convolution adds its bias and its shortcut, and applies ReLU.

A shortcut with a convolution takes one more. These kernels have not run on a GPU yet.
"""

from typing import Any

import torch
from torch import nn

from accelerated_smoothing.models.families.resnet import BasicBlock


class Block(nn.Module):
    """See the module."""

    def __init__(self, block: BasicBlock) -> None:
        super().__init__()
        self.conv1, self.conv2, self.downsample = block.conv1, block.conv2, block.downsample

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        first, second = self.conv1, self.conv2
        out = torch.cudnn_convolution_relu(x, first.weight, first.bias, *_geometry(first))
        shortcut = x if self.downsample is None else self.downsample(x)
        return torch.cudnn_convolution_add_relu(out, second.weight, shortcut, 1.0, second.bias, *_geometry(second))


def fused(module: nn.Module) -> nn.Module | None:
    """Return the kernels of a folded `BasicBlock`; None for another module."""
    return Block(module) if isinstance(module, BasicBlock) else None


def _geometry(conv: nn.Conv2d) -> tuple[Any, ...]:
    return conv.stride, conv.padding, conv.dilation, conv.groups
