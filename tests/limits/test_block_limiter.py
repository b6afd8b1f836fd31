"""What limiters whose slots come in blocks have in common: what their source raises."""

import asyncio

import pytest

from spotdx_async.limits.block_limiter import BlockLimiter

pytestmark = pytest.mark.virtual_time


class Broken(BlockLimiter):
    """Its source raises what nobody expects."""

    async def _ask(self, now: float) -> None:  # noqa: ARG002 - the face of the class
        raise KeyError("mine")

    def _next_ask(self, now: float) -> float:
        return now

    def _late_s(self) -> float:
        return 1.0


async def test_everybody_who_waits_gets_an_error_of_their_own() -> None:
    limiter = Broken()

    ends = await asyncio.gather(*(limiter.acquire() for _ in range(50)), return_exceptions=True)

    assert {type(end) for end in ends} == {KeyError}
    assert {end.args for end in ends if isinstance(end, KeyError)} == {("mine",)}
    assert len({id(end) for end in ends}) == 50
