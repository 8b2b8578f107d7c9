"""Beliefs about the probability of the top class, calibrated on images that the surrogate was not trained on.

With h_c the surrogate's probability of its top class c, the belief of an image is

    pi(l) ~ pop(l) N(l; a + b logit h_c, s^2),  mixed with a share of pop,

over the logits `planning.GRID` of the true probability. `pop` is the distribution of these logits among held-out
images. The spread s depends on logit h_c and on how much the surrogates of several depths disagree. All of this only
decides how many draws an image gets. It is never part of a proof.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy import special

from accelerated_smoothing.certify.planning import GRID
from accelerated_smoothing.certify.statistics import log_choose
from accelerated_smoothing.counting.counts import Counts
from accelerated_smoothing.counting.predictions import Predictions
from accelerated_smoothing.errors import InputError
from accelerated_smoothing.files import read_arrays, write_arrays

ARRAYS = ("depths", "population", "coefficients", "logits", "disagreement", "successes")
POPULATION = 0.1  # share of `pop` in each belief, which bounds the cost of a wrong surrogate
ITERATIONS, BANDWIDTH = 30, 0.3  # of the population: few iterations and a kernel, in logits, so that it is smooth
IMAGES = 2000  # held-out images from which the coefficients are fitted, at most
SPREADS = (0.05, 5.0)  # s is kept within these


@dataclass(frozen=True)
class Belief:
    """A calibrated belief for each surrogate of one base classifier.

    Attributes:
        depths: [surrogates] ascending.
        population: [grid] probabilities `pop`.
        coefficients: [surrogates, 5] a, b, and three of ln s: constant, of logit h, of the disagreement.
        logits: [surrogates, images] logit h of the top class of each surrogate, of the held-out images.
        disagreement: [surrogates, images] in the logits of this class.
        successes: [surrogates, images] counts of this class.
        meta: base, sigma, ..., and `samples`, the draws behind each count.
    """

    depths: np.ndarray
    population: np.ndarray
    coefficients: np.ndarray
    logits: np.ndarray
    disagreement: np.ndarray
    successes: np.ndarray
    meta: dict[str, Any]

    def prior(self, depth: int | None, logits: np.ndarray, disagreement: np.ndarray) -> np.ndarray:
        """Return the belief [images, grid] about the probability of one class of each image.

        Args:
            depth: of the surrogate; None for the shallowest.
            logits: [images] logit of its probability of the class.
            disagreement: [images] of the surrogates in that logit.
        """
        mean, spread = _error(self.coefficients[self._position(depth)], logits, disagreement)
        return mixed(self.population, _normal(mean, spread))

    def about(self, predictions: Predictions, depth: int | None, classes: np.ndarray) -> np.ndarray:
        """Return the belief [images, grid] about one class of each image that was predicted."""
        return self.prior(depth, predictions.logits(depth, classes), predictions.disagreement(classes))

    def held_out(self, depth: int | None) -> np.ndarray:
        """Return the belief [images, grid] about the held-out images, from which rates are fitted to a budget."""
        row = self._position(depth)
        return self.prior(depth, self.logits[row], self.disagreement[row])

    def spread(self, depth: int | None, logits: np.ndarray, disagreement: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the mean and the standard deviation [images] of the true logit, before `pop` is considered."""
        return _error(self.coefficients[self._position(depth)], logits, disagreement)

    def typical_spread(self, depth: int | None = None) -> float:
        """Return the median of s over the held-out images."""
        row = self._position(depth)
        return float(np.median(_error(self.coefficients[row], self.logits[row], self.disagreement[row])[1]))

    def _position(self, depth: int | None) -> int:
        if depth is None:
            return 0
        if depth not in self.depths:
            raise InputError(f"--depth must be one of the belief's ({', '.join(map(str, self.depths))}), got {depth}")
        return int(np.flatnonzero(self.depths == depth)[0])

    def write(self, path: Path) -> None:
        """Write the belief."""
        write_arrays(path, {name: getattr(self, name) for name in ARRAYS}, self.meta)


def read(path: Path) -> Belief:
    """Read a belief.

    Raises:
        InputError: the file is missing, truncated or of another kind.
    """
    arrays, meta = read_arrays(path, ARRAYS, "belief")
    return Belief(**arrays, meta=meta)


def mixed(population: np.ndarray, likelihood: np.ndarray) -> np.ndarray:
    """Return beliefs [images, grid]: the population times a likelihood, normalised, with a share of the population."""
    belief = population * likelihood
    total = belief.sum(axis=1, keepdims=True)
    belief = np.where(total > 0, belief / np.where(total > 0, total, 1), population)
    return (1 - POPULATION) * belief + POPULATION * population


