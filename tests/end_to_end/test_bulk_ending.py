"""How a bulk run ends against a server: what is sent after a stop, and what is left of a run that nobody ended."""

import asyncio
import gc
import socket
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from spotdx_async import (
    BulkStopped,
    Kit,
    NotSentError,
    Outcome,
    RateLimit,
    RetryPolicy,
    SpotClient,
    read_journal,
)
from spotdx_async.testing import FakeSpot, faults

pytestmark = pytest.mark.virtual_time


def now() -> float:
    return asyncio.get_running_loop().time()


def bulk_tasks() -> list[asyncio.Task[Any]]:
    return [task for task in asyncio.all_tasks() if task.get_name() == "spotdx bulk"]


def rows(fake: FakeSpot, count: int) -> list[tuple[str, dict[str, int]]]:
    kit_ids = [f"SPOT{n}" for n in range(count)]
    fake.kits.add_many(kit_ids)
    return [(kit_id, {"n": n}) for n, kit_id in enumerate(kit_ids)]


def endless() -> Iterator[tuple[str, dict[str, int]]]:
    while True:
        yield "SPOT123456", {}


async def taken(run: Any, outcomes: list[Outcome[Kit]]) -> None:
    async for outcome in run:
        outcomes.append(outcome)  # noqa: PERF401 - those before an error count


async def test_a_stop_at_a_slow_rate_sends_nothing_more(fake_spot: FakeSpot) -> None:
    updates = rows(fake_spot, 500)
    outcomes: list[Outcome[Kit]] = []
    async with fake_spot.client(rate_limit=RateLimit(10)) as spot:
        run = spot.kits.update_metadata_many(updates)
        asyncio.get_running_loop().call_at(now() + 5, run.stop)
        await taken(run, outcomes)

    assert now() < 5.2
    assert max(request.at_s for request in fake_spot.requests) <= 5
    states = Counter(outcome.state for outcome in outcomes)
    assert states["ok"] == fake_spot.counts["requests"]
    assert states["skipped"] >= 64


async def test_a_stop_in_a_long_pause_does_not_wait_for_its_end(fake_spot: FakeSpot) -> None:
    fake_spot.faults.add(faults.status(429, retry_after=250), times=None)
    outcomes: list[Outcome[Kit]] = []
    async with fake_spot.client() as spot:
        run = spot.kits.update_metadata_many(endless())
        asyncio.get_running_loop().call_at(now() + 5, run.stop)
        await taken(run, outcomes)

    assert now() < 5.2
    assert {outcome.state for outcome in outcomes} == {"skipped"}


async def test_a_wrong_token_at_a_slow_rate_costs_few_requests(fake_spot: FakeSpot) -> None:
    outcomes: list[Outcome[Kit]] = []
    async with fake_spot.client(token="wrong", rate_limit=RateLimit(10)) as spot:
        with pytest.raises(BulkStopped):
            await taken(spot.kits.update_metadata_many(rows(fake_spot, 500)), outcomes)

    assert fake_spot.counts["requests"] <= 10
    assert Counter(outcome.state for outcome in outcomes)["failed"] == fake_spot.counts["requests"]


async def test_stop_after_at_a_slow_rate_lets_few_more_fail(fake_spot: FakeSpot) -> None:
    fake_spot.faults.add("400", times=None)
    outcomes: list[Outcome[Kit]] = []
    async with fake_spot.client(rate_limit=RateLimit(10)) as spot:
        with pytest.raises(BulkStopped):
            await taken(spot.kits.update_metadata_many(rows(fake_spot, 500), stop_after=2), outcomes)

    assert Counter(outcome.state for outcome in outcomes)["failed"] <= 10


