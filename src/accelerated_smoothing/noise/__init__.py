"""The noise of the randomness contract: the counter-based generator Philox, and transforms of its words.

Draw j of image i is made by Philox4x32-10 (Salmon et al. 2011) from the counters (quad, j, i, 0) under a key that is a
hash of (seed, purpose). Nothing is carried from one draw to the next, so batches, shards and restarts cannot matter.
An image of d pixels and channels takes ceil(d/4) quads; quad q makes the elements q, q + quads, q + 2 quads and
q + 3 quads, counted channel by channel and row by row. For Gaussian noise, by Box and Muller's transform, words 0 and 1
make the first two, words 2 and 3 the others; for uniform and Laplace noise each word makes one element, in that order.
What each distribution certifies is in `distributions/`.

This is the CPU's form. It uses only operations that IEEE 754 rounds in one way (no fused multiply-add, no library
function), so every CPU makes the same bits. The GPU's (`engines/noise_triton.py`) has the same words and the device's
logarithm, sine and cosine. What the logarithm is taken of has 31 bits and is never 0, so no normal exceeds 6.66, as one
in 4e10 would, and no Laplace variable 22.2, as one in 4e9 would. Uniform noise has 23 bits and lies within (-1, 1).
"""

import hashlib

import numpy as np
from numba import njit

LIMIT = 2**32  # an image and a draw are each named by one word of the counter
KINDS = ("gaussian", "uniform", "laplace")
GAUSSIAN, UNIFORM = 0, 1  # their places among the kinds
PART = 256  # quads worked on at once, of one copy or of several: few enough for the first-level cache

F, U = np.float32, np.uint64
LOW, WORD = U(0xFFFFFFFF), U(32)
MULTIPLIERS = U(0xD2511F53), U(0xCD9E8D57)
WEYL = U(0x9E3779B9), U(0xBB67AE85)
HALF, ONE, TWO, LN2 = F(0.5), F(1), F(2), F(np.log(2))
SQRT_HALF = np.int32(F(np.sqrt(0.5)).view(np.int32))
MANTISSA, EIGHTH, QUARTER = np.int32(23), np.int32(2**29), np.int32(30)
TO_UNIFORM, TO_ANGLE, TO_CUBE = F(2.0**-31), F(np.pi / 2 * 2.0**-30), F(2.0**-22)
# (ln(1 + t) - t + t^2/2) / t^3 on [sqrt(1/2) - 1, sqrt(2) - 1], (sin(x) - x) / x^3 and (cos(x) - 1 + x^2/2) / x^4 in
# x^2 on [-pi/4, pi/4], fitted so that the greatest relative error (6e-9, 4e-9, 1e-10) is least.
LOG = tuple(map(F, (0.33333331, -0.2500082, 0.20001227, -0.1662336, 0.14201753, -0.13160156, 0.12761599, -0.07634586)))
SINE = tuple(map(F, (-0.166666552, 0.008332178, -0.000195173023)))
COSINE = tuple(map(F, (0.0416666456, -0.00138873677, 2.44384501e-05)))


def key(seed: int, purpose: str) -> np.ndarray:
    """The two words [2] uint32 under which the noise of one seed and purpose is made."""
    return np.frombuffer(hashlib.blake2b(f"{seed}/{purpose}".encode(), digest_size=8).digest(), "<u4")


@njit(inline="always")
def _round(a, b, c, d, key_0, key_1):  # type: ignore[no-untyped-def]
    """One of Philox's ten rounds, on words held in 64 bits."""
    product_0, product_1 = MULTIPLIERS[0] * (a & LOW), MULTIPLIERS[1] * (c & LOW)
    return (product_1 >> WORD) ^ b ^ key_0, product_1 & LOW, (product_0 >> WORD) ^ d ^ key_1, product_0 & LOW


@njit(inline="always")
def _aligned(n):  # type: ignore[no-untyped-def]
    """Room for n float32 on a cache line of its own: a vector that straddles two lines costs twice the time."""
    room = np.empty(n + 16, np.float32)
    start = (64 - room.ctypes.data % 64) % 64 // 4
    return room[start : start + n]


@njit(inline="always")
def words(out: np.ndarray, n: int, key: np.ndarray, counters: np.ndarray) -> None:
    """Fill the first n columns of [4, m] uint32 with the words of as many counters [3, m] uint64: quad, draw, image."""
    keys = np.empty((10, 2), np.uint64)
    for r in range(10):
        for side in range(2):
            keys[r, side] = (U(key[side]) + U(r) * WEYL[side]) & LOW
    for i in range(n):
        a, b, c, d = counters[0, i], counters[1, i], counters[2, i], U(0)
        # Written out, since only a loop without a loop inside becomes vector instructions.
        a, b, c, d = _round(a, b, c, d, keys[0, 0], keys[0, 1])
        a, b, c, d = _round(a, b, c, d, keys[1, 0], keys[1, 1])
        a, b, c, d = _round(a, b, c, d, keys[2, 0], keys[2, 1])
        a, b, c, d = _round(a, b, c, d, keys[3, 0], keys[3, 1])
        a, b, c, d = _round(a, b, c, d, keys[4, 0], keys[4, 1])
        a, b, c, d = _round(a, b, c, d, keys[5, 0], keys[5, 1])
        a, b, c, d = _round(a, b, c, d, keys[6, 0], keys[6, 1])
        a, b, c, d = _round(a, b, c, d, keys[7, 0], keys[7, 1])
        a, b, c, d = _round(a, b, c, d, keys[8, 0], keys[8, 1])
        a, b, c, d = _round(a, b, c, d, keys[9, 0], keys[9, 1])
        out[0, i], out[1, i], out[2, i], out[3, i] = a, b, c, d


