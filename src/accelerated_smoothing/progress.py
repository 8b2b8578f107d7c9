"""Long work: progress on a terminal or in a log file, saving now and then, and an orderly end after a signal."""

import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, NoReturn, Self

import numpy as np
from tqdm import tqdm

from accelerated_smoothing.errors import InputError
from accelerated_smoothing.files import discard, read_arrays, write_arrays

LOG_SECONDS = 60.0
SAVE_SECONDS = 30.0  # between two savings of unfinished work: what a killed run loses at most


class Stopped(BaseException):
    """SIGTERM came, as before a time limit or a preemption. Like KeyboardInterrupt, it is not an error."""


def stop(number: int, frame: FrameType | None = None) -> NoReturn:
    """Stop at once, as a handler of SIGINT and SIGTERM."""
    raise KeyboardInterrupt if number == signal.SIGINT else Stopped


class Checkpoint:
    """A file beside the output that holds finished work while a run lasts.

    Attributes:
        path: the file.
        identity: whatever determines the work; work with another identity is not continued.
        names: of the arrays in the file.
    """

    def __init__(self, path: Path, identity: dict[str, Any], names: Sequence[str]) -> None:
        self.path, self.identity, self.names = path, identity, names

    def load(self) -> tuple[dict[str, np.ndarray], int] | None:
        """Return the saved arrays and how much work is done; None if nothing usable was saved."""
        if not self.path.exists():
            return None
        try:
            arrays, meta = read_arrays(self.path, self.names, "work")
        except InputError:
            return None
        return (arrays, meta["done"]) if meta["identity"] == self.identity else None

    def resume(self, arrays: dict[str, np.ndarray]) -> int:
        """Replace arrays by the saved ones, if there are any, and return how much work is done."""
        saved = self.load()
        if saved is None:
            return 0
        arrays.update(saved[0])
        return saved[1]

    def save(self, arrays: dict[str, np.ndarray], done: int) -> None:
        """Write the arrays and how much work is done."""
        write_arrays(self.path, arrays, {"kind": "work", "identity": self.identity, "done": done})

    def clear(self) -> None:
        """Remove the file."""
        discard(self.path)


def partial(output: Path) -> Path:
    """Return where the finished work of an output lies while the run lasts."""
    return output.with_name(output.name + ".partial.npz")


class Progress:
    """Counts finished work, and shows it with a rate and the time left.

    While it lasts, SIGINT and SIGTERM interrupt nothing: they set `asked`, and `Resumable.advance` saves and ends the
    work after the current chunk. A second SIGINT ends it at once. A second SIGTERM does not: schedulers repeat it.

    Attributes:
        done: finished work, with that of earlier runs.
        asked: the signal that asked for the end, or 0.
    """

    def __init__(self, what: str, total: int, unit: str, show: bool) -> None:
        self.what, self.total, self.unit, self.done, self.earlier = what, total, unit, 0, 0
        self.begun = self.reported = time.monotonic()
        self.bar = None
        self.show = show
        self.asked = 0
        self._handlers: dict[int, Any] = {}
        if show and sys.stderr.isatty():
            self.bar = tqdm(total=total, desc=what, unit=f" {unit}", unit_scale=True, leave=False)

    def __enter__(self) -> Self:
        self._listen()
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        if self.bar is not None:
            self.bar.close()
        elif self.show and kind is None and time.monotonic() - self.begun > 1:  # shorter work needs no report
            self._report()

    def resume(self, amount: int) -> None:
        """Count work of an earlier run, which the rate leaves out."""
        self.done = self.earlier = amount
        if amount and self.show:
            self.note(f"{self.what}: goes on from {amount} of {self.total} {self.unit}")
        if self.bar is not None:
            self.bar.initial = self.bar.n = amount

    def update(self, amount: int) -> None:
        """Count finished work."""
        self.done += amount
        if self.bar is not None:
            self.bar.update(amount)
        elif self.show and time.monotonic() - self.reported > LOG_SECONDS:
            self._report()

    def note(self, line: str) -> None:
        """Print a line above the bar, or into the log."""
        tqdm.write(line, file=sys.stderr)
        sys.stderr.flush()

    def stop(self) -> NoReturn:
        """End the work as the signal asks, after everything was saved."""
        self.note(f"{self.what}: {self.done} of {self.total} {self.unit} are saved")
        stop(self.asked)

    def _listen(self) -> None:
        if threading.current_thread() is threading.main_thread():  # Python delivers signals nowhere else
            self._handlers = {number: signal.signal(number, self._ask) for number in (signal.SIGINT, signal.SIGTERM)}

    def _ask(self, number: int, frame: FrameType | None) -> None:
        if self.asked and number == signal.SIGINT:
            stop(number)
        self.asked = number

    def _report(self) -> None:
        self.reported = time.monotonic()
        rate = (self.done - self.earlier) / max(self.reported - self.begun, 1e-9)
        left = (self.total - self.done) / max(rate, 1e-9)
        share = 100 * self.done / max(self.total, 1)
        print(
            f"{self.what}: {self.done} of {self.total} {self.unit} ({share:.0f} %), "
            f"{rate:.4g} {self.unit}/s, {left:.0f} s left",
            file=sys.stderr,
            flush=True,
        )


class Resumable(Progress):
    """Progress of work that is saved every `SAVE_SECONDS`, and before it ends after a signal.

    Work that saves nothing leaves signals to the work around it, or ends at once.

    A loop starts from `done`, and calls `advance` after each chunk.
    """

    def __init__(
        self, what: str, total: int, unit: str, done: int, save: Callable[[int], None] | None, show: bool = True
    ) -> None:
        """Create it.

        Args:
            what: the work, for people.
            total: amount of work.
            unit: of the amount, for people.
            done: amount that an earlier run finished.
            save: writes the finished work, given its amount; None to save nothing.
            show: whether progress is shown.
        """
        super().__init__(what, total, unit, show)
        self.save = save
        self.saved = time.monotonic()
        self.resume(done)

    def _listen(self) -> None:
        if self.save is not None:  # else there is nothing to wait for, or work around this one is saved
            super()._listen()

    def advance(self, amount: int) -> None:
        """Count a finished chunk, save if it is time, and end if a signal asked for it and work is left."""
        self.update(amount)
        stopping = self.asked and self.done < self.total
        if stopping or time.monotonic() - self.saved > SAVE_SECONDS:
            self.keep()
        if stopping:
            self.stop()

    def keep(self) -> None:
        """Save what is finished."""
        if self.save is not None:
            self.save(self.done)
        self.saved = time.monotonic()

    def finish(self) -> None:
        """Save what is finished, and end if a signal asked for it after the last chunk: other work is still to come."""
        self.keep()
        if self.asked:
            self.stop()
