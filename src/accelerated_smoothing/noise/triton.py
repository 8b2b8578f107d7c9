"""The noise of the randomness contract on a GPU, as one kernel.

It writes the noisy copy where the network reads it and in the network's precision, so noise alone never passes through
memory. Triton compiles the functions here, and a distribution's `transform_on_gpu` into them.
"""

import functools
from typing import Any

import numpy as np
import torch
import triton
import triton.language as tl

from accelerated_smoothing.noise import distribution
from accelerated_smoothing.noise.compiling import compiled

PART = 256  # quads of one program


@triton.jit
def _store(out, images, image, quad, k, standard, scale, size, pixels, channels, packed: tl.constexpr):  # type: ignore[no-untyped-def]
    """Write the k-th elements of some quads of one row; `packed` says whether channels are stored last."""
    quads = (size + 3) // 4
    element = quad + k * quads
    inside = (quad < quads) & (element < size)
    value = tl.load(images + image * size + element, mask=inside, other=0.0) + scale * standard
    place = element % pixels * channels + element // pixels if packed else element
    tl.store(out + place, value.to(out.dtype.element_ty), mask=inside)


def _perturb(  # type: ignore[no-untyped-def]
    out, images, names, firsts, scales, samples, position, count, key, size, pixels, channels,
    packed: tl.constexpr, part: tl.constexpr,
):  # fmt: skip
    """Make one part of one noisy copy; `transform` is the distribution's."""
    row = tl.program_id(0)
    item, each = tl.load(position) + row, tl.load(samples)
    image = tl.minimum(item // each, count - 1)  # rows beyond the last draw are made, and not counted
    quad = tl.program_id(1) * part + tl.arange(0, part)
    zero = (quad * 0).to(tl.uint32)  # counters of 32 bits choose the Philox of 32 bits
    draw, name = (tl.load(firsts + image) + item % each).to(tl.uint32), tl.load(names + image).to(tl.uint32)
    a, b, c, d = tl.philox(key, quad.to(tl.uint32), zero + draw, zero + name, zero)
    first, second = transform(a, b)  # type: ignore[name-defined] # noqa: F821
    third, fourth = transform(c, d)  # type: ignore[name-defined] # noqa: F821
    scale = tl.load(scales + image)
    out += row.to(tl.int64) * size
    _store(out, images, image, quad, 0, first, scale, size, pixels, channels, packed)
    _store(out, images, image, quad, 1, second, scale, size, pixels, channels, packed)
    _store(out, images, image, quad, 2, third, scale, size, pixels, channels, packed)
    _store(out, images, image, quad, 3, fourth, scale, size, pixels, channels, packed)


@functools.cache
def kernel(noise: str) -> Any:
    """Return `_perturb`, compiled for a distribution."""
    transform = compiled(distribution(noise).transform_on_gpu, triton.jit, tl=tl)
    return compiled(_perturb, triton.jit, transform=transform)


def perturb(
    out: torch.Tensor,
    images: torch.Tensor,
    names: torch.Tensor,
    samples: torch.Tensor,
    position: torch.Tensor,
    firsts: torch.Tensor,
    scales: torch.Tensor,
    key: np.ndarray,
    noise: str,
) -> None:
    """Fill `out` with the noisy copies from a position on.

    Args:
        out: [batch, *shape], contiguous or channels-last, in the network's precision.
        images: [n, d] float32.
        names: [n] int64, of the images in the contract.
        samples: draws of each image, int64 on the device.
        position: of the first copy, counted image by image, int64 on the device.
        firsts: [n] int64 number of the first draw of each image.
        scales: [n] float32.
        key: [2], from `noise.key`.
        noise: the distribution's name.
    """
    size = images.shape[1]
    channels, pixels = out.shape[1], size // out.shape[1]
    number = int(key[0]) | int(key[1]) << 32
    number -= number >> 63 << 64  # as a signed number, which is how a kernel takes it
    kernel(noise)[(len(out), triton.cdiv(size, 4 * PART))](
        out, images, names, firsts, scales, samples, position, len(images), number, size, pixels, channels,
        packed=not out.is_contiguous(), part=PART,
    )  # fmt: skip
