"""Images of which only the rows that are used are read: large splits, and files and folders of others."""

import zipfile
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from accelerated_smoothing import cli, data
from accelerated_smoothing.data import pictures
from accelerated_smoothing.data.browsing import browse
from accelerated_smoothing.errors import InputError
from accelerated_smoothing.files import array_of, write_arrays

PIXELS = np.random.default_rng(0).integers(0, 256, (20, 3, 8, 8), np.uint8)
LABELS = np.arange(20) % 4


@pytest.fixture
def stored(digits: SimpleNamespace, tmp_path: Path) -> Path:
    """The digits' test split as a large split is written: without compression."""
    whole = data.read(digits.test)
    arrays = {"images": whole.images, "labels": whole.labels}
    write_arrays(tmp_path / "stored/test.npz", arrays, whole.meta, compressed=False)
    return tmp_path / "stored/test.npz"


def is_mapped(images: np.ndarray) -> bool:
    return isinstance(images, np.memmap) and images.base is not None


@pytest.mark.parametrize("part", [":", "5:50:5", "-3:"])
def test_a_large_split_is_mapped(digits: SimpleNamespace, stored: Path, part: str) -> None:
    whole, some = data.read(digits.test, part), data.read(stored, part)
    assert is_mapped(some.images)
    assert is_mapped(some.spread(None).images)
    np.testing.assert_array_equal(some.images, whole.images)
    np.testing.assert_array_equal(some.idx, whole.idx)
    np.testing.assert_array_equal(some.labels, whole.labels)
    np.testing.assert_array_equal(some.pixels(slice(1, 3)), whole.pixels()[1:3])
    rows = some.take(np.array([2, 1]))
    assert type(rows.images) is np.ndarray or not is_mapped(rows.images)
    assert rows.images.tobytes() == whole.images[[2, 1]].tobytes()


def test_large_splits_are_stored_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data, "MAPPED", 500 * 64)  # of the test split, and less than the training split
    data.prepare("digits", tmp_path, 8, {"train": tmp_path / "train.npz", "test": tmp_path / "test.npz"})
    for split in ("train", "test"):
        assert is_mapped(data.read(tmp_path / f"{split}.npz").images)


def test_a_shard_of_a_mapped_split_counts_the_same(digits: SimpleNamespace, base: Path, stored: Path) -> None:
    found = []
    for images in (digits.test, stored):
        output = stored.parent / f"{images.parent.name}.npz"
        words = f"count --base {base} --images {images} --slice 3:40:2 --shard 1/3 --sigma 0.5 --sizes 50 --threads 1"
        assert cli.main([*words.split(), "--output", str(output)]) == 0
        with np.load(output) as arrays:
            found.append((arrays["idx"].tolist(), arrays["counts"].tolist(), str(arrays["meta"])))
    assert found[0] == found[1]


