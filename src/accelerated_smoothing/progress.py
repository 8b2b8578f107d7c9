"""Progress: a bar on a terminal, a line now and then in a log file."""

import sys
import time
from types import TracebackType

from tqdm import tqdm

LOG_SECONDS = 60.0


class Progress:
    """Counts finished work, and shows it with a rate and the time left."""

    def __init__(self, what: str, total: int, unit: str, show: bool) -> None:
        self.what, self.total, self.unit, self.done, self.earlier = what, total, unit, 0, 0
        self.begun = self.told = time.monotonic()
        self.bar = None
        self.show = show
        if show and sys.stderr.isatty():
            self.bar = tqdm(total=total, desc=what, unit=f" {unit}", unit_scale=True, leave=False)

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self.bar is not None:
            self.bar.close()
        elif self.show and kind is None and time.monotonic() - self.begun > 1:  # shorter work has no need of a report
            self._tell()

    def resume(self, amount: int) -> None:
        """Count work of an earlier run, which says nothing of this one's rate."""
        self.done = self.earlier = amount
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
