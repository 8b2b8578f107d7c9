"""Certificates from counts: their radii depend on the noise under which the base classifier was counted."""

import hashlib
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from accelerated_smoothing.certify import Guarantee, log
from accelerated_smoothing.certify.evidence import Evidence
from accelerated_smoothing.certify.statistics import ABSTAIN
from accelerated_smoothing.noise import distribution

if TYPE_CHECKING:
    import pandas as pd

LEAST = 0.01  # the least u of a randomized bound: smaller ones gain little


def radius(evidence: Evidence, p_lower: np.ndarray) -> np.ndarray:
    """Return the radii that lower bounds on the probability of the top class certify.

    Args:
        evidence: with selection counts; their noise and their sigmas decide the radius.
        p_lower: [images] lower bounds.

    Returns:
        [images] radii in pixels of [0, 1], in the norm of `norm(evidence)`.
    """
    counts = evidence.selection
    assert counts is not None
    return np.asarray(distribution(counts.meta["noise"]).radius(p_lower, counts.sigmas))


def unit_radius(evidence: Evidence) -> Callable[[np.ndarray], np.ndarray]:
    """Return the function from lower bounds to radii, in units of the noise's scale."""
    radius = distribution(noise(evidence)).radius
    return lambda p_lower: np.asarray(radius(p_lower, 1.0))


def noise(evidence: Evidence) -> str:
    """Return the name of the noise's distribution."""
    assert evidence.selection is not None
    return str(evidence.selection.meta["noise"])


def norm(evidence: Evidence) -> str:
    """Return the norm of the radii, "l1" or "l2"."""
    return str(distribution(noise(evidence)).NORM)


def uniform(evidence: Evidence) -> np.ndarray:
    """Return one uniform variable on [`LEAST`, 1) for each image, from (seed, image) alone, for randomized bounds."""
    counts = evidence.selection
    assert counts is not None
    words = [hashlib.blake2b(f"{counts.meta['seed']}/bound/{i}".encode(), digest_size=8).digest() for i in counts.idx]
    return np.maximum(np.frombuffer(b"".join(words), "<u8") / 2.0**64, LEAST)


def certificates(
    evidence: Evidence,
    predict: np.ndarray,
    radius: np.ndarray,
    seconds: np.ndarray,
    p_lower: np.ndarray,
    count: np.ndarray,
    *,
    n: int | np.ndarray,
    passes: int | np.ndarray,
    guarantee: Guarantee,
) -> "pd.DataFrame":
    """Return certificates in the common format.

    Args:
        predict: [images] classes. The certificate abstains where the radius is 0.
        radius: [images] in pixels of [0, 1].
        seconds: [images] time of one certificate.
        p_lower: [images] lower bound on the probability of the top class, or an estimate of it.
        count: [images] the count of the top class, out of n, from which p_lower follows.
        n: estimation draws, or [images] those of each image.
        passes: of the base classifier on each image, or [images]. Those that chose its sigma are added here.
        guarantee: of the radii. A sound method is not sound for a classifier whose sigma depends on the input (Sukenik
            et al. 2022), so "sound" becomes "estimated" where each image has a chosen sigma.
    """
    counts = evidence.selection
    assert counts is not None
    chosen = counts.meta["choice"] is not None
    return log.table(
        counts.idx,
        counts.labels,
        np.where(radius > 0, predict, ABSTAIN),
        radius,
        seconds,
        experiment=evidence.experiment,
        method=evidence.method,
        guarantee="estimated" if chosen and guarantee == "sound" else guarantee,
        passes=passes + counts.meta.get("choice_passes", 0),
        p_lower=p_lower,
        count=count,
        n=n,
        n0=evidence.n0,
        alpha=evidence.alpha,
        sigma=counts.sigmas,
        sigma0=counts.sigma,
        noise=counts.meta["noise"],
        arithmetic=counts.meta["arithmetic"],
    )
