"""Input-specific sampling (Chen et al. 2022): sound with probability 1 - alpha, with draws that the selection plans.

The selection draws give a two-sided interval for the probability of their top class. The estimation draws are the
fewest with which, for every probability in that interval, the expected count certifies a radius at most `loss` smaller
than N draws would. The selection draws are not counted, in contrast to the code of that paper.
"""

from typing import TYPE_CHECKING

import numpy as np
from pydantic import Field

from accelerated_smoothing.certify import Guarantee, looks, planning, sampled, statistics
from accelerated_smoothing.certify.evidence import Evidence
from accelerated_smoothing.certify.planning import Bound
from accelerated_smoothing.config import Section

if TYPE_CHECKING:
    import pandas as pd

GUARANTEE: Guarantee = "sound"
NEEDS = ("selection", "estimation")
ONLINE = True
POINTS = 200  # of an interval


class Settings(Section):
    loss: float = Field(0.05, gt=0, allow_inf_nan=False, description="radius to lose at most, in units of the scale")
    bound: Bound = Field("clopper-pearson", description="clopper-pearson or randomized")


def positions(
    k: np.ndarray, n0: int, sizes: np.ndarray, alpha: float, radius: planning.Radius, loss: float
) -> np.ndarray:
    """Return the position [images] in the sizes of the fewest draws that are enough.

    Args:
        k: [images] counts of the top class in n0 selection draws.
        n0: number of selection draws.
        sizes: ascending numbers of draws.
        alpha: error probability.
        radius: from lower bounds to radii, in units of sigma.
        loss: largest loss of radius, in units of sigma.
    """
    distinct, place = np.unique(k, return_inverse=True)
    low = statistics.lower_bound(distinct, n0, alpha / 2)
    high = 1 - statistics.lower_bound(n0 - distinct, n0, alpha / 2)
    q = np.linspace(low, high, POINTS, axis=1)[..., None]
    radii = radius(statistics.lower_bound(np.floor(sizes * q), sizes, alpha))
    enough = (radii >= radii[..., -1:] - loss).all(axis=1)
    return np.asarray(enough.argmax(axis=1)[place])


def certify(evidence: Evidence, settings: Settings) -> "pd.DataFrame":
    """Certify each image from the draws that its selection plans."""
    selection, estimation = evidence.selection, evidence.estimation
    assert selection is not None
    assert estimation is not None
    tally, n0 = selection.at(evidence.n0), evidence.n0
    planned = positions(
        tally.max(axis=1), n0, estimation.sizes, evidence.alpha, sampled.unit_radius(evidence), settings.loss
    )
    shares = planning.certain(tally.argmax(axis=1), tally.shape[1])
    best_looks = looks.planned(evidence, planned, shares, settings.bound)
    return looks.certificates(evidence, best_looks, before=n0, seconds=selection.seconds_at(n0))
