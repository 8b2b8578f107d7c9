import hashlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats

from accelerated_smoothing import cli, counts, data, models, sampling
from accelerated_smoothing.files import InputError, read_arrays

CPU = torch.device("cpu")
SIZES = [100, 250, 300]


def noise(purpose: str = "estimation", seed: int = 0, shape: tuple[int, ...] = (2, 3)) -> sampling.Noise:
    return sampling.Noise(seed, purpose, shape, CPU)


def drawn(source: sampling.Noise, image: int, start: int, stop: int) -> np.ndarray:
    return np.concatenate([part.numpy().copy() for part in source.draws(image, start, stop)])


def test_noise_is_the_same_in_any_pieces() -> None:
    whole = drawn(noise(), 5, 0, 1050)
    assert whole.shape == (1050, 2, 3)
    source = noise()
    for start, stop in [(0, 1), (99, 101), (100, 200), (37, 640), (1049, 1050), (0, 1050)]:
        np.testing.assert_array_equal(drawn(source, 5, start, stop), whole[start:stop])
    in_sevens = [drawn(source, 5, start, min(start + 7, 1050)) for start in range(0, 1050, 7)]
    np.testing.assert_array_equal(np.concatenate(in_sevens), whole)


def test_noise_is_the_same_in_any_order_of_images() -> None:
    expected = {image: drawn(noise(), image, 0, 250) for image in range(4)}
    source = noise()
    for start, stop in [(0, 150), (150, 250)]:
        for image in (3, 0, 2, 1):
            np.testing.assert_array_equal(drawn(source, image, start, stop), expected[image][start:stop])


def test_noise_of_different_origins_shares_nothing() -> None:
    sources = [
        drawn(noise(seed=seed, purpose=purpose), image, 0, 300)
        for seed, purpose in [(0, "estimation"), (0, "selection"), (1, "estimation"), (0, "repeat/1"), (0, "repeat/2")]
        for image in (0, 1, 2**40)
    ]
    values = np.concatenate([source.reshape(300, -1)[:, 0] for source in sources])
    # Of 4,500 float32 normals a few coincide by chance (about 1 pair); streams that overlap share hundreds.
    assert len(np.unique(values)) > len(values) - 20
    rows = np.stack([source.ravel() for source in sources])
    correlation = np.corrcoef(rows) - np.eye(len(rows))
    assert np.abs(correlation).max() < 5.5 / np.sqrt(rows.shape[1])  # 105 pairs; each is about N(0, 1/n)


def test_noise_is_standard_normal() -> None:
    values = drawn(noise(shape=(20,)), 3, 0, 10_000).ravel().astype(float)
    n = len(values)
    # Five standard errors of each moment.
    assert abs(values.mean()) < 5 / np.sqrt(n)
    assert abs(values.var() - 1) < 5 * np.sqrt(2 / n)
    assert abs(stats.skew(values)) < 5 * np.sqrt(6 / n)
    assert abs(stats.kurtosis(values)) < 5 * np.sqrt(24 / n)
    assert stats.kstest(values, "norm").pvalue > 1e-4
    pixels = values.reshape(10_000, 20)
    assert np.abs(np.corrcoef(pixels.T) - np.eye(20)).max() < 5.5 / np.sqrt(10_000)
    assert abs(np.corrcoef(pixels[1:].ravel(), pixels[:-1].ravel())[0, 1]) < 5 / np.sqrt(n)


def test_noise_is_never_changed() -> None:
    """Counts of other machines and versions rest on these very numbers."""
    first = drawn(sampling.Noise(0, "estimation", (2,), CPU), 7, 0, 201)
    key = np.frombuffer(hashlib.blake2b(b"0/estimation", digest_size=16).digest(), np.uint64)
    for block in (0, 1, 2):
        generator = np.random.Generator(np.random.Philox(key=key, counter=[0, 0, block, 7]))
        expected = generator.standard_normal((100, 2), dtype=np.float32)
        np.testing.assert_array_equal(first[100 * block : 100 * block + 100], expected[: 201 - 100 * block])


@pytest.fixture(scope="module")
def cifar_like(settle: Any) -> SimpleNamespace:
    """A ResNet on 3x32x32 images, in the form that counting gives it."""
    images = torch.rand((60, 3, 32, 32), generator=torch.Generator().manual_seed(0))
    model = models.build("resnet8", 10, [0.5] * 3, [0.25] * 3)
    settle(model, images, seed=3)
    return SimpleNamespace(model=sampling.prepare(model, CPU), images=images[:2])


def counted(case: SimpleNamespace, samples: Any, batch_size: int = 100, **options: Any) -> np.ndarray:
    return sampling.count_predictions(
        case.model, case.images, 0.5, samples, 0, classes=10, batch_size=batch_size, **options
    )[0]


@pytest.fixture(scope="module")
def reference(cifar_like: SimpleNamespace) -> np.ndarray:
    return counted(cifar_like, SIZES)


