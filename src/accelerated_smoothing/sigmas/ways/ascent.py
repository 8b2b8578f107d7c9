"""Gradient ascent on the certified radius as a function of sigma (Alfarra et al. 2022, Algorithm 1).

`at` counts the steps K. What is reached after fewer steps is a stage of the way to what is reached after more.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

from pydantic import Field

from accelerated_smoothing.config import Section

if TYPE_CHECKING:
    import torch

    from accelerated_smoothing.sigmas.ways import Draw, Forward, Margin

LOWEST, HIGHEST = 0.02, 0.98  # appendix A: what probabilities are brought into, where their quantiles are moderate
FLOOR = 0.001  # of sigma, the config's least


class Settings(Section):
    samples: int = Field(1, ge=1, description="n, noisy copies of an image in a step")
    lr: float = Field(1e-4, gt=0, allow_inf_nan=False, description="alpha, the size of a step")


def copies(settings: Settings, at: list[int]) -> int:
    return settings.samples


def passes(settings: Settings, at: list[int]) -> int:
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
    """The sigmas [len(at), b] after so many steps each; arguments as for `ascend`."""
    import torch

    found, done = [], 0
    for steps in at:
        sigma = ascend(
            forward, images, sigma, lambda step: draw(step, settings.samples), margin, range(done, steps), settings.lr
        )
        found.append(sigma)
        done = steps
    return torch.stack(found)


def radii(
    forward: "Forward", images: "torch.Tensor", sigma: "torch.Tensor", noise: "torch.Tensor", margin: "Margin"
) -> "torch.Tensor":
    """The radii [b] of images [b, *shape] under sigma [b], estimated from their noise [b, n, *shape] at scale 1."""
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
    """OptimizeSigma: some steps of sigma_x along the gradient of its radius (Algorithm 1; the listing of appendix A).

    Args:
        forward: images [m, *shape] to logits [m, classes], in evaluation mode.
        images: [b, *shape] in [0,1] pixels.
        sigma: [b] where the ascent starts.
        draw: the standard noise [b, n, *shape] of a step.
        margin: the radius [b] of (p_a, p_b, sigma), each [b].

    Returns:
        [b] the sigma reached, at least `FLOOR`.
    """
    import torch

    for step in steps:
        sigma = sigma.detach().requires_grad_()
        (gradient,) = torch.autograd.grad(radii(forward, images, sigma, draw(step), margin).sum(), sigma)
        sigma = (sigma.detach() + lr * gradient).clamp_min(FLOOR)
    return sigma
