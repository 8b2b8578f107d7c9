"""The audit: walk from files back to the images, and check each file against its record and against its readers."""

import json
import os
import platform
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from accelerated_smoothing import command, files
from accelerated_smoothing.command import Call, Role
from accelerated_smoothing.errors import InputError
from accelerated_smoothing.files import MIXED, sha256
from accelerated_smoothing.provenance import code, planned, records
from accelerated_smoothing.provenance.records import Record, relative

# Large files without which results may come, by the verbs that make them.
LEFT_OUT = {
    "data": "arrays of images",
    "count": "shards of counts",
    "train-surrogate": "surrogates",
    "predict": "predictions of surrogates",
}
NAMED = 3  # files of each kind that the text of an audit names


@dataclass
class Node:
    """A file in an audit.

    Attributes:
        path: where the file is.
        record: its record, if that can be read.
        call: the recorded command, if this version can parse it.
        problems: one line for each check that failed.
        notes: one line for each check that could not be made.
        inputs: the files that it was made from, by their names in the record.
        arithmetic: of the counts and certificates that it is, or is made from.
        here: whether the file is here, or one of `LEFT_OUT`.
    """

    path: Path
    record: Record | None = None
    call: Call | None = None
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    inputs: dict[str, "Node"] = field(default_factory=dict)
    arithmetic: set[str] = field(default_factory=set)
    here: bool = True

    def holds(self) -> bool:
        return not any(node.problems for node in walk([self]))


def walk(roots: Iterable[Node]) -> list[Node]:
    """Return all files of an audit, each once, beginning with the roots."""
    nodes: dict[int, Node] = {}
    waiting = list(roots)[::-1]
    while waiting:
        node = waiting.pop()
        if id(node) not in nodes:
            nodes[id(node)] = node
            waiting += list(node.inputs.values())[::-1]
    return list(nodes.values())


def audit(targets: list[Path]) -> list[Node]:
    """Check files, and all files that they were made from, against their records.

    The walk ends at the arrays of images, and at files that no verb makes. A file that lies where it was built, in the
    folder of the Snakefile, is also checked against the command that the workflow would run for it now.
    """
    nodes: dict[Path, Node] = {}
    hashes: dict[Path, str] = {}

    def hashed(path: Path) -> str:
        if path not in hashes:
            try:
                hashes[path] = sha256(path)
            except OSError as error:
                hashes[path] = f"cannot be read ({error.strerror})"
        return hashes[path]

    def visit(path: Path) -> Node:
        node = nodes.get(path.resolve())
        if node is not None:
            return node
        node = nodes[path.resolve()] = Node(path)
        if path.name.endswith(records.SUFFIX):
            node.problems.append(f"is a record; audit {path.name.removesuffix(records.SUFFIX)}")
            return node
        try:
            node.record = record = records.read(path)
        except InputError as error:
            missing = "is a folder; name files in it" if path.is_dir() else "missing"
            node.problems.append(str(error) if path.is_file() else missing)
            return node
        node.here = path.is_file()
        unchanged = node.here and hashed(path) == record.sha256
        if node.here and not unchanged:
            node.problems.append("changed since it was made")
        if not node.here and record.verb not in LEFT_OUT:
            node.problems.append("missing")
        node.problems += _contradictions(node, unchanged)
        node.problems += _stale(node)
        if record.commit is None:
            node.notes.append("made without git: the commit of the code is unknown")
        for name, known in record.inputs.items():
            source = _input(node, name)
            if source.record:
                current = source.record.sha256  # if the input changed later, only the input has a problem
            else:
                current = hashed(source.path) if source.path.exists() and not known.recorded else known.sha256
            if current != known.sha256:
                node.problems.append(f"made from a {name} that has changed since")
            node.arithmetic |= source.arithmetic
        # Float64 rounding is subtracted from the radii, so fp64 may be mixed with another arithmetic.
        mixed = sorted(name for name in node.arithmetic if not name.endswith("-fp64"))
        if len(mixed) > 1:
            node.problems.append(f"mixes arithmetic: {', '.join(mixed)}")
        if node.call and command.verb(node.call.verb).arithmetic:
            node.arithmetic = set(str(record.about.get("arithmetic", "unknown")).split(MIXED))
        return node

    def _input(node: Node, name: str) -> Node:
        """Return the node of an input. Files that no verb makes need no record."""
        assert node.record is not None
        path = find(node.path, node.record, name) or beside(node.path, node.record.file, name)
        if node.record.inputs[name].recorded:
            source = visit(path)
            if source.record and not _same_place(name, source.record.file):
                problem = f"its record is of {source.record.file}, not of {name}"
                source.problems += [problem] if problem not in source.problems else []
        elif not path.exists():
            source = Node(path, problems=["missing"])
        else:
            source = Node(path)
            if node.call and name not in map(relative, node.call.arguments.paths(Role.SOURCE)):
                source.problems.append("had no record when it was read, so what made it is unknown")
        node.inputs[name] = source
        return source

    roots = [visit(target) for target in targets]
    for root in roots:
        if root.record and root.path.name != Path(root.record.file).name:
            root.problems.append(f"its record is of {root.record.file}")
    _check_against_config(roots)
    return roots


