"""What a bulk run does while the server is unavailable: rows wait, one probes, nothing fails."""

import asyncio
from collections import Counter
from typing import Any

import pytest

from spotdx_async import BulkStopped, GateRecord, Kit, Observer, Outcome, Progress, RateLimit, RetryPolicy, ServerError
from spotdx_async.testing import FakeSpot, faults

pytestmark = [pytest.mark.virtual_time, pytest.mark.no_cover]


def now() -> float:
    return asyncio.get_running_loop().time()


class Outage:
    """A fault that plays on every request from one moment to another."""

    def __init__(self, fake: FakeSpot, fault: Any, *, from_s: float, to_s: float) -> None:
        self.from_s, self.to_s = now() + from_s, now() + to_s
        self._fake = fake
        loop = asyncio.get_running_loop()
        loop.call_at(self.from_s, lambda: fake.faults.add(fault, times=None))
        loop.call_at(self.to_s, fake.faults.clear)

    def requests_during(self) -> int:
        return sum(self.from_s <= request.at_s < self.to_s for request in self._fake.requests)

    def requests_in_second_after(self, second: int) -> int:
        return sum(second <= request.at_s - self.to_s < second + 1 for request in self._fake.requests)


def rows(fake: FakeSpot, count: int) -> list[tuple[str, dict[str, int]]]:
    kit_ids = [f"SPOT{n}" for n in range(count)]
    fake.kits.add_many(kit_ids)
    return [(kit_id, {"n": n}) for n, kit_id in enumerate(kit_ids)]


@pytest.mark.parametrize("fault", ["503", "500", "drop_before", "unreadable"])
async def test_a_minute_of_outage_costs_few_requests_and_no_row(fake_spot: FakeSpot, fault: str) -> None:
    updates = rows(fake_spot, 850)
    outage = Outage(fake_spot, fault, from_s=3, to_s=63)
    async with fake_spot.client(rate_limit=RateLimit(50)) as spot:
        outcomes = [outcome async for outcome in spot.kits.update_metadata_many(updates)]

    assert Counter(outcome.state for outcome in outcomes) == {"ok": 850}
    assert outage.requests_during() <= 30
    assert outage.requests_in_second_after(9) >= 45
    assert all(outage.requests_in_second_after(second) <= 50 + 5 for second in range(10))
    assert max(outcome.attempts for outcome in outcomes) <= 6
    assert all(fake_spot.kits[kit_id].metadata == metadata for kit_id, metadata in updates)


@pytest.mark.parametrize("concurrency", [1, 2, 5])
async def test_few_workers_lose_no_row_either(fake_spot: FakeSpot, concurrency: int) -> None:
    updates = rows(fake_spot, 600)
    outage = Outage(fake_spot, "503", from_s=2, to_s=62)
    async with fake_spot.client(rate_limit=RateLimit(100)) as spot:
        run = spot.kits.update_metadata_many(updates, concurrency=concurrency)
        states = Counter([outcome.state async for outcome in run])

    assert states == {"ok": 600}
    assert outage.requests_during() <= 45


@pytest.mark.parametrize("concurrency", [16, 64])
async def test_the_end_of_an_outage_in_which_nothing_is_answered_is_seen_within_seconds(
    fake_spot: FakeSpot, concurrency: int
) -> None:
    """A probe that hangs holds up no other one."""
    updates = rows(fake_spot, 1000)
    outage = Outage(fake_spot, faults.slow(3600), from_s=2, to_s=52)
    async with fake_spot.client(rate_limit=RateLimit(50), timeout_s=30) as spot:
        run = spot.kits.update_metadata_many(updates, concurrency=concurrency)
        states = Counter([outcome.state async for outcome in run])

    assert states == {"ok": 1000}
    assert outage.requests_during() <= concurrency + 20
    later = [request.at_s - outage.to_s for request in fake_spot.requests if request.at_s >= outage.to_s]
    assert min(later) <= 5
    assert outage.requests_in_second_after(12) >= 45


