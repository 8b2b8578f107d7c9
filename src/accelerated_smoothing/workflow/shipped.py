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
    """Let no file be older than its inputs if both have the contents that its record lists.

    Such a file is up to date, whatever the times say. It gets the time of its newest input. So Snakemake builds again
    what is older than an input with another content, and nothing else. Inputs that are missing do not count.

    Args:
        results: the folder of the results, in the folder in which their records were written.
    """
    times: dict[Path, int] = {}

    def time(path: Path) -> int:
        if path not in times:
            times[path] = path.stat().st_mtime_ns if path.exists() else 0
            record = _record(path)
            newest = max((time(Path(name)) for name in record["inputs"]), default=0)
            if 0 < times[path] < newest and _unchanged(path, record):
                os.utime(path, ns=(newest, newest))
                times[path] = newest
        return times[path]

    for record in sorted(results.rglob(f"*{records.SUFFIX}")):
        time(record.with_name(record.name.removesuffix(records.SUFFIX)))


def _record(path: Path) -> dict[str, Any]:
    """Return what decides whether a file is up to date. A file without a record has no inputs."""
    try:
        record = json.loads(records.record_of(path).read_text(encoding="utf-8"))
        return {"sha256": record["sha256"], "inputs": record["inputs"]}
    except (OSError, ValueError, TypeError, KeyError):
        return {"sha256": "", "inputs": {}}


def _unchanged(path: Path, record: dict[str, Any]) -> bool:
    if sha256(path) != record["sha256"]:
        return False
    inputs = [(Path(name), known["sha256"]) for name, known in record["inputs"].items()]
    return all(sha256(source) == known for source, known in inputs if source.exists())


def missing(path: str) -> bool:
    """Return whether a file is not here, but its record is: results may come without their images."""
    return not Path(path).exists() and records.record_of(Path(path)).exists()


def patch() -> None:
    """Change how Snakemake decides about files that it has not built itself.

    - It builds a file again if the command in its record is not the one of now.
    - Images that are missing and flagged as ancient are made if a job needs them, but no file is made again for them.
    """
    has_metadata, params_changed = PersistenceBase.has_metadata, PersistenceBase.params_changed
    exists, mtime = snakemake.io._IOFile.exists, snakemake.io._IOFile.mtime_uncached

    def comes(file: Any) -> bool:
        return bool(file.is_ancient) and missing(str(file))

    async def exists_or_comes(file: Any) -> bool:
        return comes(file) or await exists(file)

    async def mtime_or_none(file: Any, skip_storage: bool = False) -> snakemake.io.Mtime:
        return snakemake.io.Mtime(local=0.0) if comes(file) else await mtime(file, skip_storage)

    def known(persistence: Any, path: Any) -> bool:
        return persistence.metadata(path) is not None or records.record_of(Path(path)).exists()

    def has_metadata_or_record(persistence: Any, job: Any) -> bool:
        return has_metadata(persistence, job) or all(known(persistence, path) for path in job.output)

    def params_or_command_changed(persistence: Any, job: Any, file: Any = None) -> Any:
        changes = params_changed(persistence, job, file)
        for path in job.output if file is None else [file]:
            if persistence.metadata(path) is None:
                changes |= _command_changed(job, Path(path))
        return changes

    PersistenceBase.has_metadata = has_metadata_or_record
    PersistenceBase.params_changed = params_or_command_changed
    snakemake.io._IOFile.exists, snakemake.io._IOFile.mtime_uncached = exists_or_comes, mtime_or_none


def _command_changed(job: Any, path: Path) -> ParamsChange:
    """Return how a job would make a file otherwise than its record says."""
    parts = {
        name: getattr(job, name) for name in ("input", "output", "params", "wildcards", "threads", "resources", "log")
    }
    words = VERB.match(format(job.rule.shellcmd, **parts)) if job.rule.shellcmd else None  # jobs have no number yet
    try:
        recorded = command.parse(records.read(path).command)
        now = command.parse(shlex.split(words[1])) if words else None
    except InputError:  # without a record nothing is known; another version's command is another one
        return (
            NO_PARAMS_CHANGE if not records.record_of(path).exists() else ParamsChange({"command"}, set(), {str(path)})
        )
    if recorded is None or now is None:
        return NO_PARAMS_CHANGE
    return ParamsChange(set(audit.differing(recorded, audit.as_recorded(now))), set(), {str(path)})
