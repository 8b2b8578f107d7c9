"""The audit: from files back to the images, each held against its record, its config and what was made from it."""

import argparse
import json
import os
import platform
import re
import shlex
import subprocess
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from accelerated_smoothing.errors import InputError
from accelerated_smoothing.files import sha256
from accelerated_smoothing.provenance import code, records
from accelerated_smoothing.provenance.records import Record, Workflow, relative

UNTRACKED = {"threads"}  # arguments that change no number, as in the rules
# Arguments that name files which no verb makes: the papers' numbers, notebooks, others' weights, a page's looks.
GIVEN = {"reported", "source", "checkpoint", "template"}


@dataclass
class Node:
    """A file in an audit.

    Attributes:
        path: as it was found.
        record: if it can be read.
        arguments: of the recorded command, as it is understood now.
        problems: what does not hold, each in a line; nothing if all does.
        notes: what could not be looked at.
        inputs: what it was made from, by the names in its record.
        arithmetic: of the counts and certificates that it is, or is made from.
    """

    path: Path
    record: Record | None = None
    arguments: argparse.Namespace | None = None
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    inputs: dict[str, "Node"] = field(default_factory=dict)
    arithmetic: set[str] = field(default_factory=set)

    def holds(self) -> bool:
        return not any(node.problems for node in walk([self]))


def walk(roots: Iterable[Node]) -> list[Node]:
    """All files of an audit, each once, from the targets on."""
    found: dict[int, Node] = {}
    waiting = list(roots)[::-1]
    while waiting:
        node = waiting.pop()
        if id(node) not in found:
            found[id(node)] = node
            waiting += list(node.inputs.values())[::-1]
    return list(found.values())


def audit(targets: list[Path]) -> list[Node]:
    """Walk from files to whatever they were made from, and hold each against its record, and against what read it.

    The walk ends at the arrays of images, and at files that no verb makes. Where a file lies where it was built, in the
    folder of the Snakefile, its record is also held against what the workflow would run for it now.
    """
    seen: dict[Path, Node] = {}
    hashes: dict[Path, str] = {}

    def hashed(path: Path) -> str:
        if path not in hashes:
            try:
                hashes[path] = sha256(path)
            except OSError as error:
                hashes[path] = f"cannot be read ({error.strerror})"
        return hashes[path]

    def visit(path: Path) -> Node:
        node = seen.get(path.resolve())
        if node is not None:
            return node
        node = seen[path.resolve()] = Node(path)
        if not path.is_file():
            node.problems.append("is a folder; name files in it" if path.is_dir() else "missing")
            return node
        if path.name.endswith(records.SUFFIX):
            node.problems.append(f"is itself a record; audit {path.name.removesuffix(records.SUFFIX)}")
            return node
        try:
            node.record = record = records.read(path)
        except InputError as error:
            node.problems.append(str(error))
            return node
        whole = hashed(path) == record.sha256
        if not whole:
            node.problems.append("changed since it was made")
        node.problems += _contradictions(node, whole)
        node.problems += _stale(node)
        if record.commit is None:
            node.notes.append("made without git: of which commit the code was is not known")
        for name, known in record.inputs.items():
            below = _input(node, name)
            if below.record:
                made = below.record.sha256  # if it was altered since, that is its own fault
            else:
                made = hashed(below.path) if below.path.is_file() and not known.recorded else known.sha256
            if made != known.sha256:
                node.problems.append(f"made from another {name} than is there now")
            node.arithmetic |= below.arithmetic
        # Radii in float64 are less by all that it rounds, so they may stand beside others.
        mixed = sorted(name for name in node.arithmetic if not name.endswith("-fp64"))
        if len(mixed) > 1:
            node.problems.append(f"mixes arithmetic: {', '.join(mixed)}")
        if record.verb in ("count", "gather", "certify", "attack"):
            node.arithmetic = set(str(record.about.get("arithmetic", "unknown")).split(records.MIXED))
        return node

    def _input(node: Node, name: str) -> Node:
        """An input, as a node of its own if it has a record, or should have."""
        assert node.record is not None
        path = find(node.path, node.record, name) or beside(node.path, node.record.file, name)
        if node.record.inputs[name].recorded:
            below = visit(path)
            if below.record and not _same_place(name, below.record.file):
                why = f"its record is of {below.record.file}, where {name} belongs"
                below.problems += [why] if why not in below.problems else []
        elif not path.is_file():
            below = Node(path, problems=["missing"])
        else:
            below = Node(path)
            if name not in _given(node.record):
                below.problems.append("had no record when it was read, so nobody knows what made it")
        node.inputs[name] = below
        return below

    roots = [visit(target) for target in targets]
    for root in roots:
        if root.record and root.path.name != Path(root.record.file).name:
            root.problems.append(f"its record is of {root.record.file}")
    _hold_against_config(roots)
    return roots


