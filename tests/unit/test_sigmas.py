"""Sigmas of their own for inputs: the ascent goes where the radius is largest, and the same way every time."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy import stats

from accelerated_smoothing import cli, noise
from accelerated_smoothing.certify import log as certificates
from accelerated_smoothing.config.slices import as_slice
from accelerated_smoothing.counting import counts
from accelerated_smoothing.files import read_arrays, write_arrays
from accelerated_smoothing.sigmas import choosing
from accelerated_smoothing.sigmas import chosen as sigmas
from accelerated_smoothing.sigmas.ways import ascent, grid, idrs, qcrs

Z, WEIGHTS = np.polynomial.hermite_e.hermegauss(200)  # quadrature under a standard normal


def radius(p: Callable[[np.ndarray], np.ndarray], x: float, sigma: float) -> float:
    """The radius of a two-class classifier on a line, whose first class has probability p(x), by quadrature."""
    mean = (p(x + sigma * Z) * WEIGHTS).sum() / WEIGHTS.sum()
    mean = np.clip(max(mean, 1 - mean), 0.02, 0.98)
    return float(sigma * stats.norm.ppf(mean))


def climbed(logit: Callable[[torch.Tensor], torch.Tensor], x: list[float], start: float, steps: int, lr: float, n: int):
    """Where the ascent takes inputs on a line, under a classifier that tells the logit of its first class."""

    def forward(batch: torch.Tensor) -> torch.Tensor:
        return torch.stack([logit(batch.flatten()), torch.zeros(len(batch))], dim=1)

    random = torch.Generator().manual_seed(3)

    def draw(step: int, samples: int) -> torch.Tensor:
        return torch.randn((len(x), samples, 1, 1, 1), generator=random)

    images = torch.tensor(x).view(-1, 1, 1, 1)
    reached = ascent.choose(
        forward, images, torch.full((len(x),), start), draw, noise.distribution("gaussian").margin,
        [steps], ascent.Settings(samples=n, lr=lr),
    )  # fmt: skip
    return reached[0].numpy()


@pytest.mark.parametrize("start", [0.1, 0.5, 1.0])
def test_on_a_linear_model_sigma_grows_as_the_radius_does(start: float) -> None:
    """Under p(x) = 1/(1 + exp(-4x)) the radius grows with sigma, towards the distance from the boundary."""

    def p(x: np.ndarray) -> np.ndarray:
        return 1 / (1 + np.exp(-4 * x))

    for x in (0.1, 0.3, 0.6):
        grown = [radius(p, x, sigma) for sigma in np.linspace(0.1, 2, 40)]
        assert (np.diff(grown) > 0).all()
    reached = climbed(lambda x: 4 * x, [0.1, 0.3, 0.6, -0.3], start, steps=100, lr=0.02, n=4096)
    assert (reached > start).all()
    # Each step is lr times a derivative that can be had by quadrature. Of few samples the larger class's share is on
    # average too large, and with it the step; 4,096 are enough for 0.05.
    for x, end in zip((0.1, 0.3, 0.6), reached, strict=False):
        sigma = start
        for _ in range(100):
            sigma += 0.02 * (radius(p, x, sigma + 1e-4) - radius(p, x, sigma - 1e-4)) / 2e-4
        assert end == pytest.approx(sigma, abs=0.05)


def test_where_the_best_sigma_is_known_the_ascent_ends_there() -> None:
    """Inside of a slab, between two linear boundaries, too much noise is as bad as too little."""

    def logit(x: torch.Tensor) -> torch.Tensor:
        return 20 * (0.5 - x.abs())

    def p(x: np.ndarray) -> np.ndarray:
        return 1 / (1 + np.exp(-20 * (0.5 - np.abs(x))))

    over = np.linspace(0.02, 1, 491)
    best = over[np.argmax([radius(p, 0.0, sigma) for sigma in over])]
    assert 0.1 < best < 0.5
    for start in (0.1, 0.5):
        reached = climbed(logit, [0.0] * 8, start, steps=300, lr=0.01, n=256)
        assert reached.mean() == pytest.approx(best, abs=0.03)  # the top is flat: within 0.03 lie 99 % of the radius


def test_uniform_noise_has_its_own_objective() -> None:
    """Far from the boundary, lambda (p_A - p_B) is lambda itself, and grows by lr a step, up to the clamped 0.96."""
    images = torch.full((2, 1, 1, 1), 50.0)
    reached = ascent.choose(
        lambda batch: torch.stack([batch.flatten(), -batch.flatten()], dim=1),
        images, torch.tensor([0.25, 0.5]), lambda step, n: torch.rand((2, n, 1, 1, 1)) * 2 - 1,
        noise.distribution("uniform").margin, [10, 20], ascent.Settings(samples=1, lr=0.01),
    )  # fmt: skip
    np.testing.assert_allclose(reached.numpy(), [[0.346, 0.596], [0.442, 0.692]], atol=1e-6)  # float32


def test_the_grid_is_searched_as_by_a_plain_loop() -> None:
    random = torch.Generator().manual_seed(5)
    draws = {(step, n): torch.randn((3, n, 1, 1, 1), generator=random) for step in range(1, 21) for n in (1, 4)}
    x = [0.1, 0.4, -0.3]
    picks = grid.choose(
        lambda batch: torch.stack([3 * batch.flatten(), torch.zeros(len(batch))], dim=1),
        torch.tensor(x).view(-1, 1, 1, 1), torch.full((3,), 0.25), lambda step, n: draws[step, n],
        noise.distribution("gaussian").margin, [1, 4], grid.Settings(evaluations=20),
    )  # fmt: skip
    for row, n in enumerate((1, 4)):
        for image, at in enumerate(x):
            best = (-np.inf, 0.0)
            for point in range(1, 20 // n + 1):
                sigma = point / (20 // n)
                p = np.mean(
                    [1 / (1 + np.exp(-3 * (at + sigma * e))) for e in draws[point, n][image].flatten().tolist()]
                )
                p = np.clip(max(p, 1 - p), 0.02, 0.98)
                best = max(best, (sigma * stats.norm.ppf(p), sigma))
            assert float(picks[row, image]) == pytest.approx(best[1])


def bisected(logit: Callable[[torch.Tensor], torch.Tensor], x: float, at: list[int], high: float) -> np.ndarray:
    random = torch.Generator().manual_seed(3)
    draws = {step: torch.randn((8, 4096, 1, 1, 1), generator=random) for step in range(12)}
    return qcrs.choose(
        lambda batch: torch.stack([logit(batch.flatten()), torch.zeros(len(batch))], dim=1),
        torch.full((8, 1, 1, 1), x), torch.full((8,), 0.25), lambda step, n: draws[step],
        noise.distribution("gaussian").margin, at, qcrs.Settings(samples=4096, low=0.05, high=high),
    ).numpy()  # fmt: skip


def test_bisection_finds_the_best_sigma_of_a_slab() -> None:
    """Up to the sigma at which the other class takes over, the radius is quasi-concave there."""

    def p(x: np.ndarray) -> np.ndarray:
        return 1 / (1 + np.exp(-20 * (0.5 - np.abs(x))))

    over = np.linspace(0.05, 0.6, 276)
    grown = np.array([radius(p, 0.0, sigma) for sigma in over])
    assert (np.diff(grown[: grown.argmax()]) > 0).all()
    assert (np.diff(grown[grown.argmax() :]) < 1e-9).all()
    reached = bisected(lambda x: 20 * (0.5 - x.abs()), 0.0, [3, 10], 0.6)
    assert reached[1].mean() == pytest.approx(over[grown.argmax()], abs=0.03)  # the top is flat, as for the ascent
    assert (np.abs(reached[0] - over[grown.argmax()]) <= 0.55 / 2**3 + 0.03).all()  # the interval after three steps


def test_bisection_ends_where_the_radius_is_largest_in_the_interval() -> None:
    """On a linear model the radius grows with sigma. More steps go on from fewer."""
    reached = bisected(lambda x: 4 * x, 0.4, [1, 2, 8], 1.0)
    np.testing.assert_allclose(reached, [[0.525 + 0.2375] * 8, [0.88125] * 8, [1 - 0.95 / 2**9] * 8], rtol=1e-6)


def test_sigma_changes_slowly_with_the_nearest_training_images() -> None:
    random = np.random.default_rng(0)
    train, x = random.random((50, 2, 3, 3)), random.random((6, 2, 3, 3))
    settings = idrs.Settings(rate=0.3, distance=1.0)

    def of(images: np.ndarray) -> np.ndarray:
        start = torch.full((len(images),), 0.5, dtype=torch.float64)
        parts = torch.from_numpy(images), start, None, None, [1, 4], settings
        return idrs.choose(None, *parts, train=torch.from_numpy(train)).numpy()

    chosen = of(x)
    for row, k in enumerate((1, 4)):
        for place, image in enumerate(x):
            nearest = np.sort([np.linalg.norm(image - other) for other in train])[:k]
            assert chosen[row, place] == pytest.approx(0.5 * np.exp(0.3 * (nearest.mean() - 1.0)), rel=1e-12)
    step = 0.1 * random.normal(size=x.shape)
    change = np.abs(np.log(of(x + step) / chosen))
    assert (change <= 0.3 * np.linalg.norm(step.reshape(6, -1), axis=1) * (1 + 1e-12)).all()


@pytest.fixture(scope="module")
def chosen(base: Path, digits: SimpleNamespace, tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """Sigmas of twenty digits by the verb, and what it was told."""
    output = tmp_path_factory.mktemp("chosen") / "ascent.npz"
    words = f"choose ascent --lr 0.02 --at 5 10 --base {base} --images {digits.test} --sigma 0.5 --threads 1"
    assert cli.main(f"{words} --slice :20 --output {output}".split()) == 0
    return SimpleNamespace(path=output, words=words, content=sigmas.read(output))


def test_sigmas_differ_by_image_and_by_the_number_of_steps(chosen: SimpleNamespace) -> None:
    content = chosen.content
    assert content.at.tolist() == [5, 10]
    assert content.sigmas.shape == (2, 20)
    assert len(np.unique(content.sigmas)) > 30
    assert (np.abs(content.sigmas[1] - 0.5) > np.abs(content.sigmas[0] - 0.5)).mean() > 0.5
    assert (content.meta["way"], content.meta["sigma"], content.meta["noise"]) == ("ascent", 0.5, "gaussian")


@pytest.mark.parametrize(
    ("part", "at", "kept"), [(":20", "5 10", 1), (":20", "5", 0), ("7:20", "10", 1), ("3:20:4", "5", 0)]
)
def test_a_sigma_depends_on_its_image_alone(
    chosen: SimpleNamespace, tmp_path: Path, part: str, at: str, kept: int
) -> None:
    """Not on the images beside it, nor on how far others are to go."""
    words = chosen.words.replace("--at 5 10", f"--at {at}")
    assert cli.main(f"{words} --slice {part} --output {tmp_path / 'again.npz'}".split()) == 0
    again = sigmas.read(tmp_path / "again.npz")
    np.testing.assert_array_equal(again.sigmas[-1], chosen.content.sigmas[kept][as_slice(part)])


def test_another_seed_gives_other_sigmas(chosen: SimpleNamespace, tmp_path: Path) -> None:
    assert cli.main(f"{chosen.words} --slice :20 --seed 1 --output {tmp_path / 'other.npz'}".split()) == 0
    assert (sigmas.read(tmp_path / "other.npz").sigmas != chosen.content.sigmas).mean() > 0.9


def test_what_was_stopped_goes_on(
    chosen: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With batches of eight images, stopped after the first."""
    monkeypatch.setattr(choosing.engines, "batch", lambda *_: 8)
    whole, stopped = tmp_path / "whole.npz", tmp_path / "stopped.npz"
    assert cli.main(f"{chosen.words} --slice :20 --output {whole}".split()) == 0
    update = choosing.Resumable.update

    def once(progress: choosing.Resumable, amount: int) -> None:
        update(progress, amount)
        progress.asked = 15

    with monkeypatch.context() as patch:
        patch.setattr(choosing.Resumable, "update", once)
        assert cli.main(f"{chosen.words} --slice :20 --output {stopped}".split()) == cli.TRY_AGAIN
    assert not stopped.exists()
    assert cli.main(f"{chosen.words} --slice :20 --output {stopped}".split()) == 0
    assert "goes on from 8 of 20" in capsys.readouterr().err
    np.testing.assert_array_equal(sigmas.read(stopped).sigmas, sigmas.read(whole).sigmas)
    assert sorted(path.name for path in tmp_path.glob("*partial*")) == []


