"""The audit of a whole run of the workflow: it holds, and whatever is altered is found."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from accelerated_smoothing.provenance import audit, records

R = "results/tiny"
Audit = Callable[..., dict[str, list[str]]]


@pytest.fixture(scope="module")
def place(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of a clone, with its results, that may be changed as long as that is undone."""
    folder = tmp_path_factory.mktemp("audit")
    shutil.copytree(tiny.parents[1], folder / "clone", ignore=shutil.ignore_patterns(".snakemake", "logs", "other"))
    return folder / "clone"


@pytest.fixture(scope="module")
def audited(place: Path) -> Audit:
    """Problems by file, by the command that a user types."""

    def run(*targets: str) -> dict[str, list[str]]:
        words = [sys.executable, "-m", "accelerated_smoothing", "audit", "--json", *(targets or [f"{R}/table1.csv"])]
        own = {**os.environ, "PYTHONPATH": str(place / "src")}
        done = subprocess.run(words, cwd=place, env=own, capture_output=True, text=True, check=False)
        assert done.stderr == ""
        report = json.loads(done.stdout)
        problems = {entry["file"]: entry["problems"] for entry in report["files"] if entry["problems"]}
        assert done.returncode == (1 if problems else 0)
        assert report["holds"] == (not problems)
        return problems

    return run


def test_everything_holds(place: Path, audited: Audit) -> None:
    targets = sorted(path for path in (place / R).glob("*[!n]") if path.is_file())
    assert len(targets) > 20
    assert audited(*(str(path.relative_to(place)) for path in targets), f"{R}/notebooks/image.html") == {}


@pytest.mark.parametrize(
    "file",
    [
        "data/test.npz",
        "base/sigma0.25.safetensors",
        "surrogates/sigma0.5/resnet8.safetensors",
        "counts/sigma0.25/test-estimation/1.npz",
        "counts/sigma0.5/test-selection.npz",
        "certificates/sigma0.5/cohen.tsv",
        "table1.csv",
        f"table1.csv{records.SUFFIX}",
        f"data/train.npz{records.SUFFIX}",
    ],
)
def test_one_byte_of_one_file(place: Path, audited: Audit, file: str) -> None:
    path = place / R / file
    whole = path.read_bytes()
    altered = bytearray(whole)
    altered[len(whole) // 2] ^= 1
    path.write_bytes(altered)
    problems = audited()
    path.write_bytes(whole)
    assert problems.keys() == {f"{R}/{file.removesuffix(records.SUFFIX)}"}


def test_an_edited_cell(place: Path, audited: Audit) -> None:
    path = place / R / "table1.csv"
    whole = path.read_text()
    path.write_text(whole.replace("0.25,cohen,250,sound,0.", "0.25,cohen,250,sound,0.9", 1))
    problems = audited()
    path.write_text(whole)
    assert problems == {f"{R}/table1.csv": ["changed since it was made"]}


def test_a_deleted_record(place: Path, audited: Audit) -> None:
    path = place / R / f"base/sigma0.5.safetensors{records.SUFFIX}"
    moved = path.rename(place / "kept")
    problems = audited()
    moved.rename(path)
    assert problems.keys() == {f"{R}/base/sigma0.5.safetensors"}
    assert "no such record" in problems[f"{R}/base/sigma0.5.safetensors"][0]


def test_swapped_counts_of_two_sigmas(place: Path, audited: Audit) -> None:
    one, two = (place / R / f"counts/sigma{sigma}/test-estimation.npz" for sigma in (0.25, 0.5))

    def swap() -> None:
        one.rename(place / "third")
        two.rename(one)
        (place / "third").rename(two)

    swap()
    problems = audited()
    swap()
    assert problems == {str(path.relative_to(place)): ["changed since it was made"] for path in (one, two)}


@pytest.mark.parametrize(
    ("file", "old", "new", "message", "where"),
    [
        ("config.yaml", "seed: 0 ", "seed: 5 ", "--seed 0; the config now says 5", "base/sigma0.25.safetensors"),
        ("presets/tiny.yaml", 'test: ":40"', 'test: ":38"', "--slice :40; the config now says :38", "certificates/"),
        ("config.yaml", "alpha: 0.001", "alpha: 0.01", "--alpha 0.001; the config now says 0.01", "cohen.tsv"),
        ("config.yaml", "seed: 0 ", "sead: 0 ", "the workflow cannot make the targets now", "table1.csv"),
    ],
)
def test_another_config(place: Path, audited: Audit, file: str, old: str, new: str, message: str, where: str) -> None:
    path = place / file
    whole = path.read_text()
    assert old in whole
    path.write_text(whole.replace(old, new))
    by_file = audited()
    path.write_text(whole)
    assert [name for name, problems in by_file.items() if where in name and any(message in line for line in problems)]


def test_a_number_of_threads_is_not_held_against_it(place: Path, audited: Audit) -> None:
    path = place / "config.yaml"
    whole = path.read_text()
    path.write_text(whole.replace("threads: 2", "threads: 1").replace("minutes: 120", "minutes: 120 # so"))
    problems = audited()
    path.write_text(whole)
    assert problems == {}


def test_random_bytes_of_random_files(place: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """As above, in a folder that was moved, for files and records of the whole chain."""
    shutil.copytree(place / "results", tmp_path / "moved")
    monkeypatch.chdir(tmp_path)
    targets = sorted(path for path in Path("moved/tiny").glob("*[!n]") if path.is_file())
    targets += sorted(Path("moved/tiny/notebooks").glob("*.html"))

    def problems() -> dict[Path, list[str]]:
        return {node.path: node.problems for node in audit.walk(audit.audit(targets))}

    whole = problems()
    assert not any(whole.values())
    for part in ("data/train.npz", "base/sigma0.5.safetensors", "counts/sigma0.25/train-variance/0.npz", "timing.tsv"):
        assert Path("moved/tiny", part) in whole
    built = sorted(path for path in whole if path.is_relative_to("moved"))  # and not the repository's own
    random = np.random.default_rng(0)
    for number in range(20):
        file = built[random.integers(len(built))]
        victim = records.record_of(file) if number % 4 == 0 else file
        content = victim.read_bytes()
        at, change = int(random.integers(len(content))), int(random.integers(1, 256))
        victim.write_bytes(content[:at] + bytes([content[at] ^ change]) + content[at + 1 :])
        assert {path for path, lines in problems().items() if lines} == {file}, (victim, at)
        victim.write_bytes(content)
    assert not any(problems().values())
