"""Tables: values by hand, and what they refuse."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from accelerated_smoothing import analysis, cli, papers
from accelerated_smoothing.analysis import comparison
from accelerated_smoothing.analysis.items import Table
from accelerated_smoothing.config import Comparison, Config, read
from accelerated_smoothing.config.run import Run
from accelerated_smoothing.counting.counts import Counts
from accelerated_smoothing.errors import InputError
from accelerated_smoothing.papers.fast_and_sound import radii

ROOT = Path(__file__).parents[2]
table1, table2, table3, table4, table5, table6 = (papers.table(f"table{number}") for number in range(1, 7))


def log(path: Path, radius: list[float], correct: list[int], guarantee: str, sigma: float = 0.25) -> Path:
    """Certificates of class 1, or of class 0 where they are wrong; abstention where the radius is 0."""
    right, certified = np.array(correct), np.array(radius) > 0
    predict = np.where(certified, right, -1)
    table = pd.DataFrame({"idx": range(len(radius)), "label": 1, "predict": predict, "radius": radius})
    table["correct"] = (predict == 1).astype(int)
    table = table.assign(time=0.1, experiment="main", method=path.stem, guarantee=guarantee, passes=1100)
    table.assign(n=1000, alpha=0.001, sigma=sigma, sigma0=sigma).to_csv(path, sep="\t", index=False)
    return path


@pytest.fixture
def logs(tmp_path: Path) -> list[Path]:
    return [
        log(tmp_path / "cohen.tsv", [0.5, 0.4, 0.3, 0.0], [1, 1, 0, 1], "sound"),
        log(tmp_path / "resnet20.tsv", [0.6, 0.3, 0.3, 0.2], [1, 1, 0, 1], "estimated"),
    ]


def test_table1_by_hand(logs: list[Path]) -> None:
    table = table1.make(table1.load(logs), analysis.Settings([0.25, 0.5])).set_index("method")
    assert table.loc["cohen", ["r=0.25", "r=0.5"]].tolist() == [0.5, 0.25]
    assert table.loc["resnet20", ["r=0.25", "r=0.5"]].tolist() == [0.5, 0.25]
    assert table.loc["cohen", "ACR"] == pytest.approx((0.5 + 0.4) / 4, rel=1e-12)
    assert table.loc["resnet20", "ACR"] == pytest.approx((0.6 + 0.3 + 0.2) / 4, rel=1e-12)
    assert np.isnan(table.loc["cohen", "exceeds"])
    assert table.loc["resnet20", "exceeds"] == 0.5  # the first, and the last, which sampling does not certify
    assert table["guarantee"].tolist() == ["sound", "estimated"]


def test_tables_6_and_3_by_hand(logs: list[Path]) -> None:
    table = table6.make(table6.load(logs), analysis.Settings()).set_index("side")
    under, over = table.loc["under"], table.loc["over"]  # images 1 and 0: the third is equal, the fourth below 0.25
    assert under[["share", "gt_acr"]].tolist() == [0.25, 0.4]
    assert under["percentage_error"] == pytest.approx(25, rel=1e-12)
    assert over[["share", "gt_acr"]].tolist() == [0.25, 0.5]
    assert over["mean_error"] == pytest.approx(0.1, rel=1e-12)
    short = table3.make(table3.load(logs), analysis.Settings()).iloc[0]
    assert short["under_gt_acr"] == 0.4
    assert short["over_share"] == 0.25


def test_error_tables_without_an_estimated_method_are_empty(logs: list[Path]) -> None:
    assert table6.make(table6.load(logs[:1]), analysis.Settings()).empty
    assert table3.make(table3.load(logs[:1]), analysis.Settings()).empty


def test_error_tables_need_the_reference(logs: list[Path]) -> None:
    with pytest.raises(InputError, match="must include cohen at sigma"):
        table6.make(table6.load(logs[1:]), analysis.Settings())


def test_the_same_log_twice_is_refused(logs: list[Path]) -> None:
    with pytest.raises(InputError, match=r"must not be a second log of cohen at sigma 0\.25 of main"):
        analysis.read_logs([logs[0], logs[0]])


def test_logs_of_other_images_are_refused(logs: list[Path], tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    other = log(tmp_path / "other/cohen.tsv", [0.5, 0.4], [1, 1], "sound", sigma=0.5)
    with pytest.raises(InputError, match="must be of the images of"):
        analysis.read_logs([*logs, other])


def test_logs_are_told_apart_by_their_columns(logs: list[Path], tmp_path: Path) -> None:
    moved = logs[1].rename(tmp_path / "anything")
    table = analysis.read_logs([logs[0], moved])
    keys = [analysis.Key("main", 0.25, "cohen"), analysis.Key("main", 0.25, "resnet20")]
    assert list(analysis.groups(table)) == keys
    assert len(table) == 8
    assert table.loc[4:, "radius"].tolist() == [0.6, 0.3, 0.3, 0.2]
    groups = analysis.groups(table)
    reference = analysis.reference(groups, keys[1], "cohen")
    assert reference is not None
    assert reference["radius"].tolist() == [0.5, 0.4, 0.3, 0.0]
    assert analysis.reference(groups, keys[1], "baseline") is None


def test_a_resample_has_the_same_images_in_every_log(logs: list[Path]) -> None:
    table = analysis.resample_logs(analysis.read_logs(logs), np.random.default_rng(1))
    first, second = (log["idx"].tolist() for log in analysis.groups(table).values())
    assert first == second
    assert len(first) == 4
    assert len(set(first)) < 4


@pytest.mark.parametrize("column", ["experiment", "method", "guarantee", "passes", "sigma0"])
def test_logs_of_others_are_refused_by_tables(column: str, logs: list[Path]) -> None:
    pd.read_csv(logs[0], sep="\t").drop(columns=column).to_csv(logs[0], sep="\t", index=False)
    with pytest.raises(InputError, match=f"cohen.tsv must have the column '{column}'"):
        table1.load(logs)


def test_table1_is_of_one_experiment(logs: list[Path]) -> None:
    table = pd.read_csv(logs[1], sep="\t").assign(experiment="fars/mlp")
    table.to_csv(logs[1], sep="\t", index=False)
    with pytest.raises(InputError, match="must be of one experiment, got main, fars/mlp"):
        table1.load(logs)


def test_items_are_found_without_importing_the_others() -> None:
    assert papers.papers() == ["", "data-dependent", "fars", "fast-and-sound", "label-budget", "survey"]
    main = [*(f"table{number}" for number in range(1, 7)), *(f"figure{number}" for number in range(1, 4))]
    assert papers.items("") == main
    assert papers.items("fars") == [*(f"fars/table{number}" for number in range(1, 5)), "fars/figure3"]
    assert papers.module_of("data-dependent/table4") == "papers.data_dependent.best"
    code = "import sys; from accelerated_smoothing import papers; papers.table('data-dependent/table1'); "
    code += "print(*(name for name in sys.modules if name.startswith(('accelerated_smoothing.papers.', 'matplotlib'))))"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    short = {name.removeprefix("accelerated_smoothing.papers.") for name in ran.stdout.split()}
    assert short == {"accelerated_smoothing", "captions", "data_dependent", "data_dependent.best"}


@pytest.mark.parametrize("name", ["table7", "fars/figure1", "other/table1", "1", ""])
def test_items_that_do_not_exist(name: str) -> None:
    with pytest.raises(InputError, match=f"must be one of table1, .*, fars/figure3, .*, got '{name}'"):
        papers.find(name)


def test_every_item_says_what_it_is_made_from() -> None:
    config = read([ROOT / "config.yaml"])
    run = Run("results", config.experiments())
    for paper in papers.papers():
        for name in papers.items(paper):
            item = papers.find(name)
            paths = item.inputs(run)
            item.check([Path(path) for path in paths])
            assert len(set(paths)) == len(paths)
            assert all(path.startswith("results/") for path in paths)
            assert "alpha = 0.001" in item.caption(run)
            if isinstance(item, Table):
                reported = item.reported_file(run)
                assert reported is None or (ROOT / "resources/reported" / reported).is_file()
                assert item.comparable(run) == (paper in ("", "data-dependent"))


@pytest.mark.parametrize(
    "changes",
    [
        *({"alpha": 0.05}, {"n0": 10}, {"base": {"epochs": 1}}, {"train_samples": 100}),
        *({"surrogate": {"epochs": 1}}, {"sampling": {"precision": "bf16"}}),
    ],
)
def test_another_experiment_is_not_the_papers(changes: dict) -> None:
    assert not papers.find("table1").comparable(Run("results", {"": Config(**changes)}))


@pytest.mark.parametrize("sigma", [0.12, 0.25, 0.7])
def test_a_radius_that_is_the_noise_level_is_certified_there(sigma: float) -> None:
    """Noise is scaled by sigma in float32, and so are certified radii."""
    log = pd.DataFrame({"correct": [1, 1], "radius": [float(np.float32(sigma)), 0.99 * sigma]})
    assert radii._share(log, sigma) == 0.5
    assert radii._shares(log["radius"].to_numpy()[:, None], sigma) == 0.5


def test_a_table_is_made_from_the_methods_it_compares() -> None:
    """Another row of an experiment, with settings of one's own, is not among the inputs."""
    experiments = read([ROOT / "config.yaml"]).experiments()
    run = Run("results", experiments)
    mlp = experiments["fars/mlp/"]
    methods = {**mlp.methods, "few": {"certifier": "embedded", "n": mlp.sampling.sizes[0]}}
    changed = mlp.model_copy(update={"methods": methods, "rows": [*mlp.rows, "few"]})
    more = Run("results", {**experiments, "fars/mlp/": changed})
    assert any(path.endswith("few.tsv") for path in more.certificates("fars/mlp/"))
    for name in papers.items("fars"):
        assert papers.find(name).inputs(more) == papers.find(name).inputs(run)


