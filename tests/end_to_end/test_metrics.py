"""Metrics for OpenTelemetry: their values, and that their number does not grow with the calls."""

import asyncio
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import HistogramDataPoint, InMemoryMetricReader, NumberDataPoint

from spotdx_async import RateLimit, RetryPolicy, SpotError
from spotdx_async.otel import OpenTelemetry
from spotdx_async.testing import FakeSpot, faults

pytestmark = pytest.mark.virtual_time

Point = NumberDataPoint | HistogramDataPoint


class Figures:
    """Metrics in memory."""

    def __init__(self) -> None:
        self.reader = InMemoryMetricReader()
        self.provider = MeterProvider([self.reader])
        self.observer = OpenTelemetry(meter_provider=self.provider)

    def points(self, name: str) -> list[Any]:
        data = self.reader.get_metrics_data()
        scopes = [scope for resource in data.resource_metrics for scope in resource.scope_metrics] if data else []
        return [
            point for scope in scopes for one in scope.metrics if one.name == name for point in one.data.data_points
        ]

    def sums(self, name: str, by: str) -> dict[Any, int]:
        return {(point.attributes or {}).get(by): point.value for point in self.points(name)}


@pytest.fixture
def figures() -> Iterator[Figures]:
    made = Figures()
    yield made
    made.provider.shutdown()


async def test_calls_and_attempts_are_counted_by_their_outcome(fake_spot: FakeSpot, figures: Figures) -> None:
    spot = fake_spot.client(observer=figures.observer)
    fake_spot.faults.add("503", times=2)

    await spot.kits.get("SPOT123456")
    await asyncio.gather(spot.kits.get("UNKNOWN"), return_exceptions=True)

    assert figures.sums("spotdx.client.calls", "spotdx.outcome") == {"ok": 1, "refused": 1}
    assert figures.sums("spotdx.client.calls", "error.type") == {None: 1, "NotFoundError": 1}
    assert figures.sums("spotdx.client.attempts", "spotdx.outcome") == {"failed": 2, "ok": 1, "refused": 1}


async def test_the_rows_of_a_run_count_as_calls(fake_spot: FakeSpot, figures: Figures) -> None:
    for number in range(30):
        fake_spot.kits.add(f"SPOT{number}")
    rows = [*((f"SPOT{number}", {"n": number}) for number in range(30)), ("UNKNOWN", {})]

    async for _ in fake_spot.client(observer=figures.observer).kits.update_metadata_many(rows):
        pass

    assert figures.sums("spotdx.client.calls", "spotdx.outcome") == {"ok": 30, "refused": 1}


async def test_throttles_are_counted(fake_spot: FakeSpot, figures: Figures) -> None:
    fake_spot.faults.add("429", times=3)

    await fake_spot.client(observer=figures.observer).kits.get("SPOT123456")

    assert figures.sums("spotdx.client.throttled", "url.template") == {"/api/v2/kits/{kit_id}/": 3}


async def test_the_duration_of_requests_has_the_conventions_name_unit_and_bounds(
    fake_spot: FakeSpot, figures: Figures
) -> None:
    fake_spot.latency_s = 0.3

    await fake_spot.client(observer=figures.observer).kits.get("SPOT123456")

    (point,) = figures.points("http.client.request.duration")
    assert point.explicit_bounds == (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10)
    assert (point.count, point.sum) == (1, pytest.approx(0.3, abs=0.02))
    assert dict(point.attributes) == {
        "http.request.method": "GET",
        "http.response.status_code": 200,
        "url.template": "/api/v2/kits/{kit_id}/",
        "server.address": "127.0.0.1",
        "server.port": int(fake_spot.url.rpartition(":")[2]),
    }
    data = figures.reader.get_metrics_data()
    assert data is None or '"unit": "s"' in data.to_json()


async def test_a_request_that_failed_tells_the_error_with_its_duration(fake_spot: FakeSpot, figures: Figures) -> None:
    fake_spot.faults.add(faults.slow(60))

    with pytest.raises(SpotError):
        await fake_spot.client(observer=figures.observer, timeout_s=2, retry=RetryPolicy(max_attempts=1)).kits.get(
            "SPOT123456"
        )

    (point,) = figures.points("http.client.request.duration")
    assert point.attributes["error.type"] == "OutcomeUnknownError"
    assert "http.response.status_code" not in point.attributes
    assert point.sum == pytest.approx(2, abs=0.02)


async def test_the_wait_for_the_rate_limit_is_measured(fake_spot: FakeSpot, figures: Figures) -> None:
    spot = fake_spot.client(observer=figures.observer, rate_limit=RateLimit(1, burst=1))

    await asyncio.gather(*(spot.kits.get("SPOT123456") for _ in range(4)))

    (point,) = figures.points("spotdx.client.limiter.wait")
    assert (point.count, point.sum) == (4, pytest.approx(0 + 1 + 2 + 3, abs=0.05))


async def test_a_closed_gate_counts_until_it_opens(fake_spot: FakeSpot, figures: Figures) -> None:
    for number in range(20):
        fake_spot.kits.add(f"SPOT{number}")
    fake_spot.faults.add("503", times=None)
    run = fake_spot.client(observer=figures.observer).kits.update_metadata_many((f"SPOT{n}", {}) for n in range(20))
    seen: list[int] = []

    def look_and_repair() -> None:
        seen.extend(figures.sums("spotdx.bulk.gates.closed", "http.request.method").values())
        fake_spot.faults.clear()

    asyncio.get_running_loop().call_later(10, look_and_repair)
    states = Counter([outcome.state async for outcome in run])

    assert states == {"ok": 20}
    assert seen == [1]
    assert list(figures.sums("spotdx.bulk.gates.closed", "http.request.method").values()) == [0]


async def test_a_run_that_ends_with_its_gate_closed_counts_no_longer(fake_spot: FakeSpot, figures: Figures) -> None:
    for number in range(20):
        fake_spot.kits.add(f"SPOT{number}")
    fake_spot.faults.add("503", times=None)
    run = fake_spot.client(observer=figures.observer).kits.update_metadata_many((f"SPOT{n}", {}) for n in range(20))
    asyncio.get_running_loop().call_later(10, run.stop)

    async for _ in run:
        pass

    assert list(figures.sums("spotdx.bulk.gates.closed", "http.request.method").values()) == [0]


async def test_the_number_of_series_does_not_grow_with_the_calls(fake_spot: FakeSpot, figures: Figures) -> None:
    spot = fake_spot.client(observer=figures.observer)
    for number in range(50):
        fake_spot.kits.add(f"SPOT{number}")
        await spot.kits.update_metadata(f"SPOT{number}", {"n": number})
        await spot.kits.list(email=f"{number}@example.com").first(1)

    assert len(figures.points("spotdx.client.calls")) == 2
    assert len(figures.points("http.client.request.duration")) == 2
