"""What a client reports to its observers: records with an allow-list of fields, so that nothing else can leak.

No id, no filled-in path, no query, header or body, and no error message: of an error they name only the class.
"""

from collections.abc import Callable
from typing import Any, Literal

from attrs import frozen

__all__ = [
    "AttemptRecord",
    "EndRecord",
    "GateRecord",
    "ObservedOutcome",
    "Observer",
    "PauseRecord",
    "RetryRecord",
    "SubjectRecord",
]

ObservedOutcome = Literal["ok", "refused", "throttled", "failed", "not_sent", "unknown", "unreadable", "cancelled"]
"""``refused``: the server's final refusal. ``throttled``: 429. ``failed``: the server failed, or something outside the
SDK. ``not_sent``: certainly not executed. ``unknown``: sent, but no usable answer; for a call or row that writes, also
any error after an attempt that may have been executed. ``unreadable``: a 2xx that is not what the contract says.
``cancelled``: cut short by its caller or its deadline."""


@frozen(kw_only=True)
class SubjectRecord:
    """What begins: one call, a bulk run, or one of its rows."""

    kind: Literal["call", "run", "row"]
    """Each page of a list is a call of its own."""
    operation: str
    """The method and the path template, as errors name it."""
    method: str
    """The HTTP method, in capitals."""
    template: str | None
    """The path template, such as ``/api/v2/kits/{kit_id}/``; None for ``SpotClient.request`` and
    ``reports.save``, whose paths hold ids."""
    host: str
    """The server's name."""
    port: int
    """The server's port."""


@frozen(kw_only=True)
class AttemptRecord:
    """One request that was sent, or begun, and what became of it."""

    operation: str
    """The method and the path template, as errors name it."""
    method: str
    """The HTTP method, in capitals."""
    attempt: int
    """Which attempt of the call or row, from 1."""
    outcome: ObservedOutcome
    """How it ended, in a word."""
    status: int | None
    """The HTTP status, if an answer came."""
    error: str | None
    """The class of the SDK's error; None if the attempt succeeded."""
    reason: str | None
    """The error's ``reason``, if it has one."""
    request_s: float
    """Seconds from connection to last byte, or until it ended otherwise."""
    waited_s: float
    """Seconds of waiting before it, since the call began or the previous attempt ended: for a permit, the rate limit,
    the token, a paused bulk run, and between retries."""
    limiter_s: float
    """How many of those were for the rate limit."""


@frozen(kw_only=True)
class RetryRecord:
    """An attempt failed, and another follows after a wait."""

    operation: str
    """The method and the path template, as errors name it."""
    attempt: int
    """Which attempt failed, from 1."""
    wait_s: float
    """Seconds until the next attempt."""
    error: str
    """The class of the error that it ended with."""
    status: int | None
    """The HTTP status, if an answer came."""
    reason: str | None
    """The error's ``reason``, if it has one."""
    retry_after_s: float | None
    """Seconds that the server asked to wait, if it did."""


@frozen(kw_only=True)
class PauseRecord:
    """The server asked to wait, and the whole client waits."""

    operation: str
    """The method and the path template of the request whose answer asked for it."""
    wait_s: float
    """Seconds until the next request may go out."""


@frozen(kw_only=True)
class GateRecord:
    """A bulk run's circuit breaker paused the run, or ended the pause."""

    operation: str
    """The method and the path template of the run's rows."""
    state: Literal["closed", "open"]
    """``closed``: the server is unavailable, so rows are paused, probing one at a time. ``open``: rows are sent
    again."""
    after_s: float
    """For ``open``, the seconds that the run was paused; else 0."""


@frozen(kw_only=True)
class EndRecord:
    """How a call, a run or a row ended."""

    operation: str
    """The method and the path template, as errors name it."""
    outcome: ObservedOutcome
    """``ok``, or the kind of error, in a word."""
    status: int | None
    """The HTTP status of the accepted answer, or that of the error."""
    error: str | None
    """The error's class; None for ``ok``, and if the consumer of a bulk run left its loop."""
    reason: str | None
    """The error's ``reason``, if it has one."""
    attempts: int
    """Requests made, or begun; 0 for a run, since its rows report theirs."""
    elapsed_s: float
    """Seconds from start to end, waits included."""


class Observer:
    """Receives all that a client does; a subclass overrides the methods that it needs.

    They are called in the event loop and must not block. An exception that they raise affects no call: it goes to the
    loop's exception handler. What ``begin`` returns is passed as ``mark`` to every later method for that call, run or
    row.
    """

    def begin(self, subject: SubjectRecord, parent: Any) -> Any:  # noqa: ARG002 - for subclasses
        """A call, run or row begins; for a row, ``parent`` is the mark of its run, else None."""
        return None

    def sending(self, mark: Any, headers: dict[str, str]) -> Callable[[], object] | None:  # noqa: ARG002 - as above
        """A request goes out in this task, with what is put into ``headers``; the result is called after it ends."""
        return None

    def attempt(self, mark: Any, record: AttemptRecord) -> None:
        """An attempt ended."""

    def retry(self, mark: Any, record: RetryRecord) -> None:
        """An attempt failed, and the wait before the next begins."""

    def pause(self, mark: Any, record: PauseRecord) -> None:
        """The server asked to wait, and the whole client waits."""

    def gate(self, mark: Any, record: GateRecord) -> None:
        """A bulk run was paused or resumed; ``mark`` is the run's."""

    def end(self, mark: Any, record: EndRecord) -> None:
        """The call, run or row ended; a run ends after all its rows."""
