"""Counting a classifier's predictions under Gaussian noise: the hot path, and the only one (section V-A).

The noise of image i, draw j depends on (seed, purpose, i, j) alone, for a given kind of device. It comes in blocks of
`BLOCK` draws. On a CPU a block is a stretch of the counter-based Philox generator, keyed by (seed, purpose) and placed
by (image, block), so no two blocks overlap; on a GPU it is a stream of the device's generator, seeded by a hash of the
four.
"""

import hashlib
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike

from accelerated_smoothing import models
from accelerated_smoothing.counts import Counts
from accelerated_smoothing.data import Images
from accelerated_smoothing.files import InputError, read_arrays, sha256, write_arrays
from accelerated_smoothing.progress import Progress

BLOCK = 100  # draws whose noise is made at once; part of the randomness contract, so never to be changed
FEWEST_ROWS = 8  # with fewer rows some CPU kernels round differently, and counts would depend on the batch size
SAVE_SECONDS = 30.0

Model = Callable[[torch.Tensor], torch.Tensor]


class Noise:
    """Standard normal draws of one image at a time, by the contract at the top of this file."""

    def __init__(self, seed: int, purpose: str, shape: Sequence[int], device: torch.device) -> None:
        self.seed, self.purpose, self.device = seed, purpose, device
        self.key = np.frombuffer(hashlib.blake2b(f"{seed}/{purpose}".encode(), digest_size=16).digest(), np.uint64)
        self.host = np.empty((BLOCK, *shape), np.float32)
        self.block = (
            torch.from_numpy(self.host) if device.type == "cpu" else torch.empty((BLOCK, *shape), device=device)
        )
        self.at = (-1, -1)

    def draws(self, image: int, start: int, stop: int) -> Iterable[torch.Tensor]:
        """Yield draws start..stop of an image, [k, *shape] at a time, in a buffer that the next step overwrites."""
        while start < stop:
            block = start // BLOCK
            end = min(stop, (block + 1) * BLOCK)
            if (image, block) != self.at:
                self._fill(image, block)
            yield self.block[start - block * BLOCK : end - block * BLOCK]
            start = end

    def _fill(self, image: int, block: int) -> None:
        self.at = (image, block)
        if self.device.type == "cpu":
            counter = np.array([0, 0, block, image], np.uint64)
            np.random.Generator(np.random.Philox(key=self.key, counter=counter)).standard_normal(
                dtype=np.float32, out=self.host
            )
        else:
            digest = hashlib.blake2b(f"{self.seed}/{self.purpose}/{image}/{block}".encode(), digest_size=8).digest()
            generator = torch.Generator(self.device).manual_seed(int.from_bytes(digest, "little"))
            self.block.normal_(generator=generator)


def count_predictions(
    model: Model,
    images: torch.Tensor,
    sigma: float,
    samples: int | Sequence[int],
    seed: int,
    *,
    classes: int,
    idx: ArrayLike | None = None,
    purpose: str = "estimation",
    batch_size: int = 100,
    checkpoint: "Checkpoint | None" = None,
    show: bool = False,
) -> tuple[np.ndarray, np.ndarray]:
    """Count which classes a model predicts for noisy copies of images.

    Args:
        model: maps [b, *shape] float32 to logits [b, classes].
        images: [n, *shape] float32 in [0, 1], on the device that the model runs on.
        sigma: standard deviation of the noise, in the same units.
        samples: number of draws N, or ascending nested numbers of draws, the last being N.
        seed: the root seed.
        classes: number of classes.
        idx: [n] names of the images in the randomness contract; 0..n-1 unless told.
        purpose: draws of different purposes are independent.
        batch_size: noisy copies in one forward pass. On a CPU it changes the speed, not the counts; a GPU chooses its
            kernels by the shape, so there it is part of the arithmetic.
        checkpoint: where finished work is kept, so that a killed run goes on from there.
        show: whether progress is shown.

    Returns:
        counts [n, sizes, classes] int64 and the seconds [n, sizes] that they took. Memory does not depend on N.
    """
    sizes = [samples] if isinstance(samples, int) else list(samples)
    names = np.arange(len(images)) if idx is None else np.asarray(idx)
    device = images.device
    noise = Noise(seed, purpose, images.shape[1:], device)
    batch = torch.zeros((max(min(batch_size, sizes[-1]), FEWEST_ROWS), *images.shape[1:]), device=device)
    fewest = FEWEST_ROWS if device.type == "cpu" else len(batch)
    tally = torch.zeros(classes, dtype=torch.int64, device=device)
    ones = torch.ones(len(batch), dtype=torch.int64, device=device)
    work = checkpoint.load() if checkpoint else None
    work = work or Work.start(len(images), len(sizes), classes)

    with torch.inference_mode(), Progress("counting", len(images) * sizes[-1], "draws", show) as progress:
        progress.resume(work.image * sizes[-1] + work.draws)
        for row in range(work.image, len(images)):
            tally.copy_(torch.from_numpy(work.tally))
            begun = time.perf_counter() - work.elapsed
            for position, size in enumerate(sizes):
                while work.draws < size:
                    stop = min(work.draws + batch_size, size)
                    filled = 0
                    for draws in noise.draws(int(names[row]), work.draws, stop):
                        torch.add(images[row], draws, alpha=sigma, out=batch[filled : filled + len(draws)])
                        filled += len(draws)
                    predictions = model(batch[: max(filled, fewest)])[:filled].argmax(1)
                    tally.scatter_add_(0, predictions, ones[:filled])
                    progress.update(stop - work.draws)
                    work.draws = stop
                    if checkpoint and checkpoint.due():
                        work.tally, work.elapsed = tally.cpu().numpy().copy(), time.perf_counter() - begun
                        checkpoint.save(work)
                if work.counts[row, position].sum() == 0:  # a resumed image may have passed this size already
                    work.counts[row, position] = tally.cpu().numpy()
                    work.seconds[row, position] = time.perf_counter() - begun
            work.image, work.draws, work.elapsed = row + 1, 0, 0.0
            work.tally = np.zeros(classes, np.int64)
    return work.counts, work.seconds


