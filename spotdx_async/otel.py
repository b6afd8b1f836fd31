"""Spans and metrics of a client for OpenTelemetry; an optional extra, and the only importer of opentelemetry.

What it writes comes only from the observers' records, which hold nothing private, and from the names in this module.
Metrics have few attributes of few values each, so that the number of time series does not grow with the calls.
"""

from collections import Counter
from collections.abc import Callable
from typing import Any, Literal

from attrs import define, field

from spotdx_async._version import __version__
from spotdx_async.observers import (
    AttemptRecord,
    EndRecord,
    GateRecord,
    Observer,
    PauseRecord,
    RetryRecord,
    SubjectRecord,
)

try:
    from opentelemetry import context, trace
    from opentelemetry.metrics import MeterProvider, get_meter
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
except ImportError:
    raise ImportError(
        "spotdx_async.otel needs opentelemetry-api: pip install 'spotdx-async[otel]'", name="opentelemetry"
    ) from None

__all__ = ["OpenTelemetry"]

Attributes = dict[str, str | int | float]
_SCOPE = "spotdx_async"
# The bounds that OpenTelemetry's conventions give for HTTP durations; waits for the rate limit may be far longer.
_REQUEST_BOUNDS_S = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10)
_WAIT_BOUNDS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)
# The key by which instrumentations of HTTP clients are told to stay silent. It has no public name; a test guards it.
_NO_HTTP_SPANS = getattr(context, "_SUPPRESS_HTTP_INSTRUMENTATION_KEY", None)


class _Metrics:
    """The instruments of one meter."""

    def __init__(self, provider: MeterProvider | None) -> None:
        meter = get_meter(_SCOPE, __version__, provider)
        self.calls = meter.create_counter("spotdx.client.calls", "{call}", "Calls and bulk rows that ended.")
        self._attempts = meter.create_counter("spotdx.client.attempts", "{request}", "Requests sent or started.")
        self._throttled = meter.create_counter("spotdx.client.throttled", "{request}", "Requests answered with 429.")
        self._duration = meter.create_histogram(
            "http.client.request.duration",
            "s",
            "Duration of HTTP client requests.",
            explicit_bucket_boundaries_advisory=_REQUEST_BOUNDS_S,
        )
        self._limiter = meter.create_histogram(
            "spotdx.client.limiter.wait",
            "s",
            "Wait of requests for the rate limit.",
            explicit_bucket_boundaries_advisory=_WAIT_BOUNDS_S,
        )
        self.gates = meter.create_up_down_counter(
            "spotdx.bulk.gates.closed", "{run}", "Bulk runs that are paused until the server is back."
        )

    def attempt(self, operation: Attributes, record: AttemptRecord) -> None:
        """Count a request and record its duration."""
        self._duration.record(record.request_s, operation | _status_and_error(record))
        self._limiter.record(record.limiter_s, operation)
        self._attempts.add(1, {**operation, "spotdx.outcome": record.outcome})
        if record.outcome == "throttled":
            self._throttled.add(1, operation)


@define(eq=False)
class _Mark:
    """What belongs to one call, run or row."""

    kind: Literal["call", "run", "row"]
    span: trace.Span
    """Its own or, if ``is_lent``, that of its run, which gets no events of single rows."""
    attributes: Attributes
    """For its metrics: the same for all calls of an operation."""
    parent: "_Mark | None"
    is_lent: bool = False
    rows: Counter[str] = field(factory=Counter)
    """For a run, its rows that have ended, by outcome."""
    is_gate_closed: bool = False


