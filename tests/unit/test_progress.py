import contextlib
import os
import signal
import threading
from pathlib import Path

import numpy as np
import pytest

from accelerated_smoothing import progress
from accelerated_smoothing.progress import Checkpoint, Progress, Resumable, Stopped


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fifty seconds pass between two looks at the clock."""
    seconds = iter(range(0, 10_000, 50))
    monkeypatch.setattr(progress.time, "monotonic", lambda: float(next(seconds)))


def test_a_log_file_gets_a_line_at_the_end(capsys: pytest.CaptureFixture[str]) -> None:
    with Progress("counting", 200, "draws", show=True) as bar:
        bar.update(200)
        assert capsys.readouterr().err == ""
    printed = capsys.readouterr().err
    assert printed.startswith("counting: 200 of 200 draws (100 %), ")
    assert printed.endswith(" draws/s, 0 s left\n")
    assert printed.count("\n") == 1


def test_a_log_file_gets_a_line_now_and_then(capsys: pytest.CaptureFixture[str]) -> None:
    with Progress("counting", 10, "draws", show=True) as bar:
        for _ in range(10):
            bar.update(1)
    lines = capsys.readouterr().err.splitlines()
    assert 3 <= len(lines) < 10
    assert lines[0].startswith("counting: 2 of 10 draws (20 %), 0.0")
    assert lines[-1].startswith("counting: 10 of 10 draws (100 %)")


def test_nothing_is_claimed_after_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    class SomeError(Exception):
        pass

    def fail() -> None:
        with Progress("counting", 200, "draws", show=True) as bar:
            bar.update(50)
            raise SomeError

    with pytest.raises(SomeError):
        fail()
    assert capsys.readouterr().err == ""


def test_nothing_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    with Progress("counting", 0, "draws", show=True):
        pass
    assert "0 of 0" in capsys.readouterr().err


def test_nothing_is_shown_unasked(capsys: pytest.CaptureFixture[str]) -> None:
    with Progress("counting", 200, "draws", show=False) as bar:
        bar.update(100)
        bar.update(100)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(("second", "waits"), [(signal.SIGTERM, True), (signal.SIGINT, False)])
def test_only_the_impatient_interrupt_the_saving(second: signal.Signals, waits: bool) -> None:
    """Schedulers repeat SIGTERM as they please."""
    waited = False
    with contextlib.suppress(KeyboardInterrupt), Progress("counting", 200, "draws", show=False) as bar:
        os.kill(os.getpid(), signal.SIGTERM)
        assert bar.asked == signal.SIGTERM
        os.kill(os.getpid(), second)
        waited = True
    assert waited == waits


def test_signals_are_given_back() -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    with Progress("counting", 200, "draws", show=False):
        assert signal.getsignal(signal.SIGTERM) != before[1]
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


def test_elsewhere_than_in_the_main_thread_signals_are_left_alone() -> None:
    def work() -> None:
        with Progress("counting", 200, "draws", show=False) as bar:
            bar.update(200)
            done.append(bar.done)

    done: list[int] = []
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert done == [200]


class Saved(list[int]):
    def __call__(self, done: int) -> None:
        self.append(done)


def test_resumable_work_is_saved_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    saved = Saved()
    monkeypatch.setattr(progress, "SAVE_SECONDS", 1e6)
    with Resumable("counting", 30, "draws", 10, saved, show=False) as work:
        assert work.done == 10
        work.advance(5)
        assert saved == []
        monkeypatch.setattr(progress, "SAVE_SECONDS", 30.0)
        work.advance(5)
        assert saved == [20]
        monkeypatch.setattr(progress, "SAVE_SECONDS", 1e6)
        work.keep()
        work.advance(5)
    assert saved == [20, 20]


@pytest.mark.parametrize(("number", "error"), [(signal.SIGTERM, Stopped), (signal.SIGINT, KeyboardInterrupt)])
def test_resumable_work_that_is_asked_to_end_is_saved_first(
    number: signal.Signals,
    error: type[BaseException],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    saved = Saved()
    monkeypatch.setattr(progress, "SAVE_SECONDS", 1e6)

    def count() -> None:
        with Resumable("counting", 30, "draws", 0, saved, show=False) as work:
            work.advance(5)
            os.kill(os.getpid(), number)
            work.advance(5)

    with pytest.raises(error):
        count()
    assert saved == [10]
    assert "counting: 10 of 30 draws are saved" in capsys.readouterr().err


def test_finished_work_needs_no_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """A signal during the last chunk comes too late."""
    saved = Saved()
    monkeypatch.setattr(progress, "SAVE_SECONDS", 1e6)
    with Resumable("counting", 10, "draws", 0, saved, show=False) as work:
        os.kill(os.getpid(), signal.SIGTERM)
        work.advance(10)
    assert saved == []


def test_a_signal_in_the_last_chunk_ends_what_has_more_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    saved = Saved()
    monkeypatch.setattr(progress, "SAVE_SECONDS", 1e6)

    def first_of_two() -> None:
        with Resumable("embedding", 10, "images", 0, saved, show=False) as work:
            os.kill(os.getpid(), signal.SIGTERM)
            work.advance(10)
            work.finish()

    with pytest.raises(Stopped):
        first_of_two()
    assert saved == [10]


def test_work_that_saves_nothing_leaves_signals_to_the_work_around_it(monkeypatch: pytest.MonkeyPatch) -> None:
    saved = Saved()
    monkeypatch.setattr(progress, "SAVE_SECONDS", 1e6)

    def around() -> None:
        with Resumable("attacking", 2, "images", 0, saved, show=False) as outer:
            with Resumable("counting", 10, "draws", 0, None, show=False) as inner:
                os.kill(os.getpid(), signal.SIGTERM)
                inner.advance(10)
            outer.advance(1)
            outer.advance(1)

    with pytest.raises(Stopped):
        around()
    assert saved == [1]
    before = signal.getsignal(signal.SIGINT)
    with Resumable("counting", 10, "draws", 0, None, show=False):
        assert signal.getsignal(signal.SIGINT) == before


def test_a_checkpoint_resumes_arrays_of_the_same_work(tmp_path: Path) -> None:
    first, other = (Checkpoint(tmp_path / "work.npz", {"seed": seed}, ["a"]) for seed in (0, 1))
    first.save({"a": np.arange(3)}, 2)
    arrays = {"a": np.zeros(3, int)}
    assert other.resume(arrays) == 0
    assert arrays["a"].tolist() == [0, 0, 0]
    assert first.resume(arrays) == 2
    assert arrays["a"].tolist() == [0, 1, 2]
    first.clear()
    assert first.resume(arrays) == 0
