"""A bulk run with a journal: resumed after a stop or a loss, refused where it is not the same run."""

import asyncio
import random
import sys
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from spotdx_async import (
    BulkStopped,
    InvalidInputError,
    Journal,
    JournalError,
    Kit,
    Outcome,
    RetryPolicy,
    SpotClient,
    read_journal,
)
from spotdx_async.testing import FakeSpot

pytestmark = pytest.mark.virtual_time

Rows = list[tuple[str, dict[str, int]]]


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    return tmp_path / "run.journal"


def rows_of(fake: FakeSpot, count: int) -> Rows:
    kit_ids = [f"SPOT{n}" for n in range(count)]
    fake.kits.add_many(kit_ids)
    return [(kit_id, {"n": n}) for n, kit_id in enumerate(kit_ids)]


async def run(spot: SpotClient, rows: Any, **options: Any) -> list[Outcome[Kit]]:
    outcomes = [outcome async for outcome in spot.kits.update_metadata_many(rows, **options)]
    return sorted(outcomes, key=lambda outcome: outcome.index)


def states(outcomes: list[Outcome[Kit]]) -> Counter[str]:
    return Counter(outcome.state for outcome in outcomes)


async def test_a_run_that_is_complete_sends_nothing_again(
    fake_spot: FakeSpot, spot_client: SpotClient, journal: Path
) -> None:
    rows = rows_of(fake_spot, 300)
    assert states(await run(spot_client, rows, journal=journal)) == {"ok": 300}

    again = await run(spot_client, rows, journal=str(journal))

    assert states(again) == {"skipped": 300}
    assert all(outcome.is_done and outcome.error is None and not outcome.ok for outcome in again)
    assert [outcome.key for outcome in again] == [kit_id for kit_id, _ in rows]
    assert fake_spot.counts["requests"] == 300
    state = read_journal(journal)
    assert (state.rows, state.by_state["ok"], state.ending, state.sessions) == (300, 300, "complete", 2)


async def test_only_what_has_no_success_is_sent_again(
    fake_spot: FakeSpot, spot_client: SpotClient, journal: Path
) -> None:
    rows: list[Any] = [*rows_of(fake_spot, 100), ("GONE", {}), ("", {}), ("SPOT1", {"x": float("nan")})]
    fake_spot.faults.add("400", times=1, kit_id="SPOT7")
    first = await run(spot_client, rows, journal=journal)
    assert states(first) == {"ok": 99, "failed": 2, "rejected": 2}
    before = fake_spot.counts["requests"]

    second = await run(spot_client, rows, journal=journal)

    assert states(second) == {"skipped": 99, "ok": 1, "failed": 1, "rejected": 2}
    assert second[7].ok
    assert fake_spot.counts["requests"] - before == 2


@pytest.mark.no_cover
@pytest.mark.parametrize("seed", range(4))
async def test_runs_that_are_left_at_any_time_end_as_one_run_would(
    fake_spot: FakeSpot, journal: Path, seed: int
) -> None:
    dice = random.Random(seed)
    kit_ids = [f"SPOT{n}" for n in range(60)]
    fake_spot.kits.add_many(kit_ids)
    rows = [(dice.choice(kit_ids), {"n": n}) for n in range(1500)]
    fake_spot.faults.random(0.05, seed=seed)
    states_seen: Counter[str] = Counter()
    async with fake_spot.client(timeout_s=2) as spot:
        for _ in range(50):
            handle = spot.kits.update_metadata_many(rows, journal=journal, concurrency=16)
            leave_after, taken = dice.randrange(1, 400), 0
            async for outcome in handle:
                states_seen[outcome.state] += 1
                taken += outcome.state != "skipped"
                if taken == leave_after:
                    break
            else:
                break
            await handle.aclose()

    assert read_journal(journal).ending == "complete"
    assert states_seen["failed"] == states_seen["unknown"] == 0
    last = dict(rows)
    assert all(fake_spot.kits[kit_id].metadata == metadata for kit_id, metadata in last.items())
    for kit_id in kit_ids:
        written = [entry.metadata["n"] for entry in fake_spot.ledger if entry.kit_id == kit_id]
        first_times = list(dict.fromkeys(written))
        assert first_times == sorted(first_times)


