"""A journal that cannot be used, or no longer: what is refused and why, what is left as it was, and a full disk."""

import fcntl
import os
import re
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path

import pytest

from spotdx_async import file_locks
from spotdx_async.bulk.journal import lock as journal_lock
from spotdx_async.bulk.journal.file import JournalFile
from spotdx_async.bulk.journal.lock import JournalLock
from spotdx_async.bulk.journal.reading import read_journal
from spotdx_async.bulk.journal.records import Recorded
from spotdx_async.bulk.records import Journal
from spotdx_async.errors import JournalError

OPERATION, SERVER = "PATCH /api/v2/kits/{kit_id}/", "https://spot.test"


def open_file(
    path: Path, fingerprint: str | None = None, *, operation: str = OPERATION, server: str = SERVER
) -> JournalFile:
    return JournalFile.open(Journal(path, fingerprint), operation=operation, server=server)


def group(file: JournalFile, first: int, count: int) -> list[Recorded]:
    return [(index, "ok", file.digester.row(f"k{index}", b"")) for index in range(first, first + count)]


def make(path: Path, rows: int = 0, fingerprint: str | None = None) -> None:
    """Leave a journal whose session has ended."""
    file = open_file(path, fingerprint)
    file.close(group(file, 0, rows), "stopped")


def refused(act: Callable[[], object]) -> JournalError:
    """The error that comes, which holds none of SQLite's or the system's and says what to do in one sentence."""
    with pytest.raises(JournalError) as caught:
        act()
    error = caught.value
    assert error.__context__ is None
    assert error.__cause__ is None
    assert re.fullmatch(r"the journal [^:]+: [^:]+", str(error)), str(error)
    return error


def kept(path: Path) -> int:
    return read_journal(path).rows


def names(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.iterdir())


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "run.journal"


# --- The place --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("use", [open_file, read_journal], ids=["run", "read"])
def test_a_place_where_no_journal_can_be_is_refused(tmp_path: Path, use: Callable[[Path], object]) -> None:
    (tmp_path / "file").write_bytes(b"mine")
    (tmp_path / "link").symlink_to(tmp_path / "file")
    (tmp_path / "dangling").symlink_to(tmp_path / "nothing")
    os.mkfifo(tmp_path / "pipe")
    places = {
        "missing/run.journal": "folder that does not exist",
        "": "is a folder",
        "link": "symbolic link",
        "dangling": "symbolic link",
        "pipe": "not a regular file",
        "file/run.journal": "Not a directory",
        "n" * 300: "File name too long",
        "a\0b": "NUL",
    }
    before = names(tmp_path)

    errors = {name: refused(lambda name=name: use(tmp_path / name)) for name in places}  # type: ignore[misc]

    assert {error.reason for error in errors.values()} == {"path"}
    assert [name for name, what in places.items() if what not in str(errors[name])] == []
    assert names(tmp_path) == before
    assert (tmp_path / "file").read_bytes() == b"mine"


def test_reading_what_does_not_exist_is_refused_and_makes_nothing(path: Path) -> None:
    error = refused(lambda: read_journal(path))

    assert error.reason == "path"
    assert names(path.parent) == []


def test_the_last_rows_of_a_journal_that_was_removed_are_not_taken_for_the_new_ones(path: Path) -> None:
    path.with_name("run.journal-wal").write_bytes(b"rows of another journal")

    error = refused(lambda: open_file(path))

    assert (error.reason, "-wal" in str(error)) == ("path", True)
    assert names(path.parent) == ["run.journal-wal"]


# --- What is no journal -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("use", [open_file, read_journal], ids=["run", "read"])
@pytest.mark.parametrize("text", [b"kit_id,name\n", b"\0" * 5000, b"SQLite format 3\0", os.urandom(9000)])
def test_what_is_no_journal_is_left_as_it_is(path: Path, text: bytes, use: Callable[[Path], object]) -> None:
    path.write_bytes(text)
    path.chmod(0o644)

    error = refused(lambda: use(path))

    assert error.reason in {"not a journal", "corrupt"}
    assert (path.read_bytes(), path.stat().st_mode & 0o777) == (text, 0o644)
    assert names(path.parent) == [path.name]


