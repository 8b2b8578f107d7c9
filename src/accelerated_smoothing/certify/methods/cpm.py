"""Class partitioning: a bound on the runner-up's probability beside that of the top class (Delattre et al. 2025).

Cohen et al. bound the probability of every other class by 1 - p_A. Under Gaussian noise the radius is

    sigma/2 (Phi^-1(p_A) - Phi^-1(p_B)),

so an upper bound on the largest p_B of all other classes makes it larger, where several classes share what A leaves.
A bound for each class costs alpha/C each. But the probability of a set of classes bounds that of each class in it. So
the selection draws partition the other classes into few sets, none of which is likelier than the runner-up alone, and
alpha is shared by A and these sets. The estimation draws are independent of the partition, so the certificate is sound.

Where one other class takes nearly all of the rest, Cohen et al.'s bound with all of alpha is better. The selection
draws decide this, too, for each image.
"""

from typing import TYPE_CHECKING

import numpy as np
from pydantic import Field
from scipy import special

from accelerated_smoothing.certify import Guarantee, sampled, statistics
from accelerated_smoothing.certify.evidence import Evidence
from accelerated_smoothing.config import Section
from accelerated_smoothing.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

GUARANTEE: Guarantee = "sound"
NEEDS = ("selection", "estimation")


class Settings(Section):
    n: int = Field(100000, ge=1, description="estimation draws")


def partition(counts: np.ndarray) -> np.ndarray:
    """Return the set of each class, [images, classes]: 0 for the top class, 1 for the runner-up, ...

    Classes join the first set that they make no likelier than the runner-up (first fit, in descending order).

    Args:
        counts: [images, classes] of selection draws.
    """
    sets = np.zeros_like(counts)
    for row, count in enumerate(counts):
        top, *others = np.argsort(-count, kind="stable")
        sums = [count[top]]
        for place, c in enumerate(others):
            most = count[others[0]]
            fitting = (number for number in range(1, len(sums)) if sums[number] + count[c] <= most) if place else ()
            sets[row, c] = own = next(iter(fitting), len(sums))
            sums += [0] * (own == len(sums))
            sums[own] += count[c]
    return sets


def bounds(counts: np.ndarray, sets: np.ndarray, n: int, alpha: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the lower bound on p_A and the upper bound on the largest other probability, [images] each.

    Both hold together with probability 1 - alpha.

    Args:
        counts: [images, classes] of n estimation draws.
        sets: of `partition`, from independent draws.
    """
    shares = alpha / (sets.max(axis=1) + 1)
    sums = np.stack([np.where(sets == number, counts, 0).sum(axis=1) for number in range(int(sets.max()) + 1)], axis=1)
    p_a = statistics.lower_bound(sums[:, 0], n, shares)
    used = np.arange(1, sums.shape[1]) <= sets.max(axis=1)[:, None]
    p_b = np.where(used, statistics.upper_bound(sums[:, 1:], n, shares[:, None]), 0.0).max(axis=1)
    return p_a, np.minimum(p_b, 1 - p_a)


def certify(evidence: Evidence, settings: Settings) -> "pd.DataFrame":
    """Certify each image from its counts. The column `p_upper` is the bound on the other classes.

    Raises:
        InputError: the noise is not Gaussian.
    """
    assert evidence.selection is not None
    if sampled.norm(evidence) != "l2":
        raise InputError(f"the noise of the counts must be gaussian, got {sampled.noise(evidence)}")
    first, n, alpha = evidence.selection.at(evidence.n0), settings.n, evidence.alpha
    counts, sets, top = evidence.stored.at(n), partition(first), first.argmax(axis=1)
    count = np.take_along_axis(counts, top[:, None], axis=1)[:, 0]
    # What each bound would give if the estimation draws had the shares of the selection draws.
    expected = np.rint(first * (n / evidence.n0))
    most = np.minimum(np.take_along_axis(expected, top[:, None], axis=1)[:, 0], n)
    whole = statistics.lower_bound(most, n, alpha)
    better = _score(*bounds(np.minimum(expected, n), sets, n, alpha)) > _score(whole, 1 - whole)
    p_a, p_b = bounds(counts, sets, n, alpha)
    alone = statistics.lower_bound(count, n, alpha)
    p_lower, p_upper = np.where(better, p_a, alone), np.where(better, p_b, 1 - alone)
    radius = np.maximum(evidence.selection.sigmas * _score(p_lower, p_upper), 0.0)
    seconds = evidence.selection.seconds_at(evidence.n0) + evidence.stored.seconds_at(n)
    passes = evidence.n0 + n
    return sampled.certificates(
        evidence, top, radius, seconds, p_lower, count, n=n, passes=passes, guarantee=GUARANTEE
    ).assign(p_upper=p_upper)


def _score(p_a: np.ndarray, p_b: np.ndarray) -> np.ndarray:
    """Return the radius in units of sigma, negative where p_a < p_b."""
    return np.asarray((special.ndtri(p_a) - special.ndtri(np.maximum(p_b, 1e-300))) / 2)
