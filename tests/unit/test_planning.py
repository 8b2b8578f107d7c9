"""Plans and beliefs, what evidence and configs they refuse, and the tables of their certificates by hand."""

import itertools
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import special, stats

from accelerated_smoothing import analysis, config, papers
from accelerated_smoothing.certify import beliefs, planning, radii, statistics
from accelerated_smoothing.certify.beliefs import Belief
from accelerated_smoothing.certify.evidence import Evidence
from accelerated_smoothing.certify.gains import QUANTILES, expected_radii
from accelerated_smoothing.certify.methods import betting, spending
from accelerated_smoothing.config import Sampling
from accelerated_smoothing.counting import predictions as predicted
from accelerated_smoothing.counting.counts import Counts
from accelerated_smoothing.counting.predictions import Predictions
from accelerated_smoothing.errors import InputError
from accelerated_smoothing.noise.distributions import gaussian
from accelerated_smoothing.papers import fast_and_sound

ROOT = Path(__file__).parents[2]
SIZES = np.array([5, 10, 20, 50, 100])
META = {
    **{"kind": "counts", "split": "test", "sigma": 0.5, "seed": 0, "base": "b", "dataset": "digits", "classes": 2},
    **{"noise": "gaussian", "choice": None, "arithmetic": "cpu"},
}


def radius(p: np.ndarray) -> np.ndarray:
    return np.asarray(gaussian.radius(p, 1.0))


def random_beliefs(images: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).dirichlet(np.full(len(planning.GRID), 0.05), size=images)


# Plans


@pytest.mark.parametrize("classes", [2, 3, 10])
def test_shares_of_alpha_add_up_and_the_top_class_has_most(classes: int) -> None:
    expected = np.random.default_rng(0).dirichlet(np.ones(classes), size=50)
    shares = planning.hedge(expected)
    np.testing.assert_allclose(shares.sum(axis=1), 1, rtol=1e-12)
    np.testing.assert_array_equal(shares.argmax(axis=1), expected.argmax(axis=1))
    assert (shares.max(axis=1) == 0.9).all()
    certain = planning.hedge(np.eye(classes)[:1])  # of a surrogate that gives others nothing
    np.testing.assert_allclose(certain, [[0.9, *[0.1 / (classes - 1)] * (classes - 1)]], rtol=1e-12)
    np.testing.assert_allclose(shares, planning.hedge(7 * expected), rtol=1e-12)  # they need not add up to 1


@pytest.mark.parametrize("n", [1, 3, 8, 20])
def test_expected_radii_are_means_over_the_binomial(n: int) -> None:
    """Over 24 quantiles of it exactly, and so over all of it as nearly as 24 quantiles can be."""
    alpha, k = 0.05, np.arange(n + 1)
    at = np.maximum(radius(statistics.lower_bound(k, n, alpha)), 0)
    gains = expected_radii(np.array([n]), alpha, "gaussian")[:, 0]
    for p, gain in zip(planning.P, gains, strict=True):
        pmf = np.array([special.comb(n, each, exact=True) * p**each * (1 - p) ** (n - each) for each in k])
        below = np.searchsorted(pmf.cumsum(), QUANTILES - 1e-12)
        assert gain == pytest.approx(at[below].mean(), abs=1e-12)
        assert gain == pytest.approx((pmf * at).sum(), abs=at.max() / 24)


def test_more_draws_are_expected_to_certify_more() -> None:
    gains = expected_radii(np.array([10, 100, 1000]), 0.001, "gaussian")
    assert (np.diff(gains, axis=1) >= 0).all()
    assert (np.diff(gains, axis=0) >= -1e-12).all()  # and so does a larger probability


def test_a_draw_that_gains_less_than_the_rate_is_not_made() -> None:
    value = np.array([[0.1, 0.2, 0.25], [0.0, 0.0, 0.0], [0.3, 0.3, 0.3]])
    sizes = np.array([10, 20, 100])
    positions = planning.allocate(value, sizes, 0.002)
    assert positions.tolist() == [1, planning.NONE, 0]
    assert planning.cost(positions, sizes).tolist() == [20, 0, 10]
    assert planning.allocate(value, sizes, 1.0).tolist() == [planning.NONE] * 3


