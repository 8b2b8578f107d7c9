"""What made a file, and whether that still holds: a record beside every built file, and the audit that walks them."""

import argparse
import ast
import functools
import hashlib
import importlib.metadata
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from accelerated_smoothing import files
from accelerated_smoothing.files import InputError, sha256, write_text

SCHEMA = 1
SUFFIX = ".record.json"
PACKAGE = Path(__file__).parent
ROOT = PACKAGE.parents[1]
# Modules that check, carry and tell, and decide no number: what they carry is in the record itself.
CARRIERS = {"cli", "cluster", "config", "files", "plan", "progress", "provenance"}


def record_of(path: Path) -> Path:
    """Where the record of a file lies."""
    return path.with_name(path.name + SUFFIX)


@contextmanager
def recorded(verb: str, arguments: argparse.Namespace) -> Iterator[None]:
    """Run a verb, and leave a record beside each file that it has written.

    Paths in a record are relative to the working directory of the verb, as they were on its command line, so that
    those within a results folder keep their places to one another wherever it is moved.
    """
    files.written.clear()
    started, begun = datetime.now(UTC), time.perf_counter()
    yield
    made = [path for path in sorted(files.written) if path.exists()]
    if not made:
        return
    given = {name: _plain(value) for name, value in sorted(vars(arguments).items()) if name not in ("run", "verb")}
    shared = {
        "schema": SCHEMA,
        "verb": verb,
        "arguments": given,
        "inputs": {
            _relative(path): {"sha256": sha256(path), "recorded": record_of(path).exists()}
            for path in _paths(arguments)
            if path not in made
        },
        "code": code(arguments.run.__name__, *_named(verb, arguments)),
        "commit": commit(),
        "python": platform.python_version(),
        "packages": packages(),
        "machine": machine(),
        "started": started.isoformat(timespec="seconds"),
        "seconds": round(time.perf_counter() - begun, 3),
    }
    for path in made:
        own = {"file": _relative(path), "sha256": sha256(path), "bytes": path.stat().st_size}
        write_text(record_of(path), _sealed({**shared, **own}))


def _sealed(record: dict[str, Any]) -> str:
    """A record as text that ends with a hash of the rest, so that no byte of it can change unnoticed."""
    body = json.dumps(record, indent=1, sort_keys=True)
    return json.dumps({**record, "~seal": hashlib.sha256(body.encode()).hexdigest()}, indent=1, sort_keys=True) + "\n"


def read(path: Path) -> dict[str, Any]:
    """Read the record of a file.

    Raises:
        InputError: there is none, or it is not as it was written.
    """
    where = record_of(path)
    try:
        text = where.read_text(encoding="utf-8")
        record = dict(json.loads(text))
        record.pop("~seal", None)
        if text != _sealed(record):
            raise InputError(f"{where}: was altered after it was written; build {path.name} again")
    except FileNotFoundError:
        raise InputError(f"{where}: no such record; build {path.name} again") from None
    except (OSError, ValueError, TypeError) as error:
        raise InputError(f"{where}: cannot be read as a record ({error}); build {path.name} again") from error
    if record.get("schema") != SCHEMA:
        raise InputError(f"{where}: found schema {record.get('schema')!r}; this version reads {SCHEMA}")
    return record


def _relative(path: Path) -> str:
    return Path(os.path.relpath(path)).as_posix()


def _plain(value: Any) -> Any:
    """A value of the command line as JSON has it, paths relative."""
    if isinstance(value, Path):
        return _relative(value)
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value


def _paths(arguments: argparse.Namespace) -> list[Path]:
    """The files on the command line that were there to be read."""
    values = [value if isinstance(value, list) else [value] for value in vars(arguments).values()]
    return [item for value in values for item in value if isinstance(item, Path) and item.is_file()]


