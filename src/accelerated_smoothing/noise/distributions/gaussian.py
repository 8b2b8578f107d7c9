"""Noise N(0, sigma^2 I), which certifies in l2 (Cohen et al. 2019; section III-A)."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

if TYPE_CHECKING:  # certifiers need no torch, which takes long to import
    import torch

NORM = "l2"


def radius(p_lower: ArrayLike, scale: ArrayLike) -> np.ndarray:
    """The l2 radius sigma * Phi^-1(p_lower), in pixels of [0,1]; 0 where p_lower <= 1/2 (section III-A, eq. 3)."""
    p_lower = np.asarray(p_lower, dtype=float)
    return np.where(p_lower > 0.5, scale * special.ndtri(np.maximum(p_lower, 0.5)), 0.0)


def margin(p_a: "torch.Tensor", p_b: "torch.Tensor", scale: "torch.Tensor | float") -> "torch.Tensor":
    """sigma/2 * (Phi^-1(p_a) - Phi^-1(p_b)) (Cohen et al. 2019, theorem 1; Alfarra et al. 2022, eq. 1)."""
    import torch

    return scale / 2 * (torch.special.ndtri(p_a) - torch.special.ndtri(p_b))


def standard(shape: Sequence[int], random: "torch.Generator", device: "torch.device") -> "torch.Tensor":
    """Independent standard normals, float32."""
    import torch

    return torch.randn(shape, generator=random, device=device)
