"""Images of any kind as `data.Images`, of which only the rows that are used are read."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike

from accelerated_smoothing import data
from accelerated_smoothing.data import Images
from accelerated_smoothing.data.browsing import UNKNOWN, browse
from accelerated_smoothing.data.pictures import Pictures
from accelerated_smoothing.errors import InputError
from accelerated_smoothing.files import describe

CHUNK = 256  # images that are looked at together


def as_images(source: Any, labels: ArrayLike | None = None, size: int = 224, part: str = ":") -> Images:
    """Return images, which are numbered by their place in the whole.

    Args:
        source: [n, channels, height, width] uint8 or floats in [0, 1], as an array or a tensor; `Images`; or the path
            of a split that a verb wrote, or of what `browsing.browse` reads.
        labels: [n] true classes, -1 for an unknown one; by default those of the file or of the folders.
        size: pixels a side, to which the pictures of a folder are scaled and cropped.
        part: the images of a path to take, as a Python slice.

    Raises:
        InputError: they are not images.
    """
    if isinstance(source, str | Path):
        path = Path(source)
        is_split = path.suffix == ".npz" and path.is_file() and describe(path).get("kind") == "images"
        images = data.read(path, part) if is_split else browse(path, size, part)
    else:
        images = source if isinstance(source, Images) else _from_array(source)
    if labels is None:
        return images
    own = np.asarray(labels)
    if own.shape != images.idx.shape or own.dtype.kind not in "iu" or own.min() < UNKNOWN:
        raise InputError(
            f"labels must be a whole number from -1 for each of {len(images.idx)} images, got {own.dtype} "
            f"{list(own.shape)}"
        )
    return Images(images.idx, images.images, own.astype(np.int64), images.meta)


def fingerprint(images: Images) -> str:
    """Return a hash of images and their numbers; of picture files, of their names, sizes and times."""
    digest = hashlib.sha256(images.idx.tobytes())
    stored: Any = images.images
    if isinstance(stored, Pictures):
        states = [(str(path.resolve()), path.stat().st_size, path.stat().st_mtime_ns) for path, _ in stored.files]
        digest.update(repr((stored.size, states)).encode())
    else:
        digest.update(repr((stored.shape, str(stored.dtype), images.meta["white"])).encode())
        for start in range(0, len(stored), CHUNK):
            digest.update(np.ascontiguousarray(stored[start : start + CHUNK]).data)
    return digest.hexdigest()


def _from_array(source: Any) -> Images:
    if isinstance(source, torch.Tensor):
        source = source.detach().cpu()
        source = (source.float() if source.is_floating_point() else source).numpy()
    array = source if isinstance(source, np.ndarray) else np.asarray(source)
    is_uint8 = array.dtype == np.uint8
    if array.ndim != 4 or not len(array) or not (is_uint8 or array.dtype.kind == "f"):
        raise InputError(
            "images must be a path, or [n, channels, height, width] uint8 or floats in [0, 1], got "
            f"{array.dtype} {list(array.shape)}"
        )
    for start in range(0, 0 if is_uint8 else len(array), CHUNK):
        chunk = array[start : start + CHUNK]
        low, high = float(chunk.min()), float(chunk.max())
        if not 0 <= low <= high <= 1:  # nor for NaN
            raise InputError(f"images must be in [0, 1] if they are floats, got values from {low:g} to {high:g}")
    meta = {"kind": "images", "dataset": "own", "split": "test", "classes": 0, "white": 255 if is_uint8 else 1}
    return Images(np.arange(len(array)), array, np.full(len(array), UNKNOWN), meta)
