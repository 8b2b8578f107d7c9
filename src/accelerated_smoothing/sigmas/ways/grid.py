"""Grid search of sigma at the cost of the ascent (Alfarra et al. 2022, appendix B, eq. 5): the ablation.

`evaluations` passes are spent on sigmas in (0, 1]. With n samples a point, there are evaluations / n points at even
distances.
"""

from typing import TYPE_CHECKING

from pydantic import Field

from accelerated_smoothing.config import Section
from accelerated_smoothing.sigmas.ways.ascent import radii

if TYPE_CHECKING:
    import torch

    from accelerated_smoothing.sigmas import Draw, Forward, Margin


class Settings(Section):
    evaluations: int = Field(200, ge=1, description="passes for an image; K steps of the ascent with n = 1 take 2 K")


def copies(settings: Settings, at: list[int]) -> int:
    """Return how many noisy copies of an image go through the network at once."""
    return at[-1]


def passes(settings: Settings, at: list[int]) -> int:
    """Return how many passes of the network an image takes, forward and backward."""
    return settings.evaluations * len(at)


def choose(
    forward: "Forward",
    images: "torch.Tensor",
    sigma: "torch.Tensor",
    draw: "Draw",
    margin: "Margin",
    at: list[int],
    settings: Settings,
) -> "torch.Tensor":
    """Return the sigmas [len(at), b] of the grid with the largest radius, for each number of samples a point.

    Args:
        forward, images, draw, margin: as for the ascent.
        sigma: [b] that of the training, which the grid does not use.
        at: numbers of samples n from which the radius of a point is estimated.
    """
    import torch

    rows = []
    with torch.inference_mode():
        for samples in at:
            points = max(1, settings.evaluations // samples)
            best, chosen = torch.full_like(sigma, -torch.inf), sigma
            for point in range(1, points + 1):
                here = torch.full_like(sigma, point / points)
                radius = radii(forward, images, here, draw(point, samples), margin)
                chosen = torch.where(radius > best, here, chosen)
                best = torch.maximum(best, radius)
            rows.append(chosen)
    return torch.stack(rows)
