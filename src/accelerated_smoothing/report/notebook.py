"""Execute notebooks, and keep them with their outputs as .ipynb and as a page that needs no network."""

from pathlib import Path
from typing import Any

from accelerated_smoothing.errors import InputError
from accelerated_smoothing.files import atomic

# The page of nbconvert, without the scripts that it would load from other hosts for formulas and diagrams.
PAGE = """{%- extends 'lab/index.html.j2' -%}
{%- block html_head_js -%}{%- endblock -%}
{%- block html_head_js_mathjax -%}{%- endblock -%}
{%- block html_head_js_mermaidjs -%}{%- endblock -%}
"""


def execute(source: Path, output: Path, parameters: dict[str, Any]) -> None:
    """Run a notebook in the current folder. Write it with its outputs, and as a page beside it.

    Times, paths and random names of cells differ from run to run, so they are left out: the same inputs give the same
    files.

    Args:
        source: a notebook with a cell that is tagged `parameters`.
        output: the executed .ipynb. The page has the same name with .html.
        parameters: values of names that this cell sets.

    Raises:
        InputError: `source` is not a notebook, it does not set one of the names, or a cell fails. Nothing is written
            then.
    """
    import nbformat
    import papermill
    from papermill.exceptions import PapermillExecutionError

    try:
        names = papermill.inspect_notebook(source)
        if unknown := sorted(parameters.keys() - names.keys()):
            raise InputError(f"PARAMETERS must be among {', '.join(names)}, which {source} sets, got {unknown[0]!r}")
        executed = papermill.execute_notebook(source, None, parameters, progress_bar=False, log_output=False)
    except PapermillExecutionError as error:
        reason = error.evalue.strip().partition("\n")[0]
        raise InputError(f"{source}: cell {error.exec_count} failed: {error.ename}: {reason}") from None
    except (OSError, nbformat.reader.NotJSONError) as error:
        raise InputError(f"SOURCE must be a notebook, got {source} ({error})") from error
    executed.metadata.pop("papermill")
    for number, cell in enumerate(executed.cells):
        cell.id = f"cell-{number}"
        for key in ("papermill", "execution"):
            cell.metadata.pop(key, None)
    with atomic(output) as draft, atomic(output.with_suffix(".html")) as draft_page:
        draft.write_text(nbformat.writes(executed) + "\n", encoding="utf-8")
        draft_page.write_text(page(executed), encoding="utf-8")


def page(notebook: Any) -> str:
    """Return an executed notebook as HTML that contains everything that it shows."""
    from jinja2 import DictLoader
    from nbconvert import HTMLExporter

    exporter = HTMLExporter(extra_loaders=[DictLoader({"offline.html.j2": PAGE})], template_file="offline.html.j2")
    return exporter.from_notebook_node(notebook)[0]


def title(path: Path) -> str:
    """Return the first heading of a notebook; the name of its file if there is none or it cannot be read."""
    import json

    try:
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    except (OSError, ValueError, KeyError):
        return path.stem
    lines = [line for cell in cells if cell["cell_type"] == "markdown" for line in "".join(cell["source"]).splitlines()]
    return next((line.lstrip("# ") for line in lines if line.startswith("#")), path.stem)


def show(figure: Any, words: str) -> None:
    """Show a figure in a notebook.

    Args:
        figure: a matplotlib Figure.
        words: what it shows, for those who cannot see it.
    """
    import io

    from IPython.display import Image, display

    png = io.BytesIO()
    figure.savefig(png, format="png", dpi=200, metadata={"Software": None})
    display(Image(png.getvalue(), width=int(100 * figure.get_figwidth()), alt=words))
