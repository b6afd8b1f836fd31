"""A server that says 429 and asks for no wait at all is not hammered."""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any

import pytest

from spotdx_async import BulkStopped, RateLimitError, SpotClient
from spotdx_async.testing import FakeSpot, faults

pytestmark = pytest.mark.virtual_time

ASKS_FOR_NOTHING = [0, "0.0", datetime(2020, 1, 1, tzinfo=UTC)]
IDS = ["whole", "decimal", "date"]


@pytest.fixture(autouse=True)
def _quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.ERROR, "spotdx_async")  # thousands of lines, which take longer than the calls


def now() -> float:
    return asyncio.get_running_loop().time()


async def at_once(calls: Iterable[Callable[[], Any]]) -> list[Any]:
    return await asyncio.gather(*(call() for call in calls), return_exceptions=True)


async def one_by_one(calls: Iterable[Callable[[], Any]]) -> list[Any]:
    return [(await at_once([call]))[0] for call in calls]


def get(spot: SpotClient) -> Any:
    return spot.kits.get("SPOT123456")


def update(spot: SpotClient) -> Any:
    return spot.kits.update_metadata("SPOT123456", {"n": 1})


@pytest.mark.no_cover
@pytest.mark.parametrize(
    ("act", "way", "asks"),
    [
        *((act, way, 0) for act in (get, update) for way in (at_once, one_by_one)),
        *((update, at_once, asks) for asks in ASKS_FOR_NOTHING[1:]),
    ],
)
async def test_single_calls_make_few_requests_more(fake_spot: FakeSpot, act: Any, way: Any, asks: Any) -> None:
    fake_spot.faults.add(faults.status(429, retry_after=asks), times=None)
    async with fake_spot.client() as spot:
        ends = await way([lambda: act(spot)] * 1000)

    assert {type(end) for end in ends} == {RateLimitError}
    assert 1000 <= fake_spot.counts["requests"] <= 1100


@pytest.mark.no_cover
@pytest.mark.parametrize("rows", [1, 30])
@pytest.mark.parametrize("asks", ASKS_FOR_NOTHING, ids=IDS)
async def test_a_row_makes_at_most_two_requests_a_second(fake_spot: FakeSpot, rows: int, asks: Any) -> None:
    kit_ids = [f"SPOT{n}" for n in range(rows)]
    fake_spot.kits.add_many(kit_ids)
    fake_spot.faults.add(faults.status(429, retry_after=asks), times=None)
    start = now()
    async with fake_spot.client() as spot:
        with pytest.raises(BulkStopped):
            async with spot.kits.update_metadata_many([(kit_id, {}) for kit_id in kit_ids], outage_limit=60) as run:
                async for _ in run:
                    pass
    took_s = now() - start

    assert 60 <= took_s <= 65
    most = Counter(request.kit_id for request in fake_spot.requests).most_common(1)[0][1]
    assert most <= 2 * took_s + 1
    for request in fake_spot.requests:
        within = [r for r in fake_spot.requests if r.kit_id == request.kit_id and 0 <= r.at_s - request.at_s < 0.999]
        assert len(within) <= 2


async def test_a_server_that_lets_one_through_in_the_end_gets_every_row(fake_spot: FakeSpot) -> None:
    kit_ids = [f"SPOT{n}" for n in range(50)]
    fake_spot.kits.add_many(kit_ids)
    fake_spot.faults.random(0.5, seed=3, kinds=[faults.status(429, retry_after=0)])
    async with (
        fake_spot.client() as spot,
        spot.kits.update_metadata_many([(kit_id, {"n": 1}) for kit_id in kit_ids]) as run,
    ):
        states = Counter([outcome.state async for outcome in run])

    assert states == {"ok": 50}
    assert all(fake_spot.kits[kit_id].metadata == {"n": 1} for kit_id in kit_ids)
