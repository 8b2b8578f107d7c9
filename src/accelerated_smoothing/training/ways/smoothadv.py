"""SmoothAdv: the cross-entropy on noisy copies of images that attack the smoothed classifier (Salman et al. 2019).

The attack is SmoothAdv_PGD of their section 2.2: projected gradient steps on the soft smoothed classifier. Its
expectation is a mean over noise that is the same in all steps and in the training step that follows.
"""

from typing import TYPE_CHECKING

from pydantic import Field

from accelerated_smoothing.config import Base

if TYPE_CHECKING:
    import torch

    from accelerated_smoothing.training.smoothed import Smoothed


class Settings(Base):
    steps: int = Field(2, ge=1, description="of the attack")
    epsilon: float = Field(0.25, gt=0, allow_inf_nan=False, description="l2 radius of the attack, [0,1] pixels")
    samples: int = Field(1, ge=1, description="noisy copies of an image")


def passes(settings: Settings) -> int:
    """Return how many copies of an image go forward and backward through the network in one step."""
    return settings.samples * (settings.steps + 1)


def attack(
    f: "Smoothed", images: "torch.Tensor", labels: "torch.Tensor", noise: "torch.Tensor", settings: Settings
) -> "torch.Tensor":
    """Return images x' within epsilon of x that raise -log mean_i softmax(f(x' + delta_i))_y (their eq. 7).

    Args:
        images: [b, *shape] in [0,1].
        labels: [b] true classes.
        noise: [b * samples, *shape] the delta; the samples of an image are consecutive.

    Returns:
        [b, *shape] in [0,1].
    """
    attacking = images
    for _ in range(settings.steps):
        delta = attacking + f.uphill(attacking, labels, noise, 2 * settings.epsilon / settings.steps) - images
        delta *= (settings.epsilon / delta.flatten(1).norm(dim=1)).clamp_max(1).view(-1, 1, 1, 1)
        # Clamping comes last: as x itself is in the range, it lengthens delta in no coordinate.
        attacking = (images + delta).clamp(0, 1)
    return attacking


def loss(
    f: "Smoothed", images: "torch.Tensor", labels: "torch.Tensor", sigma: "torch.Tensor", settings: Settings
) -> "torch.Tensor":
    """Return the mean cross-entropy of f on the noisy copies of the attacking images."""
    import torch.nn.functional as F

    noise = f.noise(sigma, settings.samples)
    attacking = attack(f, images, labels, noise, settings).repeat_interleave(settings.samples, 0)
    return F.cross_entropy(f.forward(attacking + noise), labels.repeat_interleave(settings.samples))
