"""Speed, memory and the cost of lower precision on this machine: `make bench`, or `python -m benchmarks`.

Ways of doing the same work are timed in turns, several times over, so that other load on the machine affects all of
them alike. Each way is reported by its median, minimum and maximum. The ratios matter more than the absolute values.
"""

import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from accelerated_smoothing import models

IMAGE = (3, 32, 32)
CLASSES = 10
GPU = 50  # times the work of a CPU in one timed run on a GPU


@dataclass(frozen=True)
class Size:
    """How much the measures do.

    Attributes:
        name: "full" or "quick".
        networks: that are measured, from small to large. The last is the base classifier of the certificates.
        backbones: of the embeddings, keys of `embedded.HEADS`.
        repeats: timed runs of each way.
        operations: floating-point operations of one timed run of a plain way on a CPU.
        samples: values of N, from small to large.
        counts: class counts whose lower bounds are computed.
        epochs: of the training on digits, for the comparison of precisions.
        images: digits that are certified in that comparison.
        draws: N for each of them.
    """

    name: str
    networks: tuple[str, ...]
    backbones: tuple[str, ...]
    repeats: int
    operations: float
    samples: tuple[int, ...]
    counts: int
    epochs: int
    images: int
    draws: int

    def work(self, device: torch.device) -> float:
        """Return the floating-point operations of one timed run of a plain way on this device."""
        return self.operations * (GPU if device.type == "cuda" else 1)


FULL = Size(
    name="full",
    networks=("resnet20", "resnet56", "resnet110"),
    backbones=("sll8-4", "sll32-2"),
    repeats=3,
    operations=8e10,  # about a second on two cores
    samples=(100, 1_000, 10_000),
    counts=10_000,
    epochs=6,
    images=500,
    draws=1_000,
)
QUICK = Size(
    name="quick",
    networks=("resnet20",),
    backbones=("sll8-4",),
    repeats=2,
    operations=4e10,
    samples=(100, 1_000),
    counts=1_000,
    epochs=2,
    images=100,
    draws=100,
)


@dataclass(frozen=True)
class Row:
    """One line of the output.

    Attributes:
        measure: what is measured, such as "counting".
        subject: the network, mostly.
        way: how the work is done.
        value: the median, or the only value.
        unit: of the value.
        low: the minimum of the repeats.
        high: the maximum of the repeats.
        repeats: the number of repeats.
        ratio: the value divided by that of `against`.
        against: the way, or the bound, with which the value is compared.
    """

    measure: str
    subject: str
    way: str
    value: float
    unit: str
    low: float | None = None
    high: float | None = None
    repeats: int = 1
    ratio: float | None = None
    against: str = ""

    def __str__(self) -> str:
        ratio = "" if self.ratio is None else f"; {self.ratio:.3g} x {self.against}"
        return f"{self.measure} | {self.subject} | {self.way}: {self.value:.4g} {self.unit}{ratio}"


def network(arch: str) -> torch.nn.Sequential:
    """Return a classifier of 32x32 images with random weights, always the same, since they do not affect the speed."""
    torch.manual_seed(0)
    return models.build(arch, CLASSES, [0.4914, 0.4822, 0.4465], [0.2023, 0.1994, 0.2010]).eval()


def flops(arch: str) -> int:
    """Return the floating-point operations of one image's forward pass. A multiply-add is two operations."""
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(arch)(torch.zeros(1, *IMAGE))
    return counter.get_total_flops()


def defaults() -> AbstractContextManager[None]:
    """Return PyTorch's own flags for convolutions on a GPU, for plain ways. Our engines set others for the process."""
    return torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=False, allow_tf32=True)


def rates(ways: Mapping[str, tuple[Callable[[int], object], int]], repeats: int) -> dict[str, np.ndarray]:
    """Return amounts per second [repeats] of each way. The ways run in turns, after one untimed run of each.

    Args:
        ways: name: (work, amount). `work(amount)` is timed.
        repeats: timed runs of each way.
    """
    for work, amount in ways.values():
        work(amount)
    speeds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(repeats):
        for name, (work, amount) in ways.items():
            start = time.perf_counter()
            work(amount)
            speeds[name].append(amount / (time.perf_counter() - start))
    return {name: np.array(values) for name, values in speeds.items()}


def rows(measure: str, subject: str, unit: str, speeds: Mapping[str, np.ndarray], against: str) -> Iterator[Row]:
    """Yield each way's median and spread, and its ratio to the way `against`."""
    base = float(np.median(speeds[against]))
    for way, values in speeds.items():
        median = float(np.median(values))
        spread = (float(values.min()), float(values.max()), len(values))
        yield Row(measure, subject, way, median, unit, *spread, median / base, against)


def allocator() -> str:
    """Return the allocator of PyTorch's CPU operators. Page faults of large activations are half of a plain loop."""
    tuned = [name for name in os.environ if name.startswith(("MALLOC_", "GLIBC_TUNABLES"))]
    return " ".join([os.environ.get("LD_PRELOAD") or "the C library's", *tuned])
