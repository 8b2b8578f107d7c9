"""Certificates behind a 1-Lipschitz backbone: the exact distance, what is sound below it, and what is not sound."""

import copy
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import optimize, stats

from accelerated_smoothing import cli, data, models
from accelerated_smoothing.certify import log as certificates
from accelerated_smoothing.certify.evidence import Evidence
from accelerated_smoothing.certify.methods import margin, sparsemax, top_logit
from accelerated_smoothing.config.slices import SPLITS
from accelerated_smoothing.counting import counts
from accelerated_smoothing.files import sha256, write_arrays
from accelerated_smoothing.models import embedding

CLASSES = 5


def problem(d: int, n: int, seed: int = 0) -> SimpleNamespace:
    """A linear layer [CLASSES, d] in float64, and n embeddings as they are stored, in float32."""
    random = np.random.default_rng(seed)
    weight, bias = random.normal(size=(CLASSES, d)).astype(np.float32), random.normal(size=CLASSES).astype(np.float32)
    points = random.normal(size=(n, d)).astype(np.float32).astype(float)
    return SimpleNamespace(weight=weight.astype(float), bias=bias.astype(float), points=points)


def logits(p: SimpleNamespace, points: np.ndarray) -> np.ndarray:
    return points @ p.weight.T + p.bias


def directions(n: int) -> np.ndarray:
    """[n, 2] of a circle."""
    angle = 2 * np.pi * np.arange(n) / n
    return np.stack([np.cos(angle), np.sin(angle)], axis=1)


def test_the_margin_is_the_distance_to_the_nearest_other_prediction() -> None:
    """By bisection in 3,600 directions, as the points of one prediction are convex; 1e-6 is what lies between these."""
    p, around = problem(2, 20), directions(3600)
    radius = margin.radii(z := logits(p, p.points), np.zeros_like(z), p.weight)
    top = logits(p, p.points).argmax(1)
    for point, distance, own in zip(p.points, radius, top, strict=True):
        near, far = np.zeros(len(around)), np.full(len(around), 2 * distance + 1)
        changed = logits(p, point + far[:, None] * around).argmax(1) != own
        for _ in range(50):
            middle = (near + far) / 2
            still = logits(p, point + middle[:, None] * around).argmax(1) == own
            near, far = np.where(still, middle, near), np.where(still, far, middle)
        assert far[changed].min() == pytest.approx(distance, rel=1e-6)


def test_the_margin_is_the_solution_of_a_quadratic_program() -> None:
    p = problem(4, 6, seed=1)
    z = logits(p, p.points)
    for point, row, distance in zip(p.points, z, margin.radii(z, np.zeros_like(z), p.weight), strict=True):
        own, nearest = row.argmax(), np.inf
        for other in set(range(CLASSES)) - {own}:
            solved = optimize.minimize(
                lambda d: d @ d,
                np.zeros(4),
                constraints={
                    "type": "ineq",
                    "fun": lambda d, point=point, own=own, other=other: (
                        logits(p, point + d) @ (np.eye(CLASSES)[other] - np.eye(CLASSES)[own])
                    ),
                },
            )
            nearest = min(nearest, np.linalg.norm(solved.x))
        assert distance == pytest.approx(nearest, rel=1e-4)  # where the solver stops


def test_a_step_of_the_margin_flips_and_one_below_it_does_not() -> None:
    p = problem(7, 200, seed=2)
    z = logits(p, p.points)
    radius, top = margin.radii(z, np.zeros_like(z), p.weight), z.argmax(1)
    for point, row, own, distance in zip(p.points, z, top, radius, strict=True):
        towards = p.weight - p.weight[own]
        with np.errstate(invalid="ignore", divide="ignore"):
            nearest = np.nanargmin((row[own] - row) / np.linalg.norm(towards, axis=1))
        step = distance * towards[nearest] / np.linalg.norm(towards[nearest])
        assert logits(p, point + (1 - 1e-9) * step).argmax() == own
        assert logits(p, point + (1 + 1e-9) * step).argmax() == nearest


def test_classes_of_the_same_weights_never_meet() -> None:
    weight = np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    # The second lies behind the first everywhere; of a tie nothing is certified; the third is met as ever.
    z = np.array([[2.0, 1.0, 1.0], [1.0, 1.0, 0.0], [0.0, 1.0, 3.0]])
    radius = margin.radii(z, np.zeros_like(z), weight)
    np.testing.assert_allclose(radius, [1 / np.sqrt(2), 0, 2 / np.sqrt(2)], rtol=1e-15)
    assert margin.radii(np.array([[2.0, 1.0]]), np.zeros((1, 2)), np.ones((2, 3))) == [np.inf]


