from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import stats
from statsmodels.stats.proportion import proportion_confint

from accelerated_smoothing import certify, cli, config, data, models, registry
from accelerated_smoothing.certify import log as certificates
from accelerated_smoothing.certify.evidence import Evidence
from accelerated_smoothing.certify.methods import accelerated, cohen
from accelerated_smoothing.counting import counts, engines
from accelerated_smoothing.counting.counts import Counts
from accelerated_smoothing.errors import InputError
from accelerated_smoothing.noise.distributions import gaussian
from accelerated_smoothing.training import surrogate

ALPHA = 0.01
META = {
    "kind": "counts",
    "split": "test",
    "sigma": 0.5,
    "seed": 0,
    "base": "b" * 64,
    "dataset": "digits",
    "classes": 3,
    "noise": "gaussian",
    "choice": None,
    "arithmetic": "cpu",
}


def counts_of(table: list[list[int]], purpose: str, labels: list[int] | None = None) -> Counts:
    """Counts [images, classes] at one size."""
    at = np.array(table)
    labels_ = np.array(labels or [0] * len(at))
    idx = np.arange(len(at)) * 2 + 3
    size = at[0].sum()
    return Counts(
        idx, labels_, np.array([size]), at[:, None], 0.25 * np.ones((len(at), 1)), {**META, "purpose": purpose}
    )


# Top class certified, not certified, wrong by label, another top class among the estimation draws, all equal.
SELECTION = counts_of([[18, 1, 1], [8, 7, 5], [1, 2, 17], [12, 8, 0], [20, 0, 0]], "selection", [0, 0, 1, 1, 0])
ESTIMATION = counts_of([[95, 3, 2], [40, 35, 25], [3, 2, 95], [10, 90, 0], [100, 0, 0]], "estimation", [0, 0, 1, 1, 0])
EVIDENCE = Evidence(alpha=ALPHA, n0=20, selection=SELECTION, estimation=ESTIMATION, method="cohen")


def by_the_book(n0_counts: np.ndarray, n_counts: np.ndarray) -> tuple[int, float, float]:
    """CERTIFY of Cohen et al., one image at a time, as their code has it."""
    top = int(n0_counts.argmax())
    p = proportion_confint(int(n_counts[top]), int(n_counts.sum()), alpha=2 * ALPHA, method="beta")[0]
    if p < 0.5:
        return -1, 0.0, p
    return top, 0.5 * stats.norm.ppf(p), p


def test_cohen_is_a_plain_loop() -> None:
    table = cohen.certify(EVIDENCE, cohen.Settings(n=100))
    assert table["idx"].tolist() == [3, 5, 7, 9, 11]
    assert table["label"].tolist() == [0, 0, 1, 1, 0]
    assert table["predict"].tolist() == [0, -1, 2, -1, 0]
    assert table["correct"].tolist() == [1, 0, 0, 0, 1]
    assert table["count"].tolist() == [95, 40, 95, 10, 100]
    for row in range(5):
        predict, radius, p = by_the_book(SELECTION.at(20)[row], ESTIMATION.at(100)[row])
        assert table["predict"][row] == predict
        assert table["radius"][row] == pytest.approx(radius, rel=1e-12)
        assert table["p_lower"][row] == pytest.approx(p, rel=1e-12)
    assert (table["n"] == 100).all()
    assert (table["n0"] == 20).all()
    assert (table["alpha"] == ALPHA).all()
    assert (table["sigma"] == 0.5).all()
    assert (table["experiment"] == "main").all()
    assert (table["method"] == "cohen").all()
    assert (table["guarantee"] == "sound").all()
    assert (table["passes"] == 20 + 100).all()
    assert (table["time"] == 0.5).all()  # of both kinds of draws
    assert list(table)[:6] == ["idx", "label", "predict", "radius", "correct", "time"]
    assert list(table)[6:10] == ["experiment", "method", "guarantee", "passes"]
    assert "sound" not in table


def test_chosen_sigmas_end_the_guarantee_and_cost_passes() -> None:
    """Cohen et al.'s bound is not sound for a classifier whose sigma depends on the input."""
    more = {"choice": "ascent10", "choice_passes": 80}
    selection, estimation = (replace(part, meta={**part.meta, **more}) for part in (SELECTION, ESTIMATION))
    table = cohen.certify(replace(EVIDENCE, selection=selection, estimation=estimation), cohen.Settings(n=100))
    assert (table["guarantee"] == "estimated").all()
    assert (table["passes"] == 20 + 100 + 80).all()


