"""Executing notebooks: what is written, what is left out of it, and what a failing cell leaves behind."""

import re
import socket
from pathlib import Path

import nbformat
import pytest

from accelerated_smoothing.errors import InputError
from accelerated_smoothing.report import notebook

pytestmark = pytest.mark.workflow


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A notebook that shows a figure, a formula and ten divided by its parameter."""
    figure = """
from matplotlib.figure import Figure
from accelerated_smoothing.report.notebook import show
show(Figure(figsize=(1, 1)), "nothing")
"""
    parameters = nbformat.v4.new_code_cell("divisor = 1", metadata={"tags": ["parameters"]})
    cells = [
        nbformat.v4.new_markdown_cell("# Ten\n\n$x^2$"),
        parameters,
        nbformat.v4.new_code_cell("print('ten by', divisor, 'is', 10 / divisor)"),
        nbformat.v4.new_code_cell(figure),
    ]
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    path = tmp_path / "ten.ipynb"
    path.write_text(nbformat.writes(nbformat.v4.new_notebook(cells=cells, metadata=kernel)), encoding="utf-8")
    return path


@pytest.mark.slow
def test_writes_both_files_without_traces_of_the_machine(source: Path, tmp_path: Path) -> None:
    for name in ("first", "second"):
        notebook.execute(source, tmp_path / name / "ten.ipynb", {"divisor": 4})
    executed, page = (tmp_path / "first" / f"ten.{kind}" for kind in ("ipynb", "html"))
    assert "ten by 4 is 2.5" in executed.read_text(encoding="utf-8")
    assert "ten by 4 is 2.5" in page.read_text(encoding="utf-8")
    for path in (executed, page):
        text = re.sub(r"[A-Za-z0-9+/=]{200,}", "", path.read_text(encoding="utf-8"))  # images
        for trace in (str(tmp_path), str(Path.cwd()), str(Path.home()), f'"{socket.gethostname()}"', "ipykernel_"):
            assert trace not in text
        assert path.read_bytes() == (tmp_path / "second" / path.name).read_bytes()


def test_the_page_asks_the_network_for_nothing(source: Path, tmp_path: Path) -> None:
    notebook.execute(source, tmp_path / "executed.ipynb", {})
    page = (tmp_path / "executed.html").read_text(encoding="utf-8")
    assert "data:image/png;base64," in page
    assert not re.search(r"<(script|link|iframe)\b", page)
    assert not re.search(r"""(src=|url\(|@import)\s*["']?(https?:)?//""", page)


def test_a_failing_cell_is_reported_in_one_line_and_leaves_nothing(source: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"ten\.ipynb: cell \d failed: ZeroDivisionError: division by zero$"):
        notebook.execute(source, tmp_path / "executed.ipynb", {"divisor": 0})
    assert [path.name for path in tmp_path.iterdir()] == ["ten.ipynb"]


def test_an_unknown_parameter_is_named(source: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"PARAMETERS must be among divisor, which .*ten\.ipynb sets, got 'divider'"):
        notebook.execute(source, tmp_path / "executed.ipynb", {"divider": 1})
    with pytest.raises(InputError, match=r"SOURCE must be a notebook, got .*none\.ipynb"):
        notebook.execute(tmp_path / "none.ipynb", tmp_path / "executed.ipynb", {})
    assert not (tmp_path / "executed.ipynb").exists()


def test_the_notebook_of_an_own_classifier_agrees_with_the_run(built: Path, tmp_path: Path) -> None:
    source = Path(__file__).parents[2] / "notebooks/own-classifier.ipynb"
    parameters = {"results": str(built / "results"), "number": 20, "budget": 100, "radii": [0.1, 0.2]}
    notebook.execute(source, tmp_path / "own.ipynb", parameters)
    assert "budget = 100" in (tmp_path / "own.html").read_text(encoding="utf-8")
