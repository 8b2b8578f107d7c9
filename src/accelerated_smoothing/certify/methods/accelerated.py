"""Accelerated Smoothing (Algorithm 1): estimated, since a surrogate's guess replaces the sampling.

PREDICT with n0 draws returns a class. Where it is also the surrogate's top class, the surrogate's predicted count
floor(n h(x)) goes through the same bound as a sampled count. The result estimates what sampling would certify. It is
not a proof.
"""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from pydantic import Field

from accelerated_smoothing.certify import Guarantee, sampled, statistics
from accelerated_smoothing.certify.evidence import Evidence
from accelerated_smoothing.config import Depth, Section
from accelerated_smoothing.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

GUARANTEE: Guarantee = "estimated"
NEEDS = ("selection", "images", "surrogate")


class Settings(Section):
    n: int = Field(100000, ge=1, description="the N whose counts the surrogate predicts")
    depth: Depth = Field(20, description="of the surrogate, a CIFAR ResNet")


def radii(
    h: np.ndarray, predicted: np.ndarray, n: int, alpha: float, radius: Callable[[np.ndarray], np.ndarray]
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Run the lines of Algorithm 1 after the surrogate's pass.

    Args:
        h: [images, classes] probabilities of the surrogate.
        predicted: [images] classes that PREDICT returned.
        n: number of draws whose counts h predicts.
        alpha: error probability of the bound.
        radius: from lower bounds [images] on the probability of the top class to radii [images], in pixels of [0, 1].

    Returns:
        [images] class or abstention, radius, p_lower, and floor(n h) of the surrogate's top class.
    """
    top = h.argmax(axis=1)
    count = np.floor(n * h.max(axis=1)).astype(np.int64)
    p_lower = statistics.lower_bound(count, n, alpha)
    predict = np.where(top == predicted, top, statistics.ABSTAIN)
    return predict, np.where(top == predicted, radius(p_lower), 0.0), p_lower, count


def certify(evidence: Evidence, settings: Settings) -> "pd.DataFrame":
    """Certify each image from n0 draws and one pass of the surrogate.

    Raises:
        InputError: the surrogate was trained for another base classifier, sigma or arithmetic.
    """
    import torch

    from accelerated_smoothing import models
    from accelerated_smoothing.counting import engines
    from accelerated_smoothing.training import surrogate

    selection, images = evidence.selection, evidence.images
    assert selection is not None
    assert images is not None
    assert evidence.surrogate is not None
    model, description = models.load(evidence.surrogate, "surrogate")
    for key in ("base", "sigma", "noise", "choice", "arithmetic", "dataset"):
        if description[key] != selection.meta[key]:
            raise InputError(
                f"{evidence.surrogate}: {key} must be that of the counts, {selection.meta[key]}, got "
                f"{description[key]}; pass a surrogate of the same base classifier"
            )
    if description["arch"] != f"resnet{settings.depth}":
        raise InputError(f"{evidence.surrogate} must be a resnet{settings.depth}, got a {description['arch']}")
    pixels = images.pixels()
    engine = engines.build(model, pixels.shape[1:], device=torch.device("cpu"), draws=len(pixels))
    begun = time.perf_counter()
    h = surrogate.predict(engine, pixels)
    seconds = (time.perf_counter() - begun) / len(pixels) + selection.seconds_at(evidence.n0)
    predicted = statistics.predict(selection.at(evidence.n0), evidence.alpha)
    predict, radius, p_lower, count = radii(
        h, predicted, settings.n, evidence.alpha, lambda p_lower: sampled.radius(evidence, p_lower)
    )
    return sampled.certificates(
        evidence,
        predict,
        radius,
        seconds,
        p_lower,
        count,
        n=settings.n,
        passes=evidence.n0,
        guarantee=GUARANTEE,
    )
