"""Networks on embeddings, which come as images of one pixel: one linear layer, or several with ReLUs between them."""

import itertools

import torch
import torch.nn.functional as F
from torch import nn

from accelerated_smoothing.architectures.heads import hidden
from accelerated_smoothing.models.lipschitz import Linear
from accelerated_smoothing.models.normalize import Normalize


class Head(nn.Module):
    """Embeddings [n, features, 1, 1] to logits [n, classes]."""

    def __init__(self, arch: str, features: int, classes: int) -> None:
        super().__init__()
        widths = [features, *hidden(arch)]
        self.hidden = nn.ModuleList(nn.Linear(a, b) for a, b in itertools.pairwise(widths))
        self.fc = nn.Linear(widths[-1], classes)

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        z = z.flatten(1).to(self.fc.weight.dtype)
        for layer in self.hidden:
            z = F.relu(layer(z))
        return self.fc(z)

    def linear(self, normalize: Normalize) -> Linear | None:
        """Return the whole network as a linear layer; None if it has hidden layers."""
        if self.hidden:
            return None
        # In the bias, the mean would have to cancel with features again.
        mean, std = normalize.mean.flatten(), normalize.std.flatten()
        return Linear(lambda z: z.flatten(1) - mean, self.fc.weight / std, self.fc.bias, 0.0)


def build(arch: str, channels: int, classes: int) -> nn.Module:
    """Return a new network from embeddings [n, channels, 1, 1] to logits [n, classes]."""
    return Head(arch, channels, classes)
