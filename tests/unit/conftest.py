"""A whole experiment at the smallest size, for what walks its files."""

import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

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


@pytest.fixture(scope="session")
def backbones(digits: SimpleNamespace, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A small 1-Lipschitz network trained on the digits, by the precision of its training."""
    files = {}
    for precision in ("fp32", "bf16"):
        files[precision] = tmp_path_factory.mktemp("backbone") / f"{precision}.safetensors"
        experiment.run(
            f"train-base margin --train {digits.train} --test {digits.test} --sigma 0 --arch sll8-1 --epochs 2 "
            f"--optimizer adamw --lr 0.01 --batch-size 64 --step-size 2 --crop 0 --no-flip --epsilon 0.2 --threads 1 "
            f"--precision {precision} --output {files[precision]}"
        )
    return files
