"""Stability: under noise, f shall predict what the teacher predicts without noise (Salman et al. 2020, section 3.2).

There, f is a denoiser before a classifier, and this classifier is the teacher.
"""

from typing import TYPE_CHECKING

from accelerated_smoothing.config import Base

if TYPE_CHECKING:
    import torch

    from accelerated_smoothing.training.smoothed import Smoothed


class Settings(Base):
    """This way has no settings of its own."""


def passes(settings: Settings) -> int:
    """Return how many copies of an image go forward and backward through the network in one step."""
    return 1


def lessons(settings: Settings) -> int:
    """Return how many copies of an image the teacher predicts in one step."""
    return 1


def loss(
    f: "Smoothed", images: "torch.Tensor", labels: "torch.Tensor", sigma: "torch.Tensor", settings: Settings
) -> "torch.Tensor":
    """Return the mean cross-entropy of f(x + delta) with the teacher's class of x."""
    import torch.nn.functional as F

    return F.cross_entropy(f.forward(images + f.noise(sigma, 1)), f.teacher(images).argmax(1))
