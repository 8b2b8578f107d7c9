"""Counting of many images, block by block: a block's images and counts fit into memory, whatever their number."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from accelerated_smoothing.counting import online
from accelerated_smoothing.counting.counts import Counts
from accelerated_smoothing.counting.engines import Engine
from accelerated_smoothing.counting.online import Online
from accelerated_smoothing.data import Images
from accelerated_smoothing.progress import Checkpoint, partial

MEMORY = 2**28  # bytes of the images and counts of a block
IMAGES = 2000  # of a block, at most
T = TypeVar("T")


class Pixels:
    """Some rows of images as an array [n, *shape] float32 in [0, 1], which are read when one is first used."""

    def __init__(self, images: Images, rows: slice) -> None:
        self.images, self.rows = images, rows
        self.shape = (rows.stop - rows.start, *images.images.shape[1:])

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: np.ndarray) -> np.ndarray:
        return self._read[rows]

    @cached_property
    def _read(self) -> np.ndarray:
        return self.images.pixels(self.rows)


@dataclass(frozen=True)
class Blocks:
    """Images to count on one engine.

    Attributes:
        engine: the classifier.
        classes: number of its classes.
        images: to count.
        meta: of the counts, but for their purpose: sigma, noise, seed, ...
        output: beside which unfinished work is saved; None to save nothing.
        identity: whatever determines the draws, beyond `meta`; work of another identity is not continued.
        show: whether progress is shown.
    """

    engine: Engine
    classes: int
    images: Images
    meta: dict[str, Any]
    output: Path | None
    identity: dict[str, Any]
    show: bool

    def each(
        self,
        purpose: str,
        sizes: list[int],
        work: Callable[[slice, Online], T],
        what: str,
        expected: Callable[[slice], int] = lambda rows: 0,
    ) -> list[T]:
        """Call `work(rows, tallies)` for each block, and return the results. The tallies draw when they are asked.

        When a block is done, or when a signal comes, its counts are saved. A later call repeats the same requests, and
        nothing that was saved is drawn again.

        Args:
            purpose: of the draws.
            sizes: ascending nested numbers of draws.
            work: done once for each block, in order.
            what: text of the progress bar.
            expected: from the rows of a block to its expected draws, for the progress bar; 0: the largest number.
        """
        results, blocks = [], list(self._rows(sizes))
        for number, rows in enumerate(blocks):
            checkpoint = self._checkpoint(purpose, sizes, number, rows)
            pixels: Any = Pixels(self.images, rows)
            some = f"{what}, images {rows.start + 1} to {rows.stop} of {blocks[-1].stop}"
            with Online(
                self.engine,
                pixels,
                self.meta["sigma"],
                sizes,
                self.meta["seed"],
                classes=self.classes,
                idx=self.images.idx[rows],
                purpose=purpose,
                noise=self.meta["noise"],
                checkpoint=checkpoint,
                show=self.show,
                what=some,
                expected=expected(rows) or None,
            ) as tallies:
                results.append(work(rows, tallies))
                tallies.finish()
        return results

    def counts(self, purpose: str, draws: int, what: str) -> Counts:
        """Return the counts [images, 1, classes] of all images after a number of draws each."""

        def work(rows: slice, tallies: Online) -> tuple[np.ndarray, np.ndarray]:
            part = self.stored(rows, tallies, purpose)
            return part.counts.astype(np.min_scalar_type(draws)), part.seconds

        tally, seconds = map(np.concatenate, zip(*self.each(purpose, [draws], work, what), strict=True))
        return self._counts(slice(0, len(tally)), np.array([draws]), tally, seconds, purpose)

    def stored(self, rows: slice, tallies: Online, purpose: str) -> Counts:
        """Return the counts of one block's images after the largest number of draws; make missing draws."""
        every, last = np.arange(len(tallies.passes)), len(tallies.sizes) - 1
        tally, seconds = tallies.tally(every, last)[:, None], tallies.seconds_of(every, last)[:, None]
        return self._counts(rows, tallies.sizes[last:], tally, seconds, purpose)

    def clear(self, purposes: dict[str, list[int]]) -> None:
        """Remove what was saved, given the sizes that were counted for each purpose."""
        for purpose, sizes in purposes.items():
            for number, rows in enumerate(self._rows(sizes)):
                checkpoint = self._checkpoint(purpose, sizes, number, rows)
                if checkpoint:
                    checkpoint.clear()

    def _rows(self, sizes: list[int]) -> Iterator[slice]:
        values, cells = int(np.prod(self.images.images.shape[1:])), len(sizes) * self.classes
        length = int(np.clip(MEMORY // (4 * values + 16 * cells), 1, IMAGES))  # the counts, and a copy to be saved
        for start in range(0, len(self.images.idx), length):
            yield slice(start, min(start + length, len(self.images.idx)))

    def _checkpoint(self, purpose: str, sizes: list[int], number: int, rows: slice) -> Checkpoint | None:
        if self.output is None:
            return None
        path = partial(self.output.with_name(f"{self.output.name}.{purpose}{number}"))
        own = {"purpose": purpose, "sizes": sizes, "rows": [rows.start, rows.stop]}
        return Checkpoint(path, {**self.identity, **self.meta, **own}, online.ARRAYS)

    def _counts(self, rows: slice, sizes: np.ndarray, tally: np.ndarray, seconds: np.ndarray, purpose: str) -> Counts:
        meta = {"kind": "counts", **self.meta, "purpose": purpose}
        idx, labels = self.images.idx[rows], self.images.labels[rows]
        # Rounded to float32 as in the noise, so that the radius uses the sigma that was applied.
        sigmas = np.full(len(idx), self.meta["sigma"], np.float32).astype(float)
        return Counts(idx, labels, sizes, tally, seconds, meta, sigmas)
