"""The journal in the run's event loop: groups and their bounds, room, what earlier sessions knew, failure, the end."""

import asyncio
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from spotdx_async.bulk.journal.file import MOST_BEYOND_LAST, JournalFile
from spotdx_async.bulk.journal.reading import read_journal
from spotdx_async.bulk.journal.writer import JournalWriter
from spotdx_async.bulk.records import Journal, State
from spotdx_async.errors import JournalError

pytestmark = pytest.mark.virtual_time

OPERATION, SERVER = "PATCH /api/v2/kits/{kit_id}/", "https://spot.test"


async def open_writer(path: Path) -> JournalWriter:
    return await JournalWriter.open(Journal(path), operation=OPERATION, server=SERVER)


def record(writer: JournalWriter, first: int, count: int = 1, state: State = "ok") -> None:
    for index in range(first, first + count):
        writer.record(index, state, writer.digests(f"k{index}", b""))


def kept(path: Path) -> int:
    return read_journal(path).rows


@contextmanager
def slow_disk(writer: JournalWriter) -> Iterator[None]:
    """Nothing is written meanwhile."""
    breaker = threading.Event()
    writer._thread.submit(breaker.wait)
    try:
        yield
    finally:
        breaker.set()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "run.journal"


@pytest.fixture
def broken_disk(monkeypatch: pytest.MonkeyPatch) -> JournalError:
    """From now on nothing can be written any more."""
    error = JournalError("the journal cannot be written: mend that", reason="disk")

    def fail(*_: Any) -> None:
        raise error

    monkeypatch.setattr(JournalFile, "write", fail)
    return error


# --- Groups -----------------------------------------------------------------------------------------------------------


async def test_a_lone_row_is_written_after_100_ms(path: Path) -> None:
    writer = await open_writer(path)
    await asyncio.sleep(1)
    record(writer, 0)

    await asyncio.sleep(0.099)
    before = kept(path)
    await asyncio.sleep(0.002)

    assert (before, kept(path)) == (0, 1)
    await writer.close("complete")


