"""The logarithm of a random word, which several distributions need.

The functions are plain Python; `compiling.py` says how they are compiled.
"""

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import triton.language as tl

F = np.float32
HALF, ONE, LN2 = F(0.5), F(1), F(np.log(2))
SQRT_HALF = np.int32(F(np.sqrt(0.5)).view(np.int32))
MANTISSA = np.int32(23)
TO_UNIFORM = F(2.0**-31)
# (ln(1 + t) - t + t^2/2) / t^3 on [sqrt(1/2) - 1, sqrt(2) - 1], fitted so that the greatest relative error, 6e-9, is
# least.
LOG = tuple(map(F, (0.33333331, -0.2500082, 0.20001227, -0.1662336, 0.14201753, -0.13160156, 0.12761599, -0.07634586)))


def split(words: np.ndarray, scratch: np.ndarray, row: int, n: int) -> None:
    """Turn the upper 31 bits of the words of a row into u in (0, 1], as value * 2^exponent.

    Args:
        words: [rows, m] uint32.
        scratch: [2, m] float32; gets value in [sqrt(1/2), sqrt(2)), and exponent.
        row: of the words.
        n: number of columns.
    """
    value, exponent = scratch[0], scratch[1]
    bits = value.view(np.int32)
    for i in range(n):
        value[i] = (F(np.int32(words[row, i] >> np.uint32(1))) + HALF) * TO_UNIFORM
    for i in range(n):
        shift = (bits[i] - SQRT_HALF) >> MANTISSA
        bits[i] -= shift << MANTISSA
        exponent[i] = F(shift)


def log(value, exponent):  # type: ignore[no-untyped-def]
    """Return ln(value * 2^exponent), of what `split` makes."""
    t = value - ONE
    p = LOG[4] + t * (LOG[5] + t * (LOG[6] + t * LOG[7]))
    p = LOG[0] + t * (LOG[1] + t * (LOG[2] + t * (LOG[3] + t * p)))
    return exponent * LN2 + (t + t * t * (t * p - HALF))


def log_on_gpu(word):  # type: ignore[no-untyped-def]
    """Return the logarithm of a word's upper 31 bits, as a number in (0, 1]."""
    return tl.log(((word >> 1).to(tl.float32) + 0.5) * 4.656612873077393e-10)  # 2^-31
