"""Up to three looks around a planned size: sound with probability 1 - alpha, and data may overrule the surrogate.

The plan of `planned` is the middle look. An earlier one at a third of its draws and a later one at three times as many
have a tenth of alpha each. After a look, the belief takes in the counts, and the next look is made only if it is
expected to gain more radius than its draws are worth. If another class than the expected one leads, the belief is about
that class, as the population has it. The largest bound counts.

Proof: given the sizes, the bound of look j exceeds its probability with at most its part of alpha. By a union bound all
of them hold together, so the largest one does, whenever the looks end.
"""

from dataclasses import replace
from typing import TYPE_CHECKING, Literal

import numpy as np
from pydantic import Field

from accelerated_smoothing.certify import Guarantee, beliefs, looks, planning, sampled
from accelerated_smoothing.certify.evidence import Evidence
from accelerated_smoothing.certify.gains import expected_radii
from accelerated_smoothing.certify.methods import planned
from accelerated_smoothing.config import Depth, Section
from accelerated_smoothing.counting.counts import Tallies, simulated

if TYPE_CHECKING:
    import pandas as pd

GUARANTEE: Guarantee = "sound"
NEEDS = ("selection", "estimation", "predictions", "belief")
ONLINE = True
PARTS, FACTORS = (0.1, 0.8, 0.1), (1 / 3, 1.0, 3.0)  # of alpha and of the planned size, for each look
MIDDLE = 1
TRIALS = 1000  # simulated images from which the rate is fitted


class Settings(Section):
    budget: float = Field(1000, gt=0, allow_inf_nan=False, description="mean passes of an image")
    depth: Depth | None = Field(None, description="of the surrogate; null: the shallowest")
    top: Literal["surrogate", "selection"] = Field("surrogate", description="what names the expected class")


def spend(
    evidence: Evidence,
    prior: np.ndarray,
    population: np.ndarray,
    shares: np.ndarray,
    gains: list[np.ndarray],
    rate: float,
) -> looks.Looks:
    """Look at each image up to three times, and return the best looks [images].

    Args:
        evidence: with the estimation counts.
        prior: [images, grid] belief about the expected class.
        population: [grid] belief about any other class.
        shares: [images, classes] of alpha, the largest for the expected class.
        gains: [grid, sizes] expected radii, of each look.
        rate: radius that a draw must gain.
    """
    counts = evidence.estimation
    assert counts is not None
    sizes, radius = counts.sizes, sampled.unit_radius(evidence)
    best_looks, last = looks.Looks.none(len(prior)), np.full(len(prior), planning.NONE)
    middle = planning.plan(prior, gains[MIDDLE], sizes, rate)
    rows = np.flatnonzero(middle != planning.NONE)
    for part, factor, gain in zip(PARTS, FACTORS, gains, strict=True):
        wanted = np.log(sizes[middle[rows]] * factor)
        position = np.abs(np.log(sizes) - wanted[:, None]).argmin(axis=1)
        before = planning.cost(last[rows], sizes)
        posterior = _posterior(prior[rows], population, shares[rows], counts, rows, last[rows])
        expected = np.take_along_axis(posterior @ gain, position[:, None], axis=1)[:, 0]
        gained = expected - radius(best_looks.p_lower[rows])
        worth = (sizes[position] > before) & ((gained > rate * (sizes[position] - before)) | (before == 0))
        if factor < 1:  # the first look may be smaller than any size that was counted
            worth &= wanted >= np.log(sizes[0])
        for each in np.unique(position[worth]):
            at = rows[worth & (position == each)]
            looks.look(best_looks, evidence, at, int(each), part * evidence.alpha * shares, None)
            last[at] = each
        rows = rows[worth | (factor < 1)]
    return best_looks


def _posterior(
    prior: np.ndarray,
    population: np.ndarray,
    shares: np.ndarray,
    counts: Tallies,
    rows: np.ndarray,
    positions: np.ndarray,
) -> np.ndarray:
    """Return the beliefs [rows, grid] about the leading class, after the draws up to a position of each row."""
    posterior = prior.copy()
    for position in np.unique(positions[positions != planning.NONE]):
        at = np.flatnonzero(positions == position)
        tally = np.where(shares[at] > 0, counts.tally(rows[at], int(position)), -1)
        leading, expected = tally.argmax(axis=1), shares[at].argmax(axis=1)
        belief = np.where((leading == expected)[:, None], prior[at], population)
        posterior[at] = belief * beliefs.likelihood(tally.max(axis=1), int(counts.sizes[position]))
    total = posterior.sum(axis=1, keepdims=True)
    return np.where(total > 0, posterior / np.where(total > 0, total, 1), prior)


def certify(evidence: Evidence, settings: Settings) -> "pd.DataFrame":
    """Certify each image from up to three looks."""
    estimation, belief = evidence.estimation, evidence.belief
    assert evidence.selection is not None
    assert estimation is not None
    assert belief is not None
    prior, shares, before, seconds = planned.expected(evidence, settings.depth, settings.top)
    levels = [part * evidence.alpha * shares.max() for part in PARTS]
    gains = [expected_radii(estimation.sizes, level, sampled.noise(evidence)) for level in levels]
    held_out = belief.held_out(settings.depth)
    random = np.random.default_rng(0)
    trials = held_out[random.integers(len(held_out), size=TRIALS)]
    places = (trials.cumsum(axis=1) < random.random((TRIALS, 1))).sum(axis=1).clip(max=len(planning.P) - 1)
    counts = simulated(planning.P[places], estimation.sizes, random, evidence.selection.meta)
    simulation = replace(evidence, estimation=counts)
    most = shares.max()
    two = np.tile([most, 1 - most], (TRIALS, 1))  # the expected class, and all others as one that may lead

    def spent(rate: float) -> float:
        return float(spend(simulation, trials, belief.population, two, gains, rate).n.mean())

    rate = planning.rate_for(settings.budget - before, spent)
    best_looks = spend(evidence, prior, belief.population, shares, gains, rate)
    return looks.certificates(evidence, best_looks, before=before, seconds=seconds, budget=settings.budget)
