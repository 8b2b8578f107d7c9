"""Lipschitz-margin training: the cross-entropy of logits that must win by a margin (Tsuzuku et al. 2018, section 4).

The network must be linear behind a 1-Lipschitz map. Every logit but the true one is raised by the most that an attack
of size `epsilon` can change its difference to the true one. With noise of scale 0, the network sees clean images.
"""

from typing import TYPE_CHECKING

from pydantic import Field, field_validator

from accelerated_smoothing.architectures import cost, embeds
from accelerated_smoothing.config import Base

if TYPE_CHECKING:
    import torch

    from accelerated_smoothing.training.smoothed import Smoothed


class Settings(Base):
    arch: str = Field("sll32-2", description="a 1-Lipschitz network, such as sll32-2; or linear, on embeddings")
    epsilon: float = Field(
        0.3, ge=0, allow_inf_nan=False, description="l2 size of attacks that shall fail, [0,1] pixels"
    )

    @field_validator("arch")
    @classmethod
    def _lipschitz(cls, arch: str) -> str:
        cost(arch)
        if not embeds(arch) and arch != "linear":
            raise ValueError(f"must be a 1-Lipschitz network such as sll32-2, or linear on embeddings, got {arch!r}")
        return arch


def passes(settings: Settings) -> int:
    """Return how many copies of an image go forward and backward through the network in one step."""
    return 1


def loss(
    f: "Smoothed", images: "torch.Tensor", labels: "torch.Tensor", sigma: "torch.Tensor", settings: Settings
) -> "torch.Tensor":
    """Return the mean cross-entropy of z_j + epsilon |w_y - w_j|, where |w_y - w_j| is 0 for the true class y."""
    import torch
    import torch.nn.functional as F

    weight = f.linear().weight
    apart = torch.cdist(weight, weight, compute_mode="donot_use_mm_for_euclid_dist")[labels]
    return F.cross_entropy(f.forward(images + f.noise(sigma, 1)) + settings.epsilon * apart, labels)