@pytest.mark.parametrize("budget", [0, 3, 20, 60, 100, 1000])
def test_the_rate_keeps_the_budget(budget: float) -> None:
    prior, gains = random_beliefs(400), expected_radii(SIZES, 0.01, "gaussian")

    def mean(rate: float) -> float:
        return float(planning.cost(planning.plan(prior, gains, SIZES, rate), SIZES).mean())

    rate = planning.planned_rate(budget, prior, gains, SIZES)
    assert mean(rate) <= budget
    assert mean(0.99 * rate) > budget or mean(1e-17) <= budget  # no less than it allows


@pytest.mark.parametrize("budget", [3, 20, 37.5, 60])
def test_plans_of_many_equal_beliefs_meet_the_budget(budget: float) -> None:
    prior = random_beliefs(3, seed=2)[np.arange(600) % 3]  # three rates at which anything changes
    gains = expected_radii(SIZES, 0.01, "gaussian")
    draws = planning.cost(planning.within(budget, prior, gains, SIZES), SIZES)
    assert draws.mean() == pytest.approx(budget, abs=SIZES[-1] / 600)


# Beliefs


def synthetic(
    images: int, n: int, spread: Any, a: float = -2.0, b: float = 0.8, seed: int = 0
) -> tuple[Predictions, Counts]:
    """Held-out images whose true logit of class 1 is a + b logit h + spread e, for two surrogates that agree about e.

    `spread` is a number, or a function of the disagreement of the two.
    """
    random = np.random.default_rng(seed)
    true = random.normal(3.0, 1.2, images)
    apart = random.uniform(0, 1, images)  # the standard deviation of the two logits
    s = spread(apart) if callable(spread) else np.full(images, spread)
    middle = (true - a - s * random.normal(size=images)) / b
    logits = np.stack([middle, middle + 2 * apart]) if callable(spread) else middle[None]
    chosen = (logits > 0).all(axis=0)  # class 1 is the top class
    h, idx = special.expit(logits[:, chosen]), np.flatnonzero(chosen)
    k = random.binomial(n, special.expit(true[chosen]))
    depths, ones = np.array([8, 14][: len(h)]), np.ones(len(idx), int)
    meta = {**META, "kind": "predictions", "split": "train", "held_out": True}
    tally = np.stack([n - k, k], axis=1)[:, None]
    counts = Counts(idx, ones, np.array([n]), tally, np.zeros((len(idx), 1)), {**META, "split": "train"})
    return Predictions(idx, ones, depths, np.stack([1 - h, h], axis=2), np.zeros(len(depths)), meta), counts


@pytest.mark.parametrize("n", [10, 200])
@pytest.mark.parametrize("spread", [0.4, 1.5])
def test_a_fit_finds_bias_slope_and_spread(n: int, spread: float) -> None:
    belief = beliefs.fit(*synthetic(900, n, spread))
    b, (mean, s) = belief.coefficients[0, 1], belief.spread(8, np.array([6.0]), np.zeros(1))
    assert b == pytest.approx(0.8, abs=0.25)
    assert mean[0] == pytest.approx(-2 + 6 * 0.8, abs=0.35)  # a alone is where no image lies
    assert s[0] == pytest.approx(spread, rel=0.5)
    assert belief.coefficients[0, 4] == pytest.approx(0, abs=1e-3)  # one surrogate never disagrees
    assert belief.meta["samples"] == n


def test_the_spread_grows_with_the_disagreement_where_it_does_so() -> None:
    grows = beliefs.fit(*synthetic(900, 100, lambda apart: np.exp(-1.5 + 2 * apart)))
    steady = beliefs.fit(*synthetic(900, 100, lambda apart: np.full(len(apart), 0.6)))
    doubt = np.array([0.0, 1.0])
    low, high = grows.spread(8, np.full(2, 6.0), doubt)[1]
    assert high / low > 3  # of a true e^2
    low, high = steady.spread(8, np.full(2, 6.0), doubt)[1]
    assert 0.5 < high / low < 2


