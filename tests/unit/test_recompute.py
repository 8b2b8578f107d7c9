"""Numbers made again: cells, cheap links, counts; and why two results differ."""

import contextlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from accelerated_smoothing import analysis, cli
from accelerated_smoothing.certify import log as certificates
from accelerated_smoothing.counting import counts, engines
from accelerated_smoothing.errors import InputError
from accelerated_smoothing.files import write_text
from accelerated_smoothing.provenance import audit, cell, differences, recompute, records

from . import experiment

Copy = Callable[[str], Path]
TABLE = Path("results/table1.csv")


@pytest.fixture
def folder(copied: Copy) -> Path:
    return copied("one")


def forge(path: Path) -> None:
    """Make all records fit a file that was altered, as a careful forger would."""
    old = records.read(path)
    for where in Path("results").rglob(f"*{records.SUFFIX}"):
        record = json.loads(where.read_text())
        record.pop("~seal")
        if str(path) in record["inputs"]:
            record["inputs"][str(path)]["sha256"] = records.sha256(path)
        if record["sha256"] == old.sha256:
            record |= {"sha256": records.sha256(path), "bytes": path.stat().st_size}
        write_text(where, records._sealed(record))


def problems(roots: list[audit.Node]) -> dict[str, list[str]]:
    return {records.relative(node.path): node.problems for node in audit.walk(roots) if node.problems}


@pytest.mark.parametrize("column", ["r=0.1", "ACR", "exceeds"])
def test_a_cell_is_that_of_the_images_it_names(folder: Path, column: str) -> None:
    entry = cell.cell(audit.audit([TABLE])[0], f"sigma=0.25,method=resnet8,{column}")
    log = certificates.read(Path("results/certificates/sigma0.25/resnet8.tsv"))
    assert entry.text == entry.again
    assert entry.images == len(log) == 20
    assert 0 < len(entry.idx) < 20
    part = log[log["idx"].isin(entry.idx)]
    if column == "r=0.1":
        assert len(part) / 20 == float(entry.text)
        assert ((part["radius"] >= 0.1) & (part["correct"] == 1)).all()
    elif column == "ACR":
        assert part["radius"].sum() / 20 == pytest.approx(float(entry.text), rel=1e-12)
    else:
        assert len(part) / 20 == float(entry.text)
    inputs = {node.path.stem for node in entry.table.inputs.values()}
    assert inputs == ({"resnet8", "cohen"} if column == "exceeds" else {"resnet8"})
    assert {node.path.parent.name for node in entry.table.inputs.values()} == {"sigma0.25"}


def test_a_cell_of_every_kind_of_table(folder: Path) -> None:
    entry = cell.cell(audit.audit([Path("results/table3.csv")])[0], "sigma=0.5,method=resnet8,over_share")
    assert len(entry.idx) / entry.images == float(entry.text)
    assert {node.path.name for node in entry.table.inputs.values()} == {"cohen.tsv", "resnet8.tsv"}
    entry = cell.cell(audit.audit([Path("results/table4.csv")])[0], "sigma=0.25,class3")
    assert entry.idx.tolist() == list(range(20))