@pytest.mark.parametrize("use", [open_file, read_journal], ids=["run", "read"])
@pytest.mark.parametrize("mode", ["DELETE", "WAL"])
def test_another_database_is_left_as_it_is(path: Path, mode: str, use: Callable[[Path], object]) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.execute(f"PRAGMA journal_mode = {mode}")
        database.execute("CREATE TABLE rows(row INTEGER PRIMARY KEY)")
    before = path.read_bytes()

    error = refused(lambda: use(path))

    assert error.reason == "not a journal"
    assert path.read_bytes() == before
    assert names(path.parent) == [path.name]


@pytest.mark.parametrize("use", [open_file, read_journal], ids=["run", "read"])
def test_a_journal_of_a_later_version_is_refused(path: Path, use: Callable[[Path], object]) -> None:
    make(path)
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA user_version = 3")
    before = path.read_bytes()

    error = refused(lambda: use(path))

    assert (error.reason, "later version" in str(error)) == ("newer", True)
    assert path.read_bytes() == before


# --- Another run ------------------------------------------------------------------------------------------------------


def test_a_journal_of_another_operation_or_server_is_refused(path: Path) -> None:
    make(path, rows=1)
    before = path.read_bytes()

    errors = [
        refused(lambda: open_file(path, operation="PATCH /api/v2/orders/{order_id}/")),
        refused(lambda: open_file(path, server="https://other.test")),
    ]

    assert [error.reason for error in errors] == ["another run", "another run"]
    assert OPERATION in str(errors[0])
    assert path.read_bytes() == before


def test_a_changed_input_is_refused(path: Path) -> None:
    make(path, fingerprint="one")
    before = path.read_bytes()

    error = refused(lambda: open_file(path, "two"))

    assert error.reason == "changed input"
    assert path.read_bytes() == before


@pytest.mark.parametrize(("first", "second"), [("one", "one"), ("one", None), (None, "one"), (None, None)])
def test_an_input_that_is_not_known_to_differ_is_taken(path: Path, first: str | None, second: str | None) -> None:
    make(path, fingerprint=first)

    make(path, fingerprint=second)

    assert read_journal(path).sessions == 2


def test_a_fingerprint_that_comes_later_is_kept(path: Path) -> None:
    make(path)
    make(path, fingerprint="one")

    assert refused(lambda: open_file(path, "two")).reason == "changed input"


# --- In use -----------------------------------------------------------------------------------------------------------


def test_a_journal_is_for_one_run_at_a_time(path: Path) -> None:
    file = open_file(path)

    error = refused(lambda: open_file(path))
    file.write(group(file, 0, 1))
    file.close([], "complete")

    assert (error.reason, kept(path)) == ("in use", 1)


OTHER = """
import sys
from spotdx_async.bulk.journal.file import JournalFile
from spotdx_async.bulk.records import Journal
from spotdx_async.errors import JournalError
try:
    JournalFile.open(Journal(sys.argv[1]), operation=sys.argv[2], server=sys.argv[3]).close([], "complete")
except JournalError as error:
    print(error.reason)
"""


def run_in_another_process(path: Path, script: str = OTHER) -> str:
    command = [sys.executable, "-c", script, str(path), OPERATION, SERVER]
    done = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603 - our own script
    return done.stdout.strip()


def test_a_journal_is_for_one_process_at_a_time(path: Path) -> None:
    file = open_file(path)
    during = run_in_another_process(path)
    file.close([], "stopped")

    assert during == "in use"
    assert run_in_another_process(path) == ""
    assert read_journal(path).sessions == 2


