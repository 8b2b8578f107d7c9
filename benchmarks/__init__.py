"""How fast, in how much memory, at what cost in precision: `make bench`, or `python -m benchmarks`.

Ways of doing the same are timed in one run, in turns, several times over, so that whatever else the machine does falls
on all of them alike; medians are reported with the least and the greatest, and what matters is their ratio.
"""

import os
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass

import numpy as np
import torch

from accelerated_smoothing import models

NETWORKS = ("resnet20", "resnet56", "resnet110")
IMAGE = (3, 32, 32)
CLASSES = 10


@dataclass(frozen=True)
class Row:
    """One line of the report.

    Attributes:
        measure: what was measured, such as "counting".
        subject: on what: a network, mostly.
        way: how it was done.
        value: the median, or the only value.
        unit: of the value.
        low: the least of the repeats.
        high: the greatest.
        repeats: how many there were.
        ratio: of the value to that of `against`.
        against: the way, or the bound, that it is held against.
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


def network(arch: str) -> torch.nn.Sequential:
    """A classifier of 32x32 images with random weights, always the same: speed does not depend on what it learnt."""
    torch.manual_seed(0)
    return models.build(arch, CLASSES, [0.4914, 0.4822, 0.4465], [0.2023, 0.1994, 0.2010]).eval()


def defaults() -> AbstractContextManager[None]:
    """PyTorch's own flags for convolutions on a GPU, for plain ways: our engines set others for the whole process."""
    return torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=False, allow_tf32=True)


def rates(ways: Mapping[str, tuple[Callable[[int], object], int]], repeats: int) -> dict[str, np.ndarray]:
    """Amounts per second [repeats] of each way, taken in turns after one untimed run of each.

    Args:
        ways: name: (work, amount): `work(amount)` is timed.
    """
    for work, amount in ways.values():
        work(amount)
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(repeats):
        for name, (work, amount) in ways.items():
            begun = time.perf_counter()
            work(amount)
            taken[name].append(amount / (time.perf_counter() - begun))
    return {name: np.array(values) for name, values in taken.items()}


def rows(measure: str, subject: str, unit: str, taken: Mapping[str, np.ndarray], against: str) -> list[Row]:
    """Each way's median and spread, and its ratio to the way `against`."""
    base = float(np.median(taken[against]))
    return [
        Row(
            measure,
            subject,
            way,
            float(np.median(values)),
            unit,
            float(values.min()),
            float(values.max()),
            len(values),
            float(np.median(values)) / base,
            against,
        )
        for way, values in taken.items()
    ]


def allocator() -> str:
    """What hands out memory to PyTorch's CPU operators: page faults of large activations are half of a plain loop."""
    tuned = [name for name in os.environ if name.startswith(("MALLOC_", "GLIBC_TUNABLES"))]
    return " ".join([os.environ.get("LD_PRELOAD") or "the C library's", *tuned])
