"""The file of failed rows: who may read it, what it must not touch, and that nothing in it is torn."""

import errno
import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from spotdx_async.errors import InvalidInputError
from spotdx_async.files import BadRow, FailedRows, Row, open_rows


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def refusal(path: Path, **options: object) -> str:
    with pytest.raises(InvalidInputError) as caught:
        FailedRows(path, **options)  # type: ignore[arg-type]
    return str(caught.value)


def test_the_file_is_made_with_the_first_row_and_only_its_owner_may_read_it(tmp_path: Path) -> None:
    path = tmp_path / "failed.csv"
    old = os.umask(0)
    try:
        with FailedRows(path, preamble=b"kit_id,a\r\n") as failed:
            assert not path.exists()
            failed.write(b"SPOT1,x\r\n")
            assert path.read_bytes() == b"kit_id,a\r\nSPOT1,x\r\n"
            assert mode(path) == 0o600
            failed.write(b"SPOT2,y\r\n")
    finally:
        os.umask(old)
    assert path.read_bytes() == b"kit_id,a\r\nSPOT1,x\r\nSPOT2,y\r\n"
    assert failed.count == 2


def test_a_row_without_a_line_end_gets_one(tmp_path: Path) -> None:
    with FailedRows(tmp_path / "failed", preamble=b"kit_id,a") as failed:
        failed.write(b"SPOT2,y")
        failed.write(b"SPOT1,x\r")
        failed.write(b"SPOT1,z\n")
    assert failed.path.read_bytes() == b"kit_id,a\nSPOT2,y\nSPOT1,x\rSPOT1,z\n"


def test_without_a_failed_row_there_is_no_file(tmp_path: Path) -> None:
    with FailedRows(tmp_path / "failed") as failed:
        pass
    failed.close()
    assert not failed.path.exists()


def test_an_empty_file_is_used_and_taken_from_other_readers(tmp_path: Path) -> None:
    path = tmp_path / "failed"
    path.touch(mode=0o644)
    with FailedRows(path) as failed:
        failed.write(b"{}\n")
    assert (mode(path), path.read_bytes()) == (0o600, b"{}\n")


def test_a_file_with_something_in_it_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "failed"
    path.write_bytes(b"mine")
    assert "exists and is not empty" in refusal(path)
    assert path.read_bytes() == b"mine"


def test_replacing_removes_the_old_file_at_once(tmp_path: Path) -> None:
    path = tmp_path / "failed"
    path.write_bytes(b"rows of yesterday")
    path.chmod(0o644)
    with FailedRows(path, replace=True) as failed:
        assert not path.exists()
        failed.write(b"{}\n")
    assert (mode(path), path.read_bytes()) == (0o600, b"{}\n")


@pytest.mark.parametrize("replace", [False, True])
def test_the_input_is_never_written_whatever_name_it_is_given_by(tmp_path: Path, replace: bool) -> None:
    source = tmp_path / "kits.csv"
    source.write_bytes(b"kit_id,a\n")
    (tmp_path / "link.csv").hardlink_to(source)
    for path in (source, tmp_path / "." / "kits.csv", tmp_path / "link.csv"):
        assert "is the input itself" in refusal(path, inputs=["-", tmp_path / "missing", source], replace=replace)
    assert source.read_bytes() == b"kit_id,a\n"


@pytest.mark.parametrize("replace", [False, True])
def test_a_symbolic_link_is_refused(tmp_path: Path, replace: bool) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    assert "is a symbolic link" in refusal(tmp_path / "link", replace=replace)
    assert not (tmp_path / "elsewhere").exists()


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    assert "is a folder" in refusal(tmp_path)
    assert "is not a regular file" in refusal(Path(os.devnull))
    assert "there is no such folder" in refusal(tmp_path / "missing" / "failed")


def test_a_folder_that_may_not_be_written_is_refused_before_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The tests may run as root, whom no permission stops.
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert "permission denied" in refusal(tmp_path / "failed")


def test_a_name_that_no_file_can_have_is_refused(tmp_path: Path) -> None:
    assert "cannot be written: File name too long" in refusal(tmp_path / ("x" * 300), replace=True)


