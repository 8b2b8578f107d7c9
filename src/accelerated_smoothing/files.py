"""Reading and writing: every file appears whole or not at all, and every error names its file."""

import csv
import errno
import hashlib
import json
import os
import struct
import tempfile
import tokenize
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from accelerated_smoothing.errors import InputError

written: set[Path] = set()  # files that this process has written, for the records

# What NumPy raises for a damaged .npz; it parses the header of an array as Python.
BROKEN = (
    *(zipfile.BadZipFile, zlib.error, tokenize.TokenError, SyntaxError, MemoryError),
    *(ValueError, TypeError, KeyError, EOFError, RuntimeError, OSError),
)


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
    """Remove a temporary file, unless another process has removed it."""
    path.unlink(missing_ok=True)
    written.discard(path)


def check_writable(folder: Path) -> None:
    """Raise an InputError unless this folder can be written or created; nothing is created here."""
    nearest = folder.absolute()
    while not nearest.exists():
        nearest = nearest.parent
    if not nearest.is_dir() or not os.access(nearest, os.W_OK | os.X_OK):
        raise InputError(
            f"results must be a folder that can be written to, got {str(folder)!r}: {nearest} cannot be written to"
        )


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal; of a folder, that of the names and hashes of all files in it."""
    if Path(path).is_dir():
        files = sorted(file for file in Path(path).rglob("*") if file.is_file())
        listing = [f"{sha256(file)}  {file.relative_to(path).as_posix()}\n" for file in files]
        return hashlib.sha256("".join(listing).encode()).hexdigest()
    with Path(path).open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def read_bytes(path: Path) -> bytes:
    """Return the content of a file.

    Raises:
        InputError: it cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error


def write_text(path: Path, text: str) -> None:
    """Write a text in UTF-8."""
    with atomic(path) as draft:
        draft.write_text(text, encoding="utf-8")


def write_arrays(
    path: Path, arrays: Mapping[str, np.ndarray], meta: Mapping[str, Any], compressed: bool = True
) -> None:
    """Write arrays and a JSON description of them to an .npz without pickle."""
    save = np.savez_compressed if compressed else np.savez
    with atomic(path) as draft, draft.open("wb") as stream:  # to a bare path NumPy would append .npz
        save(stream, allow_pickle=False, meta=np.array(json.dumps(meta, sort_keys=True)), **arrays)


def read_arrays(
    path: Path, names: Sequence[str], kind: str, mapped: Sequence[str] = ()
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Read what `write_arrays` wrote.

    Args:
        path: the .npz.
        names: arrays that the file must hold.
        kind: what `meta["kind"]` must be, so that swapped files are noticed.
        mapped: names of arrays that are mapped, as in `array_of`.

    Raises:
        InputError: the file is missing, truncated, of another kind, or lacks one of the arrays.
    """
    path = Path(path)
    try:
        with np.load(path, allow_pickle=False) as stored:
            meta = dict(json.loads(str(stored["meta"])))
            if meta.get("kind") != kind:
                raise InputError(f"{path} must hold {kind!r}, got {meta.get('kind')!r}; were files swapped?")
            return {name: array_of(path, stored, name) if name in mapped else stored[name] for name in names}, meta
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; {kind} is needed here") from None
    except BROKEN as error:
        raise InputError(f"{path}: not a whole .npz with {', '.join(names)} ({error}); build it again") from error


def array_of(path: Path, stored: Any, name: str) -> np.ndarray:
    """Return an array of an open .npz: mapped, so that rows are read when they are used; read if it is compressed."""
    entry = stored.zip.getinfo(f"{name}.npy")
    if entry.compress_type != zipfile.ZIP_STORED:
        array: np.ndarray = stored[name]
        return array
    with stored.zip.open(entry) as member:
        major, _ = np.lib.format.read_magic(member)
        read_header = np.lib.format.read_array_header_1_0 if major == 1 else np.lib.format.read_array_header_2_0
        shape, fortran, dtype = read_header(member)
        header = member.tell()
    if dtype.hasobject:
        raise ValueError("arrays of objects are pickles")
    with path.open("rb") as stream:
        stream.seek(entry.header_offset + 26)  # a ZIP file states here how long the name and the rest of its header are
        before = 30 + sum(struct.unpack("<HH", stream.read(4)))
    if header + int(np.prod(shape)) * dtype.itemsize != entry.file_size:
        raise ValueError(f"{name} must have the length that its header states")
    order: Any = "F" if fortran else "C"
    return np.memmap(path, dtype, "r", entry.header_offset + before + header, shape, order)


MIXED = " and "  # between several values of one column


def describe(path: Path) -> dict[str, Any]:
    """Return what a file says of itself: the description of arrays and weights, some columns of a log."""
    if path.suffix == ".npz":
        try:
            with np.load(path, allow_pickle=False) as stored:
                return dict(json.loads(str(stored["meta"])))
        except BROKEN:
            return {}
    if path.suffix == ".safetensors":
        try:
            with path.open("rb") as stream:
                length = int.from_bytes(stream.read(8), "little")
                header = json.loads(stream.read(min(length, path.stat().st_size)))
            return dict(json.loads(header["__metadata__"]["description"]))
        except (ValueError, TypeError, KeyError):
            return {}
    if path.suffix == ".tsv":
        with path.open(encoding="utf-8", errors="replace", newline="") as stream:
            rows = list(csv.DictReader(stream, delimiter="\t"))
        columns = {name: sorted({row.get(name) or "" for row in rows} - {""}) for name in ("arithmetic", "noise")}
        return {name: MIXED.join(values) for name, values in columns.items() if values}
    return {}
