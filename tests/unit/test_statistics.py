import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from scipy.special import betainc
from statsmodels.stats.proportion import proportion_confint

from accelerated_smoothing.certify import statistics

SIZES = [1, 2, 3, 10, 100, 101, 1000, 10_000, 100_000]
ALPHAS = [0.1, 0.01, 0.001, 1e-6]


def successes(n: int) -> np.ndarray:
    few = np.arange(min(n, 12) + 1)
    spread = np.linspace(0, n, 41).astype(int)
    return np.unique(np.concatenate([few, n - few, spread]))


@pytest.mark.parametrize("alpha", ALPHAS)
@pytest.mark.parametrize("n", SIZES)
def test_lower_bound_is_that_of_statsmodels(n: int, alpha: float) -> None:
    k = successes(n)
    expected = proportion_confint(k, n, alpha=2 * alpha, method="beta")[0]
    np.testing.assert_allclose(statistics.lower_bound(k, n, alpha), expected, rtol=1e-12, atol=0)


@pytest.mark.parametrize("alpha", ALPHAS)
@pytest.mark.parametrize("n", SIZES)
def test_lower_bound_never_errs_upwards(n: int, alpha: float) -> None:
    k = successes(n)[1:]
    assert (betainc(k, n - k + 1, statistics.lower_bound(k, n, alpha)) <= alpha).all()


@given(st.integers(1, 100_000), st.floats(0, 1), st.floats(1e-9, 0.5))
def test_lower_bound_never_errs_upwards_anywhere(n: int, share: float, alpha: float) -> None:
    k = max(1, round(share * n))
    p = float(statistics.lower_bound(k, n, alpha))
    assert betainc(k, n - k + 1, p) <= alpha
    assert p == pytest.approx(stats.beta.ppf(alpha, k, n - k + 1), rel=1e-10)
    assert 0 < p < k / n


@pytest.mark.parametrize("n", SIZES)
def test_lower_bound_closed_forms(n: int) -> None:
    assert statistics.lower_bound(0, n, 0.001) == 0
    assert statistics.lower_bound(n, n, 0.001) == pytest.approx(0.001 ** (1 / n), rel=1e-13)


@pytest.mark.parametrize("n", [1, 5, 30])
@pytest.mark.parametrize("alpha", [0.1, 0.01])
def test_lower_bound_exceeds_p_with_at_most_alpha(n: int, alpha: float) -> None:
    k = np.arange(n + 1)
    bounds = statistics.lower_bound(k, n, alpha)
    for p in np.concatenate([np.linspace(0.01, 0.99, 99), bounds[1:]]):  # just at a bound is the worst case
        assert stats.binom.pmf(k, n, p)[bounds > p].sum() <= alpha * (1 + 1e-9)


def test_lower_bound_broadcasts() -> None:
    k, n = np.array([[3, 5], [7, 9]]), np.array([10, 20])
    bounds = statistics.lower_bound(k, n, 0.01)
    assert bounds.shape == (2, 2)
    assert bounds[1, 1] == statistics.lower_bound(9, 20, 0.01)


@pytest.mark.parametrize(("k", "n"), [(-1, 10), (11, 10), ([3, 11], 10), ([3, -1], [10, 10]), (1, 0)])
def test_lower_bound_refuses_impossible_counts(k: object, n: object) -> None:
    with pytest.raises(ValueError, match="between 0 and the number of trials"):
        statistics.lower_bound(k, n, 0.001)


@pytest.mark.parametrize("n", [1, 2, 9, 10, 100, 1001])
def test_binomial_test_is_that_of_scipy(n: int) -> None:
    n_a = successes(n)
    expected = [stats.binomtest(int(k), n, 0.5).pvalue for k in n_a]
    np.testing.assert_allclose(statistics.binomial_test(n_a, n - n_a), expected, rtol=1e-10)


def test_binomial_test_of_nothing_and_of_a_tie() -> None:
    assert statistics.binomial_test(0, 0) == 1
    assert statistics.binomial_test(7, 7) == 1


def test_predict_is_the_top_class_or_abstains() -> None:
    counts = np.array([[100, 0, 0], [0, 0, 100], [34, 33, 33], [50, 50, 0], [10, 65, 25]])
    assert statistics.predict(counts, 0.001).tolist() == [0, 2, -1, -1, 1]


@pytest.mark.parametrize("alpha", [0.05, 0.001])
def test_predict_equals_brute_force(alpha: float) -> None:
    random = np.random.default_rng(2)
    counts = random.multinomial(60, random.dirichlet([0.4] * 5, 300))
    expected = []
    for row in counts:
        order = sorted(range(5), key=lambda c: -row[c])
        first, second = int(row[order[0]]), int(row[order[1]])
        p = stats.binomtest(first, first + second, 0.5).pvalue
        expected.append(order[0] if p <= alpha else statistics.ABSTAIN)
    assert statistics.ABSTAIN in expected
    assert len(set(expected)) == 6
    assert statistics.predict(counts, alpha).tolist() == expected


@pytest.mark.parametrize("n", [10, 1_000, 100_000])
def test_without_alpha_nothing_is_claimed(n: int) -> None:
    """Even where every draw is of the class: p^n is above 0 however small p is."""
    counts = np.array([0, n // 2, n])
    assert (statistics.randomized_bound(counts, n, 0.0, 0.5) == 0).all()
    assert (statistics.lower_bound(counts, n, 0.0) == 0).all()
