"""Noise N(0, sigma^2 I), which certifies in l2 (Cohen et al. 2019; section III-A).

Box and Muller's transform makes two normal variables from two words.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

if TYPE_CHECKING:  # certifiers need neither, and both are slow to import
    import torch
    import triton.language as tl

from accelerated_smoothing.noise.logarithm import log, log_on_gpu, split

NORM = "l2"
F = np.float32
HALF, ONE, TWO = F(0.5), F(1), F(2)
EIGHTH, QUARTER = np.int32(2**29), np.int32(30)
TO_ANGLE = F(np.pi / 2 * 2.0**-30)
# (sin(x) - x) / x^3 and (cos(x) - 1 + x^2/2) / x^4 in x^2 on [-pi/4, pi/4], fitted so that the greatest relative error
# (4e-9, 1e-10) is least.
SINE = tuple(map(F, (-0.166666552, 0.008332178, -0.000195173023)))
COSINE = tuple(map(F, (0.0416666456, -0.00138873677, 2.44384501e-05)))


def radius(p_lower: ArrayLike, scale: ArrayLike) -> np.ndarray:
    """Return the l2 radius sigma * Phi^-1(p_lower), in [0,1] pixels; 0 where p_lower <= 1/2 (section III-A, eq. 3)."""
    p_lower = np.asarray(p_lower, dtype=float)
    return np.where(p_lower > 0.5, scale * special.ndtri(np.maximum(p_lower, 0.5)), 0.0)


def margin(p_a: "torch.Tensor", p_b: "torch.Tensor", scale: "torch.Tensor | float") -> "torch.Tensor":
    """Return sigma/2 * (Phi^-1(p_a) - Phi^-1(p_b)) (Cohen et al. 2019, theorem 1; Alfarra et al. 2022, eq. 1)."""
    import torch

    return scale / 2 * (torch.special.ndtri(p_a) - torch.special.ndtri(p_b))


def standard(shape: Sequence[int], random: "torch.Generator", device: "torch.device") -> "torch.Tensor":
    """Return independent standard normals, float32."""
    import torch

    return torch.randn(shape, generator=random, device=device)


def transform(words: np.ndarray, out: np.ndarray, scratch: np.ndarray, n: int) -> None:
    """Turn words [4, n] into standard normals."""
    normals(words, out, scratch, 0, n)
    normals(words, out, scratch, 2, n)


def normals(words: np.ndarray, out: np.ndarray, scratch: np.ndarray, first: int, n: int) -> None:
    """Turn the words of rows `first` and `first + 1`, n columns, into as many standard normals.

    The steps are loops of their own, since each then becomes vector instructions.
    """
    value, exponent = scratch[0], scratch[1]
    split(words, scratch, first, n)
    for i in range(n):  # the radius sqrt(-2 ln u)
        value[i] = np.sqrt(-TWO * log(value[i], exponent[i]))
    for i in range(n):  # the angle 2 pi v: a quarter turn, and the rest within an eighth of a turn either way
        turn = np.int32(words[first + 1, i])
        quarter = (turn + EIGHTH) >> QUARTER
        x = F(turn - (quarter << QUARTER)) * TO_ANGLE
        x2 = x * x
        sine = x + x * x2 * (SINE[0] + x2 * (SINE[1] + x2 * SINE[2]))
        cosine = ONE - HALF * x2 + x2 * x2 * (COSINE[0] + x2 * (COSINE[1] + x2 * COSINE[2]))
        odd = (quarter & np.int32(1)) != 0
        radius = -value[i] if (quarter & np.int32(2)) != 0 else value[i]
        out[first, i] = radius * (-sine if odd else cosine)
        out[first + 1, i] = radius * (cosine if odd else sine)


def transform_on_gpu(a, b):  # type: ignore[no-untyped-def]
    """Turn two words into two standard normals."""
    angle = b.to(tl.int32, bitcast=True).to(tl.float32) * 1.4629180792671596e-09  # 2 pi 2^-32
    radius = tl.sqrt(-2.0 * log_on_gpu(a))
    return radius * tl.cos(angle), radius * tl.sin(angle)