def test_cohen_on_many_images() -> None:
    random = np.random.default_rng(9)
    p = random.dirichlet([0.3] * 3, 200)
    selection = counts_of([random.multinomial(20, q).tolist() for q in p], "selection")
    estimation = counts_of([random.multinomial(100, q).tolist() for q in p], "estimation")
    table = cohen.certify(Evidence(ALPHA, 20, selection, estimation), cohen.Settings(n=100))
    expected = [by_the_book(a, b) for a, b in zip(selection.at(20), estimation.at(100), strict=True)]
    assert {-1, 0, 1, 2} == {predict for predict, _, _ in expected}
    assert table["predict"].tolist() == [predict for predict, _, _ in expected]
    np.testing.assert_allclose(table["radius"], [radius for _, radius, _ in expected], rtol=1e-11)


def test_cohen_needs_the_sizes_that_were_counted() -> None:
    with pytest.raises(InputError, match=r"n must be one of \[100\], the counted sizes, got 1000"):
        cohen.certify(EVIDENCE, cohen.Settings(n=1000))
    with pytest.raises(InputError, match=r"n must be one of \[20\], the counted sizes, got 50"):
        cohen.certify(replace(EVIDENCE, n0=50), cohen.Settings(n=100))


def test_accelerated_radii() -> None:
    """Agreement; disagreement; PREDICT abstained; a bound below 1/2; a share that rounds down; a certain class."""
    h = np.array([[0.9, 0.1], [0.9, 0.1], [0.9, 0.1], [0.51, 0.49], [0.8999, 0.1001], [0.0, 1.0]])
    predicted = np.array([0, 1, -1, 0, 0, 1])
    predict, radius, p_lower, count = accelerated.radii(h, predicted, 1000, ALPHA, partial(gaussian.radius, scale=0.5))
    assert predict.tolist() == [0, -1, -1, 0, 0, 1]
    assert count.tolist() == [900, 900, 900, 510, 899, 1000]
    expected = proportion_confint(count, 1000, alpha=2 * ALPHA, method="beta")[0]
    np.testing.assert_allclose(p_lower, expected, rtol=1e-12)
    assert p_lower[3] < 0.5
    assert radius[[1, 2, 3]].tolist() == [0, 0, 0]
    np.testing.assert_allclose(radius[[0, 4, 5]], 0.5 * stats.norm.ppf(expected[[0, 4, 5]]), rtol=1e-12)


@pytest.fixture
def trained(digits: SimpleNamespace, settle: Any, tmp_path: Path) -> SimpleNamespace:
    """An untrained surrogate, the images that it looks at, and selection draws that agree with it on most."""
    images = data.read(digits.test, ":40")
    torch.manual_seed(5)
    model = models.build("resnet8", 10, images.meta["mean"], images.meta["std"])
    settle(model, torch.from_numpy(images.pixels()), seed=5)
    described = {
        "arch": "resnet8",
        "sigma": 0.5,
        "base": "b" * 64,
        "arithmetic": "cpu",
        "samples": 100,
        "noise": "gaussian",
        "choice": None,
    }
    described |= {key: images.meta[key] for key in ("dataset", "classes", "mean", "std")}
    path = tmp_path / "h.safetensors"
    models.save(path, model, {"kind": "surrogate", **described})
    with torch.no_grad():
        h = model(torch.from_numpy(images.pixels())).double().softmax(1).numpy()
    table = np.zeros((40, 10), int)
    table[np.arange(40), h.argmax(1)] = 19
    table[np.arange(40), (h.argmax(1) + 1) % 10] = 1
    table[::4] = np.roll(table[::4], 5, axis=1)  # another class wins the draws of every fourth image
    meta = {**META, "classes": 10, "purpose": "selection"}
    selection = Counts(images.idx, images.labels, np.array([20]), table[:, None], np.ones((40, 1)), meta)
    return SimpleNamespace(images=images, path=path, h=h, selection=selection)


