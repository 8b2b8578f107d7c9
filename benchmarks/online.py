"""Passes, seconds and radius of a certificate that draws only what it needs, against Cohen et al.'s CERTIFY with N.

`Smoothed` certifies digits by a ResNet-20 that was trained on them. The ways run in turns. Seconds are wall-clock time
over all images, planning included.
"""

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from accelerated_smoothing import Smoothed, data
from benchmarks import Row, Size
from benchmarks.precision import ALPHA, N0, SIGMA, digits

IMAGES = 100
RADIUS = 0.25  # pixels: the radii are this one, or this one and half of it
SHARES = (0.05, 0.1, 0.2)  # budgets, of N


def measure(device: torch.device, size: Size) -> Iterator[Row]:
    """Yield passes, seconds, average certified radius and certified accuracy of each way, with N = 10 `size.draws`."""
    n = 10 * size.draws
    budgets = [round(share * n) for share in SHARES]
    cohen, ways = f"cohen, N = {n}", dict[str, dict[str, object]]()
    ways[cohen] = {"n": n, "n0": N0}
    ways |= {f"cohen, N = {budget - N0}": {"n": budget - N0, "n0": N0} for budget in budgets if budget > N0}
    ways |= {f"pilot, budget {budget}": {"budget": budget, "most": n} for budget in budgets}
    ways[f"ladder, r = {RADIUS}"] = {"radii": [RADIUS], "most": n}
    ways[f"ladder, r = {RADIUS / 2} and {RADIUS}"] = {"radii": [RADIUS / 2, RADIUS], "most": n}
    with tempfile.TemporaryDirectory() as folder:
        base, split = digits(Path(folder), size.epochs)
        images = data.read(split).spread(IMAGES)
        smoothed = Smoothed(base, SIGMA, device=device.type)
        smoothed.certify(images, n=1, show=False)  # builds the engine
        seconds: dict[str, list[float]] = {way: [] for way in ways}
        tables: dict[str, pd.DataFrame] = {}
        for _ in range(size.repeats):
            for way, options in ways.items():
                start = time.perf_counter()
                tables[way] = smoothed.certify(images, alpha=ALPHA, show=False, **options)  # type: ignore[arg-type]
                seconds[way].append((time.perf_counter() - start) / len(images.idx))
    subject = f"resnet20, digits, {len(images.idx)} images, sigma {SIGMA}"
    passes, times = tables[cohen]["passes"].mean(), float(np.median(seconds[cohen]))
    for way, table in tables.items():
        mean, median = float(table["passes"].mean()), float(np.median(seconds[way]))
        spread = (min(seconds[way]), max(seconds[way]), len(seconds[way]))
        yield Row("online passes", subject, way, mean, "passes per image", ratio=mean / passes, against=cohen)
        yield Row("online time", subject, way, median, "s per image", *spread, median / times, cohen)
        correct = table["correct"] == 1
        share = 100 * float((correct & (table["radius"] >= RADIUS)).mean())
        yield Row("online certified accuracy", subject, f"{way}, at r = {RADIUS}", share, "%")
        if "ladder" not in way:
            radius = float((correct * table["radius"]).mean())
            yield Row("online average certified radius", subject, way, radius, "pixels")