async def test_a_run_that_is_left_and_kept_ends_with_its_client(fake_spot: FakeSpot, tmp_path: Path) -> None:
    journal = tmp_path / "run.journal"
    updates = rows(fake_spot, 500)
    async with fake_spot.client() as spot:
        run = spot.kits.update_metadata_many(updates, journal=journal)
        async for _ in run:
            break
        await asyncio.sleep(60)
        assert fake_spot.counts["requests"] <= 130
    await asyncio.sleep(0.1)
    sent = fake_spot.counts["requests"]

    assert bulk_tasks() == []
    assert not read_journal(journal).in_use
    await asyncio.sleep(60)
    assert fake_spot.counts["requests"] == sent
    outcomes: list[Outcome[Kit]] = []
    with pytest.raises(BulkStopped, match="the client was closed"):
        await taken(run, outcomes)


async def test_a_client_that_closes_during_a_run_loses_no_row(fake_spot: FakeSpot) -> None:
    updates = rows(fake_spot, 500)
    fake_spot.latency_s = 1
    spot = fake_spot.client(rate_limit=RateLimit(50))
    outcomes: list[Outcome[Kit]] = []
    consumer = asyncio.create_task(taken(spot.kits.update_metadata_many(updates), outcomes))
    await asyncio.sleep(2.5)
    await spot.close()

    with pytest.raises(BulkStopped) as caught:
        await consumer
    assert caught.value.next_index == len(outcomes)
    executed = {entry.kit_id for entry in fake_spot.ledger}
    not_sent = {outcome.key for outcome in outcomes if outcome.state in {"failed", "skipped"}}
    assert not executed & not_sent


async def test_a_dropped_run_is_named_and_ends(fake_spot: FakeSpot, spot_client: SpotClient, tmp_path: Path) -> None:
    journal = tmp_path / "run.journal"
    kept = [spot_client.kits.update_metadata_many(rows(fake_spot, 500), journal=journal)]
    await anext(kept[0])

    with pytest.warns(ResourceWarning, match=r"a bulk run of POST /api/v2/kits/\{kit_id\}/"):
        kept.clear()
    gc.collect()
    await asyncio.sleep(0.1)

    assert bulk_tasks() == []
    assert not read_journal(journal).in_use


@pytest.mark.parametrize("ending", ["timeout", "deadline of anyio's kind"])
async def test_a_consumer_that_is_cancelled_again_and_again_leaves_no_lock(
    fake_spot: FakeSpot, spot_client: SpotClient, tmp_path: Path, ending: str
) -> None:
    journal = tmp_path / "run.journal"
    updates = rows(fake_spot, 500)
    fake_spot.latency_s = 0.5

    async def consume() -> None:
        run = spot_client.kits.update_metadata_many(updates, journal=journal, progress=lambda _: None)
        async with run:
            await taken(run, [])

    consumer = asyncio.create_task(consume())
    await asyncio.sleep(1.2)
    for _ in range(1 if ending == "timeout" else 50):
        consumer.cancel()
        await asyncio.sleep(0)
    await asyncio.wait([consumer])

    assert consumer.cancelled()
    assert bulk_tasks() == []
    assert not read_journal(journal).in_use


async def test_a_dead_base_url_stops_the_run_soon_and_is_named(caplog: pytest.LogCaptureFixture) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    outcomes: list[Outcome[Kit]] = []
    async with SpotClient("token", base_url=f"http://127.0.0.1:{port}") as spot:
        with pytest.raises(BulkStopped, match=rf"127\.0\.0\.1:{port}: connection refused: check base_url") as caught:
            await taken(spot.kits.update_metadata_many([(f"SPOT{n}", {}) for n in range(500)]), outcomes)

    assert 30 <= now() <= 31
    assert isinstance(caught.value.cause, NotSentError)
    assert f"127.0.0.1:{port}: connection refused" in caplog.text
    assert {outcome.state for outcome in outcomes} == {"skipped"}


