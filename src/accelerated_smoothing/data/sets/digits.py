"""The 1,797 real 8x8 digits inside scikit-learn, grey levels 0 to 16; 1,297 to train, 500 to test."""

from pathlib import Path
from typing import Any

import numpy as np

from accelerated_smoothing.data import Shape, Splits


def shape(folder: Path, size: int) -> Shape:
    """Return the size of the data set."""
    return Shape(train=1297, test=500, classes=10, channels=1, size=8)


def load(folder: Path, size: int) -> tuple[Splits, dict[str, Any]]:
    """Return the splits, which are always the same, and the description."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    images = digits.images.astype(np.uint8)[:, None]
    order = np.random.default_rng(0).permutation(len(images))
    train, test = order[:-500], order[-500:]
    splits = {
        "train": (images[train], digits.target[train]),
        "test": (images[test], digits.target[test]),
    }
    return splits, {"classes": 10, "white": 16}
