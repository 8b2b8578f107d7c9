"""On a linear classifier everything about smoothing is known, so the promise of certificates can be put to the test.

f(x) = [w.x + b > 0] under noise N(0, sigma^2 I) is right with probability Phi(|w.x + b| / (sigma ||w||)), whence the
smoothed classifier is f itself and its exact radius is |w.x + b| / ||w||, whatever sigma is.
"""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy import stats

from accelerated_smoothing.certify import statistics
from accelerated_smoothing.certify.evidence import Evidence
from accelerated_smoothing.certify.methods import cohen
from accelerated_smoothing.counting.counts import Counts
from accelerated_smoothing.counting.engines.pytorch import Pytorch
from accelerated_smoothing.counting.sampling import count_predictions

IMAGES, N0, N, ALPHA, SIGMA = 10_000, 20, 200, 0.01, 0.5
META = {
    **{"kind": "counts", "dataset": "linear", "split": "test", "sigma": SIGMA, "base": "linear", "arithmetic": "cpu"},
    **{"noise": "gaussian", "choice": None},
}


def at_most(probability: float, trials: int) -> int:
    """Of independent trials that each fail with at most this probability, more fail once in a million times."""
    return int(stats.binom.isf(1e-6, trials, probability))


@pytest.fixture(scope="module")
def case() -> SimpleNamespace:
    random = np.random.default_rng(11)
    w, b = random.normal(size=4), 0.3
    x = random.normal(size=(IMAGES, 4))
    # Distances from the plane between 0, where PREDICT errs most, and 2 sigma, where bounds are near their ceiling.
    distance = random.uniform(-1, 1, IMAGES)
    x += np.outer(distance - (x @ w + b) / np.linalg.norm(w), w / np.linalg.norm(w))
    weight, images = torch.tensor(w, dtype=torch.float32), torch.tensor(x, dtype=torch.float32)

    def model(batch: torch.Tensor) -> torch.Tensor:
        score = batch @ weight + b
        return torch.stack([-score, score], dim=1)

    exact = (images.double().numpy() @ weight.double().numpy() + b) / np.linalg.norm(weight.double().numpy())
    engine = Pytorch(model, (4,), batch=10_000, device=torch.device("cpu"))
    kept = {}
    for purpose, samples in (("selection", N0), ("estimation", N)):
        counts, seconds = count_predictions(engine, images.numpy(), SIGMA, samples, 0, classes=2, purpose=purpose)
        labels = (exact > 0).astype(np.int64)
        kept[purpose] = Counts(
            np.arange(IMAGES), labels, np.array([samples]), counts, seconds, {**META, "purpose": purpose}
        )
    return SimpleNamespace(truth=(exact > 0).astype(int), exact=np.abs(exact), **kept)


def test_counts_follow_the_exact_probabilities(case: SimpleNamespace) -> None:
    p = stats.norm.cdf(case.exact / SIGMA)
    for counts, n in ((case.selection, N0), (case.estimation, N)):
        right = counts.at(n)[np.arange(IMAGES), case.truth]
        z = (right.sum() - n * p.sum()) / np.sqrt((n * p * (1 - p)).sum())
        assert abs(z) < 5
        spread = ((right - n * p) ** 2).sum() / (n * p * (1 - p)).sum()
        assert abs(spread - 1) < 0.1  # draws of one image are independent: no more and no less than binomial


def test_selection_and_estimation_are_independent(case: SimpleNamespace) -> None:
    p = stats.norm.cdf(case.exact / SIGMA)
    residuals = [
        counts.at(n)[np.arange(IMAGES), case.truth] - n * p
        for counts, n in ((case.selection, N0), (case.estimation, N))
    ]
    assert abs(np.corrcoef(*residuals)[0, 1]) < 5 / np.sqrt(IMAGES)


