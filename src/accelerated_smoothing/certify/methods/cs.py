"""A confidence sequence at the planned sizes: sound with probability 1 - alpha at all numbers of draws at once.

The Beta mixture of the sequence is centred on the surrogate's belief (`processes.beta_bound`). Its bound may be read
after every draw, so the draws could end at any time and for any reason. That costs width: about 1.45 times the draws of
one look. For comparison, the draws are those that `planned` would make.
"""

from typing import TYPE_CHECKING, Literal

import numpy as np
from pydantic import Field

from accelerated_smoothing.certify import Guarantee, looks, planning, processes, sampled
from accelerated_smoothing.certify.evidence import Evidence
from accelerated_smoothing.certify.gains import expected_radii
from accelerated_smoothing.certify.methods import planned
from accelerated_smoothing.config import Depth, Section

if TYPE_CHECKING:
    import pandas as pd

GUARANTEE: Guarantee = "sound"
NEEDS = ("selection", "estimation", "predictions", "belief")
ONLINE = True
SHARE = 0.9  # of the mixture that follows the belief
LEAST = 1e-6  # the belief's mean is at least this far from 0 and 1


class Settings(Section):
    budget: float = Field(1000, gt=0, allow_inf_nan=False, description="mean passes of an image")
    depth: Depth | None = Field(None, description="of the surrogate; null: the shallowest")
    top: Literal["surrogate", "selection"] = Field("surrogate", description="what names the expected class")


def mixtures(prior: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return a and b [images] of the Beta distributions with the mean and variance of beliefs [images, grid] on p."""
    mean = (prior @ planning.P).clip(LEAST, 1 - LEAST)
    variance = np.maximum(prior @ planning.P**2 - mean**2, LEAST * mean * (1 - mean))
    total = np.maximum(mean * (1 - mean) / variance - 1, 1e-3)
    return mean * total, (1 - mean) * total


def certify(evidence: Evidence, settings: Settings) -> "pd.DataFrame":
    """Certify each image from the largest bound of its sequence up to the planned size."""
    counts, belief = evidence.estimation, evidence.belief
    assert counts is not None
    assert belief is not None
    sizes = counts.sizes
    prior, shares, before, seconds = planned.expected(evidence, settings.depth, settings.top)
    gains = expected_radii(sizes, evidence.alpha * shares.max(), sampled.noise(evidence))
    rate = planning.planned_rate(settings.budget - before, belief.held_out(settings.depth), gains, sizes)
    positions = planning.plan(prior, gains, sizes, rate)
    a, b = mixtures(prior)
    own = shares == shares.max(axis=1, keepdims=True)  # the class that the belief is about
    a, b = np.where(own, a[:, None], 0.5), np.where(own, b[:, None], 0.5)
    best_looks = looks.Looks.none(len(positions))
    for position in range(positions.max(initial=planning.NONE) + 1):
        rows = np.flatnonzero(positions >= position)
        levels = evidence.alpha * shares[rows]
        tally = counts.tally(rows, position)
        bounds = processes.beta_bound(tally, int(sizes[position]), levels, a[rows], b[rows], SHARE)
        best_looks.keep(rows, tally, bounds, int(sizes[position]), counts.seconds_of(rows, position))
    return looks.certificates(evidence, best_looks, before=before, seconds=seconds, budget=settings.budget)
