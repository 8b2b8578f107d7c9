import contextlib
import os
import signal
import threading

import pytest

from accelerated_smoothing import progress
from accelerated_smoothing.progress import Progress


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fifty seconds pass between two looks at the clock."""
    seconds = iter(range(0, 10_000, 50))
    monkeypatch.setattr(progress.time, "monotonic", lambda: float(next(seconds)))


def test_a_log_file_gets_a_line_at_the_end(capsys: pytest.CaptureFixture[str]) -> None:
    with Progress("counting", 200, "draws", show=True) as bar:
        bar.update(200)
        assert capsys.readouterr().err == ""
    told = capsys.readouterr().err
    assert told.startswith("counting: 200 of 200 draws (100 %), ")
    assert told.endswith(" draws/s, 0 s left\n")
    assert told.count("\n") == 1


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
