"""Input-dependent smoothing with a sigma that changes slowly: sound (Sukenik et al. 2022, theorems 3 and 4).

The classifier smooths x with sigma(x), whose logarithm changes by at most r per unit of distance (`sigmas.ways.idrs`).
At the distance a from an image with sigma_0, the point has a sigma_1 between sigma_0 exp(-r a) and sigma_0 exp(r a). If
the other classes have at most the probability p_B at the image, then they have at most

    smaller sigma_1:  F'(F^-1(p_B) s),    larger sigma_1:  1 - F'(F^-1(1 - p_B) s),    s = sigma_0^2 / sigma_1^2

there, where F and F' are the distribution functions of noncentral chi-squared variables with d degrees of freedom and
noncentralities sigma_0^2 a^2 / (sigma_0^2 - sigma_1^2)^2 and sigma_1^2 a^2 / (sigma_0^2 - sigma_1^2)^2. The two ends of
the range are the worst cases. The radius is the largest a at which both are below 1/2.

The number of pixels d makes the bounds worse, since noise of another sigma has another length. At p_B = 0.1, sigma 0.5
and r = 0.1, the radius is 0.56 with d = 64, and 0.16 with d = 3072. Cohen et al.'s is 0.64.
"""

from typing import TYPE_CHECKING, Literal

import numpy as np
from pydantic import Field
from scipy.stats import ncx2

from accelerated_smoothing.certify import Guarantee, sampled, statistics
from accelerated_smoothing.certify.evidence import Evidence
from accelerated_smoothing.certify.methods import cohen
from accelerated_smoothing.config import Section
from accelerated_smoothing.errors import InputError
from accelerated_smoothing.files import read_arrays

if TYPE_CHECKING:
    import pandas as pd

GUARANTEE: Guarantee = "sound"
NEEDS = ("selection", "estimation", "sigmas", "images")
SLACK = 1e-6  # of a probability below 1/2: scipy's noncentral chi-squared is exact to about 1e-9
STEPS = 40  # of a bisection: the radius is exact to 2^-40 of Cohen et al.'s, and rounded down


class Settings(Section):
    n: int = Field(100000, ge=1, description="estimation draws")
    choice: Literal["idrs"] = Field("idrs", description="the way that chose the sigmas")
    at: int = Field(20, ge=1, description="its number of neighbours")


def others(a: np.ndarray, sigma: np.ndarray, p_b: np.ndarray, rate: float, d: int) -> np.ndarray:
    """Return the largest probability [images] that the other classes can have at the distance a.

    Args:
        a: [images] distances, above 0.
        sigma: [images] sigma_0.
        p_b: [images] their probability at the image, at most; in (0, 1/2).
        rate: r, above 0.
        d: dimension of the images.
    """
    worst = np.zeros(len(a))
    for direction in (-1, 1):
        ratio = np.exp(direction * rate * a)  # sigma_1 / sigma_0
        apart = np.square(a / (sigma * (1 - ratio**2)))
        if direction < 0:
            beyond = ncx2.cdf(ncx2.ppf(p_b, d, apart) / ratio**2, d, ratio**2 * apart)
        else:
            beyond = ncx2.sf(ncx2.ppf(1 - p_b, d, apart) / ratio**2, d, ratio**2 * apart)
        worst = np.maximum(worst, np.nan_to_num(beyond, nan=1.0))
    return worst


def radii(p_lower: np.ndarray, sigma: np.ndarray, rate: float, d: int) -> np.ndarray:
    """Return the radii [images] of top classes with at least the probabilities p_lower [images], rounded down."""
    most = np.where(p_lower > 0.5, sigma * statistics.quantile(np.maximum(p_lower, 0.5)), 0.0)
    if rate == 0:
        return most
    low, high = np.zeros(len(most)), most.copy()
    rows = np.flatnonzero(most > 0)
    for _ in range(STEPS):
        middle = (low[rows] + high[rows]) / 2
        safe = others(middle, sigma[rows], 1 - p_lower[rows], rate, d) < 0.5 - SLACK
        low[rows], high[rows] = np.where(safe, middle, low[rows]), np.where(safe, high[rows], middle)
    return low


def certify(evidence: Evidence, settings: Settings) -> "pd.DataFrame":
    """Certify each image from its counts at its own sigma.

    Raises:
        InputError: the counts were made with other sigmas than those of the file, or with other noise.
    """
    counts, images = evidence.selection, evidence.images
    assert counts is not None
    assert images is not None
    assert evidence.sigmas is not None
    chosen, meta = read_arrays(evidence.sigmas, ("idx", "at", "sigmas"), "sigmas")
    choice = f"{settings.choice}{settings.at}"
    if counts.meta["choice"] != choice:
        raise InputError(f"--at must be that of the counts, {counts.meta['choice']!r}, got {choice!r}")
    here = np.isin(chosen["idx"], counts.idx)
    own = chosen["sigmas"][chosen["at"] == settings.at][:, here].ravel()
    # Counting rounds the scales of noise to float32.
    if len(own) != len(counts.idx) or not np.allclose(own, counts.sigmas, rtol=1e-6, atol=0):
        raise InputError("--sigmas must be those of the counts, got others; count again")
    if sampled.noise(evidence) != "gaussian":
        raise InputError(f"the noise of the counts must be gaussian, got {sampled.noise(evidence)}")
    top, count, p_lower, seconds = cohen.bound(evidence, settings.n)
    d = int(np.prod(images.images.shape[1:]))
    radius = radii(p_lower, counts.sigmas, float(meta["rate"]), d)
    passes = evidence.n0 + settings.n
    return sampled.certificates(
        evidence, top, radius, seconds, p_lower, count, n=settings.n, passes=passes, guarantee=GUARANTEE
    ).assign(guarantee=GUARANTEE)  # this certificate is sound for a sigma that depends on the input
