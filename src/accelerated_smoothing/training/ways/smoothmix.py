"""SmoothMix: between x and an adversary of the smoothed classifier, predictions lie in between (Jeong et al. 2021).

The adversary is not bounded: it is found by steps of a fixed length, and stands for an over-confident direction. The
prediction at its end is uniform.
"""

from typing import TYPE_CHECKING

from pydantic import Field

from accelerated_smoothing.config import Base

if TYPE_CHECKING:
    import torch

    from accelerated_smoothing.training.smoothed import Smoothed

WARM_UP = 10  # epochs in which the weight of the mixed images rises to 1


class Settings(Base):
    samples: int = Field(2, ge=1, description="m, noisy copies of an image")
    steps: int = Field(4, ge=1, description="T, of the attack")
    step_length: float = Field(
        1.0, gt=0, allow_inf_nan=False, description="alpha, of a step; the paper has 0.5, 1, 2 at sigma 0.25, 0.5, 1"
    )
    weight: float = Field(5, ge=0, allow_inf_nan=False, description="eta, of the mixed images")
    one_step: bool = Field(
        False, description="start from the adversary after one step, as the paper does at sigma 0.5 and above"
    )


def passes(settings: Settings) -> int:
    """Return how many copies of an image go forward and backward through the network in one step."""
    return settings.samples * (settings.steps + 2)


def attack(
    f: "Smoothed", images: "torch.Tensor", labels: "torch.Tensor", noise: "torch.Tensor", settings: Settings
) -> "list[torch.Tensor]":
    """Return the images after each step along the gradient of -log mean_i softmax(f(x + delta_i))_y.

    Args:
        images: [b, *shape] in [0,1].
        labels: [b] true classes.
        noise: [b * samples, *shape] the delta; the samples of an image are consecutive.

    Returns:
        [steps] images [b, *shape] in [0,1].
    """
    path: list[torch.Tensor] = []
    for _ in range(settings.steps):
        attacking = path[-1] if path else images
        path.append((attacking + f.uphill(attacking, labels, noise, settings.step_length)).clamp(0, 1))
    return path


def loss(
    f: "Smoothed", images: "torch.Tensor", labels: "torch.Tensor", sigma: "torch.Tensor", settings: Settings
) -> "torch.Tensor":
    """Return the mean of CE + eta w 1[F^ is right] KL(t || F_i(x_mix)) over images and copies.

    With lambda uniform on [0, 1/2] for each image, x_mix = (1 - lambda) x + lambda x~ and t = (1 - lambda) F^(x) +
    lambda / C, where x~ is the adversary and F^ the mean softmax over the copies of x, which is not differentiated. w
    rises from 0 to 1 in the first epochs (their section 3).
    """
    import torch
    import torch.nn.functional as F

    noise, warmth = f.noise(sigma, settings.samples), min(1.0, f.epoch / WARM_UP)
    path = attack(f, images, labels, noise, settings)
    if settings.one_step:
        delta = path[0] - images
        within = settings.step_length * warmth
        length = delta.flatten(1).norm(dim=1).clamp_min(torch.finfo(delta.dtype).tiny).view(-1, 1, 1, 1)
        images = (images + delta * (within / length).clamp_max(1)).clamp(0, 1)
    copies = images.repeat_interleave(settings.samples, 0) + noise
    log_p = f.forward(copies).log_softmax(1)
    cross_entropy = F.nll_loss(log_p, labels.repeat_interleave(settings.samples))
    mean = log_p.detach().exp().unflatten(0, (len(images), settings.samples)).mean(1)

    share = torch.rand(len(images), generator=f.random, device=images.device, dtype=images.dtype) / 2
    pixels = share.view(-1, 1, 1, 1)
    mixed = ((1 - pixels) * images + pixels * path[-1]).repeat_interleave(settings.samples, 0) + noise
    target = (1 - share[:, None]) * mean + share[:, None] / mean.shape[1]
    log_mixed = f.forward(mixed).log_softmax(1).unflatten(0, (len(images), settings.samples))
    divergence = (torch.xlogy(target, target)[:, None] - target[:, None] * log_mixed).sum(2).mean(1)
    right = (mean.argmax(1) == labels).to(divergence.dtype)
    return cross_entropy + settings.weight * warmth * (right * divergence).mean()