def _named(verb: str, arguments: argparse.Namespace) -> list[str]:
    """Modules that a verb imports by name: methods, tables, figures, and whatever a notebook says."""
    if verb == "notebook":
        return notebook(arguments.source)
    named = {"certify": "certify.{certifier}", "table": "analysis.table{number}", "figure": "analysis.figure{number}"}
    return [named[verb].format(**vars(arguments))] if verb in named else []


def notebook(path: Path) -> list[str]:
    """Modules of this package that a notebook imports."""
    cells = json.loads(Path(path).read_text(encoding="utf-8"))["cells"]
    code = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    return sorted(_imports(ast.parse("\n".join(code))))


def code(function: str, *modules: str) -> dict[str, str]:
    """Hashes of the modules whose code a verb runs, by their names within the package: imported ones, all the way.

    The hash is of the syntax tree without docstrings, so comments, layout and prose change nothing.

    Args:
        function: the verb's in `cli.py`.
        modules: that it imports by name.
    """
    tree, _ = _parsed("cli")
    body = next(node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == function)
    waiting = _imports(body) | set(modules)
    found: dict[str, str] = {}
    while waiting:
        module = waiting.pop()
        if module not in found and module not in CARRIERS:
            tree, found[module] = _parsed(module)
            waiting |= _imports(tree)
    return dict(sorted(found.items()))


def digest(function: str, *modules: str) -> str:
    """One hash of all that `code` tells."""
    return hashlib.sha256(json.dumps(code(function, *modules)).encode()).hexdigest()[:16]


def _file(module: str) -> Path:
    path = PACKAGE.joinpath(*module.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


@functools.cache
def _parsed(module: str) -> tuple[ast.Module, str]:
    """The syntax tree of a module, and its hash."""
    tree = ast.parse(_file(module).read_bytes())
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0] if node.body else None
            if (
                isinstance(first, ast.Expr)
                and isinstance(first.value, ast.Constant)
                and isinstance(first.value.value, str)
            ):
                node.body = node.body[1:]
    return tree, hashlib.sha256(ast.dump(tree).encode()).hexdigest()


