"""Tables and a figure of FaRS: values by hand, what each radius is worth, and what they refuse."""

import itertools
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.text import Text

from accelerated_smoothing import analysis, cli, papers
from accelerated_smoothing.analysis import comparison, style
from accelerated_smoothing.config import Comparison
from accelerated_smoothing.errors import InputError
from accelerated_smoothing.papers import fars
from accelerated_smoothing.papers.fars import certificates, tradeoff
from accelerated_smoothing.provenance import audit, cell, code

table1, table3, figure = papers.table("fars/table1"), papers.table("fars/table3"), papers.figure("fars/figure3")
figure3 = papers.figure("figure3")
RADII = analysis.Settings([0.05, 0.3])
REPORTED = code.ROOT / "resources/reported/fars"
IMAGES = 6


def log(folder: Path, name: str, sigma0: float, radius: list[float], **more: object) -> Path:
    """Certificates `<experiment>/<method>` of class 1; abstention where the radius is negative."""
    experiment, method = name.split("/")
    home = folder / ("results" if experiment == "main" else f"results/fars/{experiment}")
    path = home / f"certificates/sigma{sigma0}/{method}.tsv"
    path.parent.mkdir(parents=True, exist_ok=True)
    n = 0 if method in certificates.METHODS else 100 if method == "baseline" else 1000
    guarantee = fars.GUARANTEES.get(method, "estimated")
    experiment = experiment if experiment == "main" else f"fars/{experiment}"
    rows = pd.DataFrame({"idx": range(len(radius)), "label": 1, "predict": np.where(np.array(radius) < 0, -1, 1)})
    rows = rows.assign(radius=np.maximum(radius, 0), time=[0.001 * (row + 1) for row in range(len(radius))])
    rows = rows.assign(experiment=experiment, method=method, guarantee=guarantee, passes=n + 100)
    rows = rows.assign(n=n, alpha=0.001 if n else 0.0, sigma=sigma0, sigma0=sigma0, noise="gaussian")
    rows = rows.assign(**more)
    rows["correct"] = (rows["predict"] == rows["label"]).astype(int)
    rows.to_csv(path, sep="\t", index=False)
    return path


def radii(seed: int) -> list[float]:
    """Random ones, of which some are negative."""
    return list(np.random.default_rng(seed).uniform(-0.1, 0.5, IMAGES))


def layers(folder: Path) -> list[Path]:
    """All logs of table 1."""
    pairs = itertools.product(fars.LAYERS, certificates.METHODS)
    paths = [log(folder, f"{layer}/{method}", 0.0, radii(seed)) for seed, (layer, method) in enumerate(pairs)]
    return [*paths, *(log(folder, "mlp/embedded", sigma, radii(20)) for sigma in (0.25, 0.12))]


def all_methods(folder: Path, sigmas: tuple[float, ...] = (0.25, 0.5)) -> list[Path]:
    """Logs of table 3, at one sigma beside 0 for the figure."""
    return [
        *(log(folder, f"{layer}/margin", 0.0, radii(seed)) for seed, layer in enumerate(fars.LAYERS)),
        log(folder, "mlp/embedded", 0.25, radii(3)),
        log(folder, "cohen/cohen", 0.25, radii(4)),
        *(
            log(folder, f"main/{method}", sigma, radii(seed))
            for seed, method in enumerate(["cohen", "baseline", "resnet8"], 5)
            for sigma in sigmas
        ),
    ]


def test_table1_by_hand(tmp_path: Path) -> None:
    paths = [
        log(tmp_path, "original/margin", 0.0, [0.5, 0.04, 0.3, -1, 0.1, 0.2], predict=[1, 1, 1, -1, 0, 1]),
        log(tmp_path, "original/top-logit", 0.0, [0.6, 0.04, 0.2, 0.1, 0.3, 0.3], predict=[1, 1, 1, 1, 0, 1]),
    ]
    wanted = {"original": ["margin", "top-logit"]}
    table = table1.make(fars.read_logs(paths, wanted), RADII).set_index("method")
    exact, guess = table.loc["margin"], table.loc["top-logit"]
    assert exact[["classifier", "sigma", "N", "guarantee"]].tolist() == ["original", 0, 0, "deterministic"]
    assert exact[["natural", "r=0.05", "r=0.3"]].tolist() == pytest.approx([4 / 6, 3 / 6, 2 / 6], rel=1e-12)
    assert exact["ACR"] == pytest.approx((0.5 + 0.04 + 0.3 + 0.2) / 6, rel=1e-12)
    assert exact["seconds"] == pytest.approx(0.0035, rel=1e-12)  # the median of 1 to 6 ms
    assert np.isnan(exact["exceeds"])
    assert guess["guarantee"] == "estimated"
    assert guess["natural"] == pytest.approx(5 / 6, rel=1e-12)
    assert guess["exceeds"] == pytest.approx(4 / 6, rel=1e-12)  # the first, and the last three


