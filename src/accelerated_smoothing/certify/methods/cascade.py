"""Cascaded smoothing: the largest noise whose smoothed classifier is sure (Jeong and Shin 2024, section 3.2).

The classifier asks the smoothed classifiers of several noise levels, the largest first. It answers with the first class
that has a probability above 1/2, or with the class of the smallest noise. So the noise depends on the input, and yet
the certificate is sound, since every level on the way is certified:

    R = min( sigma_k Phi^-1(LB_k(c)), min over k' < k, c' != c of sigma_k' Phi^-1(1 - UB_k'(c')) ).

Within the first radius, class c stays above 1/2 at level k. Within each of the others, no other class c' gets above 1/2
at a level before k. The selection draws decide the level k, the first at which a class has more than half of them, and
its class. With K levels, each takes alpha/K, and a level before k shares it among the C - 1 other classes.

The levels are those of the experiment up to the sigma of the certificates. Each has a base classifier of its own.
"""

from typing import TYPE_CHECKING

import numpy as np
from pydantic import Field

from accelerated_smoothing.certify import Guarantee, sampled, statistics
from accelerated_smoothing.certify.evidence import Evidence
from accelerated_smoothing.config import Section
from accelerated_smoothing.noise import distribution

if TYPE_CHECKING:
    import pandas as pd

GUARANTEE: Guarantee = "sound"
NEEDS = ("selection", "estimation", "lower_selection", "lower_estimation")


class Settings(Section):
    n: int = Field(100000, ge=1, description="estimation draws at each level")


def certify(evidence: Evidence, settings: Settings) -> "pd.DataFrame":
    """Certify each image from its counts at all levels. The column `level` is the sigma of level k."""
    assert evidence.selection is not None
    n, n0 = settings.n, evidence.n0
    selections = [evidence.selection, *(evidence.lower_selection or [])]
    estimations = [evidence.stored, *(evidence.lower_estimation or [])]
    levels, images = len(selections), len(evidence.selection.idx)
    firsts = np.stack([counts.at(n0) for counts in selections])
    sure = 2 * firsts.max(axis=2) > n0
    level = np.where(sure.any(axis=0), sure.argmax(axis=0), levels - 1)
    rows = np.arange(images)
    top = firsts[level, rows].argmax(axis=1)

    draws = np.stack([counts.at(n) for counts in estimations])
    count = draws[level, rows, top]
    p_lower = statistics.lower_bound(count, n, evidence.alpha / levels)
    sigmas = np.stack([counts.sigmas for counts in selections])
    to_radius = distribution(sampled.noise(evidence)).radius
    radius = to_radius(p_lower, sigmas[level, rows])
    others = draws.shape[2] - 1
    for before in range(levels - 1):
        rest = draws[before].copy()
        rest[rows, top] = 0
        p_upper = statistics.upper_bound(rest.max(axis=1), n, evidence.alpha / (levels * others))
        room = to_radius(1 - p_upper, sigmas[before])
        radius = np.where(before < level, np.minimum(radius, room), radius)
    spent = np.cumsum([s.seconds_at(n0) + e.seconds_at(n) for s, e in zip(selections, estimations, strict=True)], 0)
    return sampled.certificates(
        evidence,
        top,
        radius,
        spent[level, rows],
        p_lower,
        count,
        n=n,
        passes=(level + 1) * (n0 + n),
        guarantee=GUARANTEE,
    ).assign(level=sigmas[level, rows])
