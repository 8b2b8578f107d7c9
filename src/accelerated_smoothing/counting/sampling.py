"""Counting a classifier's predictions under noise: the hot path, and the only one (section V-A).

The noise of image i, draw j depends on its kind and (seed, purpose, i, j) alone (`noise.py`); an engine makes it, adds
it and predicts (`engines/`); here predictions become counts, and counts a file.
"""

import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import ArrayLike

from accelerated_smoothing import models
from accelerated_smoothing.config import Sampling
from accelerated_smoothing.counting import engines
from accelerated_smoothing.counting.counts import Counts
from accelerated_smoothing.counting.engines import Draws, Engine
from accelerated_smoothing.data import Images
from accelerated_smoothing.files import sha256
from accelerated_smoothing.noise import key as key_of
from accelerated_smoothing.progress import Checkpoint, Progress, partial
from accelerated_smoothing.provenance.code import digest


def count_predictions(
    engine: Engine,
    images: np.ndarray,
    sigma: ArrayLike,
    samples: int | Sequence[int],
    seed: int,
    *,
    classes: int,
    idx: ArrayLike | None = None,
    purpose: str = "estimation",
    noise: str = "gaussian",
    checkpoint: Checkpoint | None = None,
    show: bool = False,
) -> tuple[np.ndarray, np.ndarray]:
    """Count which classes a classifier predicts for noisy copies of images.

    Args:
        engine: the classifier, from `engines.build`.
        images: [n, *shape] float32 in [0, 1].
        sigma: scale of the noise, in the same units, or [n] one for each image.
        samples: number of draws N, or ascending nested numbers of draws, the last being N.
        seed: the root seed.
        classes: number of classes.
        idx: [n] names of the images in the randomness contract; 0..n-1 unless told.
        purpose: draws of different purposes are independent.
        noise: its distribution, a module of `distributions/`.
        checkpoint: where finished work is kept, so that a killed run goes on from there.
        show: whether progress is shown.

    Returns:
        counts [n, sizes, classes] int64 and the seconds [n, sizes] that they took, each image's share of its batches.
        Memory does not depend on N.
    """
    sizes = [samples] if isinstance(samples, int) else list(samples)
    names = np.arange(len(images)) if idx is None else np.asarray(idx)
    scales = np.full(len(images), sigma, np.float32)
    draws = Draws(images, names, sizes[-1], scales, key_of(seed, purpose), noise)
    # A cell is what lies between two nested sizes of one image; all cells in a row are all draws in their order.
    cells = len(images) * len(sizes)
    edges = np.append(np.add.outer(np.arange(len(images)) * sizes[-1], [0, *sizes[:-1]]).ravel(), len(draws))
    work = Work(np.zeros((cells, classes), np.int64), np.zeros(cells), 0)
    if checkpoint and (kept := checkpoint.load()):
        work = Work(**kept[0], done=kept[1])
    tally = torch.from_numpy(work.tally).to(engine.device)

    with Progress("counting", len(draws), "draws", show) as progress:
        progress.resume(work.done)
        begun = time.perf_counter()
        for predicted in engine.predictions(draws, work.done):
            stop = work.done + len(predicted)
            first, last = np.searchsorted(edges, work.done, "right") - 1, np.searchsorted(edges, stop)
            shares = np.diff(edges[first : last + 1].clip(work.done, stop))
            cell = torch.from_numpy(np.repeat(np.arange(first, last) * classes, shares)).to(engine.device)
            tally.view(-1).scatter_add_(0, cell.add_(predicted), torch.ones_like(cell))
            if engine.device.type == "cuda":
                torch.cuda.synchronize()  # once in many batches, so that the clock tells the truth
            now = time.perf_counter()
            work.seconds[first:last] += (now - begun) * shares / len(predicted)
            progress.update(stop - work.done)
            work.done, begun = stop, now
            stopping = progress.asked and work.done < len(draws)
            if checkpoint and (stopping or checkpoint.due()):
                checkpoint.save({"tally": tally.cpu().numpy(), "seconds": work.seconds}, work.done)
            if stopping:
                progress.stop()
    counts = tally.cpu().numpy().reshape(len(images), len(sizes), classes).cumsum(1)
    return counts, work.seconds.reshape(len(images), len(sizes)).cumsum(1)


@dataclass
class Work:
    """How far a run has come: counts [cells, classes] and seconds [cells] of the first `done` draws, image by image."""

    tally: np.ndarray
    seconds: np.ndarray
    done: int


def count(
    base: Path,
    images: Images,
    output: Path,
    *,
    sigma: float,
    distribution: str,
    settings: Sampling,
    seed: int,
    purpose: str,
    device: torch.device,
    sigmas: np.ndarray | None = None,
    choice: str | None = None,
    chosen: str | None = None,
) -> None:
    """Count a base classifier's predictions for some images of a split, and write them to `output`.

    Args:
        base: weight file of f.
        images: of one split.
        output: the counts; while the run lasts, `<output>.partial.npz` holds what is done.
        sigma: the scale of the noise, in [0,1] pixels, if no `sigmas` are given; else what they were chosen from.
        distribution: of the noise.
        settings: sizes, precision and batch.
        sigmas: [images] scale of each image's noise.
        choice: what chose them.
        chosen: SHA-256 of their file.

    Raises:
        InputError: f was trained for another number of classes or another kind of image, or the device has no such
            precision.
    """
    model, _ = models.load(base, "base", images.meta)
    engine = engines.build(
        model,
        images.images.shape[1:],
        device=device,
        precision=settings.precision,
        batch_size=settings.batch_size,
        draws=len(images.idx) * settings.sizes[-1],
    )
    # In the precision of the noise, so that a radius is that of what was drawn.
    scales = np.broadcast_to(sigma if sigmas is None else sigmas, len(images.idx)).astype(np.float32).astype(float)
    meta = {
        "kind": "counts",
        "sigma": sigma,
        "noise": distribution,
        "choice": choice,
        "sigmas": chosen,
        "seed": seed,
        "purpose": purpose,
        "dataset": images.meta["dataset"],
        "split": images.meta["split"],
        "classes": images.meta["classes"],
        "base": sha256(base),
        "arithmetic": engine.arithmetic,
    }
    identity = {
        **meta,
        "idx": images.idx.tolist(),
        "images": hashlib.sha256(images.images.tobytes()).hexdigest(),
        "sizes": settings.sizes,
        "sigmas": scales.tolist(),
        "build": engine.build,
        "code": digest("count"),
    }
    checkpoint = Checkpoint(partial(output), identity, ["tally", "seconds"])
    pixels = images.pixels()
    # What a process does once, such as compiling, is no image's time.
    engine.logits(torch.from_numpy(pixels[:1]))
    engines.standard(images.idx[:1], 1, pixels.shape[1:], key_of(seed, purpose), distribution, device)
    counts, seconds = count_predictions(
        engine,
        pixels,
        scales,
        settings.sizes,
        seed,
        classes=images.meta["classes"],
        idx=images.idx,
        purpose=purpose,
        noise=distribution,
        checkpoint=checkpoint,
        show=True,
    )
    Counts(images.idx, images.labels, np.array(settings.sizes), counts, seconds, meta, scales).write(output)
    checkpoint.clear()
