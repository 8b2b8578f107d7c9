"""Noise with density prod_i exp(-|x_i| / b) / (2b), which certifies in l1 (Teng et al. 2020).

At two points with a difference delta the densities' ratio lies within exp(+-||delta||_1 / b), which gives the radius
max(b/2 ln(p_a / p_b), -b ln(1 - p_a + p_b)). Where p_b = 1 - p_a the second is no smaller, since 4 p_a (1 - p_a) <= 1;
it is what is used throughout. Along an axis the bound is met.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

if TYPE_CHECKING:  # certifiers need no torch, which takes long to import
    import torch

NORM = "l1"


def radius(p_lower: ArrayLike, scale: ArrayLike) -> np.ndarray:
    """The l1 radius -b * ln(2 (1 - p_lower)), in pixels of [0,1]; 0 where p_lower <= 1/2."""
    p_lower = np.asarray(p_lower, dtype=float)
    with np.errstate(divide="ignore"):  # certainty has no bound
        return np.where(p_lower > 0.5, -np.asarray(scale) * np.log(2 * (1 - np.maximum(p_lower, 0.5))), 0.0)


def margin(p_a: "torch.Tensor", p_b: "torch.Tensor", scale: "torch.Tensor | float") -> "torch.Tensor":
    """-b * ln(1 - p_a + p_b)."""
    return -scale * (1 - p_a + p_b).log()


def standard(shape: Sequence[int], random: "torch.Generator", device: "torch.device") -> "torch.Tensor":
    """Independent elements of density exp(-|x|) / 2, float32: differences of two exponential variables."""
    import torch

    first, second = (torch.empty(shape, device=device).exponential_(generator=random) for _ in range(2))
    return first.sub_(second)
