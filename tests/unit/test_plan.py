"""What a config will cost: on the tiny preset, where everything can be counted by hand."""

import time
from pathlib import Path
from typing import Any, NoReturn

import pytest
import torch

from accelerated_smoothing import cli, config, plan, sampling
from accelerated_smoothing.training import loop

ROOT = Path(__file__).parents[2]
FILES = [str(ROOT / "config.yaml"), str(ROOT / "tests/workflow/tiny.yaml")]
# Stage: network, jobs, and images: of 163 training and 40 test images at two sigmas, N = 250 and 100.
STAGES: dict[str, tuple[str, int, int]] = {
    "base classifiers": ("resnet8", 2, 2 * 4 * 1297),
    "counts, train": ("resnet8", 2 * 2, 2 * 163 * 100),
    "counts, test": ("resnet8", 2 * 2, 2 * 40 * 250),
    "counts, selection": ("resnet8", 2, 2 * 40 * 100),
    "counts, variance": ("resnet8", 2 * 2, 2 * 3 * 3 * 250),
    "timing": ("resnet8", 1, 2 * (100 + 250)),
    "surrogates of depth 8": ("resnet8", 2, 2 * 2 * 163),
}


def printed(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[dict[str, list[str]], str]:
    """The table's rows, as [network, jobs, images, disk, MB, images/s, hours] by stage, and what stands below it."""
    assert cli.main(["plan", "--configfile", *FILES, *words]) == 0
    lines = capsys.readouterr().out.splitlines()
    end = next(place for place, line in enumerate(lines) if line.startswith("all "))
    return {line[:24].strip(): line[24:].split() for line in lines[1 : end + 1]}, "\n".join(lines[end + 1 :])


def no_measuring(*_: Any) -> NoReturn:
    raise AssertionError("a rate was measured")


def test_a_plan_costs_nothing_and_says_how_to_get_hours(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plan, "measure", no_measuring)
    rows, below = printed(capsys)
    assert list(rows) == [*STAGES, "all"]
    for name, (network, jobs, images) in STAGES.items():
        assert rows[name][:2] == [network, str(jobs)]
        assert float(rows[name][2]) == pytest.approx(images, rel=1e-3)  # four digits are printed
        assert rows[name][-2:] == ["?", "?"]
    assert rows["all"][0] == str(sum(jobs for _, jobs, _ in STAGES.values()))
    assert float(rows["all"][1]) == pytest.approx(sum(images for _, _, images in STAGES.values()), rel=1e-3)
    assert rows["all"][-1] == "?"
    assert "--measure" in below
    assert "--rate" in below
    assert "GPU-hours" not in below


@pytest.mark.parametrize("more", [(), ("--measure",)])
def test_a_given_rate_makes_hours(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, more: tuple[str, ...]
) -> None:
    monkeypatch.setattr(plan, "measure", no_measuring)
    rows, below = printed(capsys, "--rate", "0.5", *more)
    whole = 0.0
    for name, (_, _, images) in STAGES.items():
        passes = plan.TRAINING_COST if name.startswith(("base", "surrogates")) else 1
        hours = images * passes / 0.5 / 3600
        assert float(rows[name][-1]) == pytest.approx(hours, abs=0.006)  # two places are printed
        whole += hours
    assert float(rows["all"][-1]) == pytest.approx(whole, abs=0.006)
    assert f"GPU-hours: {whole:.1f}" in below
    assert "0.5 images/s" in below


def test_a_deeper_network_costs_in_proportion() -> None:
    settings = config.read([Path(name) for name in FILES])
    deeper = settings.model_copy(
        update={"methods": {**settings.methods, "resnet20": {"certifier": "accelerated", "n": 250, "depth": 20}}}
    )
    lines = {line[:24].strip(): line.split() for line in plan.report(deeper, None, 0.01).splitlines()}
    ratio = float(lines["surrogates of depth 20"][-1]) / float(lines["surrogates of depth 8"][-1])
    assert ratio == pytest.approx((20 - 2) / (8 - 2), rel=1e-3)  # layers but for the first and the last


@pytest.mark.parametrize("trains", ["base", "surrogate", ""])
def test_a_rate_is_images_per_second(monkeypatch: pytest.MonkeyPatch, trains: str) -> None:
    """With work that does nothing but sleep for 20 microseconds an image."""

    calls = []

    def work(images: int) -> None:
        calls.append(images)
        assert len(calls) < 1000, "more and more work is asked for, and not done"
        time.sleep(2e-5 * images)

    def step(self: loop.Step, inputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        work(len(inputs))
        return torch.zeros(())

    def count(engine: Any, images: Any, sigma: float, samples: int, *_: Any, **__: Any) -> None:
        work(len(images) * samples)

    monkeypatch.setattr(plan, "MEASURE_SECONDS", 0.05)
    monkeypatch.setattr(loop.Step, "__call__", step)
    monkeypatch.setattr(sampling, "count_predictions", count)
    settings = config.read([Path(name) for name in FILES])
    stage = next(stage for stage in plan.stages(settings) if stage.trains == trains)
    # A sleep is never shorter, and on a busy machine several times as long.
    assert 50_000 / 4 < plan.measure(stage, settings, torch.device("cpu")) <= 50_000


def test_measured_rates_make_hours(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan, "MEASURE_SECONDS", 0.02)
    rows, below = printed(capsys, "--measure", "--device", "cpu", "--threads", "1")
    rates = {name: float(rows[name][-2]) for name in STAGES}
    assert all(rate > 0 for rate in rates.values())
    assert len({rate for name, rate in rates.items() if name.startswith("counts")}) == 1  # one network, measured once
    for name, (_, _, images) in STAGES.items():
        assert float(rows[name][-1]) == pytest.approx(images / rates[name] / 3600, abs=0.006)
    assert rows["all"][-1] != "?"
    assert "measured here on CPU, 1 threads" in below
    assert "fp32" in below
