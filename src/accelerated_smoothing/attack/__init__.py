"""Attacks by projected gradient descent (PGD) in l2: a check of certificates (FaRS, section 3, Table 2).

An attack that succeeds proves that a classifier is not robust at its size. An attack that fails proves nothing, since
another may succeed. So attacks give an upper bound on robustness, and refute a certified radius that is larger than the
size of a successful attack.

An attack leads away from the predicted class of the image, right or wrong, since certificates are about this class. It
goes through backbone and head together, in pixels of [0, 1] and in float32. A head that is sampled is attacked through
the mean of its softmax over some noisy embeddings. Then the classifier that is certified judges the attacked image: the
backbone runs in float64, and its embedding is rounded as it would be stored (`models/embedding.py`). Without noise, the
head runs in float64, too. With noise, the majority of n draws decides; these are independent of those of the attack.
"""

import hashlib
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from accelerated_smoothing.attack import pgd, target
from accelerated_smoothing.certify.log import read
from accelerated_smoothing.config import Attack, Passes
from accelerated_smoothing.counting import engines
from accelerated_smoothing.data import Images
from accelerated_smoothing.errors import InputError
from accelerated_smoothing.files import sha256, write_text
from accelerated_smoothing.progress import Checkpoint, Resumable, partial

EDGE = 0.999  # share of a certified radius; the rest is room for errors of float32


def run(
    base: Path,
    backbone: Path | None,
    images: Images,
    output: Path,
    *,
    epsilons: list[float],
    settings: Attack,
    sigma: float,
    distribution: str,
    seed: int,
    alpha: float,
    passes: Passes,
    device: torch.device,
    kernels: str | None = None,
    code: str,
    experiment: str = "main",
    certificates: Path | None = None,
) -> None:
    """Attack some images at some sizes, and write a TSV with one row for each image and size.

    Args:
        base: weight file of a head, or of a whole network.
        backbone: weight file of the SLL network whose embeddings the head takes.
        images: of one split, not embedded.
        output: the log; while the run lasts, `<output>.partial.npz` holds what is done. Its rows with epsilon 0 are
            predictions for the images themselves.
        epsilons: l2 sizes, in [0,1] pixels.
        settings: numbers of steps, restarts, noisy copies and draws.
        sigma: scale of the noise on the inputs of the base; 0 is none.
        distribution: of the noise.
        seed: the root seed.
        alpha: probability that a prediction marked as sure is wrong; without noise it is 0.
        passes: how the classifier runs on the draws that decide a prediction.
        device: of the networks.
        kernels: of these passes on a GPU, see `engines.build`.
        code: digest of the code; work of other code is not continued.
        experiment: name of the experiment, for the log.
        certificates: of the same images. Each image is attacked at 0.999 of its certified radius, too, which would
            refute a radius that is a little too large. The column `edge` is 1 in these rows.

    Raises:
        InputError: as `target.load`, or the certificates are of other images.
    """
    attacked = target.build(
        base,
        backbone,
        images,
        sigma=sigma,
        distribution=distribution,
        n=settings.n,
        seed=seed,
        alpha=alpha / settings.restarts,  # the surest of several tries is kept
        passes=passes,
        device=device,
        kernels=kernels,
    )
    sizes = np.tile(sorted({0.0, *epsilons}), (len(images.idx), 1))
    edge = np.zeros(sizes.shape[1], int)
    if certificates:
        sizes = np.column_stack([sizes, EDGE * _radii(certificates, images.idx)])
        edge = np.append(edge, 1)
    identity = {
        "base": sha256(base),
        "backbone": backbone and sha256(backbone),
        "images": hashlib.sha256(images.images.tobytes()).hexdigest(),
        "idx": images.idx.tolist(),
        "epsilons": hashlib.sha256(sizes.tobytes()).hexdigest(),
        "settings": settings.model_dump(mode="json"),
        "sigma": sigma,
        "noise": distribution,
        "seed": seed,
        "alpha": alpha,
        "arithmetic": attacked.arithmetic,
        "code": code,
    }
    kinds = {"predict": int, "sure": bool, "norm": float}
    work: dict[str, np.ndarray] = {name: np.zeros(sizes.shape, kind) for name, kind in kinds.items()}
    checkpoint = Checkpoint(partial(output), identity, list(work))
    done = checkpoint.resume(work)

    def save(done: int) -> None:
        checkpoint.save(work, done)

    batch = max(1, engines.batch(images.images.shape[1:], device) // len(edge))
    with Resumable("attacking", len(images.idx), "images", done, save) as progress:
        for first in range(done, len(images.idx), batch):
            rows = np.arange(first, min(first + batch, len(images.idx)))
            part = images.take(rows)
            work["predict"][rows, 0], work["sure"][rows, 0] = attacked.decide(part.pixels(), part.idx)
            if len(edge) > 1:
                results = pgd.attack(attacked, part, work["predict"][rows, 0], sizes[rows, 1:], settings, seed)
                for values, result in zip(work.values(), results, strict=True):
                    values[rows, 1:] = result
            progress.advance(len(rows))
    log = pd.DataFrame(
        {
            "idx": np.repeat(images.idx, len(edge)),
            "label": np.repeat(images.labels, len(edge)),
            "epsilon": sizes.ravel(),
            "edge": np.tile(edge, len(images.idx)),
            "predict": work["predict"].ravel(),
            "sure": work["sure"].ravel().astype(int),
            "norm": work["norm"].ravel(),
        }
    ).assign(
        experiment=experiment,
        n=settings.n if sigma else 0,
        alpha=alpha if sigma else 0.0,
        sigma=sigma,
        noise=distribution,
        steps=settings.steps,
        restarts=settings.restarts,
        samples=settings.samples if sigma else 0,
        arithmetic=attacked.arithmetic,
    )
    write_text(output, log.to_csv(sep="\t", index=False))
    checkpoint.clear()


def _radii(path: Path, idx: np.ndarray) -> np.ndarray:
    """Return the certified radii [images] of the images idx [images]; 0 on abstention."""
    log = read(path)
    if not np.array_equal(log["idx"], idx):
        raise InputError(f"{path} must be of the images that are attacked, got others; certify with the same --slice")
    return log["radius"].to_numpy()