def _same_place(name: str, other: str) -> bool:
    """Return whether two names of a file differ at most in the folder of the results."""
    return Path(name).parts[-2:] == Path(other).parts[-2:] or Path(name).name == Path(other).name == name


def beside(path: Path, file: str, name: str) -> Path:
    """Return the place of an input relative to a file that was made from it, from the names of both in its record."""
    return Path(os.path.normpath(path.parent / os.path.relpath(name, Path(file).parent)))


def find(path: Path, record: Record, name: str) -> Path | None:
    """Return where an input of a file is now: in its place beside the file.

    A file that no verb makes may also be where the command line names it, or in this repository.
    """
    places = [beside(path, record.file, name)]
    if not record.inputs[name].recorded:
        places += [Path(name), code.ROOT / name]
    return next((place for place in places if place.exists()), None)


def _contradictions(node: Node, unchanged: bool) -> Iterator[str]:
    """Yield where the parts of a record contradict one another or an unchanged file. Sets the node's call."""
    record = node.record
    assert record is not None
    try:
        node.call = command.parse(record.command)
        assert node.call is not None, "asks for help"
    except (InputError, AssertionError) as error:
        yield f"this version does not know its command ({error})"
        return
    arguments = as_recorded(node.call)
    if node.call.verb != record.verb or any(arguments.get(k) != v for k, v in record.arguments.items()):
        yield "its record's command and arguments contradict one another"
    for path in node.call.arguments.paths(Role.INPUT, Role.SOURCE):
        if relative(path) not in record.inputs:
            yield f"its record does not list {path}, which its command reads"
    if unchanged and json.loads(json.dumps(files.describe(node.path))) != record.about:
        yield "its record does not describe its content"
    for name in ("seed", "sigma", "purpose"):
        if name in record.about and name in arguments and record.about[name] != arguments[name]:
            yield f"its {name} is {record.about[name]}, but its command has {arguments[name]}"


def as_recorded(call: Call) -> dict[str, Any]:
    """Return arguments as they stand in a record."""
    return dict(json.loads(json.dumps(records.plain(call.arguments))))


def _stale(node: Node) -> Iterator[str]:
    """Yield what has changed since the file was made: Python, the code, packages.

    Older code is only noted if the repository still has it.
    """
    record = node.record
    assert record is not None
    there, here = (version.rpartition(".")[0] for version in (record.python, platform.python_version()))
    if there != here:  # syntax trees differ between versions of Python, so code cannot be compared
        yield f"made with Python {there}, now {here}"
    elif node.call:
        try:
            hashes = code.modules(record.verb, record.plugins)
        except (ValueError, OSError, SyntaxError) as error:
            yield f"its code cannot be read any more ({error})"
        else:
            names = sorted(hashes.keys() | record.code.keys())
            changed = [name for name in names if hashes.get(name) != record.code.get(name)]
            commit = record.commit.id if record.commit and record.commit.clean else ""
            before = {name: record.code[name] for name in changed if name in record.code}
            if before and commit and all(code.at_commit(commit, name) == known for name, known in before.items()):
                node.notes.append(f"made by the code of commit {commit[:12]}; changed since: {', '.join(changed)}")
            elif changed:
                yield f"its code has changed since: {', '.join(changed)}"
    for name, old in record.packages.items():
        if (installed := records.version(name)) != old:
            yield f"made with {name} {old}, now {installed}"
    if record.commit and not record.commit.clean:
        yield f"made with changes that were not committed to {record.commit.id[:12]}"


