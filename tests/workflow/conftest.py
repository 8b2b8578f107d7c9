"""The real Snakefile, in a copy of the repository."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Run = Callable[..., subprocess.CompletedProcess[str]]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker("workflow")


@pytest.fixture(scope="session")
def snakemake(clone: Path) -> Run:
    """Run Snakemake in the copy, as a user would type it."""

    def run(*words: str, folder: Path = clone) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "snakemake", *words]
        own = {**os.environ, "PYTHONPATH": str(folder / "src")}  # else the Snakefile would import the repository's
        return subprocess.run(command, cwd=folder, env=own, capture_output=True, text=True, check=False)

    return run


@pytest.fixture(scope="session")
def tiny(clone: Path, snakemake: Run) -> Path:
    """The results of the tiny preset, whole."""
    done = snakemake("all", "--configfile", "presets/tiny.yaml", "--cores", "2")
    assert done.returncode == 0, done.stderr
    return clone / "results/tiny"
