"""Records and the audit, on a small chain of real files; tests/workflow audits the whole workflow's."""

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import jsonschema
import pytest

from accelerated_smoothing import cli
from accelerated_smoothing.files import sha256
from accelerated_smoothing.provenance import audit, code, records

GATHER = ["gather", "results/shards/0.npz", "results/shards/1.npz", "--output", "results/counts.npz"]


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which counts were made by the command line, from the images on."""
    folder = tmp_path_factory.mktemp("chain")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(records, "commit", lambda: {"id": "0" * 40, "clean": True})  # whatever this tree is
        assert cli.main(["data", "digits", "--train", "train.npz", "--test", "test.npz"]) == 0
        train = "train-base gaussian --train train.npz --test test.npz --sigma 0.5 --arch resnet8 --epochs 1 --output"
        assert cli.main([*train.split(), "base.safetensors"]) == 0
        for shard in range(2):
            words = (
                f"count --base base.safetensors --images test.npz --slice :4 --shard {shard}/2 --sigma 0.5 --sizes 10"
            )
            assert cli.main([*words.split(), "--output", f"results/shards/{shard}.npz"]) == 0
        assert cli.main(GATHER) == 0
    return folder


@pytest.fixture
def copy(chain: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "copy"
    shutil.copytree(chain, folder)
    monkeypatch.chdir(folder)
    monkeypatch.setattr(records, "commit", lambda: {"id": "0" * 40, "clean": True})
    return folder


def faults(target: str = "results/counts.npz") -> dict[str, list[str]]:
    """Problems by file."""
    nodes = audit.audit([Path(target)])
    report = json.loads(audit.as_json(nodes))
    problems = {entry["file"]: entry["problems"] for entry in report["files"] if entry["problems"]}
    assert report["holds"] == (not problems) == all(node.holds() for node in nodes)
    return problems


def test_a_record_says_what_made_a_file(copy: Path) -> None:
    record = records.read(Path("results/shards/1.npz"))
    assert record.version == records.VERSION
    assert record.file == "results/shards/1.npz"
    assert record.sha256 == sha256(Path("results/shards/1.npz"))
    assert record.bytes == Path("results/shards/1.npz").stat().st_size
    assert record.about["arithmetic"].startswith("cpu-")
    assert record.command[:3] == ["count", "--base", "base.safetensors"]
    arguments = record.arguments
    assert [arguments[name] for name in ("seed", "sigma", "shard", "sizes")] == [0, 0.5, "1/2", [10]]
    assert record.plugins == ["architectures.resnet", "models.families.resnet", "noise.distributions.gaussian"]
    assert record.inputs.keys() == {"base.safetensors", "test.npz"}
    assert record.packages.keys() >= {"torch", "numpy", "openvino", "numba"}
    assert not record.packages.keys() & {"matplotlib", "pandas", "json"}
    assert record.workflow is None
    assert record.machine.keys() >= {"host", "platform", "processor"}
    assert 0 < record.seconds < 600
    assert str(copy.parents[1]) not in records.record_of(Path("results/shards/1.npz")).read_text()


def test_records_follow_their_documented_schema(copy: Path) -> None:
    schema = json.loads((code.ROOT / "resources/record.schema.json").read_text())
    assert schema == json.loads(records.schema()), "accelerated-smoothing schema record > resources/record.schema.json"
    record = json.loads(Path("results/counts.npz.record.json").read_text())
    jsonschema.validate(record, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**record, "more": 1}, schema)


def test_a_record_says_what_snakemake_was_told(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    options = {"snakemake": "9.99", "configfiles": ["presets/demo.yaml"], "config": ["seed=3"]}
    monkeypatch.setenv(records.WORKFLOW, json.dumps(options))
    assert cli.main(GATHER) == 0
    workflow = records.read(Path("results/counts.npz")).workflow
    assert workflow is not None
    assert workflow.model_dump() == options


def test_no_path_of_this_machine_stands_in_a_record(copy: Path) -> None:
    assert cli.main(["gather", f"{copy}/results/shards/0.npz", f"--output={copy}/one.npz"]) == 0
    assert str(copy) not in Path("one.npz.record.json").read_text()
    assert records.read(Path("one.npz")).command == ["gather", "results/shards/0.npz", "--output=one.npz"]


def test_what_holds_is_told_in_a_tree(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert faults() == {}
    assert cli.main(["audit", "results/counts.npz"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "ok  results/counts.npz",
        "  ok  results/shards/0.npz",
        "    ok  base.safetensors",
        "      ok  test.npz",
        "      ok  train.npz",
        "  ok  results/shards/1.npz",
        "holds: all 6 files",
    ]


def test_a_results_folder_can_be_moved(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (copy / "elsewhere").mkdir()
    for part in ("results", *(path.name for path in copy.glob("*.*"))):
        (copy / part).rename(copy / "elsewhere" / part)
    assert faults("elsewhere/results/counts.npz") == {}
    monkeypatch.chdir(copy / "elsewhere/results")
    assert faults("counts.npz") == {}


def flip(path: Path, place: int) -> None:
    content = bytearray(path.read_bytes())
    content[place % len(content)] ^= 0x41
    path.write_bytes(content)


@pytest.mark.parametrize("place", [0, 100, -1])
@pytest.mark.parametrize("file", ["results/counts.npz", "results/shards/0.npz"])
def test_an_altered_file_is_told_and_no_other(copy: Path, file: str, place: int) -> None:
    flip(Path(file), place)
    assert faults() == {file: ["changed since it was made"]}
    assert cli.main(["audit", "results/counts.npz"]) == 1


@pytest.mark.parametrize("place", [0, 1, 100, 400, -100, -3, -1])
@pytest.mark.parametrize("file", ["results/counts.npz", "results/shards/0.npz"])
def test_an_altered_record_is_told(copy: Path, file: str, place: int) -> None:
    flip(Path(f"{file}.record.json"), place)
    problems = faults()
    assert problems.keys() == {file}
    assert f"{file}.record.json" in problems[file][0]


def test_what_is_missing_is_told(copy: Path) -> None:
    Path("results/shards/0.npz").unlink()
    assert faults() == {}  # but a note, as for every kind of file without which results may come
    Path("results/shards/1.npz.record.json").unlink()
    assert "no such record" in faults()["results/shards/1.npz"][0]
    Path("results/shards/1.npz").unlink()
    assert faults()["results/shards/1.npz"] == ["missing"]
    Path("results/counts.npz").unlink()
    assert faults()["results/counts.npz"] == ["missing"]


@pytest.mark.parametrize("suffixes", [[""], ["", ".record.json"]])
def test_swapped_files_are_told(copy: Path, suffixes: list[str]) -> None:
    for suffix in suffixes:
        one, two = (Path(f"results/shards/{shard}.npz{suffix}") for shard in range(2))
        one.rename("third")
        two.rename(one)
        Path("third").rename(two)
    problems = faults()
    assert problems.keys() - {"results/counts.npz"} == {"results/shards/0.npz", "results/shards/1.npz"}
    if len(suffixes) > 1:
        assert problems["results/shards/0.npz"] == [
            "its record is of results/shards/1.npz, not of results/shards/0.npz"
        ]


def test_a_file_under_another_name_is_told(copy: Path) -> None:
    for suffix in ("", ".record.json"):
        shutil.copy(f"results/counts.npz{suffix}", f"results/other.npz{suffix}")
    assert faults("results/other.npz") == {"results/other.npz": ["its record is of results/counts.npz"]}


def test_what_is_no_built_file_is_told(copy: Path) -> None:
    assert faults("results") == {"results": ["is a folder; name files in it"]}
    name = "results/counts.npz.record.json"
    assert faults(name) == {name: ["is a record; audit counts.npz"]}


TABLE = "table 4 counts.npz --output table4.csv"


def test_an_input_that_no_verb_makes_is_held_against_its_hash(copy: Path) -> None:
    count = "count --base base.safetensors --images test.npz --slice :4 --sigma 0.5 --sizes 10 20 --purpose variance"
    assert cli.main([*count.split(), "--output", "counts.npz"]) == 0
    shutil.copy(code.ROOT / "resources/reported/table4.csv", "reported.csv")
    assert cli.main([*TABLE.split(), "--reported", "reported.csv"]) == 0
    assert faults("table4.csv") == {}
    flip(Path("reported.csv"), 500)
    assert faults("table4.csv") == {"table4.csv": ["made from a reported.csv that has changed since"]}
    Path("reported.csv").unlink()
    assert faults("table4.csv") == {"reported.csv": ["missing"]}


def test_an_input_that_lost_its_record_is_told(copy: Path) -> None:
    """By hand a file can be altered, stripped of its record, and used all the same."""
    count = "count --base base.safetensors --images test.npz --slice :4 --sigma 0.5 --sizes 10 20 --purpose variance"
    assert cli.main([*count.split(), "--output", "counts.npz"]) == 0
    Path("counts.npz.record.json").unlink()
    assert cli.main(TABLE.split()) == 0
    assert faults("table4.csv") == {"counts.npz": ["had no record when it was read, so what made it is unknown"]}


def reseal(file: str, **changes: object) -> None:
    """Change a record so that its seal fits."""
    path = Path(f"{file}.record.json")
    record = json.loads(path.read_text())
    record.pop("~seal")
    path.write_text(records._sealed({**record, **changes}))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"command": ["gather", "--help"]}, "this version does not know its command"),
        ({"command": ["audit", "x"]}, "its record's command and arguments contradict one another"),
        ({"verb": "data"}, "its record's command and arguments contradict one another"),
        ({"inputs": {}}, "its record does not list results/shards/0.npz, which its command reads"),
        ({"about": {}}, "its record does not describe its content"),
        ({"python": "3.9.1"}, "made with Python 3.9, now 3."),
        ({"code": {}}, "its code has changed since: "),
        ({"commit": {"id": "1" * 40, "clean": False}}, "made with changes that were not committed to 111111111111"),
    ],
)
def test_a_record_that_contradicts_itself_or_its_file_is_told(
    copy: Path, changes: dict[str, object], message: str
) -> None:
    reseal("results/counts.npz", **changes)
    problems = faults()
    assert problems.keys() == {"results/counts.npz"}
    assert any(message in problem for problem in problems["results/counts.npz"])


def test_a_seed_that_is_not_that_of_the_counts_is_told(copy: Path) -> None:
    shard = "results/shards/0.npz"
    record = records.read(Path(shard))
    reseal(shard, command=[*record.command, "--seed", "5"], arguments={**record.arguments, "seed": 5})
    assert "its seed is 0, but its command has 5" in faults(shard)[shard]


def test_where_there_is_no_git_it_is_said(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "commit", lambda: None)
    assert cli.main(GATHER) == 0
    (root,) = audit.audit([Path("results/counts.npz")])
    assert root.holds()
    assert "note: made without git: the commit of the code is unknown" in audit.tree([root])


def test_what_was_made_again_since_is_told_where_it_was_read(copy: Path) -> None:
    words = "count --base base.safetensors --images test.npz --slice :4 --shard 0/2 --sigma 0.5 --sizes 10 --seed 1"
    assert cli.main([*words.split(), "--output", "results/shards/0.npz"]) == 0
    assert faults() == {"results/counts.npz": ["made from a results/shards/0.npz that has changed since"]}


def test_a_tree_with_changes_is_told(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "commit", lambda: {"id": "1" * 40, "clean": False})
    assert cli.main(GATHER) == 0
    assert faults() == {"results/counts.npz": ["made with changes that were not committed to 111111111111"]}


def test_the_commit_is_that_of_a_repository_or_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(code, "ROOT", tmp_path)
    assert records.commit() is None
    git = ["git", "-C", str(tmp_path), "-c", "user.name=n", "-c", "user.email=e@x"]
    (tmp_path / "file").write_text("1")
    for words in (["init", "-q"], ["add", "."], ["commit", "-qm", "first"]):
        subprocess.run([*git, *words], check=True)
    head = records.commit()
    assert head is not None
    assert (len(head["id"]), head["clean"]) == (40, True)
    (tmp_path / "another").write_text("not tracked")
    assert records.commit() == head
    (tmp_path / "src").mkdir()
    (tmp_path / "src/method.py").write_text("code that no commit holds")
    assert records.commit() == {**head, "clean": False}
    (tmp_path / "src/method.py").unlink()
    monkeypatch.setattr(code, "ROOT", tmp_path / "src")  # a copy within another repository
    assert records.commit() is None
    monkeypatch.setattr(code, "ROOT", tmp_path)
    (tmp_path / "file").write_text("2")
    assert records.commit() == {**head, "clean": False}


def code_of(verb: str, **facts: list[str]) -> set[str]:
    return set(code.modules(verb, code.plugins(verb, facts)))


def test_the_code_of_a_verb_is_what_it_imports_and_the_plugins_that_its_facts_name() -> None:
    count = code_of("count", noise=["gaussian"], family=["resnet"])
    assert count >= {"verbs.count", "counting.sampling", "counting.engines.openvino", "counting.engines.pytorch"}
    assert count >= {"noise", "noise.distributions.gaussian", "models.families.resnet"}
    assert not count & {"noise.distributions.uniform", "models.families.sll", "sigmas.ways.ascent"}
    assert not [name for name in count if name.startswith(("analysis", "certify", "training", "provenance", "papers"))]
    cohen = code_of("certify", certifier=["cohen"], noise=["gaussian"])
    assert cohen >= {"certify.methods.cohen", "certify.statistics", "counting.counts", "noise.distributions.gaussian"}
    assert "certify.methods.accelerated" not in cohen
    macer = code_of("train-base", way=["macer"], noise=["gaussian"], family=["resnet"])
    assert macer >= {"training.base", "training.ways.macer", "noise.distributions.gaussian", "sigmas.ways.ascent"}
    assert not macer & {"training.surrogate", "training.ways.gaussian"}
    table = code_of("table", item=["table1"])
    assert "papers.accelerated_smoothing.accuracy" in table
    assert not table & {"counting.sampling", "papers.fars"}
    assert code.digest("table", {"item": ["table1"]}) != code.digest("table", {"item": ["table2"]})


@pytest.fixture
def edited(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Pretend that a module was edited."""
    hashed = code.hashed

    def edit(module: str) -> None:
        monkeypatch.setattr(code, "hashed", lambda name: "another" if name == module else hashed(name))

    return edit


