"""Reading and writing: every file appears whole or not at all, and every fault names its file."""

import errno
import hashlib
import json
import os
import tempfile
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from accelerated_smoothing.errors import InputError

written: set[Path] = set()  # what this process has put in its place, for the records


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """Yield a path beside `path` to write to; it becomes `path` when the block ends without an error.

    Two processes may write the same `path` at once: each has its own file, and the last rename wins.

    Raises:
        InputError: the folder cannot be written or the disk is full. Nothing stays behind.
    """
    path = Path(path)
    draft = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=path.suffix, dir=path.parent)
        os.close(handle)
        draft = Path(name)
        yield draft
        draft.chmod(0o666 & ~_umask())
        with draft.open("rb+") as stream:  # a rename must never overtake the data on its way to the disk
            os.fsync(stream.fileno())
        draft.replace(path)
        written.add(path)
    except OSError as error:
        if error.errno in (
            errno.ENOSPC,
            errno.EDQUOT,
            errno.EACCES,
            errno.EROFS,
            errno.EPERM,
            errno.ENOTDIR,
            errno.EEXIST,
            errno.EISDIR,
            errno.EFBIG,
        ):
            raise InputError(
                f"{path}: cannot be written ({error.strerror}); free some space or choose another results folder"
            ) from error
        raise
    finally:
        if draft is not None:
            draft.unlink(missing_ok=True)


def discard(path: Path) -> None:
    """Remove a file that was of use only while the work lasted; another process may have done so."""
    path.unlink(missing_ok=True)
    written.discard(path)


def check_writable(folder: Path) -> None:
    """Raise an InputError unless this folder can be written to, or made; nothing is made here."""
    nearest = folder.absolute()
    while not nearest.exists():
        nearest = nearest.parent
    if not nearest.is_dir() or not os.access(nearest, os.W_OK | os.X_OK):
        raise InputError(f"results: found {str(folder)!r}: {nearest} cannot be written to; name another folder")


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def sha256(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    with Path(path).open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def write_text(path: Path, text: str) -> None:
    with atomic(path) as draft:
        draft.write_text(text, encoding="utf-8")


def write_arrays(path: Path, arrays: Mapping[str, np.ndarray], meta: Mapping[str, Any]) -> None:
    """Write arrays and a JSON description of them to an .npz without pickle."""
    with atomic(path) as draft, draft.open("wb") as stream:  # to a bare path NumPy would append .npz
        np.savez_compressed(stream, allow_pickle=False, meta=np.array(json.dumps(meta, sort_keys=True)), **arrays)


def read_arrays(path: Path, names: Sequence[str], kind: str) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Read what `write_arrays` wrote.

    Args:
        path: the .npz.
        names: arrays that must be there.
        kind: what `meta["kind"]` must say, so that a file swapped for another is noticed.

    Raises:
        InputError: missing, truncated, of another kind, or without one of the arrays.
    """
    path = Path(path)
    try:
        with np.load(path, allow_pickle=False) as stored:
            meta = dict(json.loads(str(stored["meta"])))
            if meta.get("kind") != kind:
                raise InputError(f"{path}: holds {meta.get('kind')!r}, where {kind!r} is needed; were files swapped?")
            return {name: stored[name] for name in names}, meta
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; {kind} is needed here") from None
    except (zipfile.BadZipFile, zlib.error, ValueError, TypeError, KeyError, EOFError, RuntimeError, OSError) as error:
        raise InputError(
            f"{path}: not a whole .npz with {', '.join(names)} ({error}); delete it and build it again"
        ) from error
