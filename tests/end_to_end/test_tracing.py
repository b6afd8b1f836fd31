"""Spans for OpenTelemetry: their names, attributes, events and parents."""

import asyncio
import subprocess
import sys
from collections import Counter
from datetime import date
from typing import Any

import aiohttp
import pytest
from opentelemetry import context, trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from spotdx_async import NewPatient, NotSentError, OutcomeUnknownError, RetryPolicy, ServerError
from spotdx_async.otel import OpenTelemetry
from spotdx_async.testing import FakeSpot, faults

pytestmark = pytest.mark.virtual_time

READ = "GET /api/v2/kits/{kit_id}/"
UPDATE = "POST /api/v2/kits/{kit_id}/"


class Traces:
    """Spans in memory."""

    def __init__(self) -> None:
        self.exporter = InMemorySpanExporter()
        self.provider = TracerProvider()
        self.provider.add_span_processor(SimpleSpanProcessor(self.exporter))

    def observer(self, **options: Any) -> OpenTelemetry:
        return OpenTelemetry(tracer_provider=self.provider, **options)

    @property
    def spans(self) -> tuple[ReadableSpan, ...]:
        return self.exporter.get_finished_spans()

    @property
    def only(self) -> ReadableSpan:
        (span,) = self.spans
        return span


@pytest.fixture
def traces() -> Traces:
    return Traces()


def events_of(span: ReadableSpan) -> list[tuple[str, Any]]:
    return [(event.name, (event.attributes or {}).get("spotdx.outcome")) for event in span.events]


def attributes_of(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})


async def test_a_call_is_one_span_named_by_its_template(fake_spot: FakeSpot, traces: Traces) -> None:
    await fake_spot.client(observer=traces.observer()).kits.get("SPOT123456")

    span = traces.only
    assert (span.name, span.kind, span.parent) == (READ, SpanKind.CLIENT, None)
    assert attributes_of(span) == {
        "http.request.method": "GET",
        "url.template": "/api/v2/kits/{kit_id}/",
        "server.address": "127.0.0.1",
        "server.port": int(fake_spot.url.rpartition(":")[2]),
        "http.response.status_code": 200,
        "spotdx.outcome": "ok",
    }
    assert span.status.status_code is StatusCode.UNSET
    assert events_of(span) == [("attempt", "ok")]
    assert span.instrumentation_scope is not None
    assert span.instrumentation_scope.name == "spotdx_async"


async def test_repeats_are_events_of_the_one_span(fake_spot: FakeSpot, traces: Traces) -> None:
    fake_spot.faults.add("503")
    fake_spot.faults.add(faults.status(429, retry_after=3))

    await fake_spot.client(observer=traces.observer()).kits.get("SPOT123456")

    span = traces.only
    assert events_of(span) == [
        *(("attempt", "failed"), ("retry", None), ("attempt", "throttled"), ("pause", None), ("retry", None)),
        ("attempt", "ok"),
    ]
    attempts = [dict(event.attributes or {}) for event in span.events if event.name == "attempt"]
    assert [one.get("http.response.status_code") for one in attempts] == [503, 429, 200]
    assert [one.get("error.type") for one in attempts] == ["ServerError", "RateLimitError", None]
    assert [one.get("http.request.resend_count") for one in attempts] == [None, 1, 2]
    assert attributes_of(span)["http.request.resend_count"] == 2
    assert "error.type" not in attributes_of(span)
    assert span.status.status_code is StatusCode.UNSET


async def test_a_call_that_fails_is_an_error_without_a_text(fake_spot: FakeSpot, traces: Traces) -> None:
    fake_spot.faults.add("503", times=None)

    with pytest.raises(ServerError):
        await fake_spot.client(observer=traces.observer()).kits.get("SPOT123456")

    span = traces.only
    assert (span.status.status_code, span.status.description) == (StatusCode.ERROR, None)
    attributes = attributes_of(span)
    assert (attributes["error.type"], attributes["http.response.status_code"]) == ("ServerError", 503)
    assert attributes["spotdx.outcome"] == "failed"
    assert {event.name for event in span.events} == {"attempt", "retry"}


async def test_a_create_of_unknown_outcome_says_so(fake_spot: FakeSpot, traces: Traces) -> None:
    fake_spot.faults.add("drop_after")

    with pytest.raises(OutcomeUnknownError):
        await fake_spot.client(observer=traces.observer()).patients.create(
            NewPatient(first_name="A", last_name="B", email="c@d.example", sex="F", date_of_birth=date(1990, 1, 31))
        )

    attributes = attributes_of(traces.only)
    assert (attributes["spotdx.outcome"], attributes["spotdx.reason"]) == ("unknown", "dropped")
    assert traces.only.name == "POST /api/v2/patients/"


