"""Records: beside every built file lies a JSON file that says what made it."""

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
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from accelerated_smoothing import files
from accelerated_smoothing.command import Arguments, Call, Role
from accelerated_smoothing.errors import InputError
from accelerated_smoothing.files import sha256, write_text
from accelerated_smoothing.provenance import code

SUFFIX = ".record.json"
VERSION = 3
# The variable in which a workflow passes its config to its verbs, as JSON.
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

    version: Literal[3] = Field(alias="schema", description="of this format")
    file: str
    sha256: str
    bytes: int
    about: dict[str, Any] = Field(description="what the file says of itself: sigma, seed, purpose, arithmetic, ...")
    command: list[str] = Field(description="after accelerated-smoothing")
    verb: str
    arguments: dict[str, Any] = Field(description="the arguments of the command, with defaults")
    inputs: dict[str, Input] = Field(description="files that the verb read")
    workflow: Workflow | None = Field(description="null if the verb was run by hand")
    plugins: list[str] = Field(description="modules that the verb loaded by name, such as one architecture family")
    code: dict[str, str] = Field(
        description="hashes of the modules that could run: of their syntax trees, without docstrings"
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
    """Return the JSON schema of a record."""
    return json.dumps(Record.model_json_schema(by_alias=True), indent=2) + "\n"


def record_of(path: Path) -> Path:
    """Return the path of a file's record."""
    return path.with_name(path.name + SUFFIX)


@contextmanager
def recorded(call: Call, words: list[str]) -> Iterator[None]:
    """Run a verb inside the block, and leave a record beside each file that it has written.

    Paths in a record are relative to the working directory of the verb. So the paths within a results folder keep their
    places to one another wherever the folder is moved.

    Args:
        call: the verb and its arguments.
        words: the command line.
    """
    files.written.clear()
    started, clock = datetime.now(UTC), time.perf_counter()
    plugins = code.plugins(call.verb, code.facts(call.arguments))
    hashes = code.modules(call.verb, plugins)
    lock = code.ROOT / "envs/lock.txt"
    inputs = [path for path in call.arguments.paths(Role.INPUT, Role.SOURCE) if path.exists()]
    shared: dict[str, Any] = {  # as it is now: code may be edited, and inputs built again, while a long verb runs
        "schema": VERSION,
        "command": [_moved(word) for word in words],
        "verb": call.verb,
        "arguments": plain(call.arguments),
        "inputs": {relative(path): {"sha256": sha256(path), "recorded": record_of(path).exists()} for path in inputs},
        "workflow": json.loads(os.environ.get(WORKFLOW, "null")),
        "plugins": plugins,
        "code": hashes,
        "commit": commit(),
        "python": platform.python_version(),
        "packages": {name: version(name) for name in sorted(code.packages(hashes))},
        "lock": sha256(lock) if lock.exists() else None,
        "started": started.isoformat(timespec="seconds"),
    }
    yield
    written = {relative(path): path for path in sorted(files.written) if path.exists()}
    shared |= {
        "inputs": {name: known for name, known in shared["inputs"].items() if name not in written},
        "machine": machine(),
        "seconds": round(time.perf_counter() - clock, 3),
    }
    for name, path in written.items():
        own = {"file": name, "sha256": sha256(path), "bytes": path.stat().st_size, "about": files.describe(path)}
        write_text(record_of(path), _sealed({**shared, **own}))


def _sealed(record: dict[str, Any]) -> str:
    """Return a record as text that ends with a hash of the rest, so that a changed byte is noticed."""
    body = json.dumps(record, indent=1, sort_keys=True)
    return json.dumps({**record, "~seal": hashlib.sha256(body.encode()).hexdigest()}, indent=1, sort_keys=True) + "\n"


def read(path: Path) -> Record:
    """Read the record of a file.

    Raises:
        InputError: it is missing, altered, or of another version.
    """
    where = record_of(path)
    try:
        text = where.read_text(encoding="utf-8")
        record = dict(json.loads(text))
    except FileNotFoundError:
        raise InputError(f"{where}: no such record; build {path} again") from None
    except (OSError, ValueError, TypeError) as error:
        raise InputError(f"{where}: not a record ({error}); build {path} again") from error
    if text != _sealed({key: value for key, value in record.items() if key != "~seal"}):
        raise InputError(f"{where}: altered after it was written; build {path} again")
    if record.get("schema") != VERSION:
        raise InputError(f"{where}: schema must be {VERSION}, got {record.get('schema')!r}; build {path} again")
    try:
        return Record.model_validate(record)
    except ValidationError as error:
        fault = error.errors()[0]
        where_in = ".".join(map(str, fault["loc"]))
        raise InputError(f"{where}: {where_in}: {fault['msg']}; build {path} again") from None


def relative(path: Path) -> str:
    """Return a path relative to the working directory."""
    return Path(os.path.relpath(path)).as_posix()


def _moved(word: str) -> str:
    """Return a word of the command line with a relative path."""
    flag, equals, value = word.rpartition("=")
    return flag + equals + relative(Path(value)) if Path(value).is_absolute() else word


def plain(arguments: Arguments) -> dict[str, Any]:
    """Return arguments as JSON has them, with relative paths."""

    def plain_value(value: Any) -> Any:
        if isinstance(value, Path):
            return relative(value)
        return [plain_value(item) for item in value] if isinstance(value, list | tuple) else value

    return {name: plain_value(value) for name, value in sorted(arguments)}


def commit() -> dict[str, Any] | None:
    """Return the commit of the code, and whether the code is exactly that; None without git.

    An untracked file in `src` is code that no commit holds. Other untracked files do not count.
    """

    def git(*words: str) -> str:
        command = ["git", "--no-optional-locks", "-C", str(code.ROOT), *words]  # a user may commit meanwhile
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    try:
        if Path(git("rev-parse", "--show-toplevel")).resolve() != code.ROOT.resolve():  # a repository around a copy
            return None
        changed = git("status", "--porcelain", "--untracked-files=no", "--", ".", ":!results")  # some are shipped
        changed += git("status", "--porcelain", "--untracked-files=all", "--", "src")
        return {"id": git("rev-parse", "HEAD"), "clean": not changed}
    except (OSError, subprocess.CalledProcessError):
        return None


def version(package: str) -> str:
    """Return the version of an installed package."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def machine() -> dict[str, str]:
    """Return facts about the machine, and the GPU if torch was used."""
    torch = sys.modules.get("torch")
    gpu = {"gpu": torch.cuda.get_device_name()} if torch and torch.cuda.is_available() else {}
    return {"host": platform.node(), "platform": platform.platform(), "processor": _processor(), **gpu}


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(": ", 1)[1] for line in lines if line.startswith("model name")), platform.machine())
