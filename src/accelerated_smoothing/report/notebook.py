"""Notebooks: executed with parameters, and kept with their outputs as .ipynb and as a page that needs no network."""

from pathlib import Path
from typing import Any

from accelerated_smoothing.errors import InputError
from accelerated_smoothing.files import atomic

# nbconvert's own page, less the scripts that it would load from other hosts for formulas and diagrams.
PAGE = """{%- extends 'lab/index.html.j2' -%}
{%- block html_head_js -%}{%- endblock -%}
{%- block html_head_js_mathjax -%}{%- endblock -%}
{%- block html_head_js_mermaidjs -%}{%- endblock -%}
"""


def execute(source: Path, output: Path, parameters: dict[str, Any]) -> None:
    """Run a notebook in the current folder, and write it with its outputs, and as HTML beside it.

    What differs from run to run (times, paths, random names of cells) is left out: equal inputs give equal files.

    Args:
        source: a notebook with a cell that is tagged `parameters`.
        output: the executed .ipynb; the page gets the same name with .html.
        parameters: values for names that this cell sets.

    Raises:
        InputError: no such notebook, a name that it does not set, or a failing cell; nothing is written then.
    """
    import nbformat
    import papermill
    from papermill.exceptions import PapermillExecutionError

    try:
        known = papermill.inspect_notebook(source)
        if unknown := sorted(parameters.keys() - known.keys()):
            raise InputError(f"{source}: has no parameter {unknown[0]!r}; it takes {', '.join(known)}")
        made = papermill.execute_notebook(source, None, parameters, progress_bar=False, log_output=False)
    except PapermillExecutionError as error:
        what = error.evalue.strip().partition("\n")[0]
        raise InputError(f"{source}: cell {error.exec_count} failed: {error.ename}: {what}") from None
    except (OSError, nbformat.reader.NotJSONError) as error:
        raise InputError(f"{source}: not a readable notebook ({error})") from error
    made.metadata.pop("papermill")
    for number, cell in enumerate(made.cells):
        cell.id = f"cell-{number}"
        for key in ("papermill", "execution"):
            cell.metadata.pop(key, None)
    with atomic(output) as draft, atomic(output.with_suffix(".html")) as draft_page:
        draft.write_text(nbformat.writes(made) + "\n", encoding="utf-8")
        draft_page.write_text(page(made), encoding="utf-8")


def page(notebook: Any) -> str:
    """An executed notebook as HTML, with everything that it shows inside."""
    from jinja2 import DictLoader
    from nbconvert import HTMLExporter

    exporter = HTMLExporter(extra_loaders=[DictLoader({"offline.html.j2": PAGE})], template_file="offline.html.j2")
    return exporter.from_notebook_node(notebook)[0]


def title(path: Path) -> str:
    """Return the first heading of a notebook; its name if it has none or cannot be read."""
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
