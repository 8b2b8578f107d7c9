"""Which code a step runs: hashes of the modules that it imports, which decide when it is run again."""

import ast
import functools
import hashlib
import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from accelerated_smoothing import config

PACKAGE = Path(__file__).parents[1]
ROOT = PACKAGE.parents[1]
# Modules that check, carry and tell, and decide no number: what they carry is in the record itself.
CARRIERS = {
    *("cli", "config", "errors", "files", "progress", "workflow.cluster", "workflow.plan"),
    *("provenance", "provenance.audit", "provenance.code", "provenance.records"),
}
NOISES = config.modules("noise.distributions")
# Modules that a verb imports by name, by its function in `cli.py`, from its arguments.
NAMED: dict[str, Callable[[Mapping[str, Any]], list[str]]] = {
    "train_base": lambda told: [f"training.ways.{told['way']}", f"noise.distributions.{told['noise']}"],
    "choose_sigmas": lambda told: [f"sigmas.ways.{told['way']}", f"noise.distributions.{told['noise']}"],
    # The counts tell under which noise they were made.
    "certify": lambda told: [
        f"certify.methods.{told['certifier']}",
        *(f"noise.distributions.{name}" for name in NOISES),
    ],
    "time_certificates": lambda told: [f"noise.distributions.{told['noise']}"],
    "table": lambda told: [numbered("table", told["number"])],
    "figure": lambda told: [numbered("figure", told["number"])],
}
# Packages whose name is not that of their module.
DISTRIBUTIONS = {"art": "adversarial-robustness-toolbox", "sklearn": "scikit-learn", "PIL": "pillow", "yaml": "pyyaml"}


def modules(function: str, arguments: Mapping[str, Any]) -> dict[str, str]:
    """Hashes of the code that a verb runs: its functions in `cli.py`, and all modules that are imported from there.

    The hash is of the syntax tree without docstrings, so comments, layout and prose change nothing.

    Args:
        function: the verb's in `cli.py`.
        arguments: its arguments, of which some name a module: `way`, `noise`, `certifier`, `number`, or the `source`
            of a notebook.

    Returns:
        Hashes by name within the package: `sampling`, `engines.openvino`, `cli.count`.

    Raises:
        KeyError, OSError, SyntaxError: this version has no such function or module, or not one that can be read.
    """
    found: dict[str, str] = {}
    waiting = {f"cli.{function}"}
    if function in NAMED:
        waiting |= set(NAMED[function](arguments))
    if function == "execute_notebook":
        waiting |= _notebook(Path(arguments["source"]))
    while waiting:
        name = waiting.pop()
        if name not in found and name not in CARRIERS:
            found[name] = hashed(name)
            waiting |= _needs(name)
    return dict(sorted(found.items()))


def numbered(kind: str, number: object) -> str:
    """The module that makes a table or a figure: `3` is the main paper's, `data-dependent/3` that of another paper."""
    paper, _, own = str(number).rpartition("/")
    return f"papers.{(paper or 'accelerated_smoothing').replace('-', '_')}.{kind}{own}"


def numbers(kind: str) -> list[str]:
    """The tables or figures that there is a module for, as `numbered` takes them."""
    found = []
    for path in sorted((PACKAGE / "papers").rglob(f"{kind}[0-9]*.py")):
        paper = path.parent.name.replace("_", "-")
        prefix = "" if paper == "accelerated-smoothing" else f"{paper}/"
        found.append(prefix + path.stem.removeprefix(kind))
    return found


def digest(function: str, **arguments: Any) -> str:
    """One hash of all that `modules` tells."""
    return hashlib.sha256(json.dumps(modules(function, arguments)).encode()).hexdigest()[:16]


def packages(names: Mapping[str, str]) -> set[str]:
    """Packages, other than Python's own and this one, that modules import."""
    found = set()
    for name in names:
        for node in ast.walk(_tree(name)):
            if isinstance(node, ast.Import):
                found |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                found.add((node.module or "").partition(".")[0])
    return {DISTRIBUTIONS.get(name, name) for name in found - sys.stdlib_module_names - {PACKAGE.name}}


def file_of(module: str) -> Path:
    """Where the code of a module of this package is, if there is such a module."""
    path = PACKAGE.joinpath(*module.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


@functools.cache
def hashed(name: str) -> str:
    """The hash of a module, or of a function of `cli.py`."""
    return hashlib.sha256(ast.dump(_tree(name)).encode()).hexdigest()


@functools.cache
def _tree(name: str) -> ast.Module | ast.FunctionDef:
    """The syntax tree of a module, or of a function of `cli.py`, without docstrings."""
    if name.startswith("cli."):
        return _functions()[name.removeprefix("cli.")]
    tree = ast.parse(file_of(name).read_bytes())
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0] if node.body else None
            if (
                isinstance(first, ast.Expr)
                and isinstance(first.value, ast.Constant)
                and isinstance(first.value.value, str)
            ):
                node.body = node.body[1:]
    return tree


def _functions() -> dict[str, ast.FunctionDef]:
    """Those of `cli.py`."""
    tree = _tree("cli")
    assert isinstance(tree, ast.Module)
    return {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}


@functools.cache
def _needs(name: str) -> frozenset[str]:
    """What a module imports, and a function of `cli.py` calls there, too."""
    tree = _tree(name)
    found = _imports(tree)
    if isinstance(tree, ast.FunctionDef):
        names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
        found |= {f"cli.{other}" for other in names & _functions().keys()}
    return frozenset(found)


def _notebook(path: Path) -> set[str]:
    """Modules of this package that a notebook imports."""
    path = path if path.is_file() else ROOT / path
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    text = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    return _imports(ast.parse("\n".join(text)))


def _imports(tree: ast.AST) -> set[str]:
    """Modules of this package that are imported anywhere in a tree."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == PACKAGE.name:
            module = (node.module or "").partition(".")[2]
            below = [f"{module}.{alias.name}".lstrip(".") for alias in node.names]
            found |= {name for name in [module, *below] if name and file_of(name).is_file()}
    return found
