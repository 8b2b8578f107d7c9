"""Looks at counts: lower bounds for every class at numbers of draws that were decided beforehand."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from accelerated_smoothing.certify import sampled, statistics
from accelerated_smoothing.certify.evidence import Evidence
from accelerated_smoothing.certify.planning import NONE, Bound

if TYPE_CHECKING:
    import pandas as pd


@dataclass
class Looks:
    """The best look at each image so far.

    Attributes:
        top: [images] class with the largest bound.
        p_lower: [images] lower bound on its probability.
        count: [images] its count.
        n: [images] draws so far.
        seconds: [images] time of these draws.
    """

    top: np.ndarray
    p_lower: np.ndarray
    count: np.ndarray
    n: np.ndarray
    seconds: np.ndarray

    @classmethod
    def none(cls, images: int) -> "Looks":
        """Return no look at any image."""
        zeros = [np.zeros(images, np.int64) for _ in range(3)]
        return cls(zeros[0], np.zeros(images), zeros[1], zeros[2], np.zeros(images))

    def keep(self, rows: np.ndarray, tally: np.ndarray, bounds: np.ndarray, n: int, seconds: np.ndarray) -> None:
        """Keep a look at some images where its bound is larger.

        Args:
            rows: of the images.
            tally: [rows, classes] counts.
            bounds: [rows, classes] lower bounds.
            n: draws.
            seconds: [rows] time of these draws.
        """
        top = bounds.argmax(axis=1)
        best, count = (array[np.arange(len(rows)), top] for array in (bounds, tally))
        self.n[rows], self.seconds[rows] = n, seconds
        larger = best > self.p_lower[rows]
        for kept, new in ((self.top, top), (self.p_lower, best), (self.count, count)):
            kept[rows[larger]] = new[larger]


def look(
    looks: Looks, evidence: Evidence, rows: np.ndarray, position: int, levels: np.ndarray, u: np.ndarray | None
) -> None:
    """Look at some images after the draws of one position, and keep a larger bound, in place.

    Args:
        looks: the best so far.
        evidence: with the estimation counts.
        rows: of the images.
        position: in the sizes of the counts.
        levels: [images, classes] probability with which the bound of each class may be wrong.
        u: [images] for randomized bounds; None for Clopper and Pearson's.
    """
    counts = evidence.estimation
    assert counts is not None
    n = int(counts.sizes[position])
    tally = counts.tally(rows, position)
    if u is None:
        bounds = statistics.lower_bound(tally, n, levels[rows])
    else:
        bounds = statistics.randomized_bound(tally, n, levels[rows], u[rows, None])
    looks.keep(rows, tally, bounds, n, counts.seconds_of(rows, position))


def planned(evidence: Evidence, positions: np.ndarray, shares: np.ndarray, bound: Bound) -> Looks:
    """Look once at each image.

    Args:
        evidence: with the estimation counts.
        positions: [images] in their sizes, or `NONE`: not a function of these counts.
        shares: [images, classes] of alpha, with a sum of at most 1: no function of these counts either.
        bound: "clopper-pearson" or "randomized".
    """
    looks = Looks.none(len(positions))
    u = sampled.uniform(evidence) if bound == "randomized" else None
    for position in np.unique(positions[positions != NONE]):
        look(looks, evidence, np.flatnonzero(positions == position), int(position), evidence.alpha * shares, u)
    return looks


def certificates(
    evidence: Evidence, looks: Looks, *, before: int | np.ndarray, seconds: float | np.ndarray, **columns: Any
) -> "pd.DataFrame":
    """Return sound certificates from looks.

    Args:
        before: passes of the base classifier that were spent beside the estimation draws.
        seconds: time that was spent beside them.
        columns: further columns.
    """
    return sampled.certificates(
        evidence,
        looks.top,
        sampled.radius(evidence, looks.p_lower),
        looks.seconds + seconds,
        looks.p_lower,
        looks.count,
        n=looks.n,
        passes=looks.n + before,
        guarantee="sound",
    ).assign(**columns)
