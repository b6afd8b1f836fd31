"""What a bulk run says of itself: why it stopped, how far it came, which server it was, and what to do next."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from spotdx_async import BulkStopped, JournalError, NotSentError, OutcomeUnknownError, RetryPolicy, SpotClient
from spotdx_async.testing import FakeSpot, faults

pytestmark = pytest.mark.virtual_time


async def ending_of(spot: SpotClient, updates: Any, **options: Any) -> tuple[list[Any], BulkStopped]:
    outcomes = []
    with pytest.raises(BulkStopped) as caught:
        async for outcome in spot.kits.update_metadata_many(updates, **options):
            outcomes.append(outcome)  # noqa: PERF401 - those before the error count
    return outcomes, caught.value


def rows(fake: FakeSpot, count: int) -> list[tuple[str, dict[str, int]]]:
    kit_ids = [f"SPOT{n}" for n in range(count)]
    fake.kits.add_many(kit_ids)
    return [(kit_id, {"n": n}) for n, kit_id in enumerate(kit_ids)]


async def test_three_redirects_in_a_row_stop_a_run_as_three_403_do(fake_spot: FakeSpot) -> None:
    updates = rows(fake_spot, 50)
    fake_spot.faults.add("redirect", times=None)
    async with fake_spot.client() as spot:
        outcomes, stopped = await ending_of(spot, updates, concurrency=1)

    assert len(fake_spot.requests) == 3
    assert [outcome.state for outcome in outcomes[:4]] == ["unknown", "unknown", "unknown", "skipped"]
    assert isinstance(stopped.cause, OutcomeUnknownError)
    assert stopped.cause.reason == "redirect"
    assert "check base_url" in str(stopped)


async def test_redirects_between_answers_stop_nothing(fake_spot: FakeSpot) -> None:
    updates = rows(fake_spot, 20)
    for kit_id, _ in updates[::2]:
        fake_spot.faults.add("redirect", kit_id=kit_id)
    async with fake_spot.client() as spot:
        run = spot.kits.update_metadata_many(updates, concurrency=1)
        states = [outcome.state async for outcome in run]

    assert states == ["unknown", "ok"] * 10


async def test_a_run_that_stops_counts_its_rows_in_words(fake_spot: FakeSpot) -> None:
    updates = rows(fake_spot, 9)
    fake_spot.faults.add("401", times=None)
    async with fake_spot.client() as spot:
        _, of_one = await ending_of(spot, updates[:1])
        _, of_nine = await ending_of(spot, updates, concurrency=1)

    assert "the run stopped after 1 row was read, by AuthenticationError" in str(of_one)
    assert "the run stopped after 8 rows were read, 7 of them not sent, by AuthenticationError" in str(of_nine)


async def test_a_run_whose_journal_was_deleted_does_not_say_that_it_goes_on(
    fake_spot: FakeSpot, tmp_path: Path
) -> None:
    updates = rows(fake_spot, 4)
    journal = tmp_path / "run.journal"

    async def slowly() -> AsyncIterator[Any]:
        for update in updates:
            yield update
            await asyncio.sleep(1)
            journal.unlink(missing_ok=True)

    async with fake_spot.client() as spot:
        _, stopped = await ending_of(spot, slowly(), journal=journal)

    assert isinstance(stopped.cause, JournalError)
    assert "was moved or deleted during the run" in str(stopped)
    assert "goes on" not in str(stopped)


async def test_a_row_that_never_reached_the_server_names_it() -> None:
    async with SpotClient("token", base_url="http://127.0.0.1:9", retry=RetryPolicy(max_attempts=1)) as spot:
        outcomes = [outcome async for outcome in spot.kits.update_metadata_many([("SPOTX", {})])]

    assert isinstance(outcomes[0].error, NotSentError)
    assert "refused the connection, so nothing was sent (127.0.0.1:9)" in str(outcomes[0].error)


async def test_rows_of_an_outage_that_were_sent_are_neither_skipped_nor_called_not_sent(fake_spot: FakeSpot) -> None:
    updates = rows(fake_spot, 40)
    fake_spot.faults.add(faults.status(504), times=None)
    async with fake_spot.client() as spot:
        outcomes, stopped = await ending_of(spot, updates, outage_limit=30)

    sent = {request.kit_id for request in fake_spot.requests}
    assert sent
    assert {outcome.key for outcome in outcomes if outcome.state == "unknown"} == sent
    assert {outcome.key for outcome in outcomes if outcome.state == "skipped"} == {key for key, _ in updates} - sent
    assert not any(isinstance(outcome.error, NotSentError) for outcome in outcomes if outcome.state == "unknown")
    assert stopped.unsent == len(updates) - len(sent)


@pytest.mark.parametrize("max_attempts", [1, 4])
async def test_a_row_whose_every_try_was_answered_504_ends_unknown(fake_spot: FakeSpot, max_attempts: int) -> None:
    fake_spot.kits.add("SPOTX")
    fake_spot.faults.add("504", times=None)
    async with fake_spot.client(retry=RetryPolicy(max_attempts=max_attempts)) as spot:
        (outcome,) = [outcome async for outcome in spot.kits.update_metadata_many([("SPOTX", {})])]

    assert outcome.state == "unknown"
    assert outcome.error is not None
    assert outcome.error.may_be_executed
    assert "not executed" not in str(outcome.error)


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (faults.body(b'{"message": "canary"}', executes=False), "unusable answer: kit_id is missing"),
        (faults.body(b"[]", executes=False), "unusable answer: it is not an object"),
        (faults.body(b"<html>canary", executes=False), "unusable answer: the text is not JSON"),
    ],
)
async def test_an_outage_of_unusable_answers_is_told_in_words(
    fake_spot: FakeSpot, caplog: pytest.LogCaptureFixture, fault: Any, reason: str
) -> None:
    updates = rows(fake_spot, 20)
    fake_spot.faults.add(fault, times=None)
    async with fake_spot.client() as spot:
        _, stopped = await ending_of(spot, updates, outage_limit=5)

    (closed,) = (record.getMessage() for record in caplog.records if getattr(record, "spotdx_gate", None) == "closed")
    assert f": {reason})" in closed
    assert reason in str(stopped)
    assert "DecodeError" not in f"{closed} {stopped}"
    assert "canary" not in f"{closed} {stopped}"
