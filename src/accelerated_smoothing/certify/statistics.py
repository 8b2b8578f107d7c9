"""The statistics of certification: pure functions over arrays (appendix IX-C; Cohen et al. 2019)."""

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

ABSTAIN = -1


def lower_bound(k: ArrayLike, n: ArrayLike, alpha: ArrayLike) -> np.ndarray:
    """Return LowerConfBound(k, n, 1 - alpha), the one-sided Clopper-Pearson bound (Clopper and Pearson 1934).

    Args:
        k: number of successes, of any shape, 0 <= k <= n.
        n: number of trials, of a shape that broadcasts with k's.
        alpha: the bound exceeds the true probability with at most this probability; it broadcasts, too.

    Returns:
        The largest p at which k or more successes have probability at most alpha; 0 where k = 0. Where rounding put the
        bound above that p, it is lowered, so the result is never too large.
    """
    k, n, alpha = np.broadcast_arrays(*(np.asarray(value, dtype=float) for value in (k, n, alpha)))
    if ((k < 0) | (k > n)).any():
        raise ValueError("successes k must lie between 0 and the number of trials n")
    positive = np.maximum(k, 1).ravel()  # betaincinv is undefined at k = 0, where the bound is 0
    rest, level = n.ravel() - positive + 1, alpha.ravel()
    p = special.betaincinv(positive, rest, level)
    step, high = np.finfo(float).eps, np.arange(len(p))
    while len(high := high[special.betainc(positive[high], rest[high], p[high]) > level[high]]):
        p[high] *= 1 - step
        step *= 2
    return np.where(k > 0, p.reshape(k.shape), 0.0)


def upper_bound(k: ArrayLike, n: ArrayLike, alpha: ArrayLike) -> np.ndarray:
    """Return the one-sided Clopper-Pearson bound from above, with the arguments of `lower_bound`; never too small."""
    complement = lower_bound(np.subtract(n, k), n, alpha)
    return np.where(complement > 0, np.nextafter(1 - complement, 1), 1.0)  # the difference is rounded


def randomized_bound(k: ArrayLike, n: ArrayLike, alpha: ArrayLike, u: ArrayLike) -> np.ndarray:
    """Return the randomized Clopper-Pearson bound, the uniformly most accurate one (Lehmann and Romano 2005, 3.5).

    Args:
        k, n, alpha: as for `lower_bound`.
        u: one uniform variable on (0, 1] for each bound, independent of k; it broadcasts.

    Returns:
        The largest p, rounded down, with P_p(X > k) + u P_p(X = k) <= alpha. It is `lower_bound(k)` for u = 1 and grows
        to `lower_bound(k + 1)` as u falls to 0. Where k = n, it is (alpha / u)^(1/n), at most 1.
    """
    k, n, alpha, u = np.broadcast_arrays(*(np.asarray(value, dtype=float) for value in (k, n, alpha, u)))
    low, high = lower_bound(k, n, alpha), np.where(k < n, lower_bound(np.minimum(k + 1, n), n, alpha), 1.0)
    above = np.maximum(n - k, 1)  # betainc(k + 1, 0) is undefined; where k = n, P(X > k) is 0
    while True:
        middle = (low + high) / 2
        if ((middle <= low) | (middle >= high)).all():  # neighbouring floats
            return np.where(alpha > 0, low, 0.0)  # small probabilities are rounded to 0, which alpha = 0 does not allow
        tail = np.where(k < n, special.betainc(k + 1, above, middle), 0.0)
        reached = tail + u * np.exp(_log_pmf(k, n, middle)) <= alpha * (1 - 1e-12)  # the pmf is rounded
        low, high = np.where(reached, np.maximum(middle, low), low), np.where(reached, high, middle)


def _log_pmf(k: np.ndarray, n: np.ndarray, p: np.ndarray) -> np.ndarray:
    """Return the logarithm of the binomial probability of k successes in n trials."""
    return log_choose(n, k) + special.xlogy(k, p) + special.xlog1py(n - k, -p)


def log_choose(n: ArrayLike, k: ArrayLike) -> np.ndarray:
    """Return the logarithm of the number of ways to choose k of n."""
    n, k = np.asarray(n, dtype=float), np.asarray(k, dtype=float)
    return np.asarray(-special.betaln(n - k + 1, k + 1) - np.log1p(n))


def quantile(p: ArrayLike) -> np.ndarray:
    """Return Phi^-1(p), the quantile of a standard normal variable."""
    return np.asarray(special.ndtri(p))


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
