"""A real cluster on this machine, and the real workflow under `--profile slurm` on it."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from processes import working

HERE = Path(__file__).parent
CLUSTER = HERE / "cluster.sh"
STATE = Path("/var/lib/slurm-rehearsal")
NODE = os.uname().nodename.split(".")[0]
PATIENCE = 900.0  # seconds after which a run is taken to hang


def slurm(*words: str) -> str:
    """What a command of SLURM, or the cluster's script, prints."""
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{words}: {done.stderr}"
    return done.stdout


def until(holds: Callable[[], Any], what: str, seconds: float = PATIENCE) -> Any:
    """Wait for something, and return it."""
    deadline = time.monotonic() + seconds
    while not (value := holds()):
        assert time.monotonic() < deadline, f"waited {seconds:.0f} s for {what}"
        time.sleep(0.2)
    return value


class Clone:
    """A copy of the repository; `results/<name>` is one run of the workflow in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.running: list[subprocess.Popen[bytes]] = []

    def results(self, name: str) -> Path:
        return self.folder / "results" / name

    def command(self, name: str, presets: tuple[str, ...], *words: str, also: str = "table1.csv") -> list[str]:
        files = [f"presets/{preset}.yaml" for preset in presets]
        targets = [f"results/{name}/{target}" for target in ("table1.csv", also)]
        return [sys.executable, "-m", "snakemake", "--configfile", *files, "--config", f"results=results/{name}",
                "--rerun-triggers", "mtime", *words, "--", *targets]  # fmt: skip

    def local(self, name: str, presets: tuple[str, ...]) -> Path:
        """Run without SLURM, and return the results."""
        command = self.command(name, presets, "--cores", "2")
        done = subprocess.run(command, cwd=self.folder, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return self.results(name)

    def submit(
        self, name: str, presets: tuple[str, ...], *words: str, profile: str = "slurm", **also: str
    ) -> "subprocess.Popen[bytes]":
        """Start a run under the profile; its output goes to `<name>.log`, after that of earlier runs."""
        with (self.folder / f"{name}.log").open("ab") as log:
            command = self.command(name, presets, "--profile", profile, *words, **also)
            self.running.append(subprocess.Popen(command, cwd=self.folder, stdout=log, stderr=log))
        return self.running[-1]

    def output(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text()

    def finish(self, run: "subprocess.Popen[bytes]", name: str) -> Path:
        """Wait for the good end of a run, and return the results."""
        try:
            assert run.wait(PATIENCE) == 0, self.output(name)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"hangs: {self.output(name)}") from None
        results = self.results(name)
        left = [path for path in results.rglob("*") if "partial" in path.name or path.name.startswith(".")]
        assert not left
        return results

    def counting(self, name: str, purpose: str = "estimation") -> psutil.Process:
        """Wait for a process that counts, and has begun to."""

        def begun() -> psutil.Process | None:
            processes = (p for p in working("count", self.results(name)) if purpose in p.info["cmdline"])
            return next((process for process in processes if process.info["cpu_times"].user > 5), None)

        return until(begun, f"a process that counts for {name}", 120)

    def log(self, name: str, shard: int = 0) -> str:
        path = self.results(name) / f"logs/counts/sigma0.25/test-estimation/{shard}.log"
        return path.read_text() if path.exists() else ""


@pytest.fixture(scope="session")
def cluster() -> Iterator[None]:
    """The cluster; one that is running already is used, and left."""
    running = (STATE / "ours").exists()
    try:
        slurm(str(CLUSTER), "start")
        yield
    finally:
        if not running:
            slurm(str(CLUSTER), "stop")


@pytest.fixture(scope="session")
def clone(clone: Path) -> Clone:
    for preset in ("faults.yaml", "long.yaml"):
        shutil.copy(HERE / preset, clone / "presets" / preset)
    return Clone(clone)


@pytest.fixture(autouse=True)
def idle(cluster: None, clone: Clone) -> Iterator[None]:
    """Whatever a test leaves running is ended, so that a failure stays its own."""
    yield
    for run in clone.running:
        if run.poll() is None:
            run.kill()
            run.wait()
    clone.running.clear()
    for daemon in ("slurmctld", "slurmd"):
        slurm(str(CLUSTER), daemon)
    if "drain" in slurm("sinfo", "--noheader", "--format=%T"):
        slurm("scontrol", "update", f"nodename={NODE}", "state=resume")
    slurm("scancel", "--user", "root")
    until(lambda: not slurm("squeue", "--noheader"), "the queue to be empty", 120)


FAULTS, LONG = ("tiny", "faults"), ("tiny", "faults", "long")


@pytest.fixture(scope="session")
def expected(clone: Clone) -> dict[tuple[str, ...], Path]:
    """Results made locally, by presets, as they are asked for."""

    class Local(dict[tuple[str, ...], Path]):
        def __missing__(self, presets: tuple[str, ...]) -> Path:
            self[presets] = clone.local("local-" + presets[-1], presets)
            return self[presets]

    return Local()


@pytest.fixture
def disturbed(
    clone: Clone, expected: dict[tuple[str, ...], Path], request: pytest.FixtureRequest
) -> Callable[..., tuple[str, "subprocess.Popen[bytes]"]]:
    """Start a run of presets whose base classifier is there already; its name is the test's."""

    def start(presets: tuple[str, ...], *words: str, **profile: str) -> tuple[str, "subprocess.Popen[bytes]"]:
        name = request.node.originalname.removeprefix("test_").replace("_", "-")
        for part in ("data", "base"):
            shutil.copytree(expected[presets] / part, clone.results(name) / part)
        return name, clone.submit(name, presets, *words, **profile)

    return start


@pytest.fixture
def same(clone: Clone, expected: dict[tuple[str, ...], Path]) -> Callable[..., None]:
    """Wait for a run, and hold its table and its counts against those made locally."""
    from accelerated_smoothing.counting import counts

    def check(name: str, run: "subprocess.Popen[bytes]", presets: tuple[str, ...]) -> None:
        results = clone.finish(run, name)
        assert (results / "table1.csv").read_bytes() == (expected[presets] / "table1.csv").read_bytes()
        for kind in ("test-estimation", "test-selection"):
            ours, theirs = (counts.read(r / f"counts/sigma0.25/{kind}.npz") for r in (results, expected[presets]))
            assert (ours.counts == theirs.counts).all()
            assert (ours.idx == theirs.idx).all()

    return check
