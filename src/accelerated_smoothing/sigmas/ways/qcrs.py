"""Bisection of sigma on the sign of the radius's derivative (QCRS, Kung and Chen 2023, section 4.2).

The radius of most images rises with sigma up to a maximum and then falls: it is quasi-concave. So the sign of its
derivative says on which side of the maximum a sigma lies. `at` counts the steps; each halves the interval. Fewer steps
are the beginning of more steps.
"""

from typing import TYPE_CHECKING

from pydantic import Field, model_validator

from accelerated_smoothing.config import Section
from accelerated_smoothing.sigmas.ways.ascent import radii

if TYPE_CHECKING:
    import torch

    from accelerated_smoothing.sigmas import Draw, Forward, Margin


class Settings(Section):
    samples: int = Field(50, ge=1, description="noisy copies of an image in a step")
    low: float = Field(0.08, ge=0.001, description="least sigma of the search, [0,1] pixels")
    high: float = Field(1.0, gt=0, le=100, description="greatest sigma of the search, [0,1] pixels")

    @model_validator(mode="after")
    def _ordered(self) -> "Settings":
        if self.low >= self.high:
            raise ValueError(f"low must be less than high ({self.high:g}), got {self.low:g}")
        return self


def copies(settings: Settings, at: list[int]) -> int:
    """Return how many noisy copies of an image go through the network at once."""
    return settings.samples


def passes(settings: Settings, at: list[int]) -> int:
    """Return how many passes of the network an image takes, forward and backward."""
    return 2 * settings.samples * at[-1]


def choose(
    forward: "Forward",
    images: "torch.Tensor",
    sigma: "torch.Tensor",
    draw: "Draw",
    margin: "Margin",
    at: list[int],
    settings: Settings,
) -> "torch.Tensor":
    """Return the middles [len(at), b] of the intervals after each number of steps.

    Args:
        forward, images, draw, margin: as for the ascent.
        sigma: [b] that of the training, which the bisection does not use.
        at: ascending numbers of steps.
    """
    import torch

    low, high = torch.full_like(sigma, settings.low), torch.full_like(sigma, settings.high)
    chosen = {}
    for step in range(at[-1]):
        middle = ((low + high) / 2).requires_grad_()
        radius = radii(forward, images, middle, draw(step, settings.samples), margin)
        (slope,) = torch.autograd.grad(radius.sum(), middle)
        middle = middle.detach()
        low, high = torch.where(slope > 0, middle, low), torch.where(slope > 0, high, middle)
        chosen[step + 1] = (low + high) / 2
    return torch.stack([chosen[steps] for steps in at])
