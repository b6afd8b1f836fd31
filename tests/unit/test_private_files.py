"""Files for one user's eyes: what another user has put there is refused, as it was, and no mode is set by a path."""

import ast
import errno
import logging
import os
import sqlite3
import stat
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

import spotdx_async
from spotdx_async import InvalidInputError, Journal, JournalError, private_files, report
from spotdx_async.bulk.journal.file import JournalFile
from spotdx_async.bulk.journal.reading import read_journal
from spotdx_async.distributed.partition import Split
from spotdx_async.files import FailedRows

SOMEBODY = 12345


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def plant_another_users(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put a file there that is not ours: by its owner where we may give files away, else by who we are."""
    path.write_bytes(b"")
    path.chmod(0o666)
    if os.geteuid() == 0:
        os.chown(path, SOMEBODY, -1)
    else:
        monkeypatch.setattr(os, "geteuid", lambda: SOMEBODY)


def plant_link(path: Path, _: object) -> None:
    aim = path.parent / "precious"
    aim.write_text("precious")
    aim.chmod(0o644)
    path.symlink_to(aim)


def plant_hard_link(path: Path, _: object) -> None:
    aim = path.parent / "precious"
    aim.write_bytes(b"")
    aim.chmod(0o644)
    path.hardlink_to(aim)


def plant_pipe(path: Path, _: object) -> None:
    os.mkfifo(path, 0o644)


PLANTED = {
    "another user's": (plant_another_users, "belongs to another user"),
    "a link": (plant_link, "is a symbolic link, which is not followed"),
    "a hard link": (plant_hard_link, "has a second name"),
    "a pipe": (plant_pipe, "is not a regular file"),
}
Plant = Callable[[Path, pytest.MonkeyPatch], None]
planted = pytest.mark.parametrize(("plant", "fault"), PLANTED.values(), ids=PLANTED)


def about(folder: Path) -> list[tuple[str, int, int, int, int]]:
    found = [(path, path.lstat()) for path in sorted(folder.iterdir())]
    return [(path.name, one.st_mode, one.st_uid, one.st_size, one.st_nlink) for path, one in found]


@planted
@pytest.mark.parametrize("flags", [os.O_RDONLY, os.O_WRONLY, os.O_RDWR | os.O_CREAT])
def test_what_is_not_ours_is_not_opened_and_stays_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, plant: Plant, fault: str, flags: int
) -> None:
    plant(tmp_path / "file", monkeypatch)
    before = about(tmp_path)

    for use in (
        private_files.look,
        private_files.tighten,
        lambda path: private_files.replace(path, b"x"),
        lambda path: private_files.open_own(path, flags),
    ):
        # A pipe without a reader gives its own error where it is opened for writing.
        with pytest.raises(OSError, match=f"{fault}|No such device"):
            use(tmp_path / "file")
        assert about(tmp_path) == before


def test_a_file_that_roots_is_not_ours_either(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    found = (tmp_path / "file").stat()
    of_root = os.stat_result((found.st_mode, *found[1:4], 0, *found[5:]))
    monkeypatch.setattr(os, "geteuid", lambda: SOMEBODY)

    assert private_files.fault_of(of_root) == "belongs to another user"


def test_a_file_of_ours_is_taken_from_others_by_its_descriptor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"kept")
    path.chmod(0o644)
    monkeypatch.setattr(os, "chmod", lambda *_, **__: pytest.fail("a mode was set by a path"))

    os.close(private_files.open_own(path, os.O_RDONLY))

    assert mode(path) == 0o600
    assert path.read_bytes() == b"kept"


def test_the_file_that_was_opened_is_judged_not_what_lies_there_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between looking and opening a link takes the file's place."""
    path, aim = tmp_path / "file", tmp_path / "precious"
    aim.write_bytes(b"")
    aim.chmod(0o644)
    path.touch()
    path.chmod(0o644)
    open_it = os.open

    def swapped(name: str | os.PathLike[str], flags: int, *more: int) -> int:
        if Path(name) == path and not flags & private_files._PATH and not path.is_symlink():
            path.unlink()
            path.symlink_to(aim)
        return open_it(name, flags, *more)

    with monkeypatch.context() as patched:
        patched.setattr(os, "open", swapped)
        with pytest.raises(OSError, match="symbolic link"):
            private_files.tighten(path)

    assert path.is_symlink()
    assert mode(aim) == 0o644


@pytest.mark.parametrize("umask", [0, 0o277, 0o777])
def test_a_new_file_is_private_from_its_first_instant_and_takes_no_place(tmp_path: Path, umask: int) -> None:
    old = os.umask(umask)
    try:
        os.close(private_files.create(tmp_path / "new"))
        private_files.replace(tmp_path / "whole", b"text")
    finally:
        os.umask(old)

    assert mode(tmp_path / "new") == mode(tmp_path / "whole") == 0o600
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    for taken in ("new", "link"):
        with pytest.raises(FileExistsError):
            private_files.create(tmp_path / taken)
    assert not (tmp_path / "nowhere").exists()


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, set[str]]]:
    """What was synced, and which files were in the folder at that moment."""
    seen: list[tuple[str, set[str]]] = []
    fsync = os.fsync

    def note(fd: int) -> None:
        path = Path(f"/proc/self/fd/{fd}").readlink()
        is_folder = stat.S_ISDIR(os.fstat(fd).st_mode)
        seen.append(("folder", {one.name for one in path.iterdir()}) if is_folder else ("file", set()))
        fsync(fd)

    monkeypatch.setattr(os, "fsync", note)
    return seen


