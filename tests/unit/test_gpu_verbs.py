"""Every verb that runs a model, on a GPU and on a CPU: as the command line runs it, on a few of the digits.

A machine with a GPU may have no OpenVINO, so no module here imports it.
"""

import os
import signal
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

from accelerated_smoothing import cli, data, registry, training
from accelerated_smoothing.counting import counts
from accelerated_smoothing.files import describe, write_arrays
from accelerated_smoothing.progress import Resumable
from accelerated_smoothing.workflow import measuring

from .drawing import GPU

ROOT = Path(__file__).parents[2]
SLL = "--arch sll8-1 --optimizer adamw --lr 0.01 --sigma 0"
OWN = {"margin": SLL, "macer": "--sigma 0.5 --samples 2", "router": "--sigma 0.5 --samples 2"}  # flags of some ways
NOISE = "--sigma 0.5 --noise gaussian --seed 0"


@pytest.fixture(scope="module", params=["cpu", GPU])
def device(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def few(digits: SimpleNamespace, tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """Files of 96 training and 32 test images."""
    folder, files = tmp_path_factory.mktemp("few"), {}
    for split, part in (("train", ":96"), ("test", ":32")):
        images, files[split] = data.read(getattr(digits, split), part), folder / f"{split}.npz"
        arrays = {"images": np.asarray(images.images), "labels": images.labels}
        write_arrays(files[split], arrays, {**images.meta, "kind": "images", "split": split})
    return SimpleNamespace(**files)


class Place:
    """A folder, and a device on which verbs run there."""

    def __init__(self, folder: Path, device: str, few: SimpleNamespace) -> None:
        self.folder, self.device = folder, device
        self.both = f"--train {few.train} --test {few.test}"
        self.training, self.images = f"--images {few.train} --slice :40", f"--images {few.test} --slice :12"

    def status(self, words: str) -> int:
        """Run a verb, whose files are named without the folder."""
        named = [str(self.folder / word[1:]) if word.startswith("@") else word for word in words.split()]
        return cli.main([*named, "--device", self.device, "--threads", "1"])

    def run(self, words: str) -> None:
        assert self.status(words) == 0, words

    def train(self, way: str, own: str, output: str, both: str = "") -> None:
        arch = "" if "--arch" in own else "--arch resnet8"
        self.run(
            f"train-base {way} {both or self.both} --epochs 1 --batch-size 40 --step-size 1 --crop 0 --no-flip {arch} "
            f"{own} --output @{output}.safetensors"
        )

    def counts(self, name: str) -> counts.Counts:
        return counts.read(self.folder / name)


@pytest.fixture(scope="module")
def place(device: str, few: SimpleNamespace, tmp_path_factory: pytest.TempPathFactory) -> Place:
    """With a base classifier, a 1-Lipschitz backbone, embeddings by it, and a head on them."""
    made = Place(tmp_path_factory.mktemp("place"), device, few)
    made.train("gaussian", "--sigma 0.5", "base")
    made.train("margin", SLL, "sll")
    made.run(f"embed --base @sll.safetensors {made.both} --output @embedded")
    made.train("gaussian", "--sigma 0.5 --arch mlp-8", "head", "--train @embedded/train.npz --test @embedded/test.npz")
    return made


def test_embeddings_say_where_they_were_made(place: Place) -> None:
    assert describe(place.folder / "embedded/test.npz")["arithmetic"] == f"{place.device}-pytorch-fp64"


@pytest.mark.parametrize("way", registry.names("training.ways"))
def test_every_way_of_training_runs(place: Place, way: str) -> None:
    own = OWN.get(way, "--sigma 0.5")
    if hasattr(training.way(way), "lessons"):
        own += " --teacher @base.safetensors"
    if way == "stability":  # trains the denoiser in front of a classifier
        own += " --arch denoised-resnet8 --members @base.safetensors"
    place.train(way, own, f"way-{way}")
    log = pd.read_csv(place.folder / f"way-{way}.csv")
    assert np.isfinite(log["loss"]).all()


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_training_runs_in_both_precisions_and_with_ascending_sigmas(place: Place, precision: str) -> None:
    place.train("gaussian", f"--sigma 0.5 --ascent 1 --ascent-from 0 --precision {precision}", f"ds-{precision}")
    log = pd.read_csv(place.folder / f"ds-{precision}.csv")
    assert np.isfinite(log[["loss", "sigma"]]).all(axis=None)


@pytest.mark.parametrize("way", registry.names("sigmas.ways"))
def test_every_way_of_choosing_sigmas_runs(place: Place, way: str) -> None:
    own = {"grid": "--evaluations 4", "qcrs": "--samples 2", "idrs": place.both.partition(" --test")[0]}.get(way, "")
    place.run(f"choose {way} --at 2 {own} --base @base.safetensors {place.images} {NOISE} --output @{way}.npz")
    place.run(
        f"count --base @base.safetensors {place.images} {NOISE} --sizes 10 --sigmas @{way}.npz --at 2 "
        f"--output @counts-{way}.npz"
    )
    assert (place.counts(f"counts-{way}.npz").sigmas > 0).all()


@pytest.mark.parametrize("name", ["base", "sll", "head"])
def test_counts_say_where_they_were_made(place: Place, name: str) -> None:
    images = "--images @embedded/test.npz --slice :12" if name == "head" else place.images
    place.run(f"count --base @{name}.safetensors {images} {NOISE} --sizes 10 30 --output @counts-{name}.npz")
    made = place.counts(f"counts-{name}.npz")
    assert (made.counts.sum(2) == [10, 30]).all()
    assert made.meta["arithmetic"].startswith(place.device)


def test_surrogates_learn_and_certificates_are_timed(place: Place) -> None:
    place.run(f"count --base @base.safetensors {place.training} {NOISE} --sizes 20 --output @learned.npz")
    place.run(
        f"train-surrogate {place.training} --counts @learned.npz --depth 8 --epochs 1 --batch-size 15 --seed 0 "
        "--output @h.safetensors"
    )
    for model in ("@base.safetensors --surrogates @h.safetensors", "@sll.safetensors --head @head.safetensors"):
        place.run(
            f"time --base {model} {place.images} {NOISE} --n0 10 --count 1 --repeats 1 --sizes 10 25 "
            "--output @times.tsv"
        )
        times = pd.read_csv(place.folder / "times.tsv", sep="\t")
        assert len(times) == 2 * 2
        assert (times["seconds"] > 0).all()
        assert times["arithmetic"].str.startswith(place.device).all()


@pytest.mark.parametrize(
    "words", ["--base @sll.safetensors --sigma 0", "--base @head.safetensors --backbone @sll.safetensors --sigma 0.5"]
)
def test_attacks_run_with_noise_and_without(place: Place, words: str) -> None:
    place.run(
        f"attack {words} {place.images} --noise gaussian --seed 0 --epsilons 0.25 --steps 2 --restarts 2 --samples 2 "
        "--n 50 --output @attacks.tsv"
    )
    assert len(pd.read_csv(place.folder / "attacks.tsv", sep="\t")) > 0


def test_a_classifier_of_ones_own_is_certified(place: Place) -> None:
    images = place.images.removeprefix("--images ")
    place.run(f"certify-images @base.safetensors {images} --sigma 0.5 --n 50 --n0 10 --output @own.tsv")
    assert len(pd.read_csv(place.folder / "own.tsv", sep="\t")) == 12


def test_rates_are_measured(place: Place, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measuring, "MEASURE_SECONDS", 0.01)
    monkeypatch.chdir(ROOT)
    place.run("plan --measure --configfile tests/workflow/tiny.yaml")
    assert "measured here on " in capsys.readouterr().out


def stop_and_go_on(monkeypatch: pytest.MonkeyPatch, place: Place, words: str) -> None:
    """Run a verb that gets SIGTERM in its second step, and then again to its end."""
    advance, steps = Resumable.advance, []

    def signalled(work: Resumable, amount: int) -> None:
        steps.append(amount)
        if len(steps) == 2:
            os.kill(os.getpid(), signal.SIGTERM)
        advance(work, amount)

    monkeypatch.setattr(Resumable, "advance", signalled)
    assert place.status(words) == cli.TRY_AGAIN
    assert len(steps) == 2
    assert not (place.folder / words.rpartition("@")[2]).exists()
    place.run(words)


def test_counting_goes_on_after_sigterm(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    words = f"count --base @base.safetensors {place.images} {NOISE} --sizes 300 --batch-size 4 --output "
    place.run(f"{words} @whole.npz")
    stop_and_go_on(monkeypatch, place, f"{words} @stopped.npz")
    whole, again = (place.counts(f"{name}.npz").counts for name in ("whole", "stopped"))
    np.testing.assert_array_equal(whole, again)


def test_training_goes_on_after_sigterm(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    words = (
        f"train-base gaussian {place.both} --arch resnet8 --sigma 0.5 --epochs 2 --batch-size 40 --step-size 1 "
        "--crop 0 --no-flip --precision fp32 --output"
    )
    place.run(f"{words} @whole.safetensors")
    stop_and_go_on(monkeypatch, place, f"{words} @stopped.safetensors")
    whole, again = (
        torch.cat([weight.flatten() for weight in load_file(place.folder / f"{name}.safetensors").values()])
        for name in ("whole", "stopped")
    )
    rounding = 0 if place.device == "cpu" else 1e-3  # a GPU may add up gradients in another order each time
    torch.testing.assert_close(whole, again, rtol=0, atol=rounding)