@dataclass
class Work:
    """How far a run has come: whole images, and within the next one the draws so far."""

    counts: np.ndarray
    seconds: np.ndarray
    tally: np.ndarray
    image: int
    draws: int
    elapsed: float

    @classmethod
    def start(cls, images: int, sizes: int, classes: int) -> "Work":
        counts = np.zeros((images, sizes, classes), np.int64)
        return cls(counts, np.zeros((images, sizes)), np.zeros(classes, np.int64), 0, 0, 0.0)


class Checkpoint:
    """A file beside the output that holds finished work while a run lasts.

    Attributes:
        path: the file.
        identity: whatever determines the counts; work of another identity is not gone on with.
    """

    def __init__(self, path: Path, identity: dict[str, Any]) -> None:
        self.path, self.identity = path, identity
        self.saved = time.monotonic()

    def due(self) -> bool:
        return time.monotonic() - self.saved > SAVE_SECONDS

    def load(self) -> Work | None:
        if not self.path.exists():
            return None
        try:
            arrays, meta = read_arrays(self.path, ["counts", "seconds", "tally"], "work")
        except InputError:
            return None
        if meta["identity"] != self.identity:
            return None
        return Work(**arrays, image=meta["image"], draws=meta["draws"], elapsed=meta["elapsed"])

    def save(self, work: Work) -> None:
        arrays = {"counts": work.counts, "seconds": work.seconds, "tally": work.tally}
        progress = {"image": work.image, "draws": work.draws, "elapsed": work.elapsed}
        write_arrays(self.path, arrays, {"kind": "work", "identity": self.identity, **progress})
        self.saved = time.monotonic()

    def clear(self) -> None:
        self.path.unlink(missing_ok=True)


def arithmetic(device: torch.device, batch_size: int) -> str:
    """The arithmetic that counts are made in, as one word: device kind, precision, folding, on a GPU the batch size."""
    return f"{device.type}-fp32-folded" + (f"-batch{batch_size}" if device.type == "cuda" else "")


def prepare(model: torch.nn.Sequential, device: torch.device) -> torch.nn.Sequential:
    """Bring a loaded classifier into the form and the arithmetic that counting uses."""
    if device.type == "cuda":  # TF32 would be another arithmetic, and so would kernels chosen by a race
        torch.backends.cudnn.deterministic = True
        torch.backends.cudnn.benchmark = False
        torch.backends.cuda.matmul.allow_tf32 = False
        torch.backends.cudnn.allow_tf32 = False
    return models.fold(model).to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def count(
    base: Path,
    images: Images,
    output: Path,
    *,
    sigma: float,
    sizes: Sequence[int],
    seed: int,
    purpose: str,
    batch_size: int,
    device: torch.device,
) -> None:
    """Count a base classifier's predictions for some images of a split, and write them to `output`.

    Args:
        base: weight file of f.
        images: of one split.
        output: the counts; while the run lasts, `<output>.partial.npz` holds what is done.

    Raises:
        InputError: f was trained for another number of classes or another kind of image.
    """
    model, description = models.load(base, "base")
    for key in ("dataset", "classes"):
        if description[key] != images.meta[key]:
            raise InputError(f"{base}: made for {key} {description[key]}, the images have {key} {images.meta[key]}")
    meta = {
        "kind": "counts",
        "sigma": sigma,
        "seed": seed,
        "purpose": purpose,
        "dataset": images.meta["dataset"],
        "split": images.meta["split"],
        "classes": images.meta["classes"],
        "base": sha256(base),
        "arithmetic": arithmetic(device, batch_size),
    }
    identity = {
        **meta,
        "idx": images.idx.tolist(),
        "images": hashlib.sha256(images.images.tobytes()).hexdigest(),
        "sizes": list(sizes),
        "torch": torch.__version__,
        "numpy": np.__version__,
    }
    checkpoint = Checkpoint(output.with_name(output.name + ".partial.npz"), identity)
    counts, seconds = count_predictions(
        prepare(model, device),
        torch.from_numpy(images.pixels()).to(device),
        sigma,
        sizes,
        seed,
        classes=images.meta["classes"],
        idx=images.idx,
        purpose=purpose,
        batch_size=batch_size,
        checkpoint=checkpoint,
        show=True,
    )
    Counts(images.idx, images.labels, np.array(sizes), counts, seconds, meta).write(output)
    checkpoint.clear()