def test_counts_add_up_and_spread(reference: np.ndarray) -> None:
    assert reference.shape == (2, 3, 10)
    assert reference.dtype == np.int64
    assert (reference.sum(2) == SIZES).all()
    assert ((reference > 0).sum(2) >= 3).all()  # else the tests below would compare little


def test_counts_are_those_of_a_plain_loop(cifar_like: SimpleNamespace, reference: np.ndarray) -> None:
    source = noise(shape=(3, 32, 32))
    for row, image in enumerate(cifar_like.images):
        draws = torch.from_numpy(drawn(source, row, 0, 100))
        with torch.inference_mode():
            predictions = cifar_like.model(image + 0.5 * draws).argmax(1)
        np.testing.assert_array_equal(np.bincount(predictions, minlength=10), reference[row, 0])


@pytest.mark.parametrize("batch_size", [1, 7, 64, 1000])
def test_counts_do_not_depend_on_the_batch_size(
    cifar_like: SimpleNamespace, reference: np.ndarray, batch_size: int
) -> None:
    np.testing.assert_array_equal(counted(cifar_like, SIZES, batch_size), reference)


@pytest.mark.parametrize("rows", [sampling.FEWEST_ROWS, 9, 64, 99])
def test_logits_do_not_depend_on_the_batch_size(cifar_like: SimpleNamespace, rows: int) -> None:
    """Bit by bit: counts alone would show a difference in rounding only where two classes nearly tie."""
    batch = torch.rand((100, 3, 32, 32), generator=torch.Generator().manual_seed(4))
    with torch.inference_mode():
        assert torch.equal(cifar_like.model(batch[:rows]), cifar_like.model(batch)[:rows])


def test_counts_do_not_depend_on_the_threads(cifar_like: SimpleNamespace, reference: np.ndarray) -> None:
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(threads + 1)
        np.testing.assert_array_equal(counted(cifar_like, SIZES), reference)
    finally:
        torch.set_num_threads(threads)


@pytest.mark.parametrize("position", [0, 1, 2])
def test_nested_sizes_are_prefixes(cifar_like: SimpleNamespace, reference: np.ndarray, position: int) -> None:
    alone = counted(cifar_like, SIZES[position])
    np.testing.assert_array_equal(alone[:, 0], reference[:, position])


def test_purposes_and_seeds_give_other_counts(cifar_like: SimpleNamespace, reference: np.ndarray) -> None:
    assert (counted(cifar_like, SIZES, purpose="selection") != reference).any()


def test_counts_belong_to_the_name_of_the_image(cifar_like: SimpleNamespace, reference: np.ndarray) -> None:
    swapped = SimpleNamespace(model=cifar_like.model, images=cifar_like.images.flip(0))
    np.testing.assert_array_equal(counted(swapped, SIZES, idx=[1, 0])[::-1], reference)
    assert (counted(cifar_like, SIZES, idx=[1, 0]) != reference).any()


def count_words(base: Path, images: Path, output: Path, *more: str) -> list[str]:
    words = ["count", "--base", base, "--images", images, "--sigma", "0.5", "--output", output, "--threads", "1", *more]
    return [str(word) for word in words]


