"""Engines: from noise to predicted classes, as fast as a kind of device allows.

One interface, one file a way. `pytorch.py` runs on every device that PyTorch knows: on a GPU it is the engine, on a CPU
the reference; `openvino.py` is the CPU's. Whatever the engine, an image's predictions depend on the randomness contract
and on the arithmetic alone.
"""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import nn

from accelerated_smoothing import noise
from accelerated_smoothing.errors import InputError

sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]  # else OpenVINO reports each import to its makers

PIXELS = {"cpu": 2**15, "cuda": 2**20}  # of one batch: on a CPU what its cache holds, on a GPU what keeps it busy
CHANNELS = 16


@dataclass(frozen=True)
class Draws:
    """What is to be predicted: `samples` noisy copies of each image, numbered image by image.

    Attributes:
        images: [n, *shape] float32 in [0, 1].
        names: [n] of the images in the randomness contract.
        samples: draws of each image.
        scales: [n] float32 of the noise, an image's own: sigma, lambda or b.
        key: [2] of the noise, from `noise.key`.
        noise: the distribution, one of `noise.KINDS`.
    """

    images: np.ndarray
    names: np.ndarray
    samples: int
    scales: np.ndarray
    key: np.ndarray
    noise: str = "gaussian"

    def __post_init__(self) -> None:
        if max(self.samples, int(self.names.max(initial=0)) + 1) > noise.LIMIT or self.names.min(initial=0) < 0:
            raise ValueError(f"draws and names of images must lie below {noise.LIMIT}")
        if self.scales.shape != (len(self.images),):
            raise ValueError(f"there are {len(self.images)} images and scales of shape {self.scales.shape}")
        if self.noise not in noise.KINDS:
            raise ValueError(f"noise is {self.noise!r}, and none of {', '.join(noise.KINDS)}")

    def __len__(self) -> int:
        return len(self.images) * self.samples


class Engine(Protocol):
    """A classifier in one arithmetic on one device.

    Attributes:
        device: where predictions are left.
        arithmetic: device kind, library, precision and folding as one word; on a GPU the batch size, too, since it
            chooses kernels by the shape.
        build: versions and the processor, which may change the last bits of an arithmetic.
    """

    device: torch.device
    arithmetic: str
    build: str

    def predictions(self, draws: Draws, start: int = 0) -> Iterator[torch.Tensor]:
        """Yield the predicted classes [k] int64 of draws start, start + 1, ..., some at a time.

        What is yielded lasts until the next step, and an engine takes one such walk at a time.
        """

    def logits(self, images: torch.Tensor) -> torch.Tensor:
        """The logits [n, classes] float32, on the CPU, of images [n, *shape] float32 in [0, 1]."""


def batch(images: Sequence[int], device: torch.device, batch_size: int | None = None, draws: int | None = None) -> int:
    """Noisy copies in one forward pass.

    Args:
        images: the shape [channels, height, width] of an image.
        batch_size: what is asked for, instead of what suits the device.
        draws: how many will be predicted at once, if that is known: a CPU's batches are then cut evenly.
    """
    # An embedding is one pixel of many features, where a network on images has some channels a pixel.
    pixels = max(int(np.prod(images[1:])), images[0] // CHANNELS)
    most = batch_size or max(1, PIXELS[device.type] // pixels)
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
    """The noise itself, at scale 1: [n, samples, *image] float32 on the device, for the images of these names.

    Args:
        names: [n] of the images in the randomness contract.
        samples: draws of each.
        image: the shape [channels, height, width] of an image.
        key: [2] of the noise, from `noise.key`.
        noise: the distribution, one of `noise.KINDS`.
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
) -> Engine:
    """The engine for a device: OpenVINO on a CPU, with as many threads as torch has, PyTorch on a GPU.

    Args:
        model: the classifier, in evaluation mode; it is left as it is.
        images, batch_size, draws: as for `batch`.
        precision: "fp32" or "bf16".

    Raises:
        InputError: this device has no such precision.
    """
    size = batch(images, device, batch_size, draws)
    if device.type == "cuda":
        if precision == "bf16" and not torch.cuda.is_bf16_supported(including_emulation=False):
            raise InputError("precision: found 'bf16', which this GPU has not; 'fp32' would do")
        from accelerated_smoothing.counting.engines.pytorch import Pytorch

        return Pytorch(model, images, batch=size, device=device, precision=precision)
    from accelerated_smoothing.counting.engines.openvino import OpenVino

    return OpenVino(model, images, batch=size, streams=torch.get_num_threads(), precision=precision)
