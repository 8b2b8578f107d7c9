"""Class counts under noise, as files: what `sampling.py` writes and everything after it reads."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from accelerated_smoothing.errors import InputError
from accelerated_smoothing.files import read_arrays, write_arrays

ARRAYS = ("idx", "labels", "sizes", "counts", "seconds", "sigmas")


class Tallies(Protocol):
    """Counts of some images at nested sample sizes, stored (`Counts`) or made when asked for (`online.Online`)."""

    @property
    def sizes(self) -> np.ndarray:
        """The [sizes] ascending numbers of draws."""

    def tally(self, rows: np.ndarray, position: int) -> np.ndarray:
        """Return the counts [rows, classes] among the first sizes[position] draws of some images."""

    def seconds_of(self, rows: np.ndarray, position: int) -> np.ndarray:
        """Return the time [rows] that these draws took."""


@dataclass(frozen=True)
class Counts:
    """Class counts of some images of one split at nested sample sizes; they are `Tallies`.

    Attributes:
        idx: [images] positions in the split.
        labels: [images] true classes.
        sizes: [sizes] ascending numbers of draws.
        counts: [images, sizes, classes] predictions per class among the first sizes[s] draws.
        seconds: [images, sizes] time that these draws took.
        meta: sigma, noise, seed, purpose, split, base (SHA-256 of the weights), arithmetic, ...; if a sigma was chosen
            for each image, `choice` names the way, and `choice_passes` is how many passes of the base model it took.
        sigmas: [images] scale of each image's noise; by default meta's sigma.
    """

    idx: np.ndarray
    labels: np.ndarray
    sizes: np.ndarray
    counts: np.ndarray
    seconds: np.ndarray
    meta: dict[str, Any]
    sigmas: np.ndarray = field(default_factory=lambda: np.empty(0))

    def __post_init__(self) -> None:
        if not len(self.sigmas):
            object.__setattr__(self, "sigmas", np.full(len(self.idx), self.sigma))

    @property
    def sigma(self) -> float:
        return self.meta["sigma"]

    def at(self, n: int) -> np.ndarray:
        """Return the counts [images, classes] among the first n draws.

        Raises:
            InputError: no counts were kept at n.
        """
        return self.counts[:, self._position(n)]

    def seconds_at(self, n: int) -> np.ndarray:
        """Return the time [images] that the first n draws took."""
        return self.seconds[:, self._position(n)]

    def take(self, rows: np.ndarray) -> "Counts":
        """Return the counts of the images in these rows."""
        taken = {name: getattr(self, name)[rows] for name in ARRAYS if name != "sizes"}
        return Counts(sizes=self.sizes, meta=self.meta, **taken)

    def tally(self, rows: np.ndarray, position: int) -> np.ndarray:
        """Return the counts [rows, classes] among the first sizes[position] draws of some images."""
        return self.counts[rows, position]

    def seconds_of(self, rows: np.ndarray, position: int) -> np.ndarray:
        """Return the time [rows] that these draws took."""
        return self.seconds[rows, position]

    def _position(self, n: int) -> int:
        if n not in self.sizes:
            raise InputError(
                f"n must be one of {self.sizes.tolist()}, the counted sizes, got {n}; add it to sampling.sizes"
            )
        return int(np.flatnonzero(self.sizes == n)[0])

    def write(self, path: Path) -> None:
        """Write the counts."""
        write_arrays(path, {name: getattr(self, name) for name in ARRAYS}, self.meta)


def read(path: Path) -> Counts:
    """Read counts.

    Raises:
        InputError: the file is missing, truncated or of another kind, or counts do not add up to their sample size.
    """
    arrays, meta = read_arrays(path, ARRAYS, "counts")
    if not (arrays["counts"].sum(axis=2) == arrays["sizes"]).all() or (arrays["counts"] < 0).any():
        raise InputError(
            f"{path}: counts must add up to their sample size, got others; delete the file and count again"
        )
    return Counts(**arrays, meta=meta)


def simulated(p: np.ndarray, sizes: np.ndarray, random: np.random.Generator, meta: dict[str, Any]) -> Counts:
    """Return counts of images whose class 0 has probability p [images], as if they had been drawn; class 1 is the rest.

    Args:
        p: [images] probabilities.
        sizes: ascending numbers of draws.
        random: draws them.
        meta: description of the counts.
    """
    new = np.diff(sizes, prepend=0)
    k = random.binomial(new, p[:, None]).cumsum(axis=1)
    images, nothing = np.arange(len(p)), np.zeros((len(p), len(sizes)))
    return Counts(images, np.zeros_like(images), sizes, np.stack([k, sizes - k], axis=2), nothing, meta)


def gather(parts: Sequence[Counts]) -> Counts:
    """Join the shards of one split.

    Raises:
        InputError: they were not counted in the same way, or share an image.
    """
    for part in parts[1:]:
        for key in sorted(parts[0].meta.keys() | part.meta.keys()):
            if parts[0].meta.get(key) != part.meta.get(key):
                raise InputError(
                    f"shards must agree in {key}, got {parts[0].meta.get(key)} and {part.meta.get(key)}; count again"
                )
        if not np.array_equal(part.sizes, parts[0].sizes):
            raise InputError(
                f"shards must agree in sizes, got {parts[0].sizes.tolist()} and {part.sizes.tolist()}; count again"
            )
    joined = {name: np.concatenate([getattr(part, name) for part in parts]) for name in ARRAYS if name != "sizes"}
    if len(np.unique(joined["idx"])) < len(joined["idx"]):
        raise InputError("shards must not overlap, got an image in two of them; count again")
    order = np.argsort(joined["idx"])
    return Counts(sizes=parts[0].sizes, meta=parts[0].meta, **{name: array[order] for name, array in joined.items()})