class OpenTelemetry(Observer):
    """Makes spans and metrics; pass it to any number of clients as ``observer``.

    Each call gets a span of kind CLIENT, named by its method and path template, with an event for each attempt, wait
    and pause; it is the current span while a request is in flight. Each bulk run gets a span, with a ``gate`` event
    when an outage pauses it and when it resumes. ``opentelemetry-instrumentation-aiohttp-client`` and the like are kept
    silent about these requests: they would report them twice, and record queries, which can name patients.

    Args:
        tracer_provider: where spans go; None: the global one.
        meter_provider: where metrics go; None: the global one.
        bulk_rows: whether each row of a bulk run has a span of its own, below the run's.
        propagate: whether requests carry ``traceparent``, which reveals your trace ids to the vendor. Baggage is never
            sent.
    """

    def __init__(
        self,
        *,
        tracer_provider: trace.TracerProvider | None = None,
        meter_provider: MeterProvider | None = None,
        bulk_rows: bool = False,
        propagate: bool = False,
    ) -> None:
        self._tracer = trace.get_tracer(_SCOPE, __version__, tracer_provider)
        self._metrics = _Metrics(meter_provider)
        self._bulk_rows = bulk_rows
        self._propagator = TraceContextTextMapPropagator() if propagate else None

    def begin(self, subject: SubjectRecord, parent: _Mark | None) -> Any:
        """Start a span below the run's or the current one."""
        attributes: Attributes = {
            "http.request.method": subject.method,
            "server.address": subject.host,
            "server.port": subject.port,
        }
        if subject.template is not None:
            attributes["url.template"] = subject.template
        if parent is not None and not self._bulk_rows:
            return _Mark(subject.kind, parent.span, attributes, parent, is_lent=True)
        name = subject.method if subject.template is None else subject.operation
        span = self._tracer.start_span(
            f"bulk {name}" if subject.kind == "run" else name,
            context=None if parent is None else trace.set_span_in_context(parent.span),
            kind=trace.SpanKind.INTERNAL if subject.kind == "run" else trace.SpanKind.CLIENT,
            attributes=attributes,
        )
        return _Mark(subject.kind, span, attributes, parent)

    def sending(self, mark: _Mark, headers: dict[str, str]) -> Callable[[], object]:
        """Make the span current, and silence other instrumentations."""
        current = trace.set_span_in_context(mark.span)
        if self._propagator is not None:
            self._propagator.inject(headers, current)
        if _NO_HTTP_SPANS is not None:
            current = context.set_value(_NO_HTTP_SPANS, value=True, context=current)
        token = context.attach(current)
        return lambda: context.detach(token)

    def attempt(self, mark: _Mark, record: AttemptRecord) -> None:
        """Add an event and update the metrics."""
        self._metrics.attempt(mark.attributes, record)
        if mark.is_lent:
            return
        event: Attributes = {
            "spotdx.outcome": record.outcome,
            "spotdx.request_s": record.request_s,
            "spotdx.waited_s": record.waited_s,
            "spotdx.limiter_s": record.limiter_s,
        }
        if record.attempt > 1:
            event["http.request.resend_count"] = record.attempt - 1
        mark.span.add_event("attempt", event | _status_and_error(record) | _reason(record))

    def retry(self, mark: _Mark, record: RetryRecord) -> None:
        """Add an event."""
        if not mark.is_lent:
            mark.span.add_event("retry", {"spotdx.wait_s": record.wait_s})

    def pause(self, mark: _Mark, record: PauseRecord) -> None:
        """Add an event; for a row without a span, to its run's."""
        mark.span.add_event("pause", {"spotdx.wait_s": record.wait_s})

    def gate(self, mark: _Mark, record: GateRecord) -> None:
        """Add an event, and count the run among those that are paused, or no longer."""
        mark.span.add_event("gate", {"spotdx.gate": record.state, "spotdx.after_s": record.after_s})
        self._set_gate(mark, is_closed=record.state == "closed")

    def end(self, mark: _Mark, record: EndRecord) -> None:
        """Update the metrics and end the span."""
        if mark.parent is not None:
            mark.parent.rows[record.outcome] += 1
        if mark.kind == "run":
            # A run that ends during a pause would otherwise count as paused for ever.
            self._set_gate(mark, is_closed=False)
        else:
            about: Attributes = {**mark.attributes, "spotdx.outcome": record.outcome}
            if record.error is not None:
                about["error.type"] = record.error
            self._metrics.calls.add(1, about)
        if mark.is_lent:
            return
        span = mark.span
        span.set_attributes({"spotdx.outcome": record.outcome, **_status_and_error(record), **_reason(record)})
        span.set_attributes({f"spotdx.rows.{outcome}": count for outcome, count in mark.rows.items()})
        if record.attempts > 1:
            span.set_attribute("http.request.resend_count", record.attempts - 1)
        if record.error is not None:
            span.set_status(trace.StatusCode.ERROR)
        span.end()

    def _set_gate(self, mark: _Mark, *, is_closed: bool) -> None:
        if mark.is_gate_closed != is_closed:
            mark.is_gate_closed = is_closed
            self._metrics.gates.add(1 if is_closed else -1, mark.attributes)


def _status_and_error(record: AttemptRecord | EndRecord) -> Attributes:
    about: Attributes = {}
    if record.status is not None:
        about["http.response.status_code"] = record.status
    if record.error is not None:
        about["error.type"] = record.error
    return about


def _reason(record: AttemptRecord | EndRecord) -> Attributes:
    return {} if record.reason is None else {"spotdx.reason": record.reason}