async def test_a_cancelled_call_ends_its_span(fake_spot: FakeSpot, traces: Traces) -> None:
    fake_spot.faults.add(faults.slow(60))
    call = asyncio.create_task(fake_spot.client(observer=traces.observer()).kits.get("SPOT123456"))
    await asyncio.sleep(1)

    call.cancel()
    await asyncio.wait([call])

    span = traces.only
    assert events_of(span) == [("attempt", "cancelled")]
    assert attributes_of(span)["error.type"] == "CancelledError"
    assert span.status.status_code is StatusCode.ERROR


async def test_a_deadline_ends_the_span_as_unknown(fake_spot: FakeSpot, traces: Traces) -> None:
    fake_spot.faults.add(faults.slow(60))

    with pytest.raises(OutcomeUnknownError):
        await fake_spot.client(observer=traces.observer(), deadline_s=1).kits.get("SPOT123456")

    attributes = attributes_of(traces.only)
    assert (attributes["error.type"], attributes["spotdx.reason"]) == ("OutcomeUnknownError", "deadline")
    assert events_of(traces.only) == [("attempt", "cancelled")]


async def test_a_call_that_sends_nothing_has_a_span_without_attempts(fake_spot: FakeSpot, traces: Traces) -> None:
    spot = fake_spot.client(observer=traces.observer())
    await spot.close()

    with pytest.raises(NotSentError):
        await spot.kits.get("SPOT123456")

    assert events_of(traces.only) == []
    assert attributes_of(traces.only)["spotdx.reason"] == "closed"


async def test_a_path_of_the_callers_has_a_span_named_by_the_method_alone(fake_spot: FakeSpot, traces: Traces) -> None:
    await fake_spot.client(observer=traces.observer()).request("GET", "/api/v2/kits/SPOT123456/")

    assert traces.only.name == "GET"
    assert "url.template" not in attributes_of(traces.only)


async def test_calls_side_by_side_are_each_below_their_own_parent(fake_spot: FakeSpot, traces: Traces) -> None:
    fake_spot.faults.add("503", times=4)
    spot = fake_spot.client(observer=traces.observer())
    tracer = traces.provider.get_tracer("test")

    async def work(number: int) -> None:
        with tracer.start_as_current_span(f"work {number}") as mine:
            await asyncio.gather(spot.kits.get("SPOT123456"), spot.kits.update_metadata("SPOT123456", {"n": number}))
            assert trace.get_current_span() is mine

    await asyncio.gather(*(work(number) for number in range(10)))

    names = {span.context.span_id: span.name for span in traces.spans if span.context}
    calls = [span for span in traces.spans if span.kind is SpanKind.CLIENT]
    assert Counter((names[span.parent.span_id], span.name) for span in calls if span.parent) == {
        (f"work {number}", name): 1 for number in range(10) for name in (READ, UPDATE)
    }


async def test_the_callers_span_is_current_again_after_a_call(fake_spot: FakeSpot, traces: Traces) -> None:
    fake_spot.faults.add("503", times=None)
    spot = fake_spot.client(observer=traces.observer(), retry=RetryPolicy(max_attempts=1))

    with traces.provider.get_tracer("test").start_as_current_span("mine") as mine:
        before = context.get_current()
        with pytest.raises(ServerError):
            await spot.kits.get("SPOT123456")

        assert trace.get_current_span() is mine
        assert context.get_current() == before


async def test_a_run_is_one_span_that_counts_its_rows(fake_spot: FakeSpot, traces: Traces) -> None:
    spot = fake_spot.client(observer=traces.observer())

    with traces.provider.get_tracer("test").start_as_current_span("mine") as mine:
        rows: list[tuple[str, dict[str, int]]] = [("SPOT123456", {}), ("UNKNOWN1", {}), ("UNKNOWN2", {})]
        states = [outcome.state async for outcome in spot.kits.update_metadata_many(rows)]

    assert Counter(states) == {"ok": 1, "failed": 2}
    run = next(span for span in traces.spans if span.name != "mine")
    assert len(traces.spans) == 2
    assert (run.name, run.kind) == (f"bulk {UPDATE}", SpanKind.INTERNAL)
    assert run.parent == mine.get_span_context()
    assert (attributes_of(run)["spotdx.rows.ok"], attributes_of(run)["spotdx.rows.refused"]) == (1, 2)
    assert run.events == ()


async def test_rows_have_spans_below_the_runs_where_they_are_asked_for(fake_spot: FakeSpot, traces: Traces) -> None:
    fake_spot.faults.add("503", kit_id="SPOT123456", times=2)
    spot = fake_spot.client(observer=traces.observer(bulk_rows=True))

    states = [outcome.state async for outcome in spot.kits.update_metadata_many([("SPOT123456", {}), ("UNKNOWN", {})])]

    assert Counter(states) == {"ok": 1, "failed": 1}
    *rows, run = traces.spans
    assert [(span.name, span.kind, span.parent) for span in rows] == [(UPDATE, SpanKind.CLIENT, run.context)] * 2
    by_outcome = {attributes_of(span)["spotdx.outcome"]: span for span in rows}
    assert events_of(by_outcome["ok"]) == [
        *(("attempt", "failed"), ("retry", None), ("attempt", "failed"), ("retry", None), ("attempt", "ok")),
    ]
    assert by_outcome["refused"].status.status_code is StatusCode.ERROR