def test_an_experiment_without_an_ascent_is_named() -> None:
    experiments = read([ROOT / "config.yaml"]).experiments()
    for name, home in (("figure6", "cohen"), ("figure8", "smoothadv")):
        home = f"data-dependent/{home}/"
        changed = experiments[home].model_copy(update={"rows": ["cohen"]})
        run = Run("results", {**experiments, home: changed})
        with pytest.raises(InputError, match=f"rows of {home.rstrip('/')} must have a method with choice: ascent"):
            papers.find(f"data-dependent/{name}").inputs(run)


def test_no_certificates_are_an_empty_table() -> None:
    logs = analysis.read_logs([])
    assert logs.columns.is_unique
    assert analysis.groups(logs) == {}
    analysis.check_one_experiment(logs)


def test_a_missing_experiment_is_named() -> None:
    run = Run("results", {"": Config(), "fars/cohen/": Config()})
    with pytest.raises(InputError, match=r"papers\.fars\.experiments must include mlp, got cohen"):
        run.certificates("fars/mlp/")
    with pytest.raises(InputError, match="papers must include fars, got none"):
        run.paper("fars")


def counted(path: Path, purpose: str = "variance") -> Path:
    """Two images, three repeats of 10 draws over two classes, as cumulative counts."""
    repeats = np.array([[[5, 5], [7, 3], [6, 4]], [[10, 0], [10, 0], [10, 0]]])
    meta = {"kind": "counts", "sigma": 0.5, "purpose": purpose}
    counts = Counts(np.arange(2), np.zeros(2, int), np.array([10, 20, 30]), repeats.cumsum(1), np.ones((2, 3)), meta)
    counts.write(path)
    return path


