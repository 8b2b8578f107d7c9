"""Noise U[-lambda, lambda]^d, which certifies in l1 (Lee et al. 2019; Yang et al. 2020; Alfarra et al. 2022, 4.4).

The cubes of the noise at two points with a difference delta share all but a part
1 - prod_i (1 - |delta_i| / (2 lambda)) <= ||delta||_1 / (2 lambda), and no class can gain or lose more than that. Along
an axis the bound is met.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

if TYPE_CHECKING:  # certifiers need no torch, which takes long to import
    import torch

NORM = "l1"


def radius(p_lower: ArrayLike, scale: ArrayLike) -> np.ndarray:
    """The l1 radius lambda * (2 p_lower - 1), in pixels of [0,1]; 0 where p_lower <= 1/2; only the product rounds."""
    return np.asarray(scale) * np.maximum(2 * np.asarray(p_lower, dtype=float) - 1, 0.0)


def margin(p_a: "torch.Tensor", p_b: "torch.Tensor", scale: "torch.Tensor | float") -> "torch.Tensor":
    """lambda * (p_a - p_b)."""
    return scale * (p_a - p_b)


def standard(shape: Sequence[int], random: "torch.Generator", device: "torch.device") -> "torch.Tensor":
    """Independent elements of U[-1, 1), float32."""
    import torch

    return torch.rand(shape, generator=random, device=device).mul_(2).sub_(1)
