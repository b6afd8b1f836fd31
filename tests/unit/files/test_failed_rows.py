"""The file of failed rows: who may read it, what it must not touch, and that nothing in it is torn."""

import errno
import os
import stat
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from spotdx_async import private_files
from spotdx_async.errors import InvalidInputError
from spotdx_async.files import BadRow, FailedRows, Row, open_rows, part_file
from spotdx_async.files.failed_rows import UndoneRows
from tests.unit.bulk.journal.test_lock_forks import fork

KILLED = 9


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def refusal(path: Path, **options: object) -> str:
    with pytest.raises(InvalidInputError) as caught:
        FailedRows(path, **options)  # type: ignore[arg-type]
    return str(caught.value)


def part(path: Path) -> Path:
    return path.with_name(f"{path.name}.part")


def numbered(path: Path, number: int = 1) -> Path:
    return path.with_name(f"{path.name}.{number}")


def test_the_file_takes_its_place_when_it_is_closed_and_only_its_owner_may_ever_read_it(tmp_path: Path) -> None:
    path = tmp_path / "failed.csv"
    old = os.umask(0)
    try:
        with FailedRows(path, preamble=b"kit_id,a\r\n") as failed:
            failed.write(b"SPOT1,x\r\n")
            assert part(path).read_bytes() == b"kit_id,a\r\nSPOT1,x\r\n"
            assert mode(part(path)) == 0o600
            assert not path.exists()
            failed.write(b"SPOT2,y\r\n")
    finally:
        os.umask(old)
    assert path.read_bytes() == b"kit_id,a\r\nSPOT1,x\r\nSPOT2,y\r\n"
    assert (failed.count, failed.place, failed.fault) == (2, path, None)
    assert (mode(path), [*tmp_path.iterdir()]) == (0o600, [path])


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
    assert not [*tmp_path.iterdir()]


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


@pytest.mark.parametrize("has_rows", [True, False])
def test_a_file_that_is_replaced_is_as_it_was_until_the_end(tmp_path: Path, has_rows: bool) -> None:
    path = tmp_path / "failed"
    path.write_bytes(b"rows of yesterday")
    path.chmod(0o644)
    with FailedRows(path, replace=True) as failed:
        if has_rows:
            failed.write(b"{}\n")
        assert (mode(path), path.read_bytes()) == (0o644, b"rows of yesterday")
    if has_rows:
        assert (mode(path), path.read_bytes()) == (0o600, b"{}\n")
    assert [*tmp_path.iterdir()] == ([path] if has_rows else [])


def test_a_file_that_is_abandoned_replaces_nothing_and_its_rows_stay_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "failed"
    path.write_bytes(b"rows of yesterday")
    for rows in ((), (b"{}\n",)):
        failed = FailedRows(path, replace=True)
        for row in rows:
            failed.write(row)
        failed.abandon()
        failed.close()
        assert path.read_bytes() == b"rows of yesterday"
        assert part(path).exists() is bool(rows)
    assert part(path).read_bytes() == b"{}\n"


@pytest.mark.parametrize("has_rows", [True, False])
def test_what_a_killed_writer_has_left_is_kept_under_a_free_name(tmp_path: Path, has_rows: bool) -> None:
    path = tmp_path / "failed"
    part(path).write_bytes(b"rows of the killed one")
    numbered(path).write_bytes(b"of one before")
    with FailedRows(path) as failed:
        assert failed.kept == numbered(path, 2)
        assert part(path).read_bytes() == b"rows of the killed one"
        if has_rows:
            failed.write(b"{}\n")
    assert numbered(path, 2).read_bytes() == b"rows of the killed one"
    assert numbered(path).read_bytes() == b"of one before"
    assert {*tmp_path.iterdir()} == {numbered(path), numbered(path, 2), *([path] if has_rows else ())}
    assert failed.fault is None


def test_a_writer_that_is_refused_its_work_leaves_what_a_killed_one_has_left(tmp_path: Path) -> None:
    part(tmp_path / "failed").write_bytes(b"rows")
    FailedRows(tmp_path / "failed").abandon()
    assert part(tmp_path / "failed").read_bytes() == b"rows"


def test_a_repeat_keeps_nothing_of_the_try_before_which_may_be_alive(tmp_path: Path) -> None:
    path = tmp_path / "failed"
    first = FailedRows(path, replace=True, is_repeat=True)
    first.write(b"first\n")
    with FailedRows(path, replace=True, is_repeat=True) as second:
        second.write(b"second\n")
        assert second.kept is None
    assert path.read_bytes() == b"second\n"
    first.close()
    assert path.read_bytes() == b"second\n"
    assert (first.place, first.place.read_bytes()) == (numbered(path), b"first\n")
    assert first.fault == f"{part(path)} was moved or deleted during the run"


