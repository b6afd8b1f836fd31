"""What another user plants beside a journal for SQLite to find: it is refused, and cannot come at another moment."""

import os
import sqlite3
import stat
import struct
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from spotdx_async.bulk.journal import reading as journal_reading
from spotdx_async.bulk.journal.file import JournalFile
from spotdx_async.bulk.journal.reading import read_journal
from spotdx_async.bulk.records import Journal
from spotdx_async.errors import JournalError

PAGE = 4096
MAGIC = bytes.fromhex("d9d505f920a163d7")
NAMES = ("-wal", "-shm", "-journal")
SOMEBODY = 12345
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")


def open_file(path: Path) -> JournalFile:
    return JournalFile.open(Journal(path), operation="PATCH /kits", server="https://spot.test")


USES: dict[str, Callable[[Path], object]] = {"run": open_file, "read": read_journal}


def make(path: Path, rows: int = 0) -> None:
    """Leave a journal whose session has ended."""
    file = open_file(path)
    file.close([(index, "ok", file.digester.row(f"k{index}", b"")) for index in range(rows)], "stopped")


def leave_as_killed(path: Path) -> None:
    """Leave a journal and its WAL as a kill does."""
    make(path)
    file = open_file(path)
    file.write([(0, "ok", file.digester.row("k0", b""))])
    left = {suffix: path.with_name(f"{path.name}{suffix}").read_bytes() for suffix in ("", "-wal")}
    file.close([], "stopped")
    for suffix, data in left.items():
        path.with_name(f"{path.name}{suffix}").write_bytes(data)


