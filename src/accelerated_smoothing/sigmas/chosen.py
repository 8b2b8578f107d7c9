"""Files with a noise level for each image: what `choosing.py` writes, and counting and the audit read."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from accelerated_smoothing import sigmas
from accelerated_smoothing.counting.sampling import Chosen
from accelerated_smoothing.data import Images
from accelerated_smoothing.errors import InputError
from accelerated_smoothing.files import read_arrays, sha256

ARRAYS = ("idx", "at", "sigmas")


@dataclass(frozen=True)
class Sigmas:
    """The sigmas of some images of one split.

    Attributes:
        idx: [images] positions in the split.
        at: [numbers] steps or samples, ascending.
        sigmas: [numbers, images].
        meta: way, its settings, sigma of the base classifier, noise, base (SHA-256 of the weights), split, ...
    """

    idx: np.ndarray
    at: np.ndarray
    sigmas: np.ndarray
    meta: dict[str, Any]

    def check(self, images: dict[str, Any], base: str, sigma: float, distribution: str) -> None:
        """Check that the sigmas were chosen for these images, this base classifier and this noise.

        Raises:
            InputError: they were not; the message names the first difference.
        """
        wanted = {key: images[key] for key in ("dataset", "split")} | {
            "base": base,
            "sigma": sigma,
            "noise": distribution,
        }
        for key, value in wanted.items():
            if self.meta[key] != value:
                raise InputError(f"--sigmas must be chosen for {key} {value}, got {self.meta[key]}; choose them again")

    def of(self, idx: np.ndarray, number: int) -> np.ndarray:
        """Return the sigmas of some images at one number of steps or samples.

        Raises:
            InputError: there are none at this number, or for one of these images.
        """
        if number not in self.at:
            raise InputError(f"--at must be one of {self.at.tolist()}, at which sigmas were chosen, got {number}")
        if missing := set(idx.tolist()) - set(self.idx.tolist()):
            raise InputError(f"--sigmas must hold all images that are counted, got none for image {min(missing)}")
        places = np.searchsorted(self.idx, idx)
        return np.asarray(self.sigmas[self.at.tolist().index(number), places])

    def passes(self, number: int) -> int:
        """Return the passes of the base model that choosing a sigma took, at one number of steps or samples."""
        way = sigmas.way(self.meta["way"])
        settings = way.Settings(**{name: self.meta[name] for name in way.Settings.model_fields})
        return way.passes(settings, [number])


def read(path: Path) -> Sigmas:
    """Read what `choosing.run` wrote.

    Raises:
        InputError: the file is missing, truncated, or of another kind.
    """
    arrays, meta = read_arrays(path, ARRAYS, "sigmas")
    return Sigmas(**arrays, meta=meta)


def choose(path: Path, number: int, images: Images, base: Path, sigma: float, distribution: str) -> Chosen:
    """Read the sigmas of some images for counting.

    Args:
        path: the file.
        number: of steps or samples.
        images: that are to be counted.
        base: weight file of f.
        sigma: of the base classifier.
        distribution: of the noise.

    Raises:
        InputError: the file holds something else, or sigmas for something else.
    """
    stored = read(path)
    stored.check(images.meta, sha256(base), sigma, distribution)
    choice = f"{stored.meta['way']}{number}"
    return Chosen(stored.of(images.idx, number), choice, sha256(path), stored.passes(number))
