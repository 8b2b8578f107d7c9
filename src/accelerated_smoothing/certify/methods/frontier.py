"""CERTIFY of Cohen et al. (2019) at every counted size: the line that methods with few passes must beat.

The certificate is that of N draws. A column `radius_<n>` has the radius from the first n draws. Each is sound with
probability 1 - alpha on its own, for a number of draws that is fixed beforehand; the largest of them is not. The class
is that of the selection draws, as in their paper, or the surrogate's, which costs no draws.
"""

from typing import TYPE_CHECKING, Literal

import numpy as np
from pydantic import Field

from accelerated_smoothing.certify import Guarantee, looks, planning, sampled
from accelerated_smoothing.certify.evidence import Evidence
from accelerated_smoothing.certify.planning import Bound
from accelerated_smoothing.config import Depth, Section

if TYPE_CHECKING:
    import pandas as pd

GUARANTEE: Guarantee = "sound"
NEEDS = ("selection", "estimation", "predictions")
RADIUS = "radius_"  # a column's name is this and the draws


class Settings(Section):
    depth: Depth | None = Field(None, description="of the surrogate; null: the shallowest")
    top: Literal["surrogate", "selection"] = Field("selection", description="what names the class")
    bound: Bound = Field("clopper-pearson", description="clopper-pearson or randomized")


def certify(evidence: Evidence, settings: Settings) -> "pd.DataFrame":
    """Certify each image from each number of draws at which counts were kept."""
    selection, estimation, predictions = evidence.selection, evidence.estimation, evidence.predictions
    assert selection is not None
    assert estimation is not None
    assert predictions is not None
    votes, before, seconds = selection.at(evidence.n0), evidence.n0, selection.seconds_at(evidence.n0)
    if settings.top == "surrogate":
        votes, before = predictions.of(settings.depth), 0
        seconds = np.full(len(votes), predictions.seconds_of(settings.depth))
    shares = planning.certain(votes.argmax(axis=1), votes.shape[1])
    radii = {}
    for position, n in enumerate(estimation.sizes):
        best_looks = looks.planned(evidence, np.full(len(votes), position), shares, settings.bound)
        radii[f"{RADIUS}{n}"] = sampled.radius(evidence, best_looks.p_lower)
    return looks.certificates(evidence, best_looks, before=before, seconds=seconds, top=votes.argmax(axis=1), **radii)
