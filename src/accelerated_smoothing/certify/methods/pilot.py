"""One look at a size planned from a pilot: sound with probability 1 - alpha, without a surrogate.

A few pilot draws of each image say which class to expect and how probable it is. They are discarded: the certificate
comes from fresh draws, whose number the pilot decides. The population of probabilities follows from the pilots of all
images, and so does the rate at which the mean passes of an image, its pilot included, are the budget.

Proof: as for `planned`, since pilots and estimation draws are independent. A pilot that is counted breaks it.
"""

from typing import TYPE_CHECKING

import numpy as np
from pydantic import Field

from accelerated_smoothing.certify import Guarantee, beliefs, looks, planning, sampled
from accelerated_smoothing.certify.evidence import Evidence
from accelerated_smoothing.certify.planning import Bound
from accelerated_smoothing.config import Section

if TYPE_CHECKING:
    import pandas as pd

GUARANTEE: Guarantee = "sound"
NEEDS = ("selection", "estimation", "pilot")
ONLINE = True


class Settings(Section):
    budget: float = Field(1000, gt=0, allow_inf_nan=False, description="mean passes of an image, its pilot included")
    draws: int = Field(50, ge=1, description="pilot draws of each image")
    bound: Bound = Field("clopper-pearson", description="clopper-pearson or randomized")


def expected(tally: np.ndarray, draws: int) -> tuple[np.ndarray, np.ndarray]:
    """Return what pilots say.

    Args:
        tally: [images, classes] counts of the pilots.
        draws: of each pilot.

    Returns:
        [images, grid] belief about the top class, and [images, classes] shares of alpha.
    """
    k = tally.max(axis=1)
    return beliefs.mixed(beliefs.population(k, draws), beliefs.likelihood(k, draws)), planning.hedge(tally + 0.5)


def certify(evidence: Evidence, settings: Settings) -> "pd.DataFrame":
    """Certify each image from the draws that its pilot plans."""
    estimation, pilot = evidence.estimation, evidence.pilot
    assert estimation is not None
    assert pilot is not None
    prior, shares = expected(pilot.at(settings.draws), settings.draws)
    gains = planning.expected_radii(estimation.sizes, evidence.alpha * planning.TOP, sampled.noise(evidence))
    positions = planning.within(settings.budget - settings.draws, prior, gains, estimation.sizes)
    found = looks.planned(evidence, positions, shares, settings.bound)
    seconds = pilot.seconds_at(settings.draws)
    return looks.certificates(evidence, found, before=settings.draws, seconds=seconds, budget=settings.budget)
