"""No noise: the cross-entropy on the images themselves."""

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


def loss(
    f: "Smoothed", images: "torch.Tensor", labels: "torch.Tensor", sigma: "torch.Tensor", settings: Settings
) -> "torch.Tensor":
    """Return the mean cross-entropy of f(x)."""
    import torch.nn.functional as F

    return F.cross_entropy(f.forward(images), labels)
