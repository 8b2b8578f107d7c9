"""The command line: parse, run one verb, and report every error in one line."""

import os
import signal
import sys

from accelerated_smoothing import command, progress
from accelerated_smoothing.errors import InputError
from accelerated_smoothing.provenance import records

TRY_AGAIN = 75  # EX_TEMPFAIL of sysexits.h
# Libraries read these when they are loaded: oneDNN, PyTorch's own kernels, and MKL, whose sums depend on the CPU else.
PORTABLE = {"ONEDNN_MAX_CPU_ISA": "AVX2", "ATEN_CPU_CAPABILITY": "avx2", "MKL_CBWR": "COMPATIBLE"}


def main(words: list[str] | None = None) -> int:
    """Run one verb.

    Returns:
        0; 1 after an audit that does not hold; 2 after an error that the user can mend; 130 after Ctrl-C, and TRY_AGAIN
        after SIGTERM: the same command then continues from what is saved.
    """
    words = sys.argv[1:] if words is None else words
    before = signal.signal(signal.SIGTERM, progress.stop)
    try:
        call = command.parse(words)
        if call is None:
            return 0
        if getattr(call.arguments, "portable", False):
            os.environ.update(PORTABLE)
        with records.recorded(call, words):
            return call.run() or 0
    except InputError as error:
        print(f"accelerated-smoothing: error: {error}", file=sys.stderr)
        return 2
    except (KeyboardInterrupt, progress.Stopped) as stop:
        print("accelerated-smoothing: stopped; the same command continues from the last saved step", file=sys.stderr)
        return 130 if isinstance(stop, KeyboardInterrupt) else TRY_AGAIN
    except BrokenPipeError:  # the reader of a printed table has gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    finally:
        signal.signal(signal.SIGTERM, before)
    return 0
