from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from accelerated_smoothing.counting import counts
from accelerated_smoothing.counting.counts import Counts, Tallies
from accelerated_smoothing.errors import InputError
from accelerated_smoothing.files import write_arrays

META = {"kind": "counts", "sigma": 0.5, "seed": 0, "purpose": "estimation", "base": "b", "arithmetic": "cpu"}


def counts_of(idx: list[int], sizes: tuple[int, ...] = (10, 40), **meta: Any) -> Counts:
    random = np.random.default_rng(idx)
    parts = [random.multinomial(n, [0.5, 0.3, 0.2], len(idx)) for n in np.diff([0, *sizes])]
    kept = np.cumsum(np.stack(parts, axis=1), axis=1)
    labels = np.array(idx) % 3
    return Counts(np.array(idx), labels, np.array(sizes), kept, random.random((len(idx), 2)), {**META, **meta})


def assert_same(a: Counts, b: Counts) -> None:
    assert a.meta == b.meta
    for name in counts.ARRAYS:
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name), err_msg=name)


def test_write_and_read(tmp_path: Path) -> None:
    original = counts_of([4, 5, 9])
    original.write(tmp_path / "counts.npz")
    assert_same(counts.read(tmp_path / "counts.npz"), original)


def test_at_a_size() -> None:
    some = counts_of([0, 1, 2])
    assert some.sigma == 0.5
    assert (some.at(10).sum(1) == 10).all()
    np.testing.assert_array_equal(some.at(40), some.counts[:, 1])
    np.testing.assert_array_equal(some.seconds_at(40), some.seconds[:, 1])


def test_counts_are_tallies() -> None:
    some: Tallies = counts_of([0, 1, 2])
    rows = np.array([2, 0, 2])
    for position, size in enumerate(some.sizes):
        np.testing.assert_array_equal(some.tally(rows, position), counts_of([0, 1, 2]).at(size)[rows])
        np.testing.assert_array_equal(some.seconds_of(rows, position), counts_of([0, 1, 2]).seconds_at(size)[rows])


@pytest.mark.parametrize("n", [0, 20, 41])
def test_at_a_size_that_was_not_kept(n: int) -> None:
    with pytest.raises(InputError, match=rf"n must be one of \[10, 40\], the counted sizes, got {n}"):
        counts_of([0]).at(n)


@pytest.mark.parametrize("change", [+1, -1])
def test_read_refuses_counts_that_do_not_add_up(tmp_path: Path, change: int) -> None:
    wrong = counts_of([0, 1])
    wrong.counts[1, 0, 2] += change
    wrong.write(tmp_path / "counts.npz")
    with pytest.raises(InputError, match=r"counts\.npz: counts must add up"):
        counts.read(tmp_path / "counts.npz")


def test_read_refuses_negative_counts(tmp_path: Path) -> None:
    wrong = counts_of([0, 1])
    wrong.counts[0, 0] = [-2, 12, 0]
    wrong.write(tmp_path / "counts.npz")
    with pytest.raises(InputError, match=r"counts\.npz: counts must add up"):
        counts.read(tmp_path / "counts.npz")


def test_read_refuses_other_files(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.npz: no such file"):
        counts.read(tmp_path / "none.npz")
    write_arrays(tmp_path / "images.npz", {"images": np.zeros(3)}, {"kind": "images"})
    with pytest.raises(InputError, match=r"images\.npz must hold 'counts', got 'images'"):
        counts.read(tmp_path / "images.npz")


def test_gather_joins_in_the_order_of_the_split() -> None:
    a, b, c = counts_of([6, 7]), counts_of([0, 1, 2]), counts_of([3])
    whole = counts.gather([a, b, c])
    assert whole.idx.tolist() == [0, 1, 2, 3, 6, 7]
    for part, rows in ((a, [4, 5]), (b, [0, 1, 2]), (c, [3])):
        np.testing.assert_array_equal(whole.counts[rows], part.counts)
        np.testing.assert_array_equal(whole.labels[rows], part.labels)
        np.testing.assert_array_equal(whole.seconds[rows], part.seconds)
    assert whole.meta == a.meta


def test_gather_of_one() -> None:
    assert_same(counts.gather([counts_of([1, 2])]), counts_of([1, 2]))


def test_gather_refuses_overlap() -> None:
    with pytest.raises(InputError, match="shards must not overlap"):
        counts.gather([counts_of([0, 1, 2]), counts_of([2, 3])])


@pytest.mark.parametrize(
    ("key", "value"),
    [("sigma", 0.25), ("seed", 1), ("purpose", "selection"), ("base", "c"), ("arithmetic", "cuda"), ("split", "test")],
)
def test_gather_refuses_mixed_origins(key: str, value: Any) -> None:
    with pytest.raises(InputError, match=f"shards must agree in {key}"):
        counts.gather([counts_of([0, 1]), counts_of([2, 3], **{key: value})])


@pytest.mark.parametrize("sizes", [(10, 30), (10, 20, 40)])
def test_gather_refuses_mixed_sizes(sizes: tuple[int, ...]) -> None:
    other = counts_of([2, 3], sizes)
    other = replace(other, seconds=np.zeros((2, len(sizes))))
    with pytest.raises(InputError, match="sizes"):
        counts.gather([counts_of([0, 1]), other])
