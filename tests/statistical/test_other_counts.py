"""Certificates from the counts of two base classifiers: dual smoothing on a line, and edited classifiers exactly."""

import itertools

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from accelerated_smoothing.certify import statistics
from accelerated_smoothing.certify.evidence import Evidence
from accelerated_smoothing.certify.methods import cohen, dual, irs
from accelerated_smoothing.counting.counts import Counts
from accelerated_smoothing.errors import InputError

META = {
    **{"kind": "counts", "dataset": "line", "split": "test", "arithmetic": "cpu", "seed": 0},
    **{"noise": "gaussian", "choice": None, "classes": 3},
}


def counts_of(table: np.ndarray, purpose: str, base: str, sigma: float = 1.0, labels: np.ndarray | None = None):
    """Counts [images, outputs] as if they had been counted."""
    images = len(table)
    return Counts(
        np.arange(images),
        np.zeros(images, int) if labels is None else labels,
        np.array([table[0].sum()]),
        table[:, None],
        np.zeros((images, 1)),
        {**META, "purpose": purpose, "sigma": sigma, "base": f"{base}{sigma}"},
    )


# Dual smoothing of step classifiers on a line, where the classes and the distances to others are known.

ALPHA, N0, N = 0.05, 20, 200
LEVELS = (1.0, 0.25)
STEPS = {  # edges, and the class between each two
    1.0: ([-1.2, 0.9], [0, 1, 2]),
    0.25: ([-0.2, 0.5], [0, 2, 1]),
    "router": ([-0.9, 0.7], [0, 1, 0]),  # the place of a level in LEVELS
}


def probabilities(x: np.ndarray, steps: tuple[list[float], list[int]], sigma: float) -> np.ndarray:
    """[points, 3] of a step classifier under noise of this sigma, exactly."""
    edges, classes = steps
    between = np.diff(stats.norm.cdf(np.array([-np.inf, *edges, np.inf]), loc=x[:, None], scale=sigma), axis=1)
    return np.stack([between[:, np.array(classes) == c].sum(axis=1) for c in range(3)], axis=1)


def answers(x: np.ndarray) -> np.ndarray:
    """The classes [points] of the exact dual classifier."""
    level = probabilities(x, STEPS["router"], LEVELS[0]).argmax(axis=1)
    return np.stack([probabilities(x, STEPS[sigma], sigma).argmax(axis=1) for sigma in LEVELS])[
        level, np.arange(len(x))
    ]


def routed(images: int, seed: int) -> tuple[Evidence, np.ndarray, np.ndarray]:
    """Counts at random points, the exact classes there and the exact distances to another class."""
    random = np.random.default_rng(seed)
    x = random.uniform(-2.5, 2.5, images)
    step = 1e-4
    grid = np.arange(-8, 8, step)
    changes = (grid[1:] + grid[:-1])[np.diff(answers(grid)) != 0] / 2
    distance = np.abs(x[:, None] - changes).min(axis=1) + step
    truth = answers(x)
    parts = {
        (name, purpose): counts_of(
            random.multinomial(n, probabilities(x, STEPS[name], sigma)), purpose, str(name), sigma, truth
        )
        for name, sigma in ((1.0, 1.0), (0.25, 0.25), ("router", 1.0))
        for purpose, n in (("selection", N0), ("estimation", N))
    }
    evidence = Evidence(
        ALPHA,
        N0,
        parts[1.0, "selection"],
        parts[1.0, "estimation"],
        lower_selection=[parts[0.25, "selection"]],
        lower_estimation=[parts[0.25, "estimation"]],
        other_selection=parts["router", "selection"],
        other_estimation=parts["router", "estimation"],
    )
    evidence.check(dual.NEEDS)
    return evidence, truth, distance


def wrong(log: pd.DataFrame, truth: np.ndarray, distance: np.ndarray) -> np.ndarray:
    certified = (log["predict"] != statistics.ABSTAIN).to_numpy()
    return certified & ((log["predict"] != truth) | (log["radius"] > distance)).to_numpy()