def test_tables_4_and_5_by_hand(tmp_path: Path) -> None:
    repeats = table4.load([counted(tmp_path / "counts.npz")])
    row = table4.make(repeats, analysis.Settings()).iloc[0]
    # the variance of 5, 7, 6 is 1; the second image has none
    assert row.tolist() == [0.5, 0.5, 0.5]
    assert table5.make(repeats, analysis.Settings()).iloc[0].tolist() == [0.5, 5.0]


def test_table4_refuses_counts_that_are_no_repeats(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="must hold draws for the purpose variance, got estimation"):
        table4.load([counted(tmp_path / "counts.npz", "estimation")])


def test_table2_is_the_median_in_milliseconds(tmp_path: Path) -> None:
    rows = pd.DataFrame(
        {"method": "cohen", "guarantee": "sound", "n": 100, "image": 0, "repeat": range(3), "seconds": [0.2, 0.1, 0.9]}
    )
    rows.assign(arithmetic="cpu").to_csv(tmp_path / "timing.tsv", sep="\t", index=False)
    table = table2.make(table2.load([tmp_path / "timing.tsv"]), analysis.Settings())
    assert table.to_numpy().tolist() == [["cohen", 200.0]]


def test_comparison_with_the_paper(logs: list[Path]) -> None:
    reported = pd.DataFrame(
        {"sigma": [0.25, 0.25], "method": ["cohen", "resnet56"], "r=0.25": [0.51, 0.5], "ACR": [9.0, 1]}
    )
    data, settings = table1.load(logs), analysis.Settings([0.25])
    rows = comparison.compare(table1, data, settings, reported, Comparison(), False, "digits").set_index("column")
    assert rows.index.tolist() == ["r=0.25", "ACR"]  # there is no ResNet-56 here
    assert rows.loc["r=0.25", ["reported", "ours", "tolerance"]].tolist() == [0.51, 0.5, 0.02]
    assert rows.loc["r=0.25", "difference"] == pytest.approx(-0.01, rel=1e-9)
    # The share of 4 images has standard error 1/4; 200 replicates tell it to 5 %, three such errors are 15 %.
    assert rows.loc["r=0.25", "sampling_error"] == pytest.approx(1.96 / 4, rel=0.15)
    assert rows["within"].tolist() == [True, False]
    assert not rows["comparable"].any()


