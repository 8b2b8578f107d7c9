"""CERTIFY of Cohen et al. (2019, section 3.2.2): sound with probability 1 - alpha.

The top class is that of the n0 selection draws; the Clopper-Pearson bound on its probability comes from n independent
estimation draws. With n = 100 this is the paper's baseline (section V-B). The radius is that of the noise's
distribution: in l2 under Gaussian noise, in l1 under uniform or Laplace noise.
"""

from typing import TYPE_CHECKING

import numpy as np
from pydantic import Field

from accelerated_smoothing import certify as common
from accelerated_smoothing.certify import statistics
from accelerated_smoothing.config import Section
from accelerated_smoothing.data import is_embedded
from accelerated_smoothing.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

SOUND = True
NEEDS = ("selection", "estimation")


class Settings(Section):
    n: int = Field(100000, ge=1, description="estimation draws")


def bound(evidence: common.Evidence, n: int) -> tuple[np.ndarray, ...]:
    """[images] top class, its count of n, the bound on its probability, and the seconds that the draws took."""
    selection, estimation = evidence.selection, evidence.estimation
    assert selection is not None
    assert estimation is not None
    top = selection.at(evidence.n0).argmax(axis=1)
    count = np.take_along_axis(estimation.at(n), top[:, None], axis=1)[:, 0]
    seconds = selection.seconds_at(evidence.n0) + estimation.seconds_at(n)
    return top, count, statistics.lower_bound(count, n, evidence.alpha), seconds


def certify(evidence: common.Evidence, settings: Settings) -> "pd.DataFrame":
    """Certify each image from its counts.

    Raises:
        InputError: they are of embeddings.
    """
    assert evidence.selection is not None
    if is_embedded(evidence.selection.meta):
        raise InputError("--selection: are counts of embeddings, whose radius is one of images by the method embedded")
    top, count, p_lower, seconds = bound(evidence, settings.n)
    return common.table(evidence, top, evidence.radius(p_lower), seconds, p_lower, count, settings.n, SOUND)
