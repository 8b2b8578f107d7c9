"""The certificate of FaRS's own experiments: the top logit over the norm of the layer. Estimated: it is not sound.

Their code takes z_c / |W| for a radius, the norm being the largest singular value, and with sparsemax p_c / |W|, r = 2.
That bounds the distance at which the top logit could fall to zero; but the prediction changes as soon as another logit
rises to it. Adding a number to all biases changes no prediction, and makes these radii as large as one likes. Section
2.2 speaks of the difference of the two best scores, each over the norm of its own row; that would not be sound either,
as the difference has the slope w_c - w_j. `margin` is what the layer does certify.
"""

from typing import TYPE_CHECKING

import numpy as np
from pydantic import Field

from accelerated_smoothing import certify as common
from accelerated_smoothing.certify.methods import margin
from accelerated_smoothing.certify.methods.sparsemax import sparsemax
from accelerated_smoothing.config import Section

if TYPE_CHECKING:
    import pandas as pd

SOUND = False
NEEDS = margin.NEEDS


class Settings(Section):
    simplex: float | None = Field(None, gt=0, allow_inf_nan=False, description="r of sparsemax; null: of the logits")


def certify(evidence: common.Evidence, settings: Settings) -> "pd.DataFrame":
    """What the paper would certify of each image."""
    images = evidence.images
    assert images is not None
    found = margin.logits(evidence)
    score = found.z if settings.simplex is None else sparsemax(found.z, settings.simplex)
    radius = score.max(axis=1) / np.linalg.norm(found.weight, 2)
    return common.deterministic(
        images, found.z.argmax(axis=1), radius, found.seconds, found.description, found.arithmetic, SOUND
    )