async def test_a_server_that_throttles_without_a_wait_is_not_hammered(fake_spot: FakeSpot) -> None:
    updates = rows(fake_spot, 500)
    fake_spot.faults.add(faults.status(429, retry_after=0), times=None)
    async with fake_spot.client() as spot:
        run = spot.kits.update_metadata_many(updates, concurrency=64)
        asyncio.get_running_loop().call_at(now() + 5, run.stop)
        await taken(run, [])

    by_row = Counter(request.kit_id for request in fake_spot.requests)
    assert max(by_row.values()) <= 2 * 5 + 1


async def test_a_long_pause_ends_a_run_at_its_outage_limit(fake_spot: FakeSpot) -> None:
    fake_spot.faults.add(faults.status(429, retry_after=300), times=None)
    async with fake_spot.client() as spot:
        with pytest.raises(BulkStopped, match="outage_limit"):
            await taken(spot.kits.update_metadata_many(rows(fake_spot, 500), outage_limit=2), [])

    assert 2 <= now() <= 3


@pytest.mark.parametrize("what", ["a 429 long over", "an outage that nobody asked about"])
async def test_outage_limit_counts_while_rows_wait_for_the_server(fake_spot: FakeSpot, what: str) -> None:
    updates = rows(fake_spot, 8)
    is_throttled = what == "a 429 long over"
    fake_spot.faults.add("429" if is_throttled else "503", times=1 if is_throttled else 5)

    async def slow() -> AsyncIterator[Any]:
        for row in updates[: 1 if is_throttled else 5]:
            yield row
        await asyncio.sleep(59.9 if is_throttled else 70)  # the source has none, and the server is well meanwhile
        fake_spot.latency_s = 0.5
        yield updates[7]

    outcomes: list[Outcome[Kit]] = []
    async with fake_spot.client(retry=RetryPolicy(max_attempts=1)) as spot:
        await taken(spot.kits.update_metadata_many(slow(), outage_limit=60), outcomes)

    assert outcomes[-1].ok


@pytest.mark.parametrize("what", ["no row to try", "a request that is being answered"])
async def test_a_server_that_can_be_reached_by_now_does_not_stop_the_run(fake_spot: FakeSpot, what: str) -> None:
    updates = rows(fake_spot, 8)
    await fake_spot.stop()

    async def start() -> None:
        await asyncio.sleep(20)
        if what != "no row to try":
            fake_spot.latency_s = 15
        await fake_spot.start()

    async def slow() -> AsyncIterator[Any]:
        yield updates[0]
        if what == "no row to try":
            await asyncio.sleep(40)
        for row in updates[1:]:
            yield row

    starting = asyncio.ensure_future(start())
    outcomes: list[Outcome[Kit]] = []
    async with fake_spot.client(timeout_s=30) as spot:
        await taken(spot.kits.update_metadata_many(slow(), concurrency=8), outcomes)

    assert outcomes[-1].ok
    await starting


async def test_the_journal_is_free_when_the_client_is_closed(fake_spot: FakeSpot, tmp_path: Path) -> None:
    updates = rows(fake_spot, 60)
    async with fake_spot.client(concurrency=4) as spot:
        run = spot.kits.update_metadata_many(updates, journal=tmp_path / "run.journal")
        async for outcome in run:
            if outcome.index == 5:
                break

    outcomes: list[Outcome[Kit]] = []
    async with fake_spot.client() as spot:
        await taken(spot.kits.update_metadata_many(updates, journal=tmp_path / "run.journal"), outcomes)

    assert len(outcomes) == 60
    await run.aclose()


async def test_an_input_that_closes_the_client_does_not_wait_for_itself(fake_spot: FakeSpot) -> None:
    updates = rows(fake_spot, 3)
    outcomes: list[Outcome[Kit]] = []
    async with fake_spot.client() as spot:

        async def closing() -> AsyncIterator[Any]:
            yield updates[0]
            await spot.close()
            yield updates[1]

        with pytest.raises(BulkStopped, match="closed"):
            await taken(spot.kits.update_metadata_many(closing()), outcomes)

    assert now() < 1