def test_accelerated_end_to_end(trained: SimpleNamespace) -> None:
    evidence = Evidence(ALPHA, 20, selection=trained.selection, images=trained.images, surrogate=trained.path)
    evidence.check(accelerated.NEEDS)
    table = accelerated.certify(evidence, accelerated.Settings(n=1000, depth=8))
    top = trained.h.max(1)
    clear = np.abs(1000 * top - np.round(1000 * top)) > 0.02  # folding may move a guess over the edge of a count
    assert clear.sum() > 30
    expected = np.floor(1000 * top).astype(int)
    assert (table["count"] == expected)[clear].all()
    bound = proportion_confint(expected, 1000, alpha=2 * ALPHA, method="beta")[0]
    certified = (np.arange(40) % 4 != 0) & (bound > 0.5)
    assert 5 < certified.sum() < 30
    assert ((table["predict"] != -1) == certified)[clear].all()
    assert (table["predict"] == trained.h.argmax(1))[certified & clear].all()
    radius = np.where(certified, 0.5 * stats.norm.ppf(bound), 0)
    np.testing.assert_allclose(table["radius"][clear], radius[clear], rtol=1e-11)
    assert (table["correct"] == (certified & (table["predict"] == table["label"]))).all()
    assert (table["guarantee"] == "estimated").all()
    assert (table["passes"] == 20).all()  # one more is of the surrogate
    assert (table["time"] > 1).all()  # the draws' second, and the surrogate's pass


def test_a_guess_does_not_depend_on_the_images_beside_it(trained: SimpleNamespace) -> None:
    evidence = Evidence(ALPHA, 20, selection=trained.selection, images=trained.images, surrogate=trained.path)
    settings = accelerated.Settings(n=10**9, depth=8)  # so many that a rounding of h would show in its count
    whole = accelerated.certify(evidence, settings).drop(columns="time")
    for rows in (np.arange(7), np.arange(30, 31)):
        counted = {
            name: getattr(trained.selection, name)[rows] for name in ("idx", "labels", "counts", "seconds", "sigmas")
        }
        selection, images = replace(trained.selection, **counted), trained.images.take(rows)
        part = accelerated.certify(replace(evidence, selection=selection, images=images), settings)
        pd.testing.assert_frame_equal(
            part.drop(columns="time"), whole.iloc[rows].reset_index(drop=True), check_exact=True
        )


@pytest.mark.parametrize(
    ("key", "value"),
    [
        *(("base", "c" * 64), ("sigma", 0.25), ("noise", "uniform"), ("choice", "ascent10")),
        *(("arithmetic", "cuda"), ("dataset", "cifar10")),
    ],
)
def test_accelerated_refuses_a_surrogate_of_another_classifier(trained: SimpleNamespace, key: str, value: Any) -> None:
    other = replace(trained.selection, meta={**trained.selection.meta, key: value})
    evidence = Evidence(ALPHA, 20, selection=other, images=trained.images, surrogate=trained.path)
    with pytest.raises(InputError, match=f"{key} must be that of the counts"):
        accelerated.certify(evidence, accelerated.Settings(n=1000, depth=8))


def test_accelerated_refuses_a_surrogate_of_another_depth(trained: SimpleNamespace) -> None:
    evidence = Evidence(ALPHA, 20, selection=trained.selection, images=trained.images, surrogate=trained.path)
    with pytest.raises(InputError, match="must be a resnet20, got a resnet8"):
        accelerated.certify(evidence, accelerated.Settings(n=1000, depth=20))


@pytest.mark.parametrize("depth", [21, 2, 0, -8])
def test_accelerated_refuses_depths_that_do_not_exist(depth: int) -> None:
    with pytest.raises(InputError, match=rf"depth must be 6n\+2 layers .*, got {depth}"):
        config.check(accelerated.Settings, {"depth": depth})


@pytest.mark.parametrize("name", ["cohen", "accelerated"])
def test_every_method_says_what_it_is(name: str) -> None:
    method = certify.method(name)
    assert {"cohen": "sound", "accelerated": "estimated"}[name] == method.GUARANTEE
    assert set(method.NEEDS) <= {"selection", "estimation", "images", "surrogate"}
    assert "n" in method.Settings.model_fields


def test_methods_are_found() -> None:
    assert {"accelerated", "cohen"} <= set(registry.names(certify.PLUGINS["certifier"]))
    with pytest.raises(InputError, match=r"certifier must be one of accelerated, .*cohen, .*, got 'none'"):
        certify.method("none")


# What evidence is refused.


def test_evidence_that_fits() -> None:
    EVIDENCE.check(cohen.NEEDS)


@pytest.mark.parametrize("missing", ["selection", "estimation"])
def test_missing_evidence(missing: str) -> None:
    with pytest.raises(InputError, match=f"--{missing} is required; this method needs --selection, --estimation"):
        replace(EVIDENCE, **{missing: None}).check(cohen.NEEDS)


@pytest.mark.parametrize("name", ["idx", "labels"])
def test_evidence_about_different_images(name: str) -> None:
    other = replace(ESTIMATION, **{name: getattr(ESTIMATION, name) + 1})
    with pytest.raises(InputError, match="the same images"):
        replace(EVIDENCE, estimation=other).check(cohen.NEEDS)


