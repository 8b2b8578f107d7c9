"""One look at a planned size: sound with probability 1 - alpha, with a surrogate that decides where draws are spent.

The surrogate's belief about each image, calibrated on held-out images, says how much radius further draws are worth.
Each image gets the number of draws with the best net value, at a rate at which held-out images spend the budget on
average; so an image's draws depend on that image alone. They may be 0: to abstain is sound.

The class costs no draws. Each class has a share of alpha, the surrogate's top class most of it, and the class with the
largest bound is named (`planning.hedge`). Or the selection draws name it, as in Cohen et al. (2019).

Proof: class shares and the size are functions of x and of the surrogate, which has not seen the counted draws. Given
these, each count is binomial, so each bound exceeds its probability with at most its share of alpha. The shares add up
to alpha. It does not matter how wrong the surrogate is.
"""

from typing import TYPE_CHECKING, Literal

import numpy as np
from pydantic import Field

from accelerated_smoothing.certify import Guarantee, looks, planning, sampled
from accelerated_smoothing.certify.evidence import Evidence
from accelerated_smoothing.certify.gains import expected_radii
from accelerated_smoothing.certify.planning import Bound
from accelerated_smoothing.config import Depth, Section

if TYPE_CHECKING:
    import pandas as pd

GUARANTEE: Guarantee = "sound"
NEEDS = ("selection", "estimation", "predictions", "belief")
ONLINE = True


class Settings(Section):
    budget: float = Field(1000, gt=0, allow_inf_nan=False, description="mean passes of an image")
    depth: Depth | None = Field(None, description="of the surrogate; null: the shallowest")
    top: Literal["surrogate", "selection"] = Field("surrogate", description="what names the expected class")
    bound: Bound = Field("clopper-pearson", description="clopper-pearson or randomized")


def expected(evidence: Evidence, depth: int | None, top: str) -> tuple[np.ndarray, np.ndarray, int, np.ndarray]:
    """Return what is expected of each image before its estimation draws.

    Args:
        depth: of the surrogate; None for the shallowest.
        top: "surrogate" or "selection", whichever names the class.

    Returns:
        [images, grid] belief about the class, [images, classes] shares of alpha, the passes that this took, and the
        seconds [images].
    """
    predictions, belief, selection = evidence.predictions, evidence.belief, evidence.selection
    assert predictions is not None
    assert belief is not None
    assert selection is not None
    h, seconds = predictions.of(depth), np.full(len(predictions.idx), predictions.seconds_of(depth))
    if top == "surrogate":
        shares = planning.hedge(h)
        return belief.about(predictions, depth, h.argmax(axis=1)), shares, 0, seconds
    classes = selection.at(evidence.n0).argmax(axis=1)
    shares = planning.certain(classes, h.shape[1])
    return belief.about(predictions, depth, classes), shares, evidence.n0, seconds + selection.seconds_at(evidence.n0)


def certify(evidence: Evidence, settings: Settings) -> "pd.DataFrame":
    """Certify each image from the draws that are planned for it."""
    estimation, belief = evidence.estimation, evidence.belief
    assert estimation is not None
    assert belief is not None
    prior, shares, before, seconds = expected(evidence, settings.depth, settings.top)
    gains = expected_radii(estimation.sizes, evidence.alpha * shares.max(), sampled.noise(evidence))
    held_out = belief.held_out(settings.depth)
    rate = planning.planned_rate(settings.budget - before, held_out, gains, estimation.sizes)
    positions = planning.plan(prior, gains, estimation.sizes, rate)
    best_looks = looks.planned(evidence, positions, shares, settings.bound)
    return looks.certificates(evidence, best_looks, before=before, seconds=seconds, budget=settings.budget)
