"""What an observer of a client is told: records of fields from an allow-list, so that nothing else can get there.

No id, no filled-in path, no query, no header, no body and no text of an error; an error's class is all that is told.
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
"""``refused``: the server's final no. ``throttled``: 429. ``failed``: the server failed, or something outside the SDK.
``not_sent``: surely not executed. ``unknown``: sent, and no usable answer; of a call or row that writes also any error
after an attempt that may have been executed. ``unreadable``: a 2xx that is not what the contract says. ``cancelled``:
ended in the middle, by its caller or its deadline."""


@frozen(kw_only=True)
class SubjectRecord:
    """What begins: one call, a bulk run, or one of its rows."""

    kind: Literal["call", "run", "row"]
    """A page of a list is a call of its own."""
    operation: str
    """The method and the path template, as errors name it."""
    method: str
    """Of the requests, in capitals."""
    template: str | None
    """The path template, such as ``/api/v2/kits/{kit_id}/``; None with ``SpotClient.request``: paths hold ids."""
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
    """In capitals."""
    attempt: int
    """Of the call or row, from 1."""
    outcome: ObservedOutcome
    """What became of it, in a word."""
    status: int | None
    """Of the answer, where one came."""
    error: str | None
    """The class of the SDK's error; None where it brought what was asked for."""
    reason: str | None
    """The error's ``reason``, where it has one."""
    request_s: float
    """Seconds from connection to last byte, or to the end that it found."""
    waited_s: float
    """Seconds before it, since the call began or the attempt before ended: for a place, the rate limit, the token, a
    bulk run's gate, and between repeats."""
    limiter_s: float
    """How much of that was for the rate limit."""


@frozen(kw_only=True)
class RetryRecord:
    """An attempt failed, and after a wait another follows."""

    operation: str
    """The method and the path template, as errors name it."""
    attempt: int
    """The one that failed, from 1."""
    wait_s: float
    """Seconds until the next."""
    error: str
    """The class of the error in which it ended."""
    status: int | None
    """Of its answer, where one came."""
    reason: str | None
    """The error's ``reason``, where it has one."""
    retry_after_s: float | None
    """Seconds that the server asked to wait, where it did."""


@frozen(kw_only=True)
class PauseRecord:
    """The server asked to wait, and the whole client does."""

    operation: str
    """Whose answer asked for it: the method and the path template."""
    wait_s: float
    """Seconds until the next request may go out."""


@frozen(kw_only=True)
class GateRecord:
    """A bulk run holds its rows back, or sends them again."""

    operation: str
    """The method and the path template of the run's rows."""
    state: Literal["closed", "open"]
    """``closed``: the server is out of order, and one row at a time looks whether it is back."""
    after_s: float
    """With ``open``, seconds that it was closed; else 0."""


@frozen(kw_only=True)
class EndRecord:
    """How a call, a run or a row ended."""

    operation: str
    """The method and the path template, as errors name it."""
    outcome: ObservedOutcome
    """``ok``, or its error in a word."""
    status: int | None
    """That the error tells, or of the answer that was accepted."""
    error: str | None
    """The error's class; None with ``ok``, and where the consumer of a bulk run has left its loop."""
    reason: str | None
    """The error's ``reason``, where it has one."""
    attempts: int
    """Requests made, or begun; of a run 0, since its rows tell theirs."""
    elapsed_s: float
    """Seconds from its beginning, waits included."""


class Observer:
    """Is told of all that a client does; a subclass has those of the methods that it needs.

    They are called in the event loop, and must not wait. An exception of theirs changes no call: it goes to the loop's
    exception handler. What ``begin`` gives comes back as ``mark`` with all that follows about the call, run or row.
    """

    def begin(self, subject: SubjectRecord, parent: Any) -> Any:  # noqa: ARG002 - for those who need them
        """A call, run or row begins; ``parent`` is the mark of the run whose row it is, else None."""
        return None

    def sending(self, mark: Any, headers: dict[str, str]) -> Callable[[], object] | None:  # noqa: ARG002 - as above
        """A request goes out in this task, with ``headers`` beside its own; what is returned is called after it."""
        return None

    def attempt(self, mark: Any, record: AttemptRecord) -> None:
        """An attempt ended."""

    def retry(self, mark: Any, record: RetryRecord) -> None:
        """The wait before another attempt begins."""

    def pause(self, mark: Any, record: PauseRecord) -> None:
        """The server asked everybody to wait."""

    def gate(self, mark: Any, record: GateRecord) -> None:
        """A bulk run's gate closed or opened; ``mark`` is the run's."""

    def end(self, mark: Any, record: EndRecord) -> None:
        """The call, run or row ended; of a run after all its rows."""