@pytest.mark.parametrize(
    ("module", "verb", "facts", "changes"),
    [
        ("models.families.sll", "count", {"noise": ["gaussian"], "family": ["resnet"]}, False),
        (
            "models.families.sll",
            "train-base",
            {"way": ["gaussian"], "noise": ["gaussian"], "family": ["resnet"]},
            False,
        ),
        ("models.families.sll", "count", {"noise": ["gaussian"], "family": ["sll"]}, True),
        ("noise.distributions.gaussian", "figure", {"item": ["figure3"], "noise": ["gaussian"]}, True),
        ("noise.distributions.uniform", "figure", {"item": ["figure3"], "noise": ["gaussian"]}, False),
        ("certify.methods.accelerated", "certify", {"certifier": ["cohen"], "noise": ["gaussian"]}, False),
        ("data.sets.cifar10", "data", {"dataset": ["digits"]}, False),
    ],
)
def test_an_edit_changes_the_digests_of_what_runs_it(
    edited: Callable[[str], None], module: str, verb: str, facts: dict[str, list[str]], changes: bool
) -> None:
    before = code.digest(verb, facts)
    edited(module)
    assert (code.digest(verb, facts) != before) == changes


def test_a_notebook_runs_what_it_imports() -> None:
    notebooks = code.ROOT / "notebooks"
    table1 = code_of("notebook", notebook=[str(notebooks / "table1.ipynb")])
    assert "papers.accelerated_smoothing.curves" in table1
    assert "counting.counts" in code_of("notebook", notebook=[str(notebooks / "image.ipynb")])