def test_two_writers_of_one_file_are_one_too_many_until_the_first_has_ended(tmp_path: Path) -> None:
    path = tmp_path / "failed"
    with FailedRows(path) as first:
        assert (
            refusal(path) == f"{path} is being written by another run: wait until that has ended, or name another file"
        )
        first.write(b"{}\n")
        assert "is being written by another run" in refusal(path, replace=True)
    assert path.read_bytes() == b"{}\n"
    with FailedRows(path, replace=True):
        pass


@pytest.mark.parametrize("when", ["before the first row", "between rows", "at the end"])
@pytest.mark.parametrize("how", ["deleted", "moved", "replaced"])
def test_a_part_that_is_taken_away_costs_no_row(tmp_path: Path, when: str, how: str) -> None:
    path = tmp_path / "failed"
    failed = FailedRows(path, preamble=b"kit_id,a\n")

    def take_away() -> None:
        if how == "moved":
            part(path).rename(tmp_path / "elsewhere")
        else:
            part(path).unlink()
        if how == "replaced":
            part(path).write_bytes(b"foreign")

    for time in ("before the first row", "between rows", "at the end"):
        if time == when:
            take_away()
        if time != "at the end":
            failed.write(f"SPOT1,{time}\n".encode())
    failed.close()
    assert not path.exists()
    assert failed.place == numbered(path)
    assert numbered(path).read_bytes() == b"kit_id,a\nSPOT1,before the first row\nSPOT1,between rows\n"
    assert mode(numbered(path)) == 0o600
    assert failed.fault == f"{part(path)} was moved or deleted during the run"
    assert not part(path).exists() or part(path).read_bytes() == b"foreign"


@pytest.mark.parametrize("is_arranged", [False, True])
def test_a_file_that_someone_else_has_put_there_is_not_replaced(tmp_path: Path, is_arranged: bool) -> None:
    path = tmp_path / "failed"
    path.write_bytes(b"yesterday")
    failed = FailedRows(path, replace=True)
    failed.write(b"1\n")
    failed.write(b"2\n")
    path.write_bytes(b"corrected by hand")
    if is_arranged:
        failed.arrange([1, 0])
    failed.close()
    assert path.read_bytes() == b"corrected by hand"
    assert (failed.place, failed.place.read_bytes()) == (numbered(path), b"2\n1\n" if is_arranged else b"1\n2\n")
    assert failed.fault == f"{path} was filled or changed by someone else during the run"
    assert {*tmp_path.iterdir()} == {path, numbered(path)}


def test_a_file_that_was_changed_is_not_removed_either(tmp_path: Path) -> None:
    path = tmp_path / "failed"
    path.write_bytes(b"yesterday")
    with FailedRows(path, replace=True):
        path.write_bytes(b"corrected by hand")
    assert path.read_bytes() == b"corrected by hand"


@pytest.mark.parametrize("is_there", [False, True], ids=["no flock", "a file system without locks"])
def test_without_locks_the_files_identity_still_shows_what_others_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_there: bool
) -> None:
    def no_locks(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(part_file, "fcntl", SimpleNamespace(flock=no_locks, LOCK_EX=2, LOCK_NB=4) if is_there else None)
    path = tmp_path / "failed"
    with FailedRows(path) as failed:
        failed.write(b"1\n")
        part(path).unlink()
        failed.write(b"2\n")
    assert numbered(path).read_bytes() == b"1\n2\n"


def test_a_part_that_has_just_taken_its_place_is_not_mistaken_for_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "failed"
    opened = private_files.open_own

    def opening(name: Path, flags: int) -> int:
        fd = opened(name, flags)
        monkeypatch.setattr(private_files, "open_own", opened)
        name.rename(path)
        return fd

    monkeypatch.setattr(private_files, "open_own", opening)
    failed = FailedRows(path)
    failed.write(b"1\n")
    assert part(path).read_bytes() == b"1\n"
    assert path.read_bytes() == b""
    failed.abandon()


def test_rows_that_cannot_be_rescued_are_no_rows_of_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    path = tmp_path / "failed"
    failed = FailedRows(path)
    failed.write(b"1\n")
    part(path).unlink()
    with monkeypatch.context() as patched, pytest.raises(OSError, match="No space left"):
        patched.setattr(os, "write", full)
        failed.write(b"2\n")
    assert not [*tmp_path.iterdir()]
    failed.close()  # there is room again
    assert numbered(path).read_bytes() == b"1\n"


def test_a_file_that_is_mounted_by_itself_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "failed").touch()
    monkeypatch.setattr(private_files, "is_mounted", lambda path: path == tmp_path / "failed")
    assert "is mounted by itself, so it cannot be replaced: mount its folder instead" in refusal(tmp_path / "failed")
    assert [*tmp_path.iterdir()] == [tmp_path / "failed"]