def test_dual_smoothing_is_sound_on_a_line() -> None:
    """Each image fails with at most alpha; 30,000 images, so one false alarm in a million runs."""
    images = 30_000
    evidence, truth, distance = routed(images, 1)
    log = dual.certify(evidence, dual.Settings(n=N))
    assert wrong(log, truth, distance).sum() <= stats.binom.isf(1e-6, images, ALPHA)
    assert set(log["level"]) == set(LEVELS)
    assert log["correct"].mean() > 0.5
    assert (log["passes"] == 2 * (N0 + N)).all()


def test_dual_smoothing_must_certify_the_router() -> None:
    """With the radius of the level alone, far more certificates are wrong than alpha allows."""
    images = 30_000
    evidence, truth, distance = routed(images, 1)
    log = dual.certify(evidence, dual.Settings(n=N))
    alone = (log["level"] * stats.norm.ppf(log["p_lower"])).to_numpy()
    level = (log["level"] == LEVELS[1]).astype(int)
    firsts = np.stack([evidence.selection.at(N0), evidence.lower_selection[0].at(N0)])
    top = firsts[level, np.arange(images)].argmax(axis=1)
    careless = log.assign(radius=np.maximum(alone, 0), predict=np.where(alone > 0, top, -1))
    assert wrong(careless, truth, distance).sum() > 2 * stats.binom.isf(1e-6, images, ALPHA)


def test_dual_smoothing_with_one_level_is_cohens() -> None:
    evidence, *_ = routed(200, 2)
    single = Evidence(
        ALPHA,
        N0,
        evidence.selection,
        evidence.estimation,
        lower_selection=[],
        lower_estimation=[],
        other_selection=evidence.other_selection,
        other_estimation=evidence.other_estimation,
    )
    expected = cohen.certify(single, cohen.Settings(n=N))
    log = dual.certify(single, dual.Settings(n=N))
    pd.testing.assert_frame_equal(log[expected.columns], expected)


def test_draws_in_no_level_count_against_the_level() -> None:
    """A router with three classes for two levels."""
    sure = np.array([[N, 0, 0]])
    first = np.array([[N0, 0, 0]])

    def certified(selected: list[int], estimated: list[int]) -> pd.DataFrame:
        return dual.certify(
            Evidence(
                ALPHA,
                N0,
                counts_of(first, "selection", "f"),
                counts_of(sure, "estimation", "f"),
                lower_selection=[counts_of(first, "selection", "f", 0.25)],
                lower_estimation=[counts_of(sure, "estimation", "f", 0.25)],
                other_selection=counts_of(np.array([selected]), "selection", "router"),
                other_estimation=counts_of(np.array([estimated]), "estimation", "router"),
            ),
            dual.Settings(n=N),
        )

    assert certified([0, 1, 19], [0, 10, 190])["predict"].tolist() == [statistics.ABSTAIN]
    half = certified([0, 20, 0], [0, 180, 20])
    whole = certified([0, 20, 0], [0, 200, 0])
    assert half["level"].tolist() == whole["level"].tolist() == [0.25]
    assert 0 < half["radius"][0] < whole["radius"].max() + 1e-9


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sigma": 0.5}, "the same sigma"),
        ({"noise": "laplace"}, "the same noise"),
        ({"split": "train"}, "the same split"),
    ],
)
def test_counts_of_another_experiment_must_be_of_the_same_images_and_noise(change: dict, message: str) -> None:
    table = np.array([[N0, 0, 0]])
    f, other = counts_of(table, "selection", "f"), counts_of(table, "selection", "other")
    other.meta.update(change)
    with pytest.raises(InputError, match=message):
        Evidence(ALPHA, N0, f, other_selection=other).check(("selection", "other_selection"))


# Edited classifiers: all counts of small cases. A row of JOINT has P(f, f') of (A, A), (A, B), (B, A) and (B, B).

JOINT = [(0.5, 0.1, 0.2, 0.2), (0.6, 0.3, 0.0, 0.1), (0.4, 0.1, 0.1, 0.4), (0.9, 0.0, 0.0, 0.1), (0.55, 0.45, 0.0, 0.0)]
FIRST, DRAWS, PAIRS = 3, 6, 5


