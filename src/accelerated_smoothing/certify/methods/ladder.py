"""Fixed radii by a surrogate's bets: sound with probability 1 - alpha, and draws stop as soon as a radius is certain.

The belief that the surrogate gives about p is a bet on probabilities above p0, the least that certifies a radius. Its
likelihood ratio against p0 is a test martingale (`processes.mixture`). A good bet wins quickly; a bad one costs at most
ln 10 of evidence, since a tenth of each belief is the population's. An image is given up where no number of further
draws is worth its cost; this needs no guarantee, since giving up certifies nothing.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from pydantic import Field

from accelerated_smoothing.certify import Guarantee, processes, radii
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


@dataclass(frozen=True)
class Bets:
    """The test: see `radii.Test`.

    Attributes:
        prior: [images, grid] belief about the expected class.
        population: [grid] belief about any other class.
        expected: [images] the expected class.
        levels: [images, classes] error probability of each class.
        rate: chance of success that a draw must have.
        most: draws that can be made.
    """

    prior: np.ndarray
    population: np.ndarray
    expected: np.ndarray
    levels: np.ndarray
    rate: float
    most: int

    def decide(
        self, rows: np.ndarray, classes: np.ndarray, k: np.ndarray, n: int, p0: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        prior = np.where((classes == self.expected[rows])[:, None], self.prior[rows], self.population)
        f, wanted = n - k, processes.threshold(self.levels[rows, classes])
        evidence = processes.mixture(k, f, p0, prior) if n else np.zeros(len(rows))
        return evidence >= wanted, chance(prior, k, f, p0, wanted - evidence, self.most - n) < self.rate


def chance(
    prior: np.ndarray, k: np.ndarray, f: np.ndarray, p0: np.ndarray, missing: np.ndarray, most: int
) -> np.ndarray:
    """Return the largest probability of success by further draws, per draw, [images].

    If p is P[grid], the missing evidence takes about missing / KL(p, p0) draws.

    Args:
        prior: [images, grid] belief before any draws.
        k, f: [images] successes and failures.
        p0: [images] probability to exceed.
        missing: [images] logarithm of the evidence that is missing.
        most: further draws that can be made.
    """
    likelihood = k[:, None] * np.log(P) + f[:, None] * np.log1p(-P)
    posterior = prior * np.exp(likelihood - likelihood.max(axis=1, keepdims=True))
    posterior /= posterior.sum(axis=1, keepdims=True)
    above = p0[:, None] < P
    divergence = P * (np.log(P) - np.log(p0)[:, None]) + (1 - P) * (np.log1p(-P) - np.log1p(-p0)[:, None])
    draws = np.maximum(missing[:, None] / np.where(above, np.maximum(divergence, 1e-300), 1e-300), 1.0)
    success = np.cumsum(np.where(above, posterior, 0.0)[:, ::-1], axis=1)[:, ::-1]
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
    levels, most = evidence.alpha * shares, int(estimation.sizes[-1])
    bets = Bets(prior, population, shares.argmax(axis=1), levels, settings.rate, most)
    p0 = radii.least_probabilities(settings.radii, evidence)
    return radii.climb(evidence, shares, p0, range(len(estimation.sizes)), bets)


def certify(evidence: Evidence, settings: Settings) -> "pd.DataFrame":
    """Certify each image at the largest of the radii that its draws support."""
    assert evidence.belief is not None
    prior, shares, before, seconds = planned.expected(evidence, settings.depth, settings.top)
    found = climb(evidence, settings, prior, evidence.belief.population, shares)
    return radii.certificates(evidence, settings, found, before=before, seconds=seconds)