def test_rows_that_cannot_be_put_in_their_place_are_said_to_be_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    failed = FailedRows(tmp_path / "failed")
    failed.write(b"{}\n")
    with monkeypatch.context() as patched, pytest.raises(OSError, match="Input/output"):
        patched.setattr(os, "fsync", broken)
        failed.close()
    failed.close()
    assert (failed.place, failed.place.read_bytes()) == (part(tmp_path / "failed"), b"{}\n")


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
    assert failed.place.read_bytes() == b"kit_id,a\nSPOT1,first\n"
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
    assert failed.place.read_bytes() == b"kit_id,a\nSPOT1,first\n" + b"\n" * 13 + b'SPOT3,"of two\nlines"\n'
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


def test_a_kill_before_any_change_of_a_file_loses_no_row_and_leaves_nothing_untold(tmp_path: Path) -> None:
    path = tmp_path / "failed.csv"

    def session() -> Path | None:
        failed = FailedRows(path, preamble=b"kit_id,a", replace=True)
        for row in (b"SPOT2,y\n", b"SPOT1,x\n"):
            failed.write(row)
        failed.arrange([1, 0])
        return failed.kept

    step, is_killed = 0, True
    while is_killed:
        step += 1
        for left in tmp_path.iterdir():
            left.unlink()
        path.write_text("of the session before\n")
        is_killed = is_killed_at(step, session)
        assert path.read_text() in {"of the session before\n", "kit_id,a\nSPOT1,x\nSPOT2,y\n"}, step
        kept = session()
        assert path.read_text() == "kit_id,a\nSPOT1,x\nSPOT2,y\n", step
        assert {*tmp_path.iterdir()} == {path, kept} - {None}, step
    assert step > 4


def is_killed_at(step: int, act: Callable[[], object]) -> bool:
    """Act in a process that is killed before so many changes of files; return whether it came so far."""
    child = fork()
    if not child:
        left = step

        def counting(call: Callable[..., Any]) -> Callable[..., Any]:
            def counted(*args: Any, **named: Any) -> Any:
                nonlocal left
                left -= 1
                if not left:
                    os._exit(KILLED)
                return call(*args, **named)

            return counted

        try:
            for name in ("write", "ftruncate", "fsync", "rename", "replace", "unlink"):
                setattr(os, name, counting(getattr(os, name)))
            act()
            os._exit(0)
        finally:
            os._exit(1)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert code in {0, KILLED}
    return code == KILLED


def test_what_another_writer_puts_there_before_we_have_its_lock_is_not_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "failed"
    first = FailedRows(path)
    first.write(b"first\n")
    check_place = part_file.check_place

    def checked(*args: object, **options: object) -> None:
        check_place(*args, **options)  # type: ignore[arg-type]
        first.close()

    monkeypatch.setattr(part_file, "check_place", checked)
    assert "exists and is not empty: give another name" in refusal(path)
    assert path.read_bytes() == b"first\n"
    assert not part(path).exists()


@pytest.mark.parametrize("data", [b"", b"SPOT1,x\ntheirs\n"], ids=["cut off", "longer"])
def test_a_part_that_another_program_has_written_to_is_no_file_of_rows(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "failed"
    failed = FailedRows(path)
    failed.write(b"SPOT1,x\n")
    part(path).write_bytes(data)

    with pytest.raises(OSError, match="another program has written to it"):
        failed.write(b"SPOT2,x\n")
    with pytest.raises(OSError, match="another program has written to it"):
        failed.close()

    assert (failed.count, failed.is_open) == (1, False)
    assert (part(path).read_bytes(), path.exists()) == (data, False)


@pytest.mark.parametrize("end", [FailedRows.close, FailedRows.abandon])
def test_what_another_program_has_written_to_an_empty_part_stays(
    tmp_path: Path, end: Callable[[FailedRows], None]
) -> None:
    failed = FailedRows(tmp_path / "failed")
    part(failed.path).write_bytes(b"theirs")
    end(failed)
    assert part(failed.path).read_bytes() == b"theirs"


@pytest.mark.parametrize("what", ["the folder cannot be synced", "the part cannot be removed"])
def test_a_file_in_its_place_is_not_put_there_once_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    path = tmp_path / "failed"
    path.write_bytes(b"yesterday")
    failed = FailedRows(path, replace=True)
    undone = UndoneRows(failed)
    for number, key in enumerate(("SPOT1", "SPOT2", "SPOT1")):
        undone.add(number, key, f"{key},{number}\n".encode())
    undone.overtaken_by(3, "SPOT1")

    def broken(*_: object, **__: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patched:
        if what == "the part cannot be removed":
            patched.setattr(Path, "unlink", broken)
            undone.close()  # a part too many is no lost row
        else:
            patched.setattr(private_files, "sync_folder", broken)
            with pytest.raises(OSError, match="Input/output error"):  # a power failure could undo it
                undone.close()
    undone.close()

    assert path.read_bytes() == b"SPOT2,1\n"
    assert (failed.place, failed.fault, numbered(path).exists()) == (path, None, False)