def played_back(pages: int, super_journal: Path) -> bytes:
    """Make a rollback journal that SQLite plays back: it empties so many pages, and has a file deleted."""
    nonce, page = 7, b"\0" * PAGE
    text = (MAGIC + struct.pack(">5I", pages, nonce, pages, 512, PAGE)).ljust(512, b"\0")
    for number in range(1, pages + 1):
        text += struct.pack(">I", number) + page + struct.pack(">I", nonce)
    name = os.fsencode(super_journal)
    text += struct.pack(">I", 0x40000000 // PAGE + 1) + name
    return text + struct.pack(">2I", len(name), sum(name)) + MAGIC


def beside(path: Path, suffix: str) -> Path:
    return path.with_name(f"{path.name}{suffix}")


def about(folder: Path) -> dict[str, tuple[int, int, bytes]]:
    found = {file: file.lstat() for file in sorted(folder.iterdir())}
    return {file.name: (one.st_mode, one.st_uid, file.read_bytes()) for file, one in found.items()}


def untouched(folder: Path) -> tuple[Any, ...]:
    """What a look into a folder does not change: it may change when the folder was last read."""
    is_now = folder.lstat()
    names = sorted(folder.iterdir())
    return is_now.st_ino, is_now.st_mode, is_now.st_uid, is_now.st_gid, is_now.st_mtime_ns, is_now.st_ctime_ns, names


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "run.journal"


@pytest.fixture
def precious(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("home") / "precious"
    file.write_text("precious")
    return file


def test_sqlite_plays_back_what_lies_there(path: Path, precious: Path) -> None:
    """The danger itself, without us: else the tests below would show nothing."""
    make(path, rows=10)
    beside(path, "-journal").write_bytes(played_back(2, precious))

    with closing(sqlite3.connect(path)) as database, pytest.raises(sqlite3.DatabaseError):
        database.execute("SELECT * FROM meta").fetchone()

    assert path.read_bytes()[:PAGE] == b"\0" * PAGE
    if sqlite3.sqlite_version_info < (3, 41):  # 3.53 leaves other files alone
        assert not precious.exists()


@pytest.mark.parametrize("use", USES.values(), ids=USES)
@pytest.mark.parametrize("owner", ["ours", pytest.param("another's", marks=needs_root)])
@pytest.mark.parametrize("state", ["new", "ended", "killed"])
def test_a_planted_rollback_journal_is_refused_and_nothing_changes(
    path: Path, precious: Path, use: Callable[[Path], object], owner: str, state: str
) -> None:
    {"new": lambda _: None, "ended": make, "killed": leave_as_killed}[state](path)
    planted = beside(path, "-journal")
    planted.write_bytes(played_back(2, precious))
    if owner != "ours":
        os.chown(planted, SOMEBODY, -1)
    before = about(path.parent)

    with pytest.raises(JournalError) as caught:
        use(path)

    assert caught.value.reason == "path"
    if (use, state) != (read_journal, "new"):
        whose = "not empty has the same name" if owner == "ours" else f"belongs to another user (number {SOMEBODY})"
        text = str(caught.value)
        assert whose in text
        assert "-journal" in text
        assert "or name a file in a folder of your own" in text
    assert about(path.parent) == before
    assert precious.exists()


def test_reading_plays_nothing_back_that_comes_after_the_check(
    path: Path, precious: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    leave_as_killed(path)
    before = path.read_bytes()
    beside(path, "-journal").write_bytes(played_back(2, precious))
    monkeypatch.setattr(journal_reading, "check_companions", lambda _: None)

    with pytest.raises(JournalError):
        read_journal(path)

    assert path.read_bytes() == before
    assert precious.exists()


@pytest.mark.parametrize("state", ["new", "ended", "killed"])
def test_whenever_sqlite_opens_a_journal_nobody_else_can_put_a_file_beside_it(
    path: Path, monkeypatch: pytest.MonkeyPatch, state: str
) -> None:
    """What another user does between a check and SQLite's opening has no place to go: files of ours lie in each."""
    {"new": lambda _: None, "ended": make, "killed": leave_as_killed}[state](path)
    connect = sqlite3.connect
    opened: list[Path] = []

    def is_ours(place: Path) -> bool:
        found = place.lstat()
        return stat.S_ISREG(found.st_mode) and found.st_uid == os.geteuid() and found.st_nlink == 1

    def looked_at(place: Any, **options: Any) -> sqlite3.Connection:
        if not options.get("uri"):
            opened.append(Path(place))
            folder = Path(place).parent.lstat()
            is_private = stat.S_IMODE(folder.st_mode) == 0o700 and folder.st_uid == os.geteuid()
            assert Path(place).parent != path.parent or all(is_ours(beside(path, suffix)) for suffix in NAMES)
            assert Path(place).parent == path.parent or is_private
            if Path(place) == path:
                assert not beside(path, "-journal").stat().st_size
        opened_one: sqlite3.Connection = connect(place, **options)
        return opened_one

    path.parent.chmod(0o1777)
    monkeypatch.setattr(sqlite3, "connect", looked_at)
    umask = os.umask(0)
    try:
        file = open_file(path)
        file.write([(1, "ok", file.digester.row("k1", b""))])
        assert is_ours(beside(path, "-journal"))
        file.close([], "complete")
    finally:
        os.umask(umask)

    assert opened[-1] == path
    assert len(opened) == 1 + (state == "new")
    assert [*about(path.parent)] == ["run.journal"]
    assert read_journal(path).ending == "complete"


@pytest.mark.parametrize("mode", [0o600, 0o666])
def test_what_a_killed_run_left_does_not_stand_in_the_way(path: Path, mode: int) -> None:
    leave_as_killed(path)
    for suffix in ("-journal", "-shm"):
        beside(path, suffix).touch()
        beside(path, suffix).chmod(mode)
    with beside(path, "-journal").open("rb") as opened_by_another:
        assert read_journal(path).rows == 1
        file = open_file(path)
        names_of_it = os.fstat(opened_by_another.fileno()).st_nlink
        now = beside(path, "-journal").stat()
        file.close([], "complete")

    # Somebody who has opened it while they could may write into it later: another one takes its place.
    assert names_of_it == (mode == 0o600)
    assert stat.S_IMODE(now.st_mode) == 0o600
    assert [*about(path.parent)] == ["run.journal"]


def test_a_kill_while_the_journal_is_made_does_not_stand_in_the_way(path: Path, precious: Path) -> None:
    folder = beside(path, "-being-made")
    folder.mkdir(0o700)
    (folder / "new").write_bytes(b"SQLite format 3\0 and no more")
    (folder / "new-journal").write_bytes(played_back(2, precious))

    make(path, rows=3)

    assert read_journal(path).rows == 3
    assert [*about(path.parent)] == ["run.journal"]
    assert precious.exists()


def test_a_kill_when_the_journal_is_in_its_place_leaves_nothing_for_ever(path: Path) -> None:
    make(path, rows=3)
    beside(path, "-being-made").mkdir(0o700)

    make(path)

    assert [*about(path.parent)] == ["run.journal"]


def plant_a_link(place: Path, precious: Path) -> None:
    place.symlink_to(precious.parent)


def plant_a_folder_with_something(place: Path, _: Path) -> None:
    place.mkdir()
    (place / "thesis").write_text("mine")
    (place / "new").write_text("mine, too")


def plant_another_users(place: Path, _: Path) -> None:
    place.mkdir(0o777)
    os.chown(place, SOMEBODY, -1)


with_what_is_not_ours = pytest.mark.parametrize(
    "plant",
    [plant_a_link, plant_a_folder_with_something, pytest.param(plant_another_users, marks=needs_root)],
)


@with_what_is_not_ours
def test_what_lies_where_a_journal_is_made_is_refused_as_it_was(
    path: Path, precious: Path, plant: Callable[[Path, Path], None]
) -> None:
    place = beside(path, "-being-made")
    plant(place, precious)
    before = untouched(place)

    with pytest.raises(JournalError, match="with -being-made ") as caught:
        open_file(path)

    assert caught.value.reason == "path"
    assert untouched(place) == before
    assert precious.exists()
    assert [file.name for file in path.parent.iterdir()] == [place.name]


@with_what_is_not_ours
def test_what_lies_there_once_the_journal_is_made_stays_as_it_is(
    path: Path, precious: Path, plant: Callable[[Path, Path], None]
) -> None:
    make(path, rows=3)
    place = beside(path, "-being-made")
    plant(place, precious)
    before = untouched(place)

    make(path)

    assert untouched(place) == before
    assert precious.exists()


def test_a_journal_that_is_refused_for_another_reason_has_nothing_beside_it(path: Path) -> None:
    make(path)

    with pytest.raises(JournalError) as caught:
        JournalFile.open(Journal(path), operation="PATCH /orders", server="https://spot.test")

    assert caught.value.reason == "another run"
    assert [*about(path.parent)] == ["run.journal"]


def test_beside_what_is_no_journal_nothing_is_cleared(path: Path) -> None:
    path.write_text("my notes")
    beside(path, "-being-made").mkdir(0o700)

    with pytest.raises(JournalError):
        open_file(path)

    assert sorted(file.name for file in path.parent.iterdir()) == ["run.journal", "run.journal-being-made"]


def test_no_room_for_what_lies_beside_it_is_told_as_the_disks(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: Path) -> None:
        raise OSError(28, "No space left on device")

    make(path)
    monkeypatch.setattr("spotdx_async.bulk.journal.paths.make_private", full)

    with pytest.raises(JournalError) as caught:
        open_file(path)

    assert caught.value.reason == "disk"
    assert [*about(path.parent)] == ["run.journal"]


def test_a_forked_childs_copy_leaves_the_runs_files(path: Path) -> None:
    """It closes the lock before anything else: what lies beside the journal is its parent's."""
    file = open_file(path)
    file._lock._file.close()

    file._companions = pytest.fail  # type: ignore[assignment]
    file.close([], "stopped")

    assert beside(path, "-journal").exists()
