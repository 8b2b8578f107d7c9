"""Counting in rounds: only the draws that a certificate asks for.

Draws are those of `sampling.count_predictions`, bit for bit: after any requests, the counts at a nested size are what
it would store there. So a certificate that stops early can be made here, or be replayed from stored counts.
"""

from collections.abc import Sequence
from dataclasses import replace
from types import TracebackType
from typing import Self

import numpy as np
import torch
from numpy.typing import ArrayLike

from accelerated_smoothing.counting import sampling
from accelerated_smoothing.counting.engines import Draws, Engine
from accelerated_smoothing.noise import key as key_of
from accelerated_smoothing.progress import Checkpoint, Resumable

ARRAYS = ("tally", "seconds", "passes")  # of a checkpoint


class Online:
    """Counts of some images at nested sizes, made when they are asked for; they are `counts.Tallies`.

    What is drawn is saved every `progress.SAVE_SECONDS`. Within a `with` block it is also saved at a signal, which then
    ends the work after the current chunk. A caller that was stopped repeats its requests: what was saved is not drawn
    again.

    Attributes:
        sizes: [sizes] ascending numbers of draws.
        passes: [n] draws made so far of each image.
    """

    def __init__(
        self,
        engine: Engine,
        images: np.ndarray,
        sigma: ArrayLike,
        sizes: Sequence[int] | np.ndarray,
        seed: int,
        *,
        classes: int,
        idx: ArrayLike | None = None,
        purpose: str = "estimation",
        noise: str = "gaussian",
        checkpoint: Checkpoint | None = None,
        show: bool = False,
        what: str = "counting as needed",
        expected: int | None = None,
    ) -> None:
        """Prepare counting; nothing is drawn yet.

        Args:
            engine, images, sigma, seed, classes, idx, purpose, noise, show: as for `sampling.count_predictions`. The
                images may also be an object that reads rows of such an array when they are asked for.
            sizes: ascending nested numbers of draws.
            checkpoint: of `ARRAYS`; where finished work is saved, so that a killed run continues from there.
            what: is done, for people.
            expected: draws that will be asked for, for people; by default all.

        Raises:
            ValueError: the sizes do not ascend from 1 or more, the checkpoint is of other arrays, or `Draws` refuses.
        """
        self.engine, self.sizes = engine, np.array(sizes, np.int64)
        if self.sizes.ndim != 1 or not self.sizes.size or (np.diff(self.sizes, prepend=0) <= 0).any():
            raise ValueError(f"sizes must ascend from 1 or more, got {self.sizes.tolist()}")
        if checkpoint and set(checkpoint.names) != set(ARRAYS):
            raise ValueError(f"checkpoint must be of the arrays {', '.join(ARRAYS)}, got {', '.join(checkpoint.names)}")
        names = np.arange(len(images)) if idx is None else np.asarray(idx)
        scales = np.full(len(images), sigma, np.float32)
        self.draws = Draws(images, names, int(self.sizes[-1]), scales, key_of(seed, purpose), noise)
        cells = len(images) * len(self.sizes)
        work = {
            "tally": np.zeros((cells, classes), np.int64),
            "seconds": np.zeros(cells),
            "passes": np.zeros(len(images), np.int64),
        }
        done = checkpoint.resume(work) if checkpoint else 0
        self.counted, self.seconds = torch.from_numpy(work["tally"]).to(engine.device), work["seconds"]
        self.passes = work["passes"]

        def save(done: int) -> None:
            assert checkpoint
            tally = self.counted.cpu().numpy()
            checkpoint.save({"tally": tally, "seconds": self.seconds, "passes": self.passes}, done)

        total = expected or len(self.draws)
        self.progress = Resumable(what, total, "draws", done, save if checkpoint else None, show)

    def __enter__(self) -> Self:
        self.progress.__enter__()
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.progress.__exit__(kind, error, trace)

    def tally(self, rows: np.ndarray, position: int) -> np.ndarray:
        """Return the counts among the first sizes[position] draws of some images, after making the draws that lack.

        Args:
            rows: [k] of the images.
            position: of the size.

        Returns:
            counts [k, classes] int64.

        Raises:
            ValueError: `position` must be a position in `sizes`.
        """
        rows = self._rows(rows, position)
        wanted = np.unique(rows)
        behind = wanted[self.passes[wanted] < self.sizes[position]]
        for begun in np.unique(self.passes[behind]):  # batches mix the images that begin at the same draw
            self._draw(behind[self.passes[behind] == begun], int(begun), position)
        counted = self.counted.unflatten(0, (-1, len(self.sizes)))
        return counted[torch.from_numpy(rows).to(self.engine.device), : position + 1].sum(1).cpu().numpy()

    def seconds_of(self, rows: np.ndarray, position: int) -> np.ndarray:
        """Return the seconds [k] that the first sizes[position] draws of some images took, as far as they are made.

        Raises:
            ValueError: `position` must be a position in `sizes`.
        """
        return self.seconds.reshape(-1, len(self.sizes))[self._rows(rows, position), : position + 1].sum(1)

    def finish(self) -> None:
        """Save what is drawn, and end the work if a signal asked for it after the last draw."""
        self.progress.finish()

    def _rows(self, rows: np.ndarray, position: int) -> np.ndarray:
        if not 0 <= position < len(self.sizes):
            raise ValueError(f"position must be in [0, {len(self.sizes)}), got {position}")
        return np.arange(len(self.passes))[rows]

    def _draw(self, rows: np.ndarray, begun: int, position: int) -> None:
        """Make the draws from number `begun` to the end of a size, of different images."""
        whole, first = self.draws, int(np.searchsorted(self.sizes, begun, "right"))
        ends = self.sizes[first : position + 1] - begun  # the last draw of each cell, counted from `begun`
        samples = int(ends[-1])
        draws = replace(
            whole,
            images=whole.images[rows],
            names=whole.names[rows],
            scales=whole.scales[rows],
            samples=samples,
            first=begun,
        )
        cells = np.add.outer(rows * len(self.sizes), np.arange(first, position + 1)).ravel()
        edges = np.append(np.add.outer(np.arange(len(rows)) * samples, [0, *ends[:-1]]).ravel(), len(draws))
        for drawn, shares, took in sampling.draw(self.engine, draws, cells, edges, self.counted):
            self.seconds[drawn] += took
            np.add.at(self.passes, drawn // len(self.sizes), shares)
            self.progress.advance(int(shares.sum()))
