"""Engines: from noise to predicted classes, as fast as a kind of device allows.

Each engine is one file. `openvino.py` is for CPUs. `pytorch.py` is for GPUs, and is the reference on a CPU. With any
engine, an image's predictions depend on the randomness contract and on the arithmetic alone.
"""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Protocol

import numpy as np
import torch
from torch import nn

from accelerated_smoothing import noise, registry
from accelerated_smoothing.errors import InputError

sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]  # else OpenVINO reports each import to its makers

# Of one batch: on a CPU what its cache holds, on a GPU what keeps it busy. There 16 channels of as many pixels take
# 0.5 GB in fp32, and 64 channels, as in resnet18, 2 GB.
PIXELS = {"cpu": 2**15, "cuda": 2**23}
COPIES = 2**16  # in one batch at most: embeddings and small images are too small to fill it with pixels
CHANNELS = 16
PORTABLE = "-avx2"  # end of the name of an arithmetic with the same bits on every x86-64 processor with AVX2


@dataclass(frozen=True)
class Draws:
    """The noisy copies to predict: `samples` of each image, numbered image by image.

    Copy r is draw first[i] + r % samples of image i = r // samples.

    Attributes:
        images: [n, *shape] float32 in [0, 1].
        names: [n] of the images in the randomness contract.
        samples: draws of each image.
        scales: [n] float32 of the noise of each image: sigma, lambda or b.
        key: [2] of the noise, from `noise.key`.
        noise: the distribution's name.
        first: [n] int64 number of the first draw of each image, or one for all.
    """

    images: np.ndarray
    names: np.ndarray
    samples: int
    scales: np.ndarray
    key: np.ndarray
    noise: str = "gaussian"
    first: np.ndarray | int = 0

    def __post_init__(self) -> None:
        each = (len(self.images),)
        for name, shapes in (("names", [each]), ("scales", [each]), ("first", [(), each])):
            if (shape := np.shape(getattr(self, name))) not in shapes:
                raise ValueError(f"{name} must have shape {each}, one for each image, got {shape}")
        end, last = int(np.max(self.first, initial=0)) + self.samples, int(self.names.max(initial=0))
        if max(end, last + 1) > noise.LIMIT or min(np.min(self.first, initial=0), self.names.min(initial=0)) < 0:
            raise ValueError(f"draws and names of images must be in [0, {noise.LIMIT}), got others")
        if self.noise not in registry.names("noise.distributions"):
            raise ValueError(
                f"noise must be one of {', '.join(registry.names('noise.distributions'))}, got {self.noise!r}"
            )

    def __len__(self) -> int:
        return len(self.images) * self.samples

    @property
    def firsts(self) -> np.ndarray:
        """The number [n] int64 of the first draw of each image."""
        return np.full(len(self.images), self.first, np.int64)


class Engine(Protocol):
    """A classifier in one arithmetic on one device.

    Attributes:
        device: where the predictions are.
        arithmetic: device kind, library, precision and folding as one word; on a GPU also the kernels of blocks, if
            they are not the library's own, and the batch size, since kernels are chosen by shape. It ends with
            `PORTABLE` if every processor makes the same bits.
        build: the library's version, and the processor where it may change the last bits.
    """

    device: torch.device
    arithmetic: str
    build: str

    def predictions(self, draws: Draws, start: int = 0) -> Iterator[torch.Tensor]:
        """Yield the predicted classes [k] int64 of draws start, start + 1, ..., some at a time.

        A tensor is valid until the next one is yielded.
        """

    def logits(self, images: torch.Tensor) -> torch.Tensor:
        """Return the logits [n, classes] float32, on the CPU, of images [n, *shape] float32 in [0, 1]."""


def batch(images: Sequence[int], device: torch.device, batch_size: int | None = None, draws: int | None = None) -> int:
    """Return the number of noisy copies in one forward pass.

    Args:
        images: the shape [channels, height, width] of an image.
        batch_size: the number that the user asks for; None for what suits the device.
        draws: how many are predicted in all, if known; a CPU's batches are then of even sizes.
    """
    # An embedding is one pixel of many features, where a network on images has some channels a pixel.
    pixels = max(int(np.prod(images[1:])), images[0] // CHANNELS)
    most = batch_size or max(1, min(COPIES, PIXELS[device.type] // pixels))
    if device.type == "cuda" or draws is None:  # on a GPU the batch is part of the arithmetic, however many draws
        return most
    if batch_size:
        return min(most, draws)
    streams = torch.get_num_threads()
    rounds = -(-draws // (streams * most))
    return -(-draws // (streams * rounds))


def standard(
    names: np.ndarray, samples: int, image: Sequence[int], key: np.ndarray, noise: str, device: torch.device
) -> torch.Tensor:
    """Return the noise itself at scale 1, [n, samples, *image] float32 on the device.

    Args:
        names: [n] of the images in the randomness contract.
        samples: draws of each.
        image: the shape [channels, height, width] of an image.
        key: [2] of the noise, from `noise.key`.
        noise: the distribution's name.
    """
    from accelerated_smoothing.counting.engines import pytorch

    nothing = np.zeros((len(names), *image), np.float32)
    draws = Draws(nothing, names, samples, np.ones(len(names), np.float32), key, noise)
    return pytorch.noisy(draws, device).unflatten(0, (len(names), samples))


def build(
    model: nn.Sequential,
    images: Sequence[int],
    *,
    device: torch.device,
    precision: str = "fp32",
    batch_size: int | None = None,
    draws: int | None = None,
    kernels: str | None = None,
) -> Engine:
    """Return the engine for a device: OpenVINO on a CPU, with as many threads as torch has, PyTorch on a GPU.

    Where OpenVINO is not installed, PyTorch runs on the CPU, too, more slowly.

    Args:
        model: the classifier, in evaluation mode; it stays as it is.
        images, batch_size, draws: as for `batch`.
        precision: "fp32", "bf16", or on a GPU "tf32": float32 whose convolutions multiply 11 significant bits.
        kernels: name of a module in `counting/kernels/`, for the blocks that it replaces on a GPU; None for PyTorch's.

    Raises:
        InputError: the device lacks the precision.
    """
    if device.type == "cpu" and precision == "tf32":
        raise InputError("precision must be 'fp32' or 'bf16' on a CPU, got 'tf32'")
    if device.type == "cpu" and find_spec("openvino"):
        from accelerated_smoothing.counting.engines.openvino import OpenVino

        even, streams = batch(images, device, batch_size, draws), torch.get_num_threads()
        return OpenVino(model, images, batch=even, streams=streams, precision=precision)
    modern = device.type == "cpu" or precision == "fp32" or torch.cuda.is_bf16_supported(including_emulation=False)
    if not modern:  # the generation of GPUs that brought bf16 brought TF32
        raise InputError(f"precision must be 'fp32' on this GPU, got {precision!r}")
    from accelerated_smoothing.counting.engines.pytorch import Pytorch

    # Its bits may depend on the size of a batch, so that does not depend on the number of draws.
    own = kernels if device.type == "cuda" else None
    size = batch(images, device, batch_size)
    return Pytorch(model, images, batch=size, device=device, precision=precision, kernels=own)
