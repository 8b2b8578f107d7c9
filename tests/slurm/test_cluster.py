"""The workflow on a cluster: where its jobs run, what becomes of them when something fails, how a fault is told."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
from processes import working

from accelerated_smoothing.files import read_arrays

from .conftest import CLUSTER, FAULTS, LONG, NODE, STATE, Clone, slurm, until

pytestmark = pytest.mark.slurm
Disturbed = Callable[..., tuple[str, Any]]
Same = Callable[..., None]


def submitted(clone: Clone, name: str) -> int:
    """How many jobs a run has handed to SLURM."""
    return clone.output(name).count("has been submitted")


def saved(clone: Clone, name: str, shard: int = 0) -> int:
    """How many draws of a shard lie in its unfinished file."""
    path = clone.results(name) / f"counts/sigma0.25/test-estimation/{shard}.npz.partial.npz"
    return int(read_arrays(path, ["tally"], "work")[1]["done"]) if path.exists() else 0


def job_of(process: Any) -> str:
    return str(process.environ()["SLURM_JOB_ID"])


def test_a_table_is_that_of_a_local_run(clone: Clone, expected: dict[tuple[str, ...], Path]) -> None:
    table = (expected["tiny",] / "table1.csv").read_bytes()
    run = clone.submit("tiny", ("tiny",), also="timing.tsv")
    seen: dict[str, set[tuple[str | None, str | None]]] = {}
    at_once = set()
    while run.poll() is None:
        for verb in ("train-base", "count", "train-surrogate", "time", "certify", "gather", "table", "data"):
            places = []
            for process in working(verb, clone.results("tiny")):
                with contextlib.suppress(psutil.Error):  # it may have ended in between
                    if environ := process.environ():  # empty while it begins
                        places.append((environ.get("SLURM_JOB_PARTITION"), environ.get("GPU_DEVICE_ORDINAL")))
            seen.setdefault(verb, set()).update(places)
            at_once.add(tuple(sorted(places, key=str)))
        time.sleep(0.1)
    results = clone.finish(run, "tiny")
    assert (results / "table1.csv").read_bytes() == table
    assert (results / "timing.tsv").exists()
    for verb in ("train-base", "count", "train-surrogate", "time"):
        assert seen[verb]
        assert seen[verb] <= {("gpu", "0"), ("gpu", "1")}
    assert (("gpu", "0"), ("gpu", "1")) in at_once  # each on a GPU of its own
    words = [sys.executable, "-m", "accelerated_smoothing", "audit", "results/tiny/table1.csv"]
    own = {**os.environ, "PYTHONPATH": str(clone.folder / "src")}
    audited = subprocess.run(words, cwd=clone.folder, env=own, capture_output=True, text=True, check=False)
    assert audited.returncode == 0, audited.stdout + audited.stderr
    assert seen["certify"] == {("cpu", None)}
    for verb in ("gather", "table", "data"):
        assert seen[verb] <= {(None, None)}  # too short, perhaps, to be seen
    jobs = slurm("squeue", "--states=all", "--noheader", "--format=%Z|%P|%k").splitlines()
    places = {tuple(job.split("|")[1:]) for job in jobs if job.startswith(f"{clone.folder}|")}
    rules = {(comment.split("_")[1], partition) for partition, comment in places}
    gpu = {(rule, "gpu") for rule in ("base", "shard", "surrogate", "timing")}
    assert rules == {*gpu, ("certificates", "cpu")}


def test_a_cancelled_job_goes_on(clone: Clone, disturbed: Disturbed, same: Same) -> None:
    name, run = disturbed(FAULTS)
    slurm("scancel", job_of(clone.counting(name)))
    until(lambda: saved(clone, name, 0) + saved(clone, name, 1), "saved counts", 60)
    same(name, run, FAULTS)
    assert "counting: goes on from" in clone.log(name, 0) + clone.log(name, 1)


def test_a_signal_to_the_first_process_alone_saves_the_counts(clone: Clone, disturbed: Disturbed, same: Same) -> None:
    """As where processes are tracked by cgroups: SLURM then signals Snakemake within the job, and not the verb."""
    name, run = disturbed(FAULTS)
    first = clone.counting(name).parent()
    assert first is not None
    assert "snakemake" in first.cmdline()
    first.terminate()
    until(lambda: saved(clone, name, 0) + saved(clone, name, 1), "saved counts", 60)
    same(name, run, FAULTS)
    assert "counting: goes on from" in clone.log(name, 0) + clone.log(name, 1)


def test_a_fault_is_told_at_once(clone: Clone, disturbed: Disturbed, expected: dict[tuple[str, ...], Path]) -> None:
    base = clone.results("a-fault-is-told-at-once") / "base/sigma0.25.safetensors"
    base.parent.mkdir(parents=True)
    whole = (expected[FAULTS] / "base/sigma0.25.safetensors").read_bytes()
    base.write_bytes(whole[: len(whole) // 2])
    for split in ("train", "test"):  # older than the base classifier
        source = expected[FAULTS] / f"data/{split}.npz"
        target = base.parents[1] / f"data/{split}.npz"
        target.parent.mkdir(exist_ok=True)
        target.write_bytes(source.read_bytes())
    base.touch()
    name = base.parents[1].name
    run = clone.submit(name, FAULTS)
    assert run.wait(300) != 0
    assert submitted(clone, name) <= 3  # two shards of one split and one of the other, each tried once
    assert "Trying to restart" not in clone.output(name)
    end = clone.output(name).splitlines()[-20:]
    errors = [line for line in end if line.startswith(f"results/{name}/logs/counts/sigma0.25/")]
    assert errors
    assert all(f".log: accelerated-smoothing: error: results/{name}/base/" in line for line in errors)


@pytest.mark.parametrize("words", [("alpha=2",), ("dataset={name: imagefolder, folder: nowhere}",)])
def test_a_wrong_config_is_told_before_anything_is_submitted(clone: Clone, words: tuple[str, ...]) -> None:
    command = [sys.executable, "-m", "snakemake", "results/table1.csv", "--profile", "slurm", "--config", *words]
    done = subprocess.run(command, cwd=clone.folder, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert [line for line in done.stderr.splitlines() if line.startswith("config: error: ")]
    assert "submitted" not in done.stdout + done.stderr


def test_a_killed_snakemake_is_recovered_from(clone: Clone, disturbed: Disturbed, same: Same) -> None:
    name, run = disturbed(FAULTS)
    clone.counting(name)
    recover = [sys.executable, "-m", "accelerated_smoothing", "recover"]

    def recovered(*words: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run([*recover, *words], cwd=clone.folder, capture_output=True, text=True, check=False)

    refused = recovered("--cancel")
    assert refused.returncode == 2
    assert f"Snakemake is still running (process {run.pid})" in refused.stderr
    run.send_signal(signal.SIGKILL)
    run.wait()
    shown = recovered()
    assert shown.returncode == 0
    assert "RUNNING" in shown.stdout
    assert "rule_shard_wildcards_0.25_test_estimation" in shown.stdout
    assert "no Snakemake is running here" in shown.stdout
    locked = clone.submit(name, FAULTS)
    assert locked.wait(60) != 0
    assert "LockException" in clone.output(name)
    cleared = recovered("--cancel")
    assert cleared.returncode == 0, cleared.stderr
    assert not working("count", clone.results(name))
    assert saved(clone, name, 0) + saved(clone, name, 1) > 0
    same(name, clone.submit(name, FAULTS), FAULTS)
    assert "counting: goes on from" in clone.log(name, 0) + clone.log(name, 1)
    assert recovered().stdout.startswith("no jobs of ")


@pytest.mark.slow
def test_a_site_has_a_profile_of_its_own(clone: Clone, disturbed: Disturbed, same: Same) -> None:
    """A copy, with a type of GPU and less time than a job would ask for."""
    text = (clone.folder / "slurm/config.yaml").read_text()
    for ours, theirs in (("{slurm_partition: gpu}", "{slurm_partition: gpu, gpu_model: h200}"), ("1440", "17")):
        assert text.count(ours) == 1
        text = text.replace(ours, theirs)
    (clone.folder / "site").mkdir()
    (clone.folder / "site/config.yaml").write_text(text)
    name, run = disturbed(FAULTS, profile="site")
    job = slurm("scontrol", "show", "job", job_of(clone.counting(name)))
    assert "TresPerJob=gres:gpu:h200:1" in job
    assert "TimeLimit=00:17:00" in job
    same(name, run, FAULTS)


@pytest.mark.slow
def test_a_requeued_job_goes_on(clone: Clone, disturbed: Disturbed, same: Same) -> None:
    """As after preemption: SLURM itself starts it again, under the same number."""
    name, run = disturbed(FAULTS)
    slurm("scontrol", "requeue", job_of(clone.counting(name)))
    same(name, run, FAULTS)
    assert "counting: goes on from" in clone.log(name, 0) + clone.log(name, 1)
    assert "Trying to restart" not in clone.output(name)


@pytest.mark.slow
def test_a_drained_node_is_waited_for(clone: Clone, disturbed: Disturbed, same: Same) -> None:
    slurm("scontrol", "update", f"nodename={NODE}", "state=drain", "reason=test")
    name, run = disturbed(FAULTS)
    until(lambda: submitted(clone, name) >= 3, "three jobs", 60)
    time.sleep(20)
    assert not working("count", clone.results(name))
    assert slurm("squeue", "--noheader", "--format=%T").split() == ["PENDING"] * 3
    assert "drained" in slurm("sinfo", "--noheader", "--format=%T")
    slurm("scontrol", "update", f"nodename={NODE}", "state=resume")
    same(name, run, FAULTS)
    assert "Trying to restart" not in clone.output(name)


@pytest.mark.slow
def test_a_killed_process_goes_on_from_its_last_chunk(clone: Clone, disturbed: Disturbed, same: Same) -> None:
    name, run = disturbed(LONG)
    process = clone.counting(name)
    done = until(lambda: saved(clone, name), "a saved chunk")
    process.kill()
    until(lambda: "counting: goes on from" in clone.log(name), "the next attempt", 180)
    first = int(clone.log(name).split("goes on from ")[1].split()[0])
    assert first >= done
    same(name, run, LONG)
    assert "Trying to restart" in clone.output(name)


@pytest.mark.slow
def test_a_time_limit_ends_an_attempt_and_no_work(clone: Clone, disturbed: Disturbed, same: Same) -> None:
    """SLURM's shortest limit, a minute, is too short for the shard; each attempt has a minute more."""
    name, run = disturbed(LONG, "--set-resources", "shard:runtime=attempt", "shard:slurm_partition=gpu")
    until(lambda: "counting: goes on from" in clone.log(name), "the second attempt", 400)
    same(name, run, LONG)
    assert "SLURM status is: 'TIMEOUT'" in clone.output(name)


@pytest.mark.slow
def test_a_killed_slurmd(clone: Clone, disturbed: Disturbed, same: Same) -> None:
    name, run = disturbed(LONG)
    clone.counting(name)
    killed = psutil.Process(int((STATE / "slurmd.pid").read_text()))
    killed.kill()
    killed.wait(10)
    until(lambda: "down" in slurm("sinfo", "--noheader", "--format=%T"), "the node to be taken for lost", 120)
    slurm(str(CLUSTER), "slurmd")
    same(name, run, LONG)


@pytest.mark.slow
def test_slurmctld_is_away(clone: Clone, disturbed: Disturbed, same: Same) -> None:
    """For half a minute, while a job runs and is asked after."""
    name, run = disturbed(LONG)
    clone.counting(name)
    slurm(str(CLUSTER), "end", "slurmctld")
    begun = time.monotonic()
    assert subprocess.run(["squeue"], capture_output=True, check=False).returncode != 0
    time.sleep(begun + 30 - time.monotonic())
    assert run.poll() is None
    slurm(str(CLUSTER), "slurmctld")
    same(name, run, LONG)