async def test_what_the_input_raised_is_told_to_who_leaves_early(fake_spot: FakeSpot) -> None:
    updates = rows(fake_spot, 3)

    def broken() -> Iterator[Any]:
        yield from updates
        raise ZeroDivisionError

    async with fake_spot.client() as spot:
        with pytest.raises(ZeroDivisionError):
            async with spot.kits.update_metadata_many(broken()) as run:
                async for _ in run:
                    await asyncio.sleep(1)
                    break


async def test_an_input_that_answers_its_cancellation_by_an_error_does_not_disturb_who_leaves(
    fake_spot: FakeSpot,
) -> None:
    class CancelledByUserError(Exception):
        pass

    async def of_a_driver() -> AsyncIterator[Any]:
        yield rows(fake_spot, 1)[0]
        try:
            await asyncio.sleep(1000)
        except asyncio.CancelledError:
            raise CancelledByUserError from None

    async with fake_spot.client() as spot:
        async with spot.kits.update_metadata_many(of_a_driver()) as run:
            outcome = await anext(run)

        assert outcome.ok
        assert bulk_tasks() == []


async def close_in_a_task(spot: SpotClient) -> None:
    await asyncio.create_task(spot.close())


async def close_in_a_run(fake: FakeSpot, spot: SpotClient) -> None:
    async def source() -> AsyncIterator[tuple[str, dict[str, int]]]:
        yield "SPOT1", {}
        await close_in_a_task(spot)

    async with fake.client() as other:
        await taken(other.kits.update_metadata_many(source()), [])


CLOSINGS: dict[str, Callable[[FakeSpot, SpotClient], Coroutine[Any, Any, None]]] = {
    "in the run": lambda _, spot: spot.close(),
    "in a task": lambda _, spot: close_in_a_task(spot),
    "in a task's task": lambda _, spot: asyncio.wait_for(close_in_a_task(spot), 100),
    "in a run within": close_in_a_run,
}


@pytest.mark.parametrize("closing", CLOSINGS)
@pytest.mark.parametrize("is_left", [True, False])
async def test_an_input_whose_end_waits_for_a_task_that_closes_the_client_holds_nobody_up(
    fake_spot: FakeSpot, tmp_path: Path, closing: str, *, is_left: bool
) -> None:
    spot, data = fake_spot.client(), rows(fake_spot, 50)

    async def source() -> AsyncIterator[tuple[str, dict[str, int]]]:
        try:
            for row in data:
                yield row
            if is_left:
                await asyncio.Event().wait()
        finally:
            await CLOSINGS[closing](fake_spot, spot)

    began_s = now()
    with suppress(BulkStopped):
        async with spot.kits.update_metadata_many(source(), journal=tmp_path / "journal") as run:
            await anext(run)
            if not is_left:
                await taken(run, [])

    assert now() - began_s < 1
    async with fake_spot.client() as again:  # the journal is free
        outcomes: list[Outcome[Kit]] = []
        await taken(again.kits.update_metadata_many(data, journal=tmp_path / "journal"), outcomes)
    assert {outcome.state for outcome in outcomes} <= {"ok", "skipped"}


async def test_a_close_from_a_task_that_the_run_knows_nothing_of_waits_five_seconds_at_most(
    fake_spot: FakeSpot,
) -> None:
    spot, data = fake_spot.client(), rows(fake_spot, 50)
    may_close = asyncio.Event()

    async def close() -> None:
        await may_close.wait()
        await spot.close()

    closer = asyncio.create_task(close())

    async def source() -> AsyncIterator[tuple[str, dict[str, int]]]:
        try:
            for row in data:
                yield row
        finally:
            may_close.set()
            await asyncio.shield(closer)

    began_s = now()
    async with spot.kits.update_metadata_many(source()) as run:
        await anext(run)

    assert now() - began_s < 5.5
    await closer
