import hashlib
import importlib.util
import math
import os
import platform
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numba
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from accelerated_smoothing import noise, registry
from accelerated_smoothing.counting.engines import Draws
from accelerated_smoothing.noise import philox as cpu
from accelerated_smoothing.noise.compiling import compiled
from accelerated_smoothing.noise.distributions import gaussian as gaussian_noise
from accelerated_smoothing.noise.distributions import laplace as laplace_noise
from accelerated_smoothing.noise.distributions import uniform as uniform_noise

WORD = 0xFFFFFFFF
NAMES = registry.names("noise.distributions")
normals = compiled(gaussian_noise.normals, numba.njit)
uniforms = compiled(uniform_noise.uniforms, numba.njit)
laplaces = compiled(laplace_noise.laplaces, numba.njit)


def philox(counter: tuple[int, ...], key: tuple[int, ...]) -> tuple[int, ...]:
    """Philox4x32-10 as Salmon et al. (2011) print it, in Python's integers."""
    a, b, c, d = counter
    for turn in range(10):
        key_0, key_1 = (key[0] + turn * 0x9E3779B9) & WORD, (key[1] + turn * 0xBB67AE85) & WORD
        first, second = 0xD2511F53 * a, 0xCD9E8D57 * c
        a, b, c, d = (second >> 32) ^ b ^ key_0, second & WORD, (first >> 32) ^ d ^ key_1, first & WORD
    return a, b, c, d


def hexadecimal(text: str) -> tuple[int, ...]:
    return tuple(int(word, 16) for word in text.split())


