"""The plan of an oracle: what `planned` could reach if the probability of the top class were known. Not a certificate.

It plans from the counts that it then takes for evidence, so its radii are estimated. It shows how much is left to gain.
"""

from typing import TYPE_CHECKING

import numpy as np
from pydantic import Field

from accelerated_smoothing.certify import Guarantee, looks, planning, sampled
from accelerated_smoothing.certify.evidence import Evidence
from accelerated_smoothing.certify.gains import expected_radii
from accelerated_smoothing.config import Section

if TYPE_CHECKING:
    import pandas as pd

GUARANTEE: Guarantee = "estimated"
NEEDS = ("selection", "estimation")


class Settings(Section):
    budget: float = Field(1000, gt=0, allow_inf_nan=False, description="mean passes of an image")


def certify(evidence: Evidence, settings: Settings) -> "pd.DataFrame":
    """Bound each image's probability from the draws that are best for its own share of all draws."""
    estimation = evidence.stored
    tally = estimation.at(int(estimation.sizes[-1]))
    p = (tally.max(axis=1) + 0.5) / (estimation.sizes[-1] + 1)
    logit = np.log(p) - np.log1p(-p)
    prior = np.eye(len(planning.GRID))[np.abs(planning.GRID - logit[:, None]).argmin(axis=1)]
    shares = planning.certain(tally.argmax(axis=1), tally.shape[1])
    gains = expected_radii(estimation.sizes, evidence.alpha, sampled.noise(evidence))
    positions = planning.within(settings.budget, prior, gains, estimation.sizes)
    best_looks = looks.planned(evidence, positions, shares, "clopper-pearson")
    table = looks.certificates(evidence, best_looks, before=0, seconds=0.0, budget=settings.budget)
    return table.assign(guarantee=GUARANTEE)