async def test_single_calls_of_the_same_client_are_not_held_up(fake_spot: FakeSpot) -> None:
    updates = rows(fake_spot, 200)
    fake_spot.faults.add("503", times=None, method="POST")
    async with fake_spot.client() as spot:
        run = spot.kits.update_metadata_many(updates, outage_limit=600)
        consumer = asyncio.ensure_future(anext(run))
        await asyncio.sleep(30)

        async with asyncio.timeout(0.1):
            assert (await spot.kits.get("SPOT1")).kit_id == "SPOT1"
        consumer.cancel()
        await asyncio.wait([consumer])


async def test_an_outage_beyond_its_limit_stops_the_run_and_accounts_for_every_row(fake_spot: FakeSpot) -> None:
    updates = rows(fake_spot, 1000)
    fake_spot.faults.add("503", times=None)
    outcomes: list[Outcome[Kit]] = []
    async with fake_spot.client() as spot:
        with pytest.raises(BulkStopped, match="outage_limit") as caught:
            async for outcome in spot.kits.update_metadata_many(updates, outage_limit=120):
                outcomes.append(outcome)  # noqa: PERF401 - those before the error count

    assert 120 <= now() <= 130
    sent = {request.kit_id for request in fake_spot.requests}
    assert {outcome.key for outcome in outcomes if outcome.state == "unknown"} == sent
    assert all(outcome.state == "skipped" for outcome in outcomes if outcome.key not in sent)
    assert sorted(outcome.index for outcome in outcomes) == list(range(len(outcomes)))
    assert caught.value.next_index == len(outcomes)
    assert caught.value.unsent == len(outcomes) - len(sent)


async def test_rows_that_may_have_been_carried_out_end_unknown_when_the_run_stops(fake_spot: FakeSpot) -> None:
    updates = rows(fake_spot, 100)
    fake_spot.faults.add("drop_after", times=None)
    outcomes: list[Outcome[Kit]] = []
    async with fake_spot.client() as spot:
        with pytest.raises(BulkStopped):
            async for outcome in spot.kits.update_metadata_many(updates, concurrency=10, outage_limit=60):
                outcomes.append(outcome)  # noqa: PERF401 - those before the error count

    executed = {request.kit_id for request in fake_spot.requests if request.executed}
    assert {outcome.key for outcome in outcomes if outcome.state == "unknown"} == executed
    assert all(outcome.state == "skipped" for outcome in outcomes if outcome.key not in executed)


@pytest.mark.parametrize("state", ["closed", "open"])
async def test_what_an_observer_raises_when_a_run_pauses_leaves_known_what_became_of_its_rows(
    fake_spot: FakeSpot, state: str
) -> None:
    class Interrupt(BaseException):
        pass

    class Interrupting(Observer):
        def gate(self, mark: object, record: GateRecord) -> None:  # noqa: ARG002 - as it is called
            if record.state == state:
                raise Interrupt

    updates = rows(fake_spot, 300)
    fake_spot.latency_s = 0.1
    Outage(fake_spot, "503", from_s=1, to_s=11)
    outcomes: list[Outcome[Kit]] = []
    async with fake_spot.client(rate_limit=RateLimit(50), observer=Interrupting()) as spot:
        with pytest.raises(Interrupt):
            async for outcome in spot.kits.update_metadata_many(updates, concurrency=8):
                outcomes.append(outcome)  # noqa: PERF401 - those before the error count

    states = {outcome.key: outcome.state for outcome in outcomes}
    executed = {request.kit_id for request in fake_spot.requests if request.executed}
    assert {states[kit_id] for kit_id in states.keys() & executed} == {"ok"}
    sent = {request.kit_id for request in fake_spot.requests}
    assert {states[kit_id] for kit_id in states.keys() & (sent - executed)} <= {"unknown"}
    assert len(states.keys() & sent) >= 30


