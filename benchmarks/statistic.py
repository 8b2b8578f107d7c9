"""The bound of 10,000 images in one call, against a loop over statsmodels."""

import numpy as np
from statsmodels.stats.proportion import proportion_confint

from accelerated_smoothing.certify import statistics
from benchmarks import Row, rates, rows

IMAGES, N, ALPHA = 10_000, 100_000, 0.001


def loop(counts: np.ndarray) -> np.ndarray:
    return np.array([proportion_confint(k, N, alpha=2 * ALPHA, method="beta")[0] for k in counts])


def measure() -> list[Row]:
    counts = np.random.default_rng(0).integers(1, N + 1, IMAGES)  # statsmodels has no bound at k = 0
    ways = {
        "statsmodels, image by image": (lambda amount: loop(counts), IMAGES),
        "lower_bound, one call": (lambda amount: statistics.lower_bound(counts, N, ALPHA), IMAGES),
    }
    made = rows("statistics", f"{IMAGES} images, N = {N}", "images/s", rates(ways, 5), "statsmodels, image by image")
    apart = np.abs(loop(counts) - statistics.lower_bound(counts, N, ALPHA)).max()
    return [*made, Row("statistics", f"{IMAGES} images, N = {N}", "greatest difference", float(apart), "probability")]
