"""Fixed radii by a surrogate's bets: sound with probability 1 - alpha, and draws stop as soon as a radius is certain.

The belief that the surrogate gives about p is a bet on probabilities above p0, the least that certifies a radius. Its
likelihood ratio against p0 is a test martingale (`processes.mixture`). A good bet wins quickly; a bad one costs at most
ln 10 of evidence, since a tenth of each belief is the population's. An image is given up where no number of further
draws is worth its cost; this needs no guarantee, since giving up certifies nothing.

Bets need about 1.45 times the draws of one Clopper-Pearson bound. So a share `last` of alpha may be kept for such a
bound after all N draws, for images whose p is close to p0. Bets and bound together fail with at most alpha.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from pydantic import Field
from scipy.stats import binom

from accelerated_smoothing.certify import Guarantee, processes, radii, statistics
from accelerated_smoothing.certify.evidence import Evidence
from accelerated_smoothing.certify.methods import planned
from accelerated_smoothing.certify.planning import P
from accelerated_smoothing.config import Depth

if TYPE_CHECKING:
    import pandas as pd

GUARANTEE: Guarantee = "sound"
NEEDS = ("selection", "estimation", "predictions", "belief")
ONLINE = True


class Settings(radii.Fixed):
    depth: Depth | None = Field(None, description="of the surrogate; null: the shallowest")
    top: Literal["surrogate", "selection"] = Field("surrogate", description="what names the expected class")
    rate: float = Field(
        4e-6, gt=0, allow_inf_nan=False, description="chance of a certificate that a draw must have, or it is given up"
    )
    last: float = Field(0, ge=0, lt=1, description="share of alpha that is kept for a bound after all N draws")


@dataclass(frozen=True)
class Bets:
    """The test: see `radii.Test`.

    Attributes:
        prior: [images, grid] belief about the expected class.
        population: [grid] belief about any other class.
        expected: [images] the expected class.
        levels: [images, classes] error probability of each class's bets.
        last: [images, classes] error probability of its bound after all draws.
        rate: chance of success that a draw must have.
        most: draws that can be made.
    """

    prior: np.ndarray
    population: np.ndarray
    expected: np.ndarray
    levels: np.ndarray
    last: np.ndarray
    rate: float
    most: int

    def decide(
        self, rows: np.ndarray, classes: np.ndarray, k: np.ndarray, n: int, p0: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        prior = np.where((classes == self.expected[rows])[:, None], self.prior[rows], self.population)
        f, wanted, last = n - k, processes.threshold(self.levels[rows, classes]), self.last[rows, classes]
        evidence = processes.mixture(k, f, p0, prior) if n else np.zeros(len(rows))
        sure, left = evidence >= wanted, self.most - n
        if left == 0:
            return sure | (statistics.lower_bound(k, n, last) >= p0), np.ones(len(rows), bool)
        belief = posterior(prior, k, f)
        worth = chance(belief, p0, wanted - evidence, left)
        if last.any():
            least = binom.isf(last, self.most, p0) + 1  # the smallest count whose bound reaches p0
            worth = np.maximum(worth, (belief * binom.sf((least - 1 - k)[:, None], left, P)).sum(axis=1) / left)
        return sure, worth < self.rate


def posterior(prior: np.ndarray, k: np.ndarray, f: np.ndarray) -> np.ndarray:
    """Return the belief [images, grid] after successes k and failures f, [images]."""
    likelihood = k[:, None] * np.log(P) + f[:, None] * np.log1p(-P)
    belief = prior * np.exp(likelihood - likelihood.max(axis=1, keepdims=True))
    return np.asarray(belief / belief.sum(axis=1, keepdims=True))


def chance(belief: np.ndarray, p0: np.ndarray, missing: np.ndarray, most: int) -> np.ndarray:
    """Return the largest probability that bets succeed by further draws, per draw, [images].

    If p is P[grid], the missing evidence takes about missing / KL(p, p0) draws.

    Args:
        belief: [images, grid] about p.
        p0: [images] probability to exceed.
        missing: [images] logarithm of the evidence that is missing.
        most: further draws that can be made.
    """
    above = p0[:, None] < P
    divergence = P * (np.log(P) - np.log(p0)[:, None]) + (1 - P) * (np.log1p(-P) - np.log1p(-p0)[:, None])
    draws = np.maximum(missing[:, None] / np.where(above, np.maximum(divergence, 1e-300), 1e-300), 1.0)
    success = np.cumsum(np.where(above, belief, 0.0)[:, ::-1], axis=1)[:, ::-1]
    return np.asarray(np.where(above & (draws <= most), success / draws, 0.0).max(axis=1))


def climb(
    evidence: Evidence, settings: Settings, prior: np.ndarray, population: np.ndarray, shares: np.ndarray
) -> radii.Climb:
    """Draw for each image until all radii are certified, or further draws are not worth their cost.

    Args:
        prior: [images, grid] belief about the expected class; no function of the estimation draws.
        population: [grid] belief about any other class.
        shares: [images, classes] of alpha, most for the expected class; no function of these draws either.
    """
    estimation = evidence.estimation
    assert estimation is not None
    levels, last = (share * evidence.alpha * shares for share in (1 - settings.last, settings.last))
    most = int(estimation.sizes[-1])
    bets = Bets(prior, population, shares.argmax(axis=1), levels, last, settings.rate, most)
    p0 = radii.least_probabilities(settings.radii, evidence)
    return radii.climb(evidence, shares, p0, range(len(estimation.sizes)), bets)


def certify(evidence: Evidence, settings: Settings) -> "pd.DataFrame":
    """Certify each image at the largest of the radii that its draws support."""
    assert evidence.belief is not None
    prior, shares, before, seconds = planned.expected(evidence, settings.depth, settings.top)
    climbed = climb(evidence, settings, prior, evidence.belief.population, shares)
    return radii.certificates(evidence, settings, climbed, before=before, seconds=seconds)
