"""Intents in the run's event loop: none may go before its sync, groups share one, and a failure lets nobody go."""

import asyncio
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from spotdx_async.bulk.journal.creates_file import CreatesFile, Entry, RowEntry
from spotdx_async.bulk.journal.creates_writer import CreatesWriter
from spotdx_async.bulk.journal.reading import CODES, NOT_SENT, read_journal
from spotdx_async.bulk.records import Journal
from spotdx_async.errors import JournalError
from tests.unit.bulk.journal.test_creates_file import digests

pytestmark = pytest.mark.virtual_time

OPERATION, SERVER = "POST /api/v2/orders/", "https://spot.test"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "cohort.journal"


@pytest.fixture
def groups(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many entries each group had that was written."""
    sizes: list[int] = []
    write = CreatesFile.write

    def counted(self: CreatesFile, entries: Sequence[Entry], ending: str | None = None) -> None:
        write(self, entries, ending)
        sizes.append(len(entries))

    monkeypatch.setattr(CreatesFile, "write", counted)
    return sizes


async def open_writer(path: Path | None) -> CreatesWriter:
    settings = None if path is None else Journal(path)
    return await CreatesWriter.open(settings, operation=OPERATION, server=SERVER, batch="cohort")


def intent(n: int) -> RowEntry:
    return RowEntry(n, CODES["unknown"], digests(f"row {n}"), 1.0)


def outcome(n: int, state: int = CODES["ok"]) -> RowEntry:
    return RowEntry(n, state, digests(f"row {n}"), None, f"o-{n}", 2.0)


@contextmanager
def slow_disk(writer: CreatesWriter) -> Iterator[threading.Event]:
    """Nothing is written until the event is set, or the block is left."""
    freed = threading.Event()
    writer._thread.submit(freed.wait)
    try:
        yield freed
    finally:
        freed.set()


async def turns(count: int = 5) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def test_an_intent_goes_when_it_is_committed(path: Path) -> None:
    writer = await open_writer(path)

    may_go = await writer.intend(intent(0))
    known = writer.known(digests("row 0").key)

    assert may_go
    assert known is not None
    assert (known.state, known.began) == (CODES["unknown"], 1.0)
    await writer.close("stopped")


async def test_no_intent_goes_before_its_group_is_written(path: Path) -> None:
    writer = await open_writer(path)

    with slow_disk(writer):
        waiting = asyncio.create_task(writer.intend(intent(0)))
        await turns()
        went_early = waiting.done()

    assert not went_early
    assert await waiting
    await writer.close("stopped")


async def test_intents_that_arrive_during_a_write_share_the_next(path: Path, groups: list[int]) -> None:
    writer = await open_writer(path)

    with slow_disk(writer):
        first = asyncio.create_task(writer.intend(intent(0)))
        await turns()
        others = [asyncio.create_task(writer.intend(intent(n))) for n in range(1, 20)]
        await turns()
    went = await asyncio.gather(first, *others)

    assert all(went)
    assert groups == [1, 19]
    await writer.close("stopped")


async def test_outcomes_go_with_the_next_intents(path: Path, groups: list[int]) -> None:
    writer = await open_writer(path)
    await writer.intend(intent(0))

    writer.record(outcome(0))
    await writer.intend(intent(1))

    assert groups == [1, 2]
    await writer.close("stopped")


async def test_an_outcome_alone_is_written_after_100_ms(path: Path) -> None:
    writer = await open_writer(path)
    await writer.intend(intent(0))

    writer.record(outcome(0))
    await asyncio.sleep(0.099)
    before = read_journal(path).by_state["ok"]
    await asyncio.sleep(0.01)

    assert (before, read_journal(path).by_state["ok"]) == (0, 1)
    await writer.close("stopped")


async def test_a_query_sees_what_was_recorded_before(path: Path) -> None:
    writer = await open_writer(path)
    writer.record(outcome(0))

    own = await writer.ask(lambda file: file.objects_among(["o-0", "o-1"]))

    assert own == {"o-0"}
    await writer.close("stopped")


async def test_a_query_of_a_file_that_cannot_be_read_stops_the_run_and_so_does_the_next(path: Path) -> None:
    writer = await open_writer(path)
    failures: list[JournalError] = []
    writer.on_failure = failures.append

    def unreadable(_: CreatesFile) -> None:
        error = sqlite3.OperationalError("disk I/O error")
        error.sqlite_errorcode, error.sqlite_errorname = sqlite3.SQLITE_IOERR, "SQLITE_IOERR"
        raise error

    for _ in range(2):
        with pytest.raises(JournalError, match="SQLITE_IOERR"):
            await writer.ask(unreadable)

    assert [failure.reason for failure in failures] == ["disk"]
    assert not await writer.intend(intent(0))
    await writer.close("stopped")


async def test_a_write_that_fails_lets_nobody_go_and_stops_the_run_once(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = await open_writer(path)
    failures: list[JournalError] = []
    writer.on_failure = failures.append
    error = JournalError("the journal cannot be written: mend that", reason="disk")

    def fail(*_: Any) -> None:
        raise error

    with slow_disk(writer):
        waiting = [asyncio.create_task(writer.intend(intent(0)))]
        await turns()
        waiting += [asyncio.create_task(writer.intend(intent(n))) for n in range(1, 4)]
        await turns()
        monkeypatch.setattr(CreatesFile, "_commit", fail)
    went = await asyncio.wait_for(asyncio.gather(*waiting), 5)

    assert went == [False] * 4
    assert not await writer.intend(intent(9))
    assert (failures, writer.failure) == ([error], error)
    assert writer.has_room
    await writer.close("stopped")


async def test_what_was_on_its_way_when_the_run_stopped_is_recorded_as_not_sent(path: Path) -> None:
    writer = await open_writer(path)
    waiting = asyncio.create_task(writer.intend(intent(0)))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.wait([waiting])

    writer.record(RowEntry(0, NOT_SENT, digests("row 0")))
    await writer.close("stopped")
    again = await open_writer(path)

    assert again.in_doubt == ()
    await again.close("stopped")


async def test_closing_lets_nobody_go_who_still_waits(path: Path) -> None:
    writer = await open_writer(path)
    with slow_disk(writer):
        first = asyncio.create_task(writer.intend(intent(0)))
        await turns()
        second = asyncio.create_task(writer.intend(intent(1)))
        await turns()
        closing = asyncio.create_task(writer.close("stopped"))
        await turns()
    await closing

    assert (await first, await second) == (True, False)


async def test_a_closed_journal_is_a_single_file(path: Path) -> None:
    writer = await open_writer(path)
    await writer.intend(intent(0))
    writer.known(digests("row 0").key)

    await writer.close("complete")

    assert [each.name for each in path.parent.iterdir()] == [path.name]


async def test_the_next_session_knows_what_this_one_has_recorded(path: Path) -> None:
    writer = await open_writer(path)
    await writer.intend(intent(0))
    await writer.intend(intent(1))
    writer.record(outcome(0))
    await writer.close("stopped")

    again = await open_writer(path)
    known = again.known(digests("row 0").key)
    in_doubt = [each.key for each in again.in_doubt]
    await again.close("stopped")

    assert known is not None
    assert (known.state, known.object_id) == (CODES["ok"], "o-0")
    assert in_doubt == [digests("row 1").key]


async def test_without_a_journal_everything_works_but_resuming() -> None:
    writer = await open_writer(None)

    went = await writer.intend(intent(0))
    writer.record(outcome(0))
    own = await writer.ask(lambda file: file.objects_among(["o-0"]))

    assert (went, own, writer.can_resume) == (True, {"o-0"}, False)
    await writer.close("complete")
