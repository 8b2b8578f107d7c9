"""Run all of it: `python -m benchmarks --output results/benchmarks.csv`, ten minutes at most on two cores."""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import pandas as pd
import torch

from accelerated_smoothing.counting import engines
from accelerated_smoothing.files import atomic, write_text
from benchmarks import (
    IMAGE,
    Row,
    allocator,
    certificate,
    counting,
    embedded,
    figure,
    memory,
    network,
    precision,
    statistic,
    training,
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, prog="benchmarks")
    parser.add_argument("--output", type=Path, default=Path("results/benchmarks.csv"), help="CSV; a figure beside it")
    parser.add_argument("--threads", type=int, default=2, help="of the CPU (default 2)")
    parser.add_argument(
        "--base", type=Path, help="trained weights for the comparison of precisions, instead of digits'"
    )
    parser.add_argument("--images", type=Path, help="a split of its dataset")
    parser.add_argument("--slice", default=":", help="which of the images")
    parser.add_argument("--n", type=int, default=1000, help="draws per image of that comparison (default 1000)")
    parser.add_argument("--only", nargs="+", metavar="MEASURE", help="some of the measures")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")

    def precisions() -> list[Row]:
        with tempfile.TemporaryDirectory() as folder:
            base, images = (arguments.base, arguments.images) if arguments.base else precision.digits(Path(folder))
            return precision.measure(device, base, images, arguments.slice, arguments.n)

    measures: dict[str, Callable[[], list[Row]]] = {
        "statistics": statistic.measure,
        "counting": lambda: counting.measure(device),
        "training": lambda: training.measure(device),
        "certificate": lambda: certificate.measure(device),
        "embedded": lambda: embedded.measure(device),
        "memory": lambda: memory.measure(device),
        "precision": precisions,
    }
    engine = engines.build(network("resnet20"), IMAGE, device=device)
    machine = f"{engine.build}, {arguments.threads} CPU threads, torch {torch.__version__}, {allocator()} allocator"
    rows = []
    for measure in arguments.only or measures:
        begun = time.perf_counter()
        rows += measures[measure]()
        print(f"{measure}: {time.perf_counter() - begun:.0f} s", file=sys.stderr, flush=True)
    table = pd.DataFrame([asdict(row) for row in rows]).assign(machine=machine)
    write_text(arguments.output, table.to_csv(index=False, float_format="%.5g"))
    if "counting" in (arguments.only or measures):
        drawn = figure.draw(table)
        for suffix, options in ((".svg", {"metadata": {"Date": None}}), (".png", {"dpi": 200})):
            with atomic(arguments.output.with_suffix(suffix)) as draft:
                drawn.savefig(draft, format=suffix[1:], **options)
    shown = table[["measure", "subject", "way", "value", "unit", "ratio", "against"]]
    print(shown.to_csv(index=False, sep="\t", float_format="%.4g"), end="")


if __name__ == "__main__":
    main()
