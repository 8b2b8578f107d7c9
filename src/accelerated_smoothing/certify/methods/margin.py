"""The margin of a linear layer behind a 1-Lipschitz backbone: deterministic.

The difference of the logits of classes c and j is linear in the embedding, with the slope w_c - w_j. So the nearest
embedding with another prediction than c lies at the distance

    min over j of (z_c - z_j) / |w_c - w_j|,

exactly, in the space of embeddings (Cohen et al. 2019, appendix B, for two classes). No image that is nearer than that
has such an embedding (FaRS, Proposition 1). One layer needs no sampling: with two classes, smoothing would change no
prediction (FaRS, section 2.2). The classifier that is certified here is the layer itself, without noise.
"""

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.spatial import distance

from accelerated_smoothing.certify import Guarantee, log
from accelerated_smoothing.certify.evidence import Evidence
from accelerated_smoothing.config import Section
from accelerated_smoothing.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

GUARANTEE: Guarantee = "deterministic"
NEEDS = ("base", "images")
BATCH = 100


class Settings(Section):
    """This method has no settings."""


@dataclass(frozen=True)
class Logits:
    """The logits of a linear layer behind a 1-Lipschitz backbone.

    Attributes:
        z: [images, classes] float64 logits.
        rounding: [images, classes] bound on the rounding error of each logit.
        weight: [classes, d] float64 of the layer.
        backbone: bound on the rounding error of the features.
        seconds: [images] time of one image, backbone included.
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


def logits(evidence: Evidence) -> Logits:
    """Return the logits of images, or of embeddings, in float64.

    Raises:
        InputError: the classifier is not a linear layer behind a 1-Lipschitz backbone, is for other images, or predicts
            the same class everywhere.
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
        raise InputError(f"{base} {error}, got {description['arch']}") from None
    if not (torch.isfinite(linear.weight).all() and torch.isfinite(linear.bias).all()):
        raise InputError(f"{base} must have finite last weights, got NaN or infinity; train it again")
    if (linear.weight == linear.weight[0]).all():  # then no image has another prediction at any distance
        raise InputError(f"{base} must have different last weights for the classes, got equal ones; train it again")
    torch.set_num_threads(1)  # sums in one order, so that the same inputs give the same certificate
    z, norms = [], []
    with torch.inference_mode():  # the first pass sets up the process; this time belongs to no image
        linear.features(torch.from_numpy(images.take(np.arange(1)).pixels()).double())
    begun = time.perf_counter()
    with torch.inference_mode():
        for rows in np.array_split(np.arange(len(images.idx)), -(-len(images.idx) // BATCH)):
            features = linear.features(torch.from_numpy(images.take(rows).pixels()).double())
            z.append(features @ linear.weight.T + linear.bias)
            norms.append(features.norm(dim=1))
        # In a sum of d products each is rounded at most d + 1 times, its feature once, and its weight once; times two.
        slope, share = linear.weight.norm(dim=1), 2 * (linear.weight.shape[1] + 3) * 2.0**-53
        rounding = share * (torch.cat(norms)[:, None] * slope + linear.bias.abs())
    seconds = np.full(len(images.idx), (time.perf_counter() - begun) / len(images.idx) + embedding.seconds(images))
    return Logits(
        torch.cat(z).numpy(),
        rounding.numpy(),
        linear.weight.numpy(),
        linear.rounding,
        seconds,
        description,
        "cpu-pytorch-fp64",
    )


def radii(z: np.ndarray, rounding: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Return the distance from each embedding to the nearest one with another prediction.

    Args:
        z: [images, classes] logits of the embeddings.
        rounding: [images, classes] bound on the rounding error of each logit.
        weight: [classes, d] of the layer.

    Returns:
        [images] distances that are valid for any logits within `rounding` of z. Where the weights of two classes are
        nearly equal, the difference of their logits is small, so the rounding error is subtracted from it.
    """
    top = z.argmax(axis=1)
    lead = np.take_along_axis(z - rounding, top[:, None], axis=1) - (z + rounding)
    slope = distance.cdist(weight, weight)[top]
    # Classes with equal weights have the same order for every embedding.
    reach = np.divide(lead, slope, out=np.where(lead > 0, np.inf, 0.0), where=slope > 0)
    np.put_along_axis(reach, top[:, None], np.inf, axis=1)
    return reach.min(axis=1).clip(min=0)


def certificates(evidence: Evidence, logits: Logits, radius: np.ndarray, guarantee: Guarantee) -> "pd.DataFrame":
    """Return certificates that need no samples, in the common format: n, n0 and alpha are 0, and there is one pass.

    Args:
        logits: of the images; their largest is the prediction. A deterministic classifier never abstains, though its
            radius may be 0.
        radius: [images] in pixels of [0, 1].
        guarantee: of the radii.
    """
    images, sigma = evidence.images, logits.description["sigma"]
    assert images is not None
    return log.table(
        images.idx,
        images.labels,
        logits.z.argmax(axis=1),
        radius,
        logits.seconds,
        experiment=evidence.experiment,
        method=evidence.method,
        guarantee=guarantee,
        passes=1,
        n=0,
        n0=0,
        alpha=0.0,
        sigma=sigma,
        sigma0=sigma,
        noise=logits.description["noise"],
        arithmetic=logits.arithmetic,
    )


def certify(evidence: Evidence, settings: Settings) -> "pd.DataFrame":
    """Certify each image by its margin."""
    from accelerated_smoothing.models import embedding

    images = evidence.images
    assert images is not None
    head = logits(evidence)
    radius = embedding.input_radius(radii(head.z, head.rounding, head.weight), images, head.backbone)
    return certificates(evidence, head, radius, GUARANTEE)
