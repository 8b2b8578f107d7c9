"""Behind a map that keeps distances, and a linear head, the radius of an image is known: the promise put to the test.

Two classes by the sign of w.z + b, z = Qx with orthonormal rows Q, under noise on z: the smoothed head is the head, and
the nearest image of another prediction lies at |w.Qx + b| / |w|.
"""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy import stats

from accelerated_smoothing.certify import statistics
from accelerated_smoothing.certify.evidence import Evidence
from accelerated_smoothing.certify.methods import embedded
from accelerated_smoothing.counting.counts import Counts
from accelerated_smoothing.counting.engines.pytorch import Pytorch
from accelerated_smoothing.counting.sampling import count_predictions
from accelerated_smoothing.data import Images
from accelerated_smoothing.models.families.sll import Narrowing

IMAGES, N0, N, ALPHA, SIGMA = 10_000, 20, 200, 0.01, 0.5
INPUTS, FEATURES = 9, 4
META = {"dataset": "points@backbone", "split": "test"}


def at_most(probability: float, trials: int) -> int:
    """Of independent trials that each fail with at most this probability, more fail once in a million times."""
    return int(stats.binom.isf(1e-6, trials, probability))


def case(stretch: float) -> SimpleNamespace:
    """Certificates of points x behind z = stretch Qx, their exact radii, and which are wrong."""
    random = np.random.default_rng(13)
    torch.manual_seed(0)
    with torch.no_grad():
        rows = Narrowing(INPUTS, FEATURES, image=False).double()(torch.eye(INPUTS, dtype=torch.float64)).numpy().T
    # Its fresh weights are orthonormal but for float32, so that radii of z are those of x.
    np.testing.assert_allclose(np.linalg.svd(rows, compute_uv=False), 1, atol=1e-5)
    w, b = random.normal(size=FEATURES).astype(np.float32).astype(float), 0.25
    slope = stretch * w @ rows
    x = random.normal(size=(IMAGES, INPUTS))
    distance = random.uniform(-1, 1, IMAGES)  # up to 2 sigma, where bounds are near their ceiling
    x += np.outer(distance - (x @ slope + b) / np.linalg.norm(slope), slope / np.linalg.norm(slope))
    exact, labels = np.abs(x @ slope + b) / np.linalg.norm(slope), (x @ slope + b > 0).astype(np.int64)
    z = (stretch * x @ rows.T).astype(np.float32)[:, :, None, None]

    def head(batch: torch.Tensor) -> torch.Tensor:
        score = batch.flatten(1) @ torch.tensor(w, dtype=torch.float32) + b
        return torch.stack([-score, score], dim=1)

    engine = Pytorch(head, (FEATURES, 1, 1), batch=10_000, device=torch.device("cpu"))
    counted = {}
    for purpose, samples in (("selection", N0), ("estimation", N)):
        counts, seconds = count_predictions(engine, z, SIGMA, samples, 0, classes=2, purpose=purpose)
        meta = {**META, "kind": "counts", "sigma": SIGMA, "base": "head", "arithmetic": "cpu", "purpose": purpose}
        meta |= {"noise": "gaussian", "choice": None}
        counted[purpose] = Counts(np.arange(IMAGES), labels, np.array([samples]), counts, seconds, meta)
    images = Images(np.arange(IMAGES), z, labels, {**META, "white": 1, "rounding": 0.0, "seconds": 0.0})
    evidence = Evidence(ALPHA, N0, **counted, images=images)
    evidence.check(embedded.NEEDS)
    log = embedded.certify(evidence, embedded.Settings(n=N))
    certified = log["predict"] != statistics.ABSTAIN
    wrong = certified & ((log["predict"] != labels) | (log["radius"] > exact))
    return SimpleNamespace(log=log, exact=exact, certified=certified, wrong=wrong.sum())


@pytest.fixture(scope="module")
def kept() -> SimpleNamespace:
    return case(1.0)


def test_certified_radii_exceed_the_exact_ones_no_more_than_alpha_allows(kept: SimpleNamespace) -> None:
    # Certificates of independent draws, each of which fails with probability at most alpha.
    assert kept.wrong <= at_most(ALPHA, IMAGES)
    assert kept.wrong > ALPHA * IMAGES / 10  # the bound is not idle
    assert (kept.log["guarantee"] == "sound").all()


def test_certified_radii_approach_the_exact_ones(kept: SimpleNamespace) -> None:
    """As far as 200 draws can show: to where all of them agree."""
    ceiling = SIGMA * stats.norm.ppf(ALPHA ** (1 / N))
    far = kept.exact > 0.3
    assert kept.certified[far].mean() > 0.9
    assert kept.log["radius"][far].mean() > 0.6 * np.minimum(kept.exact[far], ceiling).mean()
    assert kept.log["radius"].max() <= ceiling


def test_a_backbone_that_stretches_would_be_noticed() -> None:
    assert case(2.0).wrong > 10 * at_most(ALPHA, IMAGES)
