"""Raw files of data sets: checked, and fetched by torchvision."""

import hashlib
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from accelerated_smoothing.errors import InputError
from accelerated_smoothing.files import read_bytes


def check_md5(path: Path, content: bytes, official: str) -> None:
    """Raise an InputError with both sums unless the MD5 sum of the content is the official one."""
    md5 = hashlib.md5(content).hexdigest()
    if md5 != official:
        raise InputError(f"{path} must have the MD5 sum {official}, got {md5}; delete the file and fetch it again")


def torchvision_splits(name: str, folder: Path, download: bool) -> list[tuple[np.ndarray, list[int]]]:
    """Return images [n, height, width, 3] and labels of the train and test split of a torchvision data set.

    Raises:
        InputError: a file in the folder is missing or altered.
        OSError, RuntimeError: the download fails.
    """
    import torchvision

    kind = getattr(torchvision.datasets, name)
    if not download:
        for file, official in kind.train_list + kind.test_list:
            path = folder / kind.base_folder / file
            check_md5(path, read_bytes(path), official)
    with time_limit():
        sets = [kind(str(folder), train=train, download=download) for train in (True, False)]
    return [(dataset.data, dataset.targets) for dataset in sets]


@contextmanager
def time_limit() -> Iterator[None]:
    """Give up on a network that is silent for 30 seconds: torchvision has no limit of its own."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(30)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)