async def test_rows_that_come_within_100_ms_are_written_together(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    groups = watch(monkeypatch, "write")
    writer = await open_writer(path)

    for index in range(30):
        record(writer, index)
        await asyncio.sleep(0.0101)
    await asyncio.sleep(0.2)

    assert [len(rows) for rows, *_ in groups] == [10, 10, 10]
    await writer.close("complete")


async def test_500_rows_are_written_at_once(path: Path) -> None:
    writer = await open_writer(path)

    record(writer, 0, 499)
    await asyncio.sleep(0.001)
    before = kept(path)
    record(writer, 499)
    await asyncio.sleep(0.001)

    assert (before, kept(path)) == (0, 500)
    await writer.close("complete")


async def test_one_group_is_written_at_a_time_and_the_next_when_it_is_due(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    groups = watch(monkeypatch, "write")
    writer = await open_writer(path)

    with slow_disk(writer):
        record(writer, 0, 500)
        record(writer, 500, 500)
        record(writer, 1000, 500)
    await asyncio.sleep(0.001)

    assert [len(rows) for rows, *_ in groups] == [500, 1000]
    await writer.close("complete")


async def test_rows_that_come_while_a_group_is_written_wait_no_longer_than_others(path: Path) -> None:
    writer = await open_writer(path)
    with slow_disk(writer):
        record(writer, 0, 500)
        record(writer, 500, 3)

    await asyncio.sleep(0.099)
    before = kept(path)
    await asyncio.sleep(0.002)

    assert (before, kept(path)) == (500, 503)
    await writer.close("complete")


async def test_no_group_has_more_than_1000_rows(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    groups = watch(monkeypatch, "write")
    writer = await open_writer(path)

    with slow_disk(writer):
        record(writer, 0, 2600)
    await asyncio.sleep(0.001)

    assert [len(rows) for rows, *_ in groups] == [500, 1000, 1000, 100]
    await writer.close("complete")
    assert kept(path) == 2600


def watch(monkeypatch: pytest.MonkeyPatch, name: str) -> list[tuple[Any, ...]]:
    """The arguments of every call from now on."""
    calls: list[tuple[Any, ...]] = []
    plain = getattr(JournalFile, name)

    def watched(self: JournalFile, *given: Any) -> Any:
        calls.append(given)
        return plain(self, *given)

    monkeypatch.setattr(JournalFile, name, watched)
    return calls


# --- Room -------------------------------------------------------------------------------------------------------------


async def test_there_is_no_room_while_750_rows_are_unrecorded(path: Path) -> None:
    writer = await open_writer(path)
    with slow_disk(writer):
        record(writer, 0, 749)
        before = writer.has_room
        record(writer, 749)
        waiting = asyncio.create_task(writer.room())
        await asyncio.sleep(0)
        assert (before, writer.has_room, waiting.done()) == (True, False, False)

    await waiting

    assert writer.has_room
    assert kept(path) >= 500
    await writer.close("complete")


async def test_a_wait_for_room_can_be_cancelled(path: Path) -> None:
    writer = await open_writer(path)
    with slow_disk(writer):
        record(writer, 0, 800)
        waiting = asyncio.create_task(writer.room())
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting

    await writer.room()
    await writer.close("complete")


async def test_workers_that_ask_for_room_leave_at_most_a_group_unrecorded(path: Path) -> None:
    writer = await open_writer(path)
    rows = iter(range(20_000))
    most = 0

    async def work() -> None:
        nonlocal most
        for index in rows:
            if not writer.has_room:
                await writer.room()
            await asyncio.sleep(0.0001)
            record(writer, index)
            most = max(most, len(writer._waiting) + writer._under_way)

    await asyncio.gather(*(work() for _ in range(64)))
    await writer.close("complete")

    assert most <= 750 + 64
    assert kept(path) == 20_000


# --- What earlier sessions knew ---------------------------------------------------------------------------------------


async def test_a_new_journal_knows_nothing_and_asks_nobody(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = watch(monkeypatch, "known")
    writer = await open_writer(path)
    record(writer, 0)

    assert writer.last_index is None
    assert await writer.known(0) is None
    assert calls == []
    await writer.close("complete")


async def test_the_next_session_knows_the_rows_of_the_one_before(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = await open_writer(path)
    record(writer, 0, 9000)
    record(writer, 9002, state="failed")
    await writer.close("stopped")
    calls = watch(monkeypatch, "known")

    writer = await open_writer(path)
    found = [await writer.known(index) for index in range(20_000)]

    assert writer.last_index == 9002
    assert [known.state if known else None for known in found[8999:9004]] == ["ok", None, None, "failed", None]
    assert all(
        known and known.content == writer.digests(f"k{row}", b"").content for row, known in enumerate(found[:9000])
    )
    assert calls == [(0,), (4096,), (8192,)]
    await writer.close("complete")


async def test_what_this_session_records_is_not_known(path: Path) -> None:
    writer = await open_writer(path)
    record(writer, 0, state="failed")
    record(writer, 500, state="failed")
    await writer.close("stopped")

    writer = await open_writer(path)
    known = []
    for index in range(600):
        known.append(await writer.known(index))
        record(writer, index)
        await asyncio.sleep(0.01)

    assert [(row, found.state) for row, found in enumerate(known) if found] == [(0, "failed"), (500, "failed")]
    await writer.close("complete")


async def test_a_journal_that_cannot_be_read_any_more_fails(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = await open_writer(path)
    record(writer, 0)
    await writer.close("stopped")
    writer = await open_writer(path)
    error = JournalError("the journal is damaged: restore it", reason="corrupt")
    monkeypatch.setattr(JournalFile, "known", raising(error))

    with pytest.raises(JournalError) as caught:
        await writer.known(0)

    assert caught.value is writer.failure is error
    await writer.close("stopped")


def raising(error: BaseException) -> Callable[..., None]:
    def fail(*_: Any) -> None:
        raise error

    return fail


# --- Failure ----------------------------------------------------------------------------------------------------------


async def test_a_failure_is_told_once_and_lets_nobody_wait(path: Path, broken_disk: JournalError) -> None:
    writer = await open_writer(path)
    told: list[JournalError] = []
    writer.on_failure = told.append
    with slow_disk(writer):
        record(writer, 0, 800)
        waiting = asyncio.create_task(writer.room())
        await asyncio.sleep(0)

    await waiting
    record(writer, 800, 5000)
    await writer.room()
    await writer.close("stopped")

    assert told == [broken_disk]
    assert writer.failure is broken_disk
    assert writer.has_room
    assert len(writer._waiting) <= 1000


async def test_nothing_is_written_after_a_failure_before_the_end(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = await open_writer(path)
    calls: list[Any] = []
    error = JournalError("the journal cannot be written: mend that", reason="disk")

    def fail(*given: Any) -> None:
        calls.append(given)
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(JournalFile, "write", fail)
        record(writer, 0, 500)
        await asyncio.sleep(0.001)
        record(writer, 500, 600)
        await asyncio.sleep(1)
    assert len(calls) == 1

    await writer.close("stopped")

    assert read_journal(path).ending == "stopped"


async def test_what_was_sent_when_it_failed_is_written_at_the_end_where_that_goes(path: Path) -> None:
    writer = await open_writer(path)
    await limit(writer, 8)
    record(writer, 0, 1000)
    await asyncio.sleep(0.001)
    assert writer.failure is not None
    record(writer, 1000, 64)
    await limit(writer, 1000)

    await writer.close("stopped")

    assert writer.failure.reason == "disk"
    assert kept(path) == 1064


async def limit(writer: JournalWriter, pages: int) -> None:
    """Let the database have so many pages and no more."""

    def act() -> None:
        writer._file._database.execute(f"PRAGMA max_page_count = {pages}")

    await asyncio.get_running_loop().run_in_executor(writer._thread, act)


async def test_a_failure_at_the_very_end_is_told_too(path: Path) -> None:
    writer = await open_writer(path)
    told: list[JournalError] = []
    writer.on_failure = told.append
    record(writer, 0, 10)
    path.rename(path.with_name("elsewhere"))

    await writer.close("complete")

    assert writer.failure is not None
    assert told == [writer.failure]


async def test_what_nobody_foresaw_is_a_failure_too(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = await open_writer(path)
    with monkeypatch.context() as patch:
        patch.setattr(JournalFile, "write", raising(MemoryError()))
        record(writer, 0)
        await asyncio.sleep(0.2)

    assert isinstance(writer.failure, JournalError)
    assert "MemoryError" in str(writer.failure)
    await writer.close("stopped")


# --- The end ----------------------------------------------------------------------------------------------------------


async def test_closing_writes_what_is_left_and_how_the_run_ended(path: Path) -> None:
    writer = await open_writer(path)
    record(writer, 0, 7)

    await writer.close("complete")

    state = read_journal(path)
    assert (state.rows, state.ending, state.in_use) == (7, "complete", False)
    assert [file.name for file in path.parent.iterdir()] == [path.name]


async def test_closing_waits_for_the_group_that_is_written(path: Path) -> None:
    writer = await open_writer(path)
    with slow_disk(writer):
        record(writer, 0, 700)
        closing = asyncio.create_task(writer.close("complete"))
        await asyncio.sleep(0)
        again = asyncio.create_task(writer.close("stopped"))
        await asyncio.sleep(0)

    await asyncio.gather(closing, again)
    await writer.close("stopped")

    assert (kept(path), read_journal(path).ending, writer.failure) == (700, "complete", None)


async def test_a_row_that_comes_after_the_end_is_not_taken(path: Path) -> None:
    writer = await open_writer(path)
    await writer.close("complete")

    record(writer, 0, 1000)
    await writer.room()

    assert writer._waiting == []


async def test_a_cancellation_waits_until_the_journal_is_closed(path: Path) -> None:
    writer = await open_writer(path)
    with slow_disk(writer):
        record(writer, 0, 700)
        closing = asyncio.create_task(writer.close("stopped"))
        await asyncio.sleep(0)
        closing.cancel()
        await asyncio.sleep(0)
        assert not closing.done()

    with pytest.raises(asyncio.CancelledError):
        await closing

    state = read_journal(path)
    assert (state.rows, state.ending, state.in_use) == (700, "stopped", False)


async def test_a_cancelled_opening_gives_the_journal_back(path: Path) -> None:
    opening = asyncio.create_task(open_writer(path))
    await asyncio.sleep(0)
    opening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await opening

    assert not read_journal(path).in_use
    await (await open_writer(path)).close("complete")


async def test_an_opening_that_is_refused_leaves_no_thread(path: Path) -> None:
    path.mkdir()
    before = set(threading.enumerate())

    with pytest.raises(JournalError) as caught:
        await open_writer(path)

    for thread in set(threading.enumerate()) - before:
        thread.join(timeout=10)
    assert set(threading.enumerate()) <= before
    assert caught.value.reason == "path"
    assert caught.value.__context__ is None


@pytest.mark.no_cover
async def test_a_hundred_thousand_rows_go_through(path: Path) -> None:
    writer = await open_writer(path)
    for first in range(0, 100_000, 100):
        await writer.room()
        record(writer, first, 100)
        await asyncio.sleep(0)

    await writer.close("complete")

    assert kept(path) == 100_000


SCRIPT = """
import asyncio, sys
from spotdx_async.bulk.journal.writer import JournalWriter
from spotdx_async.bulk.records import Journal

async def main():
    writer = await JournalWriter.open(Journal(sys.argv[1]), operation=sys.argv[2], server=sys.argv[3])
    for row in range(int(sys.argv[4])):
        await writer.room()
        print(row, flush=True)
        writer.record(row, "ok", writer.digests("k", b""))
        await asyncio.sleep(0)

asyncio.run(main())
"""


def command(path: Path, rows: int) -> list[str]:
    return [sys.executable, "-c", SCRIPT, str(path), OPERATION, SERVER, str(rows)]


def test_a_loop_that_ends_without_closing_hangs_nobody(path: Path) -> None:
    done = subprocess.run(  # noqa: S603 - our own script
        command(path, 1300), capture_output=True, text=True, check=True, timeout=60
    )

    assert done.stderr == ""
    state = read_journal(path)
    assert (state.in_use, state.ending) == (False, None)
    assert state.rows >= 300


def test_a_process_that_is_killed_repeats_at_most_a_group(path: Path) -> None:
    with subprocess.Popen(command(path, 10**9), stdout=subprocess.PIPE, text=True) as process:  # noqa: S603 - the same
        assert process.stdout is not None
        while process.stdout.readline() != "5000\n":
            pass
        process.kill()
        sent = 5001 + len(process.stdout.read().split())
    recorded = read_journal(path)

    assert 0 <= sent - recorded.rows <= 1000
    assert recorded.next_index == recorded.rows


async def test_no_row_is_read_further_beyond_what_is_written_than_the_next_session_doubts(path: Path) -> None:
    writer = await open_writer(path)
    assert writer.may_read(MOST_BEYOND_LAST - 2)
    assert not writer.may_read(MOST_BEYOND_LAST - 1)
    waiting = asyncio.ensure_future(writer.wait_to_read(MOST_BEYOND_LAST + 5))
    await asyncio.sleep(1)
    assert not waiting.done()

    record(writer, 6)

    await asyncio.wait_for(waiting, 5)
    await writer.close("stopped")
    assert writer.doubtful_below == 0


async def test_what_is_written_no_more_keeps_no_row_from_being_read(path: Path, broken_disk: JournalError) -> None:
    writer = await open_writer(path)
    waiting = asyncio.ensure_future(writer.wait_to_read(MOST_BEYOND_LAST + 5))
    await asyncio.sleep(0)

    record(writer, 0)

    await asyncio.wait_for(waiting, 5)
    assert writer.failure is broken_disk
    await writer.close("stopped")
