"""Counting a classifier's predictions under noise (section V-A).

The noise of image i, draw j depends on its distribution and (seed, purpose, i, j) alone (`noise/`). An engine makes it,
adds it and predicts (`engines/`). Here predictions become counts, and counts a file. `online.py` counts in rounds.
"""

import hashlib
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import ArrayLike

from accelerated_smoothing import models
from accelerated_smoothing.architectures import outputs
from accelerated_smoothing.config import Sampling
from accelerated_smoothing.counting import engines
from accelerated_smoothing.counting.counts import Counts
from accelerated_smoothing.counting.engines import Draws, Engine
from accelerated_smoothing.data import Images
from accelerated_smoothing.files import sha256
from accelerated_smoothing.noise import key as key_of
from accelerated_smoothing.progress import Checkpoint, Resumable, partial


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
        idx: [n] names of the images in the randomness contract; by default 0..n-1.
        purpose: draws of different purposes are independent.
        noise: its distribution.
        checkpoint: where finished work is saved, so that a killed run continues from there.
        show: whether progress is shown.

    Returns:
        counts [n, sizes, classes] int64, and the seconds [n, sizes] that they took: each image's share of its batches.
        Memory does not depend on N.
    """
    sizes = [samples] if isinstance(samples, int) else list(samples)
    names = np.arange(len(images)) if idx is None else np.asarray(idx)
    scales = np.full(len(images), sigma, np.float32)
    draws = Draws(images, names, sizes[-1], scales, key_of(seed, purpose), noise)
    cells = len(images) * len(sizes)  # in this order they cover all draws, image by image
    edges = np.append(np.add.outer(np.arange(len(images)) * sizes[-1], [0, *sizes[:-1]]).ravel(), len(draws))
    work: dict[str, np.ndarray] = {"tally": np.zeros((cells, classes), np.int64), "seconds": np.zeros(cells)}
    done = checkpoint.resume(work) if checkpoint else 0
    tally, seconds = torch.from_numpy(work["tally"]).to(engine.device), work["seconds"]

    def save(done: int) -> None:
        assert checkpoint
        checkpoint.save({"tally": tally.cpu().numpy(), "seconds": seconds}, done)

    with Resumable("counting", len(draws), "draws", done, save if checkpoint else None, show) as progress:
        for drawn, shares, took in draw(engine, draws, np.arange(cells), edges, tally, done):
            seconds[drawn] += took
            progress.advance(int(shares.sum()))
    counts = tally.cpu().numpy().reshape(len(images), len(sizes), classes).cumsum(1)
    return counts, seconds.reshape(len(images), len(sizes)).cumsum(1)


def draw(
    engine: Engine, draws: Draws, cells: np.ndarray, edges: np.ndarray, tally: torch.Tensor, start: int = 0
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Predict draws, add the predictions to their cells, and yield after each chunk which cells grew.

    A cell holds draws of one image between two nested sizes.

    Args:
        engine: the classifier.
        draws: what it predicts.
        cells: [k] rows of `tally`, in the order of their draws.
        edges: [k + 1] ascending positions in the draws; cell k has those from edges[k] to edges[k + 1] - 1.
        tally: [cells, classes] int64 on the engine's device; it is added to.
        start: position of the first draw to predict.

    Yields:
        Some of the cells, and how many draws and seconds each of them took: a cell has its share of its batches.
    """
    classes, begun = tally.shape[1], time.perf_counter()
    for predicted in engine.predictions(draws, start):
        stop = start + len(predicted)
        first, last = np.searchsorted(edges, start, "right") - 1, np.searchsorted(edges, stop)
        shares = np.diff(edges[first : last + 1].clip(start, stop))
        rows, each = (torch.from_numpy(array).to(engine.device) for array in (cells[first:last] * classes, shares))
        place = rows.repeat_interleave(each, output_size=len(predicted))  # there, since draws are many and cells few
        tally.view(-1).scatter_add_(0, place.add_(predicted), torch.ones_like(place))
        if engine.device.type == "cuda":
            torch.cuda.synchronize()  # once in many batches, so that the clock is right
        now = time.perf_counter()
        yield cells[first:last], shares, (now - begun) * shares / len(predicted)
        start, begun = stop, now


@dataclass(frozen=True)
class Chosen:
    """A noise level for each image, and how it was chosen; `sigmas.chosen` reads it.

    Attributes:
        sigmas: [images] scale of each image's noise.
        choice: name of the way and its number of steps or samples, such as "ascent10".
        file: SHA-256 of the file that holds the sigmas.
        passes: of the base model, which the choice of one image's sigma took.
    """

    sigmas: np.ndarray
    choice: str
    file: str
    passes: int


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
    kernels: str | None = None,
    code: str,
    chosen: Chosen | None = None,
) -> None:
    """Count a base classifier's predictions for some images of a split, and write them to `output`.

    Args:
        base: weight file of f.
        images: of one split.
        output: the counts; while the run lasts, `<output>.partial.npz` holds what is done.
        sigma: the scale of the noise, in [0,1] pixels; with `chosen`, where the choice started.
        distribution: of the noise.
        settings: sizes, precision and batch.
        seed: the root seed.
        purpose: draws of different purposes are independent.
        kernels: of blocks on a GPU, see `engines.build`.
        code: digest of the code; work of other code is not continued.
        chosen: the scale of each image's noise.

    Raises:
        InputError: f was trained for another number of classes or another data set, or the device lacks the precision.
    """
    model, about = models.load(base, "base", images.meta)
    engine = engines.build(
        model,
        images.images.shape[1:],
        device=device,
        precision=settings.precision,
        batch_size=settings.batch_size,
        draws=len(images.idx) * settings.sizes[-1],
        kernels=kernels,
    )
    # Rounded to float32 as in the noise, so that the radius uses the sigma that was applied.
    scales = np.broadcast_to(chosen.sigmas if chosen else sigma, len(images.idx)).astype(np.float32).astype(float)
    meta = {
        "kind": "counts",
        "sigma": sigma,
        "noise": distribution,
        "choice": chosen and chosen.choice,
        "choice_passes": chosen.passes if chosen else 0,
        "sigmas": chosen and chosen.file,
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
        "sizes": settings.counted(),
        "sigmas": scales.tolist(),
        "build": engine.build,
        "code": code,
    }
    checkpoint = Checkpoint(partial(output), identity, ["tally", "seconds"])
    pixels = images.pixels()
    # Compiling and other work that a process does once is not counted as an image's time.
    engine.logits(torch.from_numpy(pixels[:1]))
    engines.standard(images.idx[:1], 1, pixels.shape[1:], key_of(seed, purpose), distribution, device)
    counts, seconds = count_predictions(
        engine,
        pixels,
        scales,
        settings.counted(),
        seed,
        classes=outputs(about["arch"], images.meta["classes"]),
        idx=images.idx,
        purpose=purpose,
        noise=distribution,
        checkpoint=checkpoint,
        show=True,
    )
    Counts(images.idx, images.labels, np.array(settings.counted()), counts, seconds, meta, scales).write(output)
    checkpoint.clear()
