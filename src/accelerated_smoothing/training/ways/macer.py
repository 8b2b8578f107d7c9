"""MACER: the cross-entropy of the soft smoothed classifier, and a hinge on its certified radius (Zhai et al. 2020).

All `samples` copies of a batch go through the network at once, so memory limits `batch_size`.
"""

import math
from typing import TYPE_CHECKING

from pydantic import Field

from accelerated_smoothing.config import Base

if TYPE_CHECKING:
    import torch

    from accelerated_smoothing.training.smoothed import Smoothed


class Settings(Base):
    samples: int = Field(64, ge=1, description="noisy copies of an image")
    weight: float = Field(12, ge=0, allow_inf_nan=False, description="lambda, of the radius's part of the loss")
    margin_gamma: float = Field(8, gt=0, allow_inf_nan=False, description="gamma: radii below gamma sigma/2 are raised")
    beta: float = Field(16, gt=0, allow_inf_nan=False, description="inverse temperature of the softmax in the radius")


def passes(settings: Settings) -> int:
    """Return how many copies of an image go forward and backward through the network in one step."""
    return settings.samples


def loss(
    f: "Smoothed", images: "torch.Tensor", labels: "torch.Tensor", sigma: "torch.Tensor", settings: Settings
) -> "torch.Tensor":
    """Return the mean of -log z_y + lambda max(gamma sigma/2 - radius, 0).

    The second term is for correctly classified images only. z is the mean of softmax(f), and the radius comes from the
    two largest means of softmax(beta f): under Gaussian noise it is sigma/2 (Phi^-1(z_top) - Phi^-1(z_second)) (their
    section 4.3, eq. 10).
    """
    import torch
    import torch.nn.functional as F

    copies = images.repeat_interleave(settings.samples, 0) + f.noise(sigma, settings.samples)
    logits = f.forward(copies).unflatten(0, (len(images), settings.samples))
    log_z = logits.log_softmax(2).logsumexp(1) - math.log(settings.samples)
    p, classes = (settings.beta * logits).softmax(2).mean(1).topk(2)
    with torch.no_grad():
        # A quantile of 0 or 1 is infinite and its gradient NaN, so only radii below the hinge are differentiated.
        short = f.margin(p[:, 0], p[:, 1], sigma) < settings.margin_gamma * sigma / 2
        short &= classes[:, 0] == labels
    top, second, scale = p[short, 0], p[short, 1], sigma[short]
    hinge = settings.margin_gamma * scale / 2 - f.margin(top, second, scale)
    return F.nll_loss(log_z, labels) + settings.weight * hinge.sum() / len(images)
