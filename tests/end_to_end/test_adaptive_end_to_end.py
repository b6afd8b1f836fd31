"""The rate that is learned: on every way to the server, and the bars that it keeps.

What a whole client does, on the fake; the bars, by the benchmark's simulation, which needs no sockets.
"""

import asyncio
import importlib.util
import sys
from collections.abc import Awaitable, Callable
from itertools import product
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from spotdx_async import AdaptiveRateLimit, RetryPolicy, SpotClient
from spotdx_async.testing import FakeSpot, faults
from tests.long_set import with_long

pytestmark = [pytest.mark.virtual_time, pytest.mark.no_cover]


def now() -> float:
    return asyncio.get_running_loop().time()


async def call(spot: SpotClient) -> None:
    await spot.kits.update_metadata("SPOT123456", {})


async def page(spot: SpotClient) -> None:
    await spot.kits.list().first(1)


async def bulk(spot: SpotClient) -> None:
    assert [outcome.ok async for outcome in spot.kits.update_metadata_many([("SPOT123456", {})])] == [True]


async def unlisted(spot: SpotClient) -> None:
    await spot.request("GET", "/api/v2/kits/SPOT123456/")


# The whole client


@pytest.mark.parametrize("way", [call, page, bulk, unlisted])
async def test_a_429_on_any_way_cuts_the_client_s_rate(
    fake_spot: FakeSpot, way: Callable[[SpotClient], Awaitable[None]]
) -> None:
    fake_spot.faults.add(faults.status(429))
    async with fake_spot.client(rate_limit=AdaptiveRateLimit(40)) as spot, fake_spot.client() as other:
        await way(spot)
        await way(other)

        assert spot.stats.rate == pytest.approx(36)
        assert spot.with_options(timeout_s=1).stats.rate == pytest.approx(36)
        assert other.stats.rate is None


async def test_each_client_learns_for_itself(fake_spot: FakeSpot) -> None:
    limit = AdaptiveRateLimit(40)
    fake_spot.faults.add(faults.status(429))
    async with fake_spot.client(rate_limit=limit) as first, fake_spot.client(rate_limit=limit) as second:
        await call(first)
        await call(second)

        assert first.stats.rate == pytest.approx(36)
        assert second.stats.rate == 40


async def test_many_429s_at_once_cut_once(fake_spot: FakeSpot) -> None:
    fake_spot.faults.add(faults.status(429, retry_after=1), times=50)
    async with fake_spot.client(rate_limit=AdaptiveRateLimit(10_000), concurrency=50) as spot:
        fake_spot.latency_s = 0.2
        calls = [asyncio.create_task(call(spot)) for _ in range(50)]
        await asyncio.sleep(0.5)

        assert spot.stats.throttled == 50
        assert spot.stats.rate == pytest.approx(9000)
        await asyncio.gather(*calls)


async def test_other_errors_cut_nothing(fake_spot: FakeSpot) -> None:
    for trouble in ("500", "503", "drop_before"):
        fake_spot.faults.add(trouble)
    async with fake_spot.client(rate_limit=AdaptiveRateLimit(10)) as spot:
        await call(spot)

        assert spot.stats.rate == 10


async def test_a_limiter_of_the_caller_s_is_told_of_pauses_and_of_nothing_else(fake_spot: FakeSpot) -> None:
    class Own:
        pauses: list[float]

        def __init__(self) -> None:
            self.pauses = []

        async def acquire(self) -> None: ...

        def pause(self, seconds: float) -> None:
            self.pauses.append(seconds)

    own = Own()
    fake_spot.faults.add(faults.status(429, retry_after=3))
    async with fake_spot.client(rate_limit=own) as spot:
        await call(spot)

    assert own.pauses == [3]


async def test_a_pause_that_the_server_asks_for_is_kept_in_full(fake_spot: FakeSpot) -> None:
    fake_spot.faults.add(faults.status(429, retry_after=30))
    async with fake_spot.client(rate_limit=AdaptiveRateLimit(40)) as spot:
        await asyncio.gather(*(call(spot) for _ in range(20)))

    times = [request.at_s for request in fake_spot.requests]
    after = [at for at in times if at >= 30]
    assert not [at for at in times if 0.2 < at < 30]
    assert len([at for at in after if at < after[0] + 0.05]) <= 3  # no burst of what the pause let pass