on_linux = pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="asks /proc which file is synced")


@on_linux
def test_a_replaced_file_is_synced_and_then_its_name(tmp_path: Path, synced: list[tuple[str, set[str]]]) -> None:
    private_files.replace(tmp_path / "file", b"text")

    assert synced == [("file", set()), ("folder", {"file"})]


@on_linux
def test_a_file_written_piece_by_piece_is_private_and_takes_its_place_as_a_whole(
    tmp_path: Path, synced: list[tuple[str, set[str]]]
) -> None:
    place = tmp_path / "file"
    place.write_bytes(b"older")
    new = private_files.NewFile(place)
    new.write([b"a" * 10, b"b"])
    new.write([b"c"])
    new.sync()

    assert (mode(new.part), new.part.read_bytes(), place.read_bytes()) == (0o600, b"aaaaaaaaaabc", b"older")
    assert synced == [("file", set())]

    new.put_in_place()
    new.discard()

    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("file", b"aaaaaaaaaabc")]


def test_a_file_written_piece_by_piece_leaves_nothing_where_it_is_given_up(tmp_path: Path) -> None:
    new = private_files.NewFile(tmp_path / "file")
    new.write([b"text"])

    new.discard()
    new.discard()

    assert [*tmp_path.iterdir()] == []


def test_a_place_that_was_taken_meanwhile_is_left_alone(tmp_path: Path) -> None:
    new = private_files.NewFile(tmp_path / "file")
    (tmp_path / "file").symlink_to(tmp_path / "elsewhere")

    with pytest.raises(private_files.UnfitFileError, match="is a symbolic link"):
        new.put_in_place()
    new.discard()

    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("number", [errno.EINVAL, errno.ENOTSUP])
def test_a_file_system_that_syncs_no_folders_can_be_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    fail_for_folders(monkeypatch, number)

    private_files.replace(tmp_path / "file", b"text")
    open_journal(tmp_path / "run.journal").close([], "stopped")

    assert (tmp_path / "file").read_bytes() == b"text"
    assert (tmp_path / "run.journal").stat().st_size


def test_a_disk_that_fails_to_keep_a_name_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fail_for_folders(monkeypatch, errno.EIO)

    with pytest.raises(OSError, match=os.strerror(errno.EIO)):
        private_files.replace(tmp_path / "file", b"text")
    with pytest.raises(JournalError, match="cannot be written"):
        open_journal(tmp_path / "run.journal")


def test_a_folder_that_may_not_be_read_can_be_written_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    refuse = os.open

    def without_reading(path: Any, flags: int, *more: Any, **named: Any) -> int:
        if not flags & (os.O_CREAT | os.O_PATH) and os.path.isdir(path):  # noqa: PTH112 - or a descriptor
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        return refuse(path, flags, *more, **named)

    monkeypatch.setattr(os, "open", without_reading)  # root could read it whatever its mode

    private_files.replace(tmp_path / "file", b"text")
    open_journal(tmp_path / "run.journal").close([], "stopped")

    assert (tmp_path / "file").read_bytes() == b"text"


@pytest.mark.parametrize("name", ["x" * 255, "\u5831" * 85, "\U0001f9ea" * 63], ids=["one byte", "three", "four"])
def test_a_name_as_long_as_may_be_can_be_replaced(tmp_path: Path, name: str) -> None:
    for text in (b"one", b"another"):
        private_files.replace(tmp_path / name, text)

        assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [(name, text)]