def test_certified_radii_exceed_the_exact_ones_no_more_than_alpha_allows(case: SimpleNamespace) -> None:
    evidence = Evidence(ALPHA, N0, case.selection, case.estimation)
    evidence.check(cohen.NEEDS)
    table = cohen.certify(evidence, cohen.Settings(n=N))
    certified = (table["predict"] != statistics.ABSTAIN).to_numpy()
    wrong = certified & ((table["predict"] != case.truth) | (table["radius"] > case.exact)).to_numpy()
    # Each image's certificate fails with probability at most alpha whatever its distance, and images are independent
    # given theirs, so failures are at most Binomial(10,000, alpha): 100 expected, and 148 passed once in a million.
    # The counts are discrete and images near the plane abstain, so the rate lies below alpha itself, too.
    assert wrong.sum() <= at_most(ALPHA, IMAGES)
    assert wrong.sum() <= ALPHA * IMAGES
    # The bound is not idle either: it fails now and then, and most of the exact radius is certified.
    assert wrong.sum() > ALPHA * IMAGES / 10
    far = case.exact > 0.3
    assert certified[far].mean() > 0.9
    assert (
        table["radius"][far].mean() > 0.6 * np.minimum(case.exact[far], SIGMA * stats.norm.ppf(ALPHA ** (1 / N))).mean()
    )


def test_the_tests_would_notice_a_pilot_sample_that_is_used_again() -> None:
    """On the plane every certificate is wrong; a known fault, top class and bound from the same draws, doubles them."""
    alpha, trials, n = 0.1, 1000, 100

    def sides(purpose: str) -> np.ndarray:
        def model(batch: torch.Tensor) -> torch.Tensor:
            return torch.stack([-batch[:, 0], batch[:, 0]], dim=1)

        engine = Pytorch(model, (4,), batch=10_000, device=torch.device("cpu"))
        images = np.zeros((trials, 4), np.float32)
        return count_predictions(engine, images, SIGMA, n, 0, classes=2, purpose=purpose)[0][:, 0]

    selection, estimation = sides("selection"), sides("estimation")
    top = selection.argmax(1)
    reused = statistics.lower_bound(selection.max(1), n, alpha) > 0.5
    assert reused.sum() > at_most(alpha, trials)
    fresh = statistics.lower_bound(estimation[np.arange(trials), top], n, alpha) > 0.5
    assert alpha * trials / 2 < fresh.sum() <= at_most(alpha, trials)


def test_predict_is_wrong_no_more_than_alpha_allows(case: SimpleNamespace) -> None:
    for counts, n in ((case.selection, N0), (case.estimation, N)):
        predicted = statistics.predict(counts.at(n), ALPHA)
        wrong = ((predicted != statistics.ABSTAIN) & (predicted != case.truth)).sum()
        assert wrong <= ALPHA * IMAGES
        assert (predicted == case.truth).mean() > 0.3
    # Near the plane both classes are equally likely: the worst case, alpha/2 of which falls on the wrong one.
    near = case.exact < 0.02
    predicted = statistics.predict(case.estimation.at(N), 0.1)[near]
    wrong = ((predicted != statistics.ABSTAIN) & (predicted != case.truth[near])).sum()
    assert 0 < wrong <= at_most(0.1, near.sum())


@pytest.mark.parametrize("n", [100, 1000, 100_000])
@pytest.mark.parametrize("p", [0.01, 0.5, 0.9, 0.99, 0.9999])
@pytest.mark.parametrize("alpha", [0.05, 0.001])
def test_lower_bound_covers(n: int, p: float, alpha: float) -> None:
    trials = 200_000
    drawn = np.random.default_rng(12).binomial(n, p, trials)
    values, times = np.unique(drawn, return_counts=True)
    above = times[statistics.lower_bound(values, n, alpha) > p].sum()
    # At most Binomial(200,000, alpha) of the bounds lie above p.
    assert above <= at_most(alpha, trials)
    if n * p * (1 - p) > 50:  # where counts are fine-grained enough, the bound spends its alpha
        assert above > 0.5 * alpha * trials
