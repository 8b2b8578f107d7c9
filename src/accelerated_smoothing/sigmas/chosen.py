"""Sigmas that inputs have of their own, as files: what `choosing.py` writes, and counting and the audit read."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from accelerated_smoothing.errors import InputError
from accelerated_smoothing.files import read_arrays

ARRAYS = ("idx", "at", "sigmas")


@dataclass(frozen=True)
class Sigmas:
    """What was chosen.

    Attributes:
        idx: [images] positions in the split.
        at: [numbers] steps or samples, ascending.
        sigmas: [numbers, images].
        meta: way, sigma (that of the base classifier), noise, base (SHA-256 of the weights), split, ...
    """

    idx: np.ndarray
    at: np.ndarray
    sigmas: np.ndarray
    meta: dict[str, Any]

    def check(self, images: dict[str, Any], base: str, sigma: float, distribution: str) -> None:
        """Refuse sigmas that were chosen for something else.

        Raises:
            InputError: naming the first difference.
        """
        wanted = {key: images[key] for key in ("dataset", "split")} | {
            "base": base,
            "sigma": sigma,
            "noise": distribution,
        }
        for key, value in wanted.items():
            if self.meta[key] != value:
                raise InputError(f"--sigmas: were chosen for {key} {self.meta[key]}, not {value}; choose them again")

    def of(self, idx: np.ndarray, number: int) -> np.ndarray:
        """The sigmas of some images at one number.

        Raises:
            InputError: none were chosen at this number, or for one of these images.
        """
        if number not in self.at:
            raise InputError(f"--at: found {number}; sigmas were chosen at {self.at.tolist()}")
        if missing := set(idx.tolist()) - set(self.idx.tolist()):
            raise InputError(f"--sigmas: has none for image {min(missing)}; choose them for all that are counted")
        places = np.searchsorted(self.idx, idx)
        return np.asarray(self.sigmas[self.at.tolist().index(number), places])


def read(path: Path) -> Sigmas:
    """Read what `choosing.run` wrote.

    Raises:
        InputError: missing, truncated, or something else.
    """
    arrays, meta = read_arrays(path, ARRAYS, "sigmas")
    return Sigmas(**arrays, meta=meta)