@pytest.mark.parametrize("rate", with_long([10], [10, 20]))
async def test_a_bulk_run_finds_the_server_s_rate(rate: int) -> None:
    count = rate * 75
    retry = RetryPolicy(budget=False)
    async with (
        FakeSpot(kits=[f"SPOT{n}" for n in range(count)], rate_limit=rate, latency_s=0.05) as fake,
        fake.client(rate_limit=AdaptiveRateLimit(), retry=retry) as spot,
    ):
        updates = ((f"SPOT{n}", {"n": n}) for n in range(count))
        outcomes = [outcome.ok async for outcome in spot.kits.update_metadata_many(updates, decode=False)]

        assert outcomes == [True] * count
        assert spot.stats.rate == pytest.approx(rate, rel=0.15)
    late = [request for request in fake.requests if 30 <= request.at_s < 70]
    refused = sum(request.status == 429 for request in late)
    assert (len(late) - refused) / 40 >= 0.95 * rate
    assert refused / len(late) <= 0.01


# The bars


@pytest.fixture(scope="module")
def bench() -> ModuleType:
    path = Path(__file__).parents[2] / "benchmarks" / "bench_adaptive.py"
    spec = importlib.util.spec_from_file_location("bench_adaptive", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["bench_adaptive"] = module  # its dataclasses look themselves up
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("clients", [1, 2, 4])
@pytest.mark.parametrize(
    "case",
    [
        {"kind": "bucket", "rate": 5, "start": 10, "size_s": 1, "latency_s": 0.2},
        {"kind": "bucket", "rate": 20, "start": 500, "size_s": 1, "latency_s": 0.2},
        {"kind": "bucket", "rate": 50, "start": 1, "size_s": 5, "latency_s": 0.02},
        {"kind": "bucket+RA", "rate": 20, "start": 10, "size_s": 5, "latency_s": 0.02},
        {"kind": "bucket+RA", "rate": 50, "start": 10, "size_s": 1, "latency_s": 0.2},
        {"kind": "bucket+RA", "rate": 50, "start": 500, "size_s": 5, "latency_s": 0.02},
    ],
    ids=lambda case: f"{case['kind']} of {case['rate']} from {case['start']}",
)
def test_of_a_rate_that_nobody_tells_95_percent_are_used_and_1_percent_are_refused(
    bench: ModuleType, case: dict[str, Any], clients: int
) -> None:
    used, refused = bench.steady(bench.Case(clients=clients, **case))

    assert used >= 0.95
    assert refused <= 0.01


@pytest.mark.parametrize(
    ("rate", "length_s", "clients"),
    [(5, 1, 2), (5, 1, 4), (20, 1, 1), (20, 1, 4), (20, 10, 2), (20, 60, 1), (20, 60, 4)],
)
def test_of_fixed_windows_90_percent_are_used(bench: ModuleType, rate: float, length_s: float, clients: int) -> None:
    used, _ = bench.steady(bench.Case("window", rate, length_s, 0.2, clients))

    assert used >= 0.9


LIMITS = [
    *(("bucket", 10, 1), ("bucket", 20, 2), ("bucket", 50, 1), ("bucket", 50, 4)),
    *(("bucket+RA", 10, 1), ("bucket+RA", 20, 2), ("bucket+RA", 50, 4)),
]
CHANGES = [(*limit, factor) for limit, factor in product(LIMITS, [0.5, 2, 4])]
CHANGES_IN_SHORT = {
    *(("bucket", 10, 1, 4), ("bucket", 20, 2, 2), ("bucket", 50, 1, 0.5), ("bucket", 50, 4, 4)),
    *(("bucket+RA", 10, 1, 0.5), ("bucket+RA", 10, 1, 4), ("bucket+RA", 20, 2, 2), ("bucket+RA", 50, 4, 0.5)),
}


@pytest.mark.parametrize(("kind", "rate", "clients", "factor"), with_long(CHANGES_IN_SHORT, CHANGES))
def test_a_limit_that_changes_is_learned_again_within_40_seconds(
    bench: ModuleType, kind: str, rate: float, clients: int, factor: float
) -> None:
    seconds = bench.relearn(bench.Case(kind, rate, 1, 0.1, clients, factor=factor))

    assert seconds <= 40
