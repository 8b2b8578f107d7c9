"""Consistency: noisy copies of an image should have the same prediction, and a sure one (Jeong and Shin 2020)."""

import math
from typing import TYPE_CHECKING

from pydantic import Field

from accelerated_smoothing.config import Base

if TYPE_CHECKING:
    import torch

    from accelerated_smoothing.training.smoothed import Smoothed


class Settings(Base):
    samples: int = Field(2, ge=1, description="m, noisy copies of an image")
    weight: float = Field(
        10, ge=0, allow_inf_nan=False, description="lambda, of the divergence; the paper has 20 at sigma 0.25"
    )
    entropy: float = Field(0.5, ge=0, allow_inf_nan=False, description="eta, weight of the mean prediction's entropy")


def passes(settings: Settings) -> int:
    """Return how many copies of an image go forward and backward through the network in one step."""
    return settings.samples


def loss(
    f: "Smoothed", images: "torch.Tensor", labels: "torch.Tensor", sigma: "torch.Tensor", settings: Settings
) -> "torch.Tensor":
    """Return the mean of CE + lambda KL(F^ || F_i) + eta H(F^) over images and copies.

    F_i is the softmax of copy i, and F^ the mean over the copies of an image (their section 3.2, eq. 8).
    """
    import torch.nn.functional as F

    copies = images.repeat_interleave(settings.samples, 0) + f.noise(sigma, settings.samples)
    log_p = f.forward(copies).log_softmax(1).unflatten(0, (len(images), settings.samples))
    log_mean = log_p.logsumexp(1) - math.log(settings.samples)
    mean = log_mean.exp()
    divergence = (mean[:, None] * (log_mean[:, None] - log_p)).sum(2).mean()
    entropy = -(mean * log_mean).sum(1).mean()
    cross_entropy = F.nll_loss(log_p.flatten(0, 1), labels.repeat_interleave(settings.samples))
    return cross_entropy + settings.weight * divergence + settings.entropy * entropy
