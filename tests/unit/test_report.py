"""The pages of papers, from small tables made by hand; tests/browser looks at a whole page."""

import itertools
import re
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import get_args

import pandas as pd
import pytest

from accelerated_smoothing import certify, cli, papers, report
from accelerated_smoothing.analysis import style
from accelerated_smoothing.certify.guarantees import GUARANTEES, weakest
from accelerated_smoothing.provenance import code, records
from accelerated_smoothing.provenance.audit import Node
from accelerated_smoothing.provenance.records import Record
from accelerated_smoothing.report import contents, stages

CAPTION = "digits, <b>N = 1000</b>"


def log(path: str, experiment: str, method: str, guarantee: str, radius: float, n: int = 1000) -> str:
    """Write certificates of four images with one radius, and return their path."""
    rows = pd.DataFrame({"idx": range(4), "label": 1, "predict": 1, "radius": radius, "correct": 1, "time": 0.1})
    rows = rows.assign(experiment=experiment, method=method, guarantee=guarantee, passes=n + 100)
    sigma = 0.25 if n else 0.0
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    rows.assign(n=n, alpha=0.001, sigma=sigma, sigma0=sigma).to_csv(path, sep="\t", index=False)
    return path


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with tables and a figure of each paper, made by the command line."""
    folder = tmp_path_factory.mktemp("built")
    caption = ["--caption", CAPTION, "--output"]
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(records, "commit", lambda: {"id": "0" * 40, "clean": True})
        logs = [
            log(f"{method}.tsv", "main", method, "sound" if method == "cohen" else "estimated", radius)
            for method, radius in (("cohen", 0.5), ("resnet20", 0.6), ("resnet56", 0.4))
        ]
        reported = pd.DataFrame({"sigma": [0.25, 0.25], "method": ["cohen", "resnet20"], "r=0.25": [1.0, 0.321]})
        reported.to_csv("reported1.csv", index=False)
        assert (
            cli.main(["table", "1", *logs, "--reported", "reported1.csv", "--comparable", *caption, "table1.csv"]) == 0
        )
        assert cli.main(["table", "3", *logs, *caption, "table3.csv"]) == 0
        assert cli.main(["figure", "2", *caption, "figure2.svg"]) == 0

        logs = [
            log(f"data-dependent/{experiment}/{method}.tsv", f"data-dependent/{experiment}", method, guarantee, 0.5)
            for experiment, method, guarantee in (
                ("cohen", "cohen", "sound"),
                ("cohen", "ascent100", "memory"),
                ("cohen-ds", "ascent100", "memory"),
            )
        ]
        numbers = ["--reported", str(code.ROOT / "resources/reported/data-dependent/table1.csv")]
        assert cli.main(["table", "data-dependent/1", *logs, *numbers, *caption, "data-dependent/table1.csv"]) == 0
        assert cli.main(["figure", "data-dependent/3", *logs, *caption, "data-dependent/figure3.svg"]) == 0

        methods = {"margin": "deterministic", "sparsemax": "deterministic"}
        methods |= {"top-logit": "estimated", "top-sparsemax": "estimated"}
        logs = [
            log(f"fars/{layer}/{method}.tsv", f"fars/{layer}", method, guarantee, 0.1, n=0)
            for layer, (method, guarantee) in itertools.product(("original", "lmt", "backbone"), methods.items())
        ]
        logs.append(log("fars/mlp/embedded.tsv", "fars/mlp", "embedded", "sound", 0.3))
        assert cli.main(["table", "fars/1", *logs, *caption, "fars/table1.csv"]) == 0
    return folder


@pytest.fixture
def copy(built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(built, tmp_path / "copy")
    monkeypatch.chdir(tmp_path / "copy")
    monkeypatch.setattr(records, "commit", lambda: {"id": "0" * 40, "clean": True})
    return tmp_path / "copy"


def page(
    *words: str, files: tuple[str, ...] = ("table1.csv", "table3.csv", "table1_vs_paper.csv", "figure2.svg")
) -> str:
    words = (*files, "--template", str(report.TEMPLATE), "--caption", CAPTION, *words, "--output", "report.html")
    assert cli.main(["report", *words]) == 0
    return Path("report.html").read_text()


def rows(text: str, name: str) -> list[list[str]]:
    """Return the rows of a table with data as text. The lines of a cell are joined by a space."""
    table = re.search(rf'<article id="{name}">.*?</table>', text, re.DOTALL)
    assert table is not None
    cells = [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row) for row in re.findall(r"<tr>(.*?)</tr>", table[0])]
    return [[" ".join(re.sub(r"<[^>]*>", " ", cell).split()) for cell in row] for row in cells if len(row) > 1]


def test_a_table_is_shown_beside_the_papers_numbers(copy: Path) -> None:
    header, cohen, small, large = rows(page(), "table1")
    assert header[:4] == ["method", "N", "guarantee", "r = 0.25"]
    assert cohen[:4] == ["cohen the paper", "1000", "sound", "100.0% the paper: \u2248 100.0%"]
    assert small[:4] == ["resnet20 the paper", "1000", "estimated", "100.0% the paper: \u2260 32.1%"]
    assert large[:4] == ["resnet56", "1000", "estimated", "100.0%"]
    assert (cohen[-1], small[-1], large[-1]) == ("-", "100.0%", "0.0%")


def test_the_page_says_whose_experiment_it_is(copy: Path) -> None:
    assert "the paper\u2019s own experiment" in page()
    words = ["cohen.tsv", "resnet20.tsv", "resnet56.tsv", "--reported", "reported1.csv", "--caption", CAPTION]
    assert cli.main(["table", "1", *words, "--no-comparable", "--output", "table1.csv"]) == 0
    text = page()
    assert "not the paper\u2019s own experiment" in text
    assert rows(text, "table1")[2][3] == "100.0% the paper: 32.1%"


@pytest.mark.parametrize("content", [None, b"", b"a,b\n1,2\n"])
def test_a_table_without_the_papers_numbers_is_not_written(
    copy: Path, capsys: pytest.CaptureFixture[str], content: bytes | None
) -> None:
    if content is not None:
        Path("numbers.csv").write_bytes(content)
    words = ["cohen.tsv", "resnet20.tsv", "resnet56.tsv", "--reported", "numbers.csv"]
    assert cli.main(["table", "1", *words, "--output", "new.csv"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "numbers.csv must be the paper's table, got" in line
    assert not list(Path().glob("new*"))


def test_estimates_have_their_word_and_rate_in_other_tables_too(copy: Path) -> None:
    header, *others = rows(page(), "table3")
    assert (header[1], header[-1]) == ("guarantee", "exceeds")
    assert [(row[0], row[1], row[-1]) for row in others] == [
        ("resnet20", "estimated", "100.0%"),
        ("resnet56", "estimated", "0.0%"),
    ]


def test_equal_files_give_an_equal_page(copy: Path) -> None:
    assert page() == page()


def test_the_caption_is_text(copy: Path) -> None:
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
    words = ["cohen.tsv", "--caption", CAPTION, "--output"]
    for number in "13":
        assert cli.main(["table", number, *words, f"table{number}.csv"]) == 0
    assert len(rows(page(files=("table1.csv", "table3.csv")), "table3")) == 1


@pytest.mark.parametrize(
    ("files", "error"),
    [
        (["figure2.png"], "of one paper"),
        (["table1.csv", "data-dependent/figure3.svg"], "of one paper, got those of 2 papers"),
        (["table1.csv", "fars/table1.csv"], "FILES must have different names"),
        (["broken/table1.csv"], "broken/table1.csv"),
    ],
)
def test_errors_are_one_line_and_leave_no_page(
    copy: Path, files: list[str], error: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("broken").mkdir()
    Path("broken/table1.csv").write_text("nothing,of,the,kind\n")
    assert cli.main(["report", *files, "--template", str(report.TEMPLATE), "--output", "report.html"]) == 2
    assert error in capsys.readouterr().err
    assert not Path("report.html").exists()


def sister(folder: str, *names: str) -> str:
    return page(files=tuple(f"{folder}/{name}" for name in names))


def test_the_page_of_a_sister_paper(copy: Path) -> None:
    text = sister("data-dependent", "table1.csv", "table1.md", "table1_vs_paper.csv", "figure3.svg", "figure3.png")
    table, figure = papers.table("data-dependent/table1"), papers.figure("data-dependent/figure3")
    assert "<h1>Data-Dependent Randomized Smoothing</h1>" in text
    assert "not the paper\u2019s own experiment" in text
    assert table.title in text
    assert table.note in text
    header, fixed, *others = rows(text, "table1")
    assert header[:2] == ["certify", "guarantee"]
    reported = pd.read_csv(code.ROOT / "resources/reported/data-dependent/table1.csv").set_index(["train", "certify"])
    number = reported.loc[("FS", "FS"), "r=0.25"]
    assert fixed[:3] == ["FS the paper", "sound", f"100.0% the paper: {number:.1%}"]
    assert [row[1] for row in others] == ["memory", "memory"]
    assert [group.strip() for group in re.findall(r'scope="rowgroup"[^>]*>(.*?)<', text)] == [
        "train = FS",
        "train = DS",
    ]
    (alt,) = re.findall(r'<img [^>]*alt="(.*?)"', text)
    assert alt != figure.title
    assert len(alt) > 60
    assert not re.search(r'(src|href)="(?!data:|#|data-dependent/)', text)


def explained(text: str) -> set[str]:
    """Return the guarantees that a page explains."""
    return set(re.findall(r'<dt><span class="(\w+)">', text))


def test_a_number_is_worth_what_its_weakest_radius_is() -> None:
    assert weakest(["sound", "conformal", "deterministic", "sound"]) == "conformal"
    assert weakest(["conformal", "estimated"]) == "estimated"
    assert weakest([]) == ""


def test_each_page_explains_the_guarantees_that_it_shows(copy: Path) -> None:
    assert list(GUARANTEES) == list(style.GUARANTEES) == list(get_args(certify.Guarantee))
    assert explained(page()) == {"sound", "estimated"}
    assert explained(sister("data-dependent", "table1.csv")) == {"sound", "memory"}
    assert explained(sister("fars", "table1.csv")) == {"sound", "deterministic", "estimated"}


def test_rows_are_grouped_by_all_keys_but_the_last(copy: Path) -> None:
    text = sister("fars", "table1.csv")
    groups = re.findall(r'scope="rowgroup"[^>]*>(.*?)<', text)
    assert groups[0] == "classifier = original, \u03c3 = 0.0"
    assert groups[-1] == "classifier = mlp, \u03c3 = 0.25"
    assert [row[0] for row in rows(text, "table1")[1:5]] == ["margin", "sparsemax", "top-logit", "top-sparsemax"]


def test_a_record_says_what_a_file_is(copy: Path) -> None:
    logs = ["cohen.tsv", "resnet20.tsv", "resnet56.tsv"]
    assert cli.main(["table", "1", *logs, "--output", "fars/table2.csv"]) == 0
    assert contents.item(Path("fars/table2.csv")) == "table1"
    assert [contents.item(Path(f"fars/table2{end}")) for end in (".md", "_vs_paper.csv")] == [None, None]
    text = sister("fars", "table2.csv")
    assert "<h1>Accelerated Smoothing</h1>" in text
    assert papers.table("table1").title in text
    Path("fars/table2.csv.record.json").unlink()
    assert contents.item(Path("fars/table2.csv")) == "fars/table2"


def test_every_table_has_a_note() -> None:
    for name in itertools.chain(*map(papers.items, papers.papers())):
        item = papers.find(name)
        assert item.title.strip(". ") == item.title
        if "table" in name:
            assert papers.table(name).note.endswith(".")


def captioned() -> Iterator[tuple[str, str]]:
    """Yield each caption of Snakemake's report with the rule that uses it."""
    for path in sorted((code.ROOT / "rules").glob("*.smk")):
        for rule in re.split(r"^rule ", path.read_text(), flags=re.MULTILINE)[1:]:
            for name in re.findall(r"captions/(\w+\.rst)", rule):
                yield name, rule


