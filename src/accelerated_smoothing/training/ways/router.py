"""The router of dual smoothing: which noise level certifies an image best (Dual Randomized Smoothing 2025).

f answers with the index of a noise level, 0 for the largest. The teachers are base classifiers of all levels. In each
step, each of them predicts new noisy copies of an image at its own level, and the level with the largest radius for the
true class is the label. Certificates of `certify.methods.dual` are sound whatever the router learns.
"""

from typing import TYPE_CHECKING

from pydantic import Field

from accelerated_smoothing.config import Base

if TYPE_CHECKING:
    import torch

    from accelerated_smoothing.training.smoothed import Smoothed

LEVELS = True


class Settings(Base):
    samples: int = Field(8, ge=1, description="noisy copies of an image that the teacher of each level predicts")


def passes(settings: Settings) -> int:
    """Return how many copies of an image go forward and backward through the network in one step."""
    return 1


def lessons(settings: Settings) -> int:
    """Return how many noisy copies of an image a teacher predicts in one step."""
    return settings.samples


def best(f: "Smoothed", images: "torch.Tensor", labels: "torch.Tensor", samples: int) -> "torch.Tensor":
    """Return the index [b] of the level with the largest radius for the true class, by mean softmaxes.

    If the true class is the likeliest at no level, all radii are negative, and the largest still wins.
    """
    import torch

    radii = []
    for teacher in f.teachers:
        sigma = torch.full((len(images),), teacher.sigma, dtype=images.dtype, device=images.device)
        copies = images.repeat_interleave(samples, 0) + f.noise(sigma, samples)
        p = teacher.predict(copies).softmax(1).unflatten(0, (-1, samples)).mean(1)
        true = p.gather(1, labels[:, None])[:, 0]
        other = p.scatter(1, labels[:, None], 0.0).amax(1)
        radii.append(f.margin(true, other, sigma))
    return torch.stack(radii).argmax(0)


def loss(
    f: "Smoothed", images: "torch.Tensor", labels: "torch.Tensor", sigma: "torch.Tensor", settings: Settings
) -> "torch.Tensor":
    """Return the mean cross-entropy of f(x + delta) with the best level of each image."""
    import torch.nn.functional as F

    return F.cross_entropy(f.forward(images + f.noise(sigma, 1)), best(f, images, labels, settings.samples))
