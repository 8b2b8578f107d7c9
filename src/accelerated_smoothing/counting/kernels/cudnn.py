"""A residual block as one kernel of cuDNN for each convolution, which adds the bias or the shortcut, and applies ReLU.

A shortcut with a convolution takes one more. These kernels have not run on a GPU yet.
"""

from typing import Any

import torch
from torch import nn
from torchvision.models import resnet as torchvision

from accelerated_smoothing.models.families.resnet import BasicBlock

BLOCKS = (BasicBlock, torchvision.BasicBlock, torchvision.Bottleneck)


class Block(nn.Module):
    """See the module."""

    def __init__(self, block: Any) -> None:
        super().__init__()
        *first, self.last = (module for module in block.children() if isinstance(module, nn.Conv2d))
        self.first, self.downsample = nn.ModuleList(first), block.downsample

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out = x
        for conv in self.first:
            out = torch.cudnn_convolution_relu(out, conv.weight, conv.bias, *_geometry(conv))  # type: ignore[arg-type]
        shortcut = x if self.downsample is None else self.downsample(x)
        last = self.last
        return torch.cudnn_convolution_add_relu(out, last.weight, shortcut, 1.0, last.bias, *_geometry(last))


def fused(module: nn.Module) -> nn.Module | None:
    """Return the kernels of a folded block of a ResNet, of this package or torchvision's; None for another module."""
    return Block(module) if isinstance(module, BLOCKS) else None


def _geometry(conv: Any) -> tuple[Any, ...]:
    return conv.stride, conv.padding, conv.dilation, conv.groups