def _imports(tree: ast.AST) -> set[str]:
    """Modules of this package that are imported anywhere in a tree."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == PACKAGE.name:
            module = (node.module or "").partition(".")[2]
            below = [f"{module}.{alias.name}".lstrip(".") for alias in node.names]
            found |= {name for name in [module, *below] if name and _file(name).is_file()}
    return found


def commit() -> dict[str, Any] | None:
    """The commit that the code was checked out from, and whether nothing was changed since; None without git."""
    git = ["git", "-C", str(ROOT)]
    try:
        head = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout.strip()
        status = [*git, "status", "--porcelain", "--untracked-files=no"]
        changed = subprocess.run(status, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return None
    return {"id": head, "clean": not changed}


def packages() -> dict[str, str]:
    """Versions of the packages that this one asks for, and the hash of the lock that they come from."""
    wanted = importlib.metadata.requires(PACKAGE.name.replace("_", "-")) or []
    found = {}
    for line in wanted:
        if "extra ==" not in line:
            name = line.split(";")[0].split("=")[0].split(">")[0].split("<")[0].strip()
            found[name] = importlib.metadata.version(name)
    lock = ROOT / "envs/lock.txt"
    return {**found, "lock.txt": sha256(lock)} if lock.exists() else found


def machine() -> dict[str, str]:
    """The machine, and the GPU if the verb has seen one."""
    torch = sys.modules.get("torch")
    gpu = {"gpu": torch.cuda.get_device_name()} if torch and torch.cuda.is_available() else {}
    return {"host": platform.node(), "platform": platform.platform(), "processor": _processor(), **gpu}


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(": ", 1)[1] for line in lines if line.startswith("model name")), platform.machine())


@dataclass
class Node:
    """A file in an audit.

    Attributes:
        path: as it was found.
        problems: what does not hold, each in a line; nothing if all does.
        inputs: what it was made from.
        made: its hash when it was made, if that is known.
    """

    path: Path
    problems: list[str] = field(default_factory=list)
    inputs: list["Node"] = field(default_factory=list)
    made: str = ""

    def holds(self) -> bool:
        return not self.problems and all(node.holds() for node in self.inputs)


def audit(targets: list[Path]) -> list[Node]:
    """Walk from files to whatever they were made from, and hold each against its record, and against what read it."""
    seen: dict[Path, Node] = {}
    hashes: dict[Path, str] = {}

    def hashed(path: Path) -> str:
        if path not in hashes:
            hashes[path] = sha256(path)
        return hashes[path]

    def visit(path: Path) -> Node:
        node = seen.get(path.resolve())
        if node is not None:
            return node
        node = seen[path.resolve()] = Node(path)
        if not path.is_file():
            node.problems.append("missing")
            return node
        try:
            record = read(path)
        except InputError as error:
            node.problems.append(str(error))
            return node
        node.made = record["sha256"]
        if hashed(path) != node.made:
            node.problems.append("changed since it was made")
        node.problems += _stale(record)
        for name, known in record["inputs"].items():
            source = _found(path, record["file"], name)
            if known[
                "recorded"
            ]:  # if it was altered later, that is its own fault, and its record's hash is the old one
                node.inputs.append(visit(source or _beside(path, record["file"], name)))
                made = node.inputs[-1].made
            else:
                made = hashed(source) if source else "missing"
            if made and made != known["sha256"]:
                node.problems.append(f"made from another {name} than is there now")
        return node

    return [visit(target) for target in targets]


def _beside(path: Path, file: str, name: str) -> Path:
    """The place of an input as seen from a file that was made from it, both named as they were then."""
    return Path(os.path.normpath(path.parent / os.path.relpath(name, Path(file).parent)))


def _found(path: Path, file: str, name: str) -> Path | None:
    """Where an input is now: in its place beside the file, or else where the command line says."""
    return next((place for place in (_beside(path, file, name), Path(name)) if place.is_file()), None)


def _stale(record: dict[str, Any]) -> list[str]:
    """What of the record is not so any more here and now."""
    changed = [name for name, known in record["code"].items() if not _file(name).is_file() or _parsed(name)[1] != known]
    problems = [f"its code has changed since: {', '.join(changed)}"] if changed else []
    if record["commit"] and not record["commit"]["clean"]:
        problems.append(f"made with changes that were not committed to {record['commit']['id'][:12]}")
    return problems


def as_json(roots: list[Node]) -> str:
    """An audit for programs: every file once."""
    nodes: dict[int, Node] = {}

    def collect(node: Node) -> None:
        if id(node) not in nodes:
            nodes[id(node)] = node
            for source in node.inputs:
                collect(source)

    for root in roots:
        collect(root)
    told = [
        {
            "file": _relative(node.path),
            "problems": node.problems,
            "inputs": [_relative(source.path) for source in node.inputs],
        }
        for node in nodes.values()
    ]
    return json.dumps({"holds": all(root.holds() for root in roots), "files": told}, indent=1)


def tree(roots: list[Node]) -> str:
    """An audit as text: each file once, and files of a folder that all hold in one line."""
    lines: list[str] = []
    told: set[int] = set()

    def tell(node: Node, depth: int) -> None:
        told.add(id(node))
        lines.append(f"{'  ' * depth}{'NOT' if node.problems else 'ok '} {_relative(node.path)}")
        lines.extend(f"{'  ' * depth}      {problem}" for problem in node.problems)
        folders: dict[Path, list[Node]] = {}
        for source in node.inputs:
            folders.setdefault(source.path.parent, []).append(source)
        for folder, sources in folders.items():
            new, below = [source for source in sources if id(source) not in told], depth + 1
            if len(new) > 3 and not any(source.problems for source in new):
                lines.append(f"{'  ' * below}ok  {_relative(folder)}: {len(new)} files")
                told.update(map(id, new))
                new, below = list({id(lower): lower for source in new for lower in source.inputs}.values()), below + 1
            for source in new:
                if id(source) not in told:
                    tell(source, below)

    for root in roots:
        tell(root, 0)
    return "\n".join(lines)
