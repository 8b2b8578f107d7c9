"""Evidence that a published log implies: binomial counts, and a surrogate with a Gaussian error in its logit.

The log has a radius for each image, so the count k of the top class among N draws follows by inverting the
Clopper-Pearson bound. The probability of that class is taken to be k / N. Where the log abstains, 1/2 is the largest
probability that it allows, and is taken. Certificates from such evidence are simulated: they say what methods would
cost on these images, and certify nothing.
"""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from scipy import special

from accelerated_smoothing.certify import beliefs, statistics
from accelerated_smoothing.certify.beliefs import Belief
from accelerated_smoothing.counting.counts import Counts, simulated
from accelerated_smoothing.counting.predictions import Predictions
from accelerated_smoothing.noise import distribution

if TYPE_CHECKING:
    import pandas as pd

DIGITS = 3  # significant digits of the published radii
DEPTH = 20  # of the simulated surrogate, which needs a name


@dataclass(frozen=True)
class Simulated:
    """The evidence; see `evidence.Evidence`."""

    selection: Counts
    estimation: Counts
    pilot: Counts
    predictions: Predictions
    belief: Belief


def successes(radius: np.ndarray, sigma: float, n: int, alpha: float) -> np.ndarray:
    """Return the counts [images] of the top class in n draws that published radii [images] imply.

    Of several counts with the same rounded radius, the middle one is taken.
    """
    k = np.arange(n // 2, n + 1)
    radii = distribution("gaussian").radius(statistics.lower_bound(k, n, alpha), sigma)
    rounded = np.array([float(f"{value:.{DIGITS}}") for value in radii])
    first, last = (np.searchsorted(rounded, radius, side) for side in ("left", "right"))
    return k[((first + np.maximum(last - 1, first)) // 2).clip(max=len(k) - 1)]


def simulate(
    log: "pd.DataFrame",
    *,
    sigma: float,
    spread: float,
    published: tuple[int, float],
    sizes: list[int],
    n0: int,
    pilots: list[int],
    seed: int,
) -> Simulated:
    """Simulate the evidence of one noise level.

    Args:
        log: the certificates, in the format of `log.py`.
        sigma: of the noise.
        spread: standard deviation of the surrogate's error in the logit.
        published: N and alpha of the log.
        sizes: nested numbers of estimation draws.
        n0, pilots: numbers of selection and of pilot draws.
        seed: the root seed.
    """
    random = np.random.default_rng(seed)
    n, alpha = published
    idx, labels = log["idx"].to_numpy(), log["label"].to_numpy()
    certified = log["predict"].to_numpy() >= 0
    top = np.where(certified, log["predict"].to_numpy(), labels)
    k = np.where(certified, successes(log["radius"].to_numpy(), sigma, n, alpha), n // 2)
    classes = int(max(labels.max(), top.max())) + 1
    meta = {
        "sigma": sigma, "noise": "gaussian", "choice": None, "sigmas": None, "choice_passes": 0, "base": "simulated",
        "arithmetic": "simulated", "dataset": "cifar10", "split": "test", "classes": classes, "seed": seed,
    }  # fmt: skip
    images = np.arange(len(idx))

    def spread_out(values: np.ndarray) -> np.ndarray:
        """Return values [..., 2] of the top class and of the rest as [..., classes]; the rest is one class."""
        whole = np.zeros((*values.shape[:-1], classes), values.dtype)
        whole[images, ..., top], whole[images, ..., (top + 1) % classes] = values[..., 0], values[..., 1]
        return whole

    def counts(numbers: list[int], purpose: str) -> Counts:
        drawn = simulated(k / n, np.array(numbers), random, {**meta, "kind": "counts", "purpose": purpose})
        return replace(drawn, idx=idx, labels=labels, counts=spread_out(drawn.counts))

    def surrogate() -> np.ndarray:
        logits = np.log(k + 0.5) - np.log(n - k + 0.5) + spread * random.normal(size=len(k))
        return spread_out(np.stack([special.expit(logits), special.expit(-logits)], axis=1))

    predictions = Predictions(
        idx,
        labels,
        np.array([DEPTH]),
        surrogate()[None],
        np.zeros(1),
        {**meta, "kind": "predictions", "held_out": False},
    )
    others = replace(predictions, h=surrogate()[None])  # of images alike, from which rates are fitted
    classes_of = others.of(None).argmax(axis=1)
    logits = others.logits(None, classes_of)[None]
    belief = Belief(
        np.array([DEPTH]),
        beliefs.population(k, n),
        np.array([[0.0, 1.0, np.log(spread), 0.0, 0.0]]),
        logits,
        np.zeros_like(logits),
        np.where(classes_of == top, k, n - k)[None],
        {**meta, "kind": "belief", "split": "train", "samples": n},  # of images alike, as if they were others
    )
    return Simulated(
        counts([n0], "selection"), counts(sizes, "estimation"), counts(pilots, "pilot"), predictions, belief
    )
