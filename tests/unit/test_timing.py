"""The measurement of certification time: what is measured, not how long it takes."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest
import torch

from accelerated_smoothing import cli, data, models
from accelerated_smoothing.counting import engines, sampling
from accelerated_smoothing.training import surrogate


@pytest.fixture(scope="module")
def guess(digits: SimpleNamespace, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained surrogate for sigma 0.5."""
    images = data.read(digits.train, ":10")
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("surrogate") / "h.safetensors"
    described = {key: images.meta[key] for key in ("dataset", "classes", "mean", "std")}
    model = models.build("resnet14", 10, images.meta["mean"], images.meta["std"])
    models.save(path, model, {"kind": "surrogate", "arch": "resnet14", "sigma": 0.5, **described})
    return path


def words(base: Path, digits: SimpleNamespace, guess: Path, output: Path, *more: str) -> list[str]:
    head = f"time --base {base} --surrogates {guess} --images {digits.test} --slice 3:40 --count 2 --repeats 2".split()
    return [*head, *f"--sigma 0.5 --sizes 10 25 --n0 20 --threads 1 --output {output}".split(), *more]


def test_every_method_is_timed_at_every_size(
    base: Path,
    digits: SimpleNamespace,
    guess: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    precision: str,
) -> None:
    sampled, guessed = [], []
    count, predict = sampling.count_predictions, surrogate.predict

    def counting(engine: Any, images: Any, sigma: float, samples: int, *arguments: Any, **options: Any) -> Any:
        sampled.append((samples, options["purpose"], engine.arithmetic))
        return count(engine, images, sigma, samples, *arguments, **options)

    monkeypatch.setattr(sampling, "count_predictions", counting)
    monkeypatch.setattr(surrogate, "predict", lambda h, images: guessed.append(len(images)) or predict(h, images))
    assert cli.main(words(base, digits, guess, tmp_path / "t.tsv", "--precision", precision)) == 0

    table = pd.read_csv(tmp_path / "t.tsv", sep="\t")
    assert list(table) == ["method", "guarantee", "n", "image", "repeat", "seconds", "arithmetic"]
    for (repeat, image, n), rows in table.groupby(["repeat", "image", "n"], sort=False):
        assert rows["method"].tolist() == ["cohen", "resnet14"], (repeat, image, n)  # side by side
    assert len(table) == 2 * 2 * 2 * 2
    assert set(table["image"]) == {3, 21}  # two of 3, ..., 39, evenly spaced
    assert set(table["n"]) == {10, 25}
    assert table.groupby("method")["guarantee"].first().to_dict() == {"cohen": "sound", "resnet14": "estimated"}
    assert (table.groupby("method")["guarantee"].nunique() == 1).all()
    assert (table["seconds"] > 0).all()
    arithmetic = f"cpu-openvino-{precision}-folded" + "-avx2" * (precision == "fp32")
    assert set(table["arithmetic"]) == {arithmetic}

    # Each method once untimed at each size; then Cohen et al.'s draws n0 and n, ours n0 and has one pass of h.
    selection, estimation = (20, "selection", arithmetic), [(n, "estimation", arithmetic) for n in (10, 25)]
    assert sampled[:6] == [selection, estimation[0], selection, estimation[1], selection, selection]
    assert len(sampled) == 3 * (2 + 8)
    assert guessed == [1] * (2 + 8)


def test_a_surrogate_for_another_sigma_is_refused(
    base: Path, digits: SimpleNamespace, guess: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = words(base, digits, guess, tmp_path / "t.tsv")
    other[other.index("--sigma") + 1] = "0.25"
    assert cli.main(other) == 2
    assert "must be trained for sigma 0.25, got sigma 0.5" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_certificate_of_few_draws_takes_small_batches(
    base: Path, digits: SimpleNamespace, guess: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even if the batch that suits the device is large, as on a GPU, whatever the number of draws."""
    built, build = [], engines.build

    def noted(*arguments: Any, **options: Any) -> Any:
        built.append(options.get("batch_size"))
        return build(*arguments, **options)

    monkeypatch.setattr(engines, "batch", lambda *_, **__: 24)
    monkeypatch.setattr(engines, "build", noted)
    assert cli.main(words(base, digits, guess, tmp_path / "t.tsv")) == 0
    assert sorted(built) == [1, 10, 20, 24]  # of a surrogate, and for 10, 20 and 25 draws