def counted(words: str, output: Path) -> counts.Counts:
    assert cli.main(f"count {words} --sizes 50 200 --threads 1 --output {output}".split()) == 0
    return counts.read(output)


def test_counting_takes_each_images_own_sigma(
    chosen: SimpleNamespace, base: Path, digits: SimpleNamespace, tmp_path: Path
) -> None:
    words = f"--base {base} --images {digits.test} --slice :20 --sigma 0.5"
    own = counted(f"{words} --sigmas {chosen.path} --at 10", tmp_path / "own.npz")
    np.testing.assert_array_equal(own.sigmas, chosen.content.sigmas[1])
    assert own.meta["choice"] == "ascent10"
    assert own.meta["choice_passes"] == 2 * 10  # a step goes forward and back with one copy
    for row in (0, 7, 19):  # as if that image alone had been counted at that sigma
        sigma = repr(float(chosen.content.sigmas[1, row]))
        alone = counted(words.replace("0.5", sigma).replace(":20", f"{row}:{row + 1}"), tmp_path / "alone.npz")
        np.testing.assert_array_equal(alone.counts[0], own.counts[row])
    arrays, meta = read_arrays(chosen.path, sigmas.ARRAYS, "sigmas")
    write_arrays(tmp_path / "same.npz", {**arrays, "sigmas": np.full((2, 20), 0.5)}, meta)
    same = counted(f"{words} --sigmas {tmp_path / 'same.npz'} --at 5", tmp_path / "counts.npz")
    fixed = counted(words, tmp_path / "fixed.npz")
    np.testing.assert_array_equal(same.counts, fixed.counts)
    np.testing.assert_array_equal(fixed.sigmas, np.full(20, 0.5))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"--at 10": "--at 7"}, "--at must be one of [5, 10], at which sigmas were chosen, got 7"),
        ({"--at 10": ""}, "--at must be set with --sigmas, got none"),
        ({"--sigma 0.5": "--sigma 0.25"}, "--sigmas must be chosen for sigma 0.25, got 0.5"),
        ({"--slice :20": "--slice :21"}, "--sigmas must hold all images that are counted, got none for image 20"),
        ({"--noise gaussian": "--noise uniform"}, "--sigmas must be chosen for noise uniform, got gaussian"),
    ],
)
def test_sigmas_of_something_else_are_refused(
    chosen: SimpleNamespace, base: Path, digits: SimpleNamespace, tmp_path: Path,
    capsys: pytest.CaptureFixture[str], changes: dict[str, str], message: str,
) -> None:  # fmt: skip
    words = f"count --base {base} --images {digits.test} --slice :20 --sigma 0.5 --noise gaussian"
    words += f" --sigmas {chosen.path} --at 10"
    for old, new in changes.items():
        words = words.replace(old, new)
    assert cli.main(f"{words} --sizes 10 --output {tmp_path / 'counts.npz'}".split()) == 2
    assert message in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_certificates_by_the_memory(
    chosen: SimpleNamespace, base: Path, digits: SimpleNamespace, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = f"--base {base} --images {digits.test} --slice :20 --sigma 0.5 --sigmas {chosen.path} --at 10"
    counted(f"{words} --purpose selection", tmp_path / "selection.npz")
    counted(f"{words} --purpose estimation", tmp_path / "estimation.npz")
    certifying = (
        f"certify memory --n 200 --at 10 --selection {tmp_path / 'selection.npz'} --estimation "
        f"{tmp_path / 'estimation.npz'} --images {digits.test} --slice :20 --n0 50 --output {tmp_path / 'memory.tsv'}"
    )
    assert cli.main(certifying.split()) == 0
    log = certificates.read(tmp_path / "memory.tsv")
    np.testing.assert_array_equal(log["sigma"], chosen.content.sigmas[1])
    assert (log["sigma0"] == 0.5).all()
    assert (log["guarantee"] == "memory").all()
    assert (log["noise"] == "gaussian").all()
    assert log["order"].tolist() == log["idx"].tolist() == list(range(20))
    some = log["own_radius"] > 0
    assert some.any()
    np.testing.assert_allclose(log["own_radius"][some], (log["sigma"] * stats.norm.ppf(log["p_lower"]))[some])
    # By Cohen et al.'s method alone they promise nothing of a classifier that chooses its sigma, and are not marked so.
    plain = certifying.replace("certify memory --n 200 --at 10", "certify cohen --n 200").replace(
        "memory.tsv", "cohen.tsv"
    )
    plain = plain.replace(f"--images {digits.test} ", "")
    assert cli.main(plain.split()) == 0
    assert (certificates.read(tmp_path / "cohen.tsv")["guarantee"] == "estimated").all()
    assert cli.main(certifying.replace("--at 10", "--at 5").split()) == 2
    assert "must be those of the counts, 'ascent10', got 'ascent5'" in capsys.readouterr().err