def test_what_rounding_may_have_left_is_not_claimed() -> None:
    """Of any logits within the rounding of those that are given, none has a smaller radius."""
    p = problem(3, 40, seed=4)
    z, random = logits(p, p.points), np.random.default_rng(5)
    rounding = np.abs(random.normal(scale=0.5, size=z.shape))
    claimed, top = margin.radii(z, rounding, p.weight), z.argmax(1)
    assert 0 < (claimed > 0).mean() < 1
    for _ in range(200):
        other = z + random.choice([-1, 1], size=z.shape) * rounding
        true = margin.radii(other, np.zeros_like(z), p.weight)
        np.testing.assert_array_less(claimed, np.where(other.argmax(1) == top, true, 0) + 1e-12)  # its own rounding


def true_logits(model: torch.nn.Sequential, z: np.ndarray) -> list[list[Fraction]]:
    """Of a linear layer on embeddings z [n, d], which are normalised first, as fractions."""
    mean, std = (part.flatten().tolist() for part in (model[0].mean, model[0].std))
    return [
        [
            sum(
                (Fraction(x) - Fraction(m)) / Fraction(s) * Fraction(w)
                for x, m, s, w in zip(point, mean, std, weight, strict=True)
            )
            + Fraction(bias)
            for weight, bias in zip(model[1].fc.weight.tolist(), model[1].fc.bias.tolist(), strict=True)
        ]
        for point in z.astype(float).tolist()
    ]


def rounded(read: Evidence) -> None:
    """Check that what logits may be off by is no less than what they are off by."""
    computed = margin.logits(read)
    true = true_logits(models.load(read.base, "base")[0], read.images.pixels().reshape(len(computed.z), -1))
    for row, logits in enumerate(true):
        for c, value in enumerate(logits):
            assert abs(value - Fraction(computed.z[row, c])) <= Fraction(computed.rounding[row, c])


def test_the_rounding_of_logits_is_bounded(fars: SimpleNamespace) -> None:
    """Against sums that are exact."""
    rounded(Evidence(alpha=0, n0=0, images=data.read(fars.test, ":3"), base=fars.folder / "original.safetensors"))


def test_a_mean_far_from_zero_is_no_less_of_what_is_rounded(tmp_path: Path) -> None:
    """Means of a million, which biases cancel, and two classes that differ by one last bit of one weight."""
    random, d = np.random.default_rng(7), 64
    mean = (1e6 * random.normal(size=d)).astype(np.float32).tolist()
    described = {"dataset": "points", "classes": 3, "mean": mean, "std": [1.0] * d}
    model = models.build("linear", 3, mean, described["std"])
    weight = random.normal(size=(3, d)).astype(np.float32)
    weight[1] = weight[0]
    weight[1, 0] = np.nextafter(weight[0, 0], np.float32(np.inf))
    model[1].fc.weight.data = torch.from_numpy(weight)
    model[1].fc.bias.data = torch.from_numpy((weight.astype(float) @ mean).astype(np.float32))
    described |= {"sigma": 0.0, "noise": "gaussian"}
    models.save(tmp_path / "far.safetensors", model, {"kind": "base", "arch": "linear", **described})
    z = random.normal(size=(20, d, 1, 1)).astype(np.float32)
    images = data.Images(np.arange(20), z, np.zeros(20, np.int64), {**described, "white": 1})
    rounded(Evidence(alpha=0, n0=0, images=images, base=tmp_path / "far.safetensors"))


# Sparsemax.


@pytest.mark.parametrize("r", [0.1, 1.0, 2.0, 50.0])
@pytest.mark.parametrize("scale", [0.01, 1.0, 100.0])
def test_sparsemax_is_the_projection(r: float, scale: float) -> None:
    z = scale * np.random.default_rng(3).normal(size=(50, 7))
    p = sparsemax.sparsemax(z, r)
    assert (p >= 0).all()
    np.testing.assert_allclose(p.sum(axis=1), r, rtol=1e-12)
    for row, projection in zip(z, p, strict=True):  # the shift that makes the sum r, without sorting

        def excess(t: float, row: np.ndarray = row) -> float:
            return np.maximum(row - t, 0).sum() - r

        shift = optimize.brentq(excess, row.min() - r, row.max(), xtol=1e-14)
        np.testing.assert_allclose(projection, np.maximum(row - shift, 0), rtol=1e-9, atol=1e-11 * scale)
    assert (p.argmax(1) == z.argmax(1)).all()
    np.testing.assert_allclose(sparsemax.sparsemax(z + 3.0, r), p, rtol=1e-9, atol=1e-11)
    np.testing.assert_allclose(sparsemax.sparsemax(p, r), p, rtol=1e-9, atol=1e-11)