def multinomials(n: int, p: tuple[float, ...]) -> tuple[np.ndarray, np.ndarray]:
    """All counts of n draws, and their probabilities."""
    rows = np.array([c for c in itertools.product(range(n + 1), repeat=len(p)) if sum(c) == n])
    return rows, stats.multinomial.pmf(rows, n, np.array(p))


def failure(joint: tuple[float, ...], alpha: float, certify=irs.certify) -> float:
    """The exact probability that a certificate of f' is wrong, over all draws."""
    aa, ab, ba, bb = joint
    f, both, edited = (aa + ab, ba + bb), (aa, bb, ab + ba), (aa + ba, ab + bb)
    tables = [multinomials(FIRST, f), multinomials(FIRST, both), multinomials(DRAWS, f), multinomials(PAIRS, both)]
    places = np.array(list(itertools.product(*(range(len(rows)) for rows, _ in tables)))).T
    selection, common, estimation, pairs = (rows[place] for (rows, _), place in zip(tables, places, strict=True))
    chance = np.prod([p[place] for (_, p), place in zip(tables, places, strict=True)], axis=0)
    evidence = Evidence(
        alpha,
        FIRST,
        counts_of(selection, "selection", "f"),
        counts_of(estimation, "estimation", "f"),
        other_selection=counts_of(common, "selection", "agreement"),
        other_estimation=counts_of(pairs, "estimation", "agreement"),
    )
    evidence.check(irs.NEEDS)
    log = certify(evidence, irs.Settings(n=DRAWS, pairs=PAIRS))
    top = selection.argmax(axis=1)
    true = np.array(edited)[top]
    return float(chance[(log["p_lower"] > true * (1 + 1e-12)).to_numpy()].sum())


@pytest.mark.parametrize("joint", JOINT)
@pytest.mark.parametrize("alpha", [0.02, 0.1, 0.3])
def test_certificates_of_an_edited_classifier_fail_with_probability_alpha_at_most(
    joint: tuple[float, ...], alpha: float
) -> None:
    assert failure(joint, alpha) <= alpha


def test_they_would_fail_without_a_bound_on_the_difference_or_with_the_better_of_two_bounds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Two faults: the certificate of f as that of f', and the larger of two bounds that hold with 1 - alpha each."""
    bounds = irs.bounds

    def of_f_alone(of_f: np.ndarray, agreed: np.ndarray, differ: np.ndarray, settings: irs.Settings, alpha: float):
        by_f = statistics.lower_bound(of_f, settings.n, alpha)
        return by_f, np.zeros_like(by_f)

    def larger(of_f: np.ndarray, agreed: np.ndarray, differ: np.ndarray, settings: irs.Settings, alpha: float):
        by_f, alone = bounds(of_f, agreed, differ, settings, 2 * alpha)
        return np.maximum(by_f, alone), alone

    for fault in (of_f_alone, larger):
        monkeypatch.setattr(irs, "bounds", fault)
        assert max(failure(joint, 0.3) for joint in JOINT) > 0.5


def test_few_pairs_certify_an_edit_nearly_as_well_as_the_original() -> None:
    first, counts = np.array([[100, 0, 0]] * 2), np.array([[9900, 60, 40]] * 2)
    evidence = Evidence(
        0.001,
        100,
        counts_of(first, "selection", "f"),
        counts_of(counts, "estimation", "f"),
        other_selection=counts_of(np.array([[99, 1, 0, 0]] * 2), "selection", "agreement"),
        other_estimation=counts_of(np.array([[989, 6, 4, 1], [980, 6, 4, 10]]), "estimation", "agreement"),
    )
    original = cohen.certify(evidence, cohen.Settings(n=10000))["radius"]
    edited = irs.certify(evidence, irs.Settings(n=10000, pairs=1000))
    assert 0.75 * original[0] < edited["radius"][1] < edited["radius"][0] < original[0]
    assert (edited["passes"] == 2 * 1100).all()
