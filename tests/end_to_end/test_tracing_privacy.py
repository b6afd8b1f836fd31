"""Nothing private goes to OpenTelemetry: canaries are in all that goes in, and a list says what may come out."""

import json
from datetime import date
from pathlib import Path
from typing import Any, get_args

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from spotdx_async import NewPatient, SpotClient, SpotError
from spotdx_async.observers import ObservedOutcome
from spotdx_async.otel import OpenTelemetry
from spotdx_async.testing import FakeSpot, faults

pytestmark = pytest.mark.virtual_time

WORDS = {
    "kit id": "canary-kit-1",
    "token": "canary-token-2",
    "metadata": "canary-metadata-3",
    "name": "canary-name-4",
    "email": "canary-5@example.com",
    "phone": "canary-phone-6",
    "path": "canary-path-7",
    "query": "canary-query-8",
    "words": "canary-words-9",
    "limiter": "canary-limiter-10",
}
SPAN_ATTRIBUTES = {
    *("http.request.method", "http.response.status_code", "http.request.resend_count", "url.template"),
    *("server.address", "server.port", "error.type", "spotdx.outcome", "spotdx.reason"),
    *(f"spotdx.rows.{outcome}" for outcome in get_args(ObservedOutcome)),
}
EVENT_ATTRIBUTES = {
    *("http.response.status_code", "http.request.resend_count", "error.type", "spotdx.outcome", "spotdx.reason"),
    *("spotdx.request_s", "spotdx.waited_s", "spotdx.limiter_s", "spotdx.wait_s", "spotdx.gate", "spotdx.after_s"),
}


class Refusing:
    """A limiter of the caller's whose error has a text."""

    async def acquire(self) -> None:
        raise UnicodeDecodeError("utf-8", b"", 0, 1, WORDS["limiter"])

    def pause(self, seconds: float) -> None:
        """Do nothing."""


async def play_everything(fake: FakeSpot, observer: OpenTelemetry, folder: Path) -> None:
    kit_id, token = WORDS["kit id"], WORDS["token"]
    if kit_id not in fake.kits:
        fake.kits.add(kit_id)
    patient = NewPatient(
        first_name=WORDS["name"],
        last_name=WORDS["name"],
        email=WORDS["email"],
        phone=WORDS["phone"],
        sex="F",
        date_of_birth=date(1990, 1, 31),
    )
    words = json.dumps({"error": {"type": WORDS["words"], "details": [WORDS["words"]]}}).encode()

    async def drain(spot: SpotClient) -> None:
        async for _ in spot.kits.update_metadata_many([(kit_id, {WORDS["metadata"]: WORDS["metadata"]})] * 3):
            pass

    async def list_orders(spot: SpotClient) -> None:
        await spot.orders.list(email=WORDS["email"], first_name=WORDS["name"], phone=WORDS["phone"]).first(5)

    calls = (
        lambda spot: spot.kits.get(kit_id),
        lambda spot: spot.kits.update_metadata(kit_id, {WORDS["metadata"]: WORDS["metadata"]}),
        list_orders,
        lambda spot: spot.patients.create(patient),
        lambda spot: spot.request("GET", f"/api/v2/{WORDS['path']}/", query={"q": WORDS["query"]}),
        drain,
        lambda spot: spot.reports.save(f"{fake.url}/results/{WORDS['path']}?q={WORDS['query']}", folder / "a.pdf"),
    )
    troubles = (
        *(None, "401", "503", "429", "drop_after", "half_body", "unreadable", "broken_json", "unknown_enum"),
        *(faults.status(429, retry_after=2), faults.slow(60), faults.status(400), faults.body(words, status=400)),
    )
    spot = fake.client(token=token, observer=observer, deadline_s=3)
    strange = fake.client(token=token, observer=observer, rate_limit=Refusing())
    for trouble in troubles:
        for call in calls:
            if trouble is not None:
                fake.faults.add(trouble, times=2)
            await settle(call(spot))
            fake.faults.clear()
    for call in calls:
        await settle(call(strange))


async def settle(call: Any) -> None:
    try:
        await call
    except (SpotError, UnicodeDecodeError):
        return


async def test_nothing_private_is_in_anything_that_is_exported(tmp_path: Path) -> None:
    exporter = InMemorySpanExporter()
    tracers = TracerProvider()
    tracers.add_span_processor(SimpleSpanProcessor(exporter))
    reader = InMemoryMetricReader()
    meters = MeterProvider([reader])

    async with FakeSpot(token=WORDS["token"]) as fake:
        for bulk_rows in (False, True):
            observer = OpenTelemetry(
                tracer_provider=tracers, meter_provider=meters, bulk_rows=bulk_rows, propagate=True
            )
            await play_everything(fake, observer, tmp_path)

    data = reader.get_metrics_data()
    assert data is not None
    exported = [*(span.to_json() for span in exporter.get_finished_spans()), data.to_json()]
    assert len(exported) > 150
    assert [word for text in exported for word in WORDS.values() if word in text] == []
    for span in exporter.get_finished_spans():
        assert dict(span.attributes or {}).keys() <= SPAN_ATTRIBUTES
        assert span.status.description is None
        for event in span.events:
            assert event.name in {"attempt", "retry", "pause", "gate"}
            assert dict(event.attributes or {}).keys() <= EVENT_ATTRIBUTES
    meters.shutdown()
