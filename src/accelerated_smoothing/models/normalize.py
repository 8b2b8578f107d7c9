"""The first layer of every classifier."""

import torch
from torch import nn


class Normalize(nn.Module):
    """(x - mean) / std per channel: inside the model, so that noise is added in [0,1] pixel space."""

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(self, mean: list[float], std: list[float]) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean).view(-1, 1, 1))
        self.register_buffer("std", torch.tensor(std).view(-1, 1, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return (x - self.mean) / self.std
