"""Certificates for classifiers of others: the same counts as a plain loop, the same certificates as the certifiers."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from scipy import stats
from torch import nn

import accelerated_smoothing
from accelerated_smoothing import Smoothed, cli, data, noise, progress
from accelerated_smoothing.certify import log, radii, statistics
from accelerated_smoothing.certify.evidence import Evidence
from accelerated_smoothing.certify.methods import cohen, ladder, pilot
from accelerated_smoothing.counting import engines, sampling
from accelerated_smoothing.counting.counts import Counts
from accelerated_smoothing.data.browsing import browse
from accelerated_smoothing.errors import InputError
from accelerated_smoothing.provenance import records
from accelerated_smoothing.smoothed import blocks, inputs, networks
from accelerated_smoothing.smoothed.settings import Certifying

from . import programs
from .test_online import Watched

CPU = torch.device("cpu")
SIGMA = 0.5
QUIET: dict[str, Any] = {"show": False}
WAYS: dict[str, dict[str, Any]] = {
    "budget": {"budget": 200, "most": 1000},
    "randomized": {"budget": 200, "most": 1000, "bound": "randomized"},
    "radii": {"radii": [0.05, 0.25, 0.5], "most": 1000},
    "n": {"n": 300},
}


def resnet18(side: int) -> nn.Module:
    import torchvision

    torch.manual_seed(2)
    return torchvision.models.resnet18(num_classes=10)


@pytest.fixture(scope="module", params=["resnet18", "vit", "onnx"])
def foreign(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, settle: Any) -> SimpleNamespace:
    """Three classifiers of others: as they are given, as modules, and some images for them."""
    random = np.random.default_rng(0)
    if request.param == "resnet18":
        images = random.random((4, 3, 32, 32), np.float32)
        module = resnet18(32)
        settle(nn.Sequential(module), torch.from_numpy(images), seed=2)
        return SimpleNamespace(given=module, module=module, images=images)
    module, images = programs.seeded(programs.Vit), random.random((12, 1, 8, 8), np.float32)
    if request.param == "vit":
        return SimpleNamespace(given=module, module=module, images=images)
    module = programs.seeded(programs.Net)
    file = programs.export(module, tmp_path_factory.mktemp("foreign") / "net.onnx")
    return SimpleNamespace(given=file, module=module, images=images)


@pytest.fixture(scope="module")
def net() -> nn.Module:
    return programs.seeded(programs.Net)


@pytest.fixture(scope="module")
def digit(digits: SimpleNamespace) -> np.ndarray:
    return data.read(digits.test, ":40").pixels()


def plain_loop(module: nn.Module, images: np.ndarray, n: int, purpose: str) -> np.ndarray:
    """Class counts [images, classes] of a module under the same noise, by PyTorch alone."""
    draws = engines.standard(np.arange(len(images)), n, images.shape[1:], noise.key(0, purpose), "gaussian", CPU)
    copies = (torch.from_numpy(images)[:, None] + SIGMA * draws).flatten(0, 1)
    with torch.inference_mode():
        classes = module.eval()(copies).argmax(1).view(len(images), n).numpy()
    return np.array([np.bincount(row, minlength=10) for row in classes])


def test_counts_are_those_of_a_plain_loop(foreign: SimpleNamespace) -> None:
    wanted = plain_loop(foreign.module, foreign.images, 300, "estimation")
    assert (wanted.max(1) < 300).any()
    found = Smoothed(foreign.given, SIGMA).certify(foreign.images, n=300, **QUIET)
    top = plain_loop(foreign.module, foreign.images, 100, "selection").argmax(1)
    counts = wanted[np.arange(len(wanted)), top]
    # Rounding moves a draw only where two logits are nearly equal.
    assert np.abs(found["count"] - counts).sum() <= 2e-3 * counts.sum()
    assert set(found["arithmetic"]) == {"cpu-openvino-fp32-folded-avx2"}
    assert "label" not in found


def replayed(g: Smoothed, images: np.ndarray, options: dict[str, Any]) -> pd.DataFrame:
    """What the certifiers make of stored counts at all sizes."""
    engine = networks.build(g.model, inputs.as_images(images), g.settings).engine
    asked, every = Certifying(**options), np.arange(len(images))
    meta = {"sigma": SIGMA, "noise": "gaussian", "choice": None, "seed": 0, "dataset": "own"}
    meta["arithmetic"] = engine.arithmetic

    def counted(purpose: str, sizes: list[int]) -> Counts:
        found = sampling.count_predictions(engine, images, SIGMA, sizes, 0, classes=10, purpose=purpose)
        return Counts(every, np.full(len(images), -1), np.array(sizes), *found, meta)

    estimation, draws = counted("estimation", asked.sizes), asked.pilot_draws
    if asked.n:
        evidence = Evidence(0.001, 100, counted("selection", [100]), estimation, experiment="own", method="cohen")
        return cohen.certify(evidence, cohen.Settings(n=asked.n))
    pilots, method = counted("pilot", [draws]), "ladder" if asked.radii else "pilot"
    evidence = Evidence(0.001, 0, pilots, estimation, pilots, experiment="own", method=method)
    if asked.budget:
        return pilot.certify(evidence, pilot.Settings(budget=asked.budget, draws=draws, bound=asked.bound))
    assert asked.radii
    population, prior = pilot.expected(pilots.at(draws), draws)
    settings = ladder.Settings(radii=[float(np.nextafter(radius / SIGMA, 9)) for radius in asked.radii])
    found = ladder.climb(evidence, settings, prior, population, pilot.shares(pilots.at(draws)))
    made = radii.certificates(evidence, settings, found, before=draws, seconds=np.zeros(len(images)))
    return made.assign(radius=np.array([0, *asked.radii])[found.rung], at=asked.radii[-1])


def same(one: pd.DataFrame, other: pd.DataFrame) -> None:
    columns = [column for column in one if column not in ("time", "label", "correct")]
    pd.testing.assert_frame_equal(one[columns], other[columns], check_exact=True)


@pytest.mark.parametrize("way", WAYS)
def test_certificates_are_those_of_stored_counts(net: nn.Module, digit: np.ndarray, way: str) -> None:
    g = Smoothed(net, SIGMA)
    found = g.certify(digit, **WAYS[way], **QUIET)
    assert (found["radius"] > 0).any()
    assert found["n"].nunique() > 1 or way == "n"
    same(found, replayed(g, digit, WAYS[way]))


@pytest.mark.parametrize("way", WAYS)
def test_blocks_change_nothing(net: nn.Module, digit: np.ndarray, monkeypatch: pytest.MonkeyPatch, way: str) -> None:
    whole = Smoothed(net, SIGMA).certify(digit, **WAYS[way], **QUIET)
    monkeypatch.setattr(blocks, "IMAGES", 7)
    same(Smoothed(net, SIGMA, batch_size=5).certify(digit, **WAYS[way], **QUIET), whole)


@pytest.mark.parametrize("budget", [100, 200, 1000])
def test_the_budget_is_kept(net: nn.Module, digit: np.ndarray, budget: float) -> None:
    passes = Smoothed(net, SIGMA).certify(digit, budget=budget, most=2000, **QUIET)["passes"]
    assert 0.8 * budget <= passes.mean() <= 1.02 * budget


def test_radii_are_in_pixels(net: nn.Module, digit: np.ndarray) -> None:
    """Also with a sigma that float32 rounds."""
    asked = [0.02, 0.1, 0.7]
    for sigma in (0.1, 0.3):
        found = Smoothed(net, sigma).certify(digit, radii=asked, most=5000, **QUIET)
        assert set(found["radius"]) <= {0.0, *asked}
        assert (found["radius"] > 0).any()
        certified = found[found["radius"] > 0]
        applied = float(np.float32(sigma))
        assert (applied * stats.norm.ppf(certified["p_lower"]) >= certified["radius"] * (1 - 1e-12)).all()


def test_predictions_are_those_of_predict(net: nn.Module, digit: np.ndarray) -> None:
    found = Smoothed(net, SIGMA).predict(digit, 200, **QUIET)
    counts = plain_loop(net, digit, 200, "prediction")
    wanted = statistics.predict(counts, 0.001)
    assert (found == wanted).mean() > 0.95
    assert (found == -1).any()
    assert (found >= 0).any()


def test_a_module_stays_as_it_is(digit: np.ndarray) -> None:
    module = programs.Net().train()
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    Smoothed(module, SIGMA).predict(digit[:2], 10, **QUIET)
    assert module.training
    assert all(parameter.requires_grad for parameter in module.parameters())
    for name, tensor in module.state_dict().items():
        torch.testing.assert_close(tensor, before[name], rtol=0, atol=0)


class Unusual(nn.Module):
    """A batch norm is declared after a convolution, but used before it: it must not be folded into it."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 1, 3, padding=1)
        self.bn = nn.BatchNorm2d(1)
        self.fc = nn.Linear(64, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.fc(self.conv(torch.relu(self.bn(x) - 0.5)).flatten(1))
        return logits


def test_layers_in_another_order_are_not_folded(digit: np.ndarray) -> None:
    torch.manual_seed(0)
    module = Unusual()
    module.bn.running_mean.fill_(0.4)
    module.bn.running_var.fill_(0.1)
    found = Smoothed(module, SIGMA).certify(digit[:10], n=100, **QUIET)
    counts, top = plain_loop(module, digit[:10], 100, "estimation"), plain_loop(module, digit[:10], 100, "selection")
    assert np.abs(counts[np.arange(10), top.argmax(1)] - found["count"]).sum() <= 2


class Strange(programs.Net):
    """OpenVINO cannot convert a part of it, or freezes it in its graph."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.kind == "unknown":
            x = x + torch.linalg.eigvalsh(x[:, 0, :2, :2] * 0)[:, :1, None, None]
        else:
            x = torch.from_numpy(x.numpy() ** 2)
        return super().forward(x)


@pytest.mark.parametrize("kind", ["unknown", "frozen"])
def test_pytorch_runs_what_openvino_cannot(digit: np.ndarray, kind: str) -> None:
    torch.manual_seed(0)
    module = Strange(kind)
    with pytest.warns(UserWarning, match="OpenVINO does not run this module as it is"):
        found = Smoothed(module, SIGMA).certify(digit[:6], n=100, **QUIET)
    assert set(found["arithmetic"]) == {"cpu-pytorch-fp32-folded"}
    counts = plain_loop(module, digit[:6], 100, "estimation")
    top = plain_loop(module, digit[:6], 100, "selection").argmax(1)
    assert np.abs(counts[np.arange(6), top] - found["count"]).sum() <= 2


# Images


def test_images_of_any_kind_are_the_same(net: nn.Module, tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (6, 1, 8, 8), np.uint8)
    np.savez(tmp_path / "a.npz", images=pixels, labels=np.arange(6))
    floats = pixels.astype(np.float32) / np.float32(255)
    g = Smoothed(net, SIGMA)
    tables = [
        g.certify(given, n=50, labels=np.arange(6), **QUIET)
        for given in (pixels, floats, torch.from_numpy(floats), str(tmp_path / "a.npz"), browse(tmp_path / "a.npz"))
    ]
    for table in tables[1:]:
        same(table, tables[0])
        assert table["label"].tolist() == list(range(6))
    assert g.certify(tmp_path / "a.npz", n=50, part="2:4", **QUIET)["idx"].tolist() == [2, 3]


def test_a_split_of_this_workflow_has_its_own_white(net: nn.Module, digits: SimpleNamespace) -> None:
    images = data.read(digits.test, ":5")
    one, other = (Smoothed(net, SIGMA).certify(given, n=50, **QUIET) for given in (images, images.pixels()))
    same(one, other)
    same(Smoothed(net, SIGMA).certify(digits.test, n=50, part=":5", **QUIET), one)
    assert one["label"].tolist() == images.labels.tolist()


def test_weights_of_this_workflow_make_its_certificates(base: Path, digits: SimpleNamespace, tmp_path: Path) -> None:
    for purpose, n in (("selection", 100), ("estimation", 200)):
        words = f"--images {digits.test} --slice :8 --sigma 0.5 --sizes {n} --purpose {purpose} --threads 1"
        assert cli.main(["count", "--base", str(base), *words.split(), "--output", str(tmp_path / purpose)]) == 0
        (tmp_path / purpose).rename(tmp_path / f"{purpose}.npz")
    counts = f"--selection {tmp_path}/selection.npz --estimation {tmp_path}/estimation.npz"
    assert cli.main(f"certify cohen --n 200 {counts} --output {tmp_path}/cohen.tsv".split()) == 0
    own = Smoothed(base, 0.5).certify(digits.test, n=200, part=":8", **QUIET)
    same(own.drop(columns="experiment"), log.read(tmp_path / "cohen.tsv").drop(columns="experiment"))


# Soundness


class Plane(nn.Module):
    """Two classes on the sides of a plane: the probability of a class is known."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(4, 2, bias=False)
        self.fc.weight.data = torch.tensor([[-0.5] * 4, [0.5] * 4])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.fc(x.flatten(1) - 0.5)
        return logits


@pytest.mark.parametrize("way", [{"budget": 60}, {"budget": 60, "bound": "randomized"}, {"radii": [0.05, 0.1, 0.2]}])
def test_certificates_are_sound(way: dict[str, Any]) -> None:
    """At a large alpha, so that a fault shows; a plain frequency of the top class would fail for half of the images."""
    images, sigma, alpha = 3000, 0.25, 0.1
    distance = np.random.default_rng(1).uniform(-0.45, 0.45, images)
    pixels = np.broadcast_to(0.5 + 0.5 * distance[:, None, None, None], (images, 1, 2, 2)).astype(np.float32)
    found = Smoothed(Plane(), sigma).certify(pixels.clip(0, 1), alpha=alpha, most=500, **way, **QUIET)
    exact = (pixels.reshape(images, 4) - 0.5).sum(1) / 2
    certified = found["radius"] > 0
    wrong = certified & ((found["predict"] != (exact > 0)) | (found["radius"] > np.abs(exact)))
    assert wrong.sum() <= stats.binom.isf(1e-6, images, alpha)
    assert certified.mean() > 0.4
    assert set(found["guarantee"]) == {"sound"}


# Long runs


def interrupted(monkeypatch: pytest.MonkeyPatch, pieces: int) -> list[Watched]:
    """Let each run end after some pieces; return the engines of the runs."""
    built, engines_of_runs = networks.build, []

    def build(*arguments: Any) -> Any:
        def fail(done: int) -> None:
            if done > pieces:
                raise InterruptedError

        classifier = built(*arguments)
        engine = Watched(classifier.engine, fail)
        engines_of_runs.append(engine)
        return replace(classifier, engine=engine)

    monkeypatch.setattr(networks, "build", build)
    monkeypatch.setattr(progress, "SAVE_SECONDS", -1.0)
    monkeypatch.setattr(blocks, "IMAGES", 7)
    return engines_of_runs


@pytest.mark.parametrize("way", ["budget", "radii", "n"])
def test_a_killed_run_goes_on(
    net: nn.Module, digit: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    whole = Smoothed(net, SIGMA).certify(digit[:20], **WAYS[way], **QUIET)
    runs, output = interrupted(monkeypatch, 12), tmp_path / "certificates.tsv"
    for _ in range(200):
        try:
            found = Smoothed(net, SIGMA, batch_size=4).certify(digit[:20], output=output, **WAYS[way], **QUIET)
            break
        except InterruptedError:
            assert not output.exists()
    assert len(runs) > 3
    same(found, whole)
    same(log.read(output)[list(whole)], whole)
    assert list(tmp_path.iterdir()) == [output]
    # A piece that was made when its run ended was not saved, and nothing else was drawn twice.
    drawn = sum(sum(run.draws.values()) for run in runs)
    assert drawn == whole["passes"].sum()


def test_other_work_is_not_continued(
    net: nn.Module, digit: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs, output = interrupted(monkeypatch, 2), tmp_path / "certificates.tsv"
    with pytest.raises(InterruptedError):
        Smoothed(net, SIGMA, batch_size=4).certify(digit[:20], n=300, output=output, **QUIET)
    monkeypatch.undo()
    monkeypatch.setattr(blocks, "IMAGES", 7)
    other = programs.Net()
    for g, images, seed in (
        (Smoothed(net, 0.25), digit[:20], 0),
        (Smoothed(net, SIGMA), digit[20:40], 0),
        (Smoothed(net, SIGMA), digit[:20], 1),
        (Smoothed(net, SIGMA, noise="uniform"), digit[:20], 0),
        (Smoothed(other, SIGMA), digit[:20], 0),
    ):
        wanted = g.certify(images, n=300, seed=seed, **QUIET)
        same(g.certify(images, n=300, seed=seed, output=output, **QUIET), wanted)
    assert len(runs) == 1


MEMORY = """
import resource, sys
import numpy as np
from torch import nn
from accelerated_smoothing import Smoothed
from accelerated_smoothing.data import Images
from accelerated_smoothing.smoothed import blocks
blocks.MEMORY = 2**24
class Made:
    dtype = np.dtype(np.uint8)
    def __init__(self, n): self.shape = (n, 3, 64, 64)
    def __len__(self): return self.shape[0]
    def __getitem__(self, rows):
        return (np.arange(self.shape[0])[rows][:, None, None, None] % 251 + np.zeros((1, 3, 64, 64), np.uint8)).astype(
            np.uint8
        )
def images(n):
    meta = {"kind": "images", "dataset": "made", "split": "test", "classes": 0, "white": 255}
    return Images(np.arange(n), Made(n), np.full(n, -1), meta)
g = Smoothed(nn.Sequential(nn.Flatten(), nn.Linear(3 * 64 * 64, 5)), 0.5)
for n, most in ((300, 100), (3000, 100), (20, 20000)):
    g.certify(images(n), budget=20, most=most, show=False)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


@pytest.mark.slow
def test_memory_depends_neither_on_the_images_nor_on_the_draws() -> None:
    """3,000 of these images would be 147 MB."""
    done = subprocess.run([sys.executable, "-c", MEMORY], capture_output=True, text=True, check=True)
    few, many, deep = map(int, done.stdout.split())
    assert many < few + 30_000
    assert deep < few + 30_000


# Faults: one line each


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda net, x: Smoothed("model.pth", 0.5), r"model\.pth must be an \.onnx, a \.pt2 or weights"),
        (lambda net, x: Smoothed("none.onnx", 0.5), r"none\.onnx: no such file"),
        (lambda net, x: Smoothed(lambda x: x, 0.5), "model must be a torch.nn.Module or the path of a file"),
        (lambda net, x: Smoothed(net, 0), "sigma must be at least 0.001, got 0"),
        (lambda net, x: Smoothed(net, 0.5, noise="cauchy"), "noise must be one of gaussian, laplace, uniform"),
        (lambda net, x: Smoothed(net, 0.5, gpu=1), "gpu is not a key"),
        (lambda net, x: Smoothed(net, 0.5, classes=7).certify(x, n=5), "model must return 7 logits, .* got 10"),
        (lambda net, x: Smoothed(net, 0.5).certify(x), "budget, radii or n must be set, exactly one of them, got none"),
        (lambda net, x: Smoothed(net, 0.5).certify(x, n=5, budget=9), "one of them, got budget and n"),
        (lambda net, x: Smoothed(net, 0.5).certify(x, budget=1), "budget must be more than the pilot draws"),
        (lambda net, x: Smoothed(net, 0.5).certify(x, radii=[0.5, 0.1]), "radii must be positive, ascending"),
        (lambda net, x: Smoothed(net, 0.5).certify(x, n=5, alpha=2), "alpha must be less than 1, got 2"),
        (lambda net, x: Smoothed(net, 0.5).certify(x[:, :, :5], n=5), r"model must return logits for images of shape"),
        (lambda net, x: Smoothed(net, 0.5).certify(x[0], n=5), r"images must be a path, or \[n, channels"),
        (lambda net, x: Smoothed(net, 0.5).certify(255 * x, n=5), r"images must be in \[0, 1\] if they are floats"),
        (lambda net, x: Smoothed(net, 0.5).certify(x * np.nan, n=5), r"images must be in \[0, 1\]"),
        (lambda net, x: Smoothed(net, 0.5).certify(x, n=5, labels=[1]), "labels must be a whole number"),
        (lambda net, x: Smoothed(net, 0.5).certify("none", n=5), "none: no such file or folder"),
        (lambda net, x: Smoothed(Faulty("nan"), 0.5).certify(x, n=5), "model must return finite logits, got NaN"),
        (lambda net, x: Smoothed(Faulty("pair"), 0.5).certify(x, n=5), "model must return logits for images"),
        (lambda net, x: Smoothed(Faulty("batch"), 0.5).certify(x, n=5), "must predict an image alike at any time"),
        (lambda net, x: Smoothed(Faulty("random"), 0.5).certify(x, n=5), "must predict an image alike at any time"),
    ],
)  # fmt: skip
def test_faults_are_one_line(net: nn.Module, digit: np.ndarray, make: Any, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        make(net, digit[:4])
    assert "\n" not in str(caught.value)


class Faulty(programs.Net):
    def __init__(self, fault: str) -> None:
        super().__init__()
        self.fault = fault

    def forward(self, x: torch.Tensor) -> Any:
        logits = super().forward(x)
        faulty = {
            "nan": lambda: logits / 0 * 0,
            "pair": lambda: (logits, logits),
            "batch": lambda: logits - logits.mean(0),
            "random": lambda: nn.functional.dropout(logits),
        }
        return faulty[self.fault]()


# The verb, and the package


def test_the_verb_makes_the_same_log(net: nn.Module, tmp_path: Path) -> None:
    file = programs.export(net, tmp_path / "net.pt2")
    pixels = np.random.default_rng(0).integers(0, 256, (6, 1, 8, 8), np.uint8)
    np.save(tmp_path / "images.npy", pixels)
    words = f"certify-images {file} {tmp_path}/images.npy --sigma 0.5 --budget 100 --most 500 --threads 1"
    assert cli.main([*words.split(), "--output", str(tmp_path / "own.tsv")]) == 0
    read = log.read(tmp_path / "own.tsv")
    assert list(read)[: len(log.COLUMNS)] == log.COLUMNS
    assert set(read["label"]) == {-1}
    assert set(read["correct"]) == {0}
    wanted = Smoothed(file, 0.5).certify(pixels, budget=100, most=500, **QUIET)
    same(read[list(wanted)], wanted)
    assert (tmp_path / "own.tsv.record.json").exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        *("images.npy", "net.pt2", "own.tsv", "own.tsv.record.json"),
    ]


def test_the_verb_reads_class_folders(
    net: nn.Module, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(records, "commit", lambda: {"id": "0" * 40, "clean": True})
    file = programs.export(programs.seeded(programs.Net, channels=3), tmp_path / "net.onnx", (3, 8, 8))
    for row in range(4):
        (tmp_path / "in" / f"class{row % 2}").mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(row).integers(0, 256, (8, 8, 3), np.uint8)
        Image.fromarray(pixels).save(tmp_path / "in" / f"class{row % 2}" / f"{row}.png")
    words = f"certify-images {file} {tmp_path}/in --size 8 --sigma 0.5 --radii 0.1 0.2 --most 500 --slice 1:"
    assert cli.main([*words.split(), "--output", str(tmp_path / "own.tsv")]) == 0
    read = log.read(tmp_path / "own.tsv")
    assert read["idx"].tolist() == [1, 2, 3]
    assert read["label"].tolist() == [0, 1, 1]
    assert cli.main(["audit", str(tmp_path / "own.tsv")]) == 0
    (tmp_path / "in/class0/0.png").rename(tmp_path / "in/class1/0.png")
    assert cli.main(["audit", str(tmp_path / "own.tsv")]) == 1
    assert "/in that has changed since" in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ("", "--budget, radii or n must be set, exactly one of them, got none"),
        ("--budget 9 --n 5", "got budget and n"),
        ("--radii 0.5 0.1", "--radii must be positive, ascending and distinct"),
        ("--n 0", "--n must be at least 1, got 0"),
    ],
)
def test_the_verb_refuses(
    net: nn.Module, tmp_path: Path, capsys: pytest.CaptureFixture[str], flags: str, message: str
) -> None:
    words = f"certify-images model.onnx images.npz --sigma 0.5 {flags} --output {tmp_path}/own.tsv"
    assert cli.main(words.split()) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_the_package_imports_without_torch() -> None:
    code = "import sys, accelerated_smoothing as a; print('torch' in sys.modules, 'Smoothed' in a.__all__)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "True"]
    with pytest.raises(AttributeError, match="has no attribute 'Smoother'"):
        _ = accelerated_smoothing.Smoother