@pytest.mark.parametrize("n", [20, 200])
def test_a_population_is_found_in_counts(n: int) -> None:
    random = np.random.default_rng(0)
    true = random.normal(1.5, 1.0, 3000)
    found = beliefs.population(random.binomial(n, special.expit(true)), n)
    assert found.sum() == pytest.approx(1, rel=1e-12)
    expected = stats.norm.cdf(planning.GRID + 0.05, 1.5, 1.0)
    assert np.abs(found.cumsum() - expected).max() < 0.08
    assert (found > 0).all()


def test_a_belief_is_a_distribution_and_survives_a_file(tmp_path: Path) -> None:
    belief = beliefs.fit(*synthetic(200, 50, 0.5))
    belief.write(tmp_path / "belief.npz")
    again = beliefs.read(tmp_path / "belief.npz")
    for logits in (np.array([-30.0, 0.0, 3.0, 40.0]), belief.logits[0]):
        prior = again.prior(8, logits, np.zeros(len(logits)))
        np.testing.assert_allclose(prior.sum(axis=1), 1, rtol=1e-9)
        assert (prior >= 0.99 * beliefs.POPULATION * belief.population).all()
        np.testing.assert_array_equal(prior, belief.prior(8, logits, np.zeros(len(logits))))
    np.testing.assert_array_equal(again.prior(None, logits, 0 * logits), again.prior(8, logits, 0 * logits))
    with pytest.raises(InputError, match="--depth must be one of the belief's"):
        again.prior(20, logits, 0 * logits)


def test_a_fit_wants_images_that_were_held_out_and_counted() -> None:
    predictions, counts = synthetic(50, 10, 0.5)
    with pytest.raises(InputError, match=r"surrogate\.holdout"):
        beliefs.fit(replace(predictions, meta={**predictions.meta, "held_out": False}), counts)
    with pytest.raises(InputError, match="got counts of others"):
        beliefs.fit(predictions, counts.take(np.arange(1, len(counts.idx))))


@pytest.mark.parametrize("value", [np.nan, np.inf, -0.1, 0.2])
def test_predictions_that_are_no_distributions_are_refused(value: float, tmp_path: Path) -> None:
    predictions, _ = synthetic(20, 10, 0.5)
    predictions.write(tmp_path / "whole.npz")
    assert (predicted.read(tmp_path / "whole.npz").h == predictions.h).all()
    h = predictions.h.copy()
    h[0, 3, 0] = value
    replace(predictions, h=h).write(tmp_path / "broken.npz")
    with pytest.raises(InputError, match=r"broken\.npz: probabilities must be finite and add up to 1"):
        predicted.read(tmp_path / "broken.npz")


# Looks


def counts_of(tally: Any, sizes: Any, purpose: str = "estimation") -> Counts:
    """Counts [images, sizes, classes]."""
    tally = np.asarray(tally)
    images = np.arange(len(tally))
    return Counts(
        images, np.ones_like(images), np.asarray(sizes), tally, np.zeros(tally.shape[:2]), {**META, "purpose": purpose}
    )


def test_all_radii_of_an_image_are_certified_for_one_class() -> None:
    """Another class leads after the first radius: a certificate for it would join the evidence of two classes."""
    estimation = counts_of([[[0, 100], [260, 140]]], [100, 400])
    evidence = Evidence(0.001, 100, selection=counts_of([[[0, 100]]], [100], "selection"), estimation=estimation)
    p0 = radii.least_probabilities([0.5, 3.0], evidence)
    found = radii.climb(evidence, np.array([[0.5, 0.5]]), p0, [0, 1], betting.Bets(0.0005))
    assert (found.top.tolist(), found.rung.tolist(), found.n.tolist()) == ([1], [1], [400])


def test_draws_overrule_a_surrogate_that_expects_another_class() -> None:
    """The belief is about class 0, and all draws are of class 1: later looks are made for class 1."""
    sizes = np.array([30, 90, 270])
    evidence = Evidence(
        0.001, 100, counts_of([[[0, 100]]], [100], "selection"), counts_of(sizes[:, None] * [[[0, 1]]], sizes)
    )
    prior = np.exp(-0.5 * ((planning.GRID - 3) / 0.3) ** 2)[None]
    gains = [expected_radii(sizes, part * 9e-4, "gaussian") for part in spending.PARTS]
    uniform, shares = np.full(len(planning.GRID), 1 / len(planning.GRID)), np.array([[0.9, 0.1]])
    found = spending.spend(evidence, prior / prior.sum(), uniform, shares, gains, 1e-9)
    assert (found.top.tolist(), found.n.tolist()) == ([1], [270])
    assert found.p_lower[0] == statistics.lower_bound(270, 270, 0.8 * 0.1 * 0.001)


