"""An observer that makes spans and metrics; with ``metrics`` the only importer of opentelemetry.

What it writes comes from the records alone, which hold nothing private, and from the names in this folder.
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
    from opentelemetry.metrics import MeterProvider
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
except ImportError:
    raise ImportError(
        "spotdx_async.otel needs opentelemetry-api: pip install 'spotdx-async[otel]'", name="opentelemetry"
    ) from None

from .metrics import Figures

__all__ = ["OpenTelemetry"]

Attributes = dict[str, str | int | float]
_SCOPE = "spotdx_async"
# Instrumentations of HTTP clients look here whether to be silent. There is no public name for it; a test holds it.
_NO_HTTP_SPANS = getattr(context, "_SUPPRESS_HTTP_INSTRUMENTATION_KEY", None)


@define(eq=False)
class _Mark:
    """What belongs to one call, run or row."""

    kind: Literal["call", "run", "row"]
    span: trace.Span
    """Its own, or where ``is_lent`` that of its run, whose events are not of single rows."""
    attributes: Attributes
    """Of its metrics: the same for all calls of an operation."""
    parent: "_Mark | None"
    is_lent: bool = False
    rows: Counter[str] = field(factory=Counter)
    """Of a run, its rows that have ended, by outcome."""
    is_gate_closed: bool = False


class OpenTelemetry(Observer):
    """Makes spans and metrics; give it to any number of clients as ``observer``.

    A span of kind CLIENT for each call, named by its method and path template, with an event for each attempt, wait and
    pause; it is current while a request is under way. A span for each bulk run, with an event when its outage gate
    closes or opens. ``opentelemetry-instrumentation-aiohttp-client`` and its like are silent about these requests: they
    would say the same twice, and write down queries, which can name patients.

    Args:
        tracer_provider: where spans go; None: the global one.
        meter_provider: where metrics go; None: the global one.
        bulk_rows: whether each row of a bulk run has a span of its own, below the run's.
        propagate: whether requests carry ``traceparent``, which tells the vendor your trace ids. Baggage never goes.
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
        self._figures = Figures(_SCOPE, __version__, meter_provider)
        self._bulk_rows = bulk_rows
        self._propagator = TraceContextTextMapPropagator() if propagate else None

    def begin(self, subject: SubjectRecord, parent: _Mark | None) -> Any:
        """Start a span, below the run's or the current one."""
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
        """Make the span current, and other instrumentations silent."""
        current = trace.set_span_in_context(mark.span)
        if self._propagator is not None:
            self._propagator.inject(headers, current)
        if _NO_HTTP_SPANS is not None:
            current = context.set_value(_NO_HTTP_SPANS, value=True, context=current)
        token = context.attach(current)
        return lambda: context.detach(token)

    def attempt(self, mark: _Mark, record: AttemptRecord) -> None:
        """Add an event, and count."""
        self._figures.attempt(mark.attributes, record)
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
        mark.span.add_event("attempt", event | _failure(record))

    def retry(self, mark: _Mark, record: RetryRecord) -> None:
        """Add an event."""
        if not mark.is_lent:
            mark.span.add_event("retry", {"spotdx.wait_s": record.wait_s})

    def pause(self, mark: _Mark, record: PauseRecord) -> None:
        """Add an event: of a row without a span, to its run's."""
        mark.span.add_event("pause", {"spotdx.wait_s": record.wait_s})

    def gate(self, mark: _Mark, record: GateRecord) -> None:
        """Add an event, and count the run among those that hold their rows back, or no longer."""
        mark.span.add_event("gate", {"spotdx.gate": record.state, "spotdx.after_s": record.after_s})
        self._set_gate(mark, is_closed=record.state == "closed")

    def end(self, mark: _Mark, record: EndRecord) -> None:
        """Count, and end the span."""
        if mark.parent is not None:
            mark.parent.rows[record.outcome] += 1
        if mark.kind == "run":
            self._set_gate(mark, is_closed=False)
        else:
            self._figures.call(mark.attributes, record)
        if mark.is_lent:
            return
        span = mark.span
        span.set_attributes({"spotdx.outcome": record.outcome, **_failure(record)})
        span.set_attributes({f"spotdx.rows.{outcome}": count for outcome, count in mark.rows.items()})
        if record.attempts > 1:
            span.set_attribute("http.request.resend_count", record.attempts - 1)
        if record.error is not None:
            span.set_status(trace.StatusCode.ERROR)
        span.end()

    def _set_gate(self, mark: _Mark, *, is_closed: bool) -> None:
        if mark.is_gate_closed != is_closed:
            mark.is_gate_closed = is_closed
            self._figures.gate(mark.attributes, 1 if is_closed else -1)


def _failure(record: AttemptRecord | EndRecord) -> Attributes:
    """What tells how an attempt or a call ended, each where it applies."""
    told: Attributes = {}
    if record.status is not None:
        told["http.response.status_code"] = record.status
    if record.error is not None:
        told["error.type"] = record.error
    if record.reason is not None:
        told["spotdx.reason"] = record.reason
    return told
