"""What bf16 costs: how often it predicts another class than fp32, and the certified accuracies of both."""

from pathlib import Path

import numpy as np
import torch

from accelerated_smoothing import data, models
from accelerated_smoothing.certify import statistics
from accelerated_smoothing.config import Base
from accelerated_smoothing.counting import engines, sampling
from accelerated_smoothing.counting.engines.pytorch import Pytorch
from accelerated_smoothing.noise import key
from accelerated_smoothing.noise.distributions.gaussian import radius as l2_radius
from accelerated_smoothing.training import base as training
from benchmarks import Row
from benchmarks.counting import precisions

SIGMA, ALPHA, N0 = 0.25, 0.001, 100
RADII = (0.0, 0.25, 0.5, 0.75)


def digits(folder: Path) -> tuple[Path, Path]:
    """A ResNet-20 trained on scikit-learn's digits for half a minute, and the images to certify."""
    files = {split: folder / f"{split}.npz" for split in data.SPLITS}
    data.prepare("digits", folder, 8, files)
    settings = Base(arch="resnet20", epochs=20, batch_size=64, lr=0.05, step_size=8, crop=1, flip=False)
    weights = folder / "base.safetensors"
    images = {split: data.read(path) for split, path in files.items()}
    cpu = torch.device("cpu")
    training.train(images["train"], images["test"], weights, "gaussian", settings, SIGMA, "gaussian", 0, cpu)
    return weights, files["test"]


def measure(device: torch.device, base: Path, images: Path, part: str, n: int) -> list[Row]:
    """Compare on trained weights.

    Args:
        base: weights of f, trained with noise of `SIGMA`.
        images: a split of its dataset, of which `part` is certified with N = n.
    """
    model, description = models.load(base, "base")
    taken = data.read(images, part)
    pixels, shape = taken.pixels(), taken.images.shape[1:]
    subject = f"{description['arch']}, {description['dataset']}, {len(pixels)} images, sigma {SIGMA}, N = {n}"
    known = precisions(device)
    made = {p: engines.build(model, shape, device=device, precision=p) for p in known}
    draws = engines.Draws(pixels, taken.idx, min(n, 300), np.full(len(pixels), SIGMA, np.float32), key(0, "agreement"))

    def predictions(engine: engines.Engine) -> np.ndarray:
        return np.concatenate([part.cpu().numpy().copy() for part in engine.predictions(draws)])

    found = {f"engine, {p}": predictions(engine) for p, engine in made.items()}
    found["PyTorch, eager, fp32"] = predictions(Pytorch(model, shape, batch=64, device=device))
    if "bf16" in known:
        found["PyTorch, eager, bf16"] = predictions(Pytorch(model, shape, batch=64, device=device, precision="bf16"))
    reference = found["engine, fp32"]
    rows = []
    for way, predicted in found.items():
        if way != "engine, fp32":
            share = 100 * float((predicted != reference).mean())
            rows.append(Row("disagreement", subject, way, share, f"% of {len(draws)} argmaxes", against="engine, fp32"))
    for precision, engine in made.items():
        counted = {
            purpose: sampling.count_predictions(
                engine, pixels, SIGMA, size, 0, classes=description["classes"], idx=taken.idx, purpose=purpose
            )[0][:, 0]
            for purpose, size in (("selection", N0), ("estimation", n))
        }
        top = counted["selection"].argmax(1)
        p_lower = statistics.lower_bound(counted["estimation"][np.arange(len(top)), top], n, ALPHA)
        right = (top == taken.labels) & (p_lower > 0.5)
        radius = np.where(right, l2_radius(p_lower, SIGMA), 0.0)
        for r in RADII:
            share = 100 * float((right & (radius >= r)).mean())
            rows.append(Row("certified accuracy", subject, f"engine, {precision}, r = {r}", share, "%"))
        rows.append(Row("average certified radius", subject, f"engine, {precision}", float(radius.mean()), "pixels"))
    return rows
