"""CERTIFY of Cohen et al. in the space of embeddings: sound with probability 1 - alpha (FaRS, section 2.1).

The classifier of embeddings is smoothed with noise on the embedding. Its radius there is one of the image, since the
backbone is 1-Lipschitz (Proposition 1). That leaves the backbone out of the sampling: it runs once an image. The paper
leaves layers that need such sampling to future work.
"""

from typing import TYPE_CHECKING

from pydantic import Field

from accelerated_smoothing import certify as common
from accelerated_smoothing.certify.methods import cohen
from accelerated_smoothing.config import Section, distribution_module
from accelerated_smoothing.data import is_embedded
from accelerated_smoothing.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

SOUND = True
NEEDS = ("selection", "estimation", "images")


class Settings(Section):
    n: int = Field(100000, ge=1, description="estimation draws")


def certify(evidence: common.Evidence, settings: Settings) -> "pd.DataFrame":
    """Certify each image from the counts of its embedding.

    Raises:
        InputError: the counts are of images, or under noise whose radius is none in l2.
    """
    from accelerated_smoothing.models import embedding

    images = evidence.images
    assert images is not None
    if not is_embedded(images.meta):
        raise InputError("--images: are no embeddings; those that were counted would do, or the certifier cohen")
    assert evidence.selection is not None
    noise = evidence.selection.meta["noise"]
    if distribution_module(noise).NORM != "l2":
        raise InputError(
            f"the counts are under {noise} noise, and the backbone is 1-Lipschitz in l2; gaussian would do"
        )
    top, count, p_lower, seconds = cohen.bound(evidence, settings.n)
    radius = embedding.input_radius(evidence.radius(p_lower), images)
    seconds = seconds + embedding.seconds(images)
    return common.table(evidence, top, radius, seconds, p_lower, count, settings.n, SOUND)
