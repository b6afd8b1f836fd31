"""The metrics: few attributes of few values each, so that their number does not grow with the calls."""

from opentelemetry.metrics import MeterProvider, get_meter

from spotdx_async.observers import AttemptRecord, EndRecord

__all__ = ["Figures"]

Attributes = dict[str, str | int | float]
# OpenTelemetry's conventions for HTTP name these.
_REQUEST_BOUNDS_S = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10)
_WAIT_BOUNDS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)


class Figures:
    """The instruments of one meter."""

    def __init__(self, scope: str, version: str, provider: MeterProvider | None) -> None:
        meter = get_meter(scope, version, provider)
        self._calls = meter.create_counter("spotdx.client.calls", "{call}", "Calls and bulk rows that ended.")
        self._attempts = meter.create_counter("spotdx.client.attempts", "{request}", "Requests sent, or begun.")
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
        self._gates = meter.create_up_down_counter(
            "spotdx.bulk.gates.closed", "{run}", "Bulk runs that hold their rows back until the server is back."
        )

    def attempt(self, operation: Attributes, record: AttemptRecord) -> None:
        """Count a request, and measure it."""
        how = {**operation}
        if record.status is not None:
            how["http.response.status_code"] = record.status
        if record.error is not None:
            how["error.type"] = record.error
        self._duration.record(record.request_s, how)
        self._limiter.record(record.limiter_s, operation)
        self._attempts.add(1, {**operation, "spotdx.outcome": record.outcome})
        if record.outcome == "throttled":
            self._throttled.add(1, operation)

    def call(self, operation: Attributes, record: EndRecord) -> None:
        """Count a call or a row."""
        how: Attributes = {**operation, "spotdx.outcome": record.outcome}
        if record.error is not None:
            how["error.type"] = record.error
        self._calls.add(1, how)

    def gate(self, operation: Attributes, step: int) -> None:
        """Count a run among those that hold their rows back, or no longer."""
        self._gates.add(step, operation)
