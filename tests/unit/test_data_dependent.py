"""Tables and figures of Data-Dependent Randomized Smoothing: values by hand, and what they refuse."""

import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from accelerated_smoothing import analysis, cli, data, papers
from accelerated_smoothing.analysis import comparison
from accelerated_smoothing.config import Comparison
from accelerated_smoothing.errors import InputError
from accelerated_smoothing.papers import data_dependent
from accelerated_smoothing.papers.data_dependent import best
from accelerated_smoothing.provenance import cell, code, records

table1, table4, table5 = (papers.table(f"data-dependent/table{number}") for number in (1, 4, 5))
figure3, figure6, figure7, figure8 = (papers.figure(f"data-dependent/figure{number}") for number in (3, 6, 7, 8))
RADII = analysis.Settings([0.0, 0.25, 0.5, 2.0])
REPORTED = code.ROOT / "resources/reported/data-dependent"


def log(folder: Path, name: str, sigma0: float, radius: list[float], wrong: int | None = None, **more: object) -> Path:
    """Certificates `<experiment>/<method>` of class 1; abstention where the radius is negative."""
    experiment, method = name.split("/")
    path = folder / f"{experiment}/certificates/sigma{sigma0}/{method}.tsv"
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = pd.DataFrame({"idx": range(len(radius)), "label": 1, "predict": np.where(np.array(radius) < 0, -1, 1)})
    if wrong is not None:
        rows.loc[wrong, "predict"] = 0
    rows["radius"] = np.maximum(radius, 0)
    rows["correct"] = (rows["predict"] == 1).astype(int)
    rows = rows.assign(experiment=f"data-dependent/{experiment}", method=method, guarantee="sound", passes=1100)
    rows = rows.assign(time=0.1, n=1000, alpha=0.001, sigma=sigma0, sigma0=sigma0)
    if method.startswith(("ascent", "grid")):
        rows = rows.assign(guarantee="memory", case=0, own_predict=rows["predict"], own_radius=rows["radius"])
        rows["sigma"] *= 1 + 0.1 * rows["idx"]
    rows.assign(**more).to_csv(path, sep="\t", index=False)  # type: ignore[arg-type]
    return path


def three(folder: Path, base: str = "cohen") -> list[Path]:
    """Logs of every row of tables 1 to 3, of four images."""
    return [
        log(folder, f"{base}/cohen", 0.25, [0.5, 0.4, 0.3, -1]),
        log(folder, f"{base}/cohen", 0.5, [0.9, 0.2, -1, -1]),
        log(folder, f"{base}/ascent100", 0.25, [0.6, 0.6, 0.1, 0.0]),
        log(folder, f"{base}/ascent10", 0.25, [0.3, 0.3, 0.3, 0.3], wrong=3),
        log(folder, f"{base}-ds/ascent100", 0.25, [0.5, 0.5, 0.5, 0.5]),
    ]


def test_table1_by_hand(tmp_path: Path) -> None:
    logs = table1.load(three(tmp_path))
    table = table1.make(logs, RADII).set_index(["train", "certify"])
    fixed, own = table.loc[("FS", "FS")], table.loc[("FS", "DS")]
    assert table["guarantee"].tolist() == ["sound", "memory", "memory"]

    assert fixed[["r=0", "r=0.25", "r=0.5", "r=2"]].tolist() == [0.75, 0.75, 0.25, 0]
    # At r=0.5 both settings certify one image, and the first of equals is told; at r=2 none certifies any.
    choices = fixed[["choice r=0", "choice r=0.25", "choice r=0.5", "choice r=2", "choice ACR"]]
    assert choices.tolist() == ["sigma=0.25", "sigma=0.25", "sigma=0.25", "", "sigma=0.25"]
    assert fixed["ACR"] == pytest.approx((0.5 + 0.4 + 0.3) / 4, rel=1e-12)
    # The envelope is 3/4 up to 0.3, 1/2 up to 0.4, 1/4 up to 0.9.
    assert fixed["ACR_envelope"] == pytest.approx(0.75 * 0.3 + 0.5 * 0.1 + 0.25 * 0.5, rel=1e-12)
    assert fixed["ACR_oracle"] == pytest.approx((0.9 + 0.4 + 0.3) / 4, rel=1e-12)

    # A radius that the memory has cut to 0 counts at r=0 and nowhere else.
    assert own[["r=0", "r=0.25", "r=0.5"]].tolist() == [1, 0.75, 0.5]
    choices = own[["choice r=0", "choice r=0.25", "choice r=0.5", "choice ACR"]]
    assert choices.tolist() == ["sigma=0.25,K=100", "sigma=0.25,K=10", "sigma=0.25,K=100", "sigma=0.25,K=100"]
    assert own["ACR"] == pytest.approx((0.6 + 0.6 + 0.1) / 4, rel=1e-12)
    assert own["ACR_envelope"] == pytest.approx(0.75 * 0.3 + 0.5 * 0.3, rel=1e-12)
    assert own["ACR_oracle"] == pytest.approx((0.6 + 0.6 + 0.3) / 4, rel=1e-12)


