"""Sampling for one certificate: several layers on an embedding, against a whole network (FaRS)."""

from collections.abc import Callable

import numpy as np
import torch

from accelerated_smoothing import models
from accelerated_smoothing.architectures import sll
from accelerated_smoothing.counting import engines, sampling
from benchmarks import CLASSES, Row, rates, rows

PAIRS = (("sll8-4", "mlp-64", (1, 8, 8)), ("sll32-2", "mlp-256", (3, 32, 32)))  # of the demo and of CIFAR-10
SIGMA, N0, SIZES, REPEATS = 0.25, 100, (1_000, 10_000), 5


def certificates(arch: str, shape: tuple[int, ...], n: int, device: torch.device) -> Callable[[int], None]:
    """All draws of CERTIFY, of one input after another; the weights are random, since speed does not depend on them."""
    torch.manual_seed(0)
    model = models.build(arch, CLASSES, [0.5] * shape[0], [0.25] * shape[0]).eval()
    engine = {draws: engines.build(model, shape, device=device, draws=draws) for draws in (N0, n)}
    image = np.random.default_rng(0).random((1, *shape), np.float32)

    def run(amount: int) -> None:
        for _ in range(amount):
            for draws, purpose in ((N0, "selection"), (n, "estimation")):
                sampling.count_predictions(engine[draws], image, SIGMA, draws, 0, classes=CLASSES, purpose=purpose)

    return run


def measure(device: torch.device) -> list[Row]:
    """Embeddings are taken as given: Table 4 of FaRS has whole certificates, the backbone's pass in them."""
    made = []
    for backbone, head, shape in PAIRS:
        embedded = (sll(backbone).features, 1, 1)
        for n in SIZES:
            taken = rates(
                {
                    "whole network": (certificates(backbone, shape, n, device), 1),
                    "on its embedding": (certificates(head, embedded, n, device), 20),
                },
                REPEATS,
            )
            made += rows("embedded", f"{head} behind {backbone}, N = {n}", "certificates/s", taken, "whole network")
    return made