async def test_an_old_value_that_failed_is_not_sent_over_a_newer_one(fake_spot: FakeSpot, journal: Path) -> None:
    rows_of(fake_spot, 1)
    rows = [("SPOT0", {"n": 0}), ("SPOT0", {"n": 1})]
    fake_spot.faults.add("400", times=1)
    async with fake_spot.client(timeout_s=1) as spot:
        assert [outcome.state for outcome in await run(spot, rows, journal=journal)] == ["failed", "ok"]

        again = await run(spot, rows, journal=journal)

    assert [outcome.state for outcome in again] == ["superseded", "skipped"]
    assert fake_spot.kits["SPOT0"].metadata == {"n": 1}


async def test_superseded_rows_stay_superseded(fake_spot: FakeSpot, spot_client: SpotClient, journal: Path) -> None:
    rows_of(fake_spot, 1)
    fake_spot.latency_s = 1
    rows = [("SPOT0", {"n": n}) for n in range(30)]
    first = await run(spot_client, rows, journal=journal, coalesce=True)
    requests = fake_spot.counts["requests"]

    again = await run(spot_client, rows, journal=journal, coalesce=True)

    assert states(again)["superseded"] == states(first)["superseded"] > 0
    assert states(again)["skipped"] == states(first)["ok"]
    assert fake_spot.counts["requests"] == requests


async def test_a_stopped_run_goes_on(fake_spot: FakeSpot, journal: Path) -> None:
    rows = rows_of(fake_spot, 500)
    async with fake_spot.client(token="wrong") as spot:
        with pytest.raises(BulkStopped, match="same journal"):
            await run(spot, rows, journal=journal)
    async with fake_spot.client() as spot:
        assert states(await run(spot, rows, journal=journal)) == {"ok": 500}


async def test_an_input_that_raises_leaves_a_journal_to_go_on_with(
    fake_spot: FakeSpot, spot_client: SpotClient, journal: Path
) -> None:
    rows = rows_of(fake_spot, 100)

    def broken() -> Iterator[Any]:
        yield from rows[:60]
        raise OSError("the disk is gone")

    with pytest.raises(OSError, match="the disk is gone"):
        await run(spot_client, broken(), journal=journal)
    assert read_journal(journal).rows == 60

    assert states(await run(spot_client, rows, journal=journal)) == {"skipped": 60, "ok": 40}


async def test_rows_in_another_form_but_with_the_same_content_are_the_same(
    fake_spot: FakeSpot, spot_client: SpotClient, journal: Path
) -> None:
    rows = rows_of(fake_spot, 20)
    await run(spot_client, rows, journal=journal)

    async def again() -> Any:
        for kit_id, metadata in rows:
            yield [kit_id, dict(metadata)]

    assert states(await run(spot_client, again(), journal=journal)) == {"skipped": 20}


# What is refused


@pytest.mark.parametrize(
    "change",
    [
        lambda rows: [("SPOTNEW", {"n": 0}), *rows],
        lambda rows: rows[1:],
        lambda rows: [*rows[:50], ("SPOT50", {"n": 999}), *rows[51:]],
        lambda rows: [*rows[:50], ("SPOT51", {"n": 50}), *rows[51:]],
        lambda rows: [*rows[:50], ("", {}), *rows[51:]],
        lambda rows: rows[:-1],
        lambda _: [],
    ],
    ids=["inserted", "removed", "other value", "other kit", "bad", "shorter", "empty"],
)
async def test_a_changed_input_is_refused_and_nothing_is_sent(
    fake_spot: FakeSpot, spot_client: SpotClient, journal: Path, change: Any
) -> None:
    rows = rows_of(fake_spot, 100)
    await run(spot_client, rows, journal=journal)
    requests = fake_spot.counts["requests"]

    with pytest.raises(JournalError) as caught:
        await run(spot_client, change(rows), journal=journal)

    assert caught.value.reason == "changed input"
    assert isinstance(caught.value, InvalidInputError)
    assert "SPOT" not in str(caught.value)
    assert fake_spot.counts["requests"] == requests