def test_a_damaged_split_is_refused(stored: Path) -> None:
    whole = stored.read_bytes()
    for length in (0, 10, len(whole) // 2, len(whole) - 1):
        stored.write_bytes(whole[:length])
        with pytest.raises(InputError, match=r"not a whole \.npz with images"):
            data.read(stored)
    with zipfile.ZipFile(stored, "w") as archive, np.load(_saved(stored.parent / "good.npz")) as arrays:
        with archive.open("images.npy", "w") as member:
            np.lib.format.write_array_header_1_0(member, {"descr": "|u1", "fortran_order": False, "shape": (9, 9)})
        archive.writestr("meta.npy", _bytes(np.array('{"kind": "images"}')))
        archive.writestr("labels.npy", _bytes(arrays["labels"]))
    with pytest.raises(InputError, match="images must have the length that its header states"):
        data.read(stored)


def _saved(path: Path) -> Path:
    np.savez(path, images=PIXELS, labels=LABELS)
    return path


def _bytes(array: np.ndarray) -> bytes:
    import io

    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


@pytest.mark.parametrize("order", ["C", "F"])
def test_an_array_is_mapped_in_its_own_order(tmp_path: Path, order: str) -> None:
    np.savez(tmp_path / "a.npz", first=np.arange(3), images=np.asarray(PIXELS, order=order))  # type: ignore[call-overload]
    with np.load(tmp_path / "a.npz") as arrays:
        mapped = array_of(tmp_path / "a.npz", arrays, "images")
    assert is_mapped(mapped)
    np.testing.assert_array_equal(mapped, PIXELS)
    with pytest.raises(ValueError, match="read-only"):
        mapped[0] = 1


@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("suffix", [".npy", ".npz", "compressed.npz"])
def test_arrays_of_others(tmp_path: Path, suffix: str, channels_last: bool) -> None:
    path = tmp_path / f"own{suffix}"
    pixels = np.moveaxis(PIXELS, 1, 3) if channels_last else PIXELS
    if suffix == ".npy":
        np.save(path, pixels)
    else:
        save = np.savez_compressed if "compressed" in suffix else np.savez
        save(path, images=pixels, labels=LABELS)
    images = browse(path)
    assert isinstance(images.images, np.memmap) == ("compressed" not in suffix)
    assert images.idx.tolist() == list(range(20))
    assert images.labels.tolist() == ([-1] * 20 if suffix == ".npy" else LABELS.tolist())
    assert images.meta["classes"] == (0 if suffix == ".npy" else 4)
    np.testing.assert_array_equal(images.pixels(slice(5, 8)), PIXELS[5:8].astype(np.float32) / 255)
    np.testing.assert_array_equal(images.take(np.array([7, 2])).images, PIXELS[[7, 2]])


@pytest.mark.parametrize("flat", [False, True])
def test_pictures_are_decoded_when_they_are_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flat: bool) -> None:
    for row in range(6):
        folder = tmp_path if flat else tmp_path / ("cat", "dog")[row // 3]
        folder.mkdir(exist_ok=True)
        Image.fromarray(np.moveaxis(PIXELS[row], 0, 2)).save(folder / f"{row}.png")
    (tmp_path / "notes.txt").write_text("no picture")
    decoded, squares = [], pictures.squares
    monkeypatch.setattr(pictures, "squares", lambda files, size: decoded.extend(files) or squares(files, size))
    images = browse(tmp_path, size=8).spread(None)
    assert not decoded
    assert images.images.shape == (6, 3, 8, 8)
    assert images.labels.tolist() == ([-1] * 6 if flat else [0, 0, 0, 1, 1, 1])
    assert images.meta["classes"] == (0 if flat else 2)
    np.testing.assert_array_equal(images.take(np.array([4, 1])).images, PIXELS[[4, 1]])
    assert [file.stem for file, _ in decoded] == ["4", "1"]
    np.testing.assert_array_equal(images.pixels(slice(2, 4)), PIXELS[2:4].astype(np.float32) / 255)
    assert len(decoded) == 4
    np.testing.assert_array_equal(images.pixels(), PIXELS[:6].astype(np.float32) / 255)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"images": PIXELS.astype(np.float32)}, "must hold images .* of uint8, got float32"),
        ({"images": PIXELS[0]}, r"got uint8 \[3, 8, 8\]"),
        ({"images": PIXELS[:0]}, r"got uint8 \[0, 3, 8, 8\]"),
        ({"images": PIXELS, "labels": LABELS[:5]}, r"must hold a label for each image, got \[5\] for 20 images"),
        ({"pixels": PIXELS}, "not a whole .npy, or .npz with images"),
        ({"images": np.array([{}])}, "not a whole .npy, or .npz with images"),
    ],
)
def test_other_arrays_are_refused(tmp_path: Path, arrays: dict[str, np.ndarray], message: str) -> None:
    np.savez(tmp_path / "a.npz", **arrays)  # type: ignore[arg-type]
    with pytest.raises(InputError, match=message):
        browse(tmp_path / "a.npz")


def test_places_without_images_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="must hold pictures"):
        browse(tmp_path)
    with pytest.raises(InputError, match="no such file or folder"):
        browse(tmp_path / "none.npz")
    (tmp_path / "a.png").write_bytes(b"no picture")
    with pytest.raises(InputError, match=r"a\.png must be a readable image"):
        browse(tmp_path).pixels()
