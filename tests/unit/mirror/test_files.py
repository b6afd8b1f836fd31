"""The files of a mirror: which are refused and why, who may read them, what is left of them, and who waits for whom."""

import asyncio
import os
import re
import shutil
import sqlite3
import stat
import subprocess
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from spotdx_async.mirror import Mirror, MirrorError
from spotdx_async.mirror.export import export_tables
from spotdx_async.mirror.store import MirrorFile
from tests.unit.mirror.scripted import ScriptedSpot, batches

Use = Callable[[Mirror, Path], object]


def pull(mirror: Mirror, _: Path) -> None:
    asyncio.run(mirror.pull(ScriptedSpot(*batches([1], [2, 3]))))


def export(mirror: Mirror, folder: Path) -> None:
    mirror.export(folder / "out", "csv")


def show(mirror: Mirror, _: Path) -> None:
    mirror.state()


USES = [pull, export, show]
every_use = pytest.mark.parametrize("use", USES, ids=lambda use: use.__name__)


def refused(act: Callable[[], object]) -> MirrorError:
    """The error that comes: one sentence that says what to do, and none of SQLite's or the system's behind it."""
    with pytest.raises(MirrorError) as caught:
        act()
    assert caught.value.__context__ is None
    assert re.fullmatch(r"[^:]+: [^:]+", str(caught.value)), str(caught.value)
    return caught.value


def text(path: Path) -> None:
    path.write_text("these are my notes, not to be lost\n" * 100)


def other_database(path: Path) -> None:
    with closing(sqlite3.connect(path)) as database:
        database.execute("CREATE TABLE kits(kit_id)")


def folder(path: Path) -> None:
    path.mkdir()


def link(path: Path) -> None:
    pull(Mirror(path.with_name("real.db")), path)
    path.symlink_to("real.db")


def dangling(path: Path) -> None:
    path.symlink_to("nothing.db")


def second_name(path: Path) -> None:
    pull(Mirror(path), path)
    path.with_name("real.db").hardlink_to(path)


def pipe(path: Path) -> None:
    os.mkfifo(path)


def of_another(path: Path) -> None:
    pull(Mirror(path), path)
    try:
        os.chown(path, 12345, -1)
    except PermissionError:
        pytest.skip("only root can give files away")


def cut_off(path: Path) -> None:
    pull(Mirror(path), path)
    path.write_bytes(path.read_bytes()[:5000])


def of_patients(path: Path) -> None:
    pull(Mirror(path, phi=True), path)


def listing(folder: Path) -> dict[str, tuple[int, int]]:
    return {path.name: (path.lstat().st_size, path.lstat().st_mode) for path in folder.iterdir()}


