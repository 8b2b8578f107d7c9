"""A residual block as one kernel, which keeps the images on the chip between the two convolutions.

One program makes a block's output for a few images. It reads them once, and holds them as a matrix [rows, channels]
with a row for each pixel. A 3x3 convolution is nine products of matrices, summed in fp32: each takes, for every pixel
of the output, one of its nine neighbours, and multiplies it by that neighbour's weights. Only the last sum is written.
This kernel has not run on a GPU yet.
"""

import torch
import triton
import triton.language as tl
from torch import nn

from accelerated_smoothing.models.families.resnet import BasicBlock

ELEMENTS = 2**14  # of a program's input: one image of 16x32x32; of smaller ones several, which share the weights
WARPS = 8
LEAST = 16  # rows of a matrix product


@triton.jit
def _neighbours(  # type: ignore[no-untyped-def]
    tap, image, rows: tl.constexpr, images: tl.constexpr, inputs: tl.constexpr,
    height: tl.constexpr, width: tl.constexpr, stride: tl.constexpr,
):  # fmt: skip
    """Return the input [rows, inputs] at one of the nine places around each pixel of the output; outside it is 0."""
    across: tl.constexpr = (width + stride - 1) // stride
    pixels: tl.constexpr = (height + stride - 1) // stride * across
    row = tl.arange(0, rows)
    y = row % pixels // across * stride + tap // 3 - 1
    x = row % across * stride + tap % 3 - 1
    inside = (row < images * pixels) & (y >= 0) & (y < height) & (x >= 0) & (x < width)
    place = tl.where(inside, row // pixels * (height * width) + y * width + x, 0)
    taken = tl.gather(image, tl.broadcast_to(place[:, None], (rows, inputs)), 0)
    return tl.where(inside[:, None], taken, 0.0).to(image.dtype)


@triton.jit
def _convolved(  # type: ignore[no-untyped-def]
    image, weights, bias, rows: tl.constexpr, images: tl.constexpr, inputs: tl.constexpr, outputs: tl.constexpr,
    height: tl.constexpr, width: tl.constexpr, stride: tl.constexpr, precision: tl.constexpr,
):  # fmt: skip
    """Return a 3x3 convolution [rows, outputs] in fp32; `weights` are [9, inputs, outputs]."""
    i, o = tl.arange(0, inputs), tl.arange(0, outputs)
    total = tl.zeros((rows, outputs), tl.float32) + tl.load(bias + o).to(tl.float32)[None, :]
    for tap in range(9):
        part = tl.load(weights + (tap * inputs + i[:, None]) * outputs + o[None, :])
        taken = _neighbours(tap, image, rows, images, inputs, height, width, stride)
        total = tl.dot(taken, part, total, input_precision=precision)
    return total


@triton.jit
def kernel(  # type: ignore[no-untyped-def]
    out, x, weights1, bias1, weights2, bias2, weights3, bias3, count,
    inputs: tl.constexpr, outputs: tl.constexpr, height: tl.constexpr, width: tl.constexpr, stride: tl.constexpr,
    images: tl.constexpr, read: tl.constexpr, rows: tl.constexpr, shortcut: tl.constexpr, precision: tl.constexpr,
):  # fmt: skip
    """Make the output of some images; `read` and `rows` are at least the pixels of their input and of their output."""
    down: tl.constexpr = (height + stride - 1) // stride
    across: tl.constexpr = (width + stride - 1) // stride
    first = tl.program_id(0) * images
    here = tl.minimum(images, count - first)
    r, i, o = tl.arange(0, read), tl.arange(0, inputs), tl.arange(0, outputs)
    x += first.to(tl.int64) * (height * width * inputs)
    image = tl.load(x + r[:, None] * inputs + i[None, :], mask=(r < here * height * width)[:, None], other=0.0)
    middle = _convolved(image, weights1, bias1, rows, images, inputs, outputs, height, width, stride, precision)
    middle = tl.maximum(middle, 0.0).to(image.dtype)
    total = _convolved(middle, weights2, bias2, rows, images, outputs, outputs, down, across, 1, precision)
    if shortcut:
        taken = _neighbours(4, image, rows, images, inputs, height, width, stride)  # the pixel itself
        part = tl.load(weights3 + i[:, None] * outputs + o[None, :])
        total = tl.dot(taken, part, total, input_precision=precision) + tl.load(bias3 + o).to(tl.float32)[None, :]
    else:
        total += image
    r = tl.arange(0, rows)
    out += first.to(tl.int64) * (down * across * outputs)
    place = out + r[:, None] * outputs + o[None, :]
    tl.store(place, tl.maximum(total, 0.0).to(image.dtype), mask=(r < here * down * across)[:, None])


def sizes(inputs: int, outputs: int, height: int, width: int, stride: int) -> dict[str, int | bool]:
    """Return the constants of a kernel but for the precision: the block's, and how many images and rows a program has.

    Args:
        inputs, outputs: channels, powers of two from 16 on.
        height, width: of the input, pixels.
    """
    images = max(1, ELEMENTS // (height * width * inputs))
    left = -(-height // stride) * -(-width // stride)
    rows = {"read": images * height * width, "rows": images * left}
    rows = {name: max(LEAST, triton.next_power_of_2(number)) for name, number in rows.items()}
    block = {"inputs": inputs, "outputs": outputs, "height": height, "width": width, "stride": stride}
    return {**block, "images": images, **rows, "shortcut": stride > 1 or inputs != outputs}


class Block(nn.Module):
    """See the module."""

    def __init__(self, block: BasicBlock) -> None:
        super().__init__()
        self.inputs, self.outputs, self.stride = (
            block.conv1.in_channels,
            block.conv1.out_channels,
            block.conv1.stride[0],
        )
        convs = [block.conv1, block.conv2]
        if isinstance(block.downsample, nn.Sequential):
            convs.append(block.downsample[0])  # type: ignore[arg-type]
        # [9, inputs, outputs] or [1, inputs, outputs]: the rows of a matrix product are inputs.
        weights = [conv.weight.permute(2, 3, 1, 0).flatten(0, 1).contiguous() for conv in convs]
        self.tensors = nn.ParameterList(
            tensor for pair in zip(weights, [conv.bias for conv in convs], strict=True) for tensor in pair
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x.contiguous(memory_format=torch.channels_last)
        constants = sizes(self.inputs, self.outputs, x.shape[2], x.shape[3], self.stride)
        shape = (len(x), self.outputs, -(-x.shape[2] // self.stride), -(-x.shape[3] // self.stride))
        out = torch.empty(shape, dtype=x.dtype, device=x.device, memory_format=torch.channels_last)
        tensors = [*self.tensors, *self.tensors][:6]  # without a shortcut, the kernel does not read the last two
        precision = "tf32" if torch.backends.cudnn.allow_tf32 else "ieee"  # of fp32, as in the other convolutions
        grid = (triton.cdiv(len(x), constants["images"]),)
        kernel[grid](out, x, *tensors, len(x), **constants, precision=precision, num_warps=WARPS)
        return out


def fused(module: nn.Module) -> nn.Module | None:
    """Return the kernel of a folded `BasicBlock`; None for another module."""
    return Block(module) if isinstance(module, BasicBlock) else None
