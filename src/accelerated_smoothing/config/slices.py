"""Splits of a data set, and slices of a split."""

import re

import numpy as np

from accelerated_smoothing.errors import InputError

SPLITS = ("train", "test")


def as_slice(part: str) -> slice:
    """Return `first:stop:step`, as in Python, as a slice.

    Raises:
        InputError: the text is not a slice.
    """
    if not re.fullmatch(r"(-?\d+)?:(-?\d+)?(:[1-9]\d*)?", part):
        raise InputError(f"--slice must be first:stop:step, such as :500 or ::20, got {part!r}")
    return slice(*(int(word) if word else None for word in part.split(":")))


def spaced(images: int, share: float) -> np.ndarray:
    """Return a mask [images] of a share of the images, evenly spaced."""
    return np.diff(np.floor(np.arange(images + 1) * share + 1e-9)) > 0