async def test_an_outage_is_two_events_of_the_run(fake_spot: FakeSpot, traces: Traces) -> None:
    for number in range(20):
        fake_spot.kits.add(f"SPOT{number}")
    fake_spot.faults.add("503", times=20)

    async for _ in fake_spot.client(observer=traces.observer()).kits.update_metadata_many(
        (f"SPOT{number}", {}) for number in range(20)
    ):
        pass

    assert [(event.attributes or {}).get("spotdx.gate") for event in traces.only.events] == ["closed", "open"]


async def test_a_run_whose_consumer_leaves_is_no_error(fake_spot: FakeSpot, traces: Traces) -> None:
    fake_spot.kits.add("SPOT1")
    run = fake_spot.client(observer=traces.observer()).kits.update_metadata_many([("SPOT123456", {}), ("SPOT1", {})])

    async for _ in run:
        break
    await run.aclose()

    assert traces.only.status.status_code is StatusCode.UNSET
    assert attributes_of(traces.only)["spotdx.outcome"] == "cancelled"


async def test_no_trace_id_goes_to_the_vendor(fake_spot: FakeSpot, traces: Traces) -> None:
    spot = fake_spot.client(observer=traces.observer(bulk_rows=True))

    await spot.kits.get("SPOT123456")
    async for _ in spot.kits.update_metadata_many([("SPOT123456", {})]):
        pass

    assert [{"traceparent", "tracestate", "baggage"} & request.headers.keys() for request in fake_spot.requests] == [
        set(),
        set(),
    ]


async def test_traceparent_goes_to_the_vendor_where_that_is_asked_for(fake_spot: FakeSpot, traces: Traces) -> None:
    spot = fake_spot.client(observer=traces.observer(propagate=True))

    await spot.kits.get("SPOT123456")

    span = traces.only.context
    assert span is not None
    expected = f"00-{span.trace_id:032x}-{span.span_id:016x}-{span.trace_flags:02x}"
    assert fake_spot.requests[-1].headers["traceparent"] == expected
    assert fake_spot.requests[-1].headers["authorization"] == f"Token {fake_spot.token}"


async def test_the_token_is_the_clients_whatever_an_observer_adds(fake_spot: FakeSpot, traces: Traces) -> None:
    class Forger(OpenTelemetry):
        def sending(self, mark: Any, headers: dict[str, str]) -> Any:
            headers["Authorization"] = "Token forged"
            return super().sending(mark, headers)

    spot = fake_spot.client(observer=Forger(tracer_provider=traces.provider))

    await spot.kits.get("SPOT123456")

    assert fake_spot.requests[-1].headers["authorization"] == f"Token {fake_spot.token}"


async def test_other_instrumentations_are_told_to_be_silent_while_a_request_is_under_way(
    fake_spot: FakeSpot, traces: Traces
) -> None:
    key = context._SUPPRESS_HTTP_INSTRUMENTATION_KEY  # what they look up
    found: list[Any] = []

    async def look(*_: object) -> None:
        found.append((context.get_value(key), trace.get_current_span()))

    tracing = aiohttp.TraceConfig()
    tracing.on_request_start.append(look)
    async with aiohttp.ClientSession(trace_configs=[tracing]) as session:
        await fake_spot.client(session=session, observer=traces.observer()).kits.get("SPOT123456")

    ((is_silent, current),) = found
    assert is_silent
    assert current.get_span_context() == traces.only.context
    assert context.get_value(key) is None


async def test_a_plain_call_does_not_import_opentelemetry() -> None:
    script = """
import asyncio, sys
from spotdx_async.testing import FakeSpot

async def main():
    async with FakeSpot() as fake, fake.client(on_attempt=lambda record: None) as spot:
        await spot.kits.get("SPOT123456")
        async for _ in spot.kits.update_metadata_many([("SPOT123456", {})]):
            pass

asyncio.run(main())
sys.exit("opentelemetry" in sys.modules)
"""
    command = [sys.executable, "-c", script]

    assert subprocess.run(command, timeout=60, check=False).returncode == 0  # noqa: S603, ASYNC221 - our own, and short


def test_without_the_extra_the_import_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("spotdx_async.otel")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "opentelemetry", None)

    with pytest.raises(ImportError, match=r"pip install 'spotdx-async\[otel\]'"):
        __import__("spotdx_async.otel")
