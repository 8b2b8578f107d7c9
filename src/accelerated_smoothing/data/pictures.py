"""Picture files as arrays."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from accelerated_smoothing.errors import InputError


def squares(files: Sequence[tuple[Path, int]], size: int) -> tuple[np.ndarray, np.ndarray]:
    """Return images [n, 3, size, size] uint8 and labels [n] of picture files.

    Each picture is made RGB, scaled so that its shorter side has `size` pixels, and cut to the middle square.

    Raises:
        InputError: a file cannot be read as an image; the message names the first.
    """
    from PIL import Image, ImageOps

    images = np.empty((len(files), 3, size, size), np.uint8)
    for row, (path, _) in enumerate(files):
        try:
            with Image.open(path) as image:
                images[row] = np.moveaxis(
                    np.asarray(ImageOps.fit(ImageOps.exif_transpose(image).convert("RGB"), (size, size))), 2, 0
                )
        except (OSError, Image.DecompressionBombError) as error:
            raise InputError(f"{path} must be a readable image ({error}); replace or delete it") from error
    return images, np.array([label for _, label in files])


@dataclass(frozen=True)
class Pictures:
    """Picture files as an array [n, 3, size, size] uint8, whose rows are decoded when they are used.

    Attributes:
        files: with their classes.
        size: pixels a side of the squares.
    """

    files: Sequence[tuple[Path, int]]
    size: int

    @property
    def shape(self) -> tuple[int, ...]:
        return (len(self.files), 3, self.size, self.size)

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, rows: slice | np.ndarray) -> np.ndarray:
        """Return images [k, 3, size, size] uint8; raises an InputError as `squares`."""
        return squares([self.files[row] for row in np.arange(len(self))[rows]], self.size)[0]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return self[:].astype(dtype or np.uint8)
