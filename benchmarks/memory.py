"""Peak memory of counting on one image, beyond that of importing PyTorch. Each case is a process of its own."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import torch

from benchmarks import Row, Size
from benchmarks.counting import engine_counts, precisions

STATUS = Path("/proc/self/status")
PEAK = r"VmHWM:\s+(\d+) kB"  # not `ru_maxrss`, which includes the parent's memory
BARE = f"import torch, re; print(int(re.findall(r'{PEAK}', open('{STATUS}').read())[0]) / 1000)"


def peak() -> float:
    """Return the peak memory of this process so far, MB."""
    return int(re.findall(PEAK, STATUS.read_text())[0]) / 1000


def child(*words: object) -> float:
    """Return the number that a Python process prints."""
    command = [sys.executable, *map(str, words)]
    return float(subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout)


def measure(device: torch.device, size: Size) -> Iterator[Row]:
    """Yield the peak memory of the largest network at the two largest N. It should not grow with N."""
    arch, precision, threads = size.networks[-1], precisions(device)[-1], torch.get_num_threads()
    bare = child("-c", BARE)
    few, many = (
        child("-m", "benchmarks.memory", device.type, arch, precision, n, threads) - bare for n in size.samples[-2:]
    )
    first, last = (f"engine, {precision}, N = {n}" for n in size.samples[-2:])
    unit = "MB beyond importing torch"
    yield Row("peak memory", arch, first, few, unit)
    yield Row("peak memory", arch, last, many, unit, ratio=many / few, against=first)


if __name__ == "__main__":
    kind, arch, precision, n, threads = sys.argv[1:]
    torch.set_num_threads(int(threads))
    engine_counts(arch, torch.device(kind), precision)(int(n))
    print(peak())
