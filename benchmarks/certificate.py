"""Seconds of one certificate against N: Cohen et al.'s CERTIFY and Accelerated Smoothing, as Table II has them."""

import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from accelerated_smoothing import models
from accelerated_smoothing.certify import timing
from accelerated_smoothing.config import Sampling
from accelerated_smoothing.data import Images
from benchmarks import CLASSES, IMAGE, NETWORKS, Row, network
from benchmarks.counting import precisions

BASE, SIGMA, REPEATS = "resnet110", 0.25, 3


def measure(device: torch.device) -> list[Row]:
    """The verb `time`, with random weights; N = 100,000 is timed once, what is less `REPEATS` times."""
    precision = precisions(device)[-1]
    described = {"classes": CLASSES, "mean": [0.5] * 3, "std": [0.25] * 3, "sigma": SIGMA}
    pixels = np.random.default_rng(0).integers(0, 256, (1, *IMAGE), dtype=np.uint8)
    images = Images(np.arange(1), pixels, np.zeros(1, np.int64), {"white": 255})
    with tempfile.TemporaryDirectory() as folder:
        base, *surrogates = (Path(folder) / f"{name}.safetensors" for name in ("base", *NETWORKS))
        models.save(base, network(BASE), {"kind": "base", "arch": BASE, **described})
        for path, arch in zip(surrogates, NETWORKS, strict=True):
            models.save(path, network(arch), {"kind": "surrogate", "arch": arch, **described})
        taken = []
        for sizes, repeats in (([100, 1_000, 10_000], REPEATS), ([100_000], 1)):
            output = Path(folder) / "timing.tsv"
            timing.measure(
                base, surrogates, images, output, sampled=Sampling(sizes=sizes, precision=precision), sigma=SIGMA,
                distribution="gaussian", n0=100, alpha=0.001, seed=0, repeats=repeats, device=device,
            )  # fmt: skip
            taken.append(pd.read_csv(output, sep="\t"))
    rows = []
    for n, timings in pd.concat(taken).groupby("n"):
        seconds = {str(method): part["seconds"] for method, part in timings.groupby("method", sort=False)}
        for method, values in seconds.items():
            subject, median = f"{BASE} sampled in {precision}, N = {n}", values.median()
            spread = (values.min(), values.max(), len(values))
            ratio = seconds["cohen"].median() / median
            rows.append(Row("certificate", subject, method, median, "s", *spread, ratio, "speed of cohen"))
    return rows
