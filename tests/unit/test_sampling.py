import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch.overrides import TorchFunctionMode

from accelerated_smoothing import cli, config, data, models, noise, progress, registry
from accelerated_smoothing.counting import counts, engines, sampling
from accelerated_smoothing.counting.engines import Draws, Engine
from accelerated_smoothing.errors import InputError
from accelerated_smoothing.files import read_arrays

openvino_engine = pytest.importorskip("accelerated_smoothing.counting.engines.openvino")
CAPABILITIES, OpenVino = openvino_engine.CAPABILITIES, openvino_engine.OpenVino
CPU = torch.device("cpu")
SIZES = [100, 250, 300]


@pytest.fixture(autouse=True)
def threads() -> Iterator[None]:
    """Commands set the number of threads of the whole process."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def cifar_like(settle: Any, precision: str) -> SimpleNamespace:
    """A ResNet on 3x32x32 images, its engine in small batches, and two images."""
    images = torch.rand((60, 3, 32, 32), generator=torch.Generator().manual_seed(0))
    torch.manual_seed(3)
    model = models.build("resnet8", 10, [0.5] * 3, [0.25] * 3)
    settle(model, images, seed=3)
    engine = engines.build(model, (3, 32, 32), device=CPU, precision=precision, batch_size=10)
    return SimpleNamespace(model=model, engine=engine, images=images[:2].numpy(), precision=precision)


def counted(case: SimpleNamespace, samples: Any, engine: Engine | None = None, **options: Any) -> np.ndarray:
    options = {"images": case.images, "sigma": 0.5, **options}
    return sampling.count_predictions(engine or case.engine, samples=samples, seed=0, classes=10, **options)[0]


@pytest.fixture(scope="module")
def reference(cifar_like: SimpleNamespace) -> np.ndarray:
    return counted(cifar_like, SIZES)


def test_counts_add_up_and_spread(reference: np.ndarray) -> None:
    assert reference.shape == (2, 3, 10)
    assert reference.dtype == np.int64
    assert (reference.sum(2) == SIZES).all()
    assert ((reference > 0).sum(2) >= 3).all()  # else the tests below would compare little


def test_counts_are_those_of_a_plain_loop(cifar_like: SimpleNamespace, reference: np.ndarray) -> None:
    """Over predictions, one image at a time; test_engines.py holds those against the plain model."""
    for row, image in enumerate(cifar_like.images):
        draws = Draws(image[None], np.array([row]), 300, np.array([0.5], np.float32), noise.key(0, "estimation"))
        predictions = torch.cat([part.clone() for part in cifar_like.engine.predictions(draws)]).numpy()
        for position, size in enumerate(SIZES):
            np.testing.assert_array_equal(np.bincount(predictions[:size], minlength=10), reference[row, position])


@pytest.mark.parametrize("kind", registry.names("noise.distributions"))
def test_scales_belong_to_their_images(cifar_like: SimpleNamespace, kind: str) -> None:
    """Whether images are counted together or one by one, and whatever another one's scale is."""
    together = counted(cifar_like, SIZES, sigma=[0.75, 0.25], noise=kind)
    for row, sigma in enumerate((0.75, 0.25)):
        images = cifar_like.images[row : row + 1]
        np.testing.assert_array_equal(
            counted(cifar_like, SIZES, sigma=sigma, images=images, idx=[row], noise=kind)[0], together[row]
        )
    assert (counted(cifar_like, SIZES, sigma=[0.25, 0.75], noise=kind) != together).any(axis=(1, 2)).all()


def test_one_scale_is_that_of_every_image(cifar_like: SimpleNamespace, reference: np.ndarray) -> None:
    np.testing.assert_array_equal(counted(cifar_like, SIZES, sigma=np.array([0.5, 0.5])), reference)
    for kind in ("uniform", "laplace"):
        assert (counted(cifar_like, SIZES, noise=kind) != reference).any(axis=(1, 2)).all()
    with pytest.raises(ValueError, match="broadcast"):
        counted(cifar_like, SIZES, sigma=[0.5, 0.5, 0.5])


