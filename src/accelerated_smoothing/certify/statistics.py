"""The statistics of certification: pure functions over arrays (appendix IX-C; Cohen et al. 2019)."""

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

ABSTAIN = -1


def lower_bound(k: ArrayLike, n: ArrayLike, alpha: float) -> np.ndarray:
    """Return LowerConfBound(k, n, 1 - alpha), the one-sided Clopper-Pearson bound (Clopper and Pearson 1934).

    Args:
        k: number of successes, of any shape, 0 <= k <= n.
        n: number of trials, of a shape that broadcasts with k's.
        alpha: the bound exceeds the true probability with at most this probability.

    Returns:
        The largest p at which k or more successes have probability at most alpha; 0 where k = 0. Where rounding put the
        bound above that p, it is lowered, so the result is never too large.
    """
    k, n = np.broadcast_arrays(np.asarray(k, dtype=float), np.asarray(n, dtype=float))
    if ((k < 0) | (k > n)).any():
        raise ValueError("successes k must lie between 0 and the number of trials n")
    positive = np.maximum(k, 1).ravel()  # betaincinv is undefined at k = 0, where the bound is 0
    rest = n.ravel() - positive + 1
    p = special.betaincinv(positive, rest, alpha)
    step, high = np.finfo(float).eps, np.arange(len(p))
    while len(high := high[special.betainc(positive[high], rest[high], p[high]) > alpha]):
        p[high] *= 1 - step
        step *= 2
    return np.where(k > 0, p.reshape(k.shape), 0.0)


def binomial_test(n_a: ArrayLike, n_b: ArrayLike) -> np.ndarray:
    """Return the two-sided p-value of n_a successes in n_a + n_b trials under probability 1/2.

    The null distribution is symmetric, so the p-value is twice the smaller tail, and at most 1.
    """
    n_a, n_b = np.asarray(n_a), np.asarray(n_b)
    return np.minimum(1.0, 2 * special.bdtr(np.minimum(n_a, n_b), n_a + n_b, 0.5))


def predict(counts: ArrayLike, alpha: float) -> np.ndarray:
    """Return the prediction of PREDICT (Cohen et al. 2019, section 3.2.1): the top class, or abstention.

    Args:
        counts: [images, classes] counts of f's predictions under noise.
        alpha: probability of returning a class other than g(x), at most.

    Returns:
        [images] the class with the largest count, or `ABSTAIN` where the two largest counts do not differ
        significantly.
    """
    counts = np.asarray(counts)
    top_two = np.sort(counts, axis=1)[:, -2:]
    significant = binomial_test(top_two[:, 1], top_two[:, 0]) <= alpha
    return np.where(significant, counts.argmax(axis=1), ABSTAIN)