def _same_place(name: str, other: str) -> bool:
    """Whether two names of a file differ in the folder of the results at most."""
    return Path(name).parts[-2:] == Path(other).parts[-2:] or Path(name).name == Path(other).name == name


def _given(record: Record) -> set[str]:
    return {str(record.arguments.get(name)) for name in GIVEN}


def beside(path: Path, file: str, name: str) -> Path:
    """The place of an input as seen from a file that was made from it, both named as they were then."""
    return Path(os.path.normpath(path.parent / os.path.relpath(name, Path(file).parent)))


def find(path: Path, record: Record, name: str) -> Path | None:
    """Where an input of a file is now: in its place beside it.

    What no verb makes may also be where the command line says, or in this repository.
    """
    places = [beside(path, record.file, name)]
    if not record.inputs[name].recorded:
        places += [Path(name), code.ROOT / name]
    return next((place for place in places if place.is_file()), None)


def _contradictions(node: Node, whole: bool) -> Iterator[str]:
    """Where the parts of a record contradict one another or, if that is whole, the file. Sets the node's arguments."""
    from accelerated_smoothing import cli

    record = node.record
    assert record is not None
    try:
        node.arguments = cli.parser().parse_args(record.command)
    except (InputError, SystemExit) as error:
        yield f"its record's command is none of this version ({error})"
        return
    understood = as_recorded(node.arguments)
    if node.arguments.verb != record.verb or any(understood.get(k) != v for k, v in record.arguments.items()):
        yield "its record's command and arguments contradict one another"
    outputs = {"output", "folder"} | ({"train", "test"} if record.verb == "data" else set())
    for name, value in vars(node.arguments).items():
        for item in value if isinstance(value, list) else [value]:
            if isinstance(item, Path) and name not in outputs and relative(item) not in record.inputs:
                yield f"its record knows nothing of {item}, which its command reads"
    if whole and json.loads(json.dumps(records.about(node.path))) != record.about:
        yield "its record tells of another content than it has"
    for name in ("seed", "sigma", "purpose"):
        if record.verb == "count" and record.about.get(name) != understood.get(name):
            yield f"its {name} is {record.about.get(name)}, that of its command {understood.get(name)}"


def as_recorded(arguments: argparse.Namespace) -> dict[str, Any]:
    """Arguments as they stand in a record."""
    return dict(json.loads(json.dumps(records.plain(arguments))))


def _stale(node: Node) -> Iterator[str]:
    """What of the record is not so any more here and now."""
    record = node.record
    assert record is not None
    before, here = record.python.rpartition(".")[0], platform.python_version().rpartition(".")[0]
    if before != here:  # whose syntax trees differ, so that code cannot be compared
        yield f"made with Python {before}, here is {here}"
    elif node.arguments:
        try:
            now = code.modules(node.arguments.run.__name__, vars(node.arguments))
        except (KeyError, OSError, SyntaxError) as error:
            yield f"its code cannot be read any more ({error})"
        else:
            changed = [
                name for name in sorted(now.keys() | record.code.keys()) if now.get(name) != record.code.get(name)
            ]
            if changed:
                yield f"its code has changed since: {', '.join(changed)}"
    for name, old in record.packages.items():
        if (found := records.version(name)) != old:
            yield f"made with {name} {old}, here is {found}"
    if record.commit and not record.commit.clean:
        yield f"made with changes that were not committed to {record.commit.id[:12]}"


def _hold_against_config(roots: list[Node]) -> None:
    """Report every file for which the workflow would now run another command."""
    asked: dict[str, list[Node]] = {}
    for root in roots:
        if root.record and root.record.workflow:
            if Path("Snakefile").is_file() and Path(root.record.file).resolve() == root.path.resolve():
                asked.setdefault(root.record.workflow.model_dump_json(), []).append(root)
            else:
                root.notes.append(
                    f"not held against a config: it is not {root.record.file} in a folder with a Snakefile"
                )
    for told, built in asked.items():
        try:
            now = commands(Workflow.model_validate_json(told), [root.path for root in built])
        except InputError as error:
            for root in built:
                root.problems.append(str(error))
            continue
        for node in walk(built):
            if node.record and node.arguments and (arguments := now.get(output(node.record.arguments))):
                node.problems += _differing(as_recorded(node.arguments), arguments)


