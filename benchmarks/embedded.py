"""Sampling for one certificate: several layers on an embedding, against a whole network (FaRS)."""

from collections.abc import Callable, Iterator

import numpy as np
import torch

from accelerated_smoothing import models
from accelerated_smoothing.architectures import sll
from accelerated_smoothing.counting import engines, sampling
from benchmarks import CLASSES, Row, Size, rates, rows

# Backbone: its head and the shape of its images, for the demo's digits and for CIFAR-10.
HEADS = {"sll8-4": ("mlp-64", (1, 8, 8)), "sll32-2": ("mlp-256", (3, 32, 32))}
SIGMA, N0 = 0.25, 100


def certificates(arch: str, shape: tuple[int, ...], n: int, device: torch.device) -> Callable[[int], None]:
    """Return a function of an amount that takes all draws of CERTIFY for so many inputs, one after another.

    The weights are random, since speed does not depend on them.
    """
    torch.manual_seed(0)
    model = models.build(arch, CLASSES, [0.5] * shape[0], [0.25] * shape[0]).eval()
    engine = {draws: engines.build(model, shape, device=device, draws=draws) for draws in (N0, n)}
    image = np.random.default_rng(0).random((1, *shape), np.float32)

    def run(amount: int) -> None:
        for _ in range(amount):
            for draws, purpose in ((N0, "selection"), (n, "estimation")):
                sampling.count_predictions(engine[draws], image, SIGMA, draws, 0, classes=CLASSES, purpose=purpose)

    return run


def measure(device: torch.device, size: Size) -> Iterator[Row]:
    """Yield certificates per second of both ways. Neither includes the pass through the backbone."""
    for backbone in size.backbones:
        head, shape = HEADS[backbone]
        features = (sll.shape(backbone).features, 1, 1)
        for n in size.samples:
            ways = {
                "whole network": (certificates(backbone, shape, n, device), 1),
                "on its embedding": (certificates(head, features, n, device), 20),
            }
            subject = f"{head} behind {backbone}, N = {n}"
            yield from rows("embedded", subject, "certificates/s", rates(ways, size.repeats), "whole network")
