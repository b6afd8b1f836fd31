"""When a run gives up: on all further rows, on a server that is not there, or on the last rows that keep failing."""

from asyncio import TimerHandle
from collections.abc import Callable, Collection
from types import MappingProxyType
from typing import Any

from spotdx_async._http import clock
from spotdx_async._http.messages import AttemptResult
from spotdx_async.bulk.circuit_breaker import CircuitBreaker
from spotdx_async.bulk.options import RunOptions
from spotdx_async.bulk.outage_signs import OutageLimit
from spotdx_async.bulk.outcomes import is_run_wide
from spotdx_async.bulk.records import Outcome
from spotdx_async.bulk.row import Row
from spotdx_async.bulk.scheduler import ReadyRows
from spotdx_async.errors import (
    REFUSALS_OF_A_PROXY,
    BulkStopped,
    DecodeError,
    FailureCause,
    JournalError,
    NotSentError,
    OutcomeUnknownError,
    PermissionDeniedError,
    ServerError,
    SpotError,
    WrongAnswerError,
    is_out_of_files,
)

_MOST_IN_A_ROW = 3
"""Consecutive rows refused alike, or answered with another object. A choice: a third makes a coincidence unlikely, and
all further rows would end the same."""
_UNREACHED_S = 30.0
"""A choice, documented for ``wait_for_server``: a server that restarts is back by then; a wrong base URL never will
be."""
_COMPANY_WITHIN_S = 15.0
"""How long a row waits for another one to be read. A choice: an input that waits for each outcome before its next row
is held up this long by each row that fails for good; a longer wait would only help even slower inputs to show an
outage."""
_LAST_ROWS_WAIT_S = 120.0
"""Of a pause: an outage may have begun just then. A choice: most restarts take less."""
_INTERNAL_ERROR = 500
_MOST_FAILING = 0.5
"""Of first tries, pauses left out. A choice: if more than half fail, a row that fails proves nothing."""
_UNREACHABLE = frozenset({"dns", "refused", "tls"})
_WORDS = MappingProxyType(
    {
        "refused": "connection refused",
        "dns": "name not found",
        "tls": "certificate or TLS handshake not accepted",
        "connect": "no connection",
        "timeout": "no answer in time",
        "dropped": "connection broken",
        "redirect": "redirected",
        "unreadable": "unreadable answer",
    }
)


