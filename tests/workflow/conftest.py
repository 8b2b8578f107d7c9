"""The real Snakefile, in a copy of the repository."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker("workflow")


@pytest.fixture
def edit(clone: Path) -> Iterator[Callable[[str, str, str], None]]:
    """Replace text in a source file of the copy, until the test is over."""
    kept: dict[Path, Path] = {}

    def change(file: str, old: str, new: str) -> None:
        path = clone / "src/accelerated_smoothing" / file
        kept[path] = Path(shutil.copy2(path, path.with_suffix(".kept")))
        text = path.read_text()
        assert text.count(old) == 1
        path.write_text(text.replace(old, new))

    yield change
    for path, copy in kept.items():
        copy.replace(path)
