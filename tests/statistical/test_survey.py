"""The sound certificates of the survey: exact where counts can be enumerated, and on a line where all is known."""

import itertools
from math import factorial, prod

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from scipy.special import ndtri

from accelerated_smoothing.certify import statistics
from accelerated_smoothing.certify.evidence import Evidence
from accelerated_smoothing.certify.methods import cascade, cohen, cpm, idrs
from accelerated_smoothing.counting.counts import Counts

META = {
    **{"kind": "counts", "dataset": "line", "split": "test", "base": "line", "arithmetic": "cpu", "seed": 0},
    **{"noise": "gaussian", "choice": None, "classes": 3},
}


def counts_of(table: np.ndarray, purpose: str, sigma: float = 1.0, labels: np.ndarray | None = None) -> Counts:
    """Counts [images, classes] as if they had been counted."""
    images, n = len(table), int(table[0].sum())
    return Counts(
        np.arange(images),
        np.zeros(images, int) if labels is None else labels,
        np.array([n]),
        table[:, None],
        np.zeros((images, 1)),
        {**META, "purpose": purpose, "sigma": sigma, "base": f"line{sigma}"},
    )


def outcomes(n: int, classes: int) -> np.ndarray:
    """All counts of n draws."""
    return np.array([c for c in itertools.product(range(n + 1), repeat=classes) if sum(c) == n])


def probability(counts: np.ndarray, p: np.ndarray) -> np.ndarray:
    """Of each row of counts under the multinomial distribution."""
    ways = np.array([factorial(int(row.sum())) / prod(map(factorial, map(int, row))) for row in counts])
    return ways * np.prod(p**counts, axis=1)


PS = [(0.5, 0.3, 0.2), (0.4, 0.35, 0.25), (0.34, 0.33, 0.33), (0.7, 0.2, 0.1), (0.5, 0.5, 0.0), (0.9, 0.05, 0.05)]
PS4 = [(0.4, 0.2, 0.2, 0.2), (0.3, 0.3, 0.3, 0.1), (0.55, 0.25, 0.1, 0.1)]


def failure(p: tuple[float, ...], alpha: float, certify=cpm.certify) -> float:
    """The exact probability that a certificate is wrong, over all selection and estimation draws."""
    first, second = outcomes(5, len(p)), outcomes(9 if len(p) == 3 else 6, len(p))
    pairs = np.array(list(itertools.product(range(len(first)), range(len(second)))))
    selection, estimation = first[pairs[:, 0]], second[pairs[:, 1]]
    evidence = Evidence(alpha, 5, counts_of(selection, "selection"), counts_of(estimation, "estimation"))
    log = certify(evidence, cpm.Settings(n=int(second[0].sum())))
    p_b, p_a = np.sort(p)[-2:]
    exact = (ndtri(p_a) - ndtri(p_b)) / 2 if p_b > 0 else np.inf
    predicted = log["predict"].to_numpy()
    right = (predicted >= 0) & (np.asarray(p)[predicted] == p_a) & (p_a > p_b)
    wrong = (predicted >= 0) & (~right | (log["radius"] > exact * (1 + 1e-12)).to_numpy())
    return float((probability(selection, np.array(p)) * probability(estimation, np.array(p)))[wrong].sum())


@pytest.mark.parametrize("p", PS + PS4)
@pytest.mark.parametrize("alpha", [0.01, 0.1, 0.3])
def test_class_partitioning_fails_with_probability_alpha_at_most(p: tuple[float, ...], alpha: float) -> None:
    assert failure(p, alpha) <= alpha