@pytest.mark.parametrize(
    "put", [lambda path: path.symlink_to("/dev/null"), lambda path: path.write_bytes(b"x")], ids=["link", "file"]
)
def test_what_came_to_stand_there_meanwhile_is_not_touched(tmp_path: Path, put: Callable[[Path], None]) -> None:
    path = tmp_path / "failed"
    with FailedRows(path) as failed:
        put(path)
        with pytest.raises(OSError, match=r"symbolic link|filled by someone else"):
            failed.write(b"{}\n")
    assert path.is_symlink() or path.read_bytes() == b"x"


def test_a_full_disk_is_said_and_leaves_whole_rows_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = os.write
    room = 30

    def full(fd: int, data: bytes) -> int:
        nonlocal room
        if room == 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        written = write(fd, data[: min(room, 7)])
        room -= written
        return written

    failed = FailedRows(tmp_path / "failed", preamble=b"kit_id,a\n")
    with monkeypatch.context() as patched:
        patched.setattr(os, "write", full)
        failed.write(b"SPOT1,first\n")
        with pytest.raises(OSError, match="No space left"):
            failed.write(b"SPOT2,a second row\n")
    assert failed.path.read_bytes() == b"kit_id,a\nSPOT1,first\n"
    failed.write(b"SPOT3,room again\n")
    failed.close()
    assert failed.path.read_bytes() == b"kit_id,a\nSPOT1,first\nSPOT3,room again\n"
    assert failed.count == 2


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("kits.csv", b'kit_id,a\r\nSPOT1,"x\r\ny"\r\nSPOT2\r\nSPOT3,"open\r\nSPOT4,caf\xe9\r\n ,\0'),
        ("kits.jsonl", b'{"kit_id": "SPOT1", "metadata": {}}\n{"kit_id": 1}\r\n\xff\n{'),
    ],
)
def test_rows_written_again_read_as_they_did(tmp_path: Path, name: str, data: bytes) -> None:
    def about(row: Row | BadRow) -> tuple[int, object, object]:
        value = row.metadata if isinstance(row, Row) else row.reason.split(" on line")[0]
        return row.number, value, (row.source or b"").rstrip(b"\n")

    source, again = tmp_path / name, tmp_path / f"again-{name}"
    source.write_bytes(data)
    with open_rows(source) as file, FailedRows(again, preamble=file.preamble, inputs=[source]) as failed:
        first = list(file)
        for row in first:
            failed.write(row.source or b"")
    with open_rows(again) as file:
        assert [about(row) for row in file] == [about(row) for row in first]
    assert again.read_bytes().rstrip(b"\n") == data


def test_a_dropped_row_leaves_a_blank_and_the_rest_can_be_arranged(tmp_path: Path) -> None:
    failed = FailedRows(tmp_path / "failed", preamble=b"kit_id,a\n")
    for row in (b"SPOT1,first", b"SPOT2,second\n", b'SPOT3,"of two\nlines"\n'):
        failed.write(row)
    failed.drop(1)
    assert failed.path.read_bytes() == b"kit_id,a\nSPOT1,first\n" + b"\n" * 13 + b'SPOT3,"of two\nlines"\n'
    failed.write(b"SPOT4,x\n")
    assert failed.count == 3
    failed.arrange([3, 2, 0])
    assert failed.path.read_bytes() == b'kit_id,a\nSPOT4,x\nSPOT3,"of two\nlines"\nSPOT1,first\n'
    assert (mode(failed.path), [*tmp_path.iterdir()]) == (0o600, [failed.path])
    failed.close()


def test_a_file_that_cannot_be_arranged_is_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    failed = FailedRows(tmp_path / "failed")
    failed.write(b"SPOT1,first\n")
    failed.write(b"SPOT2,second\n")
    with monkeypatch.context() as patched, pytest.raises(OSError, match="no"):
        patched.setattr(os, "replace", lambda *_: (_ for _ in ()).throw(OSError(errno.ENOSPC, "no")))
        failed.arrange([1, 0])
    failed.write(b"SPOT3,third\n")
    failed.close()
    assert failed.path.read_bytes() == b"SPOT1,first\nSPOT2,second\nSPOT3,third\n"
    assert [*tmp_path.iterdir()] == [failed.path]
