"""The journal of runs that create: what it keeps, what it refuses, and what a later session finds."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve

from spotdx_async.bulk.journal.creates_file import Audited, CreatesFile, RowEntry, Settled, TemporaryCreates, Twins
from spotdx_async.bulk.journal.file import JournalFile
from spotdx_async.bulk.journal.reading import CODES, NOT_SENT, PARKED, read_journal
from spotdx_async.bulk.journal.records import CreateDigests
from spotdx_async.bulk.records import Journal
from spotdx_async.errors import JournalError

OPERATION, SERVER = "POST /api/v2/orders/", "https://spot.test"
INTENT = CODES["unknown"]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "cohort.journal"


def opened(path: Path, batch: str = "cohort") -> CreatesFile:
    return CreatesFile.open(Journal(path, fingerprint=batch), operation=OPERATION, server=SERVER)


def digests(name: str) -> CreateDigests:
    return CreateDigests(*(f"{what} {name}".encode().ljust(16, b".") for what in ("key", "content", "ref")))


def key(name: str) -> bytes:
    return digests(name).key


def entry(name: str, state: int, **more: Any) -> RowEntry:
    return RowEntry(0, state, digests(name), **more)


def states(path: Path) -> dict[bytes, int]:
    with closing(sqlite3.connect(path)) as database:
        return dict(database.execute("SELECT key, state FROM creates").fetchall())


# --- What it keeps ----------------------------------------------------------------------------------------------------


def test_every_commit_is_synced(path: Path) -> None:
    file = opened(path)

    (synchronous,) = file._database.execute("PRAGMA synchronous").fetchone()
    (mode,) = file._database.execute("PRAGMA journal_mode").fetchone()
    file.close([], "stopped")

    assert (synchronous, mode) == (2, "wal")


def test_an_intent_without_an_outcome_is_in_doubt_for_the_next_session(path: Path) -> None:
    first = opened(path)
    first.write([entry("a", INTENT, began=5.0), entry("b", INTENT, began=6.0)])
    first.write([entry("b", CODES["ok"], object_id="o-1", created=7.0)])
    first.close([], "stopped")

    second = opened(path)
    found = second.in_doubt
    second.close([], "stopped")

    assert [(each.key, each.began) for each in found] == [(key("a"), 5.0)]


def test_a_parked_row_is_in_doubt_and_one_that_was_not_sent_is_not(path: Path) -> None:
    file = opened(path)
    file.write([entry("a", INTENT), entry("b", INTENT)])
    file.write([Settled(key("a"), PARKED), Settled(key("b"), NOT_SENT)])
    file.close([], "stopped")

    again = opened(path)
    found = [each.key for each in again.in_doubt]
    again.close([], "stopped")

    assert found == [key("a")]


@pytest.mark.parametrize("later", [INTENT, CODES["failed"], CODES["rejected"], NOT_SENT])
def test_what_is_done_stays_done_whatever_is_said_of_it_later(path: Path, later: int) -> None:
    file = opened(path)
    file.write([entry("a", INTENT), entry("a", CODES["ok"], object_id="o-1", created=7.0)])

    file.write([entry("a", later)])
    file.write([Settled(key("a"), PARKED)])
    file.close([], "stopped")

    assert states(path) == {key("a"): CODES["ok"]}


def test_a_late_finding_makes_a_failed_row_done(path: Path) -> None:
    file = opened(path)
    file.write([entry("a", CODES["failed"])])

    file.write([Settled(key("a"), CODES["ok"], "o-1", 7.0)])
    newest = file.newest(5)
    file.close([], "stopped")

    assert [each.object_id for each in newest] == ["o-1"]


def test_the_newest_are_those_that_were_surely_created_last(path: Path) -> None:
    file = opened(path)
    file.write([entry(name, CODES["ok"], object_id=f"o-{name}", created=at) for name, at in (("a", 1.0), ("b", 3.0))])
    file.write([entry("c", CODES["ok"], object_id="o-c"), entry("d", INTENT, began=9.0)])

    newest = file.newest(2)
    file.close([], "stopped")

    assert [each.object_id for each in newest] == ["o-b", "o-a"]


@pytest.mark.parametrize("others", [CODES["failed"], NOT_SENT])
@pytest.mark.parametrize("state", [CODES["ok"], PARKED, INTENT])
def test_of_rows_with_one_reference_the_one_that_was_sent_has_it(path: Path, state: int, others: int) -> None:
    file, reference = opened(path), digests("a").reference
    assert reference
    rows = [evolve(entry(name, others), digests=evolve(digests(name), reference=reference)) for name in "abc"]
    rows[1] = evolve(rows[1], state=state)
    file.write(rows)

    known = file.rows_of([reference])
    file.close([], "stopped")

    assert known[reference].key == key("b")


def test_more_ids_than_one_query_may_hold_are_looked_up(path: Path) -> None:
    file = opened(path)
    file.write([entry(f"{n}", CODES["ok"], object_id=f"o-{n}") for n in range(1200)])

    own = file.objects_among(f"o-{n}" for n in range(2400))
    known = file.rows_of(digests(f"{n}").reference or b"" for n in range(1200))
    file.close([], "stopped")

    assert (len(own), len(known)) == (1200, 1200)


# --- What an audit has covered ----------------------------------------------------------------------------------------


def test_what_a_killed_session_has_sent_is_left_to_the_next_audit(path: Path) -> None:
    first = opened(path)
    first.write([entry("a", INTENT, began=5.0), entry("a", CODES["ok"], object_id="o-1")])
    first.close([], "stopped")

    second = opened(path)
    second.write([entry("b", INTENT, began=9.0)])
    since = second.unaudited_since()
    second.write([Audited()])
    after = second.unaudited_since()
    second.close([], "complete")

    third = opened(path)
    third.write([entry("c", INTENT, began=20.0)])
    since_then = third.unaudited_since()
    third.close([], "stopped")

    assert (since, after, since_then) == (5.0, None, 20.0)


def test_until_when_an_audit_waits_outlasts_a_kill_and_ends_with_the_audit(path: Path) -> None:
    first = opened(path)
    first.write([entry("a", INTENT), entry("b", INTENT)])
    first.write([Settled(key("a"), NOT_SENT, audit_after=50.0), Settled(key("b"), NOT_SENT, audit_after=40.0)])
    first.close([], "stopped")

    second = opened(path)
    waits_until = second.audit_after
    second.write([Audited()])
    second.close([], "complete")
    third = opened(path)
    at_last = third.audit_after
    third.close([], "stopped")

    assert (waits_until, at_last) == (50.0, None)


def test_what_was_created_just_before_an_audit_is_left_to_the_next(path: Path) -> None:
    file = opened(path)
    for name, began, created in (("a", 90.0, 100.0), ("b", 180.0, 195.0), ("c", 185.0, None)):
        file.write([entry(name, CODES["ok"], began=began, object_id=f"o-{name}", created=created)])

    file.write([Audited(until=190.0)])
    left = file.unaudited_since()
    file.write([Audited(until=300.0)])
    at_last = file.unaudited_since()
    file.close([], "complete")

    assert (left, at_last) == (180.0, None)


def test_a_barcode_that_a_row_had_before_is_still_one_of_the_run_s(path: Path) -> None:
    file = opened(path)
    for mark in (b"mark 1", b"mark 1", b"mark 2"):
        of = digests("a")
        file.write([RowEntry(0, INTENT, CreateDigests(of.key, of.content, of.reference, mark))])

    known = file.marks_among([b"mark 1", b"mark 2", b"mark 3"])
    file.close([], "stopped")

    assert known == {b"mark 1", b"mark 2"}


def test_a_run_without_a_journal_is_audited_too() -> None:
    file = TemporaryCreates()
    file.write([entry("a", INTENT, began=5.0)])

    assert file.unaudited_since() == 5.0
    file.close([], "complete")


# --- What it refuses --------------------------------------------------------------------------------------------------


def test_another_batch_is_refused_and_the_journal_is_left_as_it_was(path: Path) -> None:
    file = opened(path)
    file.write([entry("a", INTENT)])
    file.close([], "stopped")
    before = path.read_bytes()

    with pytest.raises(JournalError, match="belongs to another run, of another batch") as refusal:
        opened(path, "other")

    assert refusal.value.reason == "another run"
    assert path.read_bytes() == before


def open_updates(path: Path) -> JournalFile:
    return JournalFile.open(Journal(path), operation="POST /api/v2/kits/{kit_id}/", server=SERVER)


@pytest.mark.parametrize(
    ("begin", "resume", "words"),
    [
        (open_updates, opened, "another run, one that sets metadata, and this one creates objects"),
        (opened, open_updates, "another run, one that creates objects, and this one sets metadata"),
    ],
)
def test_the_other_kind_of_journal_is_refused_in_words(
    path: Path, begin: Callable[[Path], Any], resume: Callable[[Path], Any], words: str
) -> None:
    file = begin(path)
    file.close([], ending="stopped") if begin is open_updates else file.close([], "stopped")
    before = path.read_bytes()

    with pytest.raises(JournalError, match=words) as refusal:
        resume(path)

    assert refusal.value.reason == "another run"
    assert path.read_bytes() == before


def test_the_journal_of_another_operation_is_refused(path: Path) -> None:
    opened(path).close([], "stopped")

    with pytest.raises(JournalError, match="belongs to another run, of POST /api/v2/orders/"):
        CreatesFile.open(Journal(path, fingerprint="cohort"), operation="POST /api/v2/requisitions/", server=SERVER)


def test_a_state_that_no_run_has_written_is_damage(path: Path) -> None:
    file = opened(path)
    file.write([entry("a", INTENT)])
    file.close([], "stopped")
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("UPDATE creates SET state = 9")

    with pytest.raises(JournalError, match="is damaged"):
        opened(path)


# --- A full disk ------------------------------------------------------------------------------------------------------


def full(*_: Any) -> None:
    error = sqlite3.OperationalError("database or disk is full")
    error.sqlite_errorcode, error.sqlite_errorname = sqlite3.SQLITE_FULL, "SQLITE_FULL"
    raise error


def test_where_the_disk_is_full_no_intent_is_kept_and_outcomes_are(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = opened(path)
    file.write([entry("a", INTENT)])
    commit, calls = CreatesFile._commit, 0

    def full_once(self: CreatesFile, *of_it: Any) -> None:
        nonlocal calls
        calls += 1
        if calls == 1:
            full()
        commit(self, *of_it)

    monkeypatch.setattr(CreatesFile, "_commit", full_once)
    with pytest.raises(JournalError) as refusal:
        file.write([entry("a", CODES["ok"], object_id="o-1"), entry("b", INTENT)])
    file.close([], "stopped")

    assert refusal.value.reason == "disk"
    assert states(path) == {key("a"): CODES["ok"]}


def test_all_that_a_full_disk_did_not_take_is_tried_again_when_the_journal_is_closed(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = opened(path)
    with monkeypatch.context() as patch:
        patch.setattr(CreatesFile, "_commit", full)
        for name in "ab":
            with pytest.raises(JournalError):
                file.write([entry(name, CODES["ok"])])

    file.close([entry("c", CODES["ok"])], "stopped")

    assert states(path) == {key(name): CODES["ok"] for name in "abc"}


def test_a_full_disk_is_told_without_a_journal_too(monkeypatch: pytest.MonkeyPatch) -> None:
    file = TemporaryCreates()
    monkeypatch.setattr(CreatesFile, "_commit", full)

    with pytest.raises(JournalError) as refusal:
        file.write([entry("a", INTENT)])

    assert refusal.value.reason == "disk"
    file.close([], "stopped")


# --- What a reader sees -----------------------------------------------------------------------------------------------


def test_read_journal_tells_a_batch(path: Path) -> None:
    file = opened(path)
    for n, (name, state) in enumerate(
        {
            "a": CODES["ok"],
            "b": INTENT,
            "c": PARKED,
            "d": CODES["failed"],
            "e": NOT_SENT,
            "f": CODES["rejected"],
        }.items()
    ):
        file.write([RowEntry(n, state, digests(name))])
    pairs = ("O1", "O2"), ("O1", "O3")
    file.write([Twins(pairs[:1])])
    file.close([Twins(pairs)], "stopped")

    found = read_journal(path)

    assert (found.version, found.operation, found.ending, found.parked) == (2, OPERATION, "stopped", 1)
    assert found.duplicates == pairs
    told = {name: count for name, count in found.by_state.items() if count}
    assert told == {"ok": 1, "unknown": 2, "failed": 1, "rejected": 1}
    assert found.next_index == 6
