import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from accelerated_smoothing import models, progress, registry
from accelerated_smoothing.counting import online, sampling
from accelerated_smoothing.counting.counts import Tallies
from accelerated_smoothing.counting.engines import Draws, Engine
from accelerated_smoothing.counting.engines.pytorch import Pytorch
from accelerated_smoothing.counting.online import Online
from accelerated_smoothing.files import read_arrays
from accelerated_smoothing.progress import Checkpoint, Stopped

OpenVino = pytest.importorskip("accelerated_smoothing.counting.engines.openvino").OpenVino
CPU = torch.device("cpu")
SHAPE = (1, 9, 7)
SIZES = [1, 2, 9, 40, 41, 100]
NAMES = [8, 3, 2**32 - 1, 0, 5]
SIGMAS = [0.5, 0.25, 1, 0.75, 0.5]
EVERY = np.arange(5)
LAST = len(SIZES) - 1


@pytest.fixture(scope="module")
def case(settle: Any) -> SimpleNamespace:
    """A ResNet on small images whose predictions spread, its engines, and five images."""
    images = torch.rand((60, *SHAPE), generator=torch.Generator().manual_seed(0))
    torch.manual_seed(3)
    model = models.build("resnet8", 10, [0.5], [0.25])
    settle(model, images, seed=3)
    engines: dict[str, Engine] = {
        f"openvino {batch} {streams}": OpenVino(model, SHAPE, batch=batch, streams=streams)
        for batch, streams in ((1, 1), (7, 2), (64, 1))
    }
    engines["pytorch 16"] = Pytorch(model, SHAPE, batch=16, device=CPU)
    return SimpleNamespace(engines=engines, images=images[:5].numpy())


def made(case: SimpleNamespace, engine: Engine | None = None, **options: Any) -> Online:
    options = {"sigma": SIGMAS, "sizes": SIZES, "seed": 0, "classes": 10, "idx": NAMES, **options}
    return Online(engine or case.engines["openvino 7 2"], case.images, **options)


def stored(case: SimpleNamespace, engine: str = "openvino 64 1", noise: str = "gaussian") -> np.ndarray:
    return sampling.count_predictions(
        case.engines[engine], case.images, SIGMAS, SIZES, 0, classes=10, idx=NAMES, noise=noise
    )[0]


@pytest.fixture(scope="module")
def reference(case: SimpleNamespace) -> np.ndarray:
    counts = stored(case)
    assert ((counts[:, -1] > 0).sum(1) >= 3).all()  # else the tests below would compare little
    return counts


REQUESTS: dict[str, list[tuple[list[int], int]]] = {
    "all at once": [([0, 1, 2, 3, 4], LAST)],
    "size by size": [([0, 1, 2, 3, 4], position) for position in range(len(SIZES))],
    "image by image": [([row], LAST) for row in (3, 0, 4, 2, 1)],
    "ever fewer": [([0, 1, 2, 3, 4], 1), ([4, 1, 2], 3), ([2, 4], 4), ([4], 5)],
    "backwards": [([1, 3], 3), ([1, 3, 4], 0), ([3], 5), ([4, 3, 1, 0], 2)],
    "an image twice, and none": [([2, 0, 2], 2), ([], 3), ([2, 2], 4)],
}


@pytest.mark.parametrize("engine", ["openvino 1 1", "openvino 7 2", "openvino 64 1", "pytorch 16"])
@pytest.mark.parametrize("requests", REQUESTS.values(), ids=REQUESTS)
def test_counts_are_those_that_would_be_stored(
    case: SimpleNamespace, reference: np.ndarray, engine: str, requests: list[tuple[list[int], int]]
) -> None:
    expected = reference if engine.startswith("openvino") else stored(case, engine)
    tallies: Tallies = made(case, case.engines[engine])
    assert tallies.sizes.tolist() == SIZES
    for rows, position in requests:
        counts = tallies.tally(np.array(rows, int), position)
        assert counts.dtype == np.int64
        np.testing.assert_array_equal(counts, expected[np.array(rows, int), position])


