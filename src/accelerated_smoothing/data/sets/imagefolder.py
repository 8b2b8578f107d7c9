"""The user's own images: <folder>/train/<class>/* and <folder>/test/<class>/*, as squares of `size` pixels."""

from pathlib import Path
from typing import Any

from accelerated_smoothing.config.slices import SPLITS
from accelerated_smoothing.data import Shape, Splits
from accelerated_smoothing.data.pictures import squares
from accelerated_smoothing.errors import InputError


def shape(folder: Path, size: int) -> Shape:
    """Return the size of the data set, from the names of its files."""
    train, test = (len(_files(folder, split)) for split in SPLITS)
    return Shape(train, test, classes=len(_classes(folder)), channels=3, size=size)


def load(folder: Path, size: int) -> tuple[Splits, dict[str, Any]]:
    """Return the splits and the description."""
    splits = {split: squares(_files(folder, split), size) for split in SPLITS}
    return splits, {"classes": len(_classes(folder)), "white": 255}


def _classes(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "train").glob("*") if path.is_dir())


def _files(folder: Path, split: str) -> list[tuple[Path, int]]:
    """Return the image files of a split with their classes, in the order of their names."""
    from PIL import Image

    classes, place = _classes(folder), folder / split
    extra = {path.name for path in place.glob("*") if path.is_dir()} - set(classes)
    if extra:
        raise InputError(f"{place} must hold the classes of {folder / 'train'}, got class {min(extra)!r} as well")
    files = [
        (path, label)
        for label, name in enumerate(classes)
        for path in sorted((place / name).glob("*"))
        if path.suffix.lower() in Image.registered_extensions()
    ]
    if not files:
        raise InputError(f"{place} must hold one folder of images for each class, got no image")
    if len(classes) < 2:
        raise InputError(f"{place} must hold at least two classes, got one")
    return files
