"""Sparsemax of a linear layer behind a 1-Lipschitz backbone: sound, deterministic, never above the margin's.

p = sparsemax_r(z) is the point nearest to the logits z among those of the simplex sum p = r, p >= 0 (FaRS, section
2.2). It has the same top class, so this certifies the very classifier of `margin`, from other numbers:

- The projection onto a convex set moves no two points apart, and ignores what is added to all logits alike. So the
  change of p is at most that of the centred logits, |dp| <= |C W| |de|, with C = I - 11'/classes and the norm the
  largest singular value.
- For j to overtake c, p_c - p_j must fall by all of it, and |d(p_c - p_j)| <= sqrt(2) |dp|.

Hence no embedding nearer than min over j of (p_c - p_j) / (sqrt(2) |C W|) is classified otherwise. The margin is exact
in the space of embeddings, so no sound radius exceeds it. What the paper takes for a gain by sparsemax is one of its
own certificate, which is none (`top_logit.py`).
"""

from typing import TYPE_CHECKING

import numpy as np
from pydantic import Field

from accelerated_smoothing import certify as common
from accelerated_smoothing.certify.methods import margin
from accelerated_smoothing.config import Section

if TYPE_CHECKING:
    import pandas as pd

SOUND = True
NEEDS = margin.NEEDS


class Settings(Section):
    simplex: float = Field(2, gt=0, allow_inf_nan=False, description="r, what the entries of p add up to")


def sparsemax(z: np.ndarray, r: float) -> np.ndarray:
    """[images, classes] the point of the simplex sum p = r, p >= 0 that is nearest to each row of z."""
    ordered = -np.sort(-z, axis=1)
    ranks = np.arange(1, z.shape[1] + 1)
    shifts = (ordered.cumsum(axis=1) - r) / ranks
    support = (ordered > shifts).sum(axis=1)  # entries that stay above 0: those of the largest logits
    shift = np.take_along_axis(shifts, support[:, None] - 1, axis=1)
    return np.maximum(z - shift, 0.0)


def certify(evidence: common.Evidence, settings: Settings) -> "pd.DataFrame":
    """Certify each image by the gap between the two largest entries of p."""
    from accelerated_smoothing.models import embedding

    images = evidence.images
    assert images is not None
    found = margin.logits(evidence)
    p = np.sort(sparsemax(found.z, settings.simplex), axis=1)
    slope = np.sqrt(2) * np.linalg.norm(found.weight - found.weight.mean(axis=0), 2)
    gap = p[:, -1] - p[:, -2] - 2 * np.linalg.norm(found.rounding, axis=1)  # p moves no more than z does
    radius = embedding.input_radius(gap / slope, images, found.backbone)
    return common.deterministic(
        images, found.z.argmax(axis=1), radius, found.seconds, found.description, found.arithmetic, SOUND
    )
