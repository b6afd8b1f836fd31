"""The journal's file: what is kept, what a kill leaves, what may be read, what is overtaken, and nothing in clear."""

import os
import shutil
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from attrs import evolve

from spotdx_async.bulk.journal.file import JournalFile
from spotdx_async.bulk.journal.reading import read_journal
from spotdx_async.bulk.journal.records import Digester, Known, RowDigests
from spotdx_async.bulk.records import Journal, State

OPERATION, SERVER = "PATCH /api/v2/kits/{kit_id}/", "https://spot.test"


def open_file(path: Path, fingerprint: str | None = None) -> JournalFile:
    return JournalFile.open(Journal(path, fingerprint), operation=OPERATION, server=SERVER)


@contextmanager
def opened(path: Path) -> Iterator[JournalFile]:
    """A session that ends in order."""
    file = open_file(path)
    try:
        yield file
    finally:
        file.close([], "stopped")


def write(file: JournalFile, *rows: tuple[int, State, str]) -> None:
    """Write a group of rows: number, state, key; their content is the number's."""
    file.write([(index, state, file.digester.row(key, b"%d" % index)) for index, state, key in rows])


def states(path: Path) -> dict[int, State]:
    with opened(path) as file:
        return {index: known.state for index, known in file.known(0).items()}


def names(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.iterdir())


def after_a_kill(path: Path) -> Path:
    """What a kill at this moment would leave, as a file of its own."""
    left = path.with_name(f"left-by-a-kill-{path.name}")
    for suffix in ("", "-wal"):
        shutil.copyfile(f"{path}{suffix}", f"{left}{suffix}")
    return left


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "run.journal"


# --- What is kept -----------------------------------------------------------------------------------------------------


def test_a_new_journal_knows_no_row(path: Path) -> None:
    with opened(path) as file:
        assert file.last_index is None
        assert file.known(0) == {}


def test_the_next_session_knows_what_was_recorded(path: Path) -> None:
    with opened(path) as file:
        write(file, (0, "ok", "a"), (1, "rejected", ""), (2, "failed", "b"), (5, "superseded", "c"))
        write(file, (4, "unknown", "d"))
        digests = file.digester.row("b", b"2")

    with opened(path) as file:
        assert file.last_index == 5
        assert {row: known.state for row, known in file.known(0).items()} == {
            0: "ok",
            1: "rejected",
            2: "failed",
            4: "unknown",
            5: "superseded",
        }
        assert file.known(2)[2] == Known("failed", digests.content)


def test_a_row_that_ends_otherwise_in_the_next_session_is_recorded_anew(path: Path) -> None:
    with opened(path) as file:
        write(file, (0, "failed", "a"))
    with opened(path) as file:
        write(file, (0, "ok", "a"))

    assert states(path) == {0: "ok"}


def landing(file: JournalFile, index: int, key: str) -> tuple[int, State, RowDigests]:
    return index, "ok", evolve(file.digester.row(key, b"%d" % index), may_land=True)


def test_the_next_session_knows_of_which_keys_a_try_may_still_land(path: Path) -> None:
    with opened(path) as file:
        write(file, (0, "ok", "a"))
        file.write([landing(file, 1, "b"), landing(file, 2, "c")])
        key = file.digester.row("c", b"").key

    with opened(path) as file:
        assert file.may_land.keys() == {1, 2}
        assert file.may_land[2] == key
        file.write([], None, [1])

    with opened(path) as file:
        assert file.may_land == {2: key}


def test_what_may_land_is_recorded_with_its_row_or_not_at_all(path: Path) -> None:
    with opened(path) as file:
        file.write([landing(file, 0, "a")])
        left = after_a_kill(path)

    with opened(left) as file:
        assert file.known(0)[0].state == "ok"
        assert file.may_land.keys() == {0}


def test_a_journal_in_which_nothing_may_land_has_the_form_of_earlier_versions(path: Path) -> None:
    with opened(path) as file:
        write(file, (0, "ok", "a"), (1, "unknown", "b"))

    with closing(sqlite3.connect(path)) as database:
        assert {name for (name,) in database.execute("SELECT name FROM sqlite_master")} == {"meta", "rows", "trouble"}


