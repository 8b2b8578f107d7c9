"""A network and its noise, for a way of training."""

from collections.abc import Callable
from dataclasses import dataclass

import torch

from accelerated_smoothing import models


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
    """

    forward: Callable[[torch.Tensor], torch.Tensor]
    frozen: Callable[[torch.Tensor], torch.Tensor]
    noise: Callable[[torch.Tensor, int], torch.Tensor]
    margin: Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]
    linear: Callable[[], models.Linear]
    epoch: int
    random: torch.Generator
