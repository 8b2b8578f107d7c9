"""Gradient ascent on the certified radius as a function of sigma (Alfarra et al. 2022, Algorithm 1).

`at` counts the steps K. Fewer steps are the beginning of more steps.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

from pydantic import Field

from accelerated_smoothing.config import Section

if TYPE_CHECKING:
    import torch

    from accelerated_smoothing.sigmas import Draw, Forward, Margin

LOWEST, HIGHEST = 0.02, 0.98  # appendix A: probabilities are clamped to this range, where their quantiles are moderate
FLOOR = 0.001  # the least sigma that the config allows


class Settings(Section):
    samples: int = Field(1, ge=1, description="n, noisy copies of an image in a step")
    lr: float = Field(1e-4, gt=0, allow_inf_nan=False, description="alpha, the size of a step")


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
    """Return the sigmas [len(at), b] after each number of steps; arguments as for `ascend`."""
    import torch

    chosen, done = [], 0
    for steps in at:
        sigma = ascend(
            forward, images, sigma, lambda step: draw(step, settings.samples), margin, range(done, steps), settings.lr
        )
        chosen.append(sigma)
        done = steps
    return torch.stack(chosen)


def radii(
    forward: "Forward", images: "torch.Tensor", sigma: "torch.Tensor", noise: "torch.Tensor", margin: "Margin"
) -> "torch.Tensor":
    """Return the radii [b] of images [b, *shape] under sigma [b], estimated from noise [b, n, *shape] at scale 1."""
    noisy = images.unsqueeze(1) + sigma.view(-1, *[1] * images.dim()) * noise
    p = forward(noisy.flatten(0, 1)).softmax(1).unflatten(0, noise.shape[:2]).mean(1)
    top, second = p.topk(2).values.clamp(LOWEST, HIGHEST).unbind(1)
    return margin(top, second, sigma)


def ascend(
    forward: "Forward",
    images: "torch.Tensor",
    sigma: "torch.Tensor",
    draw: "Callable[[int], torch.Tensor]",
    margin: "Margin",
    steps: range,
    lr: float,
) -> "torch.Tensor":
    """Move sigma_x along the gradient of its radius: OptimizeSigma (Algorithm 1; the listing of appendix A).

    Args:
        forward: images [m, *shape] to logits [m, classes], in evaluation mode.
        images: [b, *shape] in [0,1] pixels.
        sigma: [b] where the ascent starts.
        draw: the standard noise [b, n, *shape] of a step.
        margin: the radius [b] of (p_a, p_b, sigma), each [b].

    Returns:
        [b] sigma, at least `FLOOR`.
    """
    import torch

    for step in steps:
        sigma = sigma.detach().requires_grad_()
        (gradient,) = torch.autograd.grad(radii(forward, images, sigma, draw(step), margin).sum(), sigma)
        sigma = (sigma.detach() + lr * gradient).clamp_min(FLOOR)
    return sigma