def test_what_a_killed_writer_has_left_is_removed_by_the_next_and_what_is_being_written_is_not(tmp_path: Path) -> None:
    for name in (".file.abcd_123.part", ".other.abcd1234.part", ".file.backup.part"):
        (tmp_path / name).write_bytes(b"left")
    with private_files.written_beside(tmp_path / "file", b"first") as first:
        private_files.replace(tmp_path / "file", b"second")
        first.replace(tmp_path / "file")

    assert (tmp_path / "file").read_bytes() == b"first"
    assert {path.name for path in tmp_path.iterdir()} == {"file", ".other.abcd1234.part", ".file.backup.part"}


def test_what_does_not_take_its_place_is_gone(tmp_path: Path) -> None:
    with suppress(ZeroDivisionError), private_files.written_beside(tmp_path / "file", b"text") as new:
        assert new.read_bytes() == b"text"
        _ = 1 / 0

    assert not [*tmp_path.iterdir()]


def fail_for_folders(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    fsync = os.fsync

    def fail(fd: int) -> None:
        if stat.S_ISDIR(os.fstat(fd).st_mode):
            raise OSError(number, os.strerror(number))
        fsync(fd)

    monkeypatch.setattr(os, "fsync", fail)


# --- What uses them ---------------------------------------------------------------------------------------------------


def open_journal(path: Path) -> JournalFile:
    return JournalFile.open(Journal(path), operation="PUT /kits", server="https://spot.example")


@planted
@pytest.mark.parametrize("suffix", ["", "-wal", "-shm", "-journal", "-lock"])
def test_a_journal_refuses_what_is_planted_in_the_place_of_its_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, plant: Plant, fault: str, suffix: str
) -> None:
    journal = tmp_path / "run.journal"
    if suffix:
        open_journal(journal).close([], "stopped")
    plant(tmp_path / f"run.journal{suffix}", monkeypatch)
    before = about(tmp_path)

    with pytest.raises(JournalError, match=fault if suffix != "-lock" else "-lock") as caught:
        open_journal(journal)

    assert caught.value.reason == "path"
    assert about(tmp_path) == before
    if suffix != "-lock":  # of a lock nothing is read but whether it is held
        with pytest.raises(JournalError, match=fault):
            read_journal(journal)
    elif fault != "belongs to another user" or os.geteuid() == 0:
        assert not read_journal(journal).in_use