@pytest.mark.parametrize("noise", registry.names("noise.distributions"))
@pytest.mark.parametrize("engine", ["openvino 7 2", "pytorch 16"])
def test_counts_are_those_that_would_be_stored_under_every_noise(
    case: SimpleNamespace, engine: str, noise: str
) -> None:
    tallies, expected = made(case, case.engines[engine], noise=noise), stored(case, engine, noise)
    for position in (2, 3, 5):
        np.testing.assert_array_equal(tallies.tally(EVERY, position), expected[:, position])


def test_one_scale_is_that_of_every_image_and_names_count_from_zero(case: SimpleNamespace) -> None:
    engine = case.engines["openvino 7 2"]
    for purpose, seed in (("selection", 0), ("estimation", 3)):
        expected, _ = sampling.count_predictions(engine, case.images, 0.5, 40, seed, classes=10, purpose=purpose)
        tallies = made(case, engine, sigma=0.5, sizes=[40], seed=seed, idx=None, purpose=purpose)
        np.testing.assert_array_equal(tallies.tally(EVERY, 0), expected[:, 0])


class Watched:
    """An engine that notes each draw that it makes, and calls `after` before it yields a piece."""

    def __init__(self, engine: Engine, after: Any = lambda pieces: None) -> None:
        self.engine, self.after = engine, after
        self.device, self.arithmetic, self.build = engine.device, engine.arithmetic, engine.build
        self.draws: Counter[tuple[int, int]] = Counter()
        self.batches: list[tuple[list[int], int, int]] = []
        self.pieces = 0

    def predictions(self, draws: Draws, start: int = 0) -> Iterator[torch.Tensor]:
        self.batches.append((draws.names.tolist(), int(draws.firsts[0]), draws.samples))
        for piece in self.engine.predictions(draws, start):
            self.pieces += 1
            self.after(self.pieces)
            for item in range(start, start + len(piece)):
                image = item // draws.samples
                self.draws[int(draws.names[image]), int(draws.firsts[image]) + item % draws.samples] += 1
            start += len(piece)
            yield piece

    def logits(self, images: torch.Tensor) -> torch.Tensor:
        return self.engine.logits(images)


@pytest.mark.parametrize("requests", REQUESTS.values(), ids=REQUESTS)
def test_nothing_is_drawn_twice_or_in_vain(case: SimpleNamespace, requests: list[tuple[list[int], int]]) -> None:
    engine = Watched(case.engines["openvino 7 2"])
    tallies = made(case, engine)
    needed = np.zeros(5, int)
    for rows, position in [*requests, *requests]:
        tallies.tally(np.array(rows, int), position)
        np.maximum.at(needed, rows, SIZES[position])
        np.testing.assert_array_equal(tallies.passes, needed)
        every = {(name, draw) for name, count in zip(NAMES, needed, strict=True) for draw in range(count)}
        assert engine.draws == Counter(every)


def test_a_request_is_one_run_of_all_images_that_begin_alike(case: SimpleNamespace) -> None:
    engine = Watched(case.engines["openvino 7 2"])
    tallies = made(case, engine)
    tallies.tally(np.array([4, 0, 2]), 2)
    tallies.tally(np.array([2, 4]), 3)
    three, two = [NAMES[row] for row in (0, 2, 4)], [NAMES[row] for row in (2, 4)]
    assert engine.batches == [(three, 0, 9), (two, 9, 31)]


class Clock:
    """A clock that goes on by a second at each look."""

    def __init__(self) -> None:
        self.now = 0

    def perf_counter(self) -> int:
        self.now += 1
        return self.now


def test_images_share_the_seconds_of_their_batches(case: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampling, "time", Clock())
    tallies = made(case, case.engines["openvino 64 1"], sizes=[4, 10])
    tallies.tally(np.array([1, 3]), 0)
    tallies.tally(np.array([3]), 1)
    assert tallies.seconds_of(EVERY, 0).tolist() == [0, 0.5, 0, 0.5, 0]
    assert tallies.seconds_of(np.array([3, 0, 1]), 1).tolist() == [1.5, 0, 0.5]


def checkpoint_at(path: Path, names: tuple[str, ...] = online.ARRAYS) -> Checkpoint:
    return Checkpoint(path, {"a": 1}, names)


def passes_of(path: Path) -> np.ndarray:
    return read_arrays(path, online.ARRAYS, "work")[0]["passes"]