async def test_another_fingerprint_is_refused_before_anything_is_read(
    fake_spot: FakeSpot, spot_client: SpotClient, journal: Path
) -> None:
    rows = rows_of(fake_spot, 10)
    await run(spot_client, rows, journal=Journal(journal, "one"))

    def unread() -> Iterator[Any]:
        yield pytest.fail("it was read")

    with pytest.raises(JournalError) as caught:
        await run(spot_client, unread(), journal=Journal(journal, "two"))
    assert caught.value.reason == "changed input"


async def test_the_journal_of_another_noun_or_server_is_refused(
    fake_spot: FakeSpot, spot_client: SpotClient, journal: Path
) -> None:
    await run(spot_client, rows_of(fake_spot, 10), journal=journal)

    with pytest.raises(JournalError) as caught:
        [_ async for _ in spot_client.orders.update_metadata_many([("O1", {})], journal=journal)]
    assert caught.value.reason == "another run"

    async with FakeSpot() as other, other.client() as elsewhere:
        with pytest.raises(JournalError) as caught:
            await run(elsewhere, [("SPOT0", {"n": 0})], journal=journal)
    assert caught.value.reason == "another run"


async def test_a_journal_in_use_is_refused_and_the_first_run_goes_on(
    fake_spot: FakeSpot, spot_client: SpotClient, journal: Path
) -> None:
    rows, refused = rows_of(fake_spot, 50), asyncio.Event()

    async def held() -> AsyncIterator[Any]:
        for row in rows[:-1]:
            yield row
        await refused.wait()
        yield rows[-1]

    first = spot_client.kits.update_metadata_many(held(), journal=journal)
    outcomes = [await anext(first)]

    with pytest.raises(JournalError) as caught:
        await run(spot_client, rows, journal=journal)

    assert caught.value.reason == "in use"
    refused.set()
    outcomes += [outcome async for outcome in first]
    assert states(outcomes) == {"ok": 50}


async def test_a_garbled_file_is_refused_and_left_alone(
    fake_spot: FakeSpot, spot_client: SpotClient, journal: Path
) -> None:
    journal.write_bytes(b"kit_id,cohort\n")

    with pytest.raises(JournalError):
        await run(spot_client, rows_of(fake_spot, 3), journal=journal)

    assert journal.read_bytes() == b"kit_id,cohort\n"
    assert fake_spot.counts["requests"] == 0


# Trouble with the disk


