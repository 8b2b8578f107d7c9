"""Memory-based certification: as a plain reading of Algorithm 3, ball by ball, and never two classes on one spot."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cdist

from accelerated_smoothing.certify.methods import memory
from accelerated_smoothing.certify.statistics import ABSTAIN


def distance(a: np.ndarray, b: np.ndarray, norm: str) -> float:
    return float(np.abs(a - b).sum() if norm == "l1" else np.sqrt(((a - b) ** 2).sum()))


def slowly(points: np.ndarray, predict: np.ndarray, radius: np.ndarray, norm: str) -> tuple[list[int], list[float]]:
    """Algorithm 3 as it stands in the paper: one loop over the memory for each input."""
    stored: list[tuple[np.ndarray, int, float]] = []
    classes, radii = [], []
    for x, c, r in zip(points, predict.tolist(), radius.tolist(), strict=True):
        for center, other, reach in stored if c != ABSTAIN else []:
            if other != c:
                apart = distance(x, center, norm)
                if apart < reach:  # x lies in the ball: LargestInSubset, and its prediction
                    r, c = min(r, reach - apart), other
                elif apart < reach + r:  # the balls meet: LargestOutSubset
                    r = apart - reach
        if c != ABSTAIN and r > 0:
            stored.append((x, c, r))
        else:
            c, r = ABSTAIN, 0.0
        classes.append(c)
        radii.append(r)
    return classes, radii


def meeting(points: np.ndarray, predict: np.ndarray, radius: np.ndarray, norm: str) -> int:
    """Pairs of balls of different classes that have a point in common."""
    apart = cdist(points, points, {"l1": "cityblock", "l2": "euclidean"}[norm])
    balls = predict != ABSTAIN
    different = balls[:, None] & balls & (predict[:, None] != predict)
    return int(np.triu(different & (apart < radius[:, None] + radius)).sum())


def balls(n: int, dimension: int, classes: int, reach: float, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    predict = random.integers(-1, classes, n)
    return random.random((n, dimension)), predict, np.where(predict == ABSTAIN, 0.0, reach * random.random(n))


@pytest.mark.parametrize("norm", ["l1", "l2"])
@pytest.mark.parametrize(("classes", "reach"), [(2, 0.05), (5, 0.1), (3, 0.5)])
def test_a_thousand_balls_in_the_plane_are_as_by_the_plain_algorithm(classes: int, reach: float, norm: str) -> None:
    points, own, radii = balls(1000, 2, classes, reach, seed=7)
    assert meeting(points, own, radii, norm) > 500  # without the memory
    predict, radius, case = memory.remember(points, own, radii, norm)
    wanted_predict, wanted_radius = slowly(points, own, radii, norm)
    assert predict.tolist() == wanted_predict
    np.testing.assert_allclose(radius, wanted_radius, rtol=0, atol=1e-11)  # distances are rounded by 1e-12 of them
    assert meeting(points, predict, radius, norm) == 0
    assert set(case.tolist()) == {memory.UNTOUCHED, memory.INSIDE, memory.CUT}
    assert (radius <= radii).all()
    assert ((case == memory.UNTOUCHED) == ((radius == radii) & (predict == own))).all()


@settings(max_examples=200, deadline=None)
@given(
    st.integers(1, 40), st.integers(1, 3), st.integers(2, 4), st.floats(0.01, 3), st.integers(0, 2**32 - 1),
    st.sampled_from(["l1", "l2"]), st.booleans(),
)  # fmt: skip
def test_no_balls_of_different_classes_meet(
    n: int, dimension: int, classes: int, reach: float, seed: int, norm: str, repeated: bool
) -> None:
    points, own, radii = balls(n, dimension, classes, reach, seed)
    if repeated:  # the same input again, and inputs on a lattice, where balls touch
        points = np.round(points * 4) / 4
        radii = np.ceil(radii * 4) / 4
    predict, radius, _ = memory.remember(points, own, radii, norm)
    assert meeting(points, predict, radius, norm) == 0
    assert (radius <= radii).all()
    assert ((predict == ABSTAIN) == (radius == 0)).all()
    assert (predict[own == ABSTAIN] == ABSTAIN).all()


def remembered(
    points: list[list[float]], own: list[int], radii: list[float]
) -> tuple[list[int], list[float], list[int]]:
    predict, radius, case = memory.remember(np.array(points), np.array(own), np.array(radii))
    return predict.tolist(), [round(r, 9) for r in radius.tolist()], case.tolist()


def test_the_three_cases() -> None:
    """Figure 2 of the paper, on a line; each with a ball of class 0 at 0 that reaches to 1."""
    assert remembered([[0.0], [1.5]], [0, 0], [1.0, 1.0]) == ([0, 0], [1.0, 1.0], [0, 0])  # one class: both as they are
    assert remembered([[0.0], [0.75]], [0, 1], [1.0, 1.0]) == ([0, 0], [1.0, 0.25], [0, 1])  # taken over, and within
    assert remembered([[0.0], [1.5]], [0, 1], [1.0, 1.0]) == ([0, 1], [1.0, 0.5], [0, 2])  # cut to stay outside


def test_what_is_stored_is_what_was_corrected() -> None:
    """The second ball was cut to 1/2, so the third, which its first radius would have touched, is left alone."""
    assert remembered([[0.0], [1.5], [2.75]], [0, 1, 2], [1.0, 1.0, 0.7]) == ([0, 1, 2], [1.0, 0.5, 0.7], [0, 2, 0])
    # The second took over class 0, so a third of class 0 nearby is at peace with it, and one of class 1 is not.
    assert remembered([[0.0], [0.75], [0.8]], [0, 1, 0], [1.0, 1.0, 0.1])[2] == [0, 1, 0]
    assert remembered([[0.0], [0.75], [1.1]], [0, 1, 1], [1.0, 1.0, 0.3]) == ([0, 0, 1], [1.0, 0.25, 0.1], [0, 1, 2])


def test_the_order_decides() -> None:
    """Who comes first keeps the whole ball."""
    points, own, radii = [[0.0], [0.75]], [0, 1], [1.0, 1.0]
    assert remembered(points, own, radii)[0] == [0, 0]
    assert remembered(points[::-1], own[::-1], radii[::-1])[0] == [1, 1]


def test_abstentions_claim_nothing() -> None:
    assert remembered([[0.0], [0.5], [0.6]], [0, ABSTAIN, 0], [1.0, 0.0, 1.0]) == (
        [0, -1, 0],
        [1.0, 0.0, 1.0],
        [0, 0, 0],
    )
    # An input on the edge of a ball of another class is left with nothing.
    assert remembered([[0.0], [1.0]], [0, 1], [1.0, 1.0])[:2] == ([0, -1], [1.0, 0.0])


def test_no_ball_is_overlooked_among_many_in_the_dimensions_of_images() -> None:
    """Candidates are found from inner products, in blocks; near copies are where these lose most digits."""
    random = np.random.default_rng(3)
    points = random.random((1200, 3072))
    points[700] = points[10] + 1e-7
    points[1199] = points[511] + 1e-5 * random.standard_normal(3072)
    own, radii = np.arange(1200) % 7, np.full(1200, 1e-3)
    predict, radius, case = memory.remember(points, own, radii)
    assert np.flatnonzero(case).tolist() == [700, 1199]
    assert predict[[700, 1199]].tolist() == own[[10, 511]].tolist()
    assert radius[1199] == pytest.approx(1e-3 - np.linalg.norm(points[1199] - points[511]), abs=1e-12)
