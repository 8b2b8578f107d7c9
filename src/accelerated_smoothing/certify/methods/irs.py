"""An edited classifier by the counts of the original: how often do they differ (Ugare et al. 2024, theorem 2)?

f was counted, and f' is f with rounded or pruned weights. Where A is the class of f,

    P(f' = A) >= P(f = A) - P(f' != f),

so the certificate of f' needs the counts of f, which exist, and a bound on how often the two differ. The difference is
rare, so few draws bound it well. They are the draws of a third network, which answers with the common class of f and f'
or, with one more class, that they differ. Each bound takes alpha/2.

Where f is not sure, the same draws certify more by themselves: P(f' = A) >= P(f = f' = A). The selection draws decide
between the two for each image, and the estimation draws are independent of these, so the certificate is sound.
"""

from typing import TYPE_CHECKING

import numpy as np
from pydantic import Field

from accelerated_smoothing.certify import Guarantee, sampled, statistics
from accelerated_smoothing.certify.evidence import Evidence
from accelerated_smoothing.config import Name, Section

if TYPE_CHECKING:
    import pandas as pd

GUARANTEE: Guarantee = "sound"
NEEDS = ("selection", "estimation", "other_selection", "other_estimation")
NETWORKS = 2  # that run on each new draw: f and f'


class Settings(Section):
    n: int = Field(100000, ge=1, description="estimation draws of f, which exist")
    pairs: int = Field(1000, ge=1, description="new draws, on which both f and f' run")
    other: Name = Field("agreement", description="experiment of the same paper with combine: agreement of f and f'")


def bounds(
    of_f: np.ndarray, agreed: np.ndarray, differ: np.ndarray, settings: Settings, alpha: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return two lower bounds on P(f' = A), [images] each: by the counts of f, and by those of both alone.

    Args:
        of_f: [images] draws of f in A, of `settings.n`.
        agreed: [images] draws of both in A, of `settings.pairs`.
        differ: [images] draws on which they differ, of `settings.pairs`.
    """
    n, pairs = settings.n, settings.pairs
    apart = statistics.upper_bound(differ, pairs, alpha / 2)
    by_f = np.maximum(statistics.lower_bound(of_f, n, alpha / 2) - apart, 0.0)
    return by_f, statistics.lower_bound(agreed, pairs, alpha)


def certify(evidence: Evidence, settings: Settings) -> "pd.DataFrame":
    """Certify f' at each image. Passes are those of the new draws; n counts the draws of f, which exist."""
    assert evidence.selection is not None
    assert evidence.other_selection is not None
    n, n0, pairs = settings.n, evidence.n0, settings.pairs
    rows = np.arange(len(evidence.selection.idx))
    first, both = evidence.selection.at(n0), evidence.other_selection.at(n0)
    top = first.argmax(axis=1)
    # What the bounds would be if the estimation draws had the shares of the selection draws.
    of_f, agreed = np.rint(first[rows, top] / n0 * n), np.rint(both[rows, top] / n0 * pairs)
    by_f, alone = bounds(of_f, agreed, np.rint(both[:, -1] / n0 * pairs), settings, evidence.alpha)
    count, both = evidence.stored.at(n)[rows, top], evidence.other_stored.at(pairs)
    lower_bounds = bounds(count, both[rows, top], both[:, -1], settings, evidence.alpha)
    p_lower = np.where(by_f >= alone, *lower_bounds)
    return sampled.certificates(
        evidence,
        top,
        sampled.radius(evidence, p_lower),
        evidence.other_selection.seconds_at(n0) + evidence.other_stored.seconds_at(pairs),
        p_lower,
        count,
        n=n,
        passes=NETWORKS * (n0 + pairs),
        guarantee=GUARANTEE,
    )
