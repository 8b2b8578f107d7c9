"""The certificate of FaRS's own experiments, the top logit over the norm of the layer: estimated, as it is not sound.

Their code takes z_c / |W| as the radius, with the largest singular value as the norm; with sparsemax it takes
p_c / |W|, r = 2. That bounds the distance at which the top logit falls to 0. But the prediction changes as soon as
another logit reaches it. A number that is added to all biases changes no prediction, and makes these radii as large as
one likes. Section 2.2 speaks of the difference of the two best scores, each over the norm of its own row. That is not
sound either, since the difference has the slope w_c - w_j. `margin` is the sound certificate of this layer.
"""

from typing import TYPE_CHECKING

import numpy as np
from pydantic import Field

from accelerated_smoothing.certify import Guarantee
from accelerated_smoothing.certify.evidence import Evidence
from accelerated_smoothing.certify.methods import margin
from accelerated_smoothing.certify.methods.sparsemax import sparsemax
from accelerated_smoothing.config import Section

if TYPE_CHECKING:
    import pandas as pd

GUARANTEE: Guarantee = "estimated"
NEEDS = margin.NEEDS


class Settings(Section):
    simplex: float | None = Field(
        None, gt=0, allow_inf_nan=False, description="r of sparsemax; null: the logits without sparsemax"
    )


def certify(evidence: Evidence, settings: Settings) -> "pd.DataFrame":
    """Return the paper's radius for each image."""
    head = margin.logits(evidence)
    score = head.z if settings.simplex is None else sparsemax(head.z, settings.simplex)
    radius = score.max(axis=1) / np.linalg.norm(head.weight, 2)
    return margin.certificates(evidence, head, radius, GUARANTEE)