def test_evidence_about_fewer_images(trained: SimpleNamespace, digits: SimpleNamespace) -> None:
    fewer = data.read(digits.test, ":39")
    with pytest.raises(InputError, match="the same images"):
        Evidence(ALPHA, 20, trained.selection, images=fewer, surrogate=trained.path).check(accelerated.NEEDS)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        *(("sigma", 0.25), ("base", "c" * 64), ("noise", "uniform"), ("choice", "ascent10"), ("arithmetic", "cuda")),
    ],
)
def test_mixed_evidence(key: str, value: Any) -> None:
    other = replace(ESTIMATION, meta={**ESTIMATION.meta, key: value})
    with pytest.raises(InputError, match=f"the inputs must have the same {key}"):
        replace(EVIDENCE, estimation=other).check(cohen.NEEDS)


def test_the_same_draws_twice() -> None:
    with pytest.raises(InputError, match="the same draws"):
        replace(EVIDENCE, selection=replace(SELECTION, meta=ESTIMATION.meta)).check(cohen.NEEDS)


def test_the_verb_refuses_the_same_draws_twice(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ESTIMATION.write(tmp_path / "counts.npz")
    file, output = str(tmp_path / "counts.npz"), tmp_path / "out.tsv"
    words = ["certify", "cohen", "--n", "100", "--n0", "100", "--selection", file, "--estimation", file]
    assert cli.main([*words, "--output", str(output)]) == 2
    assert "the same draws" in capsys.readouterr().err
    assert not output.exists()


def test_the_verb_certifies(tmp_path: Path) -> None:
    SELECTION.write(tmp_path / "selection.npz")
    ESTIMATION.write(tmp_path / "estimation.npz")
    words = [
        "certify",
        "cohen",
        "--n",
        "100",
        "--n0",
        "20",
        "--alpha",
        str(ALPHA),
        "--output",
        str(tmp_path / "out.tsv"),
    ]
    words += ["--selection", str(tmp_path / "selection.npz"), "--estimation", str(tmp_path / "estimation.npz")]
    assert cli.main(words) == 0
    expected = cohen.certify(EVIDENCE, cohen.Settings(n=100))
    log = certificates.read(tmp_path / "out.tsv")
    assert log[certificates.IDENTITY].drop_duplicates().to_numpy().tolist() == [["main", "cohen", "sound", 120]]
    assert cli.main([*words, "--experiment", "fars/cohen", "--method", "mine"]) == 0
    assert certificates.read(tmp_path / "out.tsv")[["experiment", "method"]].iloc[0].tolist() == ["fars/cohen", "mine"]
    pd.testing.assert_frame_equal(
        log[["idx", "label", "predict", "radius", "correct"]],
        expected[["idx", "label", "predict", "radius", "correct"]],
        check_dtype=False,
        check_exact=True,
    )
    assert counts.read(tmp_path / "selection.npz").meta["purpose"] == "selection"


# Logs.


def log(radius: np.ndarray) -> pd.DataFrame:
    n = len(radius)
    columns = {"idx": range(n), "label": 1, "predict": 1, "radius": radius, "correct": 1, "time": 0.1}
    return pd.DataFrame({**columns, "p_lower": radius / 4, "arithmetic": "cpu-openvino-fp32-folded"})


def test_radii_come_back_bit_by_bit(tmp_path: Path) -> None:
    radius = np.random.default_rng(0).random(20_000) * 4
    radius[:5] = [0.0, 1e-300, 5e-324, 1 / 3, np.nextafter(1, 2)]
    certificates.write(tmp_path / "log.tsv", log(radius))
    read = certificates.read(tmp_path / "log.tsv")
    assert read["radius"].to_numpy().tobytes() == radius.tobytes()
    assert read["p_lower"].to_numpy().tobytes() == (radius / 4).tobytes()
    assert read["idx"].dtype.kind == read["correct"].dtype.kind == "i"
    assert set(read["arithmetic"]) == {"cpu-openvino-fp32-folded"}
    first = (tmp_path / "log.tsv").read_text().splitlines()[0]
    assert first.split("\t")[:6] == ["idx", "label", "predict", "radius", "correct", "time"]


COHEN = """idx	label	predict	radius	correct	time
0	3	3	0.832	1	0:00:12.345678
20	8	-1	0.0	0	0:00:12.34
40	8	1	0.0521	0	1:00:02
"""


def test_logs_of_cohen_et_al(tmp_path: Path) -> None:
    (tmp_path / "log").write_text(COHEN)
    read = certificates.read(tmp_path / "log")
    assert read["idx"].tolist() == [0, 20, 40]
    assert read["predict"].tolist() == [3, -1, 1]
    assert read["radius"].tolist() == [0.832, 0.0, 0.0521]
    assert read["correct"].tolist() == [1, 0, 0]


def test_columns_of_others_may_hold_anything(tmp_path: Path) -> None:
    lines = COHEN.splitlines()
    lines = [lines[0] + "\tnote", *(f"{line}\tn/a" for line in lines[1:])]
    (tmp_path / "log").write_text("\n".join(lines))
    assert certificates.read(tmp_path / "log")["note"].tolist() == ["n/a"] * 3


@pytest.mark.parametrize("column", ["idx", "label", "predict", "radius", "correct"])
def test_a_log_without_a_column(tmp_path: Path, column: str) -> None:
    (tmp_path / "log").write_text(COHEN.replace(column, "other", 1))
    with pytest.raises(InputError, match=f"log must have the column '{column}'"):
        certificates.read(tmp_path / "log")


@pytest.mark.parametrize(
    ("original", "broken", "line", "column"),
    [
        ("0.832", "much", 2, "radius"),
        ("0.832", "", 2, "radius"),
        ("0.832", "nan", 2, "radius"),
        ("0.832", "inf", 2, "radius"),
        ("0.832", "-0.1", 2, "radius"),
        ("0.0521\t0", "0.0521\t2", 4, "correct"),
        ("20\t8", "20.5\t8", 3, "idx"),
        ("8\t-1", "8\tnone", 3, "predict"),
        ("40\t8\t1\t0.0521\t0\t1:00:02", "40\t8", 4, "predict"),
    ],
)
def test_a_broken_row(tmp_path: Path, original: str, broken: str, line: int, column: str) -> None:
    assert original in COHEN
    (tmp_path / "log").write_text(COHEN.replace(original, broken))
    with pytest.raises(InputError, match=rf"log: line {line}: {column} must be a number, got ") as error:
        certificates.read(tmp_path / "log")
    assert "\n" not in str(error.value)


def test_a_broken_row_after_an_empty_line(tmp_path: Path) -> None:
    (tmp_path / "log").write_text(COHEN.replace("20\t8\t-1", "\n20\t8\tnone"))
    with pytest.raises(InputError, match="log: line 4: predict must be a number, got 'none'"):
        certificates.read(tmp_path / "log")


def test_a_row_with_too_many_fields(tmp_path: Path) -> None:
    (tmp_path / "log").write_text(COHEN.replace("1:00:02", "1:00:02\tand\tmore"))
    with pytest.raises(InputError, match=r"log must be a tab-separated log .*line 4"):
        certificates.read(tmp_path / "log")


def test_an_image_that_stands_there_twice(tmp_path: Path) -> None:
    (tmp_path / "log").write_text(COHEN.replace("40\t", "20\t"))
    with pytest.raises(InputError, match="log: line 4: idx must be unique, got image 20 twice"):
        certificates.read(tmp_path / "log")


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (b"", "must be a tab-separated log"),
        (COHEN.splitlines()[0].encode(), "must have at least one row"),
        (b"\xff\xfe\x00binary", "must be a tab-separated log"),
        (b"some text\n", "must have the column 'idx'"),
    ],
)
def test_files_that_are_no_logs(tmp_path: Path, content: bytes, match: str) -> None:
    (tmp_path / "log").write_bytes(content)
    with pytest.raises(InputError, match=f"log {match}"):
        certificates.read(tmp_path / "log")


def test_logs_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="none: no such file"):
        certificates.read(tmp_path / "none")
    with pytest.raises(InputError, match=str(tmp_path)):
        certificates.read(tmp_path)


def test_predictions_of_the_surrogate_are_probabilities(trained: SimpleNamespace) -> None:
    model, _ = models.load(trained.path, "surrogate")
    pixels = trained.images.pixels()
    h = surrogate.predict(engines.build(model, pixels.shape[1:], device=torch.device("cpu")), pixels)
    assert h.dtype == np.float64
    np.testing.assert_allclose(h.sum(1), 1, rtol=1e-12)
    np.testing.assert_allclose(h, trained.h, atol=1e-5)


def test_a_row_that_contradicts_itself(tmp_path: Path) -> None:
    (tmp_path / "log").write_text("idx\tlabel\tpredict\tradius\tcorrect\n0\t1\t1\t0.5\t1\n1\t2\t3\t0.5\t1\n")
    with pytest.raises(InputError, match="line 3: correct must be 1 where predict equals label"):
        certificates.read(tmp_path / "log")
