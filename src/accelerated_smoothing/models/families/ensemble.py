"""Networks made of networks. Members are trained by themselves, and stay as they are in any other training."""

from typing import Self

import torch
import torch.nn.functional as F
from torch import nn

from accelerated_smoothing import registry
from accelerated_smoothing.architectures import family
from accelerated_smoothing.architectures.ensemble import DENOISER, agreeing, kind, parts
from accelerated_smoothing.models.folding import divide

PLUGINS = {"family": "models.families"}


class Members(nn.Module):
    """The members, frozen and always in evaluation mode."""

    def __init__(self, members: list[nn.Module]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)
        self.members.requires_grad_(False)
        self.train(self.training)

    def train(self, mode: bool = True) -> Self:
        super().train(mode)
        self.members.eval()
        return self

    def divide(self, std: torch.Tensor) -> None:
        """See `folding.divide`."""
        for member in self.members:
            divide(member, std)


class Ensemble(Members):
    """The mean of the members' logits (Horvath et al. 2022), or of the first K if they agree on the class.

    The mean of logits that have one top class has the same. So with K, the other members matter only where the first K
    do not agree (their section 5.1).
    """

    def __init__(self, members: list[nn.Module], agreeing: int) -> None:
        super().__init__(members)
        self.agreeing = agreeing

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        logits = torch.stack([member(x) for member in self.members])
        if not self.agreeing:
            return logits.mean(0)
        first = logits[: self.agreeing]
        tops = first.argmax(2)
        agree = (tops == tops[:1]).all(0)
        return torch.where(agree[:, None], first.mean(0), logits.mean(0))


class Weighted(Members):
    """SWEEN: the logarithm of a weighted mean of the members' softmaxes (Liu et al. 2020)."""

    def __init__(self, members: list[nn.Module]) -> None:
        super().__init__(members)
        self.v = nn.Parameter(torch.zeros(len(members)))  # the weights are softmax(v)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        each = torch.stack([member(x).log_softmax(1) for member in self.members])
        return (each + self.v.log_softmax(0)[:, None, None]).logsumexp(0)


class Agreement(Members):
    """The logits of the first member, and a largest one for one more class if the members differ in the class."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        logits = torch.stack([member(x) for member in self.members])
        tops = logits.argmax(2)
        agree = (tops == tops[:1]).all(0)
        beyond = 2 * logits[0].abs().amax(1) + 1  # larger than any of them, in every precision
        return torch.cat([logits[0], torch.where(agree, -beyond, beyond)[:, None]], 1)


class Denoised(Members):
    """A residual denoiser before a classifier (Salman et al. 2020). It starts as the identity.

    The denoiser is a shallow DnCNN (Zhang et al. 2017): convolutions, batch norms and ReLUs that predict the noise.
    """

    def __init__(self, member: nn.Module, channels: int) -> None:
        super().__init__([member])
        layers, width = DENOISER
        self.first = nn.Conv2d(channels, width, 3, padding=1)
        middle = [[nn.Conv2d(width, width, 3, padding=1, bias=False), nn.BatchNorm2d(width)] for _ in range(layers - 2)]
        self.middle = nn.ModuleList(nn.Sequential(*pair) for pair in middle)
        self.last = nn.Conv2d(width, channels, 3, padding=1)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)  # type: ignore[arg-type]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out = F.relu(self.first(x), inplace=True)
        for pair in self.middle:
            out = F.relu(pair(out), inplace=True)
        return self.members[0](x - self.last(out))

    def divide(self, std: torch.Tensor) -> None:
        """See `folding.divide`. The denoised image stays undivided until the classifier."""
        divide(self.first, std)
        self.last.weight.data *= std.view(-1, 1, 1, 1)
        self.last.bias.data *= std.flatten()  # type: ignore[union-attr]
        super().divide(std)


def build(arch: str, channels: int, classes: int) -> nn.Module:
    """Return a new network, such as ensemble3-resnet20.

    Raises:
        ValueError: `arch` is not the name of such a network.
    """
    members = [registry.load("models.families", family(part)).build(part, channels, classes) for part in parts(arch)]
    if kind(arch) in ("sween", "agreement"):
        return (Weighted if kind(arch) == "sween" else Agreement)(members)
    return Denoised(members[0], channels) if kind(arch) == "denoised" else Ensemble(members, agreeing(arch))