def test_sparsemax_is_nearest_and_moves_no_two_points_apart() -> None:
    random = np.random.default_rng(4)
    z, other = random.normal(size=(2, 100, 4))
    p, q = sparsemax.sparsemax(z, 2), sparsemax.sparsemax(other, 2)
    some = 2 * random.dirichlet(np.ones(4), 1000)
    for row, projection in zip(z, p, strict=True):
        assert (np.linalg.norm(some - row, axis=1) >= np.linalg.norm(projection - row) - 1e-12).all()
    assert (np.linalg.norm(p - q, axis=1) <= np.linalg.norm(z - other, axis=1) + 1e-12).all()


# The methods, on a linear layer of embeddings.


def evidence(p: SimpleNamespace, folder: Path, shift: float = 0.0) -> Evidence:
    """What the methods read: the layer with a number added to all biases, normalising on the way, and the points."""
    n, d = p.points.shape
    mean, std = [0.25] * d, [0.5] * d  # of float32, exactly
    described = {"dataset": "points", "classes": CLASSES, "mean": mean, "std": std}
    model = models.build("linear", CLASSES, mean, std)
    fc = model[1].fc
    fc.weight.data = torch.tensor(p.weight * 0.5, dtype=torch.float32)
    fc.bias.data = torch.tensor(p.bias + 0.25 * p.weight.sum(axis=1) + shift, dtype=torch.float32)
    described |= {"sigma": 0.0, "noise": "gaussian"}
    models.save(folder / "layer.safetensors", model, {"kind": "base", "arch": "linear", **described})
    meta = {**described, "split": "test", "white": 1, "seconds": 2.0}
    labels = logits(p, p.points).argmax(1)
    images = data.Images(np.arange(n), p.points.astype(np.float32)[:, :, None, None], labels, meta)
    return Evidence(0.001, 100, images=images, base=folder / "layer.safetensors")


SETTINGS = {
    "margin": (margin, {}),
    "sparsemax": (sparsemax, {"simplex": 2}),
    "top-logit": (top_logit, {}),
    "top-sparsemax": (top_logit, {"simplex": 2}),
}


def certified(method: str, read: Evidence) -> pd.DataFrame:
    module, settings = SETTINGS[method]
    return module.certify(read, module.Settings(**settings))


def flipped(p: SimpleNamespace, radius: np.ndarray) -> int:
    """How many points have another prediction somewhere at most so far away: everywhere on 20 circles of a plane."""
    flips, around = 0, directions(720)
    for point, far in zip(p.points, radius, strict=True):
        some = np.concatenate([point + far * part * around for part in np.linspace(0.05, 1, 20)])
        flips += (logits(p, some).argmax(1) != logits(p, point[None]).argmax()).any()
    return flips


def test_the_margin_of_a_layer_that_normalises_is_that_of_the_layer(tmp_path: Path) -> None:
    p = problem(6, 50)
    log = certified("margin", evidence(p, tmp_path))
    exact = margin.radii(z := logits(p, p.points), np.zeros_like(z), p.weight)
    assert (log["radius"] < exact).all()
    np.testing.assert_allclose(log["radius"], exact, rtol=1e-5, atol=1e-5)  # the biases are rounded to float32
    assert (log["correct"] == 1).all()
    assert (log["time"] > 2).all()  # the embedding's included


def test_sparsemax_certifies_less_than_the_margin_and_both_are_sound(tmp_path: Path) -> None:
    p = problem(2, 60, seed=5)
    read = evidence(p, tmp_path)
    logs = {method: certified(method, read) for method in SETTINGS}
    assert (logs["sparsemax"]["radius"] <= logs["margin"]["radius"]).all()
    assert (logs["sparsemax"]["radius"] > 0).mean() > 0.9
    for method in ("margin", "sparsemax"):
        assert (logs[method]["guarantee"] == "deterministic").all()
        assert flipped(p, logs[method]["radius"].to_numpy()) == 0
    assert flipped(p, 1.01 * logs["margin"]["radius"].to_numpy() + 1e-3) == 60  # the search does find what there is
    for method in ("top-logit", "top-sparsemax"):
        assert (logs[method]["guarantee"] == "estimated").all()


