"""The margin of a linear layer behind a 1-Lipschitz backbone: sound, and deterministic.

The difference of the logits of classes c and j is linear in the embedding, with the slope w_c - w_j. So the nearest
embedding that is not classified as c any more lies at the distance

    min over j of (z_c - z_j) / |w_c - w_j|,

exactly, in the space of embeddings (Cohen et al. 2019, appendix B, for two classes); and no image that is nearer
than that has such an embedding (FaRS, Proposition 1). One layer needs no sampling: with two classes, smoothing would
change no prediction (FaRS, section 2.2), and the classifier that is certified here is the layer itself.
"""

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.spatial import distance

from accelerated_smoothing import certify as common
from accelerated_smoothing.config import Section
from accelerated_smoothing.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

SOUND = True
NEEDS = ("base", "images")
BATCH = 100


class Settings(Section):
    """There are none."""


@dataclass(frozen=True)
class Logits:
    """What a linear layer behind a 1-Lipschitz backbone makes of images.

    Attributes:
        z: [images, classes] float64 logits.
        rounding: [images, classes] what each logit may be off by.
        weight: [classes, d] float64 of the layer.
        backbone: what features may be off by.
        seconds: [images] time of one image, backbone and all.
        description: of the classifier.
        arithmetic: device kind, library and precision.
    """

    z: np.ndarray
    rounding: np.ndarray
    weight: np.ndarray
    backbone: float
    seconds: np.ndarray
    description: dict[str, Any]
    arithmetic: str


def logits(evidence: common.Evidence) -> Logits:
    """The logits of images, or of embeddings, in float64.

    Raises:
        InputError: the classifier is no such network, made for other images, or one that never changes its prediction.
    """
    import torch

    from accelerated_smoothing import models
    from accelerated_smoothing.models import embedding

    images, base = evidence.images, evidence.base
    assert images is not None
    assert base is not None
    model, description = models.load(base, "base", images.meta)
    try:
        linear = models.exact(model)
    except ValueError as error:
        raise InputError(f"{base}: its {description['arch']} has {error}") from None
    if not (torch.isfinite(linear.weight).all() and torch.isfinite(linear.bias).all()):
        raise InputError(f"{base}: its last layer has weights that are no numbers; train it again")
    if (linear.weight == linear.weight[0]).all():  # so that no image has another prediction, however far
        raise InputError(f"{base}: all its {len(linear.weight)} classes have one and the same weight; train it again")
    torch.set_num_threads(1)  # sums in one order: a certificate that is made again is the same
    z, norms = [], []
    with torch.inference_mode():  # what a process does once is no image's time
        linear.features(torch.from_numpy(images.take(np.arange(1)).pixels()).double())
    begun = time.perf_counter()
    with torch.inference_mode():
        for rows in np.array_split(np.arange(len(images.idx)), -(-len(images.idx) // BATCH)):
            features = linear.features(torch.from_numpy(images.take(rows).pixels()).double())
            z.append(features @ linear.weight.T + linear.bias)
            norms.append(features.norm(dim=1))
        # Of a sum of d products: at most d + 1 roundings of each, one of its feature, one of its weight; twice that.
        slope, share = linear.weight.norm(dim=1), 2 * (linear.weight.shape[1] + 3) * 2.0**-53
        rounding = share * (torch.cat(norms)[:, None] * slope + linear.bias.abs())
    seconds = np.full(len(images.idx), (time.perf_counter() - begun) / len(images.idx) + embedding.seconds(images))
    found = torch.cat(z).numpy(), rounding.numpy(), linear.weight.numpy(), linear.rounding
    return Logits(*found, seconds, description, "cpu-pytorch-fp64")


def radii(z: np.ndarray, rounding: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """[images] distance from embeddings with logits z [images, classes] to the nearest other prediction.

    It is no larger than that for any logits within `rounding` of these: where the weights of two classes are nearly the
    same, the difference of their logits is small, and what rounding may have left of it is taken off.
    """
    top = z.argmax(axis=1)
    lead = np.take_along_axis(z - rounding, top[:, None], axis=1) - (z + rounding)
    slope = distance.cdist(weight, weight)[top]
    # Classes of one weight keep their order everywhere.
    reach = np.divide(lead, slope, out=np.where(lead > 0, np.inf, 0.0), where=slope > 0)
    np.put_along_axis(reach, top[:, None], np.inf, axis=1)
    return reach.min(axis=1).clip(min=0)


def certify(evidence: common.Evidence, settings: Settings) -> "pd.DataFrame":
    """Certify each image by its margin."""
    from accelerated_smoothing.models import embedding

    images = evidence.images
    assert images is not None
    found = logits(evidence)
    radius = embedding.input_radius(radii(found.z, found.rounding, found.weight), images, found.backbone)
    return common.deterministic(
        images, found.z.argmax(axis=1), radius, found.seconds, found.description, found.arithmetic, SOUND
    )
