"""CERTIFY of Cohen et al. (2019, section 3.2.2): sound with probability 1 - alpha.

The top class is that of the n0 selection draws. The Clopper-Pearson bound on its probability comes from n independent
estimation draws. With n = 100 this is the paper's baseline (section V-B). The radius depends on the distribution of the
noise: it is an l2 radius for Gaussian noise, and an l1 radius for uniform or Laplace noise.
"""

from typing import TYPE_CHECKING

import numpy as np
from pydantic import Field

from accelerated_smoothing.certify import Guarantee, sampled, statistics
from accelerated_smoothing.certify.evidence import Evidence
from accelerated_smoothing.certify.planning import Bound
from accelerated_smoothing.config import Section
from accelerated_smoothing.data import is_embedded
from accelerated_smoothing.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

GUARANTEE: Guarantee = "sound"
NEEDS = ("selection", "estimation")


class Settings(Section):
    n: int = Field(100000, ge=1, description="estimation draws")
    bound: Bound = Field("clopper-pearson", description="clopper-pearson or randomized")


def bound(
    evidence: Evidence, n: int, kind: Bound = "clopper-pearson"
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return the top class, its count out of n, the lower bound on its probability, and the seconds of the draws.

    All are [images].
    """
    selection, estimation = evidence.selection, evidence.stored
    assert selection is not None
    top = selection.at(evidence.n0).argmax(axis=1)
    count = np.take_along_axis(estimation.at(n), top[:, None], axis=1)[:, 0]
    seconds = selection.seconds_at(evidence.n0) + estimation.seconds_at(n)
    if kind == "randomized":
        p_lower = statistics.randomized_bound(count, n, evidence.alpha, sampled.uniform(evidence))
    else:
        p_lower = statistics.lower_bound(count, n, evidence.alpha)
    return top, count, p_lower, seconds


def certify(evidence: Evidence, settings: Settings) -> "pd.DataFrame":
    """Certify each image from its counts.

    Raises:
        InputError: the counts are of embeddings.
    """
    assert evidence.selection is not None
    if is_embedded(evidence.selection.meta):
        raise InputError("--selection must be counts of images, got counts of embeddings; use the certifier embedded")
    top, count, p_lower, seconds = bound(evidence, settings.n, settings.bound)
    return sampled.certificates(
        evidence,
        top,
        sampled.radius(evidence, p_lower),
        seconds,
        p_lower,
        count,
        n=settings.n,
        passes=evidence.n0 + settings.n,
        guarantee=GUARANTEE,
    )
