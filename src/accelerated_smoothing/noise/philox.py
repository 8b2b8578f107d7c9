"""The noise of the randomness contract on a CPU: Philox's words, and images with noise added.

numba compiles the functions here, and a distribution's `transform` into them.
"""

import functools
import hashlib
from pathlib import Path
from types import FunctionType
from typing import Any

import numpy as np
from numba import njit

from accelerated_smoothing.noise import distribution
from accelerated_smoothing.noise.compiling import compiled

PART = 256  # quads worked on at once, of one copy or of several: few enough for the first-level cache
F, U = np.float32, np.uint64
LOW, WORD = U(0xFFFFFFFF), U(32)
MULTIPLIERS = U(0xD2511F53), U(0xCD9E8D57)
WEYL = U(0x9E3779B9), U(0xBB67AE85)


@njit(inline="always")
def _round(a, b, c, d, key_0, key_1):  # type: ignore[no-untyped-def]
    """Do one of Philox's ten rounds, on words held in 64 bits."""
    product_0, product_1 = MULTIPLIERS[0] * (a & LOW), MULTIPLIERS[1] * (c & LOW)
    return (product_1 >> WORD) ^ b ^ key_0, product_1 & LOW, (product_0 >> WORD) ^ d ^ key_1, product_0 & LOW


@njit(inline="always")
def _aligned(n):  # type: ignore[no-untyped-def]
    """Return room for n float32 that begins a cache line: a vector across two lines costs twice the time."""
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


@njit  # not inlined: uniform noise on small images would take a quarter longer
def _add(out, images, standard, scales, samples, position, begin, n):  # type: ignore[no-untyped-def]
    """Write images plus scaled noise [4, n] to `out`: the quads begin, ..., begin + n - 1 of all copies in a row."""
    size = out.shape[1]
    quads = (size + 3) // 4
    row, quad, i = begin // quads, begin % quads, 0
    while i < n:
        share, image = min(quads - quad, n - i), (position + row) // samples
        scale = F(scales[image])
        for k in range(4):
            place = k * quads + quad
            noisy, clean, element = out[row, place:], images[image, place:], standard[k, i:]
            for j in range(min(share, size - place)):
                noisy[j] = clean[j] + scale * element[j]
        row, quad, i = row + 1, 0, i + share


def perturb(
    out: np.ndarray,
    images: np.ndarray,
    names: np.ndarray,
    samples: int,
    position: int,
    firsts: np.ndarray,
    scales: np.ndarray,
    key: np.ndarray,
    noise: str,
) -> None:
    """Fill `out` with noisy copies: row r is draw firsts[i] + (position + r) % samples of image i.

    Here i is (position + r) // samples.

    Args:
        out: [rows, d] float32.
        images: [n, d] float32.
        names: [n] int64, of the images in the contract, below `noise.LIMIT`.
        samples: draws of each image.
        position: of the copy that the first row holds, counted image by image.
        firsts: [n] int64 number of the first draw of each image.
        scales: [n] float32 of the noise of each image: sigma, lambda or b.
        key: [2], from `noise.key`.
        noise: the distribution's name.
    """
    kernel(noise)(out, images, names, samples, position, firsts, scales, key)


@functools.cache
def kernel(noise: str) -> Any:
    """Return `_perturb`, compiled for a distribution.

    numba keeps the machine code on disk. It looks at the file of `_perturb` alone to see whether that code is still
    right, so the hash of all files here is part of its name.
    """

    def kept(function: FunctionType) -> Any:
        files = sorted(Path(__file__).parent.rglob("*.py"))
        digest = hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:16]
        function.__qualname__ = f"perturb_{noise}_{digest}"
        return njit(nogil=True, cache=True)(function)

    transform = compiled(distribution(noise).transform, njit(inline="always"))
    return compiled(_perturb, kept, transform=transform)


def _perturb(  # type: ignore[no-untyped-def]
    out, images, names, samples, position, firsts, scales, key
):  # fmt: skip
    """Do what `perturb` says; `transform` is the distribution's."""
    rows, size = out.shape
    quads = (size + 3) // 4
    random = _aligned(4 * PART).view(np.uint32).reshape((4, PART))
    standard, scratch = _aligned(4 * PART).reshape((4, PART)), _aligned(2 * PART).reshape((2, PART))
    counters = _aligned(6 * PART).view(np.uint64).reshape((3, PART))
    for begin in range(0, rows * quads, PART):
        n = min(PART, rows * quads - begin)
        row, quad, i = begin // quads, begin % quads, 0
        while i < n:  # the copies that have a share in this part
            share = min(quads - quad, n - i)
            image = (position + row) // samples
            counters[0, i : i + share] = np.arange(quad, quad + share).astype(np.uint64)
            counters[1, i : i + share] = U(firsts[image] + (position + row) % samples)
            counters[2, i : i + share] = U(names[image])
            row, quad, i = row + 1, 0, i + share
        words(random, n, key, counters)
        transform(random, standard, scratch, n)  # type: ignore[name-defined] # noqa: F821
        _add(out, images, standard, scales, samples, position, begin, n)
