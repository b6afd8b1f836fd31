"""Reports to observers what happens in calls and bulk runs; a client without observers has no dispatcher."""

import asyncio
import inspect
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from types import TracebackType
from typing import Any, Literal, Self, TypeVar
from urllib.parse import urlsplit

from spotdx_async._http.messages import AttemptState, Verdict
from spotdx_async.errors import (
    ConfigError,
    DecodeError,
    InvalidInputError,
    NotSentError,
    OutcomeUnknownError,
    RateLimitError,
    SpotError,
    StatusError,
)
from spotdx_async.observers import (
    AttemptRecord,
    EndRecord,
    GateRecord,
    ObservedOutcome,
    Observer,
    PauseRecord,
    RetryRecord,
    SubjectRecord,
)

T = TypeVar("T")
_PASSING = frozenset({408, 425})


class Dispatcher:
    """The observers of one client, and the server it talks to."""

    def __init__(self, observers: Sequence[Observer], base_url: str) -> None:
        server = urlsplit(base_url)
        self._observers = observers
        self._host = server.hostname or ""
        self._port = server.port or (443 if server.scheme == "https" else 80)

    def observe(
        self,
        operation: str,
        kind: Literal["call", "run", "row"] = "call",
        parent: "CallObservation | None" = None,
        *,
        server: tuple[str, int] | None = None,
    ) -> "CallObservation":
        """Report that it begins; the returned object reports the rest.

        Args:
            operation: the method and the path template.
            kind: what begins.
            parent: the run of a row.
            server: host and port, where it goes to another server than the client's.
        """
        path = operation.partition(" ")[2]
        host, port = (self._host, self._port) if server is None else server
        subject = SubjectRecord(
            kind=kind,
            operation=operation,
            method=_method(operation),
            template=path if path.startswith("/") else None,
            host=host,
            port=port,
        )
        loop = asyncio.get_running_loop()
        marks = [
            (observer, _told(loop, observer, "begin", subject, None if parent is None else parent.marks[place][1]))
            for place, observer in enumerate(self._observers)
        ]
        return CallObservation(self, operation, marks, parent)


def dispatcher_of(base_url: str, observer: object, hooks: Mapping[str, Any]) -> Dispatcher | None:
    """Return the dispatcher of a client; None if it has no observer.

    Raises:
        ConfigError: the observer is not one, or a hook is not a function, or is async: it would never be awaited.
    """
    if observer is not None and not isinstance(observer, Observer):
        raise ConfigError(f"observer must be an Observer, such as otel.OpenTelemetry(), not {type(observer).__name__}")
    for name, hook in hooks.items():
        if hook is not None and (not callable(hook) or inspect.iscoroutinefunction(hook)):
            raise ConfigError(f"{name} must be a plain function that takes one record, or None")
    observers = [observer] if observer is not None else []
    if any(hook is not None for hook in hooks.values()):
        observers.append(_Callbacks(hooks))
    return Dispatcher(observers, base_url) if observers else None


class _Callbacks(Observer):
    """Passes records to plain functions: attempts to ``on_attempt``, and so on."""

    def __init__(self, hooks: Mapping[str, Any]) -> None:
        for name, hook in hooks.items():
            if hook is not None:
                setattr(self, name.removeprefix("on_"), partial(_call, hook))


def _call(hook: Callable[[object], object], _mark: object, record: object) -> None:
    hook(record)


