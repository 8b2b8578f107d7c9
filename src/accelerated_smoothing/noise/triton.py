"""The noise of `noise.py` on a GPU, as one kernel: the same words, the device's logarithm, sine and cosine.

The noisy copy is written where and in the precision in which the network reads it, so it never passes through memory
as noise.
"""

import torch
import triton
import triton.language as tl

from accelerated_smoothing.counting.engines import Draws

PART = 256  # quads of one program


@triton.jit
def _log(word):  # type: ignore[no-untyped-def]
    """The logarithm of a word's upper 31 bits, as a number in (0, 1]."""
    return tl.log(((word >> 1).to(tl.float32) + 0.5) * 4.656612873077393e-10)  # 2^-31


@triton.jit
def _normals(radius_word, angle_word):  # type: ignore[no-untyped-def]
    """Two standard normals of two words."""
    angle = angle_word.to(tl.int32, bitcast=True).to(tl.float32) * 1.4629180792671596e-09  # 2 pi 2^-32
    radius = tl.sqrt(-2.0 * _log(radius_word))
    return radius * tl.cos(angle), radius * tl.sin(angle)


@triton.jit
def _uniform(word):  # type: ignore[no-untyped-def]
    """A number in (-1, 1) of a word's upper 23 bits."""
    return ((word >> 9).to(tl.float32) + 0.5) * 2.384185791015625e-07 - 1.0  # 2^-22


@triton.jit
def _laplace(word):  # type: ignore[no-untyped-def]
    """A standard Laplace variable of a word, the sign from its lowest bit."""
    log = _log(word)
    return tl.where((word & 1) != 0, log, -log)


@triton.jit
def _pair(a, b, kind: tl.constexpr):  # type: ignore[no-untyped-def]
    """Two elements of standard noise of two words."""
    if kind == "gaussian":
        first, second = _normals(a, b)
    elif kind == "uniform":
        first, second = _uniform(a), _uniform(b)
    else:
        first, second = _laplace(a), _laplace(b)
    return first, second


@triton.jit
def _store(out, images, image, quad, k, made, scale, size, pixels, channels, packed: tl.constexpr):  # type: ignore[no-untyped-def]
    """Write the k-th elements of some quads of one row; `packed` says whether channels are stored last."""
    quads = (size + 3) // 4
    element = quad + k * quads
    inside = (quad < quads) & (element < size)
    value = tl.load(images + image * size + element, mask=inside, other=0.0) + scale * made
    place = element % pixels * channels + element // pixels if packed else element
    tl.store(out + place, value.to(out.dtype.element_ty), mask=inside)


@triton.jit
def _perturb(  # type: ignore[no-untyped-def]
    out, images, names, scales, position, count, samples, key, size, pixels, channels,
    kind: tl.constexpr, packed: tl.constexpr, part: tl.constexpr,
):  # fmt: skip
    row = tl.program_id(0)
    item = tl.load(position) + row
    image = tl.minimum(item // samples, count - 1)  # rows beyond the last draw are made, and not counted
    quad = tl.program_id(1) * part + tl.arange(0, part)
    zero = (quad * 0).to(tl.uint32)  # counters of 32 bits choose the Philox of 32 bits
    draw, name = (item % samples).to(tl.uint32), tl.load(names + image).to(tl.uint32)
    a, b, c, d = tl.philox(key, quad.to(tl.uint32), zero + draw, zero + name, zero)
    first, second = _pair(a, b, kind)
    third, fourth = _pair(c, d, kind)
    scale = tl.load(scales + image)
    out += row.to(tl.int64) * size
    _store(out, images, image, quad, 0, first, scale, size, pixels, channels, packed)
    _store(out, images, image, quad, 1, second, scale, size, pixels, channels, packed)
    _store(out, images, image, quad, 2, third, scale, size, pixels, channels, packed)
    _store(out, images, image, quad, 3, fourth, scale, size, pixels, channels, packed)


def perturb(
    out: torch.Tensor,
    images: torch.Tensor,
    names: torch.Tensor,
    scales: torch.Tensor,
    position: torch.Tensor,
    draws: Draws,
) -> None:
    """Fill `out` with the noisy copies from a position on.

    Args:
        out: [batch, *shape], contiguous or channels-last, in the network's precision.
        images: [n, d] float32.
        names: [n] int64.
        scales: [n] float32.
        position: of the first draw, on the device.
        draws: how many there are of each image, their key and their kind of noise.
    """
    size = images.shape[1]
    channels, pixels = out.shape[1], size // out.shape[1]
    key = int(draws.key[0]) | int(draws.key[1]) << 32
    key -= key >> 63 << 64  # as a signed number, which is how a kernel takes it
    _perturb[(len(out), triton.cdiv(size, 4 * PART))](
        out, images, names, scales, position, len(images), draws.samples, key, size, pixels, channels,
        kind=draws.noise, packed=not out.is_contiguous(), part=PART,
    )  # fmt: skip