@pytest.mark.parametrize("kept", [True, False])
def test_a_change_of_code_is_told_by_its_module(
    copy: Path, edited: Callable[[str], None], monkeypatch: pytest.MonkeyPatch, kept: bool
) -> None:
    """It is a problem, unless git has the code that made the file."""
    before, read = code.hashed("counting.sampling"), records.read
    commit = records.Commit(id="c" * 40, clean=True)
    monkeypatch.setattr(records, "read", lambda path: read(path).model_copy(update={"commit": commit}))
    monkeypatch.setattr(code, "at_commit", lambda *_: before if kept else "another")
    edited("counting.sampling")
    problems = ["its code has changed since: counting.sampling"]
    assert faults() == ({} if kept else {"results/shards/0.npz": problems, "results/shards/1.npz": problems})
    notes = {note for node in audit.walk(audit.audit([Path("results/counts.npz")])) for note in node.notes}
    expected = {"made by the code of commit cccccccccccc; changed since: counting.sampling"}
    assert notes == (expected if kept else set())


def test_the_code_of_a_commit_is_read_from_git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "src/accelerated_smoothing"
    (package / "noise").mkdir(parents=True)
    (package / "noise/__init__.py").write_text('"""Words."""\nA = 1\n')
    (package / "files.py").write_text("B = 1\n")

    def git(*words: str) -> str:
        own = ["git", "-C", str(tmp_path), "-c", "user.name=x", "-c", "user.email=x@example.org"]
        return subprocess.run([*own, *words], capture_output=True, text=True, check=True).stdout.strip()

    git("init", "--quiet")
    git("add", "--all")
    git("commit", "--quiet", "--message", "Begin")
    monkeypatch.setattr(code, "ROOT", tmp_path)
    monkeypatch.setattr(code, "PACKAGE", package)
    for function in (code.hashed, code._tree):
        function.cache_clear()
    commit, before = git("rev-parse", "HEAD"), {name: code.hashed(name) for name in ("noise", "files")}
    (package / "noise/__init__.py").write_text("A = 2\n")
    (package / "files.py").unlink()
    assert {name: code.at_commit(commit, name) for name in before} == before
    assert code.at_commit(commit, "none") is None
    assert code.at_commit("0" * 40, "files") is None
    for function in (code.hashed, code._tree):
        function.cache_clear()