def recomputed(path: Path) -> dict[str, float]:
    """The numbers of a row, plainly."""
    rows = pd.read_csv(path, sep="\t")
    right = rows[rows["label"] == rows["predict"]]
    shares = {f"r={r:g}": (right["radius"] >= r).sum() / len(rows) for r in RADII.radii}
    acr = right["radius"].sum() / len(rows)
    return {"natural": len(right) / len(rows), **shares, "ACR": acr, "seconds": rows["time"].median()}


def test_table1_has_each_classifier_with_each_certificate(tmp_path: Path) -> None:
    paths = layers(tmp_path)
    table = table1.make(table1.load(paths), RADII)
    rows = [(layer, 0.0, method) for layer, method in itertools.product(fars.LAYERS, certificates.METHODS)]
    keys = [*rows, ("mlp", 0.12, "embedded"), ("mlp", 0.25, "embedded")]
    assert list(table[table1.keys].itertuples(index=False, name=None)) == keys
    words = ["deterministic", "deterministic", "estimated", "estimated"]
    assert table["guarantee"].tolist() == [*words * 3, "sound", "sound"]
    assert table["N"].tolist() == [0] * 12 + [1000] * 2
    assert table["exceeds"].notna().tolist() == [word == "estimated" for word in table["guarantee"]]
    for path, row in zip([*paths[:12], paths[13], paths[12]], table.to_dict("records"), strict=True):
        numbers = recomputed(path)
        assert {name: row[name] for name in numbers} == pytest.approx(numbers, rel=1e-12)


def test_table3_holds_guesses_against_what_the_main_experiment_samples(tmp_path: Path) -> None:
    paths = all_methods(tmp_path)
    logs = table3.load(paths)
    table = table3.make(logs, RADII)
    assert table["classifier"].tolist() == ["original", "lmt", "backbone", "mlp", "cohen", *["main"] * 6]
    assert table["guarantee"].tolist()[3:8] == ["sound", "sound", "sound", "sound", "estimated"]
    assert table["N"].tolist()[5:7] == [1000, 100]
    guess, sampled = (pd.read_csv(paths[place], sep="\t")["radius"] for place in (9, 5))
    assert table.loc[7, "exceeds"] == pytest.approx((guess > sampled).mean(), rel=1e-12)
    assert table3.behind
    behind = table3.behind(logs, RADII, table.iloc[7], "exceeds")
    assert np.flatnonzero(behind).tolist() == np.flatnonzero(guess > sampled).tolist()


@pytest.mark.parametrize("column", ["natural", "r=0.05", "r=0.3"])
def test_the_images_behind_a_share(column: str, tmp_path: Path) -> None:
    logs = table1.load(layers(tmp_path))
    table = table1.make(logs, RADII)
    for _, row in table.iterrows():
        assert table1.behind
        assert table1.behind(logs, RADII, row, column).mean() == pytest.approx(row[column], rel=1e-12)


def test_a_resample_is_of_the_same_images_everywhere(tmp_path: Path) -> None:
    logs = table3.load(all_methods(tmp_path))
    drawn = table3.resample(logs, np.random.default_rng(0))
    groups = analysis.groups(drawn)
    (idx,) = {tuple(one["idx"]) for one in groups.values()}
    assert len(idx) == IMAGES
    assert len(set(idx)) < IMAGES
    assert list(groups) == list(analysis.groups(logs))
    assert not table3.make(drawn, RADII).equals(table3.make(logs, RADII))