async def test_a_journal_that_cannot_be_written_stops_the_run_and_nothing_is_lost(
    fake_spot: FakeSpot, spot_client: SpotClient, journal: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = rows_of(fake_spot, 5000)
    real = spotdx_journal_write()
    groups = 0

    def failing(self: Any, *written: Any) -> None:
        nonlocal groups
        groups += 1
        if groups > 3:
            raise JournalError("the disk is full", reason="disk")
        real(self, *written)

    outcomes: list[Outcome[Kit]] = []
    with monkeypatch.context() as patch:
        patch.setattr("spotdx_async.bulk.journal.file.JournalFile.write", failing)
        with pytest.raises(BulkStopped, match="the disk is full") as caught:
            async for outcome in spot_client.kits.update_metadata_many(rows, journal=journal):
                outcomes.append(outcome)  # noqa: PERF401 - those before the error count
    sent = fake_spot.counts["requests"]
    assert isinstance(caught.value.cause, JournalError)
    assert len(outcomes) == caught.value.next_index
    assert sent == states(outcomes)["ok"]
    assert sent - read_journal(journal).rows <= 1000

    again = await run(spot_client, rows, journal=journal)

    assert set(states(again)) == {"skipped", "ok"}
    assert fake_spot.counts["requests"] - 5000 <= 1000


def spotdx_journal_write() -> Any:
    from spotdx_async.bulk.journal.file import JournalFile  # noqa: PLC0415 - the one place that looks behind the face

    return JournalFile.write


async def test_a_run_waits_for_a_slow_disk(
    fake_spot: FakeSpot, spot_client: SpotClient, journal: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = rows_of(fake_spot, 3000)
    most_unrecorded = 0
    real = spotdx_journal_write()

    def watched(self: Any, *written: Any) -> None:
        nonlocal most_unrecorded
        most_unrecorded = max(most_unrecorded, fake_spot.counts["executed"] - read_journal(journal).rows)
        real(self, *written)

    monkeypatch.setattr("spotdx_async.bulk.journal.file.JournalFile.write", watched)
    assert states(await run(spot_client, rows, journal=journal)) == {"ok": 3000}

    assert most_unrecorded <= 1000 + 64


async def test_cancelling_the_run_leaves_a_journal_to_go_on_with(fake_spot: FakeSpot, journal: Path) -> None:
    rows = rows_of(fake_spot, 300)
    fake_spot.latency_s = 0.5
    async with fake_spot.client(retry=RetryPolicy()) as spot:
        consumer = asyncio.create_task(run(spot, rows, journal=journal, concurrency=10))
        await asyncio.sleep(2.2)
        consumer.cancel()
        with pytest.raises(asyncio.CancelledError):
            await consumer

        by_state = read_journal(journal).by_state
        assert (by_state["ok"], by_state["unknown"]) == (40, 10)
        assert not read_journal(journal).in_use
        assert states(await run(spot, rows, journal=journal)) == {"skipped": 40, "ok": 260}


KILLED = """
import asyncio, os, sys
from spotdx_async import SpotClient

async def main(url, token, journal):
    rows = [("SPOT0", {"n": 0}), ("SPOT1", {"n": 1})]
    async with SpotClient(token, base_url=url) as spot:
        async for _ in spot.kits.update_metadata_many(rows, journal=journal, ordered=True):
            os._exit(9)  # as kill -9: executed, and not recorded

asyncio.run(main(*sys.argv[1:]))
"""
KILLED_WITH_BOTH_OF_ONE = KILLED.replace("SPOT1", "SPOT0")


@pytest.mark.parametrize("trouble", ["400", "server away", "stop"])
async def test_what_a_killed_session_may_have_sent_is_never_said_to_be_unsent(
    fake_spot: FakeSpot, journal: Path, trouble: str
) -> None:
    fake_spot.kits.add_many(["SPOT0", "SPOT1"])
    words = (sys.executable, "-c", KILLED, fake_spot.url, fake_spot.token, str(journal))
    assert await (await asyncio.create_subprocess_exec(*words)).wait() == 9
    assert fake_spot.ledger
    assert read_journal(journal).ending is None
    outcomes: list[Outcome[Kit]] = []

    async with fake_spot.client(retry=RetryPolicy(max_attempts=1)) as spot:

        async def rows() -> Any:
            yield ("SPOT0", {"n": 0})
            if trouble == "stop":
                again.stop()

        again = spot.kits.update_metadata_many(rows(), journal=journal)
        if trouble == "400":
            fake_spot.faults.add("400")
        elif trouble == "server away":
            await fake_spot.stop()
        with suppress(BulkStopped, JournalError):  # the killed session may have come to a second row
            async for outcome in again:
                outcomes.append(outcome)  # noqa: PERF401 - those before the error count

    assert states(outcomes) == {"unknown": 1}
    assert outcomes[0].error is not None
    assert outcomes[0].error.may_be_executed


@pytest.mark.parametrize("is_killed", [True, False], ids=["killed", "ended"])
async def test_a_row_that_failed_is_in_doubt_once_a_killed_session_may_have_sent_it_again(
    fake_spot: FakeSpot, journal: Path, *, is_killed: bool
) -> None:
    fake_spot.kits.add("SPOT0")
    rows = [("SPOT0", {"n": 0}), ("SPOT0", {"n": 1})]
    async with fake_spot.client(retry=RetryPolicy(max_attempts=1)) as spot:
        fake_spot.faults.add("400", times=2)
        assert states(await run(spot, rows, journal=journal)) == {"failed": 2}

        if is_killed:
            words = (sys.executable, "-c", KILLED_WITH_BOTH_OF_ONE, fake_spot.url, fake_spot.token, str(journal))
            assert await (await asyncio.create_subprocess_exec(*words)).wait() == 9
            assert fake_spot.kits["SPOT0"].metadata == {"n": 0}
        else:
            fake_spot.faults.add("400", times=2)
            assert states(await run(spot, rows, journal=journal)) == {"failed": 2}

        fake_spot.faults.add("400", times=2)
        outcomes = await run(spot, rows, journal=journal)

    assert states(outcomes) == ({"unknown": 2} if is_killed else {"failed": 2})