@pytest.fixture(scope="module")
def unsharded(base: Path, digits: SimpleNamespace, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("counts") / "whole.npz"
    assert cli.main(count_words(base, digits.test, path, "--slice", "3:60:3", "--sizes", "40", "120")) == 0
    return path


@pytest.mark.parametrize("shards", [3, 16])
def test_counts_do_not_depend_on_the_shards(
    base: Path, digits: SimpleNamespace, unsharded: Path, tmp_path: Path, shards: int
) -> None:
    parts = [tmp_path / f"{k}.npz" for k in range(shards)]
    for k, part in enumerate(parts):
        more = ["--slice", "3:60:3", "--sizes", "40", "120", "--shard", f"{k}/{shards}", "--batch-size", "60"]
        assert cli.main(count_words(base, digits.test, part, *more)) == 0
    joined = tmp_path / "joined.npz"
    assert cli.main(["gather", *(str(part) for part in reversed(parts)), "--output", str(joined)]) == 0
    got, whole = counts.read(joined), counts.read(unsharded)
    assert got.meta == whole.meta
    assert whole.idx.tolist() == list(range(3, 60, 3))
    for name in ("idx", "labels", "sizes", "counts"):
        np.testing.assert_array_equal(getattr(got, name), getattr(whole, name))


def test_counts_say_what_they_are_of(base: Path, digits: SimpleNamespace, unsharded: Path) -> None:
    whole = counts.read(unsharded)
    expected = {"sigma": 0.5, "seed": 0, "purpose": "estimation", "dataset": "digits", "split": "test", "classes": 10}
    assert expected.items() <= whole.meta.items()
    assert whole.meta["arithmetic"] == "cpu-fp32-folded"
    assert len(whole.meta["base"]) == 64
    np.testing.assert_array_equal(whole.labels, data.read(digits.test).labels[whole.idx])
    assert (whole.seconds > 0).all()
    assert (np.diff(whole.seconds, axis=1) > 0).all()
    assert [path.name for path in unsharded.parent.iterdir()] == ["whole.npz"]


def test_a_classifier_for_other_images_is_refused(base: Path, digits: SimpleNamespace, tmp_path: Path) -> None:
    images = data.read(digits.test, ":2")
    for key, value in (("dataset", "cifar10"), ("classes", 7)):
        other = data.Images(images.idx, images.images, images.labels, {**images.meta, key: value})
        with pytest.raises(InputError, match=f"made for {key}"):
            sampling.count(
                base, other, tmp_path / "c.npz", sigma=0.5, sizes=[10], seed=0, purpose="p", batch_size=10, device=CPU
            )
    assert list(tmp_path.iterdir()) == []


DRIVER = """
import sys
from accelerated_smoothing import cli, sampling
sampling.SAVE_SECONDS = 0.0
sys.exit(cli.main(sys.argv[1:]))
"""
LONG = ["--slice", ":6", "--sizes", "100", "530", "800", "--batch-size", "20"]


def progress_of(partial: Path) -> tuple[int, int]:
    meta = read_arrays(partial, ["counts"], "work")[1]
    return meta["image"], meta["draws"]


def test_counts_do_not_depend_on_a_kill(
    base: Path, digits: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "counts.npz"
    partial = tmp_path / "counts.npz.partial.npz"
    driver = tmp_path / "driver.py"
    driver.write_text(DRIVER)
    words = count_words(base, digits.test, output, *LONG)
    process = subprocess.Popen([sys.executable, str(driver), *words], stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 120
        while not (partial.exists() and progress_of(partial) > (1, 100)):  # within an image, past a kept size
            assert process.poll() is None, "the run ended before it could be killed"
            assert time.monotonic() < deadline, "no partial file appeared"
            time.sleep(0.005)
        os.kill(process.pid, signal.SIGKILL)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == -signal.SIGKILL
    assert not output.exists()
    image, draws = progress_of(partial)
    assert 0 < image < 6

    asked = []
    original = sampling.Noise.draws

    def spy(self: sampling.Noise, name: int, start: int, stop: int) -> Any:
        asked.append((name, start))
        return original(self, name, start, stop)

    monkeypatch.setattr(sampling.Noise, "draws", spy)
    assert cli.main(words) == 0
    assert asked[0] == ((image, draws) if draws < 800 else (image + 1, 0))
    assert not partial.exists()

    whole = tmp_path / "whole.npz"
    asked.clear()
    assert cli.main(count_words(base, digits.test, whole, *LONG)) == 0
    assert asked[0] == (0, 0)
    resumed, uninterrupted = counts.read(output), counts.read(whole)
    assert resumed.meta == uninterrupted.meta
    for name in ("idx", "labels", "sizes", "counts"):
        np.testing.assert_array_equal(getattr(resumed, name), getattr(uninterrupted, name))


class StopError(Exception):
    pass


def interrupted(case: SimpleNamespace, path: Path, batches: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Count until the model has seen some batches, saving after each."""
    monkeypatch.setattr(sampling, "SAVE_SECONDS", -1.0)
    seen = 0

    def model(x: torch.Tensor) -> torch.Tensor:
        nonlocal seen
        seen += 1
        if seen > batches:
            raise StopError
        return case.model(x)

    with pytest.raises(StopError):
        counted(SimpleNamespace(model=model, images=case.images), SIZES, checkpoint=sampling.Checkpoint(path, {"a": 1}))


@pytest.mark.parametrize("batches", range(1, 8))  # at a kept size, between two, after an image, at the very end
def test_counts_do_not_depend_on_where_a_run_stops(
    cifar_like: SimpleNamespace, reference: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, batches: int
) -> None:
    path = tmp_path / "work.npz"
    interrupted(cifar_like, path, batches, monkeypatch)
    assert progress_of(path) != (0, 0)
    resumed = counted(cifar_like, SIZES, checkpoint=sampling.Checkpoint(path, {"a": 1}))
    np.testing.assert_array_equal(resumed, reference)


def test_work_of_another_run_or_half_a_file_is_not_gone_on_with(
    cifar_like: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "work.npz"
    interrupted(cifar_like, path, 2, monkeypatch)
    assert sampling.Checkpoint(path, {"a": 1}).load() is not None
    assert sampling.Checkpoint(path, {"a": 2}).load() is None
    path.write_bytes(path.read_bytes()[:-40])
    assert sampling.Checkpoint(path, {"a": 1}).load() is None
    path.unlink()
    assert sampling.Checkpoint(path, {"a": 1}).load() is None
