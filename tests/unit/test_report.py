"""The report's page, from small tables made by hand; tests/browser looks at a whole one."""

import re
import shutil
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pytest

from accelerated_smoothing import cli, report
from accelerated_smoothing.provenance import records
from accelerated_smoothing.provenance.audit import Node
from accelerated_smoothing.provenance.records import Record
from accelerated_smoothing.report import stages

EXPERIMENT = "digits, <b>N = 1000</b>"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tables I and III and Figure 2 of three methods on four images, by the command line."""
    folder = tmp_path_factory.mktemp("made")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(records, "commit", lambda: {"id": "0" * 40, "clean": True})
        logs = []
        for method, radius in (("cohen", 0.5), ("resnet20", 0.6), ("resnet56", 0.4)):
            guarantee = "sound" if method == "cohen" else "estimated"
            log = pd.DataFrame({"idx": range(4), "label": 1, "predict": 1, "radius": radius, "correct": 1, "time": 0.1})
            logs.append(f"{method}.tsv")
            log = log.assign(experiment="main", method=method, guarantee=guarantee, passes=1100)
            log.assign(n=1000, alpha=0.001, sigma=0.25, sigma0=0.25).to_csv(logs[-1], sep="\t", index=False)
        reported = pd.DataFrame({"sigma": [0.25, 0.25], "method": ["cohen", "resnet20"], "r=0.25": [1.0, 0.321]})
        reported.to_csv("reported1.csv", index=False)
        told = ["--caption", EXPERIMENT, "--output"]
        assert cli.main(["table", "1", *logs, "--reported", "reported1.csv", "--comparable", *told, "table1.csv"]) == 0
        assert cli.main(["table", "3", *logs, *told, "table3.csv"]) == 0
        assert cli.main(["figure", "2", *told, "figure2.svg"]) == 0
    return folder


@pytest.fixture
def copy(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(made, tmp_path / "copy")
    monkeypatch.chdir(tmp_path / "copy")
    monkeypatch.setattr(records, "commit", lambda: {"id": "0" * 40, "clean": True})
    return tmp_path / "copy"


def page(
    *words: str, files: tuple[str, ...] = ("table1.csv", "table3.csv", "table1_vs_paper.csv", "figure2.svg")
) -> str:
    words = (*files, "--template", str(report.TEMPLATE), "--caption", EXPERIMENT, *words, "--output", "report.html")
    assert cli.main(["report", *words]) == 0
    return Path("report.html").read_text()


def rows(text: str, name: str) -> list[list[str]]:
    """The rows of a table with data, as text: a cell's lines with a space."""
    table = re.search(rf'<article id="{name}">.*?</table>', text, re.DOTALL)
    assert table is not None
    found = [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row) for row in re.findall(r"<tr>(.*?)</tr>", table[0])]
    return [[" ".join(re.sub(r"<[^>]*>", " ", cell).split()) for cell in row] for row in found if len(row) > 1]


def test_a_table_is_shown_beside_the_papers_numbers(copy: Path) -> None:
    header, cohen, small, large = rows(page(), "table1")
    assert header[:4] == ["method", "N", "guarantee", "r = 0.25"]
    assert cohen[:4] == ["cohen the paper", "1000", "sound", "100.0% the paper: \u2248 100.0%"]
    assert small[:4] == ["resnet20 the paper", "1000", "estimated", "100.0% the paper: \u2260 32.1%"]
    assert large[:4] == ["resnet56", "1000", "estimated", "100.0%"]
    assert (cohen[-1], small[-1], large[-1]) == ("-", "100.0%", "0.0%")


def test_the_page_says_whose_experiment_it_is(copy: Path) -> None:
    assert "the paper\u2019s own experiment" in page()
    words = ["cohen.tsv", "resnet20.tsv", "resnet56.tsv", "--reported", "reported1.csv", "--caption", EXPERIMENT]
    assert cli.main(["table", "1", *words, "--no-comparable", "--output", "table1.csv"]) == 0
    text = page()
    assert "not the paper\u2019s own experiment" in text
    assert rows(text, "table1")[2][3] == "100.0% the paper: 32.1%"


def test_estimates_have_their_word_and_rate_in_other_tables_too(copy: Path) -> None:
    header, *others = rows(page(), "table3")
    assert (header[1], header[-1]) == ("guarantee", "exceeds")
    assert [(row[0], row[1], row[-1]) for row in others] == [
        ("resnet20", "estimated", "100.0%"),
        ("resnet56", "estimated", "0.0%"),
    ]