@njit(inline="always")
def _split(random: np.ndarray, scratch: np.ndarray, row: int, n: int) -> None:
    """Turn the upper 31 bits of a row's words into u in (0, 1]: value * 2^exponent, value in [sqrt(1/2), sqrt(2))."""
    value, exponent = scratch[0], scratch[1]
    bits = value.view(np.int32)
    for i in range(n):
        value[i] = (F(np.int32(random[row, i] >> np.uint32(1))) + HALF) * TO_UNIFORM
    for i in range(n):
        shift = (bits[i] - SQRT_HALF) >> MANTISSA
        bits[i] -= shift << MANTISSA
        exponent[i] = F(shift)


@njit(inline="always")
def _log(value, exponent):  # type: ignore[no-untyped-def]
    """ln(value * 2^exponent), of what `_split` leaves."""
    t = value - ONE
    p = LOG[4] + t * (LOG[5] + t * (LOG[6] + t * LOG[7]))
    p = LOG[0] + t * (LOG[1] + t * (LOG[2] + t * (LOG[3] + t * p)))
    return exponent * LN2 + (t + t * t * (t * p - HALF))


@njit(inline="always")
def _normals(random: np.ndarray, out: np.ndarray, scratch: np.ndarray, first: int, n: int) -> None:
    """Turn the words of rows `first` and `first + 1`, n columns, into as many standard normals.

    The steps are loops of their own, since each then becomes vector instructions.
    """
    value, exponent = scratch[0], scratch[1]
    _split(random, scratch, first, n)
    for i in range(n):  # the radius sqrt(-2 ln u)
        value[i] = np.sqrt(-TWO * _log(value[i], exponent[i]))
    for i in range(n):  # the angle 2 pi v: a quarter turn, and the rest within an eighth of a turn either way
        turn = np.int32(random[first + 1, i])
        quarter = (turn + EIGHTH) >> QUARTER
        x = F(turn - (quarter << QUARTER)) * TO_ANGLE
        x2 = x * x
        sine = x + x * x2 * (SINE[0] + x2 * (SINE[1] + x2 * SINE[2]))
        cosine = ONE - HALF * x2 + x2 * x2 * (COSINE[0] + x2 * (COSINE[1] + x2 * COSINE[2]))
        odd = (quarter & np.int32(1)) != 0
        radius = -value[i] if (quarter & np.int32(2)) != 0 else value[i]
        out[first, i] = radius * (-sine if odd else cosine)
        out[first + 1, i] = radius * (cosine if odd else sine)


@njit(inline="always")
def _uniforms(random: np.ndarray, out: np.ndarray, row: int, n: int) -> None:
    """Turn the words of a row, n columns, into odd multiples of 2^-23 within (-1, 1), each exact in float32."""
    for i in range(n):
        out[row, i] = (F(np.int32(random[row, i] >> np.uint32(9))) + HALF) * TO_CUBE - ONE


@njit(inline="always")
def _laplaces(random: np.ndarray, out: np.ndarray, scratch: np.ndarray, row: int, n: int) -> None:
    """Turn the words of a row, n columns, into -ln u, the sign from the lowest bit, which u leaves over."""
    value, exponent = scratch[0], scratch[1]
    _split(random, scratch, row, n)
    for i in range(n):
        log = _log(value[i], exponent[i])
        out[row, i] = log if (random[row, i] & np.uint32(1)) != 0 else -log


@njit(nogil=True, cache=True)
def perturb(
    out: np.ndarray,
    images: np.ndarray,
    names: np.ndarray,
    samples: int,
    first: int,
    scales: np.ndarray,
    key: np.ndarray,
    kind: int,
) -> None:
    """Fill `out` with noisy copies: row r is draw (first + r) % samples of image (first + r) // samples.

    Args:
        out: [rows, d] float32.
        images: [n, d] float32.
        names: [n] of the images in the contract, below `LIMIT`.
        samples: draws of each image.
        scales: [n] float32 of the noise, an image's own: sigma, lambda or b.
        key: [2], from `key`.
        kind: the distribution, by its place among `KINDS`.
    """
    rows, size = out.shape
    quads = (size + 3) // 4
    random = _aligned(4 * PART).view(np.uint32).reshape((4, PART))
    made, scratch = _aligned(4 * PART).reshape((4, PART)), _aligned(2 * PART).reshape((2, PART))
    counters = _aligned(6 * PART).view(np.uint64).reshape((3, PART))
    for begin in range(0, rows * quads, PART):
        n = min(PART, rows * quads - begin)
        row, quad, i = begin // quads, begin % quads, 0
        while i < n:  # the copies that have a share in this part
            share = min(quads - quad, n - i)
            image, draw = (first + row) // samples, (first + row) % samples
            counters[0, i : i + share] = np.arange(quad, quad + share).astype(np.uint64)
            counters[1, i : i + share] = U(draw)
            counters[2, i : i + share] = U(names[image])
            row, quad, i = row + 1, 0, i + share
        words(random, n, key, counters)
        if kind == GAUSSIAN:
            _normals(random, made, scratch, 0, n)
            _normals(random, made, scratch, 2, n)
        elif kind == UNIFORM:
            for k in range(4):
                _uniforms(random, made, k, n)
        else:
            for k in range(4):
                _laplaces(random, made, scratch, k, n)
        row, quad, i = begin // quads, begin % quads, 0
        while i < n:
            share, image = min(quads - quad, n - i), (first + row) // samples
            scale = F(scales[image])
            for k in range(4):
                place = k * quads + quad
                to, of, drawn = out[row, place:], images[image, place:], made[k, i:]
                for j in range(min(share, size - place)):
                    to[j] = of[j] + scale * drawn[j]
            row, quad, i = row + 1, 0, i + share
