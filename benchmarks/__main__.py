"""Run all measures: ten minutes at most on two cores, two minutes with --quick.

The CSV is written again after each row, so that a run can be stopped at any time and keeps what it has measured.
"""

import argparse
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path

import pandas as pd
import torch

from accelerated_smoothing import devices
from accelerated_smoothing.counting import engines
from accelerated_smoothing.errors import InputError
from accelerated_smoothing.files import check_writable, write_text
from benchmarks import (
    FULL,
    IMAGE,
    QUICK,
    Row,
    allocator,
    certificate,
    counting,
    embedded,
    figure,
    memory,
    network,
    online,
    precision,
    statistic,
    training,
)

MEASURES: dict[str, Callable[..., Iterator[Row]]] = {
    "statistics": statistic.measure,
    "counting": counting.measure,
    "training": training.measure,
    "certificate": certificate.measure,
    "online": online.measure,
    "embedded": embedded.measure,
    "memory": memory.measure,
    "precision": precision.measure,
}


def run(measures: Mapping[str, Callable[[], Iterator[Row]]], output: Path, **columns: str) -> list[str]:
    """Run measures one after another. Print each row as it comes, and write the table of all rows so far.

    A measure that raises an error is reported in one line, and the others go on.

    Args:
        measures: name: function that yields rows.
        output: CSV.
        columns: values of further columns, the same in all rows.

    Returns:
        The names of the measures that failed.
    """
    table, failed = [], []
    for name, measure in measures.items():
        start = time.perf_counter()
        try:
            for row in measure():
                table.append(asdict(row) | columns)
                write_text(output, pd.DataFrame(table).to_csv(index=False, float_format="%.5g"))
                print(row, flush=True)
            outcome = "done"
        except Exception as error:  # of any kind, since the other measures do not depend on it
            failed.append(name)
            outcome = f"failed, {error!r}"
        print(f"{name}: {outcome}, {time.perf_counter() - start:.0f} s", file=sys.stderr, flush=True)
    return failed


def main() -> int:
    """Run the command line. Return 0, 1 if a measure failed, or 130 if stopped by Ctrl-C."""
    parser = argparse.ArgumentParser(description=__doc__, prog="python -m benchmarks")
    parser.add_argument("--quick", action="store_true", help="ResNet-20 only, less work and fewer repeats")
    parser.add_argument(
        "--output",
        type=Path,
        help="CSV, and figures beside it (default results/benchmarks.csv, or results/benchmarks-quick.csv)",
    )
    parser.add_argument("--threads", type=int, default=2, help="CPU threads (default 2)")
    parser.add_argument("--base", type=Path, help="weights for the comparison of precisions (default: train on digits)")
    parser.add_argument("--images", type=Path, help="a split of the data set of --base")
    parser.add_argument("--slice", default=":", help="part of these images, as a Python slice (default all)")
    parser.add_argument("--n", type=int, help=f"draws per image of that comparison (default {FULL.draws})")
    parser.add_argument("--only", nargs="+", choices=MEASURES, metavar="MEASURE", help=", ".join(MEASURES))
    arguments = parser.parse_args()
    if (arguments.base is None) != (arguments.images is None):
        parser.error("--base and --images must be given together")
    size = QUICK if arguments.quick else FULL
    if arguments.n:
        size = replace(size, draws=arguments.n)
    output = arguments.output or Path("results", f"benchmarks{'-quick' if arguments.quick else ''}.csv")
    try:
        check_writable(output.parent)
        device = devices.choose("auto", "device")
    except InputError as error:
        parser.error(str(error))

    torch.set_num_threads(arguments.threads)
    engine = engines.build(network("resnet20"), IMAGE, device=device)
    machine = f"{engine.build}, {arguments.threads} CPU threads, torch {torch.__version__}, {allocator()} allocator"
    print(f"A {size.name} run on {machine}.", file=sys.stderr, flush=True)
    measures = {name: partial(MEASURES[name], device, size) for name in arguments.only or MEASURES}
    if "precision" in measures and arguments.base:
        images = {"base": arguments.base, "images": arguments.images, "part": arguments.slice}
        measures["precision"] = partial(measures["precision"], **images)
    try:
        failed = run(measures, output, size=size.name, machine=machine)
        code = 1 if failed else 0
        outcome = f"Failed: {', '.join(failed)}" if failed else f"The {size.name} run is complete"
    except KeyboardInterrupt:
        code, outcome = 130, "Stopped"
    print(f"{outcome}. What was measured is in {output}.", file=sys.stderr)
    figure.save(output)
    return code


if __name__ == "__main__":
    sys.exit(main())
