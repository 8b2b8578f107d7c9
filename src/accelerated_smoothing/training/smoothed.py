"""A network and its noise, for a way of training."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch

from accelerated_smoothing import models


class Teacher(NamedTuple):
    """Another classifier that a way learns from.

    Attributes:
        predict: images [m, *shape] to float32 logits [m, classes], without gradients.
        sigma: of the noise that it was trained with.
    """

    predict: Callable[[torch.Tensor], torch.Tensor]
    sigma: float


@dataclass(frozen=True)
class Smoothed:
    """f and its noise, for a way of training.

    Attributes:
        forward: images [m, *shape] to float32 logits [m, classes], in training mode.
        frozen: the same in evaluation mode and with constant weights, for gradients with respect to the images.
        noise: (sigma [b], samples) to new noise [b * samples, *shape] at each image's scale; the samples of an image
            are consecutive.
        margin: (p_a, p_b, sigma), each [b], to the certified radii [b] in [0,1] pixels.
        linear: returns what is linear in f behind a 1-Lipschitz map, if f is such a network.
        epoch: of the training, from 0.
        random: generator of what else a step draws.
        teachers: for ways that offer `lessons`: one, or for `LEVELS` one of each noise level, the largest first.
    """

    forward: Callable[[torch.Tensor], torch.Tensor]
    frozen: Callable[[torch.Tensor], torch.Tensor]
    noise: Callable[[torch.Tensor, int], torch.Tensor]
    margin: Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]
    linear: Callable[[], models.Linear]
    epoch: int
    random: torch.Generator
    teachers: Sequence[Teacher] = ()

    def teacher(self, images: torch.Tensor) -> torch.Tensor:
        """Return the logits [m, classes] of the only teacher."""
        (only,) = self.teachers
        return only.predict(images)

    def uphill(self, images: torch.Tensor, labels: torch.Tensor, noise: torch.Tensor, length: float) -> torch.Tensor:
        """Return a step of an attack: along the gradient of -log mean_i softmax(f(x + delta_i))_y, of a given length.

        Args:
            images: [b, *shape] x, where the attack is.
            labels: [b] y.
            noise: [b * samples, *shape] the delta; the samples of an image are consecutive.
            length: of the step in l2, [0,1] pixels.

        Returns:
            [b, *shape] what is added to the images.
        """

        def objective(points: torch.Tensor) -> torch.Tensor:
            copies = points.repeat_interleave(len(noise) // len(points), 0) + noise
            log_p = self.frozen(copies).log_softmax(1).unflatten(0, (len(points), -1))
            # The mean over samples is inside the logarithm; its constant changes no gradient.
            return -log_p[torch.arange(len(points)), :, labels].logsumexp(1)

        return steepest(objective, images, length)


def steepest(objective: Callable[[torch.Tensor], torch.Tensor], points: torch.Tensor, length: float) -> torch.Tensor:
    """Return a step of a given length along the gradient of an objective.

    Args:
        objective: [n, *shape] to values [n]; each value depends on its own point alone.
        points: [n, *shape].
        length: of the step in l2.

    Returns:
        [n, *shape] what is added to the points; 0 where the gradient is 0.
    """
    points = points.detach().requires_grad_()
    (gradient,) = torch.autograd.grad(objective(points).sum(), points)
    norm = gradient.flatten(1).norm(dim=1).clamp_min(torch.finfo(gradient.dtype).tiny).view(-1, 1, 1, 1)
    return length * gradient / norm
