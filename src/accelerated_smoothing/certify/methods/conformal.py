"""A surrogate's radii, calibrated on other images: right for a share of exchangeable images, without counted draws.

The estimate is the surrogate's own, from h(x) alone. Calibration images have labels: the radii that N draws certify for
the surrogate's top class, with error probability alpha. A score is how much the estimate exceeds the label. The
estimate is lowered by a high quantile q of the scores. Then for a new image that is exchangeable with them,

    P(reported radius > true radius) <= delta + alpha               (`statement: marginal`), or
    with probability 1 - gamma over the calibration images, the same holds for delta = epsilon   (`statement: pac`).

Every image is calibrated on the other half of the images: on those at even positions if its own is odd, and the other
way round. They trained neither f nor h. The guarantee is void for images that an attacker chose, or under a shift.
"""

from typing import TYPE_CHECKING, Literal

import numpy as np
from pydantic import Field
from scipy import special

from accelerated_smoothing.certify import Guarantee, sampled, statistics
from accelerated_smoothing.certify.evidence import Evidence
from accelerated_smoothing.config import Alpha, Depth, Section

if TYPE_CHECKING:
    import pandas as pd

GUARANTEE: Guarantee = "conformal"
NEEDS = ("selection", "estimation", "predictions", "belief")


class Settings(Section):
    depth: Depth | None = Field(None, description="of the surrogate; null: the shallowest")
    delta: Alpha = Field(0.05, description="share of images whose radius may be too large, beside alpha")
    statement: Literal["marginal", "pac"] = Field("marginal", description="over all images, or for most calibrations")
    gamma: Alpha = Field(0.05, description="of a pac statement: probability that the calibration images mislead")
    scaled: bool = Field(False, description="divide scores by the belief's spread")


def rank(m: int, settings: Settings) -> int:
    """Return which of m scores, in ascending order and from 1, is the correction; m + 1 if none suffices."""
    if settings.statement == "marginal":
        return int(np.ceil((m + 1) * (1 - settings.delta) - 1e-9))
    ranks = np.arange(1, m + 1)
    enough = special.betainc(ranks, m + 1 - ranks, 1 - settings.delta) <= settings.gamma
    return int(ranks[enough][0]) if enough.any() else m + 1


def corrections(scores: np.ndarray, settings: Settings) -> np.ndarray:
    """Return for each image the correction [images] that the images at positions of the other parity call for."""
    values = np.empty(2)
    for parity in (0, 1):
        others = np.sort(scores[1 - parity :: 2])
        place = rank(len(others), settings)
        values[parity] = others[place - 1] if place <= len(others) else np.inf
    return values[np.arange(len(scores)) % 2]


def certify(evidence: Evidence, settings: Settings) -> "pd.DataFrame":
    """Return the surrogate's calibrated radii."""
    predictions, belief, estimation = evidence.predictions, evidence.belief, evidence.stored
    assert predictions is not None
    assert belief is not None
    h, n = predictions.of(settings.depth), int(estimation.sizes[-1])
    top, rows = h.argmax(axis=1), np.arange(len(h))
    count = estimation.at(n)[rows, top]
    label = signed(evidence, statistics.lower_bound(count, n, evidence.alpha))
    estimate = signed(evidence, h[rows, top])
    spread = np.ones(len(h))
    if settings.scaled:
        logits, doubt = predictions.logits(settings.depth, top), predictions.disagreement(top)
        spread = belief.spread(settings.depth, logits, doubt)[1]
    radius = np.maximum(estimate - corrections((estimate - label) / spread, settings) * spread, 0.0)
    return sampled.certificates(
        evidence,
        top,
        radius,
        np.full(len(h), predictions.seconds_of(settings.depth)),
        h[rows, top],
        count,
        n=0,
        passes=0,
        guarantee=GUARANTEE,
    ).assign(delta=settings.delta, statement=settings.statement, bound=settings.delta + evidence.alpha)


def signed(evidence: Evidence, p: np.ndarray) -> np.ndarray:
    """Return radii [images] that are negative where p < 1/2, as far as they would be positive for 1 - p."""
    least = np.finfo(float).eps
    p = p.clip(least, 1 - least)
    return np.asarray(sampled.radius(evidence, p) - sampled.radius(evidence, 1 - p))
