"""A client, or a caller's session, closed at each step of a call, which ends by an error of ours that tells the truth.

aiohttp ends what it had begun in several ways then; some of them are no ClientError.
"""

import asyncio
from typing import Any

import aiohttp
import pytest

from spotdx_async import NotSentError, RetryPolicy, SpotError
from spotdx_async.testing import FakeSpot, faults

STEPS = range(60)


async def after(steps: int) -> None:
    for _ in range(steps):
        await asyncio.sleep(0)


async def end_of_a_call(spot: Any, *, is_update: bool) -> SpotError | None:
    body = {"metadata": {"long": "x" * 100_000}}
    try:
        if is_update:
            await spot.kits.update_metadata("SPOT123456", body["metadata"])
        else:
            await spot.request("POST", "/api/v2/kits/SPOT123456/", json=body)
    except SpotError as error:
        return error
    return None


@pytest.mark.parametrize("answer", ["whole", "half"])
@pytest.mark.parametrize("is_update", [True, False], ids=["update", "sent once"])
@pytest.mark.parametrize("whose", ["own", "caller's"])
async def test_a_close_at_any_step_ends_the_call_by_an_error_that_is_true(
    whose: str, answer: str, *, is_update: bool
) -> None:
    ends: set[str] = set()
    for steps in STEPS:
        async with FakeSpot(kits=["SPOT123456"]) as fake, aiohttp.ClientSession() as session:
            if answer == "half":
                fake.faults.add(faults.half_body(), times=100)
            spot = fake.client(session=None if whose == "own" else session, retry=RetryPolicy(max_attempts=1))
            call = asyncio.ensure_future(end_of_a_call(spot, is_update=is_update))
            await after(steps)
            await (spot if whose == "own" else session).close()
            end = await call
            await spot.close()
            ends.add(type(end).__name__)
            assert end is not None or len(fake.ledger) == 1
            if fake.ledger and end is not None:
                assert end.may_be_executed
            assert not (isinstance(end, NotSentError) and fake.requests)

    assert {"NotSentError", "OutcomeUnknownError"} <= ends
