"""Long work: a bar on a terminal, a line now and then in a log file, and an orderly end when one is asked for."""

import signal
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, NoReturn

import numpy as np
from tqdm import tqdm

from accelerated_smoothing.errors import InputError
from accelerated_smoothing.files import discard, read_arrays, write_arrays

LOG_SECONDS = 60.0
SAVE_SECONDS = 30.0  # between two savings of unfinished work: what a killed run loses at most


class Stopped(BaseException):
    """SIGTERM came, as it does before a time limit or a preemption; like KeyboardInterrupt, this is no error."""


def stop(number: int, frame: FrameType | None = None) -> NoReturn:
    """Stop at once, as a handler of SIGINT and SIGTERM."""
    raise KeyboardInterrupt if number == signal.SIGINT else Stopped


class Checkpoint:
    """A file beside the output that holds finished work while a run lasts.

    Attributes:
        path: the file.
        identity: whatever determines the work; that of another identity is not gone on with.
        names: of the arrays that hold it.
    """

    def __init__(self, path: Path, identity: dict[str, Any], names: Sequence[str]) -> None:
        self.path, self.identity, self.names = path, identity, names
        self.saved = time.monotonic()

    def due(self) -> bool:
        return time.monotonic() - self.saved > SAVE_SECONDS

    def load(self) -> tuple[dict[str, np.ndarray], int] | None:
        """What was saved, if anything was: the arrays, and how much is done."""
        if not self.path.exists():
            return None
        try:
            arrays, meta = read_arrays(self.path, self.names, "work")
        except InputError:
            return None
        return (arrays, meta["done"]) if meta["identity"] == self.identity else None

    def save(self, arrays: dict[str, np.ndarray], done: int) -> None:
        write_arrays(self.path, arrays, {"kind": "work", "identity": self.identity, "done": done})
        self.saved = time.monotonic()

    def clear(self) -> None:
        discard(self.path)


def partial(output: Path) -> Path:
    """Where the finished work of an output lies while the run lasts."""
    return output.with_name(output.name + ".partial.npz")


class Progress:
    """Counts finished work, and shows it with a rate and the time left.

    While it lasts, SIGINT and SIGTERM interrupt nothing: the loop looks at `asked` after each chunk, saves, and calls
    `stop`. A second SIGINT does not wait; a second SIGTERM, which schedulers give freely, must not spoil the saving.

    Attributes:
        done: how much work is finished, that of earlier runs included.
        asked: the signal that asked for the end, or 0.
    """

    def __init__(self, what: str, total: int, unit: str, show: bool) -> None:
        self.what, self.total, self.unit, self.done, self.earlier = what, total, unit, 0, 0
        self.begun = self.told = time.monotonic()
        self.bar = None
        self.show = show
        self.asked = 0
        self._handlers: dict[int, Any] = {}
        if show and sys.stderr.isatty():
            self.bar = tqdm(total=total, desc=what, unit=f" {unit}", unit_scale=True, leave=False)

    def __enter__(self) -> "Progress":
        if threading.current_thread() is threading.main_thread():  # Python delivers signals nowhere else
            self._handlers = {number: signal.signal(number, self._ask) for number in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        if self.bar is not None:
            self.bar.close()
        elif self.show and kind is None and time.monotonic() - self.begun > 1:  # shorter work has no need of a report
            self._tell()

    def resume(self, amount: int) -> None:
        """Count work of an earlier run, which says nothing of this one's rate."""
        self.done = self.earlier = amount
        if amount and self.show:
            self.note(f"{self.what}: goes on from {amount} of {self.total} {self.unit}")
        if self.bar is not None:
            self.bar.initial = self.bar.n = amount

    def update(self, amount: int) -> None:
        self.done += amount
        if self.bar is not None:
            self.bar.update(amount)
        elif self.show and time.monotonic() - self.told > LOG_SECONDS:
            self._tell()

    def note(self, line: str) -> None:
        """Print a line above the bar, or into the log."""
        tqdm.write(line, file=sys.stderr)
        sys.stderr.flush()

    def stop(self) -> NoReturn:
        """End the work as the signal asks; whatever is to be saved has been."""
        self.note(f"{self.what}: {self.done} of {self.total} {self.unit} are saved")
        stop(self.asked)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        if self.asked and number == signal.SIGINT:
            stop(number)
        self.asked = number

    def _tell(self) -> None:
        self.told = time.monotonic()
        rate = (self.done - self.earlier) / max(self.told - self.begun, 1e-9)
        left = (self.total - self.done) / max(rate, 1e-9)
        share = 100 * self.done / max(self.total, 1)
        print(
            f"{self.what}: {self.done} of {self.total} {self.unit} ({share:.0f} %), "
            f"{rate:.4g} {self.unit}/s, {left:.0f} s left",
            file=sys.stderr,
            flush=True,
        )