def test_looking_whether_it_is_in_use_keeps_nobody_out(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(path)
    looks: list[int] = []
    flock = fcntl.flock

    def look_first(fd: int, how: int) -> None:
        if not looks:  # somebody looks at this very moment, and has done so when it is tried again
            looks.append(os.open(f"{path}-lock", os.O_RDONLY))
            flock(looks[0], fcntl.LOCK_SH)
        elif how == fcntl.LOCK_SH | fcntl.LOCK_NB:
            os.close(looks[0])
        flock(fd, how)

    monkeypatch.setattr(fcntl, "flock", look_first)

    make(path)

    assert read_journal(path).sessions == 2


def test_a_lock_whose_file_was_removed_before_it_was_got_is_not_taken(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = JournalLock.take(path)
    flock = fcntl.flock
    tries: list[int] = []

    def release_first(fd: int, how: int) -> None:
        tries.append(fd)
        first.release()
        flock(fd, how)

    monkeypatch.setattr(fcntl, "flock", release_first)
    second = JournalLock.take(path)
    monkeypatch.undo()

    assert len(tries) == 2
    assert refused(lambda: JournalLock.take(path)).reason == "in use"
    second.release()
    second.release()
    assert names(path.parent) == []


def test_another_program_that_writes_the_journal_keeps_the_run_out(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(path)
    monkeypatch.setattr("spotdx_async.bulk.journal.database.BUSY_S", 0.01)
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.execute("BEGIN IMMEDIATE")

        error = refused(lambda: open_file(path))

    assert error.reason == "in use"
    make(path)


def test_another_file_in_the_lock_s_place_is_left_as_it_is(path: Path) -> None:
    lock = path.with_name("run.journal-lock")
    lock.write_bytes(b"mine")

    error = refused(lambda: open_file(path))

    assert (error.reason, lock.read_bytes(), names(path.parent)) == ("path", b"mine", [lock.name])


def test_a_link_in_the_lock_s_place_is_not_followed(path: Path) -> None:
    path.with_name("run.journal-lock").symlink_to(path.with_name("elsewhere"))

    assert refused(lambda: open_file(path)).reason == "path"
    assert names(path.parent) == ["run.journal-lock"]


def test_a_lock_that_a_killed_run_left_does_not_hold(path: Path) -> None:
    make(path, rows=3)
    for text in (b"", journal_lock._MARK[:7], journal_lock._MARK + b"x" * 1000):
        path.with_name("run.journal-lock").write_bytes(text)
        make(path)

    assert names(path.parent) == [path.name]


def test_a_system_without_locks_has_no_journals(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(path)
    monkeypatch.setattr(file_locks, "_fcntl", None)

    error = refused(lambda: open_file(path))

    assert (error.reason, "no file locks" in str(error)) == ("path", True)
    assert not read_journal(path).in_use


def test_a_file_system_without_locks_has_no_journals(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_fd: int, _how: int) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(fcntl, "flock", refuse)

    assert refused(lambda: open_file(path)).reason == "path"


def test_a_file_system_without_wal_has_no_journals(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    connect = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", lambda *_, **__: connect(":memory:"))

    error = refused(lambda: open_file(path))

    assert (error.reason, "WAL" in str(error)) == ("path", True)
    assert names(path.parent) == []


# --- Damage -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [100, 4096, 10_000, 20_000])
def test_a_journal_that_was_cut_is_refused_and_left_as_it_is(path: Path, size: int) -> None:
    make(path, rows=2000)
    os.truncate(path, size)
    before = path.read_bytes()

    error = refused(lambda: open_file(path))

    assert error.reason == "corrupt"
    assert path.read_bytes() == before
    assert names(path.parent) == [path.name]


@pytest.mark.parametrize("use", [open_file, read_journal], ids=["run", "read"])
@pytest.mark.parametrize("page", [1, 2, 3, 5])
def test_a_journal_with_a_spoilt_page_is_refused(path: Path, page: int, use: Callable[[Path], object]) -> None:
    make(path, rows=2000)
    text = bytearray(path.read_bytes())
    # The header of page 1 tells that it is a journal, and is left alone.
    text[(page - 1) * 4096 + (page == 1) * 100 : page * 4096] = b"\xff" * (4096 - (page == 1) * 100)
    path.write_bytes(text)

    assert refused(lambda: use(path)).reason == "corrupt"


@pytest.mark.parametrize(
    "damage",
    [
        "DELETE FROM meta",
        "INSERT INTO meta SELECT * FROM meta",
        "UPDATE meta SET begun = 'long ago'",
        "UPDATE meta SET begun = 7",
        "DROP TABLE meta",
        "DROP TABLE rows",
    ],
)
def test_a_journal_that_cannot_be_read_is_refused(path: Path, damage: str) -> None:
    make(path)
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.execute(damage)

    reasons = {refused(lambda: open_file(path)).reason, refused(lambda: read_journal(path)).reason}

    assert reasons == {"corrupt"}
    assert "run.journal-lock" not in names(path.parent)


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE meta SET secret = x'00'",
        "INSERT INTO rows VALUES (0, 1, x'0102030405060708', x'0102030405060708')",
        "INSERT INTO rows VALUES (0, 3, x'0102030405060708', NULL)",
        "INSERT INTO rows VALUES (0, 6, x'0102030405060708', NULL)",
        "INSERT INTO rows VALUES (0, 'ok', x'0102030405060708', NULL)",
        "INSERT INTO rows VALUES (0, 1, x'01', NULL)",
    ],
)
def test_a_journal_that_says_what_cannot_be_is_refused(path: Path, damage: str) -> None:
    make(path)
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.execute(damage)

    assert refused(lambda: open_file(path)).reason == "corrupt"


def test_a_journal_that_is_moved_away_during_the_run_stops_it(path: Path) -> None:
    file = open_file(path)
    file.write(group(file, 0, 1))
    path.rename(path.with_name("elsewhere"))

    error = refused(lambda: file.write(group(file, 1, 1)))
    refused(lambda: file.close([], "stopped"))

    assert (error.reason, "moved or deleted" in str(error)) == ("path", True)


# --- A full disk ------------------------------------------------------------------------------------------------------


def test_a_full_database_fails_a_group_as_a_whole(path: Path) -> None:
    file = open_file(path)
    file.write(group(file, 0, 500))
    file._database.execute("PRAGMA max_page_count = 8")

    error = refused(lambda: file.write(group(file, 500, 1000)))

    assert error.reason == "disk"
    assert kept(path) == 500
    file._database.execute("PRAGMA max_page_count = 1000")
    file.close(group(file, 1500, 10), "stopped")
    state = read_journal(path)
    assert (state.rows, state.next_index, state.ending) == (1510, 1510, "stopped")


LIMITED = """
import resource, sys
from spotdx_async.bulk.journal.file import JournalFile
from spotdx_async.bulk.records import Journal
from spotdx_async.errors import JournalError
file = JournalFile.open(Journal(sys.argv[1]), operation=sys.argv[2], server=sys.argv[3])
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
written = 0
try:
    while True:
        file.write([(row, "ok", file.digester.row("k", b"")) for row in range(written, written + 500)])
        written += 500
except JournalError as error:
    print(error.reason, type(error.__context__).__name__, written)
try:
    file.close([], "stopped")
except JournalError:
    pass
"""


def test_a_file_that_may_not_grow_stops_the_run_and_keeps_what_was_written(path: Path) -> None:
    reason, context, written = run_in_another_process(path, LIMITED).split()

    assert (reason, context) == ("disk", "NoneType")
    assert int(written) > 0
    assert kept(path) in {int(written), int(written) + 500}
    make(path)


def fill_up(disk: Path, *, leaving: int = 0) -> None:
    with (disk / "filler").open("wb", buffering=0) as filler:
        free = os.statvfs(disk)
        filler.write(b"x" * (free.f_bavail * free.f_frsize - leaving))


@pytest.mark.parametrize("leaving", [0, 4096, 100_000, 300_000])
def test_a_full_disk_is_told_before_anything_is_sent(small_disk: Path, leaving: int) -> None:
    fill_up(small_disk, leaving=leaving)

    error = refused(lambda: open_file(small_disk / "run.journal"))

    assert error.reason == "disk"
    assert not {"run.journal-lock", "run.journal-being-made"} & set(names(small_disk))
    (small_disk / "filler").unlink()
    make(small_disk / "run.journal", rows=10)


def test_what_was_sent_when_the_disk_fills_up_is_recorded_in_the_reserve(small_disk: Path) -> None:
    path = small_disk / "run.journal"
    file = open_file(path)
    fill_up(small_disk)

    error = refused(lambda: file.write(group(file, 0, 750)))
    during = kept(path)
    file.close(group(file, 750, 100), "stopped")

    assert (error.reason, during) == ("disk", 750)
    state = read_journal(path)
    assert (state.rows, state.ending) == (850, "stopped")


def test_a_run_that_met_a_full_disk_is_resumed_when_there_is_room(small_disk: Path) -> None:
    path = small_disk / "run.journal"
    file = open_file(path)
    written = 0
    with pytest.raises(JournalError):
        while True:
            file.write(group(file, written, 500))
            written += 500
            if written == 5000:
                fill_up(small_disk)
    with suppress(JournalError):
        file.close([], "stopped")
    (small_disk / "filler").unlink()

    again = open_file(path)
    again.close(group(again, written + 500, 500), "complete")

    assert kept(path) >= written + 500