def test_captions_name_what_their_rules_have() -> None:
    captions = list(captioned())
    files = {path.name for path in (code.ROOT / "resources/captions").glob("*.rst")}
    assert {name for name, _ in captions} == files - {"workflow.rst"}
    for name, rule in captions:
        text = (code.ROOT / "resources/captions" / name).read_text()
        for part, key in re.findall(r"snakemake\.(\w+)\.(\w+)", text):
            section = re.search(rf"^    {part}:\n((?:        .*\n)+)", rule, re.MULTILINE)
            assert section is not None
            assert f"        {key}=" in section[1]


def record(verb: str, command: str, seconds: float, minute: int = 0, **machine: str) -> Record:
    started = datetime(2026, 1, 1, 0, minute, tzinfo=UTC)
    return Record.model_construct(
        verb=verb, command=command.split(), seconds=seconds, bytes=10, started=started, machine=machine
    )


def test_stages_count_executions_and_hours_once() -> None:
    data = [Node(Path(f"data{split}"), record("data", "data digits", 3)) for split in (0, 1)]
    gpu, cpu = record("count", "count 0", 3600, gpu="H200"), record("count", "count 1", 1800)
    counts = [Node(Path(f"counts{i}"), run, inputs={"images": data[0]}) for i, run in enumerate((gpu, cpu, cpu))]
    table = Node(Path("table"), record("table", "table 1", 1), inputs={"a": counts[0], "b": data[1]})
    again = Node(Path("again"), record("table", "table 1", 1, minute=1), inputs={"a": counts[0]})
    layers = stages.stages([table, again, *counts, *data, Node(Path("lost"))])
    assert [[stage.verb for stage in layer] for layer in layers] == [["data"], ["count"], ["table"]]
    (images,), (counted,), (tables,) = layers
    assert (images.jobs, images.files, images.bytes, images.seconds) == (1, 2, 20, 3)
    assert (counted.jobs, counted.files, counted.gpu, counted.cpu) == (2, 3, 1, 0.5)
    assert (tables.jobs, tables.longest) == (2, 1)
    assert len(stages.graph(layers)["arrows"]) == 2  # the one from the images to the table follows from these