def test_rows_are_looked_up_in_chunks(path: Path) -> None:
    with opened(path) as file:
        write(file, *((index, "ok", "k") for index in range(5000)))

        assert list(file.known(100)) == list(range(100, 4196))
        assert list(file.known(4999)) == [4999]


def test_a_closed_journal_is_one_file(path: Path) -> None:
    with opened(path) as file:
        write(file, (0, "ok", "a"))

    assert names(path.parent) == [path.name]


def test_closing_twice_does_nothing_more(path: Path) -> None:
    file = open_file(path)
    file.close([(0, "ok", file.digester.row("a", b""))], "complete")

    file.close([], "stopped")

    assert read_journal(path).ending == "complete"


def test_an_empty_file_is_taken_for_a_new_journal(path: Path) -> None:
    path.touch(mode=0o644)

    with opened(path) as file:
        write(file, (0, "ok", "a"))

    assert states(path) == {0: "ok"}
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_what_a_kill_left_half_made_does_not_stand_in_the_way(path: Path) -> None:
    path.with_name("run.journal-being-made").write_bytes(b"SQLite format 3\0 and no more")
    path.with_name("run.journal-being-made-wal").write_bytes(b"x" * 100)
    path.with_name("run.journal-shm").write_bytes(b"x" * 100)

    with opened(path) as file:
        write(file, (0, "ok", "a"))

    assert names(path.parent) == [path.name]


@pytest.mark.parametrize("name", [":memory:", "file:x?mode=memory", "100%23 & ä.db", "a b?mode=ro#c"])
def test_a_name_has_no_meaning_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.chdir(tmp_path)

    with opened(Path(name)) as file:
        write(file, (0, "ok", "a"))

    assert names(tmp_path) == [name]
    assert read_journal(name).rows == 1


# --- Who may read it --------------------------------------------------------------------------------------------------


def test_nobody_else_may_read_any_of_its_files(path: Path) -> None:
    before = os.umask(0)
    try:
        with opened(path) as file:
            write(file, (0, "ok", "a"))
            modes = {name: stat.S_IMODE((path.parent / name).stat().st_mode) for name in names(path.parent)}
    finally:
        os.umask(before)

    suffixes = ["", "-journal", "-lock", "-shm", "-wal"]
    assert sorted(modes) == [f"run.journal{suffix}" for suffix in suffixes]
    assert set(modes.values()) == {0o600}


def test_a_looser_mode_is_tightened(path: Path) -> None:
    with opened(path):
        pass
    path.chmod(0o664)

    with opened(path):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_no_id_value_server_or_fingerprint_stands_in_its_bytes(path: Path) -> None:
    file = open_file(path, "sha256 of Jane.csv")
    secrets = [b"KIT-PATIENT-7", b"Jane Doe 1980-01-01", b"spot.test", b"Jane.csv"]
    every: tuple[State, ...] = ("ok", "failed", "unknown", "rejected", "superseded")
    for index, state in enumerate(every):
        file.write([(index, state, file.digester.row("KIT-PATIENT-7", b'{"name":"Jane Doe 1980-01-01"}'))])
    texts = {name: (path.parent / name).read_bytes() for name in names(path.parent)}
    file.close([], "complete")
    texts["closed"] = path.read_bytes()

    assert [name for name, text in texts.items() if any(secret in text for secret in secrets)] == []
    assert any(b"PATCH" in text for text in texts.values())


def test_digests_of_two_journals_differ_and_of_one_agree() -> None:
    one, same, other = Digester(b"1" * 16), Digester(b"1" * 16), Digester(b"2" * 16)

    assert one.row("k", b"v") == same.row("k", b"v")
    assert one.text("t") == same.text("t")
    assert one.row("k", b"v").content != other.row("k", b"v").content
    assert one.row("k", b"v").key != other.row("k", b"v").key
    assert one.text("t") != other.text("t")


