import errno
import hashlib
import json
import os
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from accelerated_smoothing import files
from accelerated_smoothing.errors import InputError
from accelerated_smoothing.files import atomic, read_arrays, write_arrays, write_text

ARRAYS = {"a": np.arange(2000).reshape(40, 50), "b": np.linspace(0, 1, 7)}


def one_line(error: pytest.ExceptionInfo[InputError]) -> str:
    assert "\n" not in str(error.value)
    return str(error.value)


def test_atomic_writes_whole_files(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "a.txt"
    with atomic(path) as draft:
        assert draft.parent == path.parent
        assert draft.suffix == ".txt"
        draft.write_text("whole")
        assert not path.exists()
    assert path.read_text() == "whole"
    assert list(path.parent.iterdir()) == [path]


def test_atomic_gives_the_permissions_of_any_new_file(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        write_text(tmp_path / "a", "x")
    finally:
        os.umask(before)
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize("fault", [ValueError, KeyboardInterrupt, InputError])
def test_atomic_leaves_nothing_behind(tmp_path: Path, fault: type[BaseException]) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")

    def fail() -> None:
        with atomic(path) as draft:
            draft.write_text("half")
            raise fault

    with pytest.raises(fault):
        fail()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_two_writers_each_have_their_own_draft(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    with atomic(path) as first, atomic(path) as second:
        assert first != second
        first.write_text("first")
        second.write_text("second")
    assert path.read_text() == "first"  # the outer block ends last
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("below", ["file/a.txt", "file/deep/a.txt"])
def test_a_folder_that_cannot_be_written(tmp_path: Path, below: str) -> None:
    (tmp_path / "file").write_text("a file, where a folder is needed")
    with pytest.raises(InputError, match="cannot be written") as error:
        write_text(tmp_path / below, "x")
    assert str(tmp_path / below) in one_line(error)


def test_a_folder_in_the_place_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "a.txt").mkdir()
    with pytest.raises(InputError, match=r"a\.txt: cannot be written"):
        write_text(tmp_path / "a.txt", "x")
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS])
@pytest.mark.parametrize("call", ["mkstemp", "write", "fsync"])
def test_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, call: str) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise OSError(number, os.strerror(number))

    holder, name = {"mkstemp": (files.tempfile, "mkstemp"), "write": (Path, "write_text"), "fsync": (os, "fsync")}[call]
    monkeypatch.setattr(holder, name, refuse)
    with pytest.raises(InputError, match=os.strerror(number)) as error:
        write_text(tmp_path / "a.txt", "x")
    assert one_line(error).startswith(f"{tmp_path / 'a.txt'}: ")
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_while_arrays_are_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(zipfile.ZipFile, "open", refuse)
    with pytest.raises(InputError, match="No space left"):
        write_arrays(tmp_path / "a.npz", ARRAYS, {"kind": "k"})
    assert list(tmp_path.iterdir()) == []


def test_other_faults_are_not_disguised(tmp_path: Path) -> None:
    def fail() -> None:
        with atomic(tmp_path / "a") as draft:
            draft.write_text("x")
            raise FileNotFoundError(errno.ENOENT, "an input is missing")

    with pytest.raises(FileNotFoundError):
        fail()
    assert list(tmp_path.iterdir()) == []


def test_sha256(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc" * 1000)
    assert files.sha256(tmp_path / "a") == hashlib.sha256(b"abc" * 1000).hexdigest()


@pytest.mark.parametrize("name", ["a.npz", "counts", "counts.partial", "a.b.npz"])
def test_arrays_come_back(tmp_path: Path, name: str) -> None:
    meta = {"kind": "k", "sigma": 0.1, "list": [1, 2]}
    write_arrays(tmp_path / name, ARRAYS, meta)
    assert [path.name for path in tmp_path.iterdir()] == [name]
    arrays, described = read_arrays(tmp_path / name, ["b", "a"], "k")
    assert described == meta
    assert list(arrays) == ["b", "a"]
    for key, array in arrays.items():
        np.testing.assert_array_equal(array, ARRAYS[key])
        assert array.dtype == ARRAYS[key].dtype


def test_arrays_hold_no_pickle(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="allow_pickle"):
        write_arrays(tmp_path / "a.npz", {"a": np.array([{}])}, {"kind": "k"})
    assert list(tmp_path.iterdir()) == []
    np.savez(tmp_path / "b.npz", a=np.array([{}]), meta=np.array(json.dumps({"kind": "k"})))
    with pytest.raises(InputError, match=r"b\.npz: not a whole \.npz"):
        read_arrays(tmp_path / "b.npz", ["a"], "k")


def refused(path: Path) -> None:
    with pytest.raises(InputError) as error:
        read_arrays(path, ["a", "b"], "k")
    assert one_line(error).startswith(f"{path}")


def test_arrays_that_are_not_there(tmp_path: Path) -> None:
    refused(tmp_path / "none.npz")
    refused(tmp_path)
    write_arrays(tmp_path / "less.npz", {"a": ARRAYS["a"]}, {"kind": "k"})
    refused(tmp_path / "less.npz")
    write_arrays(tmp_path / "other.npz", ARRAYS, {"kind": "other"})
    refused(tmp_path / "other.npz")


@pytest.mark.parametrize("content", [b"", b"PK", b"text, no archive\n", b"\x80\x04K\x01."])
def test_files_of_another_format(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.npz").write_bytes(content)
    refused(tmp_path / "a.npz")


def test_a_single_array_is_no_npz(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", ARRAYS["a"])
    refused(tmp_path / "a.npy")


def test_a_foreign_npz(tmp_path: Path) -> None:
    np.savez(tmp_path / "bare.npz", **ARRAYS)
    refused(tmp_path / "bare.npz")
    np.savez(tmp_path / "list.npz", meta=np.array("[1, 2]"), **ARRAYS)
    refused(tmp_path / "list.npz")


def test_truncated_arrays(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    write_arrays(path, ARRAYS, {"kind": "k"})
    whole = path.read_bytes()
    for length in range(0, len(whole), 37):
        path.write_bytes(whole[:length])
        refused(path)


def test_damaged_arrays_are_refused_or_unharmed(tmp_path: Path) -> None:
    """One flipped byte: the archive's checksum notices, wherever it lies in the data."""
    path = tmp_path / "a.npz"
    write_arrays(path, ARRAYS, {"kind": "k"})
    whole = path.read_bytes()
    noticed = 0
    for position in range(0, len(whole), 7):
        path.write_bytes(whole[:position] + bytes([whole[position] ^ 0xFF]) + whole[position + 1 :])
        try:
            arrays, _ = read_arrays(path, ["a", "b"], "k")
        except InputError:
            noticed += 1
            continue
        for key, array in arrays.items():
            np.testing.assert_array_equal(array, ARRAYS[key])
    assert noticed > len(whole) / 7 / 2


def test_whether_a_folder_can_be_written(tmp_path: Path) -> None:
    files.check_writable(tmp_path / "new" / "deep")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="file cannot be written to"):
        files.check_writable(tmp_path / "file" / "results")
