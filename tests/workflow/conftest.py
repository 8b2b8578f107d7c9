"""A copy of the repository to run the real Snakefile in, so that no test touches the user's own results."""

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PARTS = ["Snakefile", "config.yaml", "rules", "presets", "profiles", "envs", "resources", "notebooks", "slurm", "src"]
Run = Callable[..., subprocess.CompletedProcess[str]]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker("workflow")


@pytest.fixture(scope="session")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clone")
    for part in PARTS:
        copy = shutil.copytree if (ROOT / part).is_dir() else shutil.copy
        copy(ROOT / part, folder / part)
    shutil.copy(ROOT / "tests/workflow/tiny.yaml", folder / "presets/tiny.yaml")
    return folder


@pytest.fixture(scope="session")
def snakemake(clone: Path) -> Run:
    """Run Snakemake in the copy, as a user would type it."""

    def run(*words: str, folder: Path = clone) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "snakemake", *words]
        return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)

    return run


@pytest.fixture(scope="session")
def tiny(clone: Path, snakemake: Run) -> Path:
    """The results of the tiny preset, whole."""
    done = snakemake("all", "--configfile", "presets/tiny.yaml", "--cores", "2")
    assert done.returncode == 0, done.stderr
    return clone / "results/tiny"
