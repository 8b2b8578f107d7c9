"""A whole experiment at the smallest size, for what walks its files."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from accelerated_smoothing.provenance import records

from . import experiment

COMMIT = {"id": "0" * 40, "clean": True}  # whatever the state of this tree


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `results`; not to be changed."""
    folder = tmp_path_factory.mktemp("built")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(records, "commit", lambda: COMMIT)
        experiment.everything()
    return folder


@pytest.fixture
def copied(built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Make a copy of it, and go there."""

    def copy(name: str) -> Path:
        shutil.copytree(built, tmp_path / name)
        monkeypatch.chdir(tmp_path / name)
        monkeypatch.setattr(records, "commit", lambda: COMMIT)
        return tmp_path / name

    return copy
