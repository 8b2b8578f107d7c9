"""Results that come without images, shards of counts, times, and what Snakemake kept of its runs, as in a clone."""

import os
import random
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

R = "results/tiny"
C = "results/cifar10"
TABLES = ("table1.csv", "table2.csv", "table3.csv", "table5.csv")
FAST = [f"{C}/fast-and-sound/{name}" for name in (*TABLES, "figure1.svg")]
LABELS = [f"{C}/label-budget/{name}" for name in ("table1.csv", "figure1.svg")]
ROOT = Path(__file__).parents[2]
TINY = ("--configfile", "presets/tiny.yaml")
Plan = Callable[..., dict[str, int]]


def forget_times(folder: Path) -> None:
    """Give all files times in any order, as git does."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    random.Random(0).shuffle(files)
    for place, path in enumerate(files):
        os.utime(path, (1e9 + place, 1e9 + place))


def jobs(done: subprocess.CompletedProcess[str]) -> dict[str, int]:
    """Return the jobs by rule of a dry run."""
    assert done.returncode == 0, done.stderr
    text = done.stdout + done.stderr
    if "Nothing to be done" in text:
        return {}
    stats = text.split("Job stats:")[1].split("total")[0]
    return {rule: int(number) for rule, number in re.findall(r"^(\w+) +(\d+)$", stats, re.MULTILINE) if rule != "all"}


@pytest.fixture
def shipped(tiny: Path, tmp_path: Path) -> Path:
    """A copy of a clone with its results, as git would leave it."""
    leave = shutil.ignore_patterns(".snakemake", "logs", "other")
    folder = shutil.copytree(tiny.parents[1], tmp_path / "clone", ignore=leave)
    for left_out in (*(folder / R / "data").glob("*.npz"), *(folder / R).glob("counts/*/*/*.npz")):
        left_out.unlink()
    forget_times(folder / R)
    return folder


@pytest.fixture
def planned(shipped: Path, snakemake) -> Plan:
    """Jobs by rule of a dry run."""
    return lambda *words: jobs(snakemake(*words, "-n", *TINY, folder=shipped))


def audit(shipped: Path, *targets: str) -> str:
    words = [sys.executable, "-m", "accelerated_smoothing", "audit", *targets]
    own = {**os.environ, "PYTHONPATH": str(shipped / "src")}
    return subprocess.run(words, cwd=shipped, env=own, capture_output=True, text=True, check=False).stdout


def test_nothing_is_built_again(shipped: Path, planned: Plan) -> None:
    assert planned("all") == {}
    # Without records, Snakemake goes by the times alone.
    for record in (shipped / R / "certificates").rglob("*.record.json"):
        record.unlink()
    for counts in (shipped / R / "counts").rglob("*.npz"):
        counts.touch()
    assert planned("all")["certificates"] > 0


def test_tables_and_figures_are_made_again_without_images(shipped: Path, snakemake) -> None:
    items = [f"{R}/table1.csv", f"{R}/table6.csv", f"{R}/figure3.svg"]
    before = {item: (shipped / item).read_bytes() for item in items}
    done = snakemake(*items, "--forcerun", "table", "figure", "--cores", "1", *TINY, folder=shipped)
    assert done.returncode == 0, done.stderr
    assert len(re.findall(r"^Finished jobid", done.stderr, re.MULTILINE)) == len(items)
    assert {item: (shipped / item).read_bytes() for item in items} == before
    assert not (shipped / R / "data/test.npz").exists()


def test_another_config_builds_what_it_changes(planned: Plan) -> None:
    plan = planned("all", "--config", "base={epochs: 5}")
    assert plan["base"] == 2
    plan = planned("all", "--config", "surrogate={lr: 0.1}")
    assert plan["surrogate"] == 2
    assert "base" not in plan
    assert "shard" not in plan


def test_a_new_method_needs_the_images_and_no_training(planned: Plan) -> None:
    words = ("methods={mine: {certifier: accelerated, n: 100, depth: 8}}", "rows=[cohen, baseline, resnet8, mine]")
    plan = planned(f"{R}/table1.csv", "--config", *words)
    assert plan == {"data": 1, "certificates": 2, "table": 1}


def test_a_new_surrogate_learns_from_the_counts_that_came(planned: Plan) -> None:
    words = ("methods={mine: {certifier: accelerated, n: 100, depth: 14}}", "rows=[cohen, baseline, resnet8, mine]")
    plan = planned(f"{R}/table1.csv", "--config", *words)
    assert plan == {"data": 1, "surrogate": 2, "certificates": 2, "table": 1}


def test_a_changed_file_builds_what_follows(shipped: Path, planned: Plan) -> None:
    log = shipped / R / "certificates/sigma0.5/cohen.tsv"
    log.write_text(log.read_text().replace("\t1\t", "\t0\t", 1))
    assert planned(f"{R}/table1.csv") == {"table": 1}


def test_images_that_are_fetched_later_change_nothing(shipped: Path, planned: Plan, snakemake) -> None:
    words = audit(shipped, f"{R}/table1.csv")
    assert words.splitlines()[-1].startswith("holds: all ")
    assert re.search(rf"^note: arrays of images that are not here were not checked; .*{R}/data/test.npz", words, re.M)
    done = snakemake(f"{R}/data/test.npz", "--cores", "1", *TINY, folder=shipped)
    assert done.returncode == 0, done.stderr
    assert planned("all") == {}
    words = audit(shipped, f"{R}/table1.csv")
    assert words.splitlines()[-1].startswith("holds: all ")
    assert "arrays of images" not in words
    (shipped / R / "data/train.npz").write_bytes(b"other images")
    assert planned("all")["base"] == 2


@pytest.fixture
def cifar10(clone: Path, tmp_path: Path) -> Path:
    """A clone with the results of this repository, as git would leave them."""
    folder = shutil.copytree(clone, tmp_path / "clone", ignore=shutil.ignore_patterns(".snakemake", "results"))
    shutil.copytree(ROOT / C, folder / C, ignore=shutil.ignore_patterns("logs", "*.npz.partial*"))
    for images in (folder / C / "data").glob("*.npz"):
        images.unlink()
    forget_times(folder / C)
    return folder


def test_cifar10_is_not_trained_again(cifar10: Path, snakemake) -> None:
    words = (f"{C}/table1.csv", *FAST, *LABELS, "--configfile", "presets/cifar10.yaml", "-n")
    assert jobs(snakemake(*words, folder=cifar10)) == {}
    again = jobs(snakemake(*words, "--config", "base={epochs: 31}", folder=cifar10))
    assert (again["base"], again["surrogate"], again["counts"]) == (2, 15, 13)


def test_cifar10s_tables_and_figures_are_made_again(cifar10: Path, snakemake) -> None:
    items = [*(f"{C}/{name}" for name in ("table1.csv", "table3.csv", "table6.csv", "figure3.svg")), *FAST, *LABELS]
    before = {item: (cifar10 / item).read_bytes() for item in items}
    for item in items:
        (cifar10 / item).unlink()
    done = snakemake(*items, "--cores", "1", "--configfile", "presets/cifar10.yaml", folder=cifar10)
    assert done.returncode == 0, done.stderr
    assert len(re.findall(r"^Finished jobid", done.stderr, re.MULTILINE)) == len(items)
    assert {item: (cifar10 / item).read_bytes() for item in items} == before


def test_cifar10s_audit_says_what_it_could_not_check(tmp_path: Path) -> None:
    """In a clone with its history, which proves the code that made the files."""
    done = subprocess.run(["git", "clone", "-q", ROOT, tmp_path / "clone"], capture_output=True, text=True, check=False)
    if done.returncode or (ROOT / ".git/shallow").exists():
        pytest.skip("this copy of the repository has no history")
    words = audit(tmp_path / "clone", f"{C}/table1.csv", FAST[0], FAST[3], LABELS[0])
    assert words.splitlines()[-1].startswith("holds: all ")
    for kind in ("arrays of images", "shards of counts", "surrogates", "predictions of surrogates"):
        assert f"note: {kind} that are not here were not checked" in words
