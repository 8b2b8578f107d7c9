"""Ten classes of ImageNet in torchvision's layout, as squares of `size` pixels; its `val` is our test.

There are three archives, by the length of the images' shorter side. The smallest that is at least `size` is taken.
torchvision checks an archive against its MD5 sum; of a folder, the images are counted.
"""

from pathlib import Path
from typing import Any

from accelerated_smoothing.config.slices import SPLITS
from accelerated_smoothing.data import Shape, Splits
from accelerated_smoothing.data.downloads import time_limit
from accelerated_smoothing.data.pictures import squares
from accelerated_smoothing.errors import InputError

ARCHIVES = {"160px": "imagenette2-160", "320px": "imagenette2-320", "full": "imagenette2"}
IMAGES = {"train": 9469, "val": 3925}


def shape(folder: Path, size: int) -> Shape:
    """Return the size of the data set."""
    return Shape(IMAGES["train"], IMAGES["val"], classes=10, channels=3, size=size)


def load(folder: Path, size: int) -> tuple[Splits, dict[str, Any]]:
    """Return the splits and the description, from the folder or else from the network."""
    import torchvision

    archive = "160px" if size <= 160 else "320px" if size <= 320 else "full"
    place = folder / ARCHIVES[archive]
    splits = {}
    for split, (part, count) in zip(SPLITS, IMAGES.items(), strict=True):
        try:
            with time_limit():
                files = torchvision.datasets.Imagenette(folder, part, archive, download=not place.is_dir(), loader=Path)
        except (OSError, RuntimeError) as error:
            raise InputError(
                f"dataset.folder must hold {place.name}, got {str(folder)!r} without it, and no source answers "
                f"({error}); put torchvision's {place.name} there"
            ) from error
        if len(files) != count:
            raise InputError(f"{place / part} must hold {count} images, got {len(files)}; delete {place} and try again")
        splits[split] = squares([files[row] for row in range(count)], size)
    return splits, {"classes": 10, "white": 255}