def test_another_environment_is_told_where_it_matters(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    version = records.version
    monkeypatch.setattr(records, "version", lambda name: "1.0" if name in ("openvino", "pandas") else version(name))
    problems = [f"made with openvino {version('openvino')}, now 1.0"]
    assert faults() == {"results/shards/0.npz": problems, "results/shards/1.npz": problems}


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("def f(x):\n    return x + 1\n", True),
        ('# why\n\ndef f( x ):\n    """What."""\n    return (x + 1)  # so\n', True),
        ("def f(x):\n    return x + 2\n", False),
        ("def f(y):\n    return y + 1\n", False),
    ],
)
def test_comments_and_docstrings_are_no_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, same: bool
) -> None:
    monkeypatch.setattr(code, "PACKAGE", tmp_path)

    def hashed() -> str:
        code._tree.cache_clear()
        return code.hashed.__wrapped__("module")

    (tmp_path / "module.py").write_text("def f(x):\n    return x + 1\n")
    before = hashed()
    (tmp_path / "module.py").write_text(text)
    after = hashed()
    code._tree.cache_clear()
    assert (after == before) == same


def test_files_of_a_folder_that_all_hold_are_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    base = audit.Node(Path("base"))
    shards = [audit.Node(Path(f"shards/{shard}"), inputs={"base": base}) for shard in range(5)]
    other = audit.Node(Path("others/x"))
    root = audit.Node(Path("table"), inputs={str(node.path): node for node in [*shards, other]})
    assert audit.tree([root, other]).splitlines() == [
        "ok  table",
        "  ok  shards: 5 files",
        "    ok  base",
        "  ok  others/x",
        "ok  others/x",
        "holds: all 8 files",
    ]
    shards[3].problems.append("missing")
    assert "  BAD shards/3\n        missing" in audit.tree([root])
