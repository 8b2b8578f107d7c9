"""CERTIFY of Cohen et al. in the space of embeddings: sound with probability 1 - alpha (FaRS, section 2.1).

The head, a classifier of embeddings, is smoothed with noise on the embedding. The backbone is 1-Lipschitz, so a radius
in the space of embeddings is also a radius in the space of images (Proposition 1). Only the head is sampled: the
backbone runs once per image. The paper leaves heads that need sampling to future work.
"""

from typing import TYPE_CHECKING

from pydantic import Field

from accelerated_smoothing.certify import Guarantee, sampled
from accelerated_smoothing.certify.evidence import Evidence
from accelerated_smoothing.certify.methods import cohen
from accelerated_smoothing.config import Section
from accelerated_smoothing.data import is_embedded
from accelerated_smoothing.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

GUARANTEE: Guarantee = "sound"
NEEDS = ("selection", "estimation", "images")


class Settings(Section):
    n: int = Field(100000, ge=1, description="estimation draws")


def certify(evidence: Evidence, settings: Settings) -> "pd.DataFrame":
    """Certify each image from the counts of its embedding.

    Raises:
        InputError: the counts are of images, or their noise certifies no l2 radius.
    """
    from accelerated_smoothing.models import embedding

    images = evidence.images
    assert images is not None
    if not is_embedded(images.meta):
        raise InputError("--images must be the counted embeddings, got images; for images use the certifier cohen")
    assert evidence.selection is not None
    if sampled.norm(evidence) != "l2":
        raise InputError(
            f"the noise of the counts must be gaussian, got {evidence.selection.meta['noise']}; the backbone is "
            "1-Lipschitz in l2"
        )
    top, count, p_lower, seconds = cohen.bound(evidence, settings.n)
    radius = embedding.input_radius(sampled.radius(evidence, p_lower), images)
    return sampled.certificates(
        evidence,
        top,
        radius,
        seconds + embedding.seconds(images),
        p_lower,
        count,
        n=settings.n,
        passes=evidence.n0 + settings.n,
        guarantee=GUARANTEE,
    )
