"""Images of others, of which only the rows that are used are read: a folder of pictures, an .npy or an .npz."""

from pathlib import Path
from typing import Any

import numpy as np

from accelerated_smoothing.config.slices import as_slice
from accelerated_smoothing.data import Images
from accelerated_smoothing.data.pictures import Pictures
from accelerated_smoothing.errors import InputError
from accelerated_smoothing.files import BROKEN, array_of

UNKNOWN = -1  # the label of an image without one


def browse(path: Path, size: int = 224, part: str = ":") -> Images:
    """Return the images of a file or folder as the split "test" of a data set of the same name.

    Args:
        path: a folder of pictures or of <class>/*; or an .npz with `images` and perhaps `labels`; or an .npy. Arrays
            are [n, channels, height, width] or [n, height, width, channels], uint8. Compressed ones are read whole.
        size: pixels a side of the squares that pictures become.
        part: the images to take, as a Python slice.

    Raises:
        InputError: there is no image, the slice is empty, or an array is of another shape or type.
    """
    taken = as_slice(part)
    if path.is_dir():
        files, classes = _listed(path)
        images: Any = Pictures(files[taken], size)
        labels = np.array([label for _, label in files])
    else:
        whole, labels = _arrays(path)
        images, classes = whole[taken], int(labels.max()) + 1
    idx = np.arange(len(labels))[taken]
    if not len(idx):
        raise InputError(f"{path}: the slice must hold an image, got {part} of {len(labels)}; widen it")
    channels = images.shape[1]
    about = {"kind": "images", "dataset": path.stem, "split": "test", "classes": classes, "white": 255}
    moments = {"mean": [0.0] * channels, "std": [1.0] * channels}  # classifiers of others normalise by themselves
    return Images(idx, images, labels[taken], about | moments)


def _listed(folder: Path) -> tuple[list[tuple[Path, int]], int]:
    """Return the pictures of a folder with their classes, in the order of their names, and the number of classes."""
    from PIL import Image

    classes = sorted(each for each in folder.iterdir() if each.is_dir())
    places = list(zip(classes, range(len(classes)), strict=True)) or [(folder, UNKNOWN)]
    files = [
        (file, label)
        for place, label in places
        for file in sorted(place.iterdir())
        if file.suffix.lower() in Image.registered_extensions()
    ]
    if not files:
        raise InputError(f"{folder} must hold pictures, or one folder of them for each class, got no picture")
    return files, len(classes)


def _arrays(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return images [n, channels, height, width] uint8, mapped if they can be, and labels [n]."""
    labels = None
    try:
        stored = np.load(path, mmap_mode="r", allow_pickle=False)
        images = stored
        if isinstance(stored, np.lib.npyio.NpzFile):
            with stored:
                images = array_of(path, stored, "images")
                labels = stored["labels"].astype(np.int64) if "labels" in stored else None
    except FileNotFoundError:
        raise InputError(f"{path}: no such file or folder; images are needed here") from None
    except BROKEN as error:
        raise InputError(f"{path}: not a whole .npy, or .npz with images ({error})") from error
    if images.ndim == 4 and images.shape[1] not in (1, 3) and images.shape[3] in (1, 3):
        images = np.moveaxis(images, 3, 1)
    if images.ndim != 4 or not len(images) or images.dtype != np.uint8:
        got = f"{images.dtype} {list(images.shape)}"
        raise InputError(f"{path} must hold images [n, channels, height, width] of uint8, got {got}")
    labels = np.full(len(images), UNKNOWN) if labels is None else labels
    if labels.shape != (len(images),):
        raise InputError(f"{path} must hold a label for each image, got {list(labels.shape)} for {len(images)} images")
    return images, labels