def test_equal_files_give_an_equal_page(copy: Path) -> None:
    assert page() == page()


def test_what_it_is_told_is_text(copy: Path) -> None:
    text = page()
    assert "&lt;b&gt;N = 1000" in text
    assert "<b>" not in text
    assert "<script" not in text
    assert not re.search(r'(src|href)="(?!data:|#|table|figure)', text)


def test_the_page_says_whether_the_audit_holds(copy: Path) -> None:
    text = page()
    assert "<strong>The audit does not hold.</strong>" in text  # nobody knows what made these logs
    assert "had no record when it was read" in text
    assert "changed since it was made" not in text
    with Path("table3.csv").open("a") as stream:
        stream.write("\n")
    text = page()
    assert "changed since it was made" in text
    assert "BAD table3.csv" in text


def test_without_records_it_is_made_and_says_so(copy: Path) -> None:
    for record in copy.glob("*.record.json"):
        record.unlink()
    assert "no such record" in page()


def test_estimates_may_be_missing(copy: Path) -> None:
    words = ["cohen.tsv", "--caption", EXPERIMENT, "--output"]
    for number in "13":
        assert cli.main(["table", number, *words, f"table{number}.csv"]) == 0
    assert len(rows(page(files=("table1.csv", "table3.csv")), "table3")) == 1


@pytest.mark.parametrize(
    ("files", "told"), [(["figure2.png"], "one paper"), (["broken/table1.csv"], "broken/table1.csv")]
)
def test_what_no_page_can_be_made_from_is_told(
    copy: Path, files: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("broken").mkdir()
    Path("broken/table1.csv").write_text("nothing,of,the,kind\n")
    assert cli.main(["report", *files, "--template", str(report.TEMPLATE), "--output", "report.html"]) == 2
    assert told in capsys.readouterr().err
    assert not Path("report.html").exists()


def record(verb: str, command: str, seconds: float, minute: int = 0, **machine: str) -> Record:
    started = datetime(2026, 1, 1, 0, minute, tzinfo=UTC)
    return Record.model_construct(
        verb=verb, command=command.split(), seconds=seconds, bytes=10, started=started, machine=machine
    )


def test_stages_count_executions_and_hours_once() -> None:
    data = [Node(Path(f"data{split}"), record("data", "data digits", 3)) for split in (0, 1)]
    gpu, cpu = record("count", "count 0", 3600, gpu="H200"), record("count", "count 1", 1800)
    counts = [Node(Path(f"counts{i}"), made, inputs={"images": data[0]}) for i, made in enumerate((gpu, cpu, cpu))]
    table = Node(Path("table"), record("table", "table 1", 1), inputs={"a": counts[0], "b": data[1]})
    again = Node(Path("again"), record("table", "table 1", 1, minute=1), inputs={"a": counts[0]})
    layers = stages.stages([table, again, *counts, *data, Node(Path("lost"))])
    assert [[stage.verb for stage in layer] for layer in layers] == [["data"], ["count"], ["table"]]
    (images,), (counted,), (tables,) = layers
    assert (images.jobs, images.files, images.bytes, images.seconds) == (1, 2, 20, 3)
    assert (counted.jobs, counted.files, counted.gpu, counted.cpu) == (2, 3, 1, 0.5)
    assert (tables.jobs, tables.longest) == (2, 1)
    drawn = stages.graph(layers)
    assert len(drawn["arrows"]) == 2  # that from the images to the table is implied
    assert all(
        0 <= box["x"] - box["width"] / 2 < box["x"] + box["width"] / 2 <= drawn["width"] for box in drawn["boxes"]
    )


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.04, "0.0 s"),
        (59.94, "59.9 s"),
        (59.96, "1 min 0 s"),
        (119.6, "2 min 0 s"),
        (3599.7, "1.0 h"),
        (7200, "2.0 h"),
    ],
)
def test_durations(seconds: float, words: str) -> None:
    assert report.duration(seconds) == words


@pytest.mark.parametrize(
    ("amount", "words"), [(0, "0.0 kB"), (1_500, "1.5 kB"), (999_999, "1.0 MB"), (1_234_567, "1.2 MB")]
)
def test_sizes(amount: int, words: str) -> None:
    assert report.size(amount) == words