@pytest.mark.parametrize(
    ("counter", "key", "expected"),
    [  # kat_vectors of Random123
        ("0 0 0 0", "0 0", "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
        ("ffffffff ffffffff ffffffff ffffffff", "ffffffff ffffffff", "408f276d 41c83b0e a20bc7c6 6d5451fd"),
        ("243f6a88 85a308d3 13198a2e 03707344", "a4093822 299f31d0", "d16cfe09 94fdcceb 5001e420 24126ea1"),
    ],
)
def test_philox_in_python_is_philox(counter: str, key: str, expected: str) -> None:
    assert philox(hexadecimal(counter), hexadecimal(key)) == hexadecimal(expected)


def counters(n: int, quad: int, draw: int, image: int) -> np.ndarray:
    """[3, n] of consecutive quads of one draw of one image."""
    return np.stack([quad + np.arange(n), np.full(n, draw), np.full(n, image)]).astype(np.uint64)


@pytest.mark.parametrize("key", [(0, 0), (WORD, WORD), (0xA4093822, 0x299F31D0), (1, 0), (0, 1)])
@pytest.mark.parametrize(
    ("quad", "draw", "image"),
    [(0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1), (767, 99_999, 49_999), (2**31, 2**31, 2**31), (WORD - 8, WORD, WORD)],
)
def test_words_are_philox(key: tuple[int, int], quad: int, draw: int, image: int) -> None:
    words = np.zeros((4, 12), np.uint32)
    cpu.words(words, 9, np.array(key, np.uint32), counters(9, quad, draw, image))
    for place in range(9):
        assert tuple(words[:, place]) == philox((quad + place, draw, image, 0), key)
    assert not words[:, 9:].any()


def test_a_key_is_a_hash_of_seed_and_purpose() -> None:
    digest = hashlib.blake2b(b"7/selection", digest_size=8).digest()
    expected = int.from_bytes(digest[:4], "little"), int.from_bytes(digest[4:], "little")
    assert tuple(noise.key(7, "selection")) == expected
    keys = {tuple(noise.key(seed, purpose)) for seed in (0, 1, 2**63 - 1) for purpose in ("estimation", "repeat/1")}
    assert len(keys) == 6


def transformed(radius_word: np.ndarray, angle_word: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Box and Muller's pair and its radius in float64, from the uniform as float32 has it."""
    uniform = (radius_word >> np.uint32(1)).astype(np.float32).astype(np.float64)
    uniform = (uniform + 0.5).astype(np.float32).astype(np.float64) * 2.0**-31
    radius, angle = np.sqrt(-2 * np.log(uniform)), 2 * np.pi * 2.0**-32 * angle_word.astype(np.int32)
    return radius * np.cos(angle), radius * np.sin(angle), radius


def assert_close(actual: np.ndarray, expected: np.ndarray, radius: np.ndarray) -> None:
    # About six roundings of half an ulp lie between word and normal; of 8 million, none was further off than 2.6 ulps.
    assert (np.abs(actual - expected) <= 4 * np.spacing(radius.astype(np.float32))).all()


EDGES = [0, 1, 2, 2**29 - 1, 2**29, 2**30, 3 * 2**29 - 1, 3 * 2**29, 2**31 - 1, 2**31, 5 * 2**29, 7 * 2**29, WORD - 256]
EDGES += [
    WORD - 1,
    WORD,
    0xB504F333,
    0xB504F334,
    0xB504F400,
]  # the last ones surround sqrt(1/2), where ln's pieces meet


def test_normals_are_those_of_float64() -> None:
    words = np.random.default_rng(0).integers(0, 2**32, (4, 200_000), np.uint32)
    edges = np.array(np.meshgrid(EDGES, EDGES), np.uint32).reshape(2, -1)
    words[:2, : edges.shape[1]] = words[2:, -edges.shape[1] :] = edges
    values, scratch = np.zeros(words.shape, np.float32), np.zeros((2, words.shape[1]), np.float32)
    for first in (0, 2):
        normals(words, values, scratch, first, words.shape[1])
        cosine, sine, radius = transformed(words[first], words[first + 1])
        assert_close(values[first], cosine, radius)
        assert_close(values[first + 1], sine, radius)
    assert 6.6 < np.abs(values).max() < 6.67  # sqrt(2 ln 2^32), at the least uniform


def uniform(words: np.ndarray) -> np.ndarray:
    """In float64: the midpoints of 2^23 equal parts of [-1, 1]."""
    return ((words >> np.uint32(9)) + 0.5) * 2.0**-22 - 1


def laplace(words: np.ndarray) -> np.ndarray:
    """In float64, from the uniform as float32 has it."""
    u = ((words >> np.uint32(1)).astype(np.float32) + np.float32(0.5)).astype(np.float64) * 2.0**-31
    return np.where(words & np.uint32(1), np.log(u), -np.log(u))


def some_words() -> np.ndarray:
    words = np.random.default_rng(0).integers(0, 2**32, (1, 500_000), np.uint32)
    words[0, : len(EDGES)] = EDGES
    return words


def test_uniforms_are_exact() -> None:
    words = some_words()
    values = np.zeros(words.shape, np.float32)
    uniforms(words, values, 0, words.shape[1])
    np.testing.assert_array_equal(values, uniform(words).astype(np.float32))
    np.testing.assert_array_equal(values, uniform(words))
    assert values[0, 0] == -values[0, EDGES.index(WORD)] == 2.0**-23 - 1
    uniforms(~words, mirrored := np.zeros_like(values), 0, words.shape[1])
    np.testing.assert_array_equal(mirrored, -values)


def test_laplace_variables_are_those_of_float64() -> None:
    words = some_words()
    values, scratch = np.zeros(words.shape, np.float32), np.zeros((2, words.shape[1]), np.float32)
    laplaces(words, values, scratch, 0, words.shape[1])
    expected = laplace(words)
    # About six roundings of half an ulp, and no cancellation is greater than that from ln 2 to half of it.
    assert (np.abs(values - expected) <= 4 * np.spacing(np.abs(expected).astype(np.float32))).all()
    assert 22.1 < values[0, 0] == -values[0, 1] < 22.2  # of the least u, with both signs
    laplaces(words ^ np.uint32(1), mirrored := np.zeros_like(values), scratch, 0, words.shape[1])
    np.testing.assert_array_equal(mirrored, -values)


GAUSSIAN, UNIFORM, LAPLACE = "gaussian", "uniform", "laplace"


def drawn(
    size: int,
    rows: int,
    names: list[int],
    samples: int,
    first: int = 0,
    seed: int = 0,
    purpose: str = "estimation",
    kind: str = GAUSSIAN,
    firsts: int | list[int] = 0,
) -> np.ndarray:
    """Rows [rows, size] of plain noise."""
    out, images = np.full((rows, size), np.nan, np.float32), np.zeros((len(names), size), np.float32)
    begun, scales = np.full(len(names), firsts), np.ones(len(names), np.float32)
    cpu.perturb(out, images, np.array(names), samples, first, begun, scales, noise.key(seed, purpose), kind)
    return out


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 9, 64, 1023, 1024, 1025, 1030, 3072])  # 1024 is where a part ends
def test_noise_is_what_the_contract_says(size: int) -> None:
    names, quads = [3, WORD], -(-size // 4)
    rows = drawn(size, 4, names, 2)
    for row in range(4):
        counters = [(quad, row % 2, names[row // 2], 0) for quad in range(quads)]
        words = np.array([philox(counter, tuple(map(int, noise.key(0, "estimation")))) for counter in counters])
        first, second = (transformed(*words.astype(np.uint32).T[part : part + 2]) for part in (0, 2))
        expected, radius = (
            np.concatenate([first[0], first[1], second[0], second[1]])[:size],
            np.concatenate([first[2], first[2], second[2], second[2]])[:size],
        )
        assert_close(rows[row], expected, radius)
        one_each = words.astype(np.uint32).T.ravel()[:size]
        np.testing.assert_array_equal(drawn(size, 4, names, 2, kind=UNIFORM)[row], uniform(one_each))
        expected = laplace(one_each)
        assert_close(drawn(size, 4, names, 2, kind=LAPLACE)[row], expected, np.abs(expected))


@settings(deadline=None)  # the first time compiles
@given(
    size=st.sampled_from([1, 2, 3, 5, 9, 64, 1030]),
    samples=st.integers(1, 40),
    pieces=st.lists(st.integers(0, 30), min_size=1, max_size=6),
    kind=st.sampled_from([GAUSSIAN, UNIFORM, LAPLACE]),
)
def test_noise_is_the_same_in_any_pieces(size: int, samples: int, pieces: list[int], kind: str) -> None:
    """Pieces of any size, from any start, within an image and across the borders between several."""
    names = [5, 0, 9]
    whole = drawn(size, 3 * samples, names, samples, kind=kind)
    start = 0
    for piece in pieces:
        rows = min(piece, 3 * samples - start)
        np.testing.assert_array_equal(drawn(size, rows, names, samples, start, kind=kind), whole[start : start + rows])
        start += rows


def test_noise_does_not_depend_on_the_number_of_draws_or_on_other_images() -> None:
    whole = drawn(9, 600, [4, 8], 300)
    np.testing.assert_array_equal(drawn(9, 100, [4], 100), whole[:100])
    np.testing.assert_array_equal(drawn(9, 100, [8], 100), whole[300:400])
    np.testing.assert_array_equal(drawn(9, 600, [8, 4], 300), np.roll(whole, 300, axis=0))


@pytest.mark.parametrize("kind", NAMES)
@pytest.mark.parametrize("size", [1, 3, 9, 64, 1030])
def test_noise_from_a_later_draw_on_is_that_of_a_longer_run(size: int, kind: str) -> None:
    """Bit by bit, each image from its own draw on, and from any row."""
    whole = drawn(size, 120, [4, 8, 2], 40, kind=kind).reshape(3, 40, size)
    firsts = [0, 7, 33]
    expected = np.concatenate([whole[image, first : first + 7] for image, first in enumerate(firsts)])
    np.testing.assert_array_equal(drawn(size, 21, [4, 8, 2], 7, kind=kind, firsts=firsts), expected)
    np.testing.assert_array_equal(drawn(size, 10, [4, 8, 2], 7, 5, kind=kind, firsts=firsts), expected[5:15])


def test_the_last_draw_that_there_is_has_its_own_noise() -> None:
    words = np.zeros((4, 1), np.uint32)
    cpu.words(words, 1, noise.key(0, "estimation"), counters(1, 0, WORD, 3))
    np.testing.assert_array_equal(drawn(4, 1, [3], 1, kind=UNIFORM, firsts=WORD)[0], uniform(words[:, 0]))


@pytest.mark.parametrize("kind", [GAUSSIAN, UNIFORM, LAPLACE])
def test_a_noisy_copy_is_the_image_and_its_scale_times_the_noise(kind: str) -> None:
    """Bit by bit: a product and a sum, each rounded."""
    images = np.random.default_rng(1).random((2, 50), np.float32)
    copies = np.zeros((40, 50), np.float32)
    scales = np.array([0.12, 0.7], np.float32)
    cpu.perturb(copies, images, np.array([6, 2]), 20, 0, np.zeros(2, int), scales, noise.key(0, "estimation"), kind)
    plain = np.repeat(scales, 20)[:, None] * drawn(50, 40, [6, 2], 20, kind=kind)
    expected = np.repeat(images, 20, axis=0) + plain
    np.testing.assert_array_equal(copies, expected)


@pytest.mark.parametrize("kind", [GAUSSIAN, UNIFORM, LAPLACE])
@pytest.mark.parametrize("size", [1, 3, 5, 1023, 1025])
def test_nothing_is_written_beside_the_rows(size: int, kind: str) -> None:
    room, image = np.full((5, size), 7, np.float32), np.zeros((1, size), np.float32)
    zero, scale = np.zeros(1, int), np.ones(1, np.float32)
    cpu.perturb(room[1:4], image, zero, 3, 0, zero, scale, noise.key(0, "estimation"), kind)
    assert (room[[0, 4]] == 7).all()
    np.testing.assert_array_equal(room[1:4], drawn(size, 3, [0], 3, kind=kind))


def test_noise_of_different_origins_shares_nothing() -> None:
    sources = np.stack(
        [
            drawn(6, 300, [image], 300, seed=seed, purpose=purpose)
            for seed, purpose in [(0, "estimation"), (0, "selection"), (1, "estimation"), (0, "repeat/1"), (10, "")]
            for image in (0, 1, WORD)
        ]
    )
    values = sources[:, :, 0].ravel()
    # Of 4,500 float32 normals a few coincide by chance (about 1 pair); streams that overlap share hundreds.
    assert len(np.unique(values)) > len(values) - 20
    rows = sources.reshape(len(sources), -1)
    for kind in (rows, rows**2):
        correlation = np.corrcoef(kind) - np.eye(len(rows))
        assert np.abs(correlation).max() < 5.5 / np.sqrt(rows.shape[1])  # 105 pairs; each is about N(0, 1/n)


def test_noise_is_standard_normal() -> None:
    pixels = drawn(20, 100_000, [3], 100_000).astype(float)
    values = pixels.ravel()
    n = len(values)
    # Five standard errors of each moment, and of the number beyond each bound.
    assert abs(values.mean()) < 5 / np.sqrt(n)
    assert abs(values.var() - 1) < 5 * np.sqrt(2 / n)
    assert abs(stats.skew(values)) < 5 * np.sqrt(6 / n)
    assert abs(stats.kurtosis(values)) < 5 * np.sqrt(24 / n)
    for bound in (1, 2, 3, 4):
        beyond = n * stats.norm.sf(bound)
        assert abs((values > bound).sum() - beyond) < 5 * np.sqrt(beyond)
        assert abs((values < -bound).sum() - beyond) < 5 * np.sqrt(beyond)
    assert stats.kstest(values[:200_000], "norm").pvalue > 1e-4
    # Two elements of one pair of words share a radius, so that their squares would tell what they do not.
    for kind in (pixels, pixels**2):
        assert np.abs(np.corrcoef(kind.T) - np.eye(20)).max() < 5.5 / np.sqrt(len(pixels))
        assert abs(np.corrcoef(kind[1:].ravel(), kind[:-1].ravel())[0, 1]) < 5 / np.sqrt(n)


@pytest.mark.parametrize("kind", [UNIFORM, LAPLACE])
def test_noise_is_standard_uniform_or_laplace(kind: str) -> None:
    pixels = drawn(20, 100_000, [3], 100_000, kind=kind).astype(float)
    values = pixels.ravel()
    n, law = len(values), (stats.uniform(-1, 2) if kind == UNIFORM else stats.laplace())
    # E |X|^k is 1 / (k + 1), or k!. Five standard errors of each moment, sqrt((E X^2k - (E X^k)^2) / n).
    size = [1 / (k + 1) if kind == UNIFORM else math.factorial(k) for k in range(9)]
    for k in range(1, 5):
        expected = 0 if k % 2 else size[k]
        assert abs((values**k).mean() - expected) < 5 * np.sqrt((size[2 * k] - expected**2) / n)
    for share in (0.5, 0.1, 0.01, 1e-3, 1e-4):  # and of the number beyond each bound
        beyond = n * share / 2
        assert abs((values > law.isf(share / 2)).sum() - beyond) < 5 * np.sqrt(beyond)
        assert abs((values < law.ppf(share / 2)).sum() - beyond) < 5 * np.sqrt(beyond)
    assert stats.kstest(values[:200_000], law.cdf).pvalue > 1e-4
    if kind == UNIFORM:
        assert np.abs(values).max() < 1
    for part in (pixels, pixels**2):
        assert np.abs(np.corrcoef(part.T) - np.eye(20)).max() < 5.5 / np.sqrt(len(pixels))
        assert abs(np.corrcoef(part[1:].ravel(), part[:-1].ravel())[0, 1]) < 5 / np.sqrt(n)


def test_noise_of_neighbouring_images_is_independent() -> None:
    pixels = drawn(2000, 100, list(range(100)), 1).astype(float)
    for kind in (pixels, pixels**2):
        assert np.abs(np.corrcoef(kind) - np.eye(100)).max() < 6 / np.sqrt(2000)  # 4,950 pairs


FROZEN = """
3f3e5c0b 3e8f3171 3f174191 3f6b7e33 bda38c94 3db3a4a8 3ccd8f46 bfb2ff62 3e01ad16
3ecb0d53 3f8a6ca4 bd8b5e92 3eff94b6 3ed2ea9e be4a7d94 3e835623 4001fccc bc57bded
bf91e8d9 bec87508 bf4b7f93 3fd8e9a6 c03b492c bf044cce bf017713 bfbb0e95 be597f35
"""


DIGESTS = (
    "452bb47c83d4954b4924a88af910723af71442e15182d7c814075260d2a5f1f4",
    "86e2363fa09a9fb21d177c4da71d189cc76a12f62b14ee1d6512a966ca622e7a",
    "41226fae348cce4ef54797a86ca7dd35584ef483bc80fbde9137a169023c85a6",
)


def test_noise_is_never_changed() -> None:
    """Counts of other machines and versions rest on these very numbers."""
    rows = drawn(9, 3, [7, 8], 2)
    assert [f"{bits:08x}" for bits in rows.view(np.uint32).ravel()] == FROZEN.split()
    many = np.zeros((64, 3072), np.float32)
    images = (np.arange(2 * 3072, dtype=np.float32) / 8192).reshape(2, 3072)
    scales = np.full(2, 0.25, np.float32)
    for kind, digest in zip((GAUSSIAN, UNIFORM, LAPLACE), DIGESTS, strict=True):
        arguments = (np.array([49_999, 0]), 50_000, 49_970, np.zeros(2, int), scales, noise.key(0, "estimation"))
        cpu.perturb(many, images, *arguments, kind)
        assert hashlib.sha256(many.astype("<f4").tobytes()).hexdigest() == digest, kind


@pytest.mark.slow
@pytest.mark.skipif(platform.machine() != "x86_64", reason="reads the instructions of x86")
@pytest.mark.parametrize("kind", NAMES)
def test_the_compiled_noise_rounds_as_ieee_754_says(kind: str) -> None:
    """A fused multiply-add or a library's logarithm would make other bits on other machines."""
    kernel = cpu.kernel(kind)
    kernel = numba.jit(**kernel.targetoptions)(kernel.py_func)  # out of the cache it has no assembler
    image, zero, scale = np.zeros((1, 9), np.float32), np.zeros(1, np.int64), np.ones(1, np.float32)
    kernel(image.copy(), image, zero, 1, 0, zero, scale, noise.key(0, "estimation"))
    (assembler,) = kernel.inspect_asm().values()
    assert re.search(r"\bv?mulps\b", assembler)  # it is the code that is meant, and it has vectors
    assert not re.search(r"\bvfn?m(add|sub)", assembler)
    assert not re.search(r"\b(logf?|sinf?|cosf?|sincosf?|__svml\w*)\b", assembler)


CACHED = """
import numpy as np
from accelerated_smoothing.noise import key, philox
for noise in ("gaussian", "uniform", "laplace"):
    image, zero, scale = np.zeros((1, 9), np.float32), np.zeros(1, int), np.ones(1, np.float32)
    philox.perturb(image.copy(), image, zero, 1, 0, zero, scale, key(0, "p"), noise)
print([sum(philox.kernel(noise).stats.cache_misses.values()) for noise in ("gaussian", "uniform", "laplace")])
"""


def test_a_process_compiles_nothing_anew() -> None:
    runs = [subprocess.run([sys.executable, "-c", CACHED], capture_output=True, text=True, check=True) for _ in "12"]
    assert runs[1].stdout == "[0, 0, 0]\n"


@pytest.mark.parametrize(
    ("names", "first", "samples", "fits"),
    [
        ([0, noise.LIMIT - 1], 0, noise.LIMIT, True),
        ([], 0, 1, True),
        ([0, noise.LIMIT], 0, 1, False),
        ([-1, 0], 0, 1, False),
        ([0], 0, noise.LIMIT + 1, False),
        ([0, 1], [7, noise.LIMIT - 5], 5, True),
        ([0, 1], [7, noise.LIMIT - 5], 6, False),
        ([0, 1], noise.LIMIT - 5, 6, False),
        ([0, 1], [7, -1], 1, False),
        ([0], -1, 1, False),
    ],
)
def test_names_and_draws_fit_into_a_word(names: list[int], first: int | list[int], samples: int, fits: bool) -> None:
    def make() -> Draws:
        images, scales = np.zeros((len(names), 1, 2, 2), np.float32), np.ones(len(names), np.float32)
        begun = first if isinstance(first, int) else np.array(first)
        return Draws(images, np.array(names, int), samples, scales, noise.key(0, "p"), first=begun)

    if fits:
        assert len(make()) == len(names) * samples
    else:
        with pytest.raises(ValueError, match=rf"must be in \[0, {noise.LIMIT}\)"):
            make()


@pytest.mark.parametrize("scales", [np.float32(0.5), np.ones(1, np.float32), np.ones((2, 1), np.float32)])
def test_each_image_has_its_scale(scales: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"scales must have shape \(2,\), one for each image, got"):
        Draws(np.zeros((2, 1, 2, 2), np.float32), np.arange(2), 3, scales, noise.key(0, "p"))


@pytest.mark.parametrize("field", ["names", "first"])
@pytest.mark.parametrize("shape", [(1,), (4,), (3, 1)])
def test_each_image_has_its_name_and_first_draw(field: str, shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=rf"{field} must have shape \(3,\), one for each image, got"):
        replace(some_draws((1, 2, 2)), **{field: np.zeros(shape, int)})  # type: ignore[arg-type]


def test_draws_have_a_noise_that_there_is() -> None:
    """An unknown name fails before anything is compiled."""
    with pytest.raises(ValueError, match="noise must be one of gaussian, laplace, uniform, got 'cauchy'"):
        replace(some_draws((1, 2, 2)), noise="cauchy")


# The GPU's form, interpreted on the CPU: a process of its own, since Triton looks at its environment when imported.

SHAPES = [(3, 32, 32), (1, 8, 8), (1, 3, 3)]
LAYOUTS = [torch.contiguous_format, torch.channels_last]
DTYPES = [torch.float32, torch.bfloat16]
POSITIONS = [0, 3, 9]  # of batches of 6 rows among 3 x 4 draws: at an image, across a border, and beyond the end


def some_draws(shape: tuple[int, ...], kind: str = "gaussian") -> Draws:
    images = np.random.default_rng(2).random((3, *shape), np.float32)
    scales = np.array([0.5, 0.25, 0.4], np.float32)
    first = np.array([0, 9, noise.LIMIT - 4])
    return Draws(images, np.array([5, WORD, 0]), 4, scales, noise.key(2, "estimation"), kind, first)


def interpreted(output: Path) -> None:
    """Run Triton's kernel on every case, and write what it makes; and its words, in halves that float32 can hold."""
    global tl  # the interpreter looks for it among a kernel's globals
    import triton
    from triton import language as tl

    from accelerated_smoothing.noise import triton as noise_triton

    @triton.jit
    def high(a, b):
        return (a >> 16).to(tl.float32), (b >> 16).to(tl.float32)

    @triton.jit
    def low(a, b):
        return (a & 0xFFFF).to(tl.float32), (b & 0xFFFF).to(tl.float32)

    def rows(draws: Draws, position: int, dtype: torch.dtype, layout: torch.memory_format) -> np.ndarray:
        out = torch.zeros((6, *draws.images.shape[1:]), dtype=dtype).to(memory_format=layout)
        # What lies behind the images would be seen if it were read.
        flat = torch.cat([torch.from_numpy(draws.images).flatten(1), torch.full((3, draws.images[0].size), np.nan)])
        names, firsts, scales = map(torch.from_numpy, (draws.names, draws.firsts, draws.scales))
        samples, begun = torch.tensor(draws.samples), torch.tensor(position)
        noise_triton.perturb(out, flat[:3], names, samples, begun, firsts, scales, draws.key, draws.noise)
        return out.float().flatten(1).numpy()

    arrays = {
        f"{kind} {shape} {layout} {dtype} {position}": rows(some_draws(shape, kind), position, dtype, layout)
        for kind in NAMES
        for shape in SHAPES
        for layout in LAYOUTS
        for dtype in DTYPES
        for position in POSITIONS
    }
    for name, half in (("high", high), ("low", low)):
        noise_triton.kernel = lambda _, half=half: compiled(noise_triton._perturb, triton.jit, transform=half)
        for shape in SHAPES:
            blank = replace(some_draws(shape), images=np.zeros((3, *shape), np.float32), scales=np.ones(3, np.float32))
            arrays[f"{name} {shape}"] = rows(blank, 3, torch.float32, torch.contiguous_format)
    np.savez(output, **arrays)


@pytest.fixture(scope="module")
def interpreted_noise(tmp_path_factory: pytest.TempPathFactory) -> dict[str, np.ndarray]:
    if importlib.util.find_spec("triton") is None:
        pytest.skip("needs Triton")
    output = tmp_path_factory.mktemp("triton") / "made.npz"
    code = f"import pathlib, test_noise; test_noise.interpreted(pathlib.Path({str(output)!r}))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=Path(__file__).parent,
        env={**os.environ, "TRITON_INTERPRET": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return dict(np.load(output))


@pytest.mark.slow
@pytest.mark.parametrize("position", POSITIONS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kind", NAMES)
def test_the_kernel_makes_the_noise_of_the_cpu(
    interpreted_noise: dict[str, np.ndarray],
    kind: str,
    shape: tuple[int, ...],
    layout: torch.memory_format,
    dtype: torch.dtype,
    position: int,
) -> None:
    draws = some_draws(shape, kind)
    rows = min(6, len(draws) - position)
    expected = np.empty((rows, draws.images[0].size), np.float32)
    arguments = (draws.images.reshape(3, -1), draws.names, 4, position, draws.firsts, draws.scales, draws.key)
    cpu.perturb(expected, *arguments, kind)
    copies = interpreted_noise[f"{kind} {shape} {layout} {dtype} {position}"]
    assert np.isfinite(copies).all()  # rows beyond the end are made as well, and not counted
    # Both are within 4 ulps of the exact normal, an ulp is 4.8e-7 for those from 4 to 8, and sigma is at most 1/2; of
    # the 18 thousand Laplace variables of a case none exceeds 16, which has an ulp of 9.5e-7. Uniforms are exact.
    # A bfloat16 has 8 significant bits; where the device rounds, the interpreter cuts off.
    rounding = 0 if dtype == torch.float32 else 2**-7
    apart = {"gaussian": 2e-6, "uniform": 0, "laplace": 4e-6}[kind]
    np.testing.assert_allclose(copies[:rows], expected, rtol=rounding, atol=apart, strict=True)


@pytest.mark.slow
@pytest.mark.parametrize("shape", SHAPES)
def test_the_kernel_has_the_words_of_the_cpu(interpreted_noise: dict[str, np.ndarray], shape: tuple[int, ...]) -> None:
    draws = some_draws(shape)
    size = draws.images[0].size
    quads = -(-size // 4)
    halves = [interpreted_noise[f"{name} {shape}"].astype(np.uint32) for name in ("high", "low")]
    words = halves[0] << np.uint32(16) | halves[1]
    for row in range(6):
        expected = np.zeros((4, quads), np.uint32)
        image, draw = divmod(3 + row, 4)
        named = counters(quads, 0, int(draws.firsts[image]) + draw, int(draws.names[image]))
        cpu.words(expected, quads, draws.key.copy(), named)
        np.testing.assert_array_equal(words[row], expected.ravel()[:size])


@pytest.mark.parametrize("dtype", ["fp32", "bf16"])
@pytest.mark.parametrize("kind", NAMES)
def test_the_kernel_compiles_for_a_gpu(kind: str, dtype: str) -> None:
    """Which needs no GPU: the compiler refuses much that the interpreter takes."""
    triton = pytest.importorskip("triton")
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    from accelerated_smoothing.noise import triton as noise_triton

    types = {"out": f"*{dtype}", "images": "*fp32", "scales": "*fp32"}
    types |= dict.fromkeys(["names", "firsts", "samples", "position"], "*i64")
    types |= dict.fromkeys(["count", "size", "pixels", "channels"], "i32") | {"key": "i64"}
    constants = {"packed": True, "part": noise_triton.PART}
    kernel = noise_triton.kernel(kind)
    source = ASTSource(
        fn=kernel,
        signature=types | dict.fromkeys(constants, "constexpr"),
        constexprs={(kernel.arg_names.index(name),): value for name, value in constants.items()},
    )
    assert "ptx" in triton.compile(source, target=GPUTarget("cuda", 90, 32)).asm