def test_the_order_of_the_three_acrs_and_of_the_inputs(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    paths = [
        log(tmp_path, f"yang/{method}", sigma, list(random.uniform(-0.3, 1, 50)), wrong=int(random.integers(50)))
        for sigma in (0.25, 0.5)
        for method in ("cohen", "ascent10", "ascent100")
    ]
    table = table4.make(table4.load(paths), RADII)
    assert table["method"].tolist() == ["YANG", "YANG-DS"]
    assert (table["ACR"] <= table["ACR_envelope"]).all()
    assert (table["ACR_envelope"] <= table["ACR_oracle"]).all()
    pd.testing.assert_frame_equal(table, table4.make(table4.load(paths[::-1]), RADII))


@pytest.mark.parametrize(
    ("row", "column", "images"),
    [
        (0, "r=0.25", [0, 1, 2]),
        (0, "r=0.5", [0]),
        (1, "r=0.25", [0, 1, 2]),
        (1, "r=0", [0, 1, 2, 3]),
        (1, "ACR", [0, 1, 2]),
        (0, "ACR_oracle", [0, 1, 2]),
        (0, "r=2", []),
        (2, "guarantee", [0, 1, 2, 3]),
    ],
)
def test_the_images_behind_a_number(row: int, column: str, images: list[int], tmp_path: Path) -> None:
    logs = table1.load(three(tmp_path))
    table = table1.make(logs, RADII)
    assert table1.behind
    behind = table1.behind(logs, RADII, table.iloc[row], column)
    assert np.flatnonzero(behind).tolist() == images
    if column.startswith("r="):
        assert behind.mean() == table.loc[row, column]


@pytest.mark.slow
def test_comparison_leaves_out_what_the_paper_leaves_open(tmp_path: Path) -> None:
    logs = table1.load(three(tmp_path))
    reported = pd.DataFrame(
        {"train": ["FS", "DS"], "certify": ["DS", "DS"], "r=0.25": [0.74, np.nan], "ACR_oracle": [0.3, 0.5]}
    )
    rows = comparison.compare(table1, logs, RADII, reported, Comparison(), True, "made up")  # type: ignore[arg-type]
    assert rows[["train", "column"]].to_numpy().tolist() == [
        ["FS", "r=0.25"],
        ["FS", "ACR_oracle"],
        ["DS", "ACR_oracle"],
    ]
    assert rows["ours"].tolist() == pytest.approx([0.75, 0.375, 0.5], rel=1e-12)
    # Of the oracle each image's best radius is one of 0.6, 0.6, 0.3, 0, of which the deviation is 0.2487.
    assert rows["sampling_error"][1] == pytest.approx(1.96 * 0.2487 / 2, rel=0.15)
    assert rows["sampling_error"][2] == 0


# Table 5 is ours, and has none.
@pytest.mark.parametrize("path", sorted(REPORTED.glob("table[1-4]*.csv")), ids=lambda path: path.stem)
def test_reported_numbers_fall_with_the_radius_and_have_our_columns(path: Path) -> None:
    reported = pd.read_csv(path)
    table, rows = (table4, best.YANG) if "table4" in path.stem else (table1, best.rows_of("cohen"))
    shares = reported.filter(regex="^r=")
    assert reported.columns.tolist() == [*table.keys, *shares.columns, "ACR_oracle"]
    assert [tuple(row) for row in reported[table.keys].to_numpy()] == list(rows)
    for _, row in shares.iterrows():
        known = row.dropna().to_numpy()
        assert (np.diff(known) <= 0).all()
        assert 0 <= known.min() < known.max() <= 1


def test_table5_by_hand(tmp_path: Path) -> None:
    paths = [
        log(tmp_path, "macer/cohen", 0.25, [0.5, 0.4, 0.3, -1]),
        log(tmp_path, "macer/resnet20", 0.25, [0.6, 0.3, 0.3, 0.2], guarantee="estimated"),
        log(tmp_path, "yang/cohen", 0.25, [0.1, 0.1, 0.1, 0.1]),
    ]
    logs = table5.load(paths)
    table = table5.make(logs, RADII)
    assert table[["base", "method", "guarantee"]].to_numpy().tolist() == [
        ["macer", "cohen", "sound"],
        ["macer", "resnet20", "estimated"],
        ["yang", "cohen", "sound"],
    ]
    assert table["exceeds"].tolist()[1] == 0.5
    assert table5.behind
    assert np.flatnonzero(table5.behind(logs, RADII, table.iloc[1], "exceeds")).tolist() == [0, 3]
    with pytest.raises(InputError, match=r"must include cohen at sigma 0\.25 of macer"):
        table5.load(paths[1:])


def test_an_envelope_has_a_step_only_where_it_falls(tmp_path: Path) -> None:
    logs = best.load(three(tmp_path), best.rows_of("cohen"))
    radii, accuracy = best.envelope(list(data_dependent.settings(logs, "cohen", "cohen").values()))
    assert radii.tolist() == [0, 0.3, 0.4, 0.9, np.nextafter(0.9, 1)]
    assert accuracy.tolist() == [0.75, 0.75, 0.5, 0.25, 0]


def lines(figure: object) -> list[dict[str, tuple[np.ndarray, np.ndarray]]]:
    """Of each panel the data by the line's label."""
    return [{line.get_label(): line.get_data() for line in axes.lines} for axes in figure.axes]  # type: ignore[attr-defined]


def test_figure3_shows_each_sigma_and_the_envelope(tmp_path: Path) -> None:
    drawn = figure3.draw(figure3.load(three(tmp_path)), RADII, "made up")
    panels = lines(drawn)
    assert [axes.get_title("left") for axes in drawn.axes[:3]] == ["σ = 0.25", "σ = 0.5", "envelope: the best of all σ"]
    assert list(panels[0]) == ["Cohen (sound)", "Cohen-DS (memory)", "Cohen-DS² (memory)"]
    assert list(panels[1]) == ["Cohen (sound)"]
    radii, accuracy = panels[0]["Cohen-DS (memory)"]
    assert radii.tolist() == [0, 0.3, 0.6, np.nextafter(0.6, 1)]  # best at 0 with K = 100, up to 0.3 with K = 10
    assert accuracy.tolist() == [1, 0.75, 0.5, 0]
    assert panels[2]["Cohen (sound)"][0].tolist() == [0, 0.3, 0.4, 0.9, np.nextafter(0.9, 1)]
    styles = {line.get_label(): line.get_linestyle() for line in drawn.axes[0].lines}
    assert styles["Cohen (sound)"] == "-"
    assert "memory-enhanced classifier only" in drawn.get_supxlabel().replace("\n", " ")


def test_figure7_has_a_panel_for_each_experiment_and_sigma(tmp_path: Path) -> None:
    drawn = figure7.draw(figure7.load(three(tmp_path)), RADII, "made up")
    titles = ["Cohen, σ = 0.25", "Cohen, σ = 0.5", "Cohen-DS, σ = 0.25"]
    assert [axes.get_title("left") for axes in drawn.axes[:3]] == titles
    panels = lines(drawn)
    assert list(panels[0]) == ["fixed σ (sound)", "K = 10 (memory)", "K = 100 (memory)"]
    assert panels[0]["K = 10 (memory)"][1].tolist() == [0.75, 0.75, 0]


def test_figure8_wants_one_number_of_steps_of_one_experiment(tmp_path: Path) -> None:
    one, *_, ascent = three(tmp_path)[:3]
    grids = [log(tmp_path, f"cohen/grid{n}", 0.25, [0.1 * n] * 4) for n in (10, 2)]
    panels = lines(figure8.draw(figure8.load([one, ascent, *grids]), RADII, "made up"))
    names = ["fixed σ (sound)", "ascent, K = 100 (memory)", "grid, n = 2 (memory)", "grid, n = 10 (memory)"]
    assert list(panels[0]) == list(panels[1]) == names
    assert panels[0][names[3]][0].tolist() == [0, 1, np.nextafter(1, 2)]
    second = log(tmp_path, "cohen/ascent10", 0.25, [0.1] * 4)
    other = log(tmp_path, "macer/cohen", 0.25, [0.1] * 4)
    for more, fault in (
        ([second], "exactly one method of ascent, got ascent10, ascent100"),
        ([other], "of one experiment, got cohen, macer"),
    ):
        with pytest.raises(InputError, match=fault):
            figure8.load([one, ascent, *grids, *more])
    with pytest.raises(InputError, match="at least one method of grid, got none"):
        figure8.load([one, ascent])


def pictured(folder: Path, channels: int, white: int) -> list[Path]:
    """Four images, and two logs of them."""
    pixels = np.arange(4 * channels * 64).reshape(4, channels, 8, 8) % (white + 1)
    meta = {"kind": "images", "dataset": "made", "split": "test", "classes": 2, "white": white}
    data.write_arrays(folder / "test.npz", {"images": pixels.astype(np.uint8), "labels": np.ones(4, int)}, meta)
    logs = [
        log(folder, "cohen/cohen", 0.5, [0.5, 0.4, 0.3, 0.2], wrong=3),
        log(folder, "cohen/ascent10", 0.5, [0.6, 0.7, 0.8, 0.9], sigma=[0.4, 0.3, 0.8, 0.9]),
    ]
    return [folder / "test.npz", *logs]


@pytest.mark.parametrize(("channels", "white"), [(1, 16), (3, 255)])
def test_figure6_takes_the_greatest_changes_among_the_right(channels: int, white: int, tmp_path: Path) -> None:
    images, rows = figure6.load(pictured(tmp_path, channels, white))
    assert rows["idx"].tolist() == [1, 0, 2]  # the last is wrong under the fixed sigma
    drawn = figure6.draw((images, rows), RADII, "made up")
    titles = [axes.get_title() for axes in drawn.axes]
    assert titles[0] == "image 1, class 1"
    assert titles[2] == "σₓ = 0.3\nr = 0.7 (memory)"
    assert titles[4] == "σ = 0.5\nr = 0.3 (sound)"
    clean, fixed, own = (axes.images[0].get_array() for axes in drawn.axes[:3])
    assert clean.shape == ((8, 8) if channels == 1 else (8, 8, 3))
    inside = (fixed > 0) & (fixed < 1) & (own > 0) & (own < 1)
    assert np.allclose(((fixed - clean) / 0.5)[inside], ((own - clean) / 0.3)[inside], atol=1e-5)


def test_figure6_refuses_what_is_no_pair(tmp_path: Path) -> None:
    images, fixed, own = pictured(tmp_path, 1, 16)
    with pytest.raises(InputError, match="got 2 files"):
        figure6.load([images, fixed])
    other = log(tmp_path, "cohen/ascent20", 0.5, [0.6] * 4)
    with pytest.raises(InputError, match="one ascent<K> at each sigma"):
        figure6.load([images, fixed, own, other])
    longer = [log(tmp_path, f"cohen/{method}", 0.5, [0.6] * 5) for method in ("cohen", "ascent10")]
    with pytest.raises(InputError, match="must be the certified images of"):
        figure6.load([images, *longer])
    wrong = [log(tmp_path, f"cohen/{method}", 0.5, [-1] * 4) for method in ("cohen", "ascent10")]
    with pytest.raises(InputError, match="at least one image must be certified correctly"):
        figure6.load([images, *wrong])


def test_the_code_of_a_table_is_that_of_its_module() -> None:
    modules = code.modules("table", code.plugins("table", {"item": ["data-dependent/table1"]}))
    assert {"papers.data_dependent", "papers.data_dependent.best"} <= set(modules)
    assert "papers.accelerated_smoothing.accuracy" not in modules
    digests = {code.digest("table", {"item": [f"data-dependent/table{number}"]}) for number in (1, 5)}
    assert len(digests) == 2


def words(kind: str, number: str, paths: list[Path], output: str) -> list[str]:
    return [kind, f"data-dependent/{number}", *map(str, paths), "--radii", "0.25", "0.5", "--output", output]


@pytest.mark.slow
def test_table_by_its_verb_with_one_cell_audited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    paths = [path.relative_to(tmp_path) for path in three(tmp_path)]
    reported = ["--reported", str(REPORTED / "table1.csv")]
    assert cli.main([*words("table", "1", paths, "table1.csv"), *reported]) == 0
    assert pd.read_csv("table1.csv")["choice ACR"].tolist()[1] == "sigma=0.25,K=100"
    assert "choice" not in Path("table1.md").read_text()
    assert set(pd.read_csv("table1_vs_paper.csv")["column"]) == {"r=0.25", "r=0.5", "ACR_oracle"}

    (node,) = cell_nodes("table1.csv")
    entry = cell.cell(node, "train=FS,certify=DS,r=0.25")
    assert [Path(name).name for name in entry.table.inputs] == ["ascent10.tsv"]
    assert entry.idx.tolist() == [0, 1, 2]
    assert "0.75 when made again; memory" in cell.report(entry)
    entry = cell.cell(node, "train=FS,certify=FS,r=0.5")  # of two equal settings the one that is told
    assert [Path(name).parent.name for name in entry.table.inputs] == ["sigma0.25"]
    entry = cell.cell(node, "train=FS,certify=FS,ACR_oracle")
    assert len(entry.table.inputs) == 2


def cell_nodes(name: str) -> list[object]:
    from accelerated_smoothing.provenance import audit

    return audit.audit([Path(name)])  # type: ignore[return-value]


@pytest.mark.parametrize("number", ["3", "4", "5", "7"])
def test_figures_by_their_verb(number: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    base = {"4": "smoothadv", "5": "macer"}.get(number, "cohen")
    assert cli.main(words("figure", number, three(tmp_path, base), "figure.svg")) == 0
    assert Path("figure.svg").read_text().count("<svg") == 1
    assert Path("figure.png").exists()
    assert records.read(Path("figure.svg")).arguments["number"] == f"data-dependent/{number}"


def faulty(name: str, folder: Path) -> tuple[str, list[Path]]:
    """A table's number and inputs with one fault."""
    logs = three(folder)
    if name == "none":
        return "1", []
    if name == "no such table":
        return "9", logs
    if name == "a missing row":
        return "1", logs[:-1]
    if name == "another experiment":
        return "2", logs
    if name == "another kind":
        return "1", [*logs, log(folder, "cohen/grid4", 0.25, [0.1] * 4)]
    if name == "other images":
        return "1", [*logs, log(folder, "cohen/ascent20", 0.25, [0.1] * 5)]
    if name == "not memory-based":
        log(folder, "cohen/ascent100", 0.25, [0.1] * 4, guarantee="estimated")
        return "1", logs
    if name == "an input-dependent sigma called sound":
        return "1", [*logs, log(folder, "cohen/ascent20", 0.25, [0.1] * 4, guarantee="sound")]
    if name == "another paper's":
        return "1", [*logs, log(folder, "cohen/ascent20", 0.25, [0.1] * 4, experiment="fars/cohen")]
    shutil.copy(logs[0], folder / "cohen.tsv")
    return "1", [*logs, folder / "cohen.tsv"]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("none", "at least 1 file, got 0"),
        ("no such table", "got 'data-dependent/table9'"),
        ("a missing row", "must include cohen-ds by ascent, got none of these"),
        ("another experiment", "got data-dependent/cohen cohen"),
        ("another kind", "got data-dependent/cohen grid"),
        ("another paper's", "got fars/cohen ascent"),
        ("other images", "must be of the images of"),
        ("not memory-based", "the guarantee must be memory, got estimated"),
        ("an input-dependent sigma called sound", "the guarantee must be memory, got sound"),
        ("the same log twice", "must not be a second log of cohen at sigma 0.25 of data-dependent/cohen"),
    ],
)
def test_faults_end_with_one_line(
    name: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    number, paths = faulty(name, tmp_path)
    assert cli.main(words("table", number, paths, "made.csv")) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line
    assert not Path("made.csv").exists()


def test_a_figure_of_digits_by_its_verb(
    digits: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    labels = data.read(digits.test).labels[:4]
    paths = [
        log(tmp_path, f"cohen/{method}", 0.25, [0.1] * 4, label=labels, predict=labels)
        for method in ("cohen", "ascent10")
    ]
    assert cli.main(words("figure", "6", [digits.test, *paths], "figure6.svg")) == 0
    assert Path("figure6.png").exists()