@pytest.mark.parametrize(("method", "claimed"), [("top-logit", 3.0), ("top-sparsemax", 1.05)])
def test_the_top_logit_is_no_margin(tmp_path: Path, method: str, claimed: float) -> None:
    """At logits 3 and 2.9 a step of 0.08 changes the prediction, deep in the ball that is claimed."""
    weight = np.zeros((CLASSES, 2))
    weight[:2] = np.eye(2)
    bias = np.array([0, 0, -100, -100, -100.0])
    p = SimpleNamespace(weight=weight, bias=bias, points=np.array([[3.0, 2.9]]).astype(np.float32).astype(float))
    read = evidence(p, tmp_path)
    log = certified(method, read)
    assert log["radius"][0] == pytest.approx(claimed, abs=1e-6)
    step = np.array([-0.06, 0.06])
    assert np.linalg.norm(step) < 0.09 < claimed
    assert logits(p, p.points).argmax() == log["predict"][0] == 0
    assert logits(p, p.points + step).argmax() == 1
    assert certified("margin", read)["radius"][0] == pytest.approx(0.1 / np.sqrt(2), abs=1e-6)


def test_biases_make_the_top_logit_as_large_as_one_likes(tmp_path: Path) -> None:
    p = problem(3, 40)
    shifted = {}
    for shift in (0.0, 1024.0):
        read = evidence(p, tmp_path, shift)
        shifted[shift] = {method: certified(method, read) for method in SETTINGS}
    for method in ("margin", "sparsemax", "top-sparsemax"):  # none of which sees it; biases are rounded to 2^-14
        np.testing.assert_allclose(shifted[1024.0][method]["radius"], shifted[0.0][method]["radius"], rtol=0, atol=2e-3)
    more = shifted[1024.0]["top-logit"]["radius"] - shifted[0.0]["top-logit"]["radius"].clip(lower=0)
    assert (more > 100 * shifted[0.0]["margin"]["radius"]).all()
    assert (shifted[1024.0]["top-logit"]["predict"] == shifted[0.0]["margin"]["predict"]).all()


# Rounding.


def test_a_stored_embedding_is_as_near_as_is_taken_off() -> None:
    random = np.random.default_rng(6)
    for scale in (1e-42, 1e-30, 1e-3, 1.0, 1e6):  # the first is below what float32 holds in full
        z = scale * random.normal(size=(500, 64))
        off = np.linalg.norm(z.astype(np.float32).astype(float) - z, axis=1)
        assert (off <= embedding.HALF_BIT * (1 + np.linalg.norm(z, axis=1))).all()
    assert off.max() > embedding.HALF_BIT / 4 * np.linalg.norm(z, axis=1).max()  # and it is no idle bound


def test_a_radius_of_images_is_never_above_that_of_embeddings() -> None:
    pixels = np.full((4, 4, 1, 1), 1.5, np.float32)  # of the norm 3
    meta = {"dataset": "points@backbone", "white": 1, "rounding": 1e-6}
    images = data.Images(np.arange(4), pixels, np.zeros(4, np.int64), meta)
    off = embedding.HALF_BIT * 4 + 1e-6
    radii = embedding.input_radius(np.array([1.0, off / 2, np.inf, np.nan]), images)
    np.testing.assert_allclose(radii, [1 - embedding.HALF_BIT - off, 0, np.inf, 0], rtol=1e-15)
    meta["rounding"] = np.inf
    with np.errstate(invalid="ignore"):
        assert (embedding.input_radius(np.array([1.0, off / 2, np.inf, np.nan]), images) == 0).all()
    raw = data.Images(np.arange(1), np.full((1, 1, 2, 2), 16, np.uint8), np.zeros(1, np.int64), {"dataset": "digits"})
    raw.meta["white"] = 16
    for rounding in (0.0, 1e-3):
        expected = 1 - embedding.HALF_BIT * 4 - rounding
        assert embedding.input_radius(np.array([1.0]), raw, rounding)[0] == pytest.approx(expected, rel=1e-15)
    assert embedding.input_radius(np.array([1.0]), raw, np.inf)[0] == 0


# By the verbs, on digits.


def run(words: str) -> None:
    assert cli.main(words.split()) == 0, words


