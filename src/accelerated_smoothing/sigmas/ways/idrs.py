"""A sigma that changes slowly with the image, by its distance from training images (Sukenik et al. 2022, section 4).

sigma(x) = sigma exp(r (d(x) - m)), where d(x) is the mean l2 distance to the nearest training images. A distance is
1-Lipschitz and so is a mean of the smallest ones. So the logarithm of sigma changes by at most r per unit of distance,
which the certifier `idrs` needs. `at` counts the neighbours.
"""

from typing import TYPE_CHECKING

from pydantic import Field

from accelerated_smoothing.config import Section

if TYPE_CHECKING:
    import torch

    from accelerated_smoothing.sigmas import Draw, Forward, Margin

REFERENCE = True


class Settings(Section):
    rate: float = Field(
        0.01, ge=0, allow_inf_nan=False, description="r, change of the logarithm of sigma per pixel unit"
    )
    distance: float = Field(5.0, allow_inf_nan=False, description="m, the distance d(x) at which sigma is that of f")


def copies(settings: Settings, at: list[int]) -> int:
    """Return how many noisy copies of an image go through the network at once."""
    return 1


def passes(settings: Settings, at: list[int]) -> int:
    """Return 0: no pass of the network is needed."""
    return 0


def choose(
    forward: "Forward",
    images: "torch.Tensor",
    sigma: "torch.Tensor",
    draw: "Draw",
    margin: "Margin",
    at: list[int],
    settings: Settings,
    train: "torch.Tensor | None" = None,
) -> "torch.Tensor":
    """Return the sigmas [len(at), b] for each number of neighbours.

    Args:
        forward, draw, margin: not used.
        images: [b, *shape] in [0, 1].
        sigma: [b] that of the training.
        at: ascending numbers of neighbours.
        train: [n, *shape] training images.
    """
    import torch

    assert train is not None
    apart = torch.cdist(
        images.flatten(1).double(), train.flatten(1).double(), compute_mode="donot_use_mm_for_euclid_dist"
    )
    nearest = apart.topk(at[-1], largest=False).values
    return torch.stack([sigma * torch.exp(settings.rate * (nearest[:, :k].mean(1) - settings.distance)) for k in at])