class StopRules:
    """Watches the tries and the outcomes of a run, and decides when and why it must stop."""

    def __init__(
        self,
        options: RunOptions,
        stop: Callable[[SpotError], object],
        *,
        busy_s: Callable[[], float],
        has_arrived: Callable[[], bool],
    ) -> None:
        """Start watching.

        Args:
            options: of the run.
            stop: called with the cause, perhaps more than once.
            busy_s: returns for how many seconds rows have been waiting without a break.
            has_arrived: returns whether a request in flight may have reached the server.
        """
        self._options = options
        self._stop = stop
        self.run_kind: str | None = None
        """Of which kind the last outcomes were, one after another, where that ends a run. While it is None there is
        nothing to note of a row that met no error."""
        self._run_length = 0
        self._failures = 0
        # The error of the row with which ``stop_after`` was reached.
        self._enough: SpotError | None = None
        self._last: SpotError | None = None
        self._was_reached = options.wait_for_server
        self._has_arrived = has_arrived
        self._unreached = OutageLimit(_UNREACHED_S, self._give_up_unreached, busy_s)

    def trouble(self) -> str:
        """Return the server's host and why the last try failed: no text of the server's, no id, no secret."""
        host = self._options.host
        return host if self._last is None else f"{host}: {_reason(self._last)}"

    def note_try(self, tried: AttemptResult) -> None:
        """Note a try, before the circuit breaker judges it."""
        error = tried.verdict.error
        if error is not None:
            self._last = error
        if self._was_reached:
            return
        if not isinstance(error, NotSentError):
            self._was_reached = bool(tried.attempts)
            self._unreached.stop()
        elif error.reason in _UNREACHABLE or is_out_of_files(error):
            self._unreached.start()

    def note_outcome(self, outcome: Outcome[Any], error: SpotError | None) -> None:
        """Note an outcome; stop if every further row would end the same, or ``stop_after`` is reached.

        Args:
            outcome: of a row.
            error: of its last try; the outcome may report an earlier one.
        """
        if outcome.attempts:
            self._note_kind(error)
        if error is None or outcome.state == "ok":
            return
        self._failures += 1
        limit = self._options.stop_after
        are_too_many = self.run_kind is not None and self._run_length >= _MOST_IN_A_ROW
        if is_run_wide(error) or are_too_many:
            self._stop(error)
        elif limit is not None and self._failures >= limit:
            self._enough = self._enough or error
            self._stop(error)

    def note_doubt(self, error: SpotError) -> None:
        """Note that nobody knows what became of a row; stop if every further row would end the same."""
        self._note_kind(error)
        if self.run_kind is not None and self._run_length >= _MOST_IN_A_ROW:
            self._stop(error)

    def _note_kind(self, error: SpotError | None) -> None:
        kind = _kind_of(error)
        self._run_length = self._run_length + 1 if kind == self.run_kind else 1
        self.run_kind = kind

    def give_up(self) -> None:
        """Stop after an outage beyond its limit."""
        limit_s = self._options.outage_limit_s
        message = f"the server has answered no row usefully for outage_limit ({limit_s:g} s): {self.trouble()}"
        self._stop(NotSentError(message, reason="outage"))

    def close(self) -> None:
        """Stop watching: the run is over."""
        self._was_reached = True
        self._unreached.stop()

    def stopped(self, cause: SpotError, *, read: int, unsent: int, has_journal: bool) -> BulkStopped:
        """Build the error that ends the caller's loop."""
        # If a journal was moved or deleted, or cannot be opened any more, its own error says what to do.
        goes_on = has_journal and not (isinstance(cause, JournalError) and cause.reason == "path")
        resume = "; the same run with the same journal continues where it stopped" if goes_on else ""
        said = cause.args[0] if cause.args else ""
        why = said if self._options.host in said else f"{said} ({self._options.host})"
        is_enough = cause is self._enough
        by = f"as stop_after={self._options.stop_after} says, the last" if is_enough else "by"
        stopped = BulkStopped(
            f"the run stopped {_how_far(read, unsent)}, {by} {type(cause).__name__}: {why}{resume}",
            cause=cause,
            next_index=read,
            unsent=unsent,
            operation=cause.operation or self._options.operation,
        )
        stopped.stop_after = self._options.stop_after if is_enough else None
        return stopped

    def _give_up_unreached(self) -> None:
        last = self._last
        if self._has_arrived():
            self._was_reached = True
            return
        if not isinstance(last, NotSentError):
            return
        checked = "base_url" if last.proxy is None else "proxy"
        advice = f"check {checked}, or pass wait_for_server=True to wait for it"
        if is_out_of_files(last):
            advice = "raise the limit (ulimit -n)"
        message = f"no request has reached the server in {_UNREACHED_S:g} s: {self.trouble()}: {advice}"
        self._stop(NotSentError(message, reason=last.reason, cause=FailureCause.of(last)))


