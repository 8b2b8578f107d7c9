"""Peak memory of counting on one image, beyond what importing PyTorch takes: each case in a process of its own."""

import re
import subprocess
import sys
from pathlib import Path

import torch

from benchmarks import Row
from benchmarks.counting import engine_counts, precisions

ARCH, SAMPLES = "resnet110", (1_000, 100_000)
STATUS = Path("/proc/self/status")
PEAK = r"VmHWM:\s+(\d+) kB"  # not `ru_maxrss`, which counts the parent's memory, too
BARE = f"import torch, re; print(int(re.findall(r'{PEAK}', open('{STATUS}').read())[0]) / 1000)"


def peak() -> float:
    """The most memory that this process has had so far, MB."""
    return int(re.findall(PEAK, STATUS.read_text())[0]) / 1000


def child(*words: object) -> float:
    """What a Python process prints."""
    command = [sys.executable, *map(str, words)]
    return float(subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout)


def measure(device: torch.device) -> list[Row]:
    precision, threads = precisions(device)[-1], torch.get_num_threads()
    bare = child("-c", BARE)
    taken = {n: child("-m", "benchmarks.memory", device.type, precision, n, threads) - bare for n in SAMPLES}
    first, last = (f"engine, {precision}, N = {n}" for n in SAMPLES)
    few, many = taken.values()
    return [
        Row("peak memory", ARCH, first, few, "MB beyond importing torch"),
        Row("peak memory", ARCH, last, many, "MB beyond importing torch", ratio=many / few, against=first),
    ]


if __name__ == "__main__":
    where, kind, draws, cores = sys.argv[1:]
    torch.set_num_threads(int(cores))
    engine_counts(ARCH, torch.device(where), kind)(int(draws))
    print(peak())
