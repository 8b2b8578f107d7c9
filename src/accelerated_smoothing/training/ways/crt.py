"""CRT: the logits of a robust teacher under the same noise (Vaishnavi et al. 2022, section 4.2).

One pass of the teacher replaces the labels, and what made the teacher robust is not done again for the pupil.
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
    """Return how many noisy copies of an image the teacher predicts in one step."""
    return 1


def loss(
    f: "Smoothed", images: "torch.Tensor", labels: "torch.Tensor", sigma: "torch.Tensor", settings: Settings
) -> "torch.Tensor":
    """Return the mean of |f(x + delta) - t(x + delta)|_2, between the logits of f and those of the teacher t."""
    copies = images + f.noise(sigma, 1)
    return (f.forward(copies) - f.teacher(copies)).norm(dim=1).mean()
