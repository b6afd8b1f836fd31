"""Once an attempt may have been executed, nothing that happens later makes a call surely not executed."""

import asyncio
import pickle

import pytest

from spotdx_async import (
    BadRequestError,
    NotFoundError,
    NotSentError,
    OutcomeUnknownError,
    RateLimitError,
    RetryPolicy,
    ServerError,
    SpotClient,
    SpotError,
)
from spotdx_async.testing import FakeSpot

pytestmark = pytest.mark.virtual_time
EARLIER = "an earlier attempt may have been executed"
MAY_BE = ["drop_after", "504", "500", "408", "unreadable"]


async def error_of(call: object) -> SpotError:
    with pytest.raises(SpotError) as caught:
        await call  # type: ignore[misc]
    return caught.value


@pytest.mark.parametrize("first", MAY_BE)
async def test_a_token_that_cannot_be_had_for_the_repeat_is_no_proof(fake_spot: FakeSpot, first: str) -> None:
    tokens = iter([fake_spot.token])

    def token() -> str:
        return next(tokens)

    fake_spot.faults.add(first)
    fake_spot.faults.add("401")
    async with fake_spot.client(token=token) as spot:
        error = await error_of(spot.kits.update_metadata("SPOT123456", {}))

    assert type(error) is OutcomeUnknownError
    assert EARLIER in str(error)


@pytest.mark.parametrize("first", MAY_BE)
async def test_a_client_that_is_closed_before_the_repeat_is_no_proof(fake_spot: FakeSpot, first: str) -> None:
    fake_spot.faults.add(first)
    async with fake_spot.client(retry=RetryPolicy(base_s=20)) as spot:
        call = asyncio.create_task(spot.kits.update_metadata("SPOT123456", {}))
        while not spot.stats.retries:
            await asyncio.sleep(0.001)
        await spot.close()

        assert type(await error_of(call)) is OutcomeUnknownError


@pytest.mark.parametrize("first", MAY_BE)
@pytest.mark.parametrize(("status", "kind"), [(404, NotFoundError), (400, BadRequestError)])
async def test_a_final_no_after_it_says_so(
    fake_spot: FakeSpot, spot_client: SpotClient, first: str, status: int, kind: type[SpotError]
) -> None:
    fake_spot.faults.add(first)
    fake_spot.faults.add(str(status))

    error = await error_of(spot_client.kits.update_metadata("SPOT123456", {}))

    assert type(error) is kind
    assert error.may_be_executed
    assert EARLIER in str(error)
    assert pickle.loads(pickle.dumps(error)).may_be_executed


async def test_a_no_at_once_says_nothing_of_the_kind(fake_spot: FakeSpot, spot_client: SpotClient) -> None:
    fake_spot.faults.add("404")

    error = await error_of(spot_client.kits.update_metadata("SPOT123456", {}))

    assert not error.may_be_executed
    assert EARLIER not in str(error)


async def test_a_server_that_fails_every_time_may_have_executed_it(
    fake_spot: FakeSpot, spot_client: SpotClient
) -> None:
    fake_spot.faults.add("503", times=None)

    error = await error_of(spot_client.kits.update_metadata("SPOT123456", {}))

    assert type(error) is ServerError
    assert error.may_be_executed


@pytest.mark.parametrize("first", MAY_BE)
async def test_a_throttled_repeat_is_no_proof(fake_spot: FakeSpot, spot_client: SpotClient, first: str) -> None:
    fake_spot.faults.add(first)
    fake_spot.faults.add("429", times=None)

    error = await error_of(spot_client.kits.update_metadata("SPOT123456", {}))

    assert type(error) is OutcomeUnknownError
    assert error.status == 429


async def test_a_throttled_call_was_surely_not_executed(fake_spot: FakeSpot, spot_client: SpotClient) -> None:
    fake_spot.faults.add("429", times=None)

    error = await error_of(spot_client.kits.update_metadata("SPOT123456", {}))

    assert type(error) is RateLimitError
    assert not error.may_be_executed


async def test_a_read_changes_nothing_whenever_it_is_carried_out(fake_spot: FakeSpot, spot_client: SpotClient) -> None:
    fake_spot.faults.add("503")
    fake_spot.faults.add("404")

    error = await error_of(spot_client.kits.get("SPOT123456"))

    assert type(error) is NotFoundError
    assert not error.may_be_executed


async def test_a_deadline_after_it_is_no_proof(fake_spot: FakeSpot) -> None:
    fake_spot.faults.add("drop_after")
    fake_spot.faults.add("429", times=None)
    async with fake_spot.client(deadline_s=0.5, retry=RetryPolicy(throttle_base_s=30, cap_s=60)) as spot:
        error = await error_of(spot.kits.update_metadata("SPOT123456", {}))

    assert type(error) is OutcomeUnknownError
    assert not isinstance(error, NotSentError)