HEADS = {
    "original": "train-base gaussian --sigma 0 --arch linear",
    "lmt": "train-base margin --sigma 0 --arch linear --epsilon 0.2",
    "mlp": "train-base gaussian --sigma 0.25 --arch mlp-16",
}


@pytest.fixture(scope="module")
def fars(
    backbones: dict[str, Path], digits: SimpleNamespace, tmp_path_factory: pytest.TempPathFactory
) -> SimpleNamespace:
    """Embeddings of the digits by two backbones, and heads on those of the first; not to be changed."""
    folder = tmp_path_factory.mktemp("fars")
    for precision, backbone in backbones.items():
        run(
            f"embed --base {backbone} --train {digits.train} --test {digits.test} --threads 1 "
            f"--output {folder}/{precision}"
        )
    train, test = folder / "fp32/train.npz", folder / "fp32/test.npz"
    for name, words in HEADS.items():
        run(
            f"{words} --train {train} --test {test} --optimizer adamw --lr 0.01 --epochs 3 --batch-size 64 "
            f"--crop 0 --no-flip --threads 1 --output {folder}/{name}.safetensors"
        )
    return SimpleNamespace(
        folder=folder, train=train, test=test, backbone=backbones["fp32"], raw=digits, other=folder / "bf16/test.npz"
    )


def counting(fars: SimpleNamespace, base: str, images: Path, folder: Path, noise: str = "gaussian") -> str:
    for purpose in ("selection", "estimation"):
        run(
            f"count --base {base} --images {images} --slice :40 --sigma 0.25 --noise {noise} --purpose {purpose} "
            f"--sizes 100 500 --threads 1 --output {folder}/{purpose}.npz"
        )
    return (
        f"certify embedded --n 500 --alpha 0.01 --selection {folder}/selection.npz "
        f"--estimation {folder}/estimation.npz --slice :40 --output {folder}/embedded.tsv"
    )


def test_embeddings_are_images_of_one_pixel(fars: SimpleNamespace) -> None:
    for split in SPLITS:
        raw, embedded = data.read(getattr(fars.raw, split)), data.read(getattr(fars, split))
        assert embedded.images.shape == (len(raw.idx), 64, 1, 1)
        assert embedded.images.dtype == np.float32
        np.testing.assert_array_equal(embedded.labels, raw.labels)
        np.testing.assert_array_equal(embedded.pixels(), embedded.images)
        model, _ = models.load(fars.backbone, "base")
        with torch.no_grad():
            z = models.linear(model.double()).features(torch.from_numpy(raw.pixels()).double()).numpy()
        off = np.linalg.norm(embedded.images[:, :, 0, 0] - z, axis=1)
        assert (off <= embedding.HALF_BIT * (1 + np.linalg.norm(z, axis=1)) + embedded.meta["rounding"]).all()
        assert embedded.meta["rounding"] == models.exact(models.load(fars.backbone, "base")[0]).rounding < 1e-7
        assert embedded.meta["dataset"] == f"digits@{sha256(fars.backbone)}"
        assert embedded.meta["classes"] == 10
        assert embedded.meta["seconds"] > 0


def test_both_splits_are_normalised_as_the_training_split(fars: SimpleNamespace) -> None:
    train, test = data.read(fars.train), data.read(fars.test)
    for meta in (train.meta, test.meta):
        np.testing.assert_allclose(meta["mean"], train.images[:, :, 0, 0].mean(0, dtype=float), atol=1e-6)
        np.testing.assert_allclose(meta["std"], train.images[:, :, 0, 0].std(0, dtype=float), atol=1e-6)
    assert np.abs(np.array(test.meta["mean"]) - test.images[:, :, 0, 0].mean(0)).max() > 1e-3
    assert models.load(fars.folder / "original.safetensors", "base")[1]["mean"] == train.meta["mean"]


def test_a_feature_that_never_changes_is_divided_by_one(fars: SimpleNamespace, tmp_path: Path) -> None:
    model, described = models.load(fars.backbone, "base")
    flat = copy.deepcopy(model)
    flat[1].vectors[0].weight.data[3] = 0  # the narrowing gives nothing there, and no layer behind it does
    for layer in flat[1].vectors[1:]:
        layer.weight.data[:, 3] = 0
    models.save(tmp_path / "flat.safetensors", flat, described)
    run(f"embed --base {tmp_path}/flat.safetensors --train {fars.raw.train} --test {fars.raw.test} --output {tmp_path}")
    meta = data.read(tmp_path / "test.npz").meta
    assert (meta["mean"][3], meta["std"][3]) == (0, 1)
    assert 1 not in np.delete(meta["std"], 3)


