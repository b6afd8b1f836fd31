"""Many updates: a bounded window, each kit's order, one outcome a row."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from spotdx_async import (
    BadRequestError,
    BulkStopped,
    DecodeError,
    InvalidInputError,
    Kit,
    MetadataUpdate,
    NotFoundError,
    Outcome,
    OutcomeUnknownError,
    RetryPolicy,
    SpotClient,
    WrongAnswerError,
)
from spotdx_async.testing import FakeSpot, faults

pytestmark = pytest.mark.virtual_time


async def run(spot: SpotClient, updates: Any, **options: Any) -> list[Outcome[Kit]]:
    return [outcome async for outcome in spot.kits.update_metadata_many(updates, **options)]


def states(outcomes: list[Outcome[Kit]]) -> Counter[str]:
    return Counter(outcome.state for outcome in outcomes)


async def test_every_row_has_one_outcome_with_its_index_key_and_kit(
    fake_spot: FakeSpot, spot_client: SpotClient
) -> None:
    kit_ids = [f"SPOT{n}" for n in range(500)]
    fake_spot.kits.add_many(kit_ids)

    outcomes = await run(spot_client, ((k, {"of": k}) for k in kit_ids))

    assert sorted(outcome.index for outcome in outcomes) == list(range(500))
    assert all(outcome.ok and outcome.key == kit_ids[outcome.index] for outcome in outcomes)
    assert all(outcome.value and outcome.value.kit_id == outcome.key and outcome.attempts == 1 for outcome in outcomes)
    assert all(fake_spot.kits[k].metadata == {"of": k} for k in kit_ids)


async def test_an_async_iterable_is_read_as_well(fake_spot: FakeSpot, spot_client: SpotClient) -> None:
    async def rows() -> AsyncIterator[MetadataUpdate]:
        for n in range(10):
            await asyncio.sleep(1)
            yield MetadataUpdate("SPOT123456", {"n": n})

    outcomes = await run(spot_client, rows())

    assert [outcome.index for outcome in outcomes] == list(range(10))
    assert fake_spot.kits["SPOT123456"].metadata == {"n": 9}


@pytest.mark.no_cover
async def test_updates_of_one_kit_keep_their_order_through_faults(fake_spot: FakeSpot) -> None:
    kit_ids = [f"SPOT{n}" for n in range(20)]
    fake_spot.kits.add_many(kit_ids)
    fake_spot.faults.random(0.1, seed=3)
    async with fake_spot.client(retry=RetryPolicy(max_attempts=10, budget=False)) as spot:
        outcomes = await run(spot, ((kit_ids[n % 20], {"n": n}) for n in range(2000)))

    assert states(outcomes) == {"ok": 2000}
    for kit_id in kit_ids:
        written = [entry.metadata["n"] for entry in fake_spot.ledger if entry.kit_id == kit_id]
        assert written == sorted(written)
        assert written[-1] == 1980 + kit_ids.index(kit_id)


async def test_ordered_outcomes_come_in_the_order_of_the_rows(fake_spot: FakeSpot, spot_client: SpotClient) -> None:
    fake_spot.kits.add_many([f"SPOT{n}" for n in range(100)])
    fake_spot.faults.random(0.3, seed=5, kinds=[faults.slow_answer(1), "503"])

    outcomes = await run(spot_client, [(f"SPOT{n}", {}) for n in range(100)], ordered=True, concurrency=8)

    assert [outcome.index for outcome in outcomes] == list(range(100))


async def test_bad_rows_are_rejected_and_the_others_still_go(fake_spot: FakeSpot, spot_client: SpotClient) -> None:
    rows: list[Any] = [
        ("SPOT123456", {"a": 1}),
        ("", {}),
        ("SPOT123456", {"x": float("nan")}),
        ("SPOT123456", {1: 1}),
        "SPOT123456",
        {"kit_id": "SPOT123456"},
        None,
        ("SPOT123456", {}, 3),
        (5, {}),
        InvalidInputError("row 10 of the file is ragged"),
        ("SPOT123456", {"b": 2}),
    ]

    outcomes = await run(spot_client, rows, ordered=True)

    assert [outcome.state for outcome in outcomes] == ["ok", *["rejected"] * 9, "ok"]
    assert all(isinstance(outcome.error, InvalidInputError) for outcome in outcomes[1:-1])
    assert fake_spot.counts["requests"] == 2


async def test_each_end_of_a_row_has_its_state(fake_spot: FakeSpot) -> None:
    ends: dict[str, tuple[faults.Fault | str, str, type]] = {
        "A": ("400", "failed", BadRequestError),
        "B": ("drop_after", "unknown", OutcomeUnknownError),
        "C": ("unreadable", "unknown", DecodeError),
        "D": (faults.body(b'{"kit_id": "D", "events": 1}'), "ok", DecodeError),
        "F": (faults.body(b'{"events": 1}'), "unknown", DecodeError),
        "G": ("wrong_object", "unknown", WrongAnswerError),
        "E": ("unknown_enum", "ok", type(None)),
    }
    fake_spot.kits.add_many([*ends])
    for kit_id, (fault, _, _) in ends.items():
        fake_spot.faults.add(fault, times=None, kit_id=kit_id)
    async with fake_spot.client() as spot:
        outcomes = await run(spot, [(k, {}) for k in [*ends, "GONE"]])

    for outcome in outcomes:
        _, state, error = ends.get(outcome.key or "", ("", "failed", NotFoundError))
        assert (outcome.state, type(outcome.error)) == (state, error)


async def test_without_decoding_a_page_of_a_proxy_is_still_no_success(fake_spot: FakeSpot) -> None:
    fake_spot.faults.add("unreadable", times=None)
    async with fake_spot.client() as spot:
        (outcome,) = await run(spot, [("SPOT123456", {})], decode=False)
    assert outcome.state == "unknown"

    fake_spot.faults.clear()
    async with fake_spot.client() as spot:
        (outcome,) = await run(spot, [("SPOT123456", {})], decode=False)
    assert (outcome.state, outcome.value) == ("ok", None)


class Counted:
    """Rows without end that count how many were read."""

    def __init__(self) -> None:
        self.read = 0

    def __iter__(self) -> Iterator[tuple[str, dict[str, int]]]:
        while True:
            self.read += 1
            yield "SPOT123456" if self.read % 2 else "SPOTBARE", {"n": self.read}


async def test_rows_are_read_lazily_and_a_slow_consumer_slows_the_sending(
    fake_spot: FakeSpot, spot_client: SpotClient
) -> None:
    rows = Counted()
    outcomes = spot_client.kits.update_metadata_many(rows, concurrency=4)
    assert rows.read == 0

    for taken in range(1, 20):
        await anext(outcomes)
        await asyncio.sleep(5)
        assert rows.read <= taken + 8
        assert fake_spot.counts["requests"] <= taken + 8
    await outcomes.aclose()


async def test_leaving_the_loop_stops_the_run_and_leaves_no_task(fake_spot: FakeSpot, spot_client: SpotClient) -> None:
    rows = Counted()
    async with spot_client.kits.update_metadata_many(rows, concurrency=4) as run:
        async for outcome in run:
            if outcome.index >= 10:
                break
    sent = fake_spot.counts["requests"]
    await asyncio.sleep(60)

    assert fake_spot.counts["requests"] == sent
    assert not [task for task in asyncio.all_tasks() if task.get_name() == "spotdx bulk"]
    assert spot_client.stats.in_flight == 0


async def test_cancelling_the_consumer_cancels_the_run(fake_spot: FakeSpot, spot_client: SpotClient) -> None:
    fake_spot.latency_s = 100
    consumer = asyncio.create_task(run(spot_client, Counted()))
    await asyncio.sleep(1)
    consumer.cancel()

    with pytest.raises(asyncio.CancelledError):
        await consumer
    assert not [task for task in asyncio.all_tasks() if task.get_name() == "spotdx bulk"]


async def take_until_stopped(spot: SpotClient, updates: Any, **options: Any) -> tuple[list[Outcome[Kit]], BulkStopped]:
    outcomes: list[Outcome[Kit]] = []
    with pytest.raises(BulkStopped) as caught:
        async for outcome in spot.kits.update_metadata_many(updates, **options):
            outcomes.append(outcome)  # noqa: PERF401 - those before the error count
    return outcomes, caught.value


async def test_a_refused_token_stops_the_run_and_accounts_for_every_row_read(fake_spot: FakeSpot) -> None:
    rows = Counted()
    async with fake_spot.client(token="wrong") as spot:
        outcomes, stopped = await take_until_stopped(spot, rows, concurrency=4)

    assert stopped.next_index == rows.read == len(outcomes)
    assert sorted(outcome.index for outcome in outcomes) == list(range(rows.read))
    assert set(states(outcomes)) == {"failed", "skipped"}
    assert stopped.unsent == states(outcomes)["skipped"]
    assert fake_spot.counts["requests"] <= 4
    assert "AuthenticationError" in str(stopped)


async def test_three_refusals_in_a_row_stop_the_run_and_two_do_not(
    fake_spot: FakeSpot, spot_client: SpotClient
) -> None:
    fake_spot.faults.add("403", times=2)
    assert states(await run(spot_client, [("SPOT123456", {})] * 5)) == {"failed": 2, "ok": 3}

    fake_spot.faults.add("403", times=3)
    outcomes, stopped = await take_until_stopped(spot_client, [("SPOT123456", {})] * 500, concurrency=2)
    assert states(outcomes)["failed"] == 3
    assert stopped.next_index < 20


async def test_stop_after_ends_the_run(fake_spot: FakeSpot, spot_client: SpotClient) -> None:
    fake_spot.faults.add("400", times=None)

    outcomes, _ = await take_until_stopped(spot_client, Counted(), concurrency=1, stop_after=5)

    assert states(outcomes)["failed"] == 5


async def test_an_input_that_raises_is_raised_after_the_rows_before_it(spot_client: SpotClient) -> None:
    def rows() -> Iterator[tuple[str, dict[str, int]]]:
        for n in range(7):
            yield "SPOT123456", {"n": n}
        raise OSError("the disk is gone")

    outcomes: list[Outcome[Kit]] = []
    with pytest.raises(OSError, match="the disk is gone"):
        async for outcome in spot_client.kits.update_metadata_many(rows()):
            outcomes.append(outcome)  # noqa: PERF401 - those before the error count
    assert states(outcomes) == {"ok": 7}


async def test_an_error_from_a_limiter_of_the_callers_is_not_lost(fake_spot: FakeSpot) -> None:
    class Broken:
        async def acquire(self) -> None:
            raise LookupError("no redis")

        def pause(self, seconds: float) -> None: ...

    outcomes: list[Outcome[Kit]] = []
    async with fake_spot.client(rate_limit=Broken()) as spot:
        with pytest.raises(LookupError):
            async for outcome in spot.kits.update_metadata_many([("SPOT123456", {})] * 3, concurrency=1):
                outcomes.append(outcome)  # noqa: PERF401 - those before the error count
    assert states(outcomes) == {"skipped": 3}
    assert fake_spot.counts["requests"] == 0


@pytest.mark.parametrize("updates", [{"SPOT1": {}}, "SPOT1", b"SPOT1", 5, None])
async def test_what_holds_no_rows_is_refused_at_once(spot_client: SpotClient, updates: Any) -> None:
    with pytest.raises(InvalidInputError, match="updates"):
        spot_client.kits.update_metadata_many(updates)


@pytest.mark.parametrize("options", [{"concurrency": 0}, {"concurrency": 1.5}, {"stop_after": 0}])
async def test_unusable_options_are_refused_at_once(spot_client: SpotClient, options: Any) -> None:
    with pytest.raises(InvalidInputError):
        spot_client.kits.update_metadata_many([], **options)


async def test_no_rows_give_no_outcomes(spot_client: SpotClient) -> None:
    assert await run(spot_client, []) == []
