"""What is repeated, what is not, and what the caller gets in the end."""

import asyncio
import logging

import pytest

from spotdx_async import (
    BadRequestError,
    DecodeError,
    NotSentError,
    OutcomeUnknownError,
    PermissionDeniedError,
    RateLimitError,
    RetryPolicy,
    ServerError,
    SpotClient,
    SpotError,
    StatusError,
)
from spotdx_async.testing import FakeSpot, faults

pytestmark = pytest.mark.virtual_time
PASSING = ["408", "425", "429", "500", "502", "503", "504", "drop_before", "drop_after", "half_body", "unreadable"]


@pytest.mark.parametrize("fault", [*PASSING, "broken_json"])
async def test_an_update_goes_through_three_passing_troubles(
    fake_spot: FakeSpot, spot_client: SpotClient, fault: str
) -> None:
    fake_spot.faults.add(fault, times=3)

    await spot_client.kits.update_metadata("SPOT123456", {"n": 1})

    assert fake_spot.kits["SPOT123456"].metadata == {"n": 1}
    assert fake_spot.counts["requests"] == 4
    assert (spot_client.stats.attempts, spot_client.stats.retries, spot_client.stats.calls) == (4, 3, 1)


@pytest.mark.parametrize(
    ("fault", "error", "status"),
    [
        ("503", ServerError, 503),
        ("429", RateLimitError, 429),
        ("408", StatusError, 408),
        ("drop_after", OutcomeUnknownError, None),
        ("half_body", OutcomeUnknownError, 200),
        ("unreadable", DecodeError, None),
    ],
)
async def test_an_update_that_never_gets_through_ends_in_the_last_error(
    fake_spot: FakeSpot, spot_client: SpotClient, fault: str, error: type[SpotError], status: int | None
) -> None:
    fake_spot.faults.add(fault, times=None)

    with pytest.raises(error) as caught:
        await spot_client.kits.update_metadata("SPOT123456", {})

    assert getattr(caught.value, "status", None) == status
    assert caught.value.attempts == fake_spot.counts["requests"] == 4
    assert caught.value.operation == "POST /api/v2/kits/{kit_id}/"


@pytest.mark.parametrize(
    ("code", "error"),
    [(400, BadRequestError), (403, PermissionDeniedError), (409, StatusError), (418, StatusError), (501, ServerError)],
)
async def test_a_final_no_is_not_repeated(
    fake_spot: FakeSpot, spot_client: SpotClient, code: int, error: type[SpotError]
) -> None:
    fake_spot.faults.add(faults.status(code, form="guide"))

    with pytest.raises(error) as caught:
        await spot_client.kits.update_metadata("SPOT123456", {})

    assert caught.value.attempts == fake_spot.counts["requests"] == 1


async def test_json_of_another_shape_means_done_and_is_not_repeated(
    fake_spot: FakeSpot, spot_client: SpotClient
) -> None:
    fake_spot.faults.add(faults.body(b'{"kit_id": "SPOT123456", "events": 7}'))

    with pytest.raises(DecodeError) as caught:
        await spot_client.kits.update_metadata("SPOT123456", {})

    assert (caught.value.outcome, caught.value.path, caught.value.attempts) == ("done", "events", 1)
    assert caught.value.raw == {"kit_id": "SPOT123456", "events": 7}


async def test_a_redirect_is_never_followed(fake_spot: FakeSpot, spot_client: SpotClient) -> None:
    fake_spot.faults.add(faults.redirect(307, location="/api/v2/kits/SPOT123456/"))

    with pytest.raises(OutcomeUnknownError) as caught:
        await spot_client.kits.update_metadata("SPOT123456", {"x": 1})

    assert (caught.value.status, caught.value.reason) == (307, "redirect")
    assert fake_spot.counts["requests"] == 1


CREATE = ("POST", "/api/v2/kits/SPOT123456/")


@pytest.mark.parametrize("fault", ["drop_before", "drop_after", "half_body", "unreadable", "500", "502", "503", "504"])
async def test_what_must_not_be_done_twice_is_not_repeated_once_it_may_have_been_executed(
    fake_spot: FakeSpot, spot_client: SpotClient, fault: str
) -> None:
    fake_spot.faults.add(fault)

    if fault == "unreadable":  # request gives the bytes, and leaves reading them to the caller
        response = await spot_client.request(*CREATE, json={"metadata": {}})
        with pytest.raises(DecodeError):
            response.json()
    else:
        with pytest.raises(OutcomeUnknownError) as caught:
            await spot_client.request(*CREATE, json={"metadata": {}})
        assert caught.value.attempts == 1
    assert fake_spot.counts["requests"] == 1


async def test_what_must_not_be_done_twice_is_repeated_after_429(fake_spot: FakeSpot, spot_client: SpotClient) -> None:
    fake_spot.faults.add("429", times=2)

    response = await spot_client.request(*CREATE, json={"metadata": {"x": 1}})

    assert response.attempts == fake_spot.counts["requests"] == 3
    assert len(fake_spot.ledger) == 1