async def test_rows_that_the_server_cannot_digest_fail_while_others_go_through(fake_spot: FakeSpot) -> None:
    updates = rows(fake_spot, 400)
    for n in range(0, 400, 100):
        fake_spot.faults.add("500", times=None, kit_id=f"SPOT{n}")
    async with fake_spot.client() as spot:
        outcomes = [outcome async for outcome in spot.kits.update_metadata_many(updates)]

    failed = [outcome for outcome in outcomes if not outcome.ok]
    assert {outcome.key for outcome in failed} == {"SPOT0", "SPOT100", "SPOT200", "SPOT300"}
    assert {outcome.state for outcome in failed} == {"unknown"}
    assert all(isinstance(outcome.error, ServerError) and outcome.error.may_be_executed for outcome in failed)
    assert all(outcome.attempts == outcome.error.attempts <= 6 for outcome in failed if outcome.error)


@pytest.mark.parametrize("concurrency", [1, 64])
async def test_a_row_of_its_own_that_always_fails_ends_as_a_single_call_would(
    fake_spot: FakeSpot, concurrency: int
) -> None:
    fake_spot.faults.add("503", times=None)
    async with fake_spot.client() as spot:
        run = spot.kits.update_metadata_many([("SPOT123456", {})], concurrency=concurrency)
        (outcome,) = [outcome async for outcome in run]

    assert (outcome.state, outcome.attempts) == ("unknown", 4)


async def test_a_failure_after_a_try_that_may_have_been_carried_out_is_unknown(fake_spot: FakeSpot) -> None:
    fake_spot.faults.add("drop_after")
    fake_spot.faults.add("503", times=None)
    async with fake_spot.client() as spot:
        (outcome,) = [outcome async for outcome in spot.kits.update_metadata_many([("SPOT123456", {})])]

    assert outcome.state == "unknown"
    assert outcome.error is not None
    assert "earlier attempt" in str(outcome.error)


async def test_where_repeats_are_switched_off_a_row_is_tried_once(fake_spot: FakeSpot) -> None:
    updates = rows(fake_spot, 3)
    fake_spot.faults.add("503", times=None, kit_id="SPOT1")
    async with fake_spot.client(retry=RetryPolicy(max_attempts=1)) as spot:
        outcomes = [outcome async for outcome in spot.kits.update_metadata_many(updates, ordered=True)]

    assert [(outcome.state, outcome.attempts) for outcome in outcomes] == [("ok", 1), ("unknown", 1), ("ok", 1)]


async def test_many_failures_by_chance_fail_no_row(fake_spot: FakeSpot) -> None:
    updates = rows(fake_spot, 3000)
    fake_spot.faults.random(0.25, seed=11, kinds=["500", "502", "503", "drop_before", "half_body"])
    async with fake_spot.client() as spot:
        states = Counter([outcome.state async for outcome in spot.kits.update_metadata_many(updates)])

    assert states == {"ok": 3000}


async def test_throttling_fails_no_row_and_is_no_outage(fake_spot: FakeSpot) -> None:
    updates = rows(fake_spot, 300)
    fake_spot.faults.random(0.5, seed=2, kinds=[faults.status(429, retry_after=1), "429"])
    told: list[Progress] = []
    async with fake_spot.client(max_wait_s=0.5, deadline_s=3) as spot:
        run = spot.kits.update_metadata_many(updates, progress=told.append)
        states = Counter([outcome.state async for outcome in run])

    assert states == {"ok": 300}
    assert told[-1].throttled == fake_spot.counts["429"] > 0
    assert not any(progress.is_paused for progress in told)


async def test_progress_tells_of_the_outage(fake_spot: FakeSpot) -> None:
    updates = rows(fake_spot, 300)
    Outage(fake_spot, "503", from_s=1, to_s=21)
    told: list[Progress] = []
    async with fake_spot.client(rate_limit=RateLimit(100)) as spot:
        async for _ in spot.kits.update_metadata_many(updates, progress=told.append):
            pass

    closed = [progress.elapsed_s for progress in told if progress.is_paused]
    assert 1 <= closed[0] <= 2
    assert 19 <= closed[-1] <= 26
    assert told[-1].done == told[-1].total == told[-1].by_state["ok"] == 300
    assert not told[-1].is_paused