def test_index_sets_in_words() -> None:
    assert analysis.index_set(np.arange(500)) == "500 images, 0 to 499"
    assert analysis.index_set(np.arange(0, 10000, 20)) == "500 images, 0 to 9980 in steps of 20"
    assert analysis.index_set(np.array([0, 3, 4])) == "3 images between 0 and 4"


def test_summarize_by_hand(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = ["idx\tlabel\tpredict\tradius\tcorrect\ttime", "0\t3\t3\t0.5\t1\t0:00:01", "20\t1\t2\t0.75\t0\t0:00:01"]
    rows += ["40\t8\t-1\t0.0\t0\t0:00:01", "60\t5\t5\t0.25\t1\t0:00:01"]
    (tmp_path / "log.tsv").write_text("\n".join(rows) + "\n")
    assert cli.main(["summarize", str(tmp_path / "log.tsv"), "--radii", "0,0.25,0.5,0.75"]) == 0
    assert capsys.readouterr().out == "images,r=0,r=0.25,r=0.5,r=0.75,ACR\n4,0.5,0.5,0.25,0.0,0.1875\n"


@pytest.mark.parametrize(
    "words", ["table 1", "table 2 a.tsv b.tsv", "figure 3", "figure 1 a.tsv b.tsv", "table 2 cohen.tsv"]
)
def test_wrong_inputs_end_with_one_line(
    words: str, logs: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.iterdir())
    assert cli.main([*words.split(), "--output", "made.csv"]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1
    assert sorted(tmp_path.iterdir()) == before