class CallObservation:
    """One call, run or row as its observers follow it; leaving it as a context manager ends it."""

    def __init__(
        self,
        dispatcher: Dispatcher,
        operation: str,
        marks: "list[tuple[Observer, Any]]",
        parent: "CallObservation | None",
    ) -> None:
        self.marks = marks
        self._dispatcher = dispatcher
        self._operation = operation
        self._parent = parent
        # Of a run: its rows that have not ended.
        self._rows: set[CallObservation] = set()
        # What the observers did for the request in progress.
        self._undo: list[object] = []
        self._attempts = 0
        self._status: int | None = None
        # Kept: the clock is also read when a call ends outside its loop, closed by the garbage collector, say.
        self._loop = asyncio.get_running_loop()
        self._began_s = self._loop.time()
        # When the previous attempt ended; when the last one was sent; how long it had waited for its slot.
        self._free_s = self._sent_s = self._began_s
        self._limiter_s = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.end(error)

    def row(self) -> "CallObservation":
        """Report that a row of this run begins; it ends with the run at the latest."""
        row = self._dispatcher.observe(self._operation, "row", self)
        self._rows.add(row)
        return row

    async def wait_for_slot(self, waiting: Awaitable[T]) -> T:
        """Measure a wait for the rate limit."""
        began_s = self._loop.time()
        try:
            return await waiting
        finally:
            self._limiter_s += self._loop.time() - began_s

    def going_out(self, attempt_state: AttemptState) -> None:
        """Report that a request is about to go out, and collect the headers that it should carry."""
        headers: dict[str, str] = {}
        self._sent_s = self._loop.time()
        try:
            for observer, mark in self.marks:
                undo = _told(self._loop, observer, "sending", mark, headers)
                if undo is not None:
                    self._undo.append(undo)
        except BaseException:  # not an ordinary error of an observer: nothing goes out
            self._undo_all()
            raise
        attempt_state.headers = headers

    async def send(self, sending: Awaitable[T]) -> T:
        """Follow a request that goes out; report it if it is cancelled."""
        try:
            return await sending
        except asyncio.CancelledError as error:
            self.attempted(error)
            raise
        finally:
            self._undo_all()

    def _undo_all(self) -> None:
        """Undo what the observers did for the request, last one first, even if one of them raises."""
        while self._undo:
            undo = self._undo.pop()
            try:
                _told(self._loop, undo, "__call__")
            except BaseException:
                self._undo_all()
                raise

    def attempted(self, error: BaseException | None, status: int | None = None) -> None:
        """Report the result of the attempt that was sent."""
        now_s = self._loop.time()
        self._attempts += 1
        self._status = status
        record = AttemptRecord(
            operation=self._operation,
            method=_method(self._operation),
            attempt=self._attempts,
            outcome=_outcome(error),
            status=status,
            error=_kind(error),
            reason=_reason(error),
            request_s=now_s - self._sent_s,
            waited_s=self._sent_s - self._free_s,
            limiter_s=self._limiter_s,
        )
        self._free_s, self._limiter_s = now_s, 0.0
        self._tell("attempt", record)

    def repeated(self, last: Verdict, wait_s: float) -> None:
        """Report that another attempt follows after a wait."""
        record = RetryRecord(
            operation=self._operation,
            attempt=self._attempts,
            wait_s=wait_s,
            error=_kind(last.error) or "",
            status=_status(last.error),
            reason=_reason(last.error),
            retry_after_s=last.retry_after_s,
        )
        self._tell("retry", record)

    def paused(self, wait_s: float) -> None:
        """Report that the server asked for a pause."""
        self._tell("pause", PauseRecord(operation=self._operation, wait_s=wait_s))

    def gate(self, state: Literal["closed", "open"], after_s: float) -> None:
        """Report that the run paused (``closed``), or that its pause ended (``open``)."""
        self._tell("gate", GateRecord(operation=self._operation, state=state, after_s=after_s))

    def end(self, error: BaseException | None) -> None:
        """Report how it ended; rows of a run that are still open end first, as cancelled."""
        for row in [*self._rows]:
            row.end(asyncio.CancelledError())
        if self._parent is not None:
            self._parent._rows.discard(self)  # noqa: SLF001 - one of its own class
        record = EndRecord(
            operation=self._operation,
            outcome=_ending(self._operation, error),
            status=self._status if error is None else _status(error),
            error=_kind(error),
            reason=_reason(error),
            attempts=self._attempts,
            elapsed_s=self._loop.time() - self._began_s,
        )
        self._tell("end", record)

    def _tell(self, what: str, record: object) -> None:
        for observer, mark in self.marks:
            _told(self._loop, observer, what, mark, record)


def _told(loop: asyncio.AbstractEventLoop, listener: object, what: str, *about: Any) -> Any:
    """Call an observer; an exception of its own goes to the loop's exception handler, and no further.

    That includes a CancelledError, from a future that it looked at: a task's own arises where the task waits, never
    here.
    """
    handled = sys.exception()
    try:
        return getattr(listener, what)(*about)
    except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - observers may raise anything
        link: BaseException = error
        while link.__context__ is not None and link.__context__ is not handled:
            link = link.__context__
        link.__context__ = None  # the exception in progress has frames that hold the token
        told = "what its sending() returned" if what == "__call__" else what
        loop.call_exception_handler({"message": f"an observer of spotdx_async failed in {told}", "exception": error})
        return None


def _method(operation: str) -> str:
    return operation.partition(" ")[0]


def _outcome(error: BaseException | None) -> ObservedOutcome:
    """Return a word for an error, or for its absence."""
    if error is None:
        return "ok"
    if isinstance(error, (NotSentError, InvalidInputError, ConfigError)):
        return "not_sent"
    if isinstance(error, OutcomeUnknownError):
        return "unknown"
    if isinstance(error, DecodeError):
        return "unreadable"
    if isinstance(error, RateLimitError):
        return "throttled"
    if isinstance(error, StatusError) and error.status < 500 and error.status not in _PASSING:  # noqa: PLR2004 - HTTP's
        return "refused"
    return "failed" if isinstance(error, Exception) else "cancelled"


def _ending(operation: str, error: BaseException | None) -> ObservedOutcome:
    """Return a word for how a call or row ended: a write that may have been executed is unknown, whatever came last.

    A refusal of the last attempt says nothing about an earlier one that got no answer.
    """
    last = _outcome(error)
    is_open = isinstance(error, SpotError) and error.may_be_executed and _method(operation) != "GET"
    return "unknown" if is_open and last in {"refused", "throttled", "failed"} else last


def _kind(error: BaseException | None) -> str | None:
    # A consumer that leaves a run's loop ends it without an error.
    return None if error is None or isinstance(error, GeneratorExit) else type(error).__name__


def _status(error: BaseException | None) -> int | None:
    return error.status or None if isinstance(error, (StatusError, OutcomeUnknownError)) else None


def _reason(error: BaseException | None) -> str | None:
    # Other classes have a reason too, such as UnicodeError: theirs are free text.
    return error.reason if isinstance(error, (NotSentError, OutcomeUnknownError)) else None
