"""Images: data sets are fetched, verified and kept as arrays.

A split is an .npz with `images` [n, channels, height, width] uint8 and `labels` [n] int64. Its description holds the
number of classes, the value of a white pixel, and the mean and standard deviation with which models normalise. A data
set is one file in `sets/`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from accelerated_smoothing import registry
from accelerated_smoothing.config.slices import SPLITS, as_slice
from accelerated_smoothing.errors import InputError
from accelerated_smoothing.files import read_arrays, write_arrays

PLUGINS = {"dataset": "data.sets"}
MAPPED = 2**30  # bytes of images that are stored as they are: photographs hardly shrink, and can be mapped
Splits = dict[str, tuple[np.ndarray, np.ndarray]]  # split: images [n, channels, height, width] uint8 and labels [n]


@dataclass(frozen=True)
class Images:
    """Some images of one split.

    Attributes:
        idx: [n] positions in the whole split.
        images: [n, channels, height, width] uint8; perhaps mapped from a file, or `pictures.Pictures`, so that only the
            rows that are used are read.
        labels: [n] int64.
        meta: dataset, split, classes, white, mean, std.
    """

    idx: np.ndarray
    images: np.ndarray
    labels: np.ndarray
    meta: dict[str, Any]

    def pixels(self, rows: slice = slice(None)) -> np.ndarray:
        """Return the images in a range of rows as float32 in [0, 1]."""
        return np.asarray(self.images[rows]).astype(np.float32) / np.float32(self.meta["white"])

    def take(self, rows: np.ndarray) -> "Images":
        """Return the images in these rows, read into memory."""
        return Images(self.idx[rows], np.asarray(self.images[rows]), self.labels[rows], self.meta)

    def spread(self, count: int | None) -> "Images":
        """Return `count` images, or all if it is None or larger; evenly spaced, since files may be sorted by class."""
        if count is None or count >= len(self.idx):
            return self
        return self.take(np.arange(count) * len(self.idx) // count)


@dataclass(frozen=True)
class Shape:
    """The size of a data set: images of each split, classes, channels, pixels a side."""

    train: int
    test: int
    classes: int
    channels: int
    size: int


class DataSet(Protocol):
    """What a module in `sets/` offers.

    In both functions, `folder` holds the raw files, and `size` is the height and width in pixels to which images of
    imagenette or an imagefolder are scaled.
    """

    def shape(self, folder: Path, size: int) -> Shape:
        """Return the size of the data set, without fetching it."""

    def load(self, folder: Path, size: int) -> tuple[Splits, dict[str, Any]]:
        """Return the splits, and `classes`, `white` and perhaps `mean` and `std` for the description.

        Raises:
            InputError: the files are missing, incomplete, or hold no image.
        """


def data_set(name: str) -> DataSet:
    """Return the data set of this name.

    Raises:
        InputError: `name` is not the name of a data set.
    """
    module: DataSet = registry.load("data.sets", name, "dataset.name")
    return module


def prepare(name: str, folder: Path, size: int, outputs: dict[str, Path]) -> None:
    """Fetch and verify a data set, and write its splits as arrays.

    Args:
        name: of the data set.
        folder: of the raw files.
        size: height and width to which images of imagenette or an imagefolder are scaled, pixels.
        outputs: split: where to write it.

    Raises:
        InputError: the files are missing, incomplete, or hold no image. Nothing is left behind.
    """
    splits, description = data_set(name).load(Path(folder), size)
    train = splits["train"][0]
    if "mean" not in description:
        description |= _moments(train, description["white"])
    for split, (images, labels) in splits.items():
        write_arrays(
            outputs[split],
            {"images": np.ascontiguousarray(images), "labels": labels.astype(np.int64)},
            {"kind": "images", "dataset": name, "split": split, **description},
            compressed=images.nbytes < MAPPED,
        )


def _moments(images: np.ndarray, white: int) -> dict[str, list[float]]:
    """Return the mean and standard deviation of each channel, of pixels in [0, 1]."""
    levels = np.arange(256)
    some = np.array_split(images, 1 + len(images) // 1000)  # counting needs eight bytes a pixel
    counts = [[np.bincount(part[:, c].ravel(), minlength=256) for c in range(images.shape[1])] for part in some]
    shares = np.sum(counts, axis=0)
    shares = shares / shares.sum(axis=1, keepdims=True)
    mean = shares @ levels
    std = np.sqrt(shares @ levels**2 - mean**2)
    std[std == 0] = white  # a constant channel holds no information, whatever it is divided by
    return {"mean": list(mean / white), "std": list(std / white)}


def is_embedded(meta: Mapping[str, Any]) -> bool:
    """Return whether a description is of embeddings or of counts of these: `<data set>@<hash of the backbone>`."""
    return "@" in meta["dataset"]


def read(path: Path, part: str = ":") -> Images:
    """Read images that `prepare` wrote. Large files are mapped, and only the rows that are used are read.

    Args:
        path: the split's file.
        part: the images to take, as a Python slice.

    Raises:
        InputError: the file is not of this kind or is named after the other split, or the slice is empty.
    """
    arrays, meta = read_arrays(path, ["images", "labels"], "images", mapped=["images"])
    if path.stem in SPLITS and meta["split"] != path.stem:
        raise InputError(
            f"{path} must hold the {path.stem} split, got the {meta['split']} split; delete both and build them again"
        )
    idx = np.arange(len(arrays["images"]))[as_slice(part)]
    if not len(idx):
        raise InputError(f"{path}: the slice must hold an image, got {part} of {len(arrays['images'])}; widen it")
    images = arrays["images"]
    mapped = isinstance(images, np.memmap)
    return Images(idx, images[as_slice(part)] if mapped else images[idx], arrays["labels"][idx], meta)
