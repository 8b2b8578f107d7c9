"""Noise with density prod_i exp(-|x_i| / b) / (2b), which certifies in l1 (Teng et al. 2020).

At two points with a difference delta the densities' ratio lies within exp(+-||delta||_1 / b), which gives the radius
max(b/2 ln(p_a / p_b), -b ln(1 - p_a + p_b)). Where p_b = 1 - p_a the second is no smaller, since 4 p_a (1 - p_a) <= 1;
it is what is used throughout. Along an axis the bound is met.

Each element comes from one word.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

if TYPE_CHECKING:  # certifiers need neither, and both are slow to import
    import torch
    import triton.language as tl

from accelerated_smoothing.noise.logarithm import log, log_on_gpu, split

NORM = "l1"


def radius(p_lower: ArrayLike, scale: ArrayLike) -> np.ndarray:
    """Return the l1 radius -b * ln(2 (1 - p_lower)), in pixels of [0,1]; 0 where p_lower <= 1/2."""
    p_lower = np.asarray(p_lower, dtype=float)
    with np.errstate(divide="ignore"):  # certainty has no bound
        return np.where(p_lower > 0.5, -np.asarray(scale) * np.log(2 * (1 - np.maximum(p_lower, 0.5))), 0.0)


def margin(p_a: "torch.Tensor", p_b: "torch.Tensor", scale: "torch.Tensor | float") -> "torch.Tensor":
    """Return -b * ln(1 - p_a + p_b)."""
    return -scale * (1 - p_a + p_b).log()


def standard(shape: Sequence[int], random: "torch.Generator", device: "torch.device") -> "torch.Tensor":
    """Return independent elements of density exp(-|x|) / 2, float32: differences of two exponential variables."""
    import torch

    first, second = (torch.empty(shape, device=device).exponential_(generator=random) for _ in range(2))
    return first.sub_(second)


def transform(words: np.ndarray, out: np.ndarray, scratch: np.ndarray, n: int) -> None:
    """Turn words [4, n] into standard Laplace variables."""
    for k in range(4):
        laplaces(words, out, scratch, k, n)


def laplaces(words: np.ndarray, out: np.ndarray, scratch: np.ndarray, row: int, n: int) -> None:
    """Turn the words of a row, n columns, into -ln u, with the sign from the lowest bit, which u does not use."""
    value, exponent = scratch[0], scratch[1]
    split(words, scratch, row, n)
    for i in range(n):
        logarithm = log(value[i], exponent[i])
        out[row, i] = logarithm if (words[row, i] & np.uint32(1)) != 0 else -logarithm


def transform_on_gpu(a, b):  # type: ignore[no-untyped-def]
    """Turn two words into two standard Laplace variables."""
    return laplace_on_gpu(a), laplace_on_gpu(b)


def laplace_on_gpu(word):  # type: ignore[no-untyped-def]
    """Return a standard Laplace variable from a word, with the sign from its lowest bit."""
    logarithm = log_on_gpu(word)
    return tl.where((word & 1) != 0, logarithm, -logarithm)
