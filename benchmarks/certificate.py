"""Seconds of one certificate against N: Cohen et al.'s CERTIFY and Accelerated Smoothing, as in Table II."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from accelerated_smoothing import models
from accelerated_smoothing.certify import timing
from accelerated_smoothing.config import Sampling
from accelerated_smoothing.data import Images
from benchmarks import CLASSES, IMAGE, Row, Size, network
from benchmarks.counting import precisions

SIGMA = 0.25


def measure(device: torch.device, size: Size) -> Iterator[Row]:
    """Yield the seconds of each method at each N, measured as by the verb `time`, on networks with random weights.

    The base classifier is the largest network, and each network is a surrogate.
    """
    base_arch, precision = size.networks[-1], precisions(device)[-1]
    description = {"classes": CLASSES, "mean": [0.5] * 3, "std": [0.25] * 3, "sigma": SIGMA}
    pixels = np.random.default_rng(0).integers(0, 256, (1, *IMAGE), dtype=np.uint8)
    images = Images(np.arange(1), pixels, np.zeros(1, np.int64), {"white": 255})
    with tempfile.TemporaryDirectory() as folder:
        base, *surrogates = (Path(folder) / f"{name}.safetensors" for name in ("base", *size.networks))
        models.save(base, network(base_arch), {"kind": "base", "arch": base_arch, **description})
        for path, arch in zip(surrogates, size.networks, strict=True):
            models.save(path, network(arch), {"kind": "surrogate", "arch": arch, **description})
        output = Path(folder) / "timing.tsv"
        timing.measure(
            base, surrogates, images, output, sampled=Sampling(sizes=list(size.samples), precision=precision),
            sigma=SIGMA, distribution="gaussian", n0=100, alpha=0.001, seed=0, repeats=size.repeats, device=device,
        )  # fmt: skip
        timings = pd.read_csv(output, sep="\t")
    for n, of_size in timings.groupby("n"):
        seconds = {str(method): part["seconds"] for method, part in of_size.groupby("method", sort=False)}
        for method, values in seconds.items():
            subject, median = f"{base_arch} sampled in {precision}, N = {n}", values.median()
            spread = (values.min(), values.max(), len(values))
            ratio = seconds["cohen"].median() / median
            yield Row("certificate", subject, method, median, "s", *spread, ratio, "speed of cohen")
