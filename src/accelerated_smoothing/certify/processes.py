"""Evidence that may be looked at after every draw: test martingales, and the bounds that follow from them.

Each function returns the logarithm of a process M that starts at 1 and, if the probability p of the class is at most
p0 (`mixture`) or equal to p0 (`beta`), is a nonnegative supermartingale. By Ville's inequality it ever reaches 1/alpha
with probability alpha at most. So p > p0 may be claimed when it does, at any time and however the time was chosen.
"""

import numpy as np
from scipy import special

from accelerated_smoothing.certify.planning import P

SLACK = 1e-6  # added to ln(1 / alpha), for rounding
STEPS = 60  # of a bisection in floating point


def threshold(level: np.ndarray) -> np.ndarray:
    """Return the logarithm that a process must reach, for error probabilities of any shape; infinite for 0."""
    return np.where(level > 0, -np.log(np.where(level > 0, level, 1.0)), np.inf) + SLACK


def mixture(k: np.ndarray, f: np.ndarray, p0: np.ndarray, prior: np.ndarray) -> np.ndarray:
    """Return the log likelihood ratio [images] of a mixture of probabilities above p0, against p0.

    It is a supermartingale for every p <= p0: for q >= p0 >= p, a draw multiplies the ratio of q by
    p q/p0 + (1 - p)(1 - q)/(1 - p0) <= 1 on average.

    Args:
        k: [images] successes.
        f: [images] failures.
        p0: [images] probability to exceed.
        prior: [images, grid] belief about p; the part above p0 is used.
    """
    weights = np.where(p0[:, None] < P, prior, 0.0)
    total = weights.sum(axis=1)
    usable = total > 0
    with np.errstate(divide="ignore"):
        log_weights = np.log(weights) - np.log(np.where(usable, total, 1.0))[:, None]
    gains = k[:, None] * (np.log(P) - np.log(p0)[:, None])
    losses = f[:, None] * (np.log1p(-P) - np.log1p(-p0)[:, None])
    return np.where(usable, special.logsumexp(log_weights + gains + losses, axis=1), -np.inf)


def beta(k: np.ndarray, f: np.ndarray, p0: np.ndarray, a: np.ndarray | float, b: np.ndarray | float) -> np.ndarray:
    """Return the log likelihood ratio [images] of a Beta(a, b) mixture against p0.

    With a = b = 1/2 this is the bet of Krichevsky and Trofimov. As a function of p0 it falls up to k / (k + f). So if
    it reaches the threshold at a p0 below k / (k + f), then every smaller probability is excluded, too.
    """
    return np.asarray(
        special.betaln(a + k, b + f) - special.betaln(a, b) - special.xlogy(k, p0) - special.xlog1py(f, -p0)
    )


def beta_bound(
    k: np.ndarray, n: int, levels: np.ndarray, a: np.ndarray | float, b: np.ndarray | float, share: float
) -> np.ndarray:
    """Return the lower bound of the confidence sequence after n draws, of the shape of k.

    Args:
        k: successes, of any shape.
        n: draws.
        levels: error probability of each sequence; it broadcasts.
        a, b: of the Beta mixture; they broadcast.
        share: of this mixture; the rest of the weight is on Beta(1/2, 1/2), which limits the cost of a wrong belief.

    Returns:
        The largest p0 below k / n that is excluded, rounded down; 0 where none is.
    """
    f, wanted = n - k, threshold(np.broadcast_to(levels, k.shape))
    low, high = np.zeros(k.shape), k / n
    for _ in range(STEPS):
        middle = (low + high) / 2
        evidence = np.logaddexp(
            np.log(share) + beta(k, f, middle, a, b), np.log1p(-share) + beta(k, f, middle, 0.5, 0.5)
        )
        excluded = (evidence >= wanted) & (k > 0)
        low, high = np.where(excluded, middle, low), np.where(excluded, high, middle)
    return low
