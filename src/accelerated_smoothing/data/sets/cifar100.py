"""CIFAR-100 with fine labels, in torchvision's layout, which torchvision checks against its MD5 sums."""

from pathlib import Path
from typing import Any

import numpy as np

from accelerated_smoothing.config.slices import SPLITS
from accelerated_smoothing.data import Shape, Splits
from accelerated_smoothing.data.downloads import torchvision_splits
from accelerated_smoothing.errors import InputError


def shape(folder: Path, size: int) -> Shape:
    """Return the size of the data set."""
    return Shape(train=50000, test=10000, classes=100, channels=3, size=32)


def load(folder: Path, size: int) -> tuple[Splits, dict[str, Any]]:
    """Return the splits and the description, from the folder or else from the network."""
    try:
        train, test = torchvision_splits("CIFAR100", folder, download=not (folder / "cifar-100-python").is_dir())
    except (OSError, RuntimeError) as error:
        raise InputError(
            f"dataset.folder must hold CIFAR-100, got {str(folder)!r} without it, and no source answers ({error}); "
            "put torchvision's cifar-100-python there"
        ) from error
    splits = {
        split: (np.ascontiguousarray(pixels.transpose(0, 3, 1, 2)), np.asarray(labels))
        for split, (pixels, labels) in zip(SPLITS, (train, test), strict=True)
    }
    return splits, {"classes": 100, "white": 255}
