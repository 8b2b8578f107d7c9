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
from accelerated_smoothing.certify.gains import expected_radii
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
    """Return what the pilots of all images say.

    Args:
        tally: [images, classes] counts of the pilots.
        draws: of each pilot.

    Returns:
        [grid] population of the probabilities of top classes, and [images, grid] belief about that of each image.
    """
    k = tally.max(axis=1)
    population = beliefs.population(k, draws)
    return population, beliefs.mixed(population, beliefs.likelihood(k, draws))


def shares(tally: np.ndarray) -> np.ndarray:
    """Return the share of alpha that each class gets from pilots, both [images, classes]."""
    return planning.hedge(tally + 0.5)


def plan(evidence: Evidence, settings: Settings, sizes: np.ndarray) -> np.ndarray:
    """Return the positions [images] in `sizes` that the pilots of all images make best; or `planning.NONE`."""
    assert evidence.pilot is not None
    _, prior = expected(evidence.pilot.at(settings.draws), settings.draws)
    gains = expected_radii(sizes, evidence.alpha * planning.TOP, sampled.noise(evidence))
    return planning.within(settings.budget - settings.draws, prior, gains, sizes)


def certify(evidence: Evidence, settings: Settings) -> "pd.DataFrame":
    """Certify each image from the draws that its pilot plans."""
    assert evidence.estimation is not None
    return carry_out(evidence, settings, plan(evidence, settings, evidence.estimation.sizes))


def carry_out(evidence: Evidence, settings: Settings, positions: np.ndarray) -> "pd.DataFrame":
    """Certify each image from the draws of a plan, of these images or of more that include them.

    Args:
        positions: [images] of `plan`.
    """
    pilot = evidence.pilot
    assert pilot is not None
    best_looks = looks.planned(evidence, positions, shares(pilot.at(settings.draws)), settings.bound)
    seconds = pilot.seconds_at(settings.draws)
    return looks.certificates(evidence, best_looks, before=settings.draws, seconds=seconds, budget=settings.budget)
