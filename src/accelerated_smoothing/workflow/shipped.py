"""Results from elsewhere: which files of a clone or an archive need not be built again.

Snakemake decides by the times of files, and by what it keeps of its own runs in `.snakemake`. A clone has neither. But
the records beside its files hold the hashes of what a file was made from, and the command that made it.
"""

import json
import os
import re
import shlex
from pathlib import Path
from typing import Any

import snakemake.io
from snakemake.persistence import NO_PARAMS_CHANGE, ParamsChange, PersistenceBase
from snakemake.utils import format

from accelerated_smoothing import command
from accelerated_smoothing.errors import InputError
from accelerated_smoothing.files import sha256
from accelerated_smoothing.provenance import audit, records

VERB = re.compile(r"exec python -m accelerated_smoothing (.*) 2> \S+\s*$", re.DOTALL)


def settle(results: Path) -> None:
    """Give each file that is older than an input the time of its newest input, if its record still holds.

    A record holds while the file and its inputs have the hashes in it. Snakemake then builds again only what is older
    than an input that has changed. A missing input with a record counts with the time of its own newest input, which
    Snakemake compares with the files that were made from the missing one.

    Args:
        results: the folder of the results. It may have had another name when the records were written.
    """
    times: dict[Path, int] = {}

    def time(path: Path) -> int:
        if path not in times:
            here, record = path.exists(), _record(path)
            times[path] = path.stat().st_mtime_ns if here else 0
            newest = max((time(source) for source in record["inputs"]), default=0)
            if times[path] < newest and _unchanged(path, record):
                times[path] = newest
                if here:
                    os.utime(path, ns=(newest, newest))
        return times[path]

    for record in sorted(results.rglob(f"*{records.SUFFIX}")):
        time(record.with_name(record.name.removesuffix(records.SUFFIX)))


def _record(path: Path) -> dict[str, Any]:
    """Return the hash of a file and those of its inputs by their places now. A file without a record has no inputs."""

    def place(name: str, recorded: bool) -> Path:
        return audit.beside(path, record["file"], name) if recorded else Path(name)

    try:
        record = json.loads(records.record_of(path).read_text(encoding="utf-8"))
        inputs = {place(name, known["recorded"]): known["sha256"] for name, known in record["inputs"].items()}
        return {"sha256": record["sha256"], "inputs": inputs}
    except (OSError, ValueError, TypeError, KeyError):
        return {"sha256": "", "inputs": {}}


def _unchanged(path: Path, record: dict[str, Any]) -> bool:
    """Return whether a file and its inputs have the contents of its record, as far as they are here."""
    if path.exists() and sha256(path) != record["sha256"]:
        return False
    return all(sha256(source) == known for source, known in record["inputs"].items() if source.exists())


def missing(path: str) -> bool:
    """Return whether a file is missing and its record is here."""
    return not Path(path).exists() and records.record_of(Path(path)).exists()


def patch(results: Path) -> None:
    """Change how Snakemake decides about files that it has not built itself.

    - It builds a file again if the command in its record is not the one of now.
    - Images that are missing and flagged as ancient are made if a job needs them, but no file is made again for them.
    """
    has_metadata, params_changed = PersistenceBase.has_metadata, PersistenceBase.params_changed
    exists, mtime = snakemake.io._IOFile.exists, snakemake.io._IOFile.mtime_uncached

    def recorded_but_missing(file: Any) -> bool:
        return bool(file.is_ancient) and missing(str(file))

    async def exists_or_comes(file: Any) -> bool:
        return recorded_but_missing(file) or await exists(file)

    async def mtime_or_none(file: Any, skip_storage: bool = False) -> snakemake.io.Mtime:
        return snakemake.io.Mtime(local=0.0) if recorded_but_missing(file) else await mtime(file, skip_storage)

    def known(persistence: Any, path: Any) -> bool:
        return persistence.metadata(path) is not None or records.record_of(Path(path)).exists()

    def has_metadata_or_record(persistence: Any, job: Any) -> bool:
        return has_metadata(persistence, job) or all(known(persistence, path) for path in job.output)

    def params_or_command_changed(persistence: Any, job: Any, file: Any = None) -> Any:
        changes = params_changed(persistence, job, file)
        for path in job.output if file is None else [file]:
            if persistence.metadata(path) is None:
                changes |= _command_changed(job, Path(path), results)
        return changes

    PersistenceBase.has_metadata = has_metadata_or_record
    PersistenceBase.params_changed = params_or_command_changed
    snakemake.io._IOFile.exists, snakemake.io._IOFile.mtime_uncached = exists_or_comes, mtime_or_none


def _command_changed(job: Any, path: Path, results: Path) -> ParamsChange:
    """Return how a job would make a file otherwise than its record says, but for the name of the results folder."""
    if not job.rule.shellcmd or not records.record_of(path).exists():
        return NO_PARAMS_CHANGE
    parts = ("input", "output", "params", "wildcards", "threads", "resources", "log")
    words = VERB.match(format(job.rule.shellcmd, **{part: getattr(job, part) for part in parts}))
    try:
        record = records.read(path)
        before = record.file.removesuffix(path.relative_to(results).as_posix()).rstrip("/")
        folder = re.compile(rf"(?<![\w./-]){re.escape(before)}(?![\w.-])")
        recorded = command.parse([folder.sub(results.as_posix(), word) if before else word for word in record.command])
        now = command.parse(shlex.split(words[1])) if words else None
    except InputError as error:  # another version's command, for instance
        return ParamsChange({str(error)}, set(), {str(path)})
    differences = audit.differing(recorded, audit.as_recorded(now)) if recorded and now else []
    return ParamsChange(set(differences), set(), {str(path)})
