"""Records: beside every built file, what made it."""

import argparse
import csv
import hashlib
import importlib.metadata
import json
import os
import platform
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from accelerated_smoothing import files
from accelerated_smoothing.errors import InputError
from accelerated_smoothing.files import sha256, write_text
from accelerated_smoothing.provenance import code

SUFFIX = ".record.json"
VERSION = 2
MIXED = " and "  # between several arithmetics of one file
# How a workflow tells its verbs which config they run under, as JSON.
WORKFLOW = "ACCELERATED_SMOOTHING_WORKFLOW"


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Input(_Part):
    """A file that was read."""

    sha256: str
    recorded: bool = Field(description="whether it had a record of its own")


class Workflow(_Part):
    """What Snakemake was told."""

    snakemake: str = Field(description="its version")
    configfiles: list[str] = Field(description="beyond config.yaml; later ones override")
    config: list[str] = Field(description="KEY=VALUE, overriding the files")


class Commit(_Part):
    id: str
    clean: bool = Field(description="whether no tracked file differed from it")


class Record(_Part):
    """What made a file. All paths are relative to the folder in which the verb ran."""

    version: Literal[2] = Field(alias="schema", description="of this format")
    file: str
    sha256: str
    bytes: int
    about: dict[str, Any] = Field(description="what the file says of itself: sigma, seed, purpose, arithmetic, ...")
    command: list[str] = Field(description="after accelerated-smoothing")
    verb: str
    arguments: dict[str, Any] = Field(description="the command as it was understood, with some defaults")
    inputs: dict[str, Input] = Field(description="files that the verb was given to read")
    workflow: Workflow | None = Field(description="null if the verb was run by hand")
    code: dict[str, str] = Field(
        description="hashes of the modules that ran: of their syntax trees, without docstrings"
    )
    commit: Commit | None = Field(description="null without git")
    python: str
    packages: dict[str, str] = Field(description="versions of the packages that this code imports")
    lock: str | None = Field(description="SHA-256 of envs/lock.txt, which pins all packages")
    machine: dict[str, str] = Field(description="host, platform, processor and, if torch has seen one, gpu")
    started: datetime
    seconds: float = Field(description="wall time of the verb, which may have written other files, too")
    seal: str = Field(alias="~seal", description="SHA-256 of this record without this line, as it is written")


def schema() -> str:
    """The JSON schema of a record."""
    return json.dumps(Record.model_json_schema(by_alias=True), indent=2) + "\n"


def record_of(path: Path) -> Path:
    """Where the record of a file lies."""
    return path.with_name(path.name + SUFFIX)


@contextmanager
def recorded(arguments: argparse.Namespace, words: list[str]) -> Iterator[None]:
    """Run the verb that words on the command line ask for, and leave a record beside each file that it has written.

    Paths in a record are relative to the working directory of the verb, as they were on its command line, so that
    those within a results folder keep their places to one another wherever it is moved.
    """
    files.written.clear()
    started, begun = datetime.now(UTC), time.perf_counter()
    ran = code.modules(arguments.run.__name__, vars(arguments))
    lock = code.ROOT / "envs/lock.txt"
    shared: dict[str, Any] = {  # as it is now: code may be edited, and inputs made again, while a long verb runs
        "schema": VERSION,
        "command": [_moved(word) for word in words],
        "verb": arguments.verb,
        "arguments": plain(arguments),
        "inputs": {
            relative(path): {"sha256": sha256(path), "recorded": record_of(path).exists()} for path in _paths(arguments)
        },
        "workflow": json.loads(os.environ.get(WORKFLOW, "null")),
        "code": ran,
        "commit": commit(),
        "python": platform.python_version(),
        "packages": {name: version(name) for name in sorted(code.packages(ran))},
        "lock": sha256(lock) if lock.exists() else None,
        "started": started.isoformat(timespec="seconds"),
    }
    yield
    made = {relative(path): path for path in sorted(files.written) if path.exists()}
    shared |= {
        "inputs": {name: known for name, known in shared["inputs"].items() if name not in made},
        "machine": machine(),
        "seconds": round(time.perf_counter() - begun, 3),
    }
    for name, path in made.items():
        own = {"file": name, "sha256": sha256(path), "bytes": path.stat().st_size, "about": about(path)}
        write_text(record_of(path), _sealed({**shared, **own}))


