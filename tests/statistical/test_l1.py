"""On a linear classifier the l1 radius is known, too, so uniform and Laplace noise can be put to the test.

f(x) = [w.x + b > 0] changes at the l1 distance |w.x + b| / max|w|, along the axis of the greatest weight. Noise that is
symmetric about 0 leaves w.x + b on its side more often than not, so the smoothed classifier is f itself, and its exact
l1 radius is that distance, whatever the scale.
"""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy import stats

from accelerated_smoothing import noise as noises
from accelerated_smoothing.certify import statistics
from accelerated_smoothing.counting.engines.pytorch import Pytorch
from accelerated_smoothing.counting.sampling import count_predictions

IMAGES, N0, N, ALPHA = 10_000, 20, 200, 0.01
# The one element that matters is a Laplace variable, or uniform.
LAWS = {"uniform": stats.uniform(-1, 2), "laplace": stats.laplace()}


def linear(w: np.ndarray, noise: str) -> SimpleNamespace:
    """Images at known distances from a plane, the scale of each one's noise, and its counts of f's two classes."""
    random = np.random.default_rng(13)
    b, axis = 0.3, int(np.abs(w).argmax())
    scales = random.uniform(0.25, 1, IMAGES).astype(np.float32)
    x = random.normal(size=(IMAGES, len(w)))
    # Distances from 0, where the top class is hardest to name, to 0.9 scales: uniform noise certifies none above 1.
    x[:, axis] += random.uniform(-0.9, 0.9, IMAGES) * scales - (x @ w + b) / w[axis]
    weight, images = torch.tensor(w, dtype=torch.float32), torch.tensor(x, dtype=torch.float32)

    def model(batch: torch.Tensor) -> torch.Tensor:
        score = batch @ weight + b
        return torch.stack([-score, score], dim=1)

    score = images.double().numpy() @ weight.double().numpy() + b
    engine = Pytorch(model, (len(w),), batch=10_000, device=torch.device("cpu"))
    selection, estimation = (
        count_predictions(engine, images.numpy(), scales, samples, 0, classes=2, purpose=purpose, noise=noise)[0][:, 0]
        for samples, purpose in ((N0, "selection"), (N, "estimation"))
    )
    exact = np.abs(score) / np.abs(weight.double().numpy()).max()
    return SimpleNamespace(
        truth=(score > 0).astype(int), exact=exact, scales=scales, selection=selection, estimation=estimation
    )


def certified(case: SimpleNamespace, noise: str) -> tuple[np.ndarray, np.ndarray]:
    """Each image's class and l1 radius (Cohen et al. 2019, CERTIFY), abstaining where the radius is 0."""
    top = case.selection.argmax(1)
    p_lower = statistics.lower_bound(case.estimation[np.arange(IMAGES), top], N, ALPHA)
    radius = noises.distribution(noise).radius(p_lower, case.scales.astype(float))
    return np.where(radius > 0, top, statistics.ABSTAIN), radius


def failures(case: SimpleNamespace, noise: str) -> int:
    """Certificates that name the other class, or a radius beyond the plane."""
    predict, radius = certified(case, noise)
    wrong = (predict != case.truth) | (radius > case.exact)
    return int(((predict != statistics.ABSTAIN) & wrong).sum())


@pytest.mark.parametrize("noise", LAWS)
@pytest.mark.parametrize("d", [1, 2, 7, 30])
def test_along_an_axis_the_radius_is_tight_and_fails_no_more_than_alpha_allows(d: int, noise: str) -> None:
    w = np.zeros(d)
    w[d // 2] = -1.3
    case = linear(w, noise)
    # The probability of f's class is known, and the counts follow it: five standard errors.
    p = LAWS[noise].cdf(case.exact / case.scales)
    right = case.estimation[np.arange(IMAGES), case.truth]
    assert abs(right.sum() - N * p.sum()) < 5 * np.sqrt((N * p * (1 - p)).sum())
    # From that very probability the radius is the distance: nothing is lost, so the bound's failures are all seen. Of
    # float32 scales and weights the probability keeps 1e-7, and by the density that of 1e-6 a radius.
    np.testing.assert_allclose(noises.distribution(noise).radius(p, case.scales), case.exact, rtol=0, atol=1e-6)
    # Each certificate fails with probability at most alpha, and images are independent given theirs, so failures are at
    # most Binomial(10,000, alpha), which passes 148 once in a million times; counts are discrete, so the rate itself
    # lies below alpha. That it is not far below says that the test is not idle.
    assert ALPHA * IMAGES / 3 < failures(case, noise) <= stats.binom.isf(1e-6, IMAGES, ALPHA)
    # At half a scale the probability is 0.75, or 0.70, and the bound lies about 0.07 below a count's share.
    predict, _ = certified(case, noise)
    assert (predict == case.truth)[case.exact > 0.5 * case.scales].mean() > 0.95


@pytest.mark.parametrize("noise", LAWS)
@pytest.mark.parametrize("d", [2, 7, 30])
def test_in_any_direction_the_radius_fails_no_more_than_alpha_allows(d: int, noise: str) -> None:
    """Many weights spread the noise, so the radius falls short of the distance; near the plane it may still fail."""
    case = linear(np.random.default_rng(d).normal(size=d), noise)
    assert failures(case, noise) <= ALPHA * IMAGES
    # Certificates there are, though the more weights, the fewer: the noise's spread grows with ||w||, the distance not.
    predict, _ = certified(case, noise)
    assert (predict == case.truth).mean() > 0.1
    # The smoothed classifier is f itself: over all images f's own class is the more frequent one.
    right = case.estimation[np.arange(IMAGES), case.truth]
    assert stats.binomtest(int(right.sum()), N * IMAGES, alternative="greater").pvalue < 1e-9


@pytest.mark.parametrize("noise", LAWS)
def test_the_test_would_notice_a_radius_that_is_a_tenth_too_large(noise: str) -> None:
    case = linear(np.array([0.0, 2.0]), noise)
    predict, radius = certified(case, noise)
    wrong = (predict != statistics.ABSTAIN) & (1.1 * radius > case.exact)
    assert wrong.sum() > stats.binom.isf(1e-6, IMAGES, ALPHA)
