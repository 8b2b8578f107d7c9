"""Lower confidence bounds of many images in one call, against a loop over statsmodels."""

from collections.abc import Iterator

import numpy as np
import torch
from statsmodels.stats.proportion import proportion_confint

from accelerated_smoothing.certify import statistics
from benchmarks import Row, Size, rates, rows

N, ALPHA = 100_000, 0.001
LOOP = "statsmodels, image by image"


def loop(counts: np.ndarray) -> np.ndarray:
    """Return the one-sided lower bound of each count."""
    return np.array([proportion_confint(k, N, alpha=2 * ALPHA, method="beta")[0] for k in counts])


def measure(device: torch.device, size: Size) -> Iterator[Row]:
    """Yield the speed of both ways and the greatest difference between their bounds. The device does not matter."""
    counts = np.random.default_rng(0).integers(1, N + 1, size.counts)  # statsmodels has no bound at k = 0
    ways = {
        LOOP: (lambda amount: loop(counts), len(counts)),
        "lower_bound, one call": (lambda amount: statistics.lower_bound(counts, N, ALPHA), len(counts)),
    }
    subject = f"{len(counts)} images, N = {N}"
    yield from rows("statistics", subject, "images/s", rates(ways, size.repeats), LOOP)
    difference = float(np.abs(loop(counts) - statistics.lower_bound(counts, N, ALPHA)).max())
    yield Row("statistics", subject, "greatest difference", difference, "probability")