def test_digests_tell_keys_contents_and_their_border_apart() -> None:
    digester = Digester(b"1" * 16)
    pairs = [("ab", b"c"), ("a", b"bc"), ("", b"abc"), ("2:ab", b"c"), ("\ud800", b""), ("é", b"")]

    rows = [digester.row(key, content) for key, content in pairs]

    assert len({row.content for row in rows}) == len(pairs)
    assert len({row.key for row in rows}) == len(pairs)
    assert digester.row("a", b"1").key == digester.row("a", b"2").key
    assert {len(row.content) for row in rows} == {len(row.key) for row in rows} == {8}


# --- What is overtaken ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("is_one_group", [True, False])
def test_an_older_value_that_failed_is_overtaken_by_a_newer_one_that_did_not(path: Path, *, is_one_group: bool) -> None:
    rows: list[tuple[int, State, str]] = [
        (0, "failed", "a"),
        (1, "unknown", "a"),
        (2, "failed", "b"),
        (3, "rejected", "a"),
        (4, "ok", "a"),
        (5, "failed", "a"),
    ]
    with opened(path) as file:
        for group in [rows] if is_one_group else [[row] for row in rows]:
            write(file, *group)

    assert states(path) == {0: "superseded", 1: "superseded", 2: "failed", 3: "rejected", 4: "ok", 5: "failed"}


@pytest.mark.parametrize("state", ["failed", "unknown", "rejected", "superseded"])
def test_only_a_success_overtakes(path: Path, state: State) -> None:
    with opened(path) as file:
        write(file, (0, "failed", "a"), (1, state, "a"))

    assert states(path)[0] == "failed"


def test_what_an_earlier_session_could_not_do_is_overtaken_too(path: Path) -> None:
    with opened(path) as file:
        write(file, (0, "failed", "a"), (1, "failed", "b"))
    with opened(path) as file:
        write(file, (7, "ok", "a"))

    assert states(path) == {0: "superseded", 1: "failed", 7: "ok"}


def test_a_key_is_kept_only_while_its_row_may_be_overtaken(path: Path) -> None:
    with opened(path) as file:
        write(file, (0, "ok", "a"), (1, "failed", "b"), (2, "failed", "c"), (3, "ok", "c"), (4, "failed", "d"))
        write(file, (4, "ok", "d"))
        key = file.digester.row("b", b"").key

    with closing(sqlite3.connect(path)) as database:
        kept = database.execute("SELECT row, key FROM rows WHERE key IS NOT NULL").fetchall()

    assert kept == [(1, key)]


# --- What a kill leaves -----------------------------------------------------------------------------------------------


def test_what_was_written_outlives_a_kill(path: Path) -> None:
    with opened(path) as file:
        write(file, (0, "ok", "a"))
        write(file, (1, "ok", "b"))
        left = after_a_kill(path)

    assert states(left) == {0: "ok", 1: "ok"}


@pytest.mark.parametrize("cut", [1, 100, 5000])
def test_a_group_that_was_torn_is_gone_whole_and_those_before_it_are_kept(path: Path, cut: int) -> None:
    with opened(path) as file:
        write(file, *((index, "ok", "k") for index in range(500)))
        write(file, *((index, "ok", "k") for index in range(500, 1000)))
        left = after_a_kill(path)
    wal = left.with_name(f"{left.name}-wal")
    os.truncate(wal, wal.stat().st_size - cut)

    with opened(left) as file:
        assert file.last_index == 499
        assert len(file.known(0)) == 500


def test_flipped_bytes_in_the_last_group_undo_it(path: Path) -> None:
    with opened(path) as file:
        write(file, (0, "ok", "a"))
        write(file, (1, "ok", "b"))
        left = after_a_kill(path)
    wal = left.with_name(f"{left.name}-wal")
    text = bytearray(wal.read_bytes())
    text[-2000] ^= 0xFF
    wal.write_bytes(text)

    assert states(left) == {0: "ok"}