def _sealed(record: dict[str, Any]) -> str:
    """A record as text that ends with a hash of the rest, so that no byte of it changes by accident unnoticed."""
    body = json.dumps(record, indent=1, sort_keys=True)
    return json.dumps({**record, "~seal": hashlib.sha256(body.encode()).hexdigest()}, indent=1, sort_keys=True) + "\n"


def read(path: Path) -> Record:
    """Read the record of a file.

    Raises:
        InputError: there is none, or it is not as it was written.
    """
    where = record_of(path)
    try:
        text = where.read_text(encoding="utf-8")
        record = dict(json.loads(text))
    except FileNotFoundError:
        raise InputError(f"{where}: no such record; delete {path.name} and build it again") from None
    except (OSError, ValueError, TypeError) as error:
        raise InputError(f"{where}: is no record ({error}); delete {path.name} and build it again") from error
    if text != _sealed({key: value for key, value in record.items() if key != "~seal"}):
        raise InputError(f"{where}: was altered after it was written; delete {path.name} and build it again")
    if record.get("schema") != VERSION:
        raise InputError(f"{where}: found schema {record.get('schema')!r}; this version reads {VERSION}")
    try:
        return Record.model_validate(record)
    except ValidationError as error:
        fault = error.errors()[0]
        where_in = ".".join(map(str, fault["loc"]))
        raise InputError(f"{where}: {where_in}: {fault['msg']}; delete {path.name} and build it again") from None


def relative(path: Path) -> str:
    """A path as seen from the working directory."""
    return Path(os.path.relpath(path)).as_posix()


def _moved(word: str) -> str:
    """A word of the command line without the place of this folder."""
    flag, equals, value = word.rpartition("=")
    return flag + equals + relative(Path(value)) if Path(value).is_absolute() else word


def plain(arguments: argparse.Namespace) -> dict[str, Any]:
    """Arguments as JSON has them, paths relative."""

    def told(value: Any) -> Any:
        if isinstance(value, Path):
            return relative(value)
        return [told(item) for item in value] if isinstance(value, list | tuple) else value

    return {name: told(value) for name, value in sorted(vars(arguments).items()) if name not in ("run", "verb")}


def _paths(arguments: argparse.Namespace) -> list[Path]:
    """The files on the command line; of a folder, such as that of the raw images, nothing is known."""
    values = [value if isinstance(value, list) else [value] for value in vars(arguments).values()]
    return [item for value in values for item in value if isinstance(item, Path) and item.is_file()]


def about(path: Path) -> dict[str, Any]:
    """What a file says of itself: the description of arrays and weights, the arithmetic of certificates."""
    if path.suffix == ".npz":
        try:
            with np.load(path, allow_pickle=False) as stored:
                return dict(json.loads(str(stored["meta"])))
        except (KeyError, ValueError, zipfile.BadZipFile):
            return {}
    if path.suffix == ".safetensors":
        try:
            with path.open("rb") as stream:
                header = json.loads(stream.read(int.from_bytes(stream.read(8), "little")))
            return dict(json.loads(header.get("__metadata__", {}).get("description", "{}")))
        except ValueError:
            return {}
    if path.suffix == ".tsv":
        with path.open(encoding="utf-8", newline="") as stream:
            found = {row.get("arithmetic") for row in csv.DictReader(stream, delimiter="\t")}
        return {"arithmetic": MIXED.join(sorted(name for name in found if name))}
    return {}


def commit() -> dict[str, Any] | None:
    """The commit that the code was checked out from, and whether it holds all of this code; None without git.

    A new file in `src` is code that no commit holds, too; others are of no account until they are tracked.
    """

    def git(*words: str) -> str:
        command = ["git", "-C", str(code.ROOT), *words]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    try:
        if Path(git("rev-parse", "--show-toplevel")).resolve() != code.ROOT.resolve():  # a repository around a copy
            return None
        changed = git("status", "--porcelain", "--untracked-files=no")
        changed += git("status", "--porcelain", "--untracked-files=all", "--", "src")
        return {"id": git("rev-parse", "HEAD"), "clean": not changed}
    except (OSError, subprocess.CalledProcessError):
        return None


def version(package: str) -> str:
    """The version of a package that is installed here."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


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