def test_a_cell_is_told_with_all_that_is_behind_it(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["audit", str(TABLE), "--cell", "sigma=0.5,method=cohen,r=0.1"]) == 0
    printed = capsys.readouterr().out
    for part in (
        "images ",
        "results/certificates/sigma0.5/cohen.tsv",
        "base/sigma0.5.safetensors: base, resnet8",
        "0" * 40,
    ):
        assert part in printed
    assert "accelerated-smoothing train-base gaussian --train results/data/train.npz" in printed
    assert "sigma0.25" not in printed
    assert "; sound\n" in printed
    assert printed.index("train-base") < printed.index(" count --base") < printed.index(" certify cohen")
    assert cli.main(["audit", str(TABLE), "--json", "--cell", "sigma=0.5,method=cohen,r=0.1"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["holds"]
    assert report["cell"]["of"] == 20
    assert report["cell"]["value"] == report["cell"]["again"]
    assert report["cell"].keys() >= {"from", "models", "commits", "machines", "commands", "images"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sigma=0.5,r=0.1", "must name one row of sigma=0.5,method=cohen; sigma=0.5,method=resnet8, got 2 in"),
        ("sigma=0.5,method=cohen,r=7", "must name a column (N, guarantee, r=0.1, r=0.25, ACR, exceeds) and keys"),
        ("sigma=0.5,methd=cohen,ACR", "got 'methd=cohen'"),
        ("sigma=0.5,method=cohen", "got 0 in"),
        ("", "got ''"),
        ("sigma=2,method=cohen,ACR", "got 0 in"),
    ],
)
def test_a_cell_that_is_not_there(folder: Path, text: str, message: str) -> None:
    with pytest.raises(InputError, match="--cell") as error:
        cell.cell(audit.audit([TABLE])[0], text)
    assert message in str(error.value)


def test_what_is_no_table_has_no_cells(folder: Path) -> None:
    with pytest.raises(InputError, match="must be used with the CSV of a table that has a record"):
        cell.cell(audit.audit([Path("results/figure3.svg")])[0], "ACR")


def test_a_forged_cell_is_found(folder: Path) -> None:
    table = pd.read_csv(TABLE, dtype=str, keep_default_na=False)
    table.loc[0, "ACR"] = "0.9"
    table.to_csv(TABLE, index=False)
    forge(TABLE)
    assert not problems(audit.audit([TABLE]))  # hashes and records fit
    entry = cell.cell(audit.audit([TABLE])[0], "sigma=0.25,method=cohen,ACR")
    assert "ACR of row 1 is 0.9, its inputs give" in entry.table.problems[0]
    roots = audit.audit([TABLE])
    recompute.rebuild(roots)
    assert problems(roots).keys() == {str(TABLE)}
    assert "ACR: 1 of 4 differ, first in line 2: 0.9 and" in roots[0].problems[0]


def test_what_is_cheap_is_made_again(folder: Path) -> None:
    roots = audit.audit([TABLE, Path("results/table4.csv"), Path("results/figure3.svg")])
    said = recompute.rebuild(roots)
    assert problems(roots) == {}
    assert said.startswith("made again from their inputs: 14 files, 0 differ")  # 3, 4 certificates, 7 gathered counts


def test_it_is_made_again_from_a_folder_that_was_moved(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "results").rename(folder / "elsewhere")
    roots = audit.audit([Path("elsewhere/table1.csv")])
    recompute.rebuild(roots)
    assert problems(roots) == {}
    assert not (folder / "results").exists()


def test_a_forged_certificate_is_found(folder: Path) -> None:
    path = Path("results/certificates/sigma0.5/resnet8.tsv")
    log = pd.read_csv(path, sep="\t")
    log.loc[3, ["radius", "p_lower"]] = [2.0, 0.999]
    log.to_csv(path, sep="\t", index=False)
    forge(path)
    experiment.tables()  # from the forged one
    roots = audit.audit([TABLE])
    assert problems(roots) == {}
    recompute.rebuild(roots)
    assert problems(roots).keys() == {str(path)}


def test_counts_are_what_the_seed_gives(folder: Path) -> None:
    roots = audit.audit([TABLE, Path("results/table4.csv")])
    said = recompute.sample(roots, 8, np.random.default_rng(0))
    assert len(set(said)) == 9
    assert all(line.endswith("the stored counts are what seed 0 gives") for line in said[:-1])
    assert said[-1] == f"counted again from scratch: 8 of the {2 * (20 + 20 + 200) + 20} images that were counted"
    assert problems(roots) == {}
    few = audit.audit([Path("results/table4.csv")])
    assert len(recompute.sample(few, 10**6, np.random.default_rng(0))) == 20 + 1


def test_shards_that_were_left_out_are_counted_from_what_was_gathered(folder: Path) -> None:
    whole = Path("results/counts/sigma0.25/test-estimation.npz")
    shards = [whole.with_suffix("") / f"{number}.npz" for number in (0, 1)]
    for shard in shards:
        shard.unlink()
    roots = audit.audit([whole])
    assert problems(roots) == {}
    note = "shards of counts that are not here were not checked; snakemake makes each by its name: "
    assert note + ", ".join(map(str, shards)) in audit.tree(roots)
    files = json.loads(audit.as_json(roots))["files"]
    assert [file["file"] for file in files if not file["here"]] == [*map(str, shards)]
    assert recompute.rebuild(roots).startswith("made again from their inputs: 0 files")
    said = recompute.sample(roots, 20, np.random.default_rng(0))
    assert len(said) == 20 + 1
    assert all(line.endswith("the stored counts are what seed 0 gives") for line in said[:-1])

    stored = counts.read(whole)
    stored.counts[-1, 0] = np.roll(stored.counts[-1, 0], 1)
    stored.write(whole)
    forge(whole)
    roots = audit.audit([whole])
    assert problems(roots) == {}
    recompute.sample(roots, 20, np.random.default_rng(0))
    assert problems(roots).keys() == {str(shards[1])}


def test_forged_counts_are_found(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = Path("results/counts/sigma0.25/test-selection/0.npz")
    whole = counts.read(path)
    row = int(whole.at(100).max(axis=1).argmin())
    order = np.argsort(whole.counts[row, 0])
    whole.counts[row, 0, order[-1]] += 1
    whole.counts[row, 0, order[-2]] -= 1
    whole.write(path)
    forge(path)
    everything = [path]
    roots = audit.audit(everything)
    assert problems(roots) == {}
    said = recompute.sample(roots, 20, np.random.default_rng(0))
    assert sum("not what seed 0 gives" in line for line in said) == 1
    assert roots[0].problems[0].startswith(f"image {whole.idx[row]}, counted again: stored")

    # In fp32 that is so on any processor with AVX2.
    here = records.machine()
    monkeypatch.setattr(records, "machine", lambda: {**here, "processor": "another"})
    roots = audit.audit(everything)
    recompute.sample(roots, 20, np.random.default_rng(0))
    assert roots[0].problems[0].startswith(f"image {whole.idx[row]}, counted again: stored")

    # In another arithmetic one prediction may differ; what no arithmetic makes is found there, too.
    monkeypatch.setattr(engines, "PORTABLE", "-another")
    roots = audit.audit(everything)
    said = recompute.sample(roots, 20, np.random.default_rng(0))
    assert sum("1 predictions differ, as they may on another processor" in line for line in said) == 1
    assert problems(roots) == {}
    whole.counts[row, 0] = np.roll(whole.counts[row, 0], 1)
    whole.write(path)
    forge(path)
    roots = audit.audit(everything)
    recompute.sample(roots, 20, np.random.default_rng(0))
    assert problems(roots).keys() == {str(path)}


def test_homogeneity_is_pearsons_test() -> None:
    one, two = np.array([600, 300, 100]), np.array([550, 340, 110])
    whole = one + two
    statistic = sum(((part - whole * 0.5) ** 2 / (whole * 0.5)).sum() for part in (one, two))
    assert recompute.homogeneity(one, two) == pytest.approx(stats.chi2.sf(statistic, 2), rel=1e-9)
    assert recompute.homogeneity(np.array([1000, 0]), np.array([1000, 0])) == 1
    assert recompute.homogeneity(np.array([996, 4, 0]), np.array([1000, 0, 0])) > 0.01  # rare classes are one


def test_homogeneity_refuses_honest_samples_as_rarely_as_it_says() -> None:
    random = np.random.default_rng(0)
    probabilities = np.array([0.6, 0.25, 0.1, 0.03, 0.01, 0.005, 0.005])
    draws = random.multinomial(1000, probabilities, size=(4000, 2))
    refused = np.mean([recompute.homogeneity(*pair) < 0.01 for pair in draws])
    assert refused < 0.01 + 3 * np.sqrt(0.01 * 0.99 / 4000)  # three standard errors


def test_files_with_the_same_numbers_do_not_differ(folder: Path) -> None:
    assert differences.report(Path("results"), Path("results")) == (
        f"files that differ: 0; in measured times alone: 0; the same: {len(list(Path('results').rglob('*.json')))}",
        False,
    )


def test_a_difference_is_explained_by_the_first_thing_upstream(copied: Copy) -> None:
    other = copied("other") / "results"
    one = copied("one")
    experiment.certificates(0.5, lr=0.01)
    experiment.tables()
    report, differ = differences.report(Path("results"), other)
    assert differ
    lines = report.splitlines()
    assert lines[1 : lines.index("and so:")] == [
        "  results/surrogates/sigma0.5/resnet8.safetensors: --lr 0.01 and 0.001"
    ]
    differing = {line.split()[0] for line in lines if line.startswith("results/") and " and " in line}
    log, weights = "certificates/sigma0.5/resnet8.tsv", "surrogates/sigma0.5/resnet8"
    expected = [log, f"{weights}.safetensors", "table1.csv", "table1.md", "table3.csv", "figure3.svg"]
    assert differing >= {f"results/{name}" for name in expected}
    assert not [name for name in differing if "sigma0.25" in name or "counts" in name or "cohen" in name]
    assert cli.main(["diff", str(one / "results/table1.csv"), str(other / "table1.csv")]) == 1
    assert cli.main(["diff", str(one / "results/table4.csv"), str(other / "table4.csv")]) == 0


def test_notebooks_of_two_folders_are_compared(tmp_path: Path) -> None:
    """Each is run in a folder of its own, as in two clones, with flags that are lists."""
    code = {"cell_type": "code", "execution_count": None, "metadata": {}, "outputs": []}
    parameters = {**code, "metadata": {"tags": ["parameters"]}, "source": "divisor = 1\nzero = 0"}
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    notebook = {"metadata": kernel, "nbformat": 4, "nbformat_minor": 4}
    notebook["cells"] = [parameters, {**code, "source": "print(10 / divisor)"}]
    for name, divisor in (("one", 2), ("two", 4)):
        folder = tmp_path / name
        write_text(folder / "ten.ipynb", json.dumps(notebook))
        with contextlib.chdir(folder):
            words = f"notebook ten.ipynb --parameters divisor={divisor} zero=0 --output results/ten.ipynb"
            assert cli.main(words.split()) == 0
    report, differ = differences.report(tmp_path / "one/results", tmp_path / "two/results")
    assert differ
    assert "--parameters" in report


def test_times_alone_are_no_difference(copied: Copy) -> None:
    other = copied("other") / "results"
    copied("one")
    path = Path("results/counts/sigma0.5/test-selection.npz")
    Path("results/counts/sigma0.5/test-selection/0.npz").unlink()
    experiment.counting(0.5, "test", "selection", 1, "100")
    report, differ = differences.report(path, other / path.relative_to("results"))
    assert not differ
    assert report == "files that differ: 0; in measured times alone: 1; the same: 0"


def test_a_difference_of_two_seeds(copied: Copy) -> None:
    other = copied("other") / "results"
    copied("one")
    experiment.counting(0.5, "test", "estimation", 2, "50 200", seed=1)
    experiment.certificates(0.5)
    report, _ = differences.report(
        Path("results/certificates/sigma0.5/cohen.tsv"), other / "certificates/sigma0.5/cohen.tsv"
    )
    assert report.splitlines()[:4] == [
        "differs first:",
        "  results/counts/sigma0.5/test-estimation/0.npz: --seed 1 and 0",
        "  results/counts/sigma0.5/test-estimation/1.npz: --seed 1 and 0",
        "and so:",
    ]
    assert "radius: " in report
    assert "\n  time" not in report


def test_an_edit_explains_a_difference(copied: Copy) -> None:
    other = copied("other") / "results"
    copied("one")
    text = TABLE.read_text()
    TABLE.write_text(text.replace("0.25,cohen,200,sound", "0.25,cohen,300,sound"))
    report, differ = differences.report(TABLE, other / "table1.csv")
    assert differ
    assert "  N: 1 of 4 differ, first in line 2: 300 and 200, at most 100 apart" in report
    assert "  results/table1.csv: changed since it was made" in report


def test_what_cannot_be_compared(folder: Path) -> None:
    Path("empty").mkdir()
    with pytest.raises(InputError, match="must be two results folders with a file in common"):
        differences.report(Path("results"), Path("empty"))
    with pytest.raises(InputError, match="no such file"):
        differences.report(TABLE, Path("nothing.csv"))


@pytest.mark.parametrize(
    ("arithmetic", "expected"),
    [
        (
            "cuda-pytorch-bf16-folded-batch1000",
            ["mixes arithmetic: cpu-openvino-fp32-folded-avx2, cuda-pytorch-bf16-folded-batch1000"],
        ),
        ("cpu-pytorch-fp64", []),  # as of margins, beside which samples may stand
    ],
)
def test_mixed_arithmetic_is_told(arithmetic: str, expected: list[str], folder: Path) -> None:
    path = Path("results/certificates/sigma0.5/cohen.tsv")
    where = records.record_of(path)
    record = json.loads(where.read_text())
    record.pop("~seal")
    record["about"]["arithmetic"] = arithmetic
    write_text(where, records._sealed(record))
    by_file = problems(audit.audit([TABLE]))
    assert by_file.get(str(TABLE), []) == expected


def test_what_is_absent_is_a_difference(copied: Copy) -> None:
    other = copied("other") / "results"
    copied("one")
    TABLE.unlink()
    report, differ = differences.report(Path("results"), other)
    assert differ
    assert f"only in {records.relative(other)}: table1.csv" in report


@pytest.mark.parametrize("file", ["table1.csv", "base/sigma0.25.safetensors", "counts/sigma0.25/test-selection.npz"])
def test_broken_files_are_told_and_not_thrown(copied: Copy, file: str) -> None:
    other = copied("other") / "results"
    copied("one")
    path = Path("results", file)
    path.write_bytes(path.read_bytes()[: 20 if file.endswith("npz") else 0])
    with pytest.raises(InputError, match=f"{file}: cannot be read"):
        differences.explain(path, other / file)
    roots = audit.audit([TABLE])
    recompute.rebuild(roots)
    assert str(path) in problems(roots)
    if file != "table1.csv":
        recompute.sample(roots, 500, np.random.default_rng(0))
    else:
        with pytest.raises(InputError, match="cannot be made again"):
            cell.cell(roots[0], "sigma=0.5,method=cohen,ACR")


def test_a_record_makes_rebuild_run_no_other_verb(folder: Path) -> None:
    for command in (["data", "digits", "--train", "x.npz", "--test", "y.npz"], ["table", "--help"], ["recover"]):
        where = records.record_of(TABLE)
        record = json.loads(where.read_text())
        record.pop("~seal")
        record |= {"command": command}
        write_text(where, records._sealed(record))
        roots = audit.audit([TABLE])
        recompute.rebuild(roots)
        assert problems(roots).keys() == {str(TABLE)}
        assert not Path("x.npz").exists()


def test_ranges() -> None:
    assert cell.ranges(np.array([0, 1, 2, 5, 8, 9])) == "0-2 5 8-9"
    assert cell.ranges(np.array([])) == "none"


def test_behind_agrees_with_the_table(folder: Path) -> None:
    logs = analysis.read_logs(sorted(Path("results/certificates/sigma0.25").glob("*.tsv")))
    log = analysis.groups(logs)["main", 0.25, "resnet8"]
    assert analysis.certified(log, 0.1).mean() == analysis.certified_accuracy(log, [0.1])[0]


def test_swapped_counts_of_two_sigmas_are_told(folder: Path) -> None:
    one, two = (Path(f"results/counts/sigma{sigma}/test-estimation.npz") for sigma in (0.25, 0.5))
    for suffix in ("", records.SUFFIX):
        shutil.move(f"{one}{suffix}", "third")
        shutil.move(f"{two}{suffix}", f"{one}{suffix}")
        shutil.move("third", f"{two}{suffix}")
    by_file = problems(audit.audit([TABLE]))
    assert by_file
    for sigma in (0.25, 0.5):
        messages = by_file[f"results/certificates/sigma{sigma}/cohen.tsv"]
        assert messages == [f"made from a results/counts/sigma{sigma}/test-estimation.npz that has changed since"]