# Evidence


def evidence() -> Evidence:
    one = {size: counts_of([[[1, size - 1]], [[size, 0]]], [size], purpose) for size, purpose in PURPOSES.items()}
    meta = {**META, "kind": "predictions", "held_out": False}
    predictions = Predictions(np.arange(2), np.ones(2, int), np.array([8]), np.full((1, 2, 2), 0.5), np.zeros(1), meta)
    grid, none = np.full(len(planning.GRID), 1 / len(planning.GRID)), np.zeros((1, 5))
    belief = Belief(np.array([8]), grid, none, none, none, none, {**META, "kind": "belief", "split": "train"})
    return Evidence(0.01, 10, one[10], one[50], one[20], None, predictions, belief)


PURPOSES = {10: "selection", 50: "estimation", 20: "pilot"}
NEEDS = ("selection", "estimation", "pilot", "predictions", "belief")


def changed(part: str, **meta: Any) -> Evidence:
    """Evidence whose one part says something else of itself."""
    whole = evidence()
    own = getattr(whole, part)
    return replace(whole, **{part: replace(own, meta={**own.meta, **meta})})


def test_evidence_that_belongs_together() -> None:
    evidence().check(NEEDS)


@pytest.mark.parametrize("part", ["pilot", "predictions", "belief"])
@pytest.mark.parametrize(
    ("key", "value"),
    [("base", "c"), ("sigma", 0.25), ("noise", "laplace"), ("choice", "ascent1"), ("arithmetic", "gpu")],
)
def test_evidence_of_different_classifiers_is_refused(part: str, key: str, value: object) -> None:
    with pytest.raises(InputError, match=f"must have the same {key}, got "):
        changed(part, **{key: value}).check(NEEDS)


@pytest.mark.parametrize("part", ["pilot", "predictions"])
@pytest.mark.parametrize(("key", "value"), [("dataset", "cifar10"), ("split", "train")])
def test_evidence_of_different_images_is_refused(part: str, key: str, value: str) -> None:
    with pytest.raises(InputError, match=f"must have the same {key}, got "):
        changed(part, **{key: value}).check(NEEDS)
    other = evidence()
    with pytest.raises(InputError, match="must be for the same images"):
        replace(other, **{part: replace(getattr(other, part), idx=np.arange(2) + 1)}).check(NEEDS)


@pytest.mark.parametrize(("part", "purpose"), [("pilot", "estimation"), ("pilot", "selection"), ("selection", "pilot")])
def test_draws_that_plan_and_count_are_refused(part: str, purpose: str) -> None:
    with pytest.raises(InputError, match="must be independent draws"):
        changed(part, purpose=purpose).check(NEEDS)


def test_a_belief_that_has_seen_the_counted_draws_is_refused() -> None:
    with pytest.raises(InputError, match="--belief must come from another split, got one of the test split"):
        changed("belief", split="test").check(NEEDS)


def test_images_whose_draws_trained_the_surrogates_are_refused() -> None:
    whole = evidence()
    parts = {name: getattr(whole, name) for name in ("selection", "estimation", "predictions")}
    train = {name: replace(part, meta={**part.meta, "split": "train"}) for name, part in parts.items()}
    with pytest.raises(InputError, match="whose draws trained no surrogate"):
        Evidence(0.01, 10, **train).check(tuple(train))


@pytest.mark.parametrize("missing", ["pilot", "predictions", "belief"])
def test_evidence_that_is_missing_is_named(missing: str) -> None:
    with pytest.raises(InputError, match=f"--{missing} is required"):
        replace(evidence(), **{missing: None}).check(NEEDS)


# Configs


def refused(**changes: Any) -> str:
    """Return the line by which changes of the experiment are refused."""
    own = {"papers": {"fast-and-sound": {"experiments": {"replayed": changes}}}}
    with pytest.raises(InputError) as error:
        config.load(own, ROOT)
    return str(error.value)


