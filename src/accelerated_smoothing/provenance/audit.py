"""The audit: from files back to the images, each held against its record, its config and what was made from it."""

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from accelerated_smoothing.files import InputError, sha256
from accelerated_smoothing.provenance import code, records
from accelerated_smoothing.provenance.records import Record, Workflow, relative

UNTRACKED = {"threads"}  # arguments that change no number


@dataclass
class Node:
    """A file in an audit.

    Attributes:
        path: as it was found.
        record: if it can be read.
        problems: what does not hold, each in a line; nothing if all does.
        inputs: what it was made from, by the names in its record.
        arithmetic: of the counts and certificates that it is, or is made from.
    """

    path: Path
    record: Record | None = None
    problems: list[str] = field(default_factory=list)
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

    Where a file lies where it was built, in the folder of the Snakefile, its record is also held against what the
    workflow would run for it now.
    """
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
            node.record = record = records.read(path)
        except InputError as error:
            node.problems.append(str(error))
            return node
        if hashed(path) != record.sha256:
            node.problems.append("changed since it was made")
        node.problems += _stale(record)
        for name, known in record.inputs.items():
            source = find(path, record, name)
            if known.recorded:  # if it was altered since, that is its own fault, and its record's hash is the old one
                below = node.inputs[name] = visit(source or _beside(path, record.file, name))
                made = below.record.sha256 if below.record else None
                node.arithmetic |= below.arithmetic
            else:
                made = hashed(source) if source else None
                if not made:
                    node.problems.append(f"made from {name}, which is missing")
            if made and made != known.sha256:
                node.problems.append(f"made from another {name} than is there now")
        if len(node.arithmetic) > 1:
            node.problems.append(f"mixes arithmetic: {', '.join(sorted(node.arithmetic))}")
        if record.verb in ("count", "gather", "certify"):
            node.arithmetic = {record.about["arithmetic"]}
        return node

    roots = [visit(target) for target in targets]
    _hold_against_config(roots)
    return roots


def _beside(path: Path, file: str, name: str) -> Path:
    """The place of an input as seen from a file that was made from it, both named as they were then."""
    return Path(os.path.normpath(path.parent / os.path.relpath(name, Path(file).parent)))


def find(path: Path, record: Record, name: str) -> Path | None:
    """Where an input of a file is now: in its place beside it, where the command line says, or in this repository."""
    places = _beside(path, record.file, name), Path(name), code.ROOT / name
    return next((place for place in places if place.is_file()), None)


def _stale(record: Record) -> list[str]:
    """What of the record is not so any more here and now."""
    problems = []
    known = record.code.items()
    if changed := [name for name, old in known if not code.file_of(name).is_file() or code.parsed(name)[1] != old]:
        problems.append(f"its code has changed since: {', '.join(changed)}")
    for name, old in record.packages.items():
        if (now := records.version(name)) != old:
            problems.append(f"made with {name} {old}, here is {now}")
    if record.commit and not record.commit.clean:
        problems.append(f"made with changes that were not committed to {record.commit.id[:12]}")
    return problems


def _hold_against_config(roots: list[Node]) -> None:
    """Report every file for which the workflow would now run another command."""
    asked: dict[str, list[Node]] = {}
    for root in roots:
        if root.record and root.record.workflow and relative(root.path) == root.record.file:
            asked.setdefault(root.record.workflow.model_dump_json(), []).append(root)
    if not asked or not Path("Snakefile").is_file():
        return
    for told, built in asked.items():
        try:
            now = commands(Workflow.model_validate_json(told), [root.path for root in built])
        except InputError as error:
            for root in built:
                root.problems.append(str(error))
            continue
        for node in walk(built):
            if node.record and (arguments := now.get(output(node.record.arguments))):
                node.problems += _differing(node.record.arguments, arguments)


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

    words = [sys.executable, "-m", "snakemake", *map(str, targets), "--dry-run", "--forceall", "--printshellcmds"]
    if workflow.configfiles:
        words += ["--configfile", *workflow.configfiles]
    if workflow.config:
        words += ["--config", *workflow.config]
    done = subprocess.run([*words, "--nolock"], capture_output=True, text=True, check=False)
    if done.returncode:
        last = (done.stderr.strip() or "nothing was said").splitlines()[-1]
        raise InputError(f"the workflow in this folder cannot make it now: {last}")
    parser, found = cli.parser(), {}
    for command in re.findall(r"python -m accelerated_smoothing (.*) 2> \S+$", done.stdout, re.MULTILINE):
        arguments = json.loads(json.dumps(records.plain(parser.parse_args(shlex.split(command)))))
        found[output(arguments)] = arguments
    return found


def _differing(made: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """Arguments that the config would give otherwise."""
    return [
        f"made with --{name} {short(made.get(name))}; the config now says {short(now.get(name))}"
        for name in sorted((made.keys() | now.keys()) - UNTRACKED)
        if made.get(name) != now.get(name)
    ]


def short(value: Any) -> str:
    text = " ".join(map(str, value)) if isinstance(value, list) else str(value)
    return text if len(text) < 60 else f"{text[:57]}..."


def as_json(roots: list[Node], **more: Any) -> str:
    """An audit for programs: every file once, and whatever was found beside it."""
    told = [
        {
            "file": relative(node.path),
            "problems": node.problems,
            "inputs": [relative(source.path) for source in node.inputs.values()],
        }
        for node in walk(roots)
    ]
    return json.dumps({"holds": all(root.holds() for root in roots), "files": told, **more}, indent=1)


def tree(roots: list[Node]) -> str:
    """An audit as text: each file once, and files of a folder that all hold in one line."""
    lines: list[str] = []
    told: set[int] = set()

    def tell(node: Node, depth: int) -> None:
        told.add(id(node))
        lines.append(f"{'  ' * depth}{'NOT' if node.problems else 'ok '} {relative(node.path)}")
        lines.extend(f"{'  ' * depth}      {problem}" for problem in node.problems)
        folders: dict[Path, list[Node]] = {}
        for source in node.inputs.values():
            folders.setdefault(source.path.parent, []).append(source)
        for folder, sources in folders.items():
            new, below = [source for source in sources if id(source) not in told], depth + 1
            if len(new) > 3 and not any(source.problems for source in new):
                lines.append(f"{'  ' * below}ok  {relative(folder)}: {len(new)} files")
                told.update(map(id, new))
                new, below = (
                    list({id(lower): lower for source in new for lower in source.inputs.values()}.values()),
                    below + 1,
                )
            for source in new:
                if id(source) not in told:
                    tell(source, below)

    for root in roots:
        tell(root, 0)
    return "\n".join(lines)