@pytest.mark.parametrize("batch_size", [1, 7, 64, 1000])
def test_counts_do_not_depend_on_the_batch_size(
    cifar_like: SimpleNamespace, reference: np.ndarray, batch_size: int
) -> None:
    engine = engines.build(
        cifar_like.model, (3, 32, 32), device=CPU, precision=cifar_like.precision, batch_size=batch_size
    )
    np.testing.assert_array_equal(counted(cifar_like, SIZES, engine), reference)


def test_counts_do_not_depend_on_the_threads(
    cifar_like: SimpleNamespace, reference: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    for threads in (2, 3):
        monkeypatch.setattr(torch, "get_num_threads", lambda: threads)  # noqa: B023
        engine = engines.build(cifar_like.model, (3, 32, 32), device=CPU, precision=cifar_like.precision, draws=600)
        assert isinstance(engine, OpenVino)
        assert engine.streams == threads
        np.testing.assert_array_equal(counted(cifar_like, SIZES, engine), reference)


@pytest.mark.parametrize("position", [0, 1, 2])
def test_nested_sizes_are_prefixes(cifar_like: SimpleNamespace, reference: np.ndarray, position: int) -> None:
    alone = counted(cifar_like, SIZES[position])
    np.testing.assert_array_equal(alone[:, 0], reference[:, position])


@pytest.mark.parametrize("sizes", [[1], [1, 2, 3], [99, 100, 101, 300], list(range(1, 301))])
def test_any_nested_sizes_agree(cifar_like: SimpleNamespace, reference: np.ndarray, sizes: list[int]) -> None:
    """Also where a piece of predictions holds many sizes, or several images."""
    tallies = counted(cifar_like, sizes)
    assert (tallies.sum(2) == sizes).all()
    assert (np.diff(tallies, axis=1) >= 0).all()
    for position in np.flatnonzero(np.isin(sizes, SIZES)):
        np.testing.assert_array_equal(tallies[:, position], reference[:, SIZES.index(sizes[position])])


def test_seconds_are_those_of_the_run_and_ascend(cifar_like: SimpleNamespace) -> None:
    begun = time.perf_counter()
    _, seconds = sampling.count_predictions(cifar_like.engine, cifar_like.images, 0.5, SIZES, 0, classes=10)
    whole = time.perf_counter() - begun
    assert seconds.shape == (2, 3)
    assert (seconds > 0).all()
    assert (np.diff(seconds, axis=1) >= 0).all()
    assert seconds[:, -1].sum() <= whole


class Clock:
    """A clock that goes on by a second at each look."""

    def __init__(self) -> None:
        self.now = 0

    def perf_counter(self) -> int:
        self.now += 1
        return self.now

    monotonic = staticmethod(time.monotonic)


class Scripted:
    """An engine that yields given numbers of predictions, all of them class 0."""

    device, arithmetic, build = CPU, "cpu", "none"

    def __init__(self, *pieces: int) -> None:
        self.pieces = pieces

    def predictions(self, draws: Draws, start: int = 0) -> Iterator[torch.Tensor]:
        for piece in self.pieces:
            yield torch.zeros(piece, dtype=torch.int64)

    def logits(self, images: torch.Tensor) -> torch.Tensor:
        raise NotImplementedError


def test_images_and_sizes_share_the_seconds_of_a_piece(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two images of 2 and 8 draws, in pieces of 4, 5 and 7 draws that take a second each."""
    monkeypatch.setattr(sampling, "time", Clock())
    tallies, seconds = sampling.count_predictions(
        Scripted(4, 5, 7), np.zeros((2, 1, 2, 2), np.float32), 0.5, [2, 8], 0, classes=3
    )
    assert tallies.tolist() == [[[2, 0, 0], [8, 0, 0]]] * 2
    # Draws 0-1 and 2-7 are the first image's, 8-9 and 10-15 the second's; the pieces end at 4, 9 and 16.
    first, second = [2 / 4, 2 / 4 + 2 / 4 + 4 / 5], [1 / 5 + 1 / 7, 1 / 5 + 7 / 7]
    np.testing.assert_allclose(seconds, [first, second], rtol=1e-12)


def test_what_goes_to_the_device_does_not_grow_with_the_draws() -> None:
    """Cells do, and how many draws each has; the device numbers the draws."""
    moved = []

    class Noting(TorchFunctionMode):
        def __torch_function__(self, function: Any, types: Any, arguments: Any = (), options: Any = None) -> Any:
            if function is torch.Tensor.to:
                moved.append(arguments[0].numel())
            return function(*arguments, **(options or {}))

    with Noting():
        counts, _ = sampling.count_predictions(
            Scripted(100, 99_900, 100_000), np.zeros((2, 1, 2, 2), np.float32), 0.5, [2, 100_000], 0, classes=3
        )
    assert counts[:, :, 0].tolist() == [[2, 100_000]] * 2
    assert moved
    assert max(moved) <= counts.size


def test_purposes_and_seeds_give_other_counts(cifar_like: SimpleNamespace, reference: np.ndarray) -> None:
    assert (counted(cifar_like, SIZES, purpose="selection") != reference).any()
    tallies = sampling.count_predictions(cifar_like.engine, cifar_like.images, 0.5, SIZES, 1, classes=10)[0]
    assert (tallies != reference).any()


def test_counts_belong_to_the_name_of_the_image(cifar_like: SimpleNamespace, reference: np.ndarray) -> None:
    swapped = counted(cifar_like, SIZES, images=cifar_like.images[::-1].copy(), idx=[1, 0])
    np.testing.assert_array_equal(swapped[::-1], reference)
    assert (counted(cifar_like, SIZES, idx=[1, 0]) != reference).any()


def changed(words: list[str], more: list[str]) -> list[str]:
    """A command with a flag and its values in place of those that it has."""
    if more and more[0] in words:
        begin = end = words.index(more[0])
        while end + 1 < len(words) and not words[end + 1].startswith("--"):
            end += 1
        words = words[:begin] + words[end + 1 :]
    return [*words, *more]


def count_words(base: Path, images: Path, output: Path, *more: str) -> list[str]:
    words = ["count", "--base", base, "--images", images, "--sigma", "0.5", "--output", output, "--threads", "1", *more]
    return [str(word) for word in words]


PART = ["--slice", "3:60:3", "--sizes", "40", "120"]


@pytest.fixture(scope="module")
def unsharded(base: Path, digits: SimpleNamespace, precision: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("counts") / "whole.npz"
    assert cli.main(count_words(base, digits.test, path, *PART, "--precision", precision)) == 0
    return path


def assert_same_counts(got: counts.Counts, expected: counts.Counts) -> None:
    assert got.meta == expected.meta
    for name in ("idx", "labels", "sizes", "counts"):
        np.testing.assert_array_equal(getattr(got, name), getattr(expected, name))
    assert (got.seconds > 0).all()
    assert (np.diff(got.seconds, axis=1) >= 0).all()


@pytest.mark.slow
@pytest.mark.parametrize("shards", [3, 16])
def test_counts_do_not_depend_on_the_shards(
    base: Path, digits: SimpleNamespace, unsharded: Path, precision: str, tmp_path: Path, shards: int
) -> None:
    parts = [tmp_path / f"{k}.npz" for k in range(shards)]
    for k, part in enumerate(parts):
        more = [*PART, "--precision", precision, "--shard", f"{k}/{shards}"]
        more += ["--batch-size", "60"] if k % 2 else []
        assert cli.main(count_words(base, digits.test, part, *more)) == 0
    joined = tmp_path / "joined.npz"
    assert cli.main(["gather", *(str(part) for part in reversed(parts)), "--output", str(joined)]) == 0
    assert_same_counts(counts.read(joined), counts.read(unsharded))


def test_counts_say_what_they_are_of(base: Path, digits: SimpleNamespace, unsharded: Path, precision: str) -> None:
    whole = counts.read(unsharded)
    expected = {"sigma": 0.5, "seed": 0, "purpose": "estimation", "dataset": "digits", "split": "test", "classes": 10}
    assert expected.items() <= whole.meta.items()
    assert whole.meta["arithmetic"] == f"cpu-openvino-{precision}-folded" + "-avx2" * (precision == "fp32")
    assert len(whole.meta["base"]) == 64
    assert whole.idx.tolist() == list(range(3, 60, 3))
    np.testing.assert_array_equal(whole.labels, data.read(digits.test).labels[whole.idx])
    assert (whole.seconds > 0).all()
    assert (np.diff(whole.seconds, axis=1) >= 0).all()
    assert sorted(path.name for path in unsharded.parent.iterdir()) == ["whole.npz", "whole.npz.record.json"]


def test_a_classifier_for_other_images_is_refused(base: Path, digits: SimpleNamespace, tmp_path: Path) -> None:
    images = data.read(digits.test, ":2")
    settings = config.Sampling(sizes=[10])
    for key, value in (("dataset", "cifar10"), ("classes", 7)):
        other = data.Images(images.idx, images.images, images.labels, {**images.meta, key: value})
        with pytest.raises(InputError, match=f"must be made for {key}"):
            sampling.count(
                base, other, tmp_path / "c.npz", sigma=0.5, distribution="gaussian", settings=settings, seed=0,
                purpose="p", device=CPU, code="",
            )  # fmt: skip
    assert list(tmp_path.iterdir()) == []


DRIVER = """
import sys
from accelerated_smoothing import cli, progress
progress.SAVE_SECONDS = 0.0
sys.exit(cli.main(sys.argv[1:]))
"""
LONG = ["--slice", ":6", "--sizes", "100", "530", "800"]


def checkpoint_at(path: Path, identity: int = 1) -> progress.Checkpoint:
    return progress.Checkpoint(path, {"a": identity}, ["tally", "seconds"])


def progress_of(partial: Path) -> int:
    return read_arrays(partial, ["tally", "seconds"], "work")[1]["done"]


@pytest.fixture
def starts(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """From which draw each run of predictions begins, from now on."""
    asked: list[int] = []
    original = OpenVino.predictions

    def spy(self: OpenVino, draws: Draws, start: int = 0) -> Iterator[torch.Tensor]:
        asked.append(start)
        return original(self, draws, start)

    monkeypatch.setattr(OpenVino, "predictions", spy)
    return asked


@pytest.mark.slow
def test_counts_do_not_depend_on_a_kill(
    base: Path, digits: SimpleNamespace, precision: str, tmp_path: Path, starts: list[int]
) -> None:
    output = tmp_path / "counts.npz"
    partial = tmp_path / "counts.npz.partial.npz"
    driver = tmp_path / "driver.py"
    driver.write_text(DRIVER)
    words = count_words(base, digits.test, output, *LONG, "--precision", precision)
    process = subprocess.Popen([sys.executable, str(driver), *words, "--batch-size", "1"], stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 120
        while not (partial.exists() and progress_of(partial) > 900):  # within an image, past a kept size
            assert process.poll() is None, "the run ended before it could be killed"
            assert time.monotonic() < deadline, "no partial file appeared"
            time.sleep(0.005)
        os.kill(process.pid, signal.SIGKILL)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == -signal.SIGKILL
    assert not output.exists()
    done = progress_of(partial)
    assert 900 < done < 6 * 800

    assert cli.main(words) == 0
    assert starts == [done]
    assert not partial.exists()

    whole = tmp_path / "whole.npz"
    assert cli.main(count_words(base, digits.test, whole, *LONG, "--precision", precision)) == 0
    assert starts == [done, 0]
    assert_same_counts(counts.read(output), counts.read(whole))


ASKED = """
import sys
import time
from accelerated_smoothing import cli
from accelerated_smoothing.progress import Progress
update = Progress.update
def update_and_print(self, amount):
    update(self, amount)
    print(self.done, flush=True)
    time.sleep(0.003)  # so that it is not done before anyone has heard of its first chunk
Progress.update = update_and_print
sys.exit(cli.main(sys.argv[1:]))
"""


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, cli.TRY_AGAIN), (signal.SIGINT, 130)])
def test_a_process_that_is_asked_to_stop_saves_its_chunk(
    base: Path, digits: SimpleNamespace, tmp_path: Path, starts: list[int], number: signal.Signals, code: int
) -> None:
    """Long before a save is due: nothing that was counted is lost."""
    output, driver = tmp_path / "counts.npz", tmp_path / "driver.py"
    driver.write_text(ASKED)
    words = count_words(base, digits.test, output, *LONG)
    command = [sys.executable, str(driver), *words, "--batch-size", "1"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        first = process.stdout.readline()
        process.send_signal(number)
        # Not `communicate`: it would miss the lines that `readline` has read ahead.
        counted, log = first + process.stdout.read(), process.stderr.read()
    assert process.returncode == code
    done = progress_of(tmp_path / "counts.npz.partial.npz")
    assert done == max(map(int, counted.split())) < 6 * 800
    assert f"counting: {done} of 4800 draws are saved" in log
    assert log.endswith("stopped; the same command continues from the last saved step\n")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["counts.npz.partial.npz", "driver.py"]

    assert cli.main(words) == 0
    assert starts == [done]
    whole = tmp_path / "whole.npz"
    assert cli.main(count_words(base, digits.test, whole, *LONG)) == 0
    assert_same_counts(counts.read(output), counts.read(whole))


@pytest.mark.slow
def test_two_processes_may_count_the_same_shard(base: Path, digits: SimpleNamespace, tmp_path: Path) -> None:
    """As an orphan and its successor do: whoever ends first, the file is whole at every moment, and right."""
    output, driver = tmp_path / "counts.npz", tmp_path / "driver.py"
    driver.write_text(DRIVER)
    words = count_words(base, digits.test, output, *LONG)
    # The one that makes smaller batches is slower.
    commands = [[sys.executable, str(driver), *words, "--batch-size", size] for size in ("1", "20")]
    processes = [subprocess.Popen(command, stderr=subprocess.DEVNULL) for command in commands]
    seen = 0
    while any(process.poll() is None for process in processes):
        if output.exists():
            counts.read(output)
            seen += 1
        time.sleep(0.005)
    assert [process.returncode for process in processes] == [0, 0]
    assert seen > 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["counts.npz", "counts.npz.record.json", "driver.py"]
    whole = tmp_path / "whole.npz"
    assert cli.main(count_words(base, digits.test, whole, *LONG)) == 0
    assert_same_counts(counts.read(output), counts.read(whole))


class StopError(Exception):
    pass


class Stopping:
    """An engine that stops after some pieces."""

    def __init__(self, engine: Engine, pieces: int, error: type[BaseException] = StopError) -> None:
        self.engine, self.pieces, self.error = engine, pieces, error
        self.device, self.arithmetic, self.build = engine.device, engine.arithmetic, engine.build

    def predictions(self, draws: Draws, start: int = 0) -> Iterator[torch.Tensor]:
        for _, piece in zip(range(self.pieces), self.engine.predictions(draws, start), strict=False):
            yield piece
        raise self.error

    def logits(self, images: torch.Tensor) -> torch.Tensor:
        return self.engine.logits(images)


def interrupted(case: SimpleNamespace, path: Path, pieces: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Count until the engine has made some pieces of 80 draws, saving after each."""
    monkeypatch.setattr(progress, "SAVE_SECONDS", -1.0)
    with pytest.raises(StopError):
        counted(case, SIZES, Stopping(case.engine, pieces), checkpoint=checkpoint_at(path))


@pytest.mark.parametrize("pieces", range(1, 9))  # within a size, across an image, at a kept size, at the very end
def test_counts_do_not_depend_on_where_a_run_stops(
    cifar_like: SimpleNamespace, reference: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pieces: int
) -> None:
    path = tmp_path / "work.npz"
    interrupted(cifar_like, path, pieces, monkeypatch)
    assert progress_of(path) == min(80 * pieces, 600)
    tallies, seconds = sampling.count_predictions(
        cifar_like.engine, cifar_like.images, 0.5, SIZES, 0, classes=10, checkpoint=checkpoint_at(path)
    )
    np.testing.assert_array_equal(tallies, reference)
    assert (seconds > 0).all()
    assert (np.diff(seconds, axis=1) >= 0).all()


def test_counts_do_not_depend_on_several_interruptions(
    cifar_like: SimpleNamespace, reference: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for pieces in (1, 1, 2):
        interrupted(cifar_like, tmp_path / "work.npz", pieces, monkeypatch)
    assert progress_of(tmp_path / "work.npz") == 320
    checkpoint = checkpoint_at(tmp_path / "work.npz")
    np.testing.assert_array_equal(counted(cifar_like, SIZES, checkpoint=checkpoint), reference)


def test_work_of_another_run_or_half_a_file_is_not_gone_on_with(
    cifar_like: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "work.npz"
    interrupted(cifar_like, path, 2, monkeypatch)
    assert checkpoint_at(path).load() is not None
    assert checkpoint_at(path, 2).load() is None
    path.write_bytes(path.read_bytes()[:-40])
    assert checkpoint_at(path).load() is None
    path.unlink()
    assert checkpoint_at(path).load() is None


@pytest.mark.slow
@pytest.mark.parametrize(
    ("more", "goes_on"),
    [
        ("", True),
        ("--batch-size 7", True),
        ("--threads 2", True),
        ("--seed 1", False),
        ("--sigma 0.4", False),
        ("--purpose selection", False),
        ("--sizes 100 530", False),
        ("--slice :5", False),
        ("--precision bf16", False),
    ],
)
def test_a_stopped_command_goes_on_if_its_counts_are_the_same(
    base: Path,
    digits: SimpleNamespace,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    starts: list[int],
    more: str,
    goes_on: bool,
) -> None:
    """After Ctrl-C: settings of speed may change in between, others begin anew."""
    if "bf16" in more and "BF16" not in CAPABILITIES:
        pytest.skip("this CPU has no bf16")
    words = count_words(base, digits.test, tmp_path / "counts.npz", *LONG)
    with monkeypatch.context() as patch:
        patch.setattr(progress, "SAVE_SECONDS", -1.0)
        build = engines.build
        patch.setattr(engines, "build", lambda *a, **k: Stopping(build(*a, **k), 2, KeyboardInterrupt))
        assert cli.main([*words, "--batch-size", "20"]) == 130
    done = progress_of(tmp_path / "counts.npz.partial.npz")
    assert done == 2 * 8 * 20
    assert cli.main(changed(words, more.split())) == 0
    assert starts == [0, done if goes_on else 0]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["counts.npz", "counts.npz.record.json"]
    fresh = count_words(base, digits.test, tmp_path / "fresh.npz", *LONG)
    assert cli.main(changed(fresh, more.split())) == 0
    assert_same_counts(counts.read(tmp_path / "counts.npz"), counts.read(tmp_path / "fresh.npz"))


MEMORY = """
import resource
import numpy as np, torch
from accelerated_smoothing.counting import engines, sampling
from accelerated_smoothing import models
model = models.build("resnet8", 10, [0.5] * 3, [0.25] * 3).eval()
engine = engines.build(model, (3, 32, 32), device=torch.device("cpu"))
for samples in (1_000, 20_000):
    sampling.count_predictions(engine, np.zeros((1, 3, 32, 32), np.float32), 0.5, samples, 0, classes=10)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


@pytest.mark.slow
def test_memory_does_not_depend_on_the_draws() -> None:
    """Noise of 20,000 draws would be 246 MB, half of what a process with torch takes."""
    done = subprocess.run([sys.executable, "-c", MEMORY], capture_output=True, text=True, check=True)
    few, many = map(int, done.stdout.split())
    assert many < 1.1 * few