@every_use
@pytest.mark.parametrize(
    ("made", "reason", "says"),
    [
        (text, "not a mirror", "is not a mirror: name another file"),
        (other_database, "not a mirror", "is not a mirror: name another file"),
        (folder, "path", "is a folder"),
        (link, "path", "is a symbolic link"),
        (dangling, "path", "is a symbolic link"),
        (second_name, "path", "has a second name"),
        (pipe, "path", "is not a regular file"),
        (of_another, "path", "belongs to another user"),
        (cut_off, "corrupt", "is damaged: move it away"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_what_is_no_mirror_is_refused_and_nothing_is_changed_or_left(
    tmp_path: Path, made: Callable[[Path], None], reason: str, says: str, use: Use
) -> None:
    path = tmp_path / "spot.db"
    made(path)
    before = listing(tmp_path)

    error = refused(lambda: use(Mirror(path), tmp_path))

    assert (error.reason, says in str(error)) == (reason, True), str(error)
    after = listing(tmp_path)
    if made is not cut_off:  # damage is only found once the file is in use
        assert after == before


@pytest.mark.parametrize("phi", [False, True])
def test_a_file_keeps_what_it_was_made_with(tmp_path: Path, *, phi: bool) -> None:
    path = tmp_path / "spot.db"
    pull(Mirror(path, phi=phi), tmp_path)
    before = listing(tmp_path)

    error = refused(lambda: pull(Mirror(path, phi=not phi), tmp_path))

    assert (error.reason, "--phi" in str(error)) == ("phi", True)
    assert listing(tmp_path) == before
    assert Mirror(path, phi=not phi).state().phi is phi  # whoever only reads need not know


@pytest.mark.parametrize("use", [export, show], ids=lambda use: use.__name__)
def test_without_a_pull_there_is_nothing_to_read(tmp_path: Path, use: Use) -> None:
    error = refused(lambda: use(Mirror(tmp_path / "spot.db"), tmp_path))
    assert (error.reason, "make it with pull" in str(error)) == ("path", True)

    (tmp_path / "spot.db").touch()
    error = refused(lambda: use(Mirror(tmp_path / "spot.db"), tmp_path))
    assert (error.reason, "is empty: fill it with pull" in str(error)) == ("not a mirror", True)
    assert [*listing(tmp_path)] == ["spot.db"]


def test_an_empty_file_becomes_a_mirror(tmp_path: Path) -> None:
    (tmp_path / "spot.db").touch(mode=0o644)

    pull(Mirror(tmp_path / "spot.db"), tmp_path)

    assert Mirror(tmp_path / "spot.db").state().rows["kits"] == 3
    assert stat.S_IMODE((tmp_path / "spot.db").stat().st_mode) == 0o600


@every_use
@pytest.mark.parametrize("name", ["nowhere/spot.db", "spot\0.db", "", "x" * 300])
def test_a_path_that_cannot_be_is_refused(tmp_path: Path, name: str, use: Use, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    assert refused(lambda: use(Mirror(name), tmp_path)).reason == "path"
    assert [*tmp_path.iterdir()] == []


@pytest.mark.parametrize("name", [":memory:", "file:spot.db?mode=ro", "?mode=memory", "a%20b#c.db"])
def test_no_name_means_anything_but_a_file(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    pull(Mirror(name), tmp_path)

    assert Mirror(name).state().rows["kits"] == 3
    assert (tmp_path / name).read_bytes().startswith(b"SQLite format 3")


def remount(disk: Path, how: str) -> None:
    mount = shutil.which("mount")
    assert mount is not None
    subprocess.run([mount, "-o", f"remount,{how}", str(disk)], check=True)  # noqa: S603 - no input of others


def test_a_disk_that_cannot_be_written_is_told_by_a_pull_and_read_by_all_else(small_disk: Path, tmp_path: Path) -> None:
    pull(Mirror(small_disk / "spot.db"), small_disk)
    remount(small_disk, "ro")

    error = refused(lambda: pull(Mirror(small_disk / "spot.db"), small_disk))
    paths = Mirror(small_disk / "spot.db").export(tmp_path / "out", "csv", tables=["kits"])

    assert (error.reason, "cannot be written" in str(error)) == ("path", True)
    assert paths["kits"].read_text().count("\n") == 4
    assert Mirror(small_disk / "spot.db").state().rows["kits"] == 3
    assert [*listing(small_disk)] == ["spot.db", "spot.db-lock"]


def test_a_full_disk_is_read(small_disk: Path, tmp_path: Path) -> None:
    pull(Mirror(small_disk / "spot.db"), small_disk)
    free = os.statvfs(small_disk)
    (small_disk / "filler").write_bytes(b"x" * (free.f_bavail * free.f_frsize))

    export(Mirror(small_disk / "spot.db"), tmp_path)

    assert (tmp_path / "out" / "kits.csv").read_text().count("\n") == 4


@pytest.mark.parametrize("use", [export, show], ids=lambda use: use.__name__)
def test_what_only_the_file_beside_it_has_is_not_left_out_where_nothing_can_be_written(
    small_disk: Path, tmp_path: Path, use: Use
) -> None:
    pull(Mirror(tmp_path / "spot.db"), tmp_path)
    with closing(sqlite3.connect(tmp_path / "spot.db")) as writer:
        writer.execute("DELETE FROM kits")
        writer.commit()
        for suffix in ("", "-wal"):  # as of a machine that has lost its power
            shutil.copy(tmp_path / f"spot.db{suffix}", small_disk)
    remount(small_disk, "ro")

    error = refused(lambda: use(Mirror(small_disk / "spot.db"), tmp_path))

    assert (error.reason, "copy both to a folder that can be written" in str(error)) == ("path", True)
    for name in ("spot.db", "spot.db-wal"):
        shutil.copy(small_disk / name, tmp_path / name)
    assert Mirror(tmp_path / "spot.db").state().rows["kits"] == 0


def test_a_mirror_that_changes_while_it_is_read_without_locks_is_told(small_disk: Path, tmp_path: Path) -> None:
    """Such as one on a disk that another machine, or a container's host, can write."""
    pull(Mirror(small_disk / "spot.db"), small_disk)
    remount(small_disk, "ro")
    file = MirrorFile.open(small_disk / "spot.db", for_pull=False)
    try:
        assert file.state().rows["kits"] == 3
        remount(small_disk, "rw")
        asyncio.run(Mirror(small_disk / "spot.db").pull(ScriptedSpot(*batches([4]))))

        assert refused(file.state).reason == "in use"
        with pytest.raises(MirrorError, match="was changed while it was read"):
            export_tables(file, tmp_path / "out", "csv", tables=["kits"], since=None)
    finally:
        file.close()
    assert [*(tmp_path / "out").iterdir()] == []


def test_a_folder_that_is_gone_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()

    assert refused(lambda: pull(Mirror("spot.db"), tmp_path)).reason == "path"


@every_use
@pytest.mark.parametrize("suffix", ["-wal", "-shm", "-journal", "-lock"])
@pytest.mark.parametrize("planted", [link, second_name, of_another], ids=lambda made: made.__name__)
def test_files_of_others_beside_a_mirror_get_nothing_of_it(
    tmp_path: Path, suffix: str, planted: Callable[[Path], None], use: Use
) -> None:
    pull(Mirror(tmp_path / "spot.db"), tmp_path)
    (tmp_path / f"spot.db{suffix}").unlink(missing_ok=True)
    planted(tmp_path / f"spot.db{suffix}")
    before = listing(tmp_path)
    if suffix == "-lock" and use is not pull:
        use(Mirror(tmp_path / "spot.db"), tmp_path)  # it is for pulls alone
        return

    error = refused(lambda: use(Mirror(tmp_path / "spot.db"), tmp_path))

    assert (error.reason, f"spot.db{suffix}" in str(error)) == ("path", True)
    assert listing(tmp_path) == before


def test_a_rollback_journal_that_somebody_has_put_there_is_not_played_back(tmp_path: Path) -> None:
    pull(Mirror(tmp_path / "spot.db"), tmp_path)
    (tmp_path / "spot.db-journal").write_bytes(b"\xd9\xd5\x05\xf9\x20\xa1\x63\xd7" + bytes(1024))
    (tmp_path / "spot.db-journal").chmod(0o666)  # so anybody may have written it
    before = (tmp_path / "spot.db").read_bytes()

    error = refused(lambda: pull(Mirror(tmp_path / "spot.db"), tmp_path))

    assert (error.reason, "spot.db-journal" in str(error)) == ("path", True)
    assert (tmp_path / "spot.db").read_bytes() == before


def test_a_pull_lets_others_read_meanwhile_although_somebody_has_switched_that_off(tmp_path: Path) -> None:
    pull(Mirror(tmp_path / "spot.db"), tmp_path)
    with closing(sqlite3.connect(tmp_path / "spot.db")) as database:
        database.execute("PRAGMA journal_mode = DELETE")

    asyncio.run(Mirror(tmp_path / "spot.db").pull(ScriptedSpot()))

    with closing(sqlite3.connect(tmp_path / "spot.db")) as database:
        assert database.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def moved(path: Path) -> None:
    path.rename(path.with_name("old.db"))


def replaced(path: Path) -> None:
    moved(path)
    pull(Mirror(path.with_name("other.db")), path)
    path.with_name("other.db").rename(path)


@pytest.mark.parametrize("trouble", [Path.unlink, moved, replaced], ids=lambda trouble: trouble.__name__)
async def test_a_file_that_is_taken_away_during_a_pull_is_told(tmp_path: Path, trouble: Callable[[Path], None]) -> None:
    """SQLite would write on to a file that nobody sees, and the pull would say that all is well."""
    path = tmp_path / "spot.db"

    def progress(_: Any) -> None:
        thread = threading.Thread(target=trouble, args=(path,))
        thread.start()
        thread.join()

    with pytest.raises(MirrorError, match="was moved, deleted or replaced during the pull: pull again") as caught:
        await Mirror(path).pull(ScriptedSpot(*batches([1], [2, 3]), resumes=True), progress=progress)

    assert caught.value.reason == "path"
    await Mirror(path).pull(ScriptedSpot(*batches([1], [2, 3]), resumes=True))
    assert Mirror(path).state().rows["kits"] == 3


def test_a_mirror_that_does_not_say_what_it_holds_is_damaged(tmp_path: Path) -> None:
    pull(Mirror(tmp_path / "spot.db"), tmp_path)
    with closing(sqlite3.connect(tmp_path / "spot.db")) as database:
        database.execute("DELETE FROM mirror")
        database.commit()

    for use in USES:
        assert refused(lambda use=use: use(Mirror(tmp_path / "spot.db"), tmp_path)).reason == "corrupt"  # type: ignore[misc]


def test_the_last_pull_is_the_last_one_although_the_clock_was_put_back(tmp_path: Path) -> None:
    for _ in range(2):
        pull(Mirror(tmp_path / "spot.db"), tmp_path)
    with closing(sqlite3.connect(tmp_path / "spot.db")) as database:
        database.execute("UPDATE pulls SET began = '2090-01-01T00:00:00.000000Z' WHERE pull_id = 1")
        database.commit()

    last = Mirror(tmp_path / "spot.db").state().last_pull

    assert last is not None
    assert last.year < 2090


# --- Modes ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("umask", [0o000, 0o077, 0o777])
@pytest.mark.parametrize("made_with", [None, 0o666])
async def test_every_file_is_the_owners_alone(tmp_path: Path, umask: int, made_with: int | None) -> None:
    path, seen = tmp_path / "spot.db", dict[str, int]()
    if made_with is not None:
        await Mirror(path).pull(ScriptedSpot())
        path.chmod(made_with)

    def look(_: Any) -> None:
        seen.update({file.name: stat.S_IMODE(file.stat().st_mode) for file in tmp_path.iterdir()})

    before = os.umask(umask)
    try:
        await Mirror(path).pull(ScriptedSpot(*batches([1], [2])), progress=look)
    finally:
        os.umask(before)

    assert seen == dict.fromkeys(("spot.db", "spot.db-wal", "spot.db-shm", "spot.db-lock"), 0o600)


# --- Who waits for whom -----------------------------------------------------------------------------------------------


async def test_a_second_pull_of_the_same_file_is_refused_while_the_first_goes_on(tmp_path: Path) -> None:
    mirror, errors = Mirror(tmp_path / "spot.db"), list[MirrorError]()

    def second(_: Any) -> None:
        errors.append(refused(lambda: asyncio.run(Mirror(mirror.path).pull(ScriptedSpot()))))

    def beside(progress: Any) -> None:
        thread = threading.Thread(target=second, args=(progress,))
        thread.start()
        thread.join()

    await mirror.pull(ScriptedSpot(*batches([1])), progress=beside)

    assert [(error.reason, "by another pull" in str(error)) for error in errors] == [("in use", True)]
    await mirror.pull(ScriptedSpot())


async def test_what_is_read_while_a_pull_writes_is_whole(tmp_path: Path) -> None:
    mirror, seen = Mirror(tmp_path / "spot.db"), list[tuple[int, int, bool]]()

    def look(_: Any) -> None:
        state = mirror.state()
        mirror.export(tmp_path / "out", "csv", tables=["kits"])
        lines = (tmp_path / "out" / "kits.csv").read_text().count("\n")
        seen.append((state.rows["kits"], lines - 1, state.is_complete))

    await mirror.pull(ScriptedSpot(*batches([1, 2], [3], [4, 5])), progress=look)

    assert seen == [(2, 2, False), (3, 3, False), (5, 5, False)]
    assert mirror.state().is_complete


async def test_a_reader_keeps_its_moment_while_a_pull_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "spot.db"
    await Mirror(path).pull(ScriptedSpot(*batches([1, 2])))
    with closing(sqlite3.connect(path, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        count = "SELECT count(*) FROM kits"
        assert reader.execute(count).fetchone() == (2,)

        await Mirror(path).pull(ScriptedSpot(*batches([3, 4], [5])))

        assert reader.execute(count).fetchone() == (2,)
        reader.execute("COMMIT")
        assert reader.execute(count).fetchone() == (5,)


def test_opening_a_mirror_drops_no_locks_of_this_process(tmp_path: Path) -> None:
    """Closing any descriptor of a file drops all POSIX locks of the process on it, which SQLite's readers rely on."""
    path = tmp_path / "spot.db"
    pull(Mirror(path), tmp_path)
    with closing(sqlite3.connect(path, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM kits").fetchone()
        locks = locks_on(path)
        assert locks

        MirrorFile.open(path, phi=False, for_pull=True).close()
        pull(Mirror(path), tmp_path)

        assert locks_on(path) == locks


def locks_on(path: Path) -> list[str]:
    """The POSIX locks on a file, as Linux tells them."""
    if not Path("/proc/locks").exists():
        pytest.skip("only Linux tells the locks on a file")
    of_file = f":{path.stat().st_ino} "
    return sorted(line.partition(": ")[2] for line in Path("/proc/locks").read_text().splitlines() if of_file in line)


def test_a_file_that_another_program_has_locked_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("spotdx_async.mirror.database._BUSY_S", 0.01)
    path = tmp_path / "spot.db"
    pull(Mirror(path), tmp_path)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")

        error = refused(lambda: pull(Mirror(path), tmp_path))

        assert (error.reason, "by another program" in str(error)) == ("in use", True)
        assert Mirror(path).state().rows["kits"] == 3


def test_a_mirror_shows_its_path_and_needs_no_file(tmp_path: Path) -> None:
    assert repr(Mirror(tmp_path / "spot.db")) == f"<Mirror at {tmp_path / 'spot.db'}>"
