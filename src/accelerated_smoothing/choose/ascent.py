"""Gradient ascent on the certified radius as a function of sigma (Alfarra et al. 2022, Algorithm 1)."""

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

LOWEST, HIGHEST = 0.02, 0.98  # appendix A: what probabilities are brought into, where their quantiles are moderate
FLOOR = 0.001  # of sigma, the config's least


def ascend(
    forward: "Callable[[torch.Tensor], torch.Tensor]",
    images: "torch.Tensor",
    sigma: "torch.Tensor",
    draw: "Callable[[int], torch.Tensor]",
    margin: "Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]",
    steps: int,
    lr: float,
) -> "torch.Tensor":
    """OptimizeSigma: some steps of sigma_x along the gradient of its radius (Algorithm 1; the listing of appendix A).

    Args:
        forward: images [m, *shape] to logits [m, classes], in evaluation mode.
        images: [b, *shape] in [0,1] pixels.
        sigma: [b] where the ascent starts.
        draw: the standard noise [b, n, *shape] of a step, from 0.
        margin: the radius [b] of (p_a, p_b, sigma), each [b].

    Returns:
        [b] the sigma reached, at least `FLOOR`.
    """
    import torch

    for step in range(steps):
        sigma = sigma.detach().requires_grad_()
        noise = draw(step)
        noisy = images.unsqueeze(1) + sigma.view(-1, *[1] * images.dim()) * noise
        p = forward(noisy.flatten(0, 1)).softmax(1).unflatten(0, noise.shape[:2]).mean(1)
        top, second = p.topk(2).values.clamp(LOWEST, HIGHEST).unbind(1)
        (gradient,) = torch.autograd.grad(margin(top, second, sigma).sum(), sigma)
        sigma = (sigma.detach() + lr * gradient).clamp_min(FLOOR)
    return sigma