def race(tallies: Online) -> list[int]:
    """Draw on until an image's most frequent class leads by three draws: requests that depend on counts."""
    ends, left = [LAST] * 5, EVERY
    for position in range(len(SIZES)):
        first, second = np.sort(tallies.tally(left, position), axis=1)[:, :-3:-1].T
        for row in left[first - second >= 3]:
            ends[row] = position
        left = left[first - second < 3]
    return ends


@pytest.mark.parametrize("pieces", [1, 2, 3, 5, 8])
def test_counts_do_not_depend_on_where_a_run_stops(
    case: SimpleNamespace, reference: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pieces: int
) -> None:
    """Within a cell and at its end; nothing that was saved is drawn again."""
    expected = race(made(case))
    assert len(set(expected)) >= 3

    def fail(done: int) -> None:
        if done > pieces:
            raise InterruptedError

    path, plain = tmp_path / "work.npz", case.engines["openvino 1 1"]
    with monkeypatch.context() as patch:
        patch.setattr(progress, "SAVE_SECONDS", -1.0)
        for _ in range(2):
            with pytest.raises(InterruptedError):
                race(made(case, Watched(plain, fail), checkpoint=checkpoint_at(path)))
    saved = passes_of(path)
    again = Watched(case.engines["openvino 7 2"])
    with made(case, again, checkpoint=checkpoint_at(path)) as tallies:
        np.testing.assert_array_equal(tallies.passes, saved)
        assert race(tallies) == expected
        assert not {draw for draw in again.draws if draw[1] < saved[NAMES.index(draw[0])]}
        assert max(again.draws.values()) == 1
        np.testing.assert_array_equal(tallies.tally(EVERY, LAST), reference[:, LAST])
        for position in range(len(SIZES)):
            np.testing.assert_array_equal(tallies.tally(EVERY, position), reference[:, position])
        assert (np.diff([tallies.seconds_of(EVERY, position) for position in range(len(SIZES))], axis=0) > 0).all()


def test_several_images_may_be_left_within_their_cells(
    case: SimpleNamespace, reference: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If requests differ between runs."""
    path = tmp_path / "work.npz"
    monkeypatch.setattr(progress, "SAVE_SECONDS", -1.0)

    def fail(done: int) -> None:
        if done > 2:
            raise InterruptedError

    for row in (3, 1):
        with pytest.raises(InterruptedError):
            made(
                case, Watched(case.engines["openvino 1 1"], fail), sizes=[60, 100], checkpoint=checkpoint_at(path)
            ).tally(np.array([row]), 0)
    assert sorted(passes_of(path)) == [0, 0, 0, 16, 16]
    tallies = made(case, sizes=[60, 100], checkpoint=checkpoint_at(path))
    np.testing.assert_array_equal(tallies.tally(EVERY, 1), reference[:, LAST])


@pytest.mark.parametrize(("number", "error"), [(signal.SIGTERM, Stopped), (signal.SIGINT, KeyboardInterrupt)])
def test_a_signal_saves_the_chunk(
    case: SimpleNamespace,
    reference: np.ndarray,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    number: signal.Signals,
    error: type[BaseException],
) -> None:
    """Also if it comes in the last chunk of a request."""

    def ask(pieces: int) -> None:
        if pieces == 1:
            os.kill(os.getpid(), number)

    path, handler = tmp_path / "work.npz", signal.getsignal(number)
    engine = Watched(case.engines["openvino 64 1"], ask)
    with pytest.raises(error), made(case, engine, checkpoint=checkpoint_at(path)) as tallies:
        tallies.tally(EVERY, 2)
    assert signal.getsignal(number) == handler
    assert passes_of(path).tolist() == [9] * 5
    assert "counting as needed: 45 of 500 draws are saved" in capsys.readouterr().err
    tallies = made(case, checkpoint=checkpoint_at(path))
    np.testing.assert_array_equal(tallies.tally(EVERY, LAST), reference[:, LAST])


def test_a_signal_after_the_last_draw_ends_the_work_too(case: SimpleNamespace, tmp_path: Path) -> None:
    def work() -> None:
        with made(case, checkpoint=checkpoint_at(path)) as tallies:
            tallies.tally(EVERY, LAST)
            os.kill(os.getpid(), signal.SIGTERM)
            tallies.finish()

    path = tmp_path / "work.npz"
    with pytest.raises(Stopped):
        work()
    assert passes_of(path).tolist() == [100] * 5


PREPARED = """
import sys
from pathlib import Path
import numpy as np, torch
from accelerated_smoothing import models, progress
from accelerated_smoothing.counting import engines, online
torch.manual_seed(0)
model = models.build("resnet8", 10, [0.5], [0.25]).eval()
engine = engines.build(model, (1, 8, 8), device=torch.device("cpu"), batch_size=4)
images = np.random.default_rng(0).random((6, 1, 8, 8), np.float32)
"""
KILLED = (
    PREPARED
    + """
progress.SAVE_SECONDS = 0.0
checkpoint = progress.Checkpoint(Path(sys.argv[1]), {"a": 1}, online.ARRAYS)
with online.Online(engine, images, 0.5, [700, 2000], 0, classes=10, checkpoint=checkpoint) as tallies:
    for position in (0, 1):
        counts = tallies.tally(np.arange(6), position)
np.save(sys.argv[2], counts)
"""
)


@pytest.mark.slow
def test_counts_do_not_depend_on_a_kill(tmp_path: Path) -> None:
    path, results = tmp_path / "work.npz", [tmp_path / name for name in ("killed.npy", "whole.npy")]
    command = [sys.executable, "-c", KILLED]
    process = subprocess.Popen([*command, str(path), str(results[0])])
    try:
        deadline = time.monotonic() + 120
        while not (path.exists() and passes_of(path).sum() > 1000):  # within an image, past another
            assert process.poll() is None, "the run ended before it could be killed"
            assert time.monotonic() < deadline, "no work was saved"
            time.sleep(0.005)
    finally:
        process.kill()
        process.wait()
    assert not results[0].exists()
    for work, result in zip((path, tmp_path / "other.npz"), results, strict=True):
        subprocess.run([*command, str(work), str(result)], check=True)
    np.testing.assert_array_equal(np.load(results[0]), np.load(results[1]))


MEMORY = (
    PREPARED
    + """
import resource
for samples in (1_000, 100_000):
    tallies = online.Online(engine, images[:2], 0.5, [100, samples], 0, classes=10)
    for position in (0, 1):
        tallies.tally(np.arange(2), position)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""
)


