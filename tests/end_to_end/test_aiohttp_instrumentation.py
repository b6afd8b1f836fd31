"""Beside aiohttp's own instrumentation, as ``docs/tracing.md`` tells: what it leaks, and what makes it silent."""

import re
from collections.abc import Iterator

import aiohttp
import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from spotdx_async import SpotClient
from spotdx_async.otel import OpenTelemetry
from spotdx_async.testing import FakeSpot
from tests.docs.pages import DOCS, blocks_of

pytestmark = pytest.mark.virtual_time

instrumentation = pytest.importorskip(
    "opentelemetry.instrumentation.aiohttp_client", reason="it is not installed: the group dev has it"
)
VARIABLE = "OTEL_PYTHON_AIOHTTP_CLIENT_EXCLUDED_URLS"


@pytest.fixture
def exporter() -> Iterator[InMemorySpanExporter]:
    """What the instrumentation exports."""
    made = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(made))
    instrumentor = instrumentation.AioHttpClientInstrumentor()
    instrumentor.instrument(tracer_provider=provider)
    yield made
    instrumentor.uninstrument()


async def search(spot: SpotClient) -> None:
    await spot.orders.list(email="robin@example.com", last_name="Sample").first(1)


async def test_it_leaks_queries_and_sends_trace_ids_through_a_caller_s_session(
    fake_spot: FakeSpot, exporter: InMemorySpanExporter
) -> None:
    async with aiohttp.ClientSession() as session, fake_spot.client(session=session) as spot:
        await search(spot)

    (span,) = exporter.get_finished_spans()
    assert "robin%40example.com" in span.to_json()
    assert "last_name=Sample" in span.to_json()
    assert "traceparent" in fake_spot.requests[-1].headers


async def test_it_sees_nothing_of_our_own_sessions(fake_spot: FakeSpot, exporter: InMemorySpanExporter) -> None:
    async with fake_spot.client() as spot:
        await search(spot)

    assert exporter.get_finished_spans() == ()
    assert "traceparent" not in fake_spot.requests[-1].headers


async def test_beside_the_observer_it_is_silent(fake_spot: FakeSpot, exporter: InMemorySpanExporter) -> None:
    ours = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(ours))
    async with fake_spot.client(observer=OpenTelemetry(tracer_provider=provider)) as spot:
        await search(spot)
        async for _ in spot.kits.update_metadata_many([("SPOT123456", {})]):
            pass

    assert exporter.get_finished_spans() == ()
    assert len(ours.get_finished_spans()) == 2
    assert ["traceparent" in request.headers for request in fake_spot.requests] == [False, False]


async def test_without_the_observer_the_variable_makes_it_silent(
    fake_spot: FakeSpot, exporter: InMemorySpanExporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, variable().replace(r"app\.spotdx\.com", r"127\.0\.0\.1"))
    async with fake_spot.client() as spot:
        await search(spot)

    assert exporter.get_finished_spans() == ()
    assert "traceparent" not in fake_spot.requests[-1].headers


def test_the_variable_of_the_page_leaves_the_vendors_server_out_alone() -> None:
    assert re.search(variable(), "https://app.spotdx.com/api/v2/kits/?email=a")
    assert not re.search(variable(), "https://app.spotdx.com.example/api/")


def variable() -> str:
    (block,) = [block for block in blocks_of(DOCS / "tracing.md") if VARIABLE in block.text]
    found = re.search(f"{VARIABLE}='(.*)'", block.text)
    assert found is not None
    return found[1]
