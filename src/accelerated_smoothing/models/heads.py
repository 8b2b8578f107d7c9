"""Networks on embeddings, which come as images of one pixel: one linear layer, or several with ReLUs between them."""

import itertools

import torch
import torch.nn.functional as F
from torch import nn

from accelerated_smoothing.architectures import head


class Head(nn.Module):
    """Embeddings [n, features, 1, 1] to logits [n, classes]."""

    def __init__(self, arch: str, features: int, classes: int) -> None:
        super().__init__()
        hidden = head(arch)
        assert hidden is not None
        widths = [features, *hidden]
        self.hidden = nn.ModuleList(nn.Linear(a, b) for a, b in itertools.pairwise(widths))
        self.fc = nn.Linear(widths[-1], classes)

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        z = z.flatten(1).to(self.fc.weight.dtype)
        for layer in self.hidden:
            z = F.relu(layer(z))
        return self.fc(z)