@pytest.mark.slow
def test_memory_does_not_depend_on_the_draws() -> None:
    """Noise of 200,000 draws would be 51 MB, a tenth of what a process with torch takes."""
    done = subprocess.run([sys.executable, "-c", MEMORY], capture_output=True, text=True, check=True)
    few, many = map(int, done.stdout.split())
    assert many < 1.05 * few


@pytest.mark.parametrize("sizes", [[], [0, 5], [-1], [5, 5], [9, 4], [[1, 2]]])
def test_sizes_must_ascend(case: SimpleNamespace, sizes: list[Any]) -> None:
    with pytest.raises(ValueError, match="sizes must ascend from 1 or more, got "):
        made(case, sizes=sizes)


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({"sizes": [1, 2**32 + 1]}, r"draws and names of images must be in \[0, 4294967296\)"),
        ({"idx": [0, 1, 2, 3, -4]}, r"draws and names of images must be in \[0, 4294967296\)"),
        ({"idx": [0, 1]}, r"names must have shape \(5,\), one for each image, got \(2,\)"),
        ({"sigma": [0.5, 1]}, "broadcast"),
        ({"noise": "cauchy"}, "noise must be one of gaussian, laplace, uniform, got 'cauchy'"),
    ],
)
def test_bad_values_are_refused_before_anything_is_drawn(
    case: SimpleNamespace, options: dict[str, Any], line: str
) -> None:
    with pytest.raises(ValueError, match=line):
        made(case, **options)


def test_a_checkpoint_of_other_counting_is_refused(case: SimpleNamespace, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="checkpoint must be of the arrays tally, seconds, passes, got tally, seconds"):
        made(case, checkpoint=checkpoint_at(tmp_path / "work.npz", ("tally", "seconds")))


@pytest.mark.parametrize("position", [-1, 6])
def test_a_size_that_there_is_not_is_refused(case: SimpleNamespace, position: int) -> None:
    tallies = made(case)
    for ask in (tallies.tally, tallies.seconds_of):
        with pytest.raises(ValueError, match=rf"position must be in \[0, 6\), got {position}"):
            ask(EVERY, position)
    assert not tallies.passes.any()
