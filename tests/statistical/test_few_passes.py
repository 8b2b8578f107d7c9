"""The promises of certificates from few passes, exactly on small cases, and on a linear classifier with 10,000 images.

On a linear classifier p is known: see `test_linear`. Surrogates here are hostile. The controls at the end break a
promise in the ways that the methods must avoid, and fail.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from accelerated_smoothing.certify import beliefs, planning, processes, radii, statistics
from accelerated_smoothing.certify.beliefs import Belief
from accelerated_smoothing.certify.evidence import Evidence
from accelerated_smoothing.certify.methods import (
    at_radius,
    betting,
    conformal,
    cs,
    iss,
    ladder,
    pilot,
    planned,
    spending,
)
from accelerated_smoothing.counting.counts import Counts
from accelerated_smoothing.counting.predictions import Predictions
from accelerated_smoothing.errors import InputError

IMAGES, ALPHA, SIGMA = 10_000, 0.05, 0.5  # of the end-to-end tests; a large alpha, so that a fault shows
SIZES = np.array([5, 10, 20, 40, 80, 160, 320])
META = {
    **{"kind": "counts", "dataset": "linear", "split": "test", "sigma": SIGMA, "base": "linear", "arithmetic": "cpu"},
    **{"noise": "gaussian", "choice": None, "seed": 3},
}
UNIFORM = np.full(len(planning.GRID), 1 / len(planning.GRID))


def at_most(probability: float, trials: int) -> int:
    """Of independent trials that each fail with at most this probability, more fail once in a million times."""
    return int(stats.binom.isf(1e-6, trials, probability))


# Exact, on small cases


def false_alarm(sizes: np.ndarray, p: float, claims: Callable[[np.ndarray, int], np.ndarray]) -> float:
    """Return the exact probability that a claim is ever made, by a dynamic programme over the counts."""
    alive, drawn, error = np.ones(1), 0, 0.0
    for n in sizes:
        alive = np.convolve(alive, stats.binom.pmf(np.arange(n - drawn + 1), n - drawn, p))
        drawn, claimed = n, claims(np.arange(n + 1), int(n))
        error += alive[claimed].sum()
        alive = np.where(claimed, 0.0, alive)
    return error


def prior(centre: float, spread: float = 1.0) -> np.ndarray:
    """A belief with its share of the population, as every belief has."""
    return beliefs.mixed(UNIFORM, np.exp(-0.5 * ((planning.GRID - centre) / spread) ** 2)[None])


@pytest.mark.parametrize("p0", [0.55, 0.841, 0.977])
@pytest.mark.parametrize("below", [0.0, 0.02, 0.2])
@pytest.mark.parametrize("centre", [-2.0, 0.0, 2.0, 8.0])
def test_bets_of_a_belief_fail_with_at_most_alpha(p0: float, below: float, centre: float) -> None:
    def claims(k: np.ndarray, n: int) -> np.ndarray:
        belief = np.repeat(prior(centre), len(k), axis=0)
        return processes.mixture(k, n - k, np.full(len(k), p0), belief) >= processes.threshold(np.asarray(ALPHA))

    assert false_alarm(np.arange(1, 120), p0 - below, claims) <= ALPHA


@pytest.mark.parametrize("p0", [0.55, 0.841, 0.977])
@pytest.mark.parametrize("below", [0.0, 0.02, 0.2])
@pytest.mark.parametrize("last", [0.0, 0.3, 0.9])
def test_a_ladder_with_a_last_bound_fails_with_at_most_alpha(p0: float, below: float, last: float) -> None:
    belief, one = prior(2.0), np.ones((1, 1))
    bets = ladder.Bets(belief, UNIFORM, np.zeros(1, int), (1 - last) * ALPHA * one, last * ALPHA * one, 1e-6, 119)

    def claims(k: np.ndarray, n: int) -> np.ndarray:
        image = np.zeros_like(k)
        return bets.decide(image, image, k, n, np.full(len(k), p0))[0]

    assert false_alarm(np.arange(1, 120), p0 - below, claims) <= ALPHA


@pytest.mark.parametrize("p0", [0.55, 0.841, 0.977])
@pytest.mark.parametrize("below", [0.0, 0.02, 0.2])
def test_tests_of_a_radius_fail_with_at_most_alpha(p0: float, below: float) -> None:
    def claims_of(test: radii.Test) -> Callable[[np.ndarray, int], np.ndarray]:
        return lambda k, n: test.decide(k, np.zeros_like(k), k, n, np.full(len(k), p0))[0]

    assert false_alarm(np.arange(1, 120), p0 - below, claims_of(betting.Bets(ALPHA))) <= ALPHA
    assert false_alarm(SIZES, p0 - below, claims_of(at_radius.Bounds(ALPHA / len(SIZES)))) <= ALPHA


@pytest.mark.parametrize("p", [0.3, 0.55, 0.841, 0.977, 0.9995])
@pytest.mark.parametrize(("a", "b"), [(0.5, 0.5), (30.0, 1.0), (2.0, 20.0)])
def test_a_confidence_sequence_fails_with_at_most_alpha(p: float, a: float, b: float) -> None:
    def claims(k: np.ndarray, n: int) -> np.ndarray:
        return processes.beta_bound(k, n, np.asarray(ALPHA), a, b, cs.SHARE) > p

    assert false_alarm(np.arange(1, 100), p, claims) <= ALPHA


@pytest.mark.parametrize("p", [0.3, 0.55, 0.841, 0.977, 0.9995])
@pytest.mark.parametrize("middle", [30, 90])
def test_three_looks_fail_with_at_most_alpha(p: float, middle: int) -> None:
    levels = {
        round(middle * factor): part * ALPHA for part, factor in zip(spending.PARTS, spending.FACTORS, strict=True)
    }
    sizes = np.array(sorted(levels))
    assert false_alarm(sizes, p, lambda k, n: statistics.lower_bound(k, n, levels[n]) > p) <= ALPHA


def test_bounds_that_are_looked_at_repeatedly_fail_more_often() -> None:
    naive = false_alarm(SIZES, 0.841, lambda k, n: statistics.lower_bound(k, n, ALPHA) > 0.841)
    assert naive > 1.5 * ALPHA


@pytest.mark.parametrize("n", [1, 5, 30])
@pytest.mark.parametrize("alpha", [0.1, 0.01])
def test_a_randomized_bound_fails_with_alpha(n: int, alpha: float) -> None:
    k, steps = np.arange(n + 1), 1000
    u = (np.arange(steps) + 0.5) / steps
    bounds = statistics.randomized_bound(k[:, None], n, alpha, u)
    for p in np.linspace(0.02, 0.98, 25):
        error = (stats.binom.pmf(k, n, p)[:, None] * (bounds > p)).sum() / steps
        assert error == pytest.approx(alpha, abs=1 / steps)  # u has steps; Clopper-Pearson's error is below alpha


def test_a_randomized_bound_lies_between_two_bounds() -> None:
    k = np.arange(31)
    loose = statistics.randomized_bound(k, 30, 0.01, 1e-12)
    np.testing.assert_allclose(
        statistics.randomized_bound(k, 30, 0.01, 1.0), statistics.lower_bound(k, 30, 0.01), rtol=1e-9
    )
    np.testing.assert_allclose(loose[:-1], statistics.lower_bound(k[1:], 30, 0.01), rtol=1e-6)


@pytest.mark.parametrize("n", [10, 100, 1000, 100_000])
def test_no_bound_passes_the_all_success_cap(n: int) -> None:
    """alpha^(1/n), for any belief: with a larger bound, p = bound would fail with probability above alpha."""
    cap = 0.001 ** (1 / n) * (1 + 1e-12)
    assert statistics.lower_bound(n, n, 0.001) <= cap
    k = np.array([n])
    for a, b in ((0.5, 0.5), (1e6, 1.0), (1.0, 1.0)):
        assert processes.beta_bound(k, n, np.asarray(0.001), a, b, cs.SHARE) <= cap
    p0 = np.array([np.nextafter(cap, 1)])
    for centre in (0.0, 5.0, 14.0):
        assert processes.mixture(k, 0 * k, p0, prior(centre)) < processes.threshold(np.asarray(0.001))


# End to end, on a linear classifier


def counts(p: np.ndarray, sizes: Any, purpose: str, seed: int) -> Counts:
    """Counts of class 1, which has probability p."""
    random, sizes = np.random.default_rng(seed), np.asarray(sizes)
    k = random.binomial(np.diff(sizes, prepend=0), p[:, None]).cumsum(axis=1)
    images = np.arange(len(p))
    tally, nothing = np.stack([sizes - k, k], axis=2), np.zeros((len(p), len(sizes)))
    return Counts(images, (p > 0.5).astype(int), sizes, tally, nothing, {**META, "purpose": purpose})


EXACT = np.random.default_rng(11).uniform(-2.5, 2.5, IMAGES) * SIGMA  # signed distances from the plane
TRUE = stats.norm.cdf(EXACT / SIGMA)
LOGIT = np.log(TRUE) - np.log1p(-TRUE)
SURROGATES = {
    "honest": LOGIT,
    "constant": np.full(IMAGES, 3.0),
    "inverted": -LOGIT,
    "far too sure": LOGIT + 5 * np.sign(LOGIT),
    "off": LOGIT + 5,
}


def case(surrogate: str, seed: int = 0) -> Evidence:
    h = 1 / (1 + np.exp(-SURROGATES[surrogate]))
    meta = {**META, "kind": "predictions", "held_out": False}
    none = np.zeros(1)
    predictions = Predictions(
        np.arange(IMAGES), (TRUE > 0.5).astype(int), np.array([20]), np.stack([1 - h, h], axis=1)[None], none, meta
    )
    top = predictions.of(20).argmax(axis=1)
    logits = predictions.logits(20, top)[None]
    belief = Belief(
        np.array([20]), UNIFORM, np.array([[0, 1, np.log(0.5), 0, 0]]), logits, np.zeros_like(logits),
        np.zeros(logits.shape, int), {**META, "split": "train"},
    )  # fmt: skip
    return Evidence(
        ALPHA, 20, counts(TRUE, [20], "selection", 1000 + seed), counts(TRUE, SIZES, "estimation", seed),
        counts(TRUE, [10], "pilot", 2000 + seed), None, predictions, belief,
    )  # fmt: skip


METHODS: dict[str, tuple[Any, Any]] = {
    "planned": (planned, planned.Settings(budget=60)),
    "selected": (planned, planned.Settings(budget=60, top="selection")),
    "randomized": (planned, planned.Settings(budget=60, bound="randomized")),
    "pilot": (pilot, pilot.Settings(budget=60, draws=10)),
    "spending": (spending, spending.Settings(budget=60)),
    "cs": (cs, cs.Settings(budget=60)),
    "iss": (iss, iss.Settings(loss=0.2)),
    "ladder": (ladder, ladder.Settings(radii=[0.5, 1.0, 1.5], rate=1e-6)),
    "ladder with a last bound": (ladder, ladder.Settings(radii=[0.5, 1.0, 1.5], rate=1e-6, last=0.5)),
    "betting": (betting, betting.Settings(radii=[0.5, 1.0, 1.5])),
    "at_radius": (at_radius, at_radius.Settings(radii=[0.5, 1.0, 1.5])),
}


def failures(log: pd.DataFrame) -> np.ndarray:
    """Which certificates [images] are wrong: another class, or a radius beyond the plane."""
    right = log["predict"].to_numpy() == (EXACT > 0)
    return (log["radius"].to_numpy() > 0) & (~right | (log["radius"].to_numpy() > np.abs(EXACT)))


@pytest.mark.parametrize("surrogate", SURROGATES)
@pytest.mark.parametrize("name", METHODS)
def test_certificates_fail_with_at_most_alpha(name: str, surrogate: str) -> None:
    module, settings = METHODS[name]
    log = module.certify(case(surrogate), settings)
    assert failures(log).sum() <= at_most(ALPHA, IMAGES)
    assert set(log["guarantee"]) == {"sound"}
    if surrogate == "honest":  # the test has power: certificates exist
        assert (log["radius"] > 0).mean() > 0.3


def test_the_class_that_certifies_a_radius_stays() -> None:
    """A class that leads later must not inherit a radius that it has not certified."""
    tally = np.array([[[40, 0], [40, 45]]])
    found = case("honest")
    counted = Counts(np.arange(1), np.zeros(1, int), np.array([40, 85]), tally, np.zeros((1, 2)), META)
    evidence = replace(found, selection=counted, estimation=counted)
    p0 = radii.least_probabilities([0.5, 2.0], evidence)
    climbed = radii.climb(evidence, np.full((1, 2), 0.5), p0, range(2), betting.Bets(ALPHA))
    assert (climbed.rung[0], climbed.top[0], climbed.count[0], climbed.n[0]) == (1, 0, 40, 85)


@pytest.mark.parametrize("name", ["planned", "selected", "pilot", "spending", "cs"])
def test_the_budget_is_kept_on_images_like_the_held_out_ones(name: str) -> None:
    module, settings = METHODS[name]
    log = module.certify(case("honest"), settings)
    assert log["passes"].mean() == pytest.approx(settings.budget, rel=0.12)  # beliefs of finite resolution


@pytest.mark.parametrize("name", ["planned", "randomized", "selected", "pilot"])
def test_the_counted_draws_decide_neither_their_number_nor_their_classes(name: str) -> None:
    module, settings = METHODS[name]
    evidence = case("honest")
    other = replace(evidence, estimation=counts(TRUE, SIZES, "estimation", 99))
    first, second = module.certify(evidence, settings), module.certify(other, settings)
    np.testing.assert_array_equal(first["n"], second["n"])
    assert not first["count"].equals(second["count"])


def test_a_surrogate_that_is_no_number_is_refused(tmp_path: Any) -> None:
    predictions = case("honest").predictions
    assert predictions is not None
    broken = replace(predictions, h=np.where(np.arange(IMAGES)[:, None] == 7, np.nan, predictions.h))
    broken.write(tmp_path / "predictions.npz")
    from accelerated_smoothing.counting import predictions as files

    with pytest.raises(InputError, match="finite"):
        files.read(tmp_path / "predictions.npz")


# Controls, which fail


def test_a_plan_that_has_seen_the_counted_draws_fails_more_often() -> None:
    """The best of all sizes by the draws themselves: what a surrogate that was trained on them could do."""
    evidence = case("honest")
    tallies = evidence.stored.counts
    bounds = statistics.lower_bound(tallies, SIZES[:, None], ALPHA).max(axis=1)
    top = bounds.argmax(axis=1)
    p = np.where(top == 1, TRUE, 1 - TRUE)
    assert (bounds.max(axis=1) > p).sum() > at_most(ALPHA, IMAGES)


def test_a_pilot_that_is_counted_fails_more_often() -> None:
    """The class with the most of 50 pilot draws among ten equal classes, bounded from the same draws."""
    k = np.random.default_rng(5).multinomial(50, np.full(10, 0.1), size=IMAGES)
    assert (statistics.lower_bound(k.max(axis=1), 50, ALPHA) > 0.1).sum() > at_most(ALPHA, IMAGES)
    shares = planning.hedge(np.ones((IMAGES, 10)))
    hedged = statistics.lower_bound(k, 50, ALPHA * shares).max(axis=1)
    assert (hedged > 0.1).sum() <= at_most(ALPHA, IMAGES)


# Conformal radii: images are exchangeable


SCORES = 400


def excess(statement: str, seed: int, memorised: bool) -> float:
    """The share of images whose estimate, after correction, exceeds the label."""
    random = np.random.default_rng(seed)
    scores = random.normal(0.1, 1, 2 * SCORES)
    seen = scores.copy()
    if memorised:  # the surrogate was trained on the calibration images, and has no error there
        seen[::2] = 0.0
    settings = conformal.Settings(delta=0.1, statement=statement, gamma=0.05)
    return float((scores > conformal.corrections(seen, settings))[1::2].mean())


def test_conformal_radii_exceed_as_often_as_promised() -> None:
    shares = [excess("marginal", seed, False) for seed in range(300)]
    assert np.mean(shares) <= 0.1 + 4 * np.std(shares) / np.sqrt(300)
    assert np.mean(shares) >= 0.08  # not because the correction is huge
    assert np.mean([excess("pac", seed, False) > 0.1 for seed in range(300)]) < 0.25  # of finite test images
    assert np.mean([excess("pac", seed, False) for seed in range(300)]) < np.mean(shares)


def test_conformal_radii_calibrated_on_training_images_exceed_more_often() -> None:
    assert np.mean([excess("marginal", seed, True) for seed in range(50)]) > 0.3


@pytest.mark.parametrize("m", [30, 100, 1000])
def test_the_rank_of_a_pac_statement(m: int) -> None:
    settings = conformal.Settings(delta=0.1, statement="pac", gamma=0.05)
    k = conformal.rank(m, settings)
    # The (1 - delta)-quantile exceeds the k-th smallest of m scores with the probability of fewer than k below it.
    wrong = stats.binom.sf(k - 1, m, 0.9)
    assert wrong <= 0.05 or k == m + 1
    assert k == 1 or stats.binom.sf(k - 2, m, 0.9) > 0.05
