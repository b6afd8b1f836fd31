"""Commands that create where disk, clock, server or network are not as they should be."""

import sqlite3
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import closing, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from spotdx_async._http import clock
from spotdx_async.bulk.journal.creates_file import CreatesFile, RowEntry
from spotdx_async.testing import FakeSpot, faults
from tests.command_line import Spotdx
from tests.model.bulk_session import disk_full

HEADER = "key,kit_types,first_name,last_name,email,phone,street1,city,state,country,zip"
ROWS = 8


@pytest_asyncio.fixture
async def fake() -> AsyncIterator[FakeSpot]:
    async with FakeSpot(orders=[]) as server:
        yield server


@pytest.fixture
def create(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str]]:
    monkeypatch.chdir(tmp_path)
    rows = [
        f"P{n},health_kit_1,Robin{n},Sample,r@example.com,2025550147,1 Example Street,Springfield,IL,US,62701"
        for n in range(ROWS)
    ]
    Path("rows.csv").write_text("\n".join([HEADER, *rows]) + "\n")

    def command(*more: object, journal: object = "j") -> list[str]:
        words = ["orders", "create", "rows.csv", "--batch", "7", "--journal", journal, "--yes", "--json", *more]
        return [str(word) for word in words]

    return command


def placed(fake: FakeSpot) -> list[int]:
    """How many orders there are for each person."""
    return [*Counter(order.document["recipient"]["first_name"] for order in fake.orders.values()).values()]


def is_intent(entry: Any) -> bool:
    return isinstance(entry, RowEntry) and entry.state == 4


async def test_a_disk_that_is_full_before_the_first_intent_sends_nothing_and_the_command_goes_on_later(
    spotdx: Spotdx, fake: FakeSpot, create: Callable[..., list[str]]
) -> None:
    with disk_full(CreatesFile, lambda entries: any(map(is_intent, entries))):
        full = await spotdx(*create())
    before = fake.counts["requests"]
    again = await spotdx(*create())

    assert (full.code, before, full.counts) == (3, 0, {"rows": ROWS, "skipped": ROWS})
    assert "j cannot be written (the disk is full)" in full.summary["stopped"]
    assert "run the same command again to resume" in full.err
    assert (again.code, placed(fake)) == (0, [1] * ROWS)


async def test_a_small_disk_that_fills_up_stops_the_run_and_nothing_is_placed_twice(
    spotdx: Spotdx, fake: FakeSpot, create: Callable[..., list[str]], small_disk: Path
) -> None:
    fake.latency_s = 0.01
    command = create("--concurrency", "1", journal=small_disk / "j")
    others = small_disk / "others"

    def fill(_: object) -> bool:
        if len(fake.orders) >= 3 and not others.exists():
            with others.open("wb", buffering=0) as file, suppress(OSError):
                while file.write(bytes(4096)):
                    pass
        return False

    with disk_full(CreatesFile, fill):
        full = await spotdx(*command)
    others.unlink()
    stopped = len(fake.orders)
    again = await spotdx(*command)

    assert (full.code, full.summary["ok"] + full.summary["unknown"]) == (3, stopped)
    assert 3 <= stopped < ROWS
    assert "cannot be written" in full.summary["stopped"]
    assert (again.code, placed(fake)) == (0, [1] * ROWS)


@pytest.mark.usefixtures("soon")
@pytest.mark.parametrize("days", [-1, 1])
async def test_a_clock_that_is_a_day_off_places_nothing_twice_and_loses_nothing(
    spotdx: Spotdx,
    fake: FakeSpot,
    create: Callable[..., list[str]],
    monkeypatch: pytest.MonkeyPatch,
    days: int,
) -> None:
    monkeypatch.setattr(clock, "wall", lambda: datetime.now(UTC) + timedelta(days=days))
    fake.faults.add("drop_after", method="POST", times=2)
    fake.faults.add("drop_before", method="POST", times=2)

    first = await spotdx(*create())
    Path("j").unlink()
    lost = await spotdx(*create("--look-first", datetime.now(UTC).date()))

    assert (first.code, first.counts) == (0, {"rows": ROWS, "ok": ROWS})
    assert (lost.code, lost.counts) == (0, {"rows": ROWS, "skipped": ROWS})
    assert placed(fake) == [1] * ROWS


@pytest.mark.usefixtures("soon")
async def test_without_the_journal_all_is_placed_once_more_and_told(
    spotdx: Spotdx, fake: FakeSpot, create: Callable[..., list[str]]
) -> None:
    await spotdx(*create())
    Path("j").unlink()

    again = await spotdx(*create())

    assert (again.code, placed(fake)) == (1, [2] * ROWS)
    assert f"CREATED TWICE: {ROWS} pairs carry the same reference" in again.err


@pytest.mark.usefixtures("soon")
async def test_what_a_proxy_repeats_is_told_with_both_ids_and_gives_1(
    spotdx: Spotdx, fake: FakeSpot, create: Callable[..., list[str]]
) -> None:
    fake.faults.add(faults.repeated(0.05), method="POST")

    done = await spotdx(*create())

    ((first, last),) = fake.creations.duplicates().values()
    assert (done.code, done.counts) == (1, {"rows": ROWS, "ok": ROWS})
    assert [{*pair} for pair in done.summary["duplicates"]] == [{first, last}]
    assert first in done.err
    assert last in done.err
    assert done.summary["duplicates_before"] == []


@pytest.mark.usefixtures("soon")
async def test_what_was_created_twice_is_told_later_too_as_a_kill_may_have_come_before_the_words(
    spotdx: Spotdx, fake: FakeSpot, create: Callable[..., list[str]]
) -> None:
    fake.faults.add(faults.repeated(0.05), method="POST")
    await spotdx(*create())
    with closing(sqlite3.connect("j")) as journal, journal:
        journal.execute("UPDATE audit SET until = NULL")  # as if it had come when the list was sure to show all
    (pair,) = fake.creations.duplicates().values()

    shown, figures = await spotdx("runs", "show", "j"), await spotdx("runs", "show", "j", "--json")
    again = await spotdx(*create())

    assert {*figures.summary["duplicates"][0]} == {*pair}
    assert {*again.summary["duplicates_before"][0]} == {*pair}
    assert (again.code, again.summary["duplicates"]) == (0, [])
    assert "created twice, as an earlier session has found: " in again.err
    assert all(an_id in shown.out for an_id in pair)


@pytest.mark.usefixtures("soon")
async def test_rows_whose_metadata_does_not_come_back_are_parked_and_not_sent_again(
    spotdx: Spotdx, fake: FakeSpot, create: Callable[..., list[str]]
) -> None:
    fake.orders.strip_metadata("null", only=lambda order: order.document["recipient"]["first_name"] == "Robin0")
    fake.faults.add("drop_after", method="POST")

    first, again = (
        await spotdx(*create("--concurrency", "1")),
        await spotdx("orders", "settle", *create()[2:7], "--json"),
    )

    assert (first.code, first.counts) == (1, {"rows": ROWS, "ok": ROWS - 1, "unknown": 1})
    assert (again.code, again.summary["unknown"]) == (1, 1)
    assert "shows no reference" in first.err
    assert placed(fake) == [1] * ROWS
