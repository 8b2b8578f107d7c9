"""Certificates that are made online equal those from stored counts."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from accelerated_smoothing import certify, data, progress
from accelerated_smoothing.certify import beliefs, live, log
from accelerated_smoothing.certify.evidence import Evidence
from accelerated_smoothing.config import Passes, Sampling
from accelerated_smoothing.counting import counts, sampling
from accelerated_smoothing.counting.online import Online
from accelerated_smoothing.counting.predictions import Predictions
from accelerated_smoothing.errors import InputError
from accelerated_smoothing.files import sha256
from accelerated_smoothing.papers import fast_and_sound as paper

SIZES = {"selection": [20], "estimation": [10, 20, 40, 80, 160], "pilot": [10]}
METHODS = {
    "planned": {"budget": 60},
    "pilot": {"budget": 60, "draws": 10},
    "spending": {"budget": 60},
    "cs": {"budget": 60},
    "iss": {"loss": 0.3},
    "ladder": {"radii": [0.25, 0.5]},
    "betting": {"radii": [0.25, 0.5]},
    "at-radius": {"radii": [0.25, 0.5]},
}
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def evidence(digits: SimpleNamespace, base: Path, tmp_path_factory: pytest.TempPathFactory) -> Evidence:
    images, folder = data.read(digits.test, ":40"), tmp_path_factory.mktemp("counts")
    kept = {}
    for purpose, sizes in SIZES.items():
        sampling.count(
            base, images, folder / f"{purpose}.npz", sigma=0.5, distribution="gaussian", settings=Sampling(sizes=sizes),
            seed=0, purpose=purpose, device=CPU, code="",
        )  # fmt: skip
        kept[purpose] = counts.read(folder / f"{purpose}.npz")
    whole = kept["estimation"]
    h = (whole.at(160) + 1.0) / (160 + whole.counts.shape[2])  # a surrogate that is nearly right
    meta = {**whole.meta, "kind": "predictions", "held_out": True}
    predictions = Predictions(whole.idx, whole.labels, np.array([8]), h[None], np.zeros(1), meta)
    belief = beliefs.fit(predictions, whole)
    return Evidence(0.05, 20, **kept, images=images, predictions=predictions, belief=belief)


def measured(evidence: Evidence, base: Path, output: Path, batch_size: int | None = None) -> pd.DataFrame:
    methods = {name: certify.method(name) for name in METHODS}
    assert all(method.ONLINE for method in methods.values())  # type: ignore[attr-defined]
    settings = {name: (method, method.Settings(**METHODS[name])) for name, method in methods.items()}
    live.measure(evidence, settings, base, output, count=15, passes=Passes(batch_size=batch_size), device=CPU)
    return pd.read_csv(output, sep="\t")


def test_online_and_replayed_certificates_are_the_same(evidence: Evidence, base: Path, tmp_path: Path) -> None:
    table = measured(evidence, base, tmp_path / "online.tsv")
    assert list(table["method"]) == list(METHODS)
    assert (table["same"] == 1).all()
    assert (table["images"] == 15).all()
    assert (table["passes"] > 0).all()
    assert (table["seconds"] > 0).all()
    assert list(table) == paper.TIMES


def certified(evidence: Evidence, base: Path, output: Path, name: str = "planned") -> pd.DataFrame:
    method = certify.method(name)
    live.certify(
        replace(evidence, estimation=None, method=name), method, method.Settings(**METHODS[name]), SIZES["estimation"],
        base, output, passes=Passes(), device=CPU, code="",
    )  # fmt: skip
    return log.read(output)


def test_the_batch_size_is_that_of_the_engine(
    evidence: Evidence, base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build, sizes = live.engines.build, []

    def spied(*words: Any, **options: Any) -> Any:
        sizes.append(options["batch_size"])
        return build(*words, **options)

    monkeypatch.setattr(live.engines, "build", spied)
    measured(evidence, base, tmp_path / "online.tsv", 7)
    assert sizes == [7]


@pytest.mark.parametrize("name", ["planned", "ladder", "pilot"])
def test_certificates_without_stored_counts_are_the_replayed_ones(
    evidence: Evidence, base: Path, tmp_path: Path, name: str
) -> None:
    method = certify.method(name)
    log.write(
        tmp_path / "replayed.tsv", method.certify(replace(evidence, method=name), method.Settings(**METHODS[name]))
    )
    replayed, made = log.read(tmp_path / "replayed.tsv"), certified(evidence, base, tmp_path / "made.tsv", name)
    pd.testing.assert_frame_equal(made.drop(columns="time"), replayed.drop(columns="time"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["made.tsv", "replayed.tsv"]


def test_a_stopped_run_goes_on(evidence: Evidence, base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was drawn before the stop is not drawn again."""
    expected = certified(evidence, base, tmp_path / "whole.tsv")
    drawn: list[int] = []
    draw = Online._draw

    def stopping(online: Online, rows: np.ndarray, begun: int, position: int) -> None:
        if drawn:
            raise progress.Stopped
        draw(online, rows, begun, position)
        drawn.append(len(rows))
        online.progress.keep()

    monkeypatch.setattr(Online, "_draw", stopping)
    with pytest.raises(progress.Stopped):
        certified(evidence, base, tmp_path / "made.tsv")
    assert not (tmp_path / "made.tsv").exists()
    before = sum(drawn)

    def counting(online: Online, rows: np.ndarray, begun: int, position: int) -> None:
        drawn.append(len(rows))
        draw(online, rows, begun, position)

    monkeypatch.setattr(Online, "_draw", counting)
    made = certified(evidence, base, tmp_path / "made.tsv")
    pd.testing.assert_frame_equal(made.drop(columns="time"), expected.drop(columns="time"))
    assert sum(drawn) == (expected["n"] > 0).sum()
    assert 0 < before < sum(drawn)


def test_other_draws_are_noticed(evidence: Evidence, base: Path, tmp_path: Path) -> None:
    stored = evidence.stored
    other = replace(evidence, estimation=replace(stored, meta={**stored.meta, "seed": 1}))
    assert (measured(other, base, tmp_path / "online.tsv")["same"] == 0).any()


def test_another_classifier_is_refused(evidence: Evidence, base: Path, tmp_path: Path) -> None:
    copy = tmp_path / "base.safetensors"
    copy.write_bytes(base.read_bytes() + b" ")
    assert sha256(copy) != evidence.stored.meta["base"]
    with pytest.raises(InputError, match="must be the classifier that was counted, got another"):
        certified(evidence, copy, tmp_path / "made.tsv")
    with pytest.raises(InputError, match="must be the classifier that was counted"):
        measured(evidence, copy, tmp_path / "online.tsv")
