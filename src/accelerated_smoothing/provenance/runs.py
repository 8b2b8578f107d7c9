"""The executions behind files, gathered from their records."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from accelerated_smoothing.errors import InputError
from accelerated_smoothing.files import sha256
from accelerated_smoothing.provenance import audit, records
from accelerated_smoothing.provenance.records import SUFFIX, Record, relative


@dataclass
class Run:
    """One execution of a verb.

    Attributes:
        record: of one of the files that it wrote; the records of the others differ only in the file.
        read: where its inputs are now, by their recorded names.
        made: where the files that it wrote are now, by their recorded names.
    """

    record: Record
    read: dict[str, str] = field(default_factory=dict)
    made: dict[str, str] = field(default_factory=dict)

    @property
    def end(self) -> datetime:
        return self.record.started + timedelta(seconds=self.record.seconds)


def identity(record: Record) -> str:
    """Return a name that is the same for all files of one execution, and different for every other."""
    unique = [record.started.isoformat(), record.command]
    return f"{record.verb}-{hashlib.sha256(json.dumps(unique).encode()).hexdigest()[:12]}"


def layers(needs: Mapping[str, Sequence[AbstractSet[str]]]) -> list[list[str]]:
    """Return names in layers. Each name needs only names in earlier layers.

    Names may need one another: a classifier reads embeddings, which another classifier made. Such a cycle is broken by
    the names with an execution that needs earlier layers only.

    Args:
        needs: the names that each execution of a name needs, by name. Those without executions do not count.
    """
    order: list[list[str]] = []
    done: set[str] = set()
    while waiting := needs.keys() - done:
        missing = {name: [(need & needs.keys()) - done - {name} for need in needs[name]] for name in waiting}
        ready = [name for name in waiting if not any(missing[name])]
        order.append(sorted(ready or [name for name in waiting if not all(missing[name])]))
        done |= set(order[-1])
    return order


def walk(targets: list[Path]) -> tuple[list[Run], dict[str, str]]:
    """Return the executions behind targets, earliest first, and the hashes of all files that they read and wrote.

    Raises:
        InputError: a file is missing, has no record, or is not the one that was recorded or read.
    """
    runs: dict[str, Run] = {}
    hashes: dict[str, str] = {}
    folders: dict[Path, dict[str, list[Path]]] = {}
    waiting = list(targets)
    while waiting:
        path = waiting.pop()
        if relative(path) in hashes:
            continue
        if not path.is_file():
            raise InputError(f"{path}: no such file; build it first")
        record = records.read(path)
        hashes[relative(path)] = sha256(path)
        if hashes[relative(path)] != record.sha256:
            raise InputError(f"{path}: changed since it was made; build it again")
        name = identity(record)
        run = runs.setdefault(name, Run(record))
        run.made[record.file] = relative(path)
        for file, known in record.inputs.items():
            source = audit.find(path, record, file)
            if source is None:
                raise InputError(f"{path}: its input {file} must exist; build {file} again")
            run.read[file] = relative(source)
            if known.recorded:
                waiting.append(source)
            else:
                hashes[relative(source)] = sha256(source)
        if path.parent not in folders:
            folders[path.parent] = _together(path.parent)
        waiting += folders[path.parent].get(name, [])
    for run in runs.values():
        for file, known in run.record.inputs.items():
            if hashes[run.read[file]] != known.sha256:
                raise InputError(f"{min(run.made.values())}: made from a {file} that has changed since; build it again")
    return [runs[name] for name in sorted(runs, key=lambda name: (runs[name].record.started, name))], hashes


def _together(folder: Path) -> dict[str, list[Path]]:
    """Return the files of a folder by the execution that wrote them."""
    files: dict[str, list[Path]] = {}
    for path in sorted(folder.glob(f"*{SUFFIX}")):
        file = path.with_name(path.name.removesuffix(SUFFIX))
        with suppress(InputError):  # other files in the folder are not part of this crate
            if file.is_file():
                files.setdefault(identity(records.read(file)), []).append(file)
    return files
