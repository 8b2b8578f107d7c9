"""The papers: a folder each, with the tables and figures that its modules declare.

The `__init__.py` of a paper declares `NAME` and `FOLDER`, where its results lie below the results folder, and perhaps
`OPTIONAL`: names of items that need files which this repository does not distribute. Its modules declare `TABLES` and
`FIGURES`: dictionaries from names such as "table1" to `analysis.items.Table` or `Figure`. The
names are literal, so that they can be read from the source: only the module of an item that is needed is imported.
"""

import ast
import functools
import importlib
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from accelerated_smoothing.errors import InputError

if TYPE_CHECKING:  # names and modules of items are looked up often, and pandas takes long to import
    from accelerated_smoothing.analysis.items import Figure, Table
    from accelerated_smoothing.config.run import Run

PLUGINS = {"item": "papers"}
ROOM = Path(__file__).parent
PACKAGE = ROOM.parent.name
T = TypeVar("T")
DECLARATIONS = {"TABLES": "table", "FIGURES": "figure"}


def papers() -> list[str]:
    """Return the folders of the papers below the results folder: "" is that of Accelerated Smoothing."""
    return sorted(_packages())


def items(paper: str) -> list[str]:
    """Return the names of a paper's tables, then of its figures: "data-dependent/table1", "data-dependent/table2", ...

    Raises:
        InputError: `paper` is not one of `papers()`.
    """
    if paper not in papers():
        raise InputError(f"the paper must be one of {', '.join(map(repr, papers()))}, got {paper!r}")
    names = [name for name in _modules() if name.rpartition("/")[0] == paper]
    return sorted(names, key=lambda name: ("figure" in name.rpartition("/")[2], int(re.sub(r".*\D", "", name))))


def optional(paper: str) -> list[str]:
    """Return the names of the items of a paper that need files which this repository does not distribute."""
    path = _packages()[paper] / "__init__.py"
    keys = [key for name, value in _assignments(path) if name == "OPTIONAL" for key in ast.literal_eval(value)]
    return [f"{paper}/{key}".lstrip("/") for key in keys]


def of_file(path: Path) -> str | None:
    """Return the name of the table or figure in a file, from the name that the workflow gives the file."""
    names = [f"{path.parent.name}/{path.stem}", path.stem]
    return next((name for name in names if name in _modules()), None) if path.suffix in (".csv", ".svg") else None


def module_of(name: str) -> str:
    """Return the dotted path, within this package, of the module that declares a table or figure.

    Raises:
        InputError: `name` is not the name of a table or figure.
    """
    if name not in _modules():
        names = [name for paper in papers() for name in items(paper)]
        raise InputError(f"the table or figure must be one of {', '.join(names)}, got {name!r}")
    return _modules()[name]


def find(name: str) -> "Table | Figure":
    """Return a table or figure by its name, such as "table1" or "data-dependent/figure3".

    Raises:
        InputError: `name` is not the name of a table or figure.
    """
    module = importlib.import_module(f"{PACKAGE}.{module_of(name)}")
    key = name.rpartition("/")[2]
    item: Table | Figure = {**getattr(module, "TABLES", {}), **getattr(module, "FIGURES", {})}[key]
    return item


def table(name: str) -> "Table":
    """Return a table by its name.

    Raises:
        InputError: `name` is not the name of a table.
    """
    from accelerated_smoothing.analysis.items import Table

    return _of_kind(Table, name)


def figure(name: str) -> "Figure":
    """Return a figure by its name.

    Raises:
        InputError: `name` is not the name of a figure.
    """
    from accelerated_smoothing.analysis.items import Figure

    return _of_kind(Figure, name)


def caption(paper: str, run: "Run") -> str:
    """Return what was run for a paper, in words."""
    text: str = _package(paper).caption(run)
    return text


def title(paper: str) -> str:
    """Return the name of a paper."""
    name: str = _package(paper).NAME
    return name


def _of_kind(kind: type[T], name: str) -> T:
    item = find(name)
    if not isinstance(item, kind):
        raise InputError(f"NUMBER must be that of a {kind.__name__.lower()}, got {name!r}")
    return item


def _package(paper: str) -> Any:
    return importlib.import_module(f"{PACKAGE}.papers.{_packages()[paper].name}")


@functools.cache
def _packages() -> dict[str, Path]:
    """Return the folder of each paper's code by the folder of its results."""
    return {
        str(ast.literal_eval(value)): path.parent
        for path in ROOM.glob("*/__init__.py")
        for name, value in _assignments(path)
        if name == "FOLDER"
    }


@functools.cache
def _modules() -> dict[str, str]:
    """Return the module of each table and figure by its name."""
    modules: dict[str, str] = {}
    for paper, folder in _packages().items():
        for path in sorted(folder.glob("*.py")):
            for name, value in _assignments(path):
                keys = value.keys if name in DECLARATIONS and isinstance(value, ast.Dict) else []
                for key in map(ast.literal_eval, filter(None, keys)):
                    item = f"{paper}/{key}".lstrip("/")
                    if item in modules or not re.fullmatch(rf"{DECLARATIONS[name]}\d+", key):
                        raise ValueError(f"{path}: the names in {name} must be unique and like table1, got {item!r}")
                    modules[item] = f"papers.{folder.name}.{path.stem}"
    return modules


def _assignments(path: Path) -> list[tuple[str, ast.expr]]:
    """Return the values that are assigned at the top level of a module, with their names."""
    pairs = []
    for node in ast.parse(path.read_bytes()).body:
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
            target = node.targets[0] if isinstance(node, ast.Assign) else node.target
            if isinstance(target, ast.Name):
                pairs.append((target.id, node.value))
    return pairs
