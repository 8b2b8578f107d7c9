"""CAT-RS: fewer copies of images that f is unsure of, and the worst copy of those it is sure of (Jeong et al. 2023).

Their soft labels are the counts of a teacher that was trained with noise alone. Here, the teacher predicts new noisy
copies in each step. The divergence is linear in the label but for a constant, so the expected loss of given copies is
that with the teacher's class probabilities, without a count of all training images.
"""

from typing import TYPE_CHECKING

from pydantic import Field

from accelerated_smoothing.config import Base

if TYPE_CHECKING:
    import torch

    from accelerated_smoothing.training.smoothed import Smoothed


class Settings(Base):
    samples: int = Field(4, ge=1, description="m, noisy copies of an image; the teacher predicts as many others")
    steps: int = Field(4, ge=1, description="T, of the attack on the noise")
    epsilon: float = Field(1.0, ge=0, allow_inf_nan=False, description="l2 radius of this attack, [0,1] pixels")
    weight: float = Field(
        1.0, ge=0, allow_inf_nan=False, description="lambda, of the worst copy; the paper has 0.5, 1, 2 by sigma"
    )


def passes(settings: Settings) -> int:
    """Return how many copies of an image go forward and backward through the network in one step."""
    return settings.samples * (settings.steps + 2)


def lessons(settings: Settings) -> int:
    """Return how many noisy copies of an image the teacher predicts in one step."""
    return settings.samples


def divergence(target: "torch.Tensor", logits: "torch.Tensor") -> "torch.Tensor":
    """Return KL(t || softmax(z)) [n] of targets t [n, classes] and logits z [n, classes]."""
    import torch

    return (torch.xlogy(target, target) - target * logits.log_softmax(1)).sum(1)


def attack(
    f: "Smoothed", copies: "torch.Tensor", noise: "torch.Tensor", target: "torch.Tensor", settings: Settings
) -> "torch.Tensor":
    """Return noise within epsilon of delta that raises KL(t || F(x + delta)), with the mean and deviation of delta.

    Args:
        copies: [n, *shape] x, before the noise.
        noise: [n, *shape] delta.
        target: [n, classes] t.

    Returns:
        [n, *shape]. The mean and the deviation are those over the pixels of a copy; setting them comes last.
    """
    import torch

    from accelerated_smoothing.training.smoothed import steepest

    attacking = noise
    for _ in range(settings.steps):
        step = steepest(
            lambda delta: divergence(target, f.frozen(copies + delta)), attacking, 2 * settings.epsilon / settings.steps
        )
        moved = attacking + step - noise
        within = settings.epsilon / moved.flatten(1).norm(dim=1).clamp_min(torch.finfo(moved.dtype).tiny)
        attacking = noise + moved * within.clamp_max(1).view(-1, 1, 1, 1)
    pixels = (1, 2, 3)
    standard = (attacking - attacking.mean(pixels, keepdim=True)) / attacking.std(pixels, keepdim=True)
    return standard * noise.std(pixels, keepdim=True) + noise.mean(pixels, keepdim=True)


def loss(
    f: "Smoothed", images: "torch.Tensor", labels: "torch.Tensor", sigma: "torch.Tensor", settings: Settings
) -> "torch.Tensor":
    """Return the mean of low + lambda 1[K = m] high over images.

    K is max(1, Bin(m, p^)), where p^ is the share of the m copies that f gets right; low is the sum of the K least
    cross-entropies over m, and high the largest KL(t || F(x + delta*)) over the copies (their section 3). t are the
    shares of the teacher's classes on m other copies.
    """
    import torch
    import torch.nn.functional as F

    m = settings.samples
    noise, copies = f.noise(sigma, m), images.repeat_interleave(m, 0)
    each = labels.repeat_interleave(m)
    logits = f.forward(copies + noise)
    right = (logits.detach().argmax(1) == each).unflatten(0, (-1, m)).to(images.dtype)
    kept = torch.binomial(torch.full_like(right[:, 0], m), right.mean(1), generator=f.random).clamp_min(1)
    least = F.cross_entropy(logits, each, reduction="none").unflatten(0, (-1, m)).sort(1).values
    low = (least * (torch.arange(m, device=least.device) < kept[:, None])).sum(1) / m

    answers = f.teacher(copies + f.noise(sigma, m)).argmax(1)
    target = F.one_hot(answers, logits.shape[1]).to(images.dtype).unflatten(0, (-1, m)).mean(1).repeat_interleave(m, 0)
    attacked = f.forward(copies + attack(f, copies, noise, target, settings))
    high = divergence(target, attacked).unflatten(0, (-1, m)).amax(1)
    return (low + settings.weight * (kept == m) * high).mean()