KILLED = """
import sys
from spotdx_async.bulk.journal.file import JournalFile
from spotdx_async.bulk.records import Journal
file = JournalFile.open(Journal(sys.argv[1]), operation=sys.argv[2], server=sys.argv[3])
first = 0
while True:
    file.write([(row, "ok", file.digester.row("k", b"")) for row in range(first, first + 10)])
    first += 10
    print(first, flush=True)
    if first == 50:
        sys.stdin.read()
"""


@contextmanager
def another_process(path: Path) -> Iterator[subprocess.Popen[str]]:
    """One that has recorded 50 rows and holds the journal."""
    command = [sys.executable, "-c", KILLED, str(path), OPERATION, SERVER]
    with subprocess.Popen(  # noqa: S603 - our own script
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            while process.stdout.readline() not in {"50\n", ""}:
                pass
            yield process
        finally:
            process.kill()


def test_a_process_that_was_killed_leaves_its_rows_and_no_lock_that_holds(path: Path) -> None:
    with another_process(path) as process:
        during = read_journal(path)
        process.kill()
        process.wait()
    killed = read_journal(path)

    with opened(path) as file:
        assert len(file.known(0)) == 50
    assert (during.in_use, during.rows, during.ending) == (True, 50, None)
    assert (killed.in_use, killed.rows, killed.ending) == (False, 50, None)
    assert names(path.parent) == [path.name]


# --- What may be read -------------------------------------------------------------------------------------------------


def test_reading_tells_the_state_of_a_run_that_has_ended(path: Path) -> None:
    began = datetime.now(UTC) - timedelta(seconds=1)
    with opened(path) as file:
        write(file, (0, "ok", "a"), (1, "ok", "b"), (2, "failed", "c"))
    file = open_file(path)
    file.close([(8, "unknown", file.digester.row("d", b""))], "complete")

    state = read_journal(str(path))

    assert state.path == str(path)
    assert (state.version, state.operation, state.rows, state.next_index) == (1, OPERATION, 4, 9)
    assert state.by_state == {"ok": 2, "rejected": 0, "failed": 1, "unknown": 1, "superseded": 0, "skipped": 0}
    assert (state.sessions, state.ending, state.in_use) == (2, "complete", False)
    assert began < state.begun_at <= state.changed_at < datetime.now(UTC) + timedelta(seconds=1)
    assert state.begun_at.tzinfo == UTC


def test_reading_tells_the_state_of_a_run_that_goes_on(path: Path) -> None:
    with opened(path) as file:
        fresh = read_journal(path)
        write(file, (0, "ok", "a"))
        state = read_journal(path)
        write(file, (1, "ok", "b"))

    assert (fresh.rows, fresh.next_index, fresh.sessions, fresh.in_use) == (0, 0, 1, True)
    assert (state.rows, state.ending, state.in_use) == (1, None, True)
    assert states(path) == {0: "ok", 1: "ok"}


def test_reading_sees_what_waits_in_the_wal_of_a_killed_run(path: Path) -> None:
    with opened(path) as file:
        write(file, (0, "ok", "a"))
        left = after_a_kill(path)

    state = read_journal(left)

    assert (state.rows, state.ending, state.in_use) == (1, None, False)


def test_reading_changes_and_leaves_nothing(path: Path) -> None:
    with opened(path) as file:
        write(file, (0, "ok", "a"))
    path.parent.chmod(0o500)
    before = path.read_bytes(), path.stat().st_mtime_ns

    read_journal(path)

    path.parent.chmod(0o700)
    assert (path.read_bytes(), path.stat().st_mtime_ns) == before
    assert names(path.parent) == [path.name]


def test_reading_does_not_get_into_the_way_of_a_run(path: Path) -> None:
    with opened(path) as file:
        reader = sqlite3.connect(path)
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM rows").fetchone()
        write(file, (0, "ok", "a"))
    reader.close()

    assert states(path) == {0: "ok"}


@pytest.mark.no_cover
def test_a_hundred_thousand_rows_take_a_few_bytes_each(path: Path) -> None:
    with opened(path) as file:
        for first in range(0, 100_000, 500):
            write(file, *((index, "ok", "k") for index in range(first, first + 500)))

    assert read_journal(path).rows == 100_000
    assert path.stat().st_size < 100_000 * 24