def output(arguments: dict[str, Any]) -> str:
    """The file that a command is known by."""
    return str(arguments.get("output", arguments.get("train")))


def commands(workflow: Workflow, targets: list[Path]) -> dict[str, dict[str, Any]]:
    """What the workflow in this folder would run, with the config as it is now, for all that targets need.

    Returns:
        The arguments of each verb, as in a record, by the file that it writes.

    Raises:
        InputError: the config is wrong, or the workflow knows no such target.
    """
    from accelerated_smoothing import cli

    words = [sys.executable, "-m", "snakemake", *map(relative, targets), "--dry-run", "--forceall", "--printshellcmds"]
    if workflow.configfiles:
        words += ["--configfile", *workflow.configfiles]
    if workflow.config:
        words += ["--config", *workflow.config]
    done = subprocess.run([*words, "--nolock"], capture_output=True, text=True, check=False)
    if done.returncode:
        said = [line for line in done.stderr.splitlines() if line.strip() and not line.startswith("Using workflow")]
        raise InputError(f"the workflow in this folder cannot make it now: {said[0] if said else done.stdout.strip()}")
    parser, found = cli.parser(), {}
    for command in re.findall(r"python -m accelerated_smoothing (.*) 2> \S+$", done.stdout, re.MULTILINE):
        arguments = as_recorded(parser.parse_args(shlex.split(command)))
        found[output(arguments)] = arguments
    return found


def _differing(made: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """Arguments that the config would give otherwise."""
    return [
        f"made with --{name} {before}; the config now says {after}"
        for name in sorted((made.keys() | now.keys()) - UNTRACKED)
        if made.get(name) != now.get(name)
        for before, after in [contrast(made.get(name), now.get(name))]
    ]


def contrast(one: Any, two: Any) -> tuple[str, str]:
    """Two values in words, short, with what differs between them in sight."""
    if isinstance(one, list) and isinstance(two, list) and set(map(str, one)) != set(map(str, two)):
        one, two = ([item for item in these if item not in those] for these, those in ((one, two), (two, one)))
    texts = [" ".join(map(str, value)) if isinstance(value, list) else str(value) for value in (one, two)]
    same = next((i for i, (x, y) in enumerate(zip(*texts, strict=False)) if x != y), min(map(len, texts)))
    cut = max(0, min(same - 20, max(map(len, texts)) - 60))
    short = [("..." if cut else "") + text[cut : cut + 57] + ("..." if len(text) > cut + 57 else "") for text in texts]
    return short[0] or "nothing", short[1] or "nothing"


def as_json(roots: list[Node], **more: Any) -> str:
    """An audit for programs: every file once, and whatever was found beside it."""
    told = [
        {
            "file": relative(node.path),
            "problems": node.problems,
            "notes": node.notes,
            "inputs": [relative(source.path) for source in node.inputs.values()],
        }
        for node in walk(roots)
    ]
    return json.dumps({"holds": all(root.holds() for root in roots), "files": told, **more}, indent=1)


def tree(roots: list[Node]) -> str:
    """An audit as text: each file once, files of a folder that all hold in one line, and a verdict."""
    lines: list[str] = []
    told: set[int] = set()

    def tell(node: Node, depth: int) -> None:
        told.add(id(node))
        lines.append(f"{'  ' * depth}{'BAD' if node.problems else 'ok '} {relative(node.path)}")
        lines.extend(f"{'  ' * depth}      {problem}" for problem in node.problems)
        folders: dict[Path, list[Node]] = {}
        for source in node.inputs.values():
            folders.setdefault(source.path.parent, []).append(source)
        for folder, sources in folders.items():
            new, below = [source for source in sources if id(source) not in told], depth + 1
            if len(new) > 3 and not any(source.problems for source in new):
                lines.append(f"{'  ' * below}ok  {relative(folder)}: {len(new)} files")
                told.update(map(id, new))
                sources_of = {id(lower): lower for source in new for lower in source.inputs.values()}
                new, below = list(sources_of.values()), below + 1
            for source in new:
                if id(source) not in told:
                    tell(source, below)

    for root in roots:
        tell(root, 0)
    files = walk(roots)
    bad = [node for node in files if node.problems]
    for note in dict.fromkeys(note for node in files for note in node.notes):
        lines.append(f"note: {note}")
    held = f"holds: all {len(files)} files"
    lines.append(f"does NOT hold: {len(bad)} of {len(files)} files" if bad else held)
    return "\n".join(lines)
