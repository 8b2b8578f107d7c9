"""What needs no cluster; tests/slurm has the rest."""

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from accelerated_smoothing import cli
from accelerated_smoothing.workflow import cluster

ROOT = Path(__file__).parents[2]


def test_elsewhere_it_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.main(["recover"]) == 2
    assert capsys.readouterr().err.startswith(
        "accelerated-smoothing: error: recover must run in the folder where snakemake runs"
    )


def test_without_slurm_it_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".snakemake").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", "")
    assert cli.main(["recover"]) == 2
    assert capsys.readouterr().err.startswith("accelerated-smoothing: error: squeue: not found; ")


def test_jobs_are_told_without_their_empty_wildcards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the plugin comments them: all wildcards of a rule, with a separator between any two."""
    line = f"{cluster.PREFIX}x|{tmp_path}|7|RUNNING|None|gpu|0:01|32:00|rule_shard_wildcards__0.25__test_estimation_1"
    squeue = tmp_path / "squeue"
    squeue.write_text(f"#!/bin/sh\necho '{line}'\n")
    squeue.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    assert [job.what for job in cluster.jobs(tmp_path)] == ["rule_shard_wildcards_0.25_test_estimation_1"]


def test_jobs_bear_the_name_of_the_profile() -> None:
    profile = yaml.safe_load((ROOT / "slurm/config.yaml").read_text())
    assert profile["slurm-jobname-prefix"] + "_" == cluster.PREFIX


@pytest.mark.parametrize(("more", "counts"), [([], True), (["--target-jobs", "shard:sigma=0.25"], False)])
def test_a_snakemake_counts_in_its_own_folder_and_outside_of_jobs(
    tmp_path: Path, more: list[str], counts: bool
) -> None:
    (tmp_path / "snakemake").write_text("print(flush=True); input()")
    (tmp_path / "other").mkdir()
    command = [sys.executable, str(tmp_path / "snakemake"), "all", *more]
    with subprocess.Popen(command, cwd=tmp_path, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        assert cluster.masters(tmp_path) == [process.pid] * counts
        assert cluster.masters(tmp_path / "other") == []
        process.kill()
    assert cluster.masters(tmp_path) == []


def test_jobs_stand_in_columns() -> None:
    jobs = [
        cluster.Job("7", "RUNNING", "None", "gpu", "1:02", "4:00:00", "base"),
        cluster.Job("12", "PENDING", *5 * "x"),
    ]
    assert cluster.table(jobs).splitlines() == [
        "id  state    reason  partition  elapsed  limit    what",
        "7   RUNNING  None    gpu        1:02     4:00:00  base",
        "12  PENDING  x       x          x        x        x",
    ]