def test_class_partitioning_would_fail_with_an_estimate_or_with_sets_of_the_same_draws(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Two faults: the runner-up's share in place of a bound, and sets that the estimation draws themselves choose."""
    bounds = cpm.bounds

    def estimated(counts: np.ndarray, sets: np.ndarray, n: int, alpha: float) -> tuple[np.ndarray, np.ndarray]:
        p_a, _ = bounds(counts, sets, n, alpha)
        shares = [np.where(sets == number, counts, 0).sum(axis=1) / n for number in range(1, int(sets.max()) + 1)]
        return p_a, np.minimum(np.max(shares, axis=0), 1 - p_a)

    with monkeypatch.context() as patch:
        patch.setattr(cpm, "bounds", estimated)
        assert max(failure(p, 0.05) for p in PS) > 0.1

    def again(evidence: Evidence, settings: cpm.Settings) -> pd.DataFrame:
        estimation = evidence.stored.at(settings.n)
        same = Evidence(evidence.alpha, settings.n, counts_of(estimation, "selection"), evidence.estimation)
        return cpm.certify(same, settings)

    assert max(failure(p, 0.1, again) for p in PS) > 0.15


@pytest.mark.parametrize(
    ("counts", "sets"),
    [
        ([7, 2, 1, 0], [0, 1, 2, 1]),  # a class without draws joins the first set
        ([3, 1, 1, 1], [0, 1, 2, 3]),
        ([6, 0, 0, 0], [0, 1, 1, 1]),
        ([0, 5, 3, 2], [1, 0, 1, 2]),
        ([1, 4, 2, 1], [2, 0, 1, 2]),
    ],
)
def test_no_set_is_likelier_than_the_runner_up(counts: list[int], sets: list[int]) -> None:
    found = cpm.partition(np.array([counts]))[0]
    sums = np.bincount(found, weights=counts)
    assert found.argmin() == np.argmax(counts)
    assert (sums[1:] <= sorted(counts)[-2]).all()
    assert found.tolist() == sets


def test_class_partitioning_certifies_more_where_several_classes_share_the_rest() -> None:
    first, second = np.array([[45, 19, 18, 18]]), np.array([[4500, 1900, 1800, 1800]])
    evidence = Evidence(0.001, 100, counts_of(first, "selection"), counts_of(second, "estimation"))
    partitioned, plain = cpm.certify(evidence, cpm.Settings(n=10000)), cohen.certify(evidence, cohen.Settings(n=10000))
    assert plain["predict"][0] == statistics.ABSTAIN
    assert partitioned["radius"][0] > 0.3
    alone = Evidence(
        0.001, 100, counts_of(np.array([[95, 5, 0]]), "selection"), counts_of(np.array([[9500, 500, 0]]), "estimation")
    )
    assert cpm.certify(alone, cpm.Settings(n=10000))["radius"][0] == pytest.approx(
        cohen.certify(alone, cohen.Settings(n=10000))["radius"][0], rel=1e-12
    )


# A cascade of step classifiers on a line.

EDGES = {1.0: ([-np.inf, -1.2, 0.9, np.inf], [0, 1, 2]), 0.25: ([-np.inf, -0.2, 0.5, np.inf], [0, 2, 1])}
ALPHA, N0, N = 0.05, 20, 200


def probabilities(x: np.ndarray, sigma: float) -> np.ndarray:
    """[points, classes] of a step classifier under noise of this sigma, exactly."""
    edges, classes = EDGES[sigma]
    steps = np.diff(stats.norm.cdf(np.array(edges), loc=x[:, None], scale=sigma), axis=1)
    return steps[:, np.argsort(classes)]


def answers(x: np.ndarray) -> np.ndarray:
    """The classes [points] of the exact cascade."""
    large, small = probabilities(x, 1.0), probabilities(x, 0.25)
    return np.where(large.max(axis=1) > 0.5, large.argmax(axis=1), small.argmax(axis=1))


def cascaded(images: int, seed: int) -> tuple[Evidence, np.ndarray, np.ndarray]:
    """Counts at random points, the exact classes there and the exact distances to another class."""
    random = np.random.default_rng(seed)
    x = random.uniform(-2.5, 2.5, images)
    grid = np.linspace(-8, 8, 160_001)
    on_grid = answers(grid)
    changes = (grid[1:] + grid[:-1])[np.diff(on_grid) != 0] / 2
    distance = np.abs(x[:, None] - changes).min(axis=1) + 1e-4  # the grid's step
    truth = answers(x)
    parts = {
        (sigma, purpose): counts_of(random.multinomial(n, probabilities(x, sigma)), purpose, sigma, truth)
        for sigma in EDGES
        for purpose, n in (("selection", N0), ("estimation", N))
    }
    evidence = Evidence(
        ALPHA,
        N0,
        parts[1.0, "selection"],
        parts[1.0, "estimation"],
        lower_selection=[parts[0.25, "selection"]],
        lower_estimation=[parts[0.25, "estimation"]],
    )
    evidence.check(cascade.NEEDS)
    return evidence, truth, distance


def wrong(log: pd.DataFrame, truth: np.ndarray, distance: np.ndarray) -> int:
    certified = (log["predict"] != statistics.ABSTAIN).to_numpy()
    return int((certified & ((log["predict"] != truth) | (log["radius"] > distance)).to_numpy()).sum())


def test_a_cascade_is_sound_on_a_line() -> None:
    """Each image fails with at most alpha; 30,000 images, so one false alarm in a million runs."""
    images = 30_000
    evidence, truth, distance = cascaded(images, 1)
    log = cascade.certify(evidence, cascade.Settings(n=N))
    assert wrong(log, truth, distance) <= stats.binom.isf(1e-6, images, ALPHA)
    assert set(log["level"]) == {1.0, 0.25}
    assert log["correct"].mean() > 0.6
    assert (log["passes"] == np.where(log["level"] == 1, 1, 2) * (N0 + N)).all()


def test_a_cascade_must_certify_the_levels_before() -> None:
    """With the radius of the level alone, far more certificates are wrong than alpha allows."""
    images = 30_000
    evidence, truth, distance = cascaded(images, 1)
    log = cascade.certify(evidence, cascade.Settings(n=N))
    alone = log["level"] * ndtri(log["p_lower"])
    careless = log.assign(
        radius=np.maximum(alone, 0), predict=np.where(alone > 0, evidence.lower_selection[0].at(N0).argmax(1), -1)
    )
    below = (log["level"] < 1).to_numpy()
    assert wrong(careless[below], truth[below], distance[below]) > 2 * stats.binom.isf(1e-6, int(below.sum()), ALPHA)


def test_a_cascade_of_one_level_is_cohens() -> None:
    evidence, _, _ = cascaded(500, 2)
    single = Evidence(ALPHA, N0, evidence.selection, evidence.estimation, lower_selection=[], lower_estimation=[])
    one, plain = cascade.certify(single, cascade.Settings(n=N)), cohen.certify(single, cohen.Settings(n=N))
    pd.testing.assert_frame_equal(one[list(plain)], plain)


def test_a_cascade_needs_smaller_sigmas_in_order() -> None:
    evidence, _, _ = cascaded(10, 3)
    upside_down = Evidence(
        ALPHA,
        N0,
        evidence.lower_selection[0],
        evidence.lower_estimation[0],
        lower_selection=[evidence.selection],
        lower_estimation=[evidence.estimation],
    )
    with pytest.raises(Exception, match=r"smaller and smaller sigmas, got \[0.25, 1.0\]"):
        upside_down.check(cascade.NEEDS)


# A sigma that changes slowly.


@pytest.mark.parametrize(("d", "radius"), [(64, 0.556), (3072, 0.158)])
def test_the_radius_of_a_changing_sigma_falls_with_the_dimension(d: int, radius: float) -> None:
    """Of p_B = 0.1, sigma 0.5 and r = 0.1. Cohen et al.'s radius is 0.641."""
    found = idrs.radii(np.array([0.9]), np.array([0.5]), 0.1, d)
    assert found[0] == pytest.approx(radius, abs=0.0005)
    assert idrs.radii(np.array([0.9]), np.array([0.5]), 0.0, d)[0] == pytest.approx(0.5 * ndtri(0.9), rel=1e-12)
    slow = idrs.radii(np.array([0.9]), np.array([0.5]), 1e-3, 64)[0]
    assert slow == pytest.approx(0.5 * ndtri(0.9), rel=0.05)
    assert slow <= 0.5 * ndtri(0.9)


@pytest.mark.parametrize("rate", [0.1, 0.5])
@pytest.mark.parametrize("p_b", [0.05, 0.2, 0.4])
def test_no_set_beats_the_bound_of_a_changing_sigma(rate: float, p_b: float) -> None:
    """On a line the worst sets are known: an interval for a smaller sigma, and all but one for a larger.

    Where the likelihood ratio of two normal densities is above a level. The bound is that of Neyman and Pearson, so
    these sets reach it.
    """
    sigma, a = 0.5, 0.3
    bound = idrs.others(np.array([a]), np.array([sigma]), np.array([p_b]), rate, 1)[0]
    reached = []
    x = np.linspace(-12, 12, 400_001)
    for direction in (-1, 1):
        other = sigma * np.exp(direction * rate * a)
        here, there = stats.norm.pdf(x, 0, sigma), stats.norm.pdf(x, a, other)
        order = np.argsort(-there / np.maximum(here, 1e-300))
        step = x[1] - x[0]
        inside = np.cumsum(here[order]) * step <= p_b
        reached.append((there[order][inside]).sum() * step)
    assert bound == pytest.approx(max(reached), abs=2e-4)  # the step of the grid


@pytest.mark.parametrize("direction", [-1, 1])
def test_the_bound_is_reached_in_many_dimensions(direction: int) -> None:
    """By the set of Neyman and Pearson, on 200,000 points: its share of points is known within 0.005, four errors."""
    random = np.random.default_rng(0)
    d, a, sigma, p_b, rate, points = 64, 0.5, 0.5, 0.1, 0.1, 200_000
    other = sigma * np.exp(direction * rate * a)
    here = sigma * random.normal(size=(points, d))
    there = other * random.normal(size=(points, d))
    there[:, 0] += a

    def ratio(z: np.ndarray) -> np.ndarray:
        first, squares = z[:, 0], (z**2).sum(axis=1)
        return squares / sigma**2 - (squares - 2 * a * first + a**2) / other**2

    reached = (ratio(there) > np.quantile(ratio(here), 1 - p_b)).mean()
    bound = idrs.others(np.array([a]), np.array([sigma]), np.array([p_b]), rate, d)[0]
    assert reached <= bound + 0.005
    if direction > 0:  # the worse of the two here
        assert reached == pytest.approx(bound, abs=0.005)


def test_a_changing_sigma_is_sound_on_a_line_and_cohens_radius_is_not() -> None:
    """sigma(x) grows with |x|, as fast as its rate allows, so noise soon leaves an interval around 0."""
    rate, images = 2.0, 20_000
    random = np.random.default_rng(5)

    def sigma(x: np.ndarray) -> np.ndarray:
        return 0.4 * np.exp(rate * np.abs(x))

    def probabilities(x: np.ndarray) -> np.ndarray:
        inside = np.diff(stats.norm.cdf([-1, 1], loc=x[:, None], scale=sigma(x)[:, None]), axis=1)
        return np.concatenate([inside, 1 - inside], axis=1)

    grid = np.linspace(-4, 4, 160_001)
    on_grid = probabilities(grid).argmax(axis=1)
    changes = (grid[1:] + grid[:-1])[np.diff(on_grid) != 0] / 2
    x = random.uniform(-0.4, 0.4, images)
    distance, truth = np.abs(x[:, None] - changes).min(axis=1) + 1e-4, probabilities(x).argmax(axis=1)
    first, second = random.multinomial(N0, probabilities(x)), random.multinomial(N, probabilities(x))
    top = first.argmax(axis=1)
    p_lower = statistics.lower_bound(second[np.arange(images), top], N, ALPHA)
    allowed = stats.binom.isf(1e-6, images, ALPHA)  # each image fails with at most alpha

    def failures(radius: np.ndarray) -> int:
        return int(((radius > 0) & ((top != truth) | (radius > distance))).sum())

    radius = idrs.radii(p_lower, sigma(x), rate, 1)
    assert failures(radius) <= allowed
    assert (radius > 0.05).mean() > 0.5
    assert failures(sigma(x) * np.maximum(ndtri(p_lower), 0)) > 2 * allowed