def _check_against_config(roots: list[Node]) -> None:
    """Add a problem to every file for which the workflow would now run another command."""
    runs: dict[str, list[Node]] = {}
    for root in roots:
        if root.record and root.record.workflow:
            if Path("Snakefile").is_file() and Path(root.record.file).resolve() == root.path.resolve():
                runs.setdefault(root.record.workflow.model_dump_json(), []).append(root)
            else:
                root.notes.append(f"not checked against a config: {root.record.file} is not beside a Snakefile here")
    for run, built in runs.items():
        try:
            calls = planned.calls(records.Workflow.model_validate_json(run), [root.path for root in built])
        except InputError as error:
            for root in built:
                root.problems.append(str(error))
            continue
        for node in walk(built):
            if node.call and (call := calls.get(planned.output(as_recorded(node.call)))):
                node.problems += differing(node.call, as_recorded(call))


def differing(call: Call, now: dict[str, Any]) -> list[str]:
    """Return a line for each argument that the config would now set to another value."""
    recorded = as_recorded(call)
    return [
        f"made with --{name} {before}; the config now says {after}"
        for name in sorted((recorded.keys() | now.keys()) - set(call.arguments.untracked))
        if recorded.get(name) != now.get(name)
        for before, after in [contrast(recorded.get(name), now.get(name))]
    ]


def contrast(one: Any, two: Any) -> tuple[str, str]:
    """Return two values as short texts that show where they differ."""
    if isinstance(one, list) and isinstance(two, list) and set(map(str, one)) != set(map(str, two)):
        one, two = ([item for item in these if item not in those] for these, those in ((one, two), (two, one)))
    texts = [" ".join(map(str, value)) if isinstance(value, list) else str(value) for value in (one, two)]
    same = next((i for i, (x, y) in enumerate(zip(*texts, strict=False)) if x != y), min(map(len, texts)))
    cut = max(0, min(same - 20, max(map(len, texts)) - 60))
    short = [("..." if cut else "") + text[cut : cut + 57] + ("..." if len(text) > cut + 57 else "") for text in texts]
    return short[0] or "nothing", short[1] or "nothing"


def as_json(roots: list[Node], **more: Any) -> str:
    """Return an audit for programs: every file once, with any further entries."""
    entries = [
        {
            "file": relative(node.path),
            "here": node.here,
            "problems": node.problems,
            "notes": node.notes,
            "inputs": [relative(source.path) for source in node.inputs.values()],
        }
        for node in walk(roots)
    ]
    return json.dumps({"holds": all(root.holds() for root in roots), "files": entries, **more}, indent=1)


def _left_out(nodes: list[Node]) -> Iterator[str]:
    """Yield a line for each kind of files that are not here."""
    for verb, kind in LEFT_OUT.items():
        names = [relative(node.path) for node in nodes if node.record and node.record.verb == verb and not node.here]
        if names:
            more = [f"{len(names) - NAMED} more"] if len(names) > NAMED else []
            named = ", ".join([*names[:NAMED], *more])
            yield f"{kind} that are not here were not checked; snakemake makes each by its name: {named}"


def tree(roots: list[Node]) -> str:
    """Return an audit as text: each file once, files of a folder that all hold in one line, notes, and a verdict."""
    lines: list[str] = []
    shown: set[int] = set()

    def show(node: Node, depth: int) -> None:
        shown.add(id(node))
        lines.append(f"{'  ' * depth}{'BAD' if node.problems else 'ok '} {relative(node.path)}")
        lines.extend(f"{'  ' * depth}      {problem}" for problem in node.problems)
        folders: dict[Path, list[Node]] = {}
        for source in node.inputs.values():
            folders.setdefault(source.path.parent, []).append(source)
        for folder, sources in folders.items():
            new, below = [source for source in sources if id(source) not in shown], depth + 1
            if len(new) > 3 and not any(source.problems for source in new):
                lines.append(f"{'  ' * below}ok  {relative(folder)}: {len(new)} files")
                shown.update(map(id, new))
                sources_of = {id(lower): lower for source in new for lower in source.inputs.values()}
                new, below = list(sources_of.values()), below + 1
            for source in new:
                if id(source) not in shown:
                    show(source, below)

    for root in roots:
        show(root, 0)
    nodes = walk(roots)
    failed = [node for node in nodes if node.problems]
    notes = dict.fromkeys(note for node in nodes for note in node.notes)
    lines += [f"note: {note}" for note in [*_left_out(nodes), *notes]]
    verdict = f"does NOT hold: {len(failed)} of {len(nodes)} files" if failed else f"holds: all {len(nodes)} files"
    return "\n".join([*lines, verdict])
