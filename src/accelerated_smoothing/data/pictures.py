"""Picture files as arrays."""

from collections.abc import Sequence
from pathlib import Path

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