@pytest.mark.slow
def test_reported_numbers_stand_beside_ours(tmp_path: Path) -> None:
    reported = pd.read_csv(REPORTED / "table1.csv")
    assert reported[["method", "natural"]].to_numpy().tolist() == [["top-logit", 0.8041], ["top-sparsemax", 0.8041]]
    assert (reported.filter(regex="^r=").diff(axis=1).iloc[:, 1:] < 0).all(axis=None)
    logs = table1.load(layers(tmp_path))
    rows = comparison.compare(table1, logs, RADII, reported, Comparison(), False, "made up")  # type: ignore[arg-type]
    assert len(rows) == 2 * 3  # natural and two radii
    assert set(rows["experiment"]) == {"made up"}
    assert (rows["tolerance"] == Comparison().accuracy).all()
    empty = pd.read_csv(REPORTED / "table3.csv")
    assert empty.empty
    assert empty.columns.tolist() == table3.keys


def test_deterministic_radii_look_and_read_so(tmp_path: Path) -> None:
    words = {
        "a": "deterministic",
        "b": "sound",
        "c": "deterministic",
        "d": "estimated",
        "e": "conformal",
        "f": "memory",
    }
    looks = style.looks(words)
    assert len({(look["color"], look["marker"]) for look in looks.values()}) == 6
    assert len({str(looks[name]["linestyle"]) for name in "adef"}) == 4
    assert (looks["e"]["fillstyle"], looks["f"]["fillstyle"]) == ("bottom", "left")
    assert looks["a"]["linestyle"] == looks["b"]["linestyle"] == "-"
    assert looks["a"]["markerfacecolor"] == looks["a"]["color"]
    colors = [{color for color, *_ in style.GUARANTEES[word]} for word in ("deterministic", "sound", "estimated")]
    assert not colors[0] & (colors[1] | colors[2])
    assert style.label("margin", "deterministic", 0) == "Margin (deterministic)"
    # In the main paper's figure, too, where no limit of N = 0 samples is drawn.
    paths = [log(tmp_path, "main/margin", 0.0, radii(0))]
    drawn = figure3.draw(figure3.load(paths), analysis.Settings(), "made up")
    assert [line.get_label() for line in drawn.axes[0].lines] == ["Margin (deterministic)"]


def test_figure3_names_every_method_once(tmp_path: Path) -> None:
    drawn = figure.draw(figure.load(all_methods(tmp_path, (0.25,))), RADII, "made up")
    curves, points = drawn.axes
    names = ["FaRS, one layer", "FaRS, one layer (LMT)", "FaRS, network (LMT)", "FaRS, MLP", "Cohen on FaRS's network"]
    names += ["Cohen", "Baseline", "ResNet-8 surrogate"]
    assert [text.get_text() for text in points.texts] == names
    labels = [str(line.get_label()) for line in curves.lines]
    assert labels[0] == "FaRS, one layer (deterministic)"
    assert labels[3] == "FaRS, MLP, N = 1000 (sound)"
    assert labels[-1] == "ResNet-8 surrogate (estimated)"
    for curve, point in zip(curves.lines, points.lines, strict=True):
        assert (curve.get_color(), curve.get_marker()) == (point.get_color(), point.get_marker())
    boxes = [Text.get_window_extent(text) for text in points.texts]
    assert not any(one.overlaps(other) for one, other in itertools.combinations(boxes, 2))
    caption = drawn.get_supxlabel().replace("\n", " ")
    assert "6 images, 0 to 5; σ\xa0=\xa00.25" in caption
    assert all(word in caption for word in ("Deterministic: ", "Sound: ", "Estimated: ", "Seconds: "))


def test_names_of_points_that_crowd_keep_apart() -> None:
    drawn = style.figure(7, 4, "made up")
    axes = drawn.subplots()
    for place in range(8):
        axes.plot(1 + 0.01 * place, 1 + 0.005 * place, marker="o", markersize=tradeoff.MARKER)
    axes.set(xlim=(0.5, 1.5), ylim=(0.5, 1.5))
    drawn.draw_without_rendering()
    tradeoff.annotate(axes, [f"method {place}" for place in range(8)])
    assert len(axes.texts) == 8
    boxes = [Text.get_window_extent(text) for text in axes.texts]
    assert not any(one.overlaps(other) for one, other in itertools.combinations(boxes, 2))


def words(kind: str, number: str, paths: list[Path], output: str) -> list[str]:
    return [kind, f"fars/{number}", *map(str, paths), "--radii", "0.05", "0.3", "--output", output]


