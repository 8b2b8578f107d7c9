"""What draws gain: the radius that is expected after each number of draws, for each probability of the top class."""

import functools

import numpy as np

from accelerated_smoothing.certify import statistics
from accelerated_smoothing.certify.planning import P
from accelerated_smoothing.noise import distribution

QUANTILES = (np.arange(24) + 0.5) / 24  # of a count, over which its radius is averaged


def expected_radii(sizes: np.ndarray, alpha: float, noise: str) -> np.ndarray:
    """Return the mean radius G [grid, sizes] that n draws certify at level alpha if the probability is P[grid].

    Args:
        sizes: [sizes] numbers of draws.
        alpha: probability that the bound is wrong, at most.
        noise: its distribution. Radii are in units of its scale.
    """
    return _expected_radii(tuple(sizes.tolist()), float(alpha), noise)


@functools.lru_cache(maxsize=64)
def _expected_radii(sizes: tuple[int, ...], alpha: float, noise: str) -> np.ndarray:
    """See `expected_radii`; kept, since it takes longer than a certificate and depends on no image."""
    from scipy import stats  # slow to import, and the command line imports every method

    n = np.array(sizes)
    k = stats.binom.ppf(QUANTILES[:, None, None], n, P[:, None])
    pairs = np.stack([k, np.broadcast_to(n, k.shape)]).reshape(2, -1)
    distinct, place = np.unique(pairs, axis=1, return_inverse=True)
    radii = distribution(noise).radius(statistics.lower_bound(distinct[0], distinct[1], alpha), 1.0)
    means: np.ndarray = radii[place].reshape(k.shape).mean(axis=0)
    means.setflags(write=False)
    return means