class LastRows:
    """Decides when to end rows that have failed as often as they may, if no other row shows whose fault it was."""

    def __init__(
        self,
        breaker: CircuitBreaker,
        ready_rows: ReadyRows,
        unfinished: Collection[Row],
        *,
        is_read: Callable[[], bool],
        last_read_s: Callable[[], float],
        on_wait_over: Callable[[], object],
    ) -> None:
        """Keep the parts of the run that it watches.

        Args:
            breaker: knows for how long the run has been paused, and which requests the server has answered.
            ready_rows: the rows that were not tried yet, and those that rest.
            unfinished: all rows that were read and have no outcome.
            is_read: returns whether the input has come to its end.
            last_read_s: when a row was last read; before the first, when the run began.
            on_wait_over: called when no row has come for long enough.
        """
        self._breaker, self._ready_rows = breaker, ready_rows
        self._unfinished, self._is_read, self._on_wait_over = unfinished, is_read, on_wait_over
        self._last_read_s = last_read_s
        self._last_aside_s = float("-inf")
        self._timer: TimerHandle | None = None

    def note_set_aside(self, now_s: float) -> None:
        """Note that a row was set aside."""
        self._last_aside_s = now_s

    def may_have_company(self) -> bool:
        """Return whether to wait for another row, and to be called when that has lasted too long."""
        if self._ready_rows.resting:
            return True
        if self._is_read():
            return False
        self.close()
        until_s = max(self._last_read_s(), self._last_aside_s) + _COMPANY_WITHIN_S
        self._timer = clock.call_at(until_s, self._on_wait_over)
        return clock.now() < until_s

    def are_at_fault(self) -> bool:
        """Return whether the rest of a paused run is likely to fail for good, so that the pause should end.

        That is so if only rows that have failed, and those behind them, are left; no row was read for a long time, or
        the input has ended; the server was seen to be there; and the pause has lasted longer than a restart does.
        """
        breaker, unfinished = self._breaker, self._unfinished
        if breaker.paused_s < _LAST_ROWS_WAIT_S or breaker.first_tries.failing > _MOST_FAILING:
            return False
        if not self._is_read() and clock.now() < self._last_read_s() + _LAST_ROWS_WAIT_S:
            return False
        behind = {row.following for row in unfinished}
        first = [row for row in unfinished if row not in behind]
        was_there = breaker.has_served_since(float("-inf")) or all(_is_internal_error(row) for row in first)
        return was_there and not self._ready_rows.resting and all(row.tries for row in first)

    def close(self) -> None:
        """Stop the timer."""
        if self._timer is not None:
            self._timer.cancel()


def _how_far(read: int, unsent: int) -> str:
    if not read:
        return "before any row was read"
    rows = "1 row was" if read == 1 else f"{read} rows were"
    not_sent = "" if not unsent else f", {unsent} of them not sent" if read > 1 else " and not sent"
    return f"after {rows} read{not_sent}"


def _kind_of(error: SpotError | None) -> str | None:
    """Return the kind of problem that every row is likely to meet once several have; None for any other."""
    if isinstance(error, WrongAnswerError):
        return "wrong answer"
    if isinstance(error, OutcomeUnknownError):
        # A redirect, or a client certificate that is asked for and missing.
        return "refusal" if error.reason == "redirect" or error.tls_reason is not None else None
    is_refused = isinstance(error, NotSentError) and error.proxy_status in REFUSALS_OF_A_PROXY
    return "refusal" if is_refused or isinstance(error, PermissionDeniedError) else None


def _reason(error: SpotError) -> str:
    """Return in words why a try failed."""
    status: int | None = getattr(error, "status", None)
    if status:
        return f"status {status}"
    if is_out_of_files(error):
        return "this process may open no more files"
    if isinstance(error, (NotSentError, OutcomeUnknownError)):
        if error.tls_reason is not None:
            return f"TLS: {error.tls_reason}"
        if error.proxy_status is not None:
            return f"the proxy answered {error.proxy_status}"
        words = _WORDS.get(error.reason, error.reason)
        return words if error.proxy is None else f"the proxy {error.proxy}: {words}"
    if isinstance(error, DecodeError):
        return _fault_of_answer(error)
    return type(error).__name__


def _fault_of_answer(error: DecodeError) -> str:
    if isinstance(error, WrongAnswerError):
        return "the answer is for another object"
    if error.outcome == "done":  # its text names a path in the answer, whose keys are the server's
        return "the answer has another shape"
    said = error.args[0] if error.args else "no reason is known"
    return f"unusable answer: {said.rpartition(': ')[2]}"


def _is_internal_error(row: Row) -> bool:
    """Return whether the server was there and failed on this row. A 503 or a lost connection shows neither."""
    return row.last is not None and isinstance(row.last.error, ServerError) and row.last.error.status == _INTERNAL_ERROR