def test_an_embedding_that_was_stopped_goes_on(
    fars: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """In the training split, at its end, and in the other one."""
    words = (
        f"embed --base {fars.backbone} --train {fars.raw.train} --test {fars.raw.test} --threads 1 --output {tmp_path}"
    )
    update, total, stops = embedding.Resumable.update, 0, (200, 1297, 1497)

    def once(progress: embedding.Resumable, amount: int) -> None:
        nonlocal total
        update(progress, amount)
        total += amount
        if total in stops:
            progress.asked = 15

    with monkeypatch.context() as patch:
        patch.setattr(embedding.Resumable, "update", once)
        for done in stops:
            assert cli.main(words.split()) == cli.TRY_AGAIN
            assert total == done  # nothing is done again
            assert not list(tmp_path.glob("*t*n.npz"))
    run(words)
    printed = capsys.readouterr().err
    assert "goes on from 200 of 1297" in printed
    assert "goes on from 200 of 500" in printed
    assert sorted(path.name for path in tmp_path.iterdir() if "record" not in path.name) == ["test.npz", "train.npz"]
    for split in SPLITS:
        whole, again = data.read(getattr(fars, split)), data.read(tmp_path / f"{split}.npz")
        np.testing.assert_array_equal(again.images, whole.images)
        assert again.meta | {"seconds": 0} == whole.meta | {"seconds": 0}


LINEAR = {"margin": "margin", "sparsemax": "sparsemax --simplex 2", "top-logit": "top-logit"}


@pytest.mark.parametrize("head", ["backbone", "original", "lmt"])
def test_certificates_of_linear_layers(fars: SimpleNamespace, tmp_path: Path, head: str) -> None:
    base = fars.backbone if head == "backbone" else fars.folder / f"{head}.safetensors"
    images = fars.raw.test if head == "backbone" else fars.test
    logs = {}
    for method, words in LINEAR.items():
        run(f"certify {words} --base {base} --images {images} --slice :100 --output {tmp_path}/{method}.tsv")
        logs[method] = log = certificates.read(tmp_path / f"{method}.tsv")
        assert list(log)[:6] == certificates.COLUMNS
        assert log["idx"].tolist() == list(range(100))
        for column, value in {"n": 0, "n0": 0, "alpha": 0, "sigma": 0, "sigma0": 0}.items():
            assert (log[column].astype(float) == value).all(), column
        assert (log["guarantee"] == ("estimated" if method == "top-logit" else "deterministic")).all()
        assert (log["arithmetic"] == "cpu-pytorch-fp64").all()
        assert (log["noise"] == "gaussian").all()
        assert (log["time"].astype(float) > 0).all()
    assert (logs["sparsemax"]["radius"] <= logs["margin"]["radius"]).all()
    assert logs["margin"]["correct"].mean() > 0.5

    model, _ = models.load(base, "base")
    z = data.read(fars.test, ":100").images[:, :, 0, 0].astype(float)
    fc, normalize = model.double()[1].fc, model[0]
    with torch.no_grad():
        inputs = torch.from_numpy(z)
        inputs = inputs if head == "backbone" else (inputs - normalize.mean.flatten()) / normalize.std.flatten()
        by_hand = fc(inputs).numpy()
        weight = (fc.weight if head == "backbone" else fc.weight / normalize.std.flatten()).numpy()
    exact = margin.radii(by_hand, np.zeros_like(by_hand), weight)
    some = exact > 1e-4  # where a tie is not near
    # The embeddings are stored in float32, and what may have been rounded is taken off.
    np.testing.assert_allclose(logs["margin"]["radius"][some], exact[some], rtol=1e-6, atol=1e-5)
    assert (logs["margin"]["predict"] == by_hand.argmax(1))[some].all()


def attacked(fars: SimpleNamespace, base: Path | None, radii: np.ndarray) -> np.ndarray:
    """[images] whether 10 steps along the gradient, in a ball around each of the first images, change a prediction.

    Args:
        base: the head behind the backbone, if it is not the backbone's own layer.
        radii: [images] of the balls.
    """
    backbone = models.load(fars.backbone, "base")[0].double()
    if base:
        head = models.load(base, "base")[0].double()
        features = models.linear(backbone).features

        def f(x: torch.Tensor) -> torch.Tensor:
            return head(features(x)[:, :, None, None])
    else:
        f = backbone
    x = torch.from_numpy(data.read(fars.raw.test, f":{len(radii)}").pixels()).double()
    radius = torch.tensor(radii).view(-1, 1, 1, 1)
    with torch.no_grad():
        top = f(x).argmax(1)
    ever, delta = torch.zeros(len(x), dtype=torch.bool), torch.zeros_like(x)
    for _ in range(10):
        delta.requires_grad_()
        z = f(x + delta)
        own = z.gather(1, top[:, None])[:, 0]
        rest = z.scatter(1, top[:, None], -torch.inf).max(1).values
        (slope,) = torch.autograd.grad((rest - own).sum(), delta)
        delta = delta.detach() + radius / 4 * slope / slope.flatten(1).norm(dim=1).clamp_min(1e-12).view(-1, 1, 1, 1)
        delta *= (radius / delta.flatten(1).norm(dim=1).clamp_min(1e-12).view(-1, 1, 1, 1)).clamp_max(1)
        with torch.no_grad():
            ever |= f(x + delta).argmax(1) != top
    return ever.numpy()


@pytest.mark.slow
def test_no_attack_breaks_a_margin_and_some_break_the_top_logit(fars: SimpleNamespace, tmp_path: Path) -> None:
    for base in (None, fars.folder / "original.safetensors"):
        broken = {}
        for method, words in LINEAR.items():
            images = fars.test if base else fars.raw.test
            run(
                f"certify {words} --base {base or fars.backbone} --images {images} --slice :50 "
                f"--output {tmp_path}/{method}.tsv"
            )
            log = certificates.read(tmp_path / f"{method}.tsv")
            broken[method] = attacked(fars, base, log["radius"].to_numpy())
        assert not broken["margin"].any()
        assert not broken["sparsemax"].any()
        assert broken["top-logit"].sum() > 5


def test_certificates_of_smoothed_heads(fars: SimpleNamespace, tmp_path: Path) -> None:
    words = counting(fars, f"{fars.folder}/mlp.safetensors", fars.test, tmp_path)
    run(f"{words} --images {fars.test}")
    log = certificates.read(tmp_path / "embedded.tsv")
    assert list(log)[:6] == certificates.COLUMNS
    for column, value in {"n": 500, "n0": 100, "alpha": 0.01, "sigma": 0.25, "sigma0": 0.25, "passes": 600}.items():
        assert (log[column].astype(float) == value).all(), column
    assert (log["noise"] == "gaussian").all()
    assert (log["guarantee"] == "sound").all()
    z = data.read(fars.test, ":40")
    some = log["radius"] > 0
    assert some.mean() > 0.5
    expected = embedding.input_radius(0.25 * stats.norm.ppf(log["p_lower"]), z)
    np.testing.assert_allclose(log["radius"][some], expected[some], rtol=1e-12)
    assert (log["radius"][some] < 0.25 * stats.norm.ppf(log["p_lower"])[some]).all()
    assert (log["time"].astype(float) > z.meta["seconds"]).all()
    selected = counts.read(tmp_path / "selection.npz").at(100).argmax(1)
    assert (log["predict"][some] == selected[some]).all()


def refused(words: str, message: str, output: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output.unlink(missing_ok=True)
    assert cli.main(words.split()) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert message in error
    assert not output.exists()


def test_embedded_is_for_embeddings_under_noise_in_l2(
    fars: SimpleNamespace, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = tmp_path / "embedded.tsv"
    words = counting(fars, str(fars.backbone), fars.raw.test, tmp_path)
    refused(f"{words} --images {fars.raw.test}", "--images must be the counted embeddings, got images", log, capsys)
    words = counting(fars, f"{fars.folder}/mlp.safetensors", fars.test, tmp_path)
    refused(
        words.replace("certify embedded", "certify cohen"),
        "--selection must be counts of images, got counts of embeddings",
        log,
        capsys,
    )
    for noise in ("uniform", "laplace"):
        words = counting(fars, f"{fars.folder}/mlp.safetensors", fars.test, tmp_path, noise)
        refused(f"{words} --images {fars.test}", f"the noise of the counts must be gaussian, got {noise}", log, capsys)


def test_embeddings_that_tell_no_rounding_are_refused(
    fars: SimpleNamespace, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    embeddings = data.read(fars.test)
    del embeddings.meta["rounding"]
    write_arrays(tmp_path / "old.npz", {"images": embeddings.images, "labels": embeddings.labels}, embeddings.meta)
    words = counting(fars, f"{fars.folder}/mlp.safetensors", fars.test, tmp_path).replace("embedded.tsv", "log.tsv")
    linear = f"certify margin --base {fars.folder}/original.safetensors --output {tmp_path}/log.tsv --slice :40"
    for certifying in (words, linear, linear.replace("margin", "sparsemax --simplex 2")):
        message = "--images must hold a bound on the rounding of the backbone, got none; embed them again"
        refused(f"{certifying} --images {tmp_path}/old.npz", message, tmp_path / "log.tsv", capsys)


@pytest.mark.parametrize("head", ["backbone", "original"])
def test_a_layer_that_weighs_all_classes_alike_is_refused(
    fars: SimpleNamespace, tmp_path: Path, capsys: pytest.CaptureFixture[str], head: str
) -> None:
    base, images = (
        (fars.backbone, fars.raw.test) if head == "backbone" else (fars.folder / "original.safetensors", fars.test)
    )
    model, described = models.load(base, "base")
    model[1].fc.weight.data[:] = model[1].fc.weight.data[0].clone()
    models.save(tmp_path / "same.safetensors", model, described)
    log = tmp_path / "log.tsv"
    for words in LINEAR.values():
        message = f"{tmp_path}/same.safetensors must have different last weights for the classes"
        refused(
            f"certify {words} --base {tmp_path}/same.safetensors --images {images} --output {log}", message, log, capsys
        )
    model[1].fc.weight.data[3, 5] += 1e-6  # nine of ten, of which two have one weight wherever they win
    models.save(tmp_path / "same.safetensors", model, described)
    for words in LINEAR.values():
        run(f"certify {words} --base {tmp_path}/same.safetensors --images {images} --slice :20 --output {log}")
        assert np.isfinite(certificates.read(log)["radius"]).all()


@pytest.mark.parametrize("part", ["images.2.bias", "vectors.0.weight", "fc.weight", "fc.bias"])
@pytest.mark.parametrize("fault", [np.nan, np.inf])
def test_of_weights_that_are_no_numbers_nothing_is_certified(
    fars: SimpleNamespace, tmp_path: Path, capsys: pytest.CaptureFixture[str], part: str, fault: float
) -> None:
    model, described = models.load(fars.backbone, "base")
    model[1].get_parameter(part).data.view(-1)[1] = fault
    models.save(tmp_path / "broken.safetensors", model, described)
    base, log = tmp_path / "broken.safetensors", tmp_path / "log.tsv"
    for method in ("margin", "sparsemax --simplex 2"):
        words = f"certify {method} --base {base} --images {fars.raw.test} --slice :20 --output {log}"
        if part.startswith("fc"):
            refused(words, f"{base} must have finite last weights", log, capsys)
        else:
            run(words)
            assert (certificates.read(log)["radius"] == 0).all()


def test_a_head_is_for_the_embeddings_of_its_own_backbone(
    fars: SimpleNamespace, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    head, log = fars.folder / "original.safetensors", tmp_path / "log.tsv"
    own, other = data.read(fars.test).meta["dataset"], data.read(fars.other).meta["dataset"]
    assert own != other
    message = f"must be made for dataset {other}, as the images, got {own}"
    refused(f"certify margin --base {head} --images {fars.other} --output {log}", message, log, capsys)
    refused(f"count --base {head} --images {fars.other} --sigma 0.25 --sizes 10 --output {log}", message, log, capsys)
    refused(
        f"certify margin --base {head} --images {fars.raw.test} --output {log}",
        f"must be made for dataset digits, as the images, got {own}",
        log, capsys,
    )  # fmt: skip
    words = counting(fars, f"{fars.folder}/mlp.safetensors", fars.test, tmp_path).replace("embedded.tsv", "log.tsv")
    refused(f"{words} --images {fars.other}", "the inputs must have the same dataset", log, capsys)


def test_a_margin_is_of_what_is_linear(
    fars: SimpleNamespace, base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = tmp_path / "log.tsv"
    for words in LINEAR.values():
        refused(
            f"certify {words} --base {base} --images {fars.raw.test} --output {log}",
            f"{base} must have a linear layer behind a 1-Lipschitz map",
            log, capsys,
        )  # fmt: skip
        mlp = fars.folder / "mlp.safetensors"
        refused(
            f"certify {words} --base {mlp} --images {fars.test} --output {log}",
            f"{mlp} must have a linear layer behind",
            log, capsys,
        )  # fmt: skip
