"""The cost of bf16: how often it predicts another class than fp32, and the certified accuracies of both."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from accelerated_smoothing import data, models
from accelerated_smoothing.certify import statistics
from accelerated_smoothing.config import Base
from accelerated_smoothing.config.slices import SPLITS
from accelerated_smoothing.counting import engines, sampling
from accelerated_smoothing.counting.engines.pytorch import Pytorch
from accelerated_smoothing.noise import key
from accelerated_smoothing.noise.distributions.gaussian import radius as l2_radius
from accelerated_smoothing.training import base as training
from benchmarks import Row, Size
from benchmarks.counting import precisions

SIGMA, ALPHA, N0 = 0.25, 0.001, 100
AGREEMENT = 40  # draws per image whose classes are compared, few since PyTorch's eager mode is slow on a CPU
RADII = (0.0, 0.25, 0.5, 0.75)
REFERENCE = "engine, fp32"


def digits(folder: Path, epochs: int) -> tuple[Path, Path]:
    """Train a ResNet-20 on scikit-learn's digits, on the CPU. Return its weights and the images to certify."""
    files = {split: folder / f"{split}.npz" for split in SPLITS}
    data.prepare("digits", folder, 8, files)
    step_size = round(0.4 * epochs)
    settings = Base(arch="resnet20", epochs=epochs, batch_size=64, lr=0.05, step_size=step_size, crop=1, flip=False)
    weights = folder / "base.safetensors"
    images = {split: data.read(path) for split, path in files.items()}
    cpu = torch.device("cpu")
    training.train(images["train"], images["test"], weights, "gaussian", settings, SIGMA, "gaussian", 0, cpu, code="")
    return weights, files["test"]


def measure(
    device: torch.device, size: Size, base: Path | None = None, images: Path | None = None, part: str = ":"
) -> Iterator[Row]:
    """Yield the comparison of precisions on trained weights.

    Args:
        device: on which the network runs.
        size: `draws` is N of each image.
        base: weights of f, trained with noise of `SIGMA`. None trains on digits, and certifies some of them.
        images: a split of the data set of `base`.
        part: of these images, as a Python slice.
    """
    with tempfile.TemporaryDirectory() as folder:
        if base is None or images is None:
            base, images = digits(Path(folder), size.epochs)
            part = f":{size.images}"
        model, description = models.load(base, "base")
        certified = data.read(images, part)
    n, pixels, shape = size.draws, certified.pixels(), certified.images.shape[1:]
    subject = f"{description['arch']}, {description['dataset']}, {len(pixels)} images, sigma {SIGMA}, N = {n}"
    supported = precisions(device)
    by_precision = {p: engines.build(model, shape, device=device, precision=p) for p in supported}
    scales = np.full(len(pixels), SIGMA, np.float32)
    draws = engines.Draws(pixels, certified.idx, min(n, AGREEMENT), scales, key(0, "agreement"))

    ways: dict[str, engines.Engine] = {f"engine, {p}": engine for p, engine in by_precision.items()}
    for p in supported:
        ways[f"PyTorch, eager, {p}"] = Pytorch(model, shape, batch=64, device=device, precision=p)
    predictions = {
        way: np.concatenate([batch.cpu().numpy().copy() for batch in engine.predictions(draws)])
        for way, engine in ways.items()
    }
    for way, predicted in predictions.items():
        if way != REFERENCE:
            share = 100 * float((predicted != predictions[REFERENCE]).mean())
            yield Row("disagreement", subject, way, share, f"% of {len(draws)} argmaxes", against=REFERENCE)
    for precision, engine in by_precision.items():
        counts = {
            purpose: sampling.count_predictions(
                engine, pixels, SIGMA, samples, 0, classes=description["classes"], idx=certified.idx, purpose=purpose
            )[0][:, 0]
            for purpose, samples in (("selection", N0), ("estimation", n))
        }
        top = counts["selection"].argmax(1)
        p_lower = statistics.lower_bound(counts["estimation"][np.arange(len(top)), top], n, ALPHA)
        correct = (top == certified.labels) & (p_lower > 0.5)
        radius = np.where(correct, l2_radius(p_lower, SIGMA), 0.0)
        for r in RADII:
            share = 100 * float((correct & (radius >= r)).mean())
            yield Row("certified accuracy", subject, f"engine, {precision}, r = {r}", share, "%")
        yield Row("average certified radius", subject, f"engine, {precision}", float(radius.mean()), "pixels")