async def test_each_create_has_a_connection_of_its_own_and_updates_share_one(
    fake_spot: FakeSpot, spot_client: SpotClient
) -> None:
    for _ in range(3):
        await spot_client.request(*CREATE, json={"metadata": {}})
        await spot_client.kits.update_metadata("SPOT123456", {})

    creates, updates = fake_spot.requests[::2], fake_spot.requests[1::2]
    assert len({r.connection for r in creates}) == 3
    assert len({r.connection for r in updates}) == 1


async def test_a_timeout_of_one_attempt_is_repeated(fake_spot: FakeSpot) -> None:
    fake_spot.faults.add(faults.slow_answer(60))
    async with fake_spot.client(timeout_s=2) as spot:
        await spot.kits.update_metadata("SPOT123456", {"x": 1})

    assert fake_spot.counts["requests"] == 2


async def test_a_refused_connection_is_surely_not_sent(fake_spot: FakeSpot, spot_client: SpotClient) -> None:
    await fake_spot.stop()

    with pytest.raises(NotSentError) as caught:
        await spot_client.request(*CREATE, json={})

    assert (caught.value.reason, caught.value.attempts) == ("refused", 4)


async def test_refused_after_an_unknown_attempt_is_still_unknown(fake_spot: FakeSpot) -> None:
    fake_spot.faults.add("drop_after")
    async with fake_spot.client(retry=RetryPolicy(base_s=1.0)) as spot:
        call = asyncio.create_task(spot.kits.update_metadata("SPOT123456", {"x": 1}))
        while not fake_spot.ledger:
            await asyncio.sleep(0.001)
        await fake_spot.stop()

        with pytest.raises(OutcomeUnknownError):
            await call
    assert fake_spot.kits["SPOT123456"].metadata == {"x": 1}


async def test_a_read_whose_kept_connection_breaks_is_sent_again_by_the_policy_alone(fake_spot: FakeSpot) -> None:
    async with fake_spot.client(retry=RetryPolicy(max_attempts=1)) as spot:
        await spot.kits.get("SPOT123456")
        fake_spot.faults.add("drop_before")
        with pytest.raises(OutcomeUnknownError):
            await spot.kits.get("SPOT123456")
    assert [request.method for request in fake_spot.requests] == ["GET", "GET"]


async def test_one_attempt_means_one(fake_spot: FakeSpot) -> None:
    fake_spot.faults.add("503", times=None)
    async with fake_spot.client(retry=RetryPolicy(max_attempts=1)) as spot:
        with pytest.raises(ServerError):
            await spot.kits.update_metadata("SPOT123456", {})
    assert fake_spot.counts["requests"] == 1


async def test_a_view_has_its_own_policy_on_the_same_counts(fake_spot: FakeSpot, spot_client: SpotClient) -> None:
    fake_spot.faults.add("503", times=None)
    once = spot_client.with_options(retry=RetryPolicy(max_attempts=1))

    with pytest.raises(ServerError) as caught:
        await once.kits.get("SPOT123456")

    assert caught.value.attempts == 1
    assert once.stats == spot_client.stats
    assert spot_client.stats.calls == 1


@pytest.mark.no_cover
@pytest.mark.parametrize("trouble", ["503", "drop_before"])
@pytest.mark.parametrize("is_read", [False, True])
async def test_a_total_outage_is_not_amplified(
    fake_spot: FakeSpot, spot_client: SpotClient, trouble: str, *, is_read: bool
) -> None:
    fake_spot.faults.add(trouble, times=None)
    kits = spot_client.kits

    calls = (kits.get("SPOT123456") if is_read else kits.update_metadata("SPOT123456", {}) for _ in range(1000))
    ends = await asyncio.gather(*calls, return_exceptions=True)

    assert all(isinstance(end, SpotError) for end in ends)
    assert fake_spot.counts["requests"] <= 1100
    assert spot_client.stats.retry_budget < 1


@pytest.mark.no_cover
async def test_a_brownout_loses_almost_nothing_and_costs_little(fake_spot: FakeSpot, spot_client: SpotClient) -> None:
    fake_spot.faults.random(0.1, seed=7, kinds=["503"])

    ends = await asyncio.gather(
        *(spot_client.kits.update_metadata("SPOT123456", {"n": n}) for n in range(2000)), return_exceptions=True
    )

    failed = [end for end in ends if isinstance(end, BaseException)]
    assert len(failed) <= 2
    assert fake_spot.counts["requests"] <= 2000 + fake_spot.faults.played["503"]


async def test_repeats_are_logged_without_ids(
    fake_spot: FakeSpot, spot_client: SpotClient, caplog: pytest.LogCaptureFixture
) -> None:
    fake_spot.faults.add(faults.status(503, retry_after=2))
    with caplog.at_level(logging.DEBUG, logger="spotdx_async"):
        await spot_client.kits.update_metadata("SPOT123456", {"secret": "x"})

    assert [record.levelname for record in caplog.records if record.name == "spotdx_async"] == ["WARNING", "INFO"]
    assert "SPOT123456" not in caplog.text
    assert "secret" not in caplog.text
