"""Which code a verb can run: hashes of modules, which decide when a file is built again.

The code of a verb is its module, everything that this imports, and the plug-ins that its facts name (`registry`). The
hash of a module is that of its syntax tree without docstrings, so comments, layout and prose change nothing.
"""

import ast
import contextlib
import functools
import hashlib
import json
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

from accelerated_smoothing import architectures, papers, registry
from accelerated_smoothing.command import Arguments, Role
from accelerated_smoothing.files import describe
from accelerated_smoothing.registry import PACKAGE

ROOT = PACKAGE.parents[1]
# Modules that parse, check and record, and decide no number: what they pass on is in the record itself.
CARRIERS = {
    *("cli", "command", "config", "errors", "files", "progress", "registry"),
    *("provenance", "provenance.audit", "provenance.code", "provenance.planned", "provenance.records"),
    *("workflow", "workflow.cluster", "workflow.measuring", "workflow.plan"),
}
# Packages whose name is not that of their module.
DISTRIBUTIONS = {"art": "adversarial-robustness-toolbox", "sklearn": "scikit-learn", "PIL": "pillow", "yaml": "pyyaml"}

Facts = Mapping[str, Iterable[str]]


def facts(arguments: Arguments) -> dict[str, set[str]]:
    """Return what the arguments of a verb, and the files that it reads, say about the plug-ins that it will load.

    Returns:
        Names by fact, such as {"noise": {"gaussian"}, "family": {"resnet"}}.
    """
    stated = arguments.facts()
    names = {fact: set(values) for fact, values in stated.items()}
    names |= {"family": set().union(*map(architectures.families, names["arch"]))} if "arch" in names else {}
    for path in arguments.paths(Role.INPUT):
        if path.is_file():
            for fact, values in header(describe(path)).items():
                if fact != "noise" or "noise" not in stated:  # a verb draws the noise of its own flag only
                    names.setdefault(fact, set()).update(values)
    return names


def header(description: Mapping[str, object]) -> dict[str, set[str]]:
    """Return the facts in the description of a file."""
    names: dict[str, set[str]] = {}
    if "arch" in description:
        names["family"] = architectures.families(str(description["arch"]))
    elif description.get("noise"):  # of weights it is that of the training, which a reader of weights does not load
        names["noise"] = set(str(description["noise"]).split(" and "))
    if description.get("kind") == "sigmas":
        names["chooser"] = {str(description["way"])}
    return names


def plugins(verb: str, facts: Facts) -> list[str]:
    """Return the modules of the plug-ins that a verb loads, sorted.

    Raises:
        ValueError, OSError, SyntaxError: a module does not exist, or cannot be read.
    """
    chosen: set[str] = set()
    before: set[str] | None = None
    while before != chosen:  # a plug-in may load plug-ins itself
        before = set(chosen)
        for name in _closure(verb, chosen):
            for fact, room in declared(name).items():
                chosen |= {_module(room, value) for value in facts.get(fact, ())}
    for source in facts.get("notebook", ()):
        chosen |= _notebook(Path(source))
    return sorted(chosen)


def _module(room: str, name: str) -> str:
    return papers.module_of(name) if room == "papers" else registry.module(room, name)


def modules(verb: str, plugins: Iterable[str]) -> dict[str, str]:
    """Return the hashes of the modules that a verb can run, by name within the package.

    Raises:
        ValueError, OSError, SyntaxError: as `plugins`.
    """
    return {name: hashed(name) for name in sorted(_closure(verb, plugins))}


def digest(verb: str, facts: Facts) -> str:
    """Return one hash of everything that `modules` returns."""
    return hashlib.sha256(json.dumps(modules(verb, plugins(verb, facts))).encode()).hexdigest()[:16]


def packages(names: Iterable[str]) -> set[str]:
    """Return the packages, other than Python's own and this one, that modules import."""
    imported = set()
    for name in names:
        for node in ast.walk(_tree(name)):
            if isinstance(node, ast.Import):
                imported |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                imported.add((node.module or "").partition(".")[0])
    return {DISTRIBUTIONS.get(name, name) for name in imported - sys.stdlib_module_names - {PACKAGE.name}}


def declared(name: str) -> dict[str, str]:
    """Return the `PLUGINS` that a module declares: rooms by fact."""
    for node in _tree(name).body:
        if isinstance(node, ast.Assign) and [ast.unparse(target) for target in node.targets] == ["PLUGINS"]:
            return dict(ast.literal_eval(node.value))
    return {}


def file_of(module: str) -> Path:
    """Return where the code of a module of this package is, whether or not it exists."""
    path = PACKAGE.joinpath(*module.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def carrier(name: str) -> bool:
    """Return whether a module only parses, checks or records."""
    return name in CARRIERS or (name.startswith("config.") and name != "config.slices")


def _closure(verb: str, plugins: Iterable[str]) -> set[str]:
    """Return the modules that a verb and its plug-ins import, directly or not."""
    reached: set[str] = set()
    waiting = {registry.module("verbs", verb), *plugins}
    while waiting:
        name = waiting.pop()
        if name not in reached and not carrier(name):
            reached.add(name)
            waiting |= _imports_of(name)
            waiting |= {name.rpartition(".")[0]} - {""}
    return reached


@functools.cache
def hashed(name: str) -> str:
    """Return the hash of a module."""
    return _hash(_tree(name))


def at_commit(commit: str, name: str) -> str | None:
    """Return the hash of a module at a commit of this repository; None if the commit or the module is not there."""
    stem = f"{PACKAGE.relative_to(ROOT).as_posix()}/{name.replace('.', '/')}"
    for path in (f"{stem}.py", f"{stem}/__init__.py"):
        git = ["git", "-C", str(ROOT), "show", f"{commit}:{path}"]
        with contextlib.suppress(OSError, subprocess.CalledProcessError):
            return _hash(_without_docstrings(subprocess.run(git, capture_output=True, check=True).stdout))
    return None


def _hash(tree: ast.Module) -> str:
    return hashlib.sha256(ast.dump(tree).encode()).hexdigest()


@functools.cache
def _tree(name: str) -> ast.Module:
    """Return the syntax tree of a module without docstrings."""
    return _without_docstrings(file_of(name).read_bytes())


def _without_docstrings(source: bytes) -> ast.Module:
    tree = ast.parse(source)
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


@functools.cache
def _imports_of(name: str) -> frozenset[str]:
    return frozenset(_imports(_tree(name)))


def _notebook(path: Path) -> set[str]:
    """Return the modules of this package that a notebook imports."""
    path = path if path.is_file() else ROOT / path
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    text = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    return _imports(ast.parse("\n".join(text)))


def _imports(tree: ast.AST) -> set[str]:
    """Return the modules of this package that are imported anywhere in a tree, but for those of `TYPE_CHECKING`."""
    names = set()
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            waiting += node.orelse
            continue
        waiting += list(ast.iter_child_nodes(node))
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == PACKAGE.name:
            module = (node.module or "").partition(".")[2]
            imported = [f"{module}.{alias.name}".lstrip(".") for alias in node.names]
            names |= {name for name in [module, *imported] if name and file_of(name).is_file()}
    return names