def test_calibration_needs_images_that_are_held_out() -> None:
    assert "surrogate.holdout must be above 0, since planned50 calibrates the surrogate" in refused(
        surrogate={"holdout": 0}
    )


def test_predictions_need_a_surrogate() -> None:
    message = refused(rows=["frontier", "planned50"])
    assert "rows must include a method with the depth of a surrogate, since frontier reads predictions" in message


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"base": {"epochs": 3}}, "base"),
        ({"noise": "laplace"}, "noise"),
        ({"dataset": {"train": ":100"}}, "dataset.train"),
        ({"sampling": {"precision": "bf16"}}, "sampling.precision"),
        ({"sigmas": [0.25, 0.33]}, "sigmas"),
    ],
)
def test_a_shared_base_classifier_is_that_of_the_main_experiment(changes: dict[str, Any], key: str) -> None:
    message = refused(**changes)
    assert message.startswith(f"papers.fast-and-sound.experiments.replayed.{key} must be ")
    assert "since classifier is main" in message


def test_sizes_on_a_grid() -> None:
    assert Sampling(sizes=[100, 1000]).counted() == [100, 1000]
    sizes = Sampling(sizes=[100, 1000, 3000], grid=20).counted()
    assert sizes == sorted(set(sizes))
    assert {100, 1000, 3000} <= set(sizes)
    assert (sizes[0], sizes[-1]) == (8, 3000)
    assert len(sizes) == pytest.approx(20 * np.log10(3000 / 8) + 3, abs=5)  # small ones coincide
    wide = np.array(sizes)[np.array(sizes) >= 20]
    assert (wide[1:] / wide[:-1]).max() < 10 ** (1 / 20) * 1.05
    assert Sampling(sizes=[5], grid=20).counted() == [5]


# Tables


IMAGES = 4
RADII = analysis.Settings([0.15, 0.35], "frontier")


def log(folder: Path, method: str, predict: list[int], radius: list[float], passes: Any, n: Any, **more: Any) -> Path:
    """Certificates of class 1 at sigma 0.5."""
    rows = pd.DataFrame({"idx": range(IMAGES), "label": 1, "predict": predict, "radius": radius})
    rows = rows.assign(correct=(rows["predict"] == 1).astype(int), time=[0.4, 0.1, 0.2, 0.3])
    rows = rows.assign(experiment="fast-and-sound/replayed", method=method, guarantee=more.pop("guarantee", "sound"))
    rows = rows.assign(passes=passes, n=n, alpha=0.001, sigma=0.5, sigma0=0.5, noise="gaussian", **more)
    path = folder / f"{method}.tsv"
    rows.to_csv(path, sep="\t", index=False)
    return path


def frontier(folder: Path, name: str = "frontier", before: int = 100) -> Path:
    small, large = [0.1, 0.0, 0.3, 0.2], [0.4, 0.2, 0.6, 0.4]  # the third image is of another class: ACR 0.075, 0.25
    top = {"top": [1, 1, 0, 1], "radius_10": small, "radius_100": large}
    return log(folder, name, [1, 1, 0, 1], large, before + 100, 100, **top)


def test_table1_by_hand(tmp_path: Path) -> None:
    table1 = papers.table("fast-and-sound/table1")
    plan = {"n": [10, 100, 10, 100], "passes": [110, 200, 110, 200], "budget": 150.0}
    paths = [
        frontier(tmp_path),
        frontier(tmp_path, "frontier-h", 0),
        log(tmp_path, "planned150", [1, 1, -1, 1], [0.1, 0.2, 0.0, 0.4], **plan),
    ]
    logs = table1.load(paths)
    table = table1.make(logs, RADII)
    assert table[table1.keys].to_numpy().tolist() == [
        [0.5, 150, "frontier"],
        [0.5, 150, "planned150"],
        [0.5, 0, "frontier"],
        [0.5, 0, "frontier-h"],  # its largest size is within the budget, too
    ]
    small, planned, whole, other = table.to_dict("records")
    assert (small["passes"], small["ACR"]) == (110, pytest.approx(0.075))
    assert (small["kept"], small["cohen_at_passes"]) == (pytest.approx(0.3), pytest.approx(0.3))
    assert (whole["passes"], whole["ACR"], whole["kept"], whole["cohen_at_passes"]) == (200, 0.25, 1, 1)
    assert (other["passes"], other["ACR"]) == (100, 0.25)
    assert other["cohen_at_passes"] == pytest.approx(0.3 * 100 / 110)  # from none at no passes to 0.3 at 110
    assert (planned["passes"], planned["passes_max"], planned["abstained"]) == (155, 200, 0.25)
    assert planned["ACR"] == pytest.approx(0.7 / 4)
    assert planned["kept"] == pytest.approx(0.7)
    assert planned["cohen_at_passes"] == pytest.approx((0.075 + 0.175 * 45 / 90) / 0.25)
    assert (planned["r=0.15"], planned["r=0.35"]) == (0.5, 0.25)
    assert planned["seconds"] == pytest.approx(0.25)
    assert np.isnan(small["seconds"])
    agrees(table1, logs, table, ["abstained", "r=0.15", "r=0.35"])