def test_a_classifier_of_embeddings_is_trained_in_a_second_turn() -> None:
    """In FaRS a head is trained on the embeddings of a backbone, so a verb depends on itself."""
    images = Node(Path("images"), record("data", "data digits", 1))
    backbone = Node(Path("backbone"), record("train-base", "train-base 1", 1), inputs={"images": images})
    embeddings = Node(Path("embeddings"), record("embed", "embed", 1), inputs={"base": backbone, "images": images})
    head = Node(Path("head"), record("train-base", "train-base 2", 1), inputs={"images": embeddings})
    counts = [
        Node(Path(f"counts{i}"), record("count", f"count {i}", 1), inputs={"base": base})
        for i, base in enumerate((backbone, head))
    ]
    layers = stages.stages([*counts, head, embeddings, backbone, images])
    names = [[stage.name for stage in layer] for layer in layers]
    assert names == [["data"], ["train-base"], ["embed"], ["train-base-2"], ["count"]]
    assert layers[3][0].words == "Base classifier, turn 2"
    assert layers[4][0].jobs == 2
    assert len(stages.graph(layers)["arrows"]) == 4


def test_boxes_hold_their_text_and_do_not_overlap() -> None:
    verbs = ("attack", "certify", "choose", "count", "data", "time", "train-surrogate")
    layers = stages.stages([Node(Path(verb), record(verb, verb, 1)) for verb in verbs])
    assert [len(layer) for layer in layers] == [len(verbs)]
    graph = stages.graph(layers)
    assert graph["height"] == max(box["y"] for box in graph["boxes"]) + stages.HEIGHT
    for box in graph["boxes"]:
        assert 0 <= box["x"] - box["width"] / 2 < box["x"] + box["width"] / 2 <= graph["width"]
        assert " ".join(text for text, _ in box["lines"]) == box["stage"].words
        baselines = [y for _, y in box["lines"]] + [box["costs"]]
        assert box["y"] + 10 < baselines[0] <= baselines[-1] < box["y"] + box["height"] - 3
    for one, other in itertools.combinations(graph["boxes"], 2):
        assert abs(one["x"] - other["x"]) >= one["width"] or abs(one["y"] - other["y"]) >= one["height"]


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
