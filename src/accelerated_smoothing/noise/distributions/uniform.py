"""Noise U[-lambda, lambda]^d, which certifies in l1 (Lee et al. 2019; Yang et al. 2020; Alfarra et al. 2022, 4.4).

The cubes of the noise at two points with a difference delta share all but a part
1 - prod_i (1 - |delta_i| / (2 lambda)) <= ||delta||_1 / (2 lambda), and no class can gain or lose more than that. Along
an axis the bound is met. Each element comes from one word.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

if TYPE_CHECKING:  # certifiers need neither, and both are slow to import
    import torch
    import triton.language as tl

NORM = "l1"
F = np.float32
HALF, ONE = F(0.5), F(1)
TO_CUBE = F(2.0**-22)


def radius(p_lower: ArrayLike, scale: ArrayLike) -> np.ndarray:
    """Return the l1 radius lambda * (2 p_lower - 1), in pixels of [0,1]; 0 where p_lower <= 1/2."""
    # Only the product rounds.
    return np.asarray(scale) * np.maximum(2 * np.asarray(p_lower, dtype=float) - 1, 0.0)


def margin(p_a: "torch.Tensor", p_b: "torch.Tensor", scale: "torch.Tensor | float") -> "torch.Tensor":
    """Return lambda * (p_a - p_b)."""
    return scale * (p_a - p_b)


def standard(shape: Sequence[int], random: "torch.Generator", device: "torch.device") -> "torch.Tensor":
    """Return independent elements of U[-1, 1), float32."""
    import torch

    return torch.rand(shape, generator=random, device=device).mul_(2).sub_(1)


def transform(words: np.ndarray, out: np.ndarray, scratch: np.ndarray, n: int) -> None:
    """Turn words [4, n] into uniform variables on (-1, 1)."""
    for k in range(4):
        uniforms(words, out, k, n)


def uniforms(words: np.ndarray, out: np.ndarray, row: int, n: int) -> None:
    """Turn the words of a row, n columns, into odd multiples of 2^-23 within (-1, 1), each exact in float32."""
    for i in range(n):
        out[row, i] = (F(np.int32(words[row, i] >> np.uint32(9))) + HALF) * TO_CUBE - ONE


def transform_on_gpu(a, b):  # type: ignore[no-untyped-def]
    """Turn two words into two uniform variables on (-1, 1)."""
    return uniform_on_gpu(a), uniform_on_gpu(b)


def uniform_on_gpu(word):  # type: ignore[no-untyped-def]
    """Return a number in (-1, 1) from a word's upper 23 bits."""
    return ((word >> 9).to(tl.float32) + 0.5) * 2.384185791015625e-07 - 1.0  # 2^-22