def agrees(table: Any, logs: pd.DataFrame, made: pd.DataFrame, columns: list[str]) -> None:
    """The images behind each cell of some shares are that share of all images."""
    for (_, row), column in itertools.product(made.iterrows(), columns):
        behind = table.behind(logs, RADII, row, column)
        assert behind.dtype == bool
        assert behind.mean() == pytest.approx(row[column], nan_ok=True)


def test_a_smaller_size_of_the_line_is_a_log(tmp_path: Path) -> None:
    logs = fast_and_sound.load([frontier(tmp_path)])
    assert fast_and_sound.sizes(logs) == [10, 100]
    small = fast_and_sound.at_size(logs, 10)
    assert small["predict"].tolist() == [1, -1, 0, 1]
    assert small["correct"].tolist() == [1, 0, 0, 1]
    assert set(small["passes"]) == {110}
    line = fast_and_sound.line(logs, lambda radii: radii.mean(axis=0))
    assert [line(passes) for passes in (0, 110, 200, 1000)] == pytest.approx([0, 0.075, 0.25, 0.25])


def test_table2_by_hand(tmp_path: Path) -> None:
    table2 = papers.table("fast-and-sound/table2")
    climb = {"n": [10, 100, 10, 0], "passes": [10, 100, 10, 0], "at": 0.4}  # 0.4 sigma are 0.2
    paths = [frontier(tmp_path), log(tmp_path, "ladder", [1, 1, -1, -1], [0.2, 0.2, 0.0, 0.0], **climb)]
    logs = table2.load(paths)
    table = table2.make(logs, RADII)
    assert table[table2.keys].to_numpy().tolist() == [[0.5, 0.2, "frontier"], [0.5, 0.2, "ladder"]]
    assert table["certified"].tolist() == [0.75, 0.5]
    assert table["kept"].tolist() == pytest.approx([1, 2 / 3])
    # 30 passes on average; Cohen's certify one image at 110 passes, three at 200, of which all three count
    assert table["passes"].tolist() == [200, 30]
    assert table["cohen_at_passes"].tolist() == pytest.approx([1, 0.25 * 30 / 110 / 0.75])
    agrees(table2, logs, table, ["certified"])


def test_table3_by_hand(tmp_path: Path) -> None:
    table3 = papers.table("fast-and-sound/table3")
    more = {"guarantee": "conformal", "delta": 0.05, "bound": 0.051, "n": 0, "passes": 0}
    # Above the sampled radius; below it; of another class than sampling names; equal to the sampled radius.
    paths = [frontier(tmp_path), log(tmp_path, "conformal", [1, 1, 1, 1], [0.5, 0.1, 0.1, 0.4], **more)]
    logs = table3.load(paths)
    table = table3.make(logs, RADII)
    assert table["guarantee"].tolist() == ["sound", "conformal"]
    assert table["violations"].tolist() == [0, 0.5]
    assert table["bound"].tolist() == pytest.approx([np.nan, 0.051], nan_ok=True)
    assert table["ACR"].tolist() == pytest.approx([0.25, 1.1 / 4])
    assert table["passes"].tolist() == [200, 0]
    agrees(table3, logs, table, ["violations"])


def test_logs_without_cohens_line_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"must include frontier at sigma 0\.5"):
        fast_and_sound.load([log(tmp_path, "planned150", [1] * 4, [0.1] * 4, 10, 10, budget=150.0)])
