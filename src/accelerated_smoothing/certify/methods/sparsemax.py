"""Sparsemax of a linear layer behind a 1-Lipschitz backbone: deterministic, and never above the margin's radius.

p = sparsemax_r(z) is the point of the simplex sum p = r, p >= 0 that is nearest to the logits z (FaRS, section 2.2). It
has the same top class as z, so this method certifies the same classifier as `margin`, from other numbers:

- The projection onto a convex set never increases the distance of two points, and a number that is added to all logits
  does not change it. So the change of p is at most that of the centred logits, |dp| <= |C W| |de|, with
  C = I - 11'/classes and the largest singular value as the norm.
- For class j to overtake class c, p_c - p_j must fall to 0, and |d(p_c - p_j)| <= sqrt(2) |dp|.

So no embedding nearer than min over j of (p_c - p_j) / (sqrt(2) |C W|) has another prediction. The margin is exact in
the space of embeddings, so no sound radius exceeds it. The gain by sparsemax in the paper comes from the paper's own
certificate, which is not sound (`top_logit.py`).
"""

from typing import TYPE_CHECKING

import numpy as np
from pydantic import Field

from accelerated_smoothing.certify import Guarantee
from accelerated_smoothing.certify.evidence import Evidence
from accelerated_smoothing.certify.methods import margin
from accelerated_smoothing.config import Section

if TYPE_CHECKING:
    import pandas as pd

GUARANTEE: Guarantee = "deterministic"
NEEDS = margin.NEEDS


class Settings(Section):
    simplex: float = Field(2, gt=0, allow_inf_nan=False, description="r, the sum of the entries of p")


def sparsemax(z: np.ndarray, r: float) -> np.ndarray:
    """Return the nearest point of the simplex sum p = r, p >= 0 to each row of z, [images, classes]."""
    ordered = -np.sort(-z, axis=1)
    ranks = np.arange(1, z.shape[1] + 1)
    shifts = (ordered.cumsum(axis=1) - r) / ranks
    support = (ordered > shifts).sum(axis=1)  # entries that stay above 0: those of the largest logits
    shift = np.take_along_axis(shifts, support[:, None] - 1, axis=1)
    return np.maximum(z - shift, 0.0)


def certify(evidence: Evidence, settings: Settings) -> "pd.DataFrame":
    """Certify each image by the gap between the two largest entries of p."""
    from accelerated_smoothing.models import embedding

    images = evidence.images
    assert images is not None
    head = margin.logits(evidence)
    p = np.sort(sparsemax(head.z, settings.simplex), axis=1)
    slope = np.sqrt(2) * np.linalg.norm(head.weight - head.weight.mean(axis=0), 2)
    gap = p[:, -1] - p[:, -2] - 2 * np.linalg.norm(head.rounding, axis=1)  # p moves no more than z does
    radius = embedding.input_radius(gap / slope, images, head.backbone)
    return margin.certificates(evidence, head, radius, GUARANTEE)
