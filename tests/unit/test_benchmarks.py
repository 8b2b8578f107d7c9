"""The benchmarks' runner: what a run keeps if it is stopped, and what follows a measure that fails."""

from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
import torch

from accelerated_smoothing import registry
from accelerated_smoothing.counting import engines
from benchmarks import FULL, QUICK, Row
from benchmarks.__main__ import MEASURES, main, run
from benchmarks.counting import convolution, engine_ways
from benchmarks.embedded import HEADS


def works() -> Iterator[Row]:
    yield Row("counting", "resnet20", "plain loop", 100.0, "images/s", 90.0, 110.0, 3, 1.0, "plain loop")
    yield Row("counting", "resnet20", "engine", 300.0, "images/s", 290.0, 310.0, 3, 3.0, "plain loop")


def trains() -> Iterator[Row]:
    yield Row("training", "resnet20", "plain step", 50.0, "images/s")


def stops() -> Iterator[Row]:
    yield from trains()
    raise KeyboardInterrupt


def fails() -> Iterator[Row]:
    yield from ()
    raise RuntimeError("first line\nsecond line")


def test_stopped_run_keeps_its_rows(tmp_path: Path) -> None:
    output = tmp_path / "benchmarks.csv"
    with pytest.raises(KeyboardInterrupt):
        run({"counting": works, "training": stops}, output, size="quick")
    table = pd.read_csv(output)
    assert list(table["way"]) == ["plain loop", "engine", "plain step"]
    assert list(table["value"]) == [100, 300, 50]
    assert set(table["size"]) == {"quick"}
    assert list(tmp_path.iterdir()) == [output]


def test_failed_measure_leaves_the_others(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "benchmarks.csv"
    assert run({"training": fails, "counting": works}, output) == ["training"]
    assert len(pd.read_csv(output)) == 2
    printed = capsys.readouterr()
    assert printed.out.splitlines() == [str(row) for row in works()]
    failed, done = printed.err.splitlines()
    assert failed.startswith(r"training: failed, RuntimeError('first line\nsecond line')")
    assert done.startswith("counting: done")


def exit_code(monkeypatch: pytest.MonkeyPatch, output: Path, *words: str) -> int:
    monkeypatch.setattr("sys.argv", ["benchmarks", "--threads", "1", "--output", str(output), *words])
    return main()


@pytest.mark.parametrize(("measure", "code"), [(trains, 0), (fails, 1), (stops, 130)])
def test_exit_code(measure: object, code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(MEASURES, "counting", lambda device, size: works())
    monkeypatch.setitem(MEASURES, "training", lambda device, size: measure())  # type: ignore[operator]
    output = tmp_path / "benchmarks.csv"
    assert exit_code(monkeypatch, output, "--quick", "--only", "counting", "training") == code
    assert set(pd.read_csv(output)["size"]) == {"quick"}
    assert output.with_suffix(".svg").exists()
    assert output.with_suffix(".png").exists()


def test_quick_is_smaller() -> None:
    assert set(QUICK.networks) < set(FULL.networks)
    assert set(QUICK.backbones) < set(FULL.backbones) <= set(HEADS)
    for key in ("repeats", "operations", "counts", "epochs", "images", "draws"):
        assert getattr(QUICK, key) < getattr(FULL, key)
    assert QUICK.samples[-1] < FULL.samples[-1]


def test_a_gpu_counts_in_every_precision_and_by_every_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "build", lambda *_, **options: None)
    ways = engine_ways(torch.device("cuda"))
    assert len(ways) == 3 * (1 + len(registry.names("counting.kernels")))
    assert ways["engine, bf16"] == ("bf16", None)
    assert ways["engine, tf32, cudnn"] == ("tf32", "cudnn")
    assert list(engine_ways(torch.device("cpu")).values()) == [("fp32", None), ("tf32", None), ("bf16", None)]


def test_a_convolution_is_timed_more_than_once() -> None:
    run, amount = convolution(16, 8, "bf16", torch.device("cpu"), 1e6)
    for _ in range(2):
        run(amount)
    assert amount >= 1e6