@pytest.mark.slow
def test_tables_and_figure_by_their_verbs_with_cells_audited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    paths = [path.relative_to(tmp_path) for path in layers(tmp_path)]
    assert cli.main([*words("table", "1", paths, "table1.csv"), "--reported", str(REPORTED / "table1.csv")]) == 0
    assert "| deterministic |" in Path("table1.md").read_text()
    assert pd.read_csv("table1_vs_paper.csv")["classifier"].unique().tolist() == ["original"]
    (node,) = audit.audit([Path("table1.csv")])
    entry = cell.cell(node, "classifier=lmt,method=margin,r=0.3")
    assert [Path(name).parts[2:] for name in entry.table.inputs] == [("lmt", "certificates", "sigma0.0", "margin.tsv")]
    assert "; deterministic" in cell.report(entry)
    entry = cell.cell(node, "classifier=lmt,method=top-logit,exceeds")
    assert [Path(name).stem for name in entry.table.inputs] == ["margin", "top-logit"]
    assert "; estimated" in cell.report(entry)

    for number, sigmas in (("table", (0.25, 0.5)), ("figure", (0.25,))):
        output = f"{number}3.{'csv' if number == 'table' else 'svg'}"
        assert cli.main(words(number, "3", all_methods(tmp_path, sigmas), output)) == 0
    assert Path("figure3.png").exists()
    (node,) = audit.audit([Path("table3.csv")])
    entry = cell.cell(node, "classifier=main,method=resnet8,sigma=0.5,exceeds")
    assert [Path(name).name for name in entry.table.inputs] == ["cohen.tsv", "resnet8.tsv"]
    assert {Path(name).parent.name for name in entry.table.inputs} == {"sigma0.5"}


def faulty(name: str, folder: Path) -> list[Path]:
    """The logs of table 1 with one fault."""
    paths = layers(folder)
    more = {
        "another method": lambda: log(folder, "original/embedded", 0.25, radii(0)),
        "an experiment that is none of it": lambda: log(folder, "cohen/cohen", 0.25, radii(0)),
        "the main experiment": lambda: log(folder, "main/cohen", 0.25, radii(0)),
        "another paper's": lambda: log(folder, "lmt/margin", 0.25, radii(0), experiment="data-dependent/lmt"),
        "another folder's": lambda: log(folder / "other", "lmt/margin", 0.0, radii(0)),
        "other images": lambda: log(folder, "lmt/margin", 0.5, radii(0)[1:]),
        "top-logit called sound": lambda: log(folder, "lmt/top-logit", 0.0, radii(0), guarantee="sound"),
        "a margin by samples": lambda: log(folder, "lmt/margin", 0.0, radii(0), guarantee="sound"),
        "times of other people": lambda: log(folder, "lmt/margin", 0.0, radii(0), time="0:00:15"),
        "estimates alone": lambda: log(folder, "lmt/top-logit", 0.25, radii(0)),
    }
    if name == "a missing classifier":
        return paths[:-2]
    added = more[name]()
    return paths if added in paths else [*paths, added]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("a missing classifier", "must include mlp by embedded, got none of these"),
        ("another method", "among original margin, original sparsemax, "),
        ("an experiment that is none of it", "got fars/cohen cohen"),
        ("the main experiment", "got main cohen"),
        ("another paper's", "got data-dependent/lmt margin"),
        ("another folder's", "must not be a second log of margin at sigma 0 of fars/lmt"),
        ("other images", "must be of the images of"),
        ("top-logit called sound", "the guarantee must be estimated, got sound"),
        ("a margin by samples", "the guarantee must be deterministic, got sound"),
        ("times of other people", "must be in seconds, got '0:00:15'"),
        ("estimates alone", "must include margin at sigma 0.25 of lmt, which top-logit is compared with"),
    ],
)
def test_faults_end_with_one_line(
    name: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.main(words("table", "1", faulty(name, tmp_path), "made.csv")) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line
    assert not Path("made.csv").exists()


def test_the_figure_wants_one_noise_level(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"got sigma 0\.0, 0\.25, 0\.5"):
        figure.load(all_methods(tmp_path))
    twice = log(tmp_path, "lmt/margin", 0.25, radii(0))
    with pytest.raises(InputError, match="must be one of each method"):
        figure.load([*all_methods(tmp_path, (0.25,)), twice])


def test_logs_may_lie_anywhere(tmp_path: Path) -> None:
    paths = [path.rename(tmp_path / f"{number}.tsv") for number, path in enumerate(all_methods(tmp_path))]
    experiments = ["original", "lmt", "backbone", "mlp", "cohen", "main"]
    assert table3.load(paths)["experiment"].unique().tolist() == experiments