def likelihood(k: np.ndarray, n: int) -> np.ndarray:
    """Return the probability [images, grid] of k [images] successes in n draws, for each logit of the grid."""
    return np.exp(
        log_choose(n, k)[:, None] + np.outer(k, special.log_expit(GRID)) + np.outer(n - k, special.log_expit(-GRID))
    )


def population(k: np.ndarray, n: int, prior: np.ndarray | None = None) -> np.ndarray:
    """Return the distribution [grid] of logits among images with k [images] successes in n draws.

    It is a few iterations of expectation maximisation from `prior`, which is uniform by default, then smoothed. Counts
    are not taken for probabilities, so few draws per image suffice.
    """
    from scipy import ndimage  # slow to import, as is `optimize`, and the command line imports this module

    weights = np.full(len(GRID), 1 / len(GRID)) if prior is None else prior
    fit = likelihood(k, n)
    for _ in range(ITERATIONS):
        posterior = weights * fit
        weights = (posterior / posterior.sum(axis=1, keepdims=True)).mean(axis=0)
    weights = ndimage.gaussian_filter1d(weights, BANDWIDTH / (GRID[1] - GRID[0]), mode="nearest")
    weights = weights / weights.sum()
    return 0.99 * weights + 0.01 / len(GRID)  # nothing is impossible


def fit(predictions: Predictions, counts: Counts) -> Belief:
    """Fit beliefs to held-out images.

    The coefficients maximise the likelihood of the counts given the surrogate's logits.

    Args:
        predictions: of the surrogates, for images on which they were not trained.
        counts: of the base classifier, for the same images.

    Raises:
        InputError: the images are not held out, or the counts are of others.
    """
    if not predictions.meta["held_out"]:
        raise InputError("--predictions must be of images that the surrogate was not trained on; set surrogate.holdout")
    if not np.array_equal(predictions.idx, counts.idx):
        raise InputError("--counts must be of the predicted images, got counts of others")
    n = int(counts.sizes[-1])
    tops = predictions.h.argmax(axis=2)
    successes = np.stack([np.take_along_axis(counts.at(n), top[:, None], axis=1)[:, 0] for top in tops])
    logits = np.stack([predictions.logits(depth, top) for depth, top in zip(predictions.depths, tops, strict=True)])
    disagreement = np.stack([predictions.disagreement(top) for top in tops])
    pop = population(successes[-1], n)
    rows = np.arange(min(IMAGES, len(counts.idx))) * len(counts.idx) // min(IMAGES, len(counts.idx))
    coefficients = np.stack(
        [
            _coefficients(pop, logits[i, rows], disagreement[i, rows], successes[i, rows], n)
            for i in range(len(predictions.depths))
        ]
    )
    meta = {key: value for key, value in predictions.meta.items() if key not in ("kind", "held_out")}
    return Belief(
        predictions.depths, pop, coefficients, logits, disagreement, successes, {**meta, "kind": "belief", "samples": n}
    )


def _coefficients(
    pop: np.ndarray, logits: np.ndarray, disagreement: np.ndarray, successes: np.ndarray, n: int
) -> np.ndarray:
    """Return a, b, and the coefficients of ln s, with weak normal priors that keep few images from deciding."""
    from scipy import optimize

    evidence = likelihood(successes, n)
    centre, width = np.array([0.0, 1.0, 0.0, 0.0, 0.0]), np.array([3.0, 1.0, 1.0, 0.2, 1.0])

    def loss(coefficients: np.ndarray) -> float:
        belief = pop * _normal(*_error(coefficients, logits, disagreement))
        probability = (belief * evidence).sum(axis=1) / np.maximum(belief.sum(axis=1), 1e-300)
        prior = 0.5 * (((coefficients - centre) / width) ** 2).sum()
        return float(prior - np.log(np.maximum(probability, 1e-300)).sum())

    return np.asarray(optimize.minimize(loss, centre, method="L-BFGS-B").x)


def _error(coefficients: np.ndarray, logits: np.ndarray, disagreement: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean and standard deviation of the true logit given the surrogate's."""
    a, b, constant, slope, doubt = coefficients
    return a + b * logits, np.exp(constant + slope * logits + doubt * disagreement).clip(*SPREADS)


def _normal(mean: np.ndarray, spread: np.ndarray) -> np.ndarray:
    """Return normal densities [images, grid], up to a factor for each image."""
    z = (GRID - mean[:, None]) / spread[:, None]
    return np.asarray(np.exp(-0.5 * (z**2 - (z**2).min(axis=1, keepdims=True))))