def test_files_that_come_while_sqlite_opens_the_journal_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLite opens by path what belongs to the journal: what it found there is looked at once more."""
    look, connect = private_files.look, sqlite3.connect
    opened: list[Path] = []

    def noted(path: Path, **options: Any) -> sqlite3.Connection:
        opened.append(path)
        database: sqlite3.Connection = connect(path, **options)
        return database

    def another_users(path: Path) -> os.stat_result | None:
        if path.name.endswith("-shm") and tmp_path / "run.journal" in opened:
            raise private_files.UnfitFileError("belongs to another user")
        return look(path)

    monkeypatch.setattr(sqlite3, "connect", noted)
    monkeypatch.setattr(private_files, "look", another_users)

    with pytest.raises(JournalError, match="-shm belongs to another user"):
        open_journal(tmp_path / "run.journal")

    monkeypatch.undo()
    open_journal(tmp_path / "run.journal").close([], "stopped")  # the lock was given back


@planted
def test_places_of_failed_rows_and_of_reports_refuse_what_is_planted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, plant: Plant, fault: str
) -> None:
    plant(tmp_path / "file", monkeypatch)
    before = about(tmp_path)

    with pytest.raises(InvalidInputError, match=fault):
        FailedRows(tmp_path / "file", replace=True)
    with pytest.raises(InvalidInputError, match=fault):
        report.check_path(tmp_path / "file")

    assert about(tmp_path) == before


@planted
@pytest.mark.parametrize("name", ["file", "file.part"])
def test_failed_rows_are_not_written_into_what_is_planted_after_the_check(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, plant: Plant, fault: str, name: str
) -> None:
    with FailedRows(tmp_path / "file") as failed:
        if name == "file.part":
            (tmp_path / name).unlink()
        plant(tmp_path / name, monkeypatch)
        before = about(tmp_path)
        failed.write(b"SPOT1\n")

    assert failed.fault is not None, fault
    assert (tmp_path / "file.1").read_bytes() == b"SPOT1\n"
    (tmp_path / "file.1").unlink()
    assert [one for one in before if one[0] == name] == [one for one in about(tmp_path) if one[0] == name]


@planted
def test_what_is_planted_where_failed_rows_are_written_first_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, plant: Plant, fault: str
) -> None:
    plant(tmp_path / "file.part", monkeypatch)
    before = about(tmp_path)

    for is_repeat in (False, True):
        with pytest.raises(InvalidInputError, match=fault if is_repeat else f"{fault}|No such device"):
            FailedRows(tmp_path / "file", replace=True, is_repeat=is_repeat)

    assert about(tmp_path) == before


@planted
def test_the_folder_of_a_clusters_run_refuses_a_planted_description(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, plant: Plant, fault: str
) -> None:
    plant(tmp_path / "run.json", monkeypatch)
    with Split(folder=tmp_path) as split, pytest.raises(InvalidInputError, match=fault):
        split.read_now([("SPOT1", {"a": 1})])


def test_a_planted_folder_of_shards_is_refused(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "0000").symlink_to(tmp_path / "elsewhere")
    with Split(folder=tmp_path) as split:
        split.read_now([("SPOT1", {"a": 1})])
        with pytest.raises(OSError, match="symbolic link"):
            list(split.shards())
    assert not [*(tmp_path / "elsewhere").iterdir()]


@pytest.mark.parametrize(
    ("folder_mode", "is_warned"), [(0o777, True), (0o1777, False), (0o700, False), (0o755, False), (0o722, True)]
)
def test_a_folder_in_which_others_can_replace_files_gets_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, folder_mode: int, *, is_warned: bool
) -> None:
    folder = tmp_path / "shared"
    folder.mkdir()
    folder.chmod(folder_mode)
    for use in (
        lambda: open_journal(folder / "run.journal").close([], "stopped"),
        lambda: FailedRows(folder / "failed"),
        lambda: report.check_path(folder / "page.html"),
    ):
        caplog.clear()
        with caplog.at_level(logging.WARNING, "spotdx_async"):
            use()

        told = [record for record in caplog.records if getattr(record, "spotdx_event", None) == "folder"]
        assert len(told) == is_warned
        assert all(str(folder) in record.getMessage() for record in told)


@pytest.mark.parametrize(("owner", "is_warned"), [(SOMEBODY + 1, True), (SOMEBODY, False), (0, False)])
def test_another_users_folder_gets_a_warning_though_it_is_sticky(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, owner: int, *, is_warned: bool
) -> None:
    """Who owns a folder may replace any file in it; what root has made is trusted, as /tmp is."""
    monkeypatch.setattr(os, "geteuid", lambda: SOMEBODY)
    with monkeypatch.context() as patched, caplog.at_level(logging.WARNING, "spotdx_async"):
        patched.setattr(Path, "stat", lambda _: os.stat_result((0o41777, 0, 0, 2, owner, 0, 0, 0, 0, 0)))
        private_files.warn_of_folder(tmp_path / "run.journal")

    assert len(caplog.records) == is_warned


def test_no_other_module_sets_modes_or_opens_files_with_flags_of_its_own() -> None:
    """One writer of private files: others would forget one of its cares."""
    folder = Path(spotdx_async.__file__).parent
    found = []
    for path in sorted(folder.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            name = node.func.attr if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) else ""
            text = ast.unparse(node) if name else ""
            if name in {"chmod", "fchmod", "lchmod", "mkstemp"} or (name == "open" and text.startswith("os.open(")):
                found.append(f"{path.relative_to(folder)}: {text}")

    assert [one for one in found if not one.startswith("private_files.py")] == [
        # To read what a person has named, to look at a lock, and to write nowhere.
        "bulk/journal/lock.py: os.open(path, how | getattr(os, 'O_NOFOLLOW', 0) | getattr(os, 'O_NONBLOCK', 0))",
        "cli/standard_streams.py: os.open(os.devnull, os.O_RDWR)",
    ]


def test_every_folder_that_is_made_on_the_way_is_private(tmp_path: Path) -> None:
    umask = os.umask(0o002)
    try:
        private_files.make_folder(tmp_path / "a" / "b" / "c")
    finally:
        os.umask(umask)

    assert [mode(tmp_path / name) for name in ("a", "a/b", "a/b/c")] == [0o700] * 3
