"""The options of a bulk run, as a caller passes them and as they are checked, and what the run does with rows."""

import inspect
import os
from collections.abc import AsyncIterable, Awaitable, Callable, Iterable, Mapping
from contextlib import suppress
from datetime import date
from typing import Any, Required, TypedDict
from weakref import WeakSet

from attrs import frozen

from spotdx_async._codec.encoding import Encode
from spotdx_async._http.messages import AttemptResult, AttemptState, ClosableRun
from spotdx_async._observe.dispatch import CallObservation, Dispatcher
from spotdx_async.bulk.records import Journal, Progress, Update
from spotdx_async.config import RetryPolicy
from spotdx_async.errors import InvalidInputError

__all__ = [
    "CreateOptions",
    "Inputs",
    "Job",
    "ReadOptions",
    "RunOptions",
    "Send",
    "UpdateOptions",
    "as_journal",
    "as_seconds",
    "check_progress",
    "check_rows",
]

_READ_AHEAD_TO_COALESCE = 64
"""More rows than can be sent soon: a newer value can overtake an older one only among rows that are still waiting."""
_LEAST_WINDOW = 8
"""A total outage shows in five rows, which must be there to be tried."""

Send = Callable[[Any, bytes, AttemptState, bool, Callable[[], bool], CallObservation | None], Awaitable[AttemptResult]]
"""Makes one attempt with a row's target and body, and keeps its attempt state true. It is told whether the row was
tried before, asks at the last moment whether it may still go, and reports to observers, if there are any."""


class ReadOptions(TypedDict, total=False):
    """What every bulk run takes beside its rows; each may be left out. ``get_many`` takes no others."""

    concurrency: int
    """Rows in flight at once, 64 if left out (8 for a run that creates); the client's own ``concurrency`` applies as
    well."""
    ordered: bool
    """Return outcomes in the order of the rows, not as they come; False if left out."""
    progress: Callable[[Progress], object] | None
    """A plain function, called with a Progress every half second, and at the end."""
    stop_after: int | None
    """Stop the run once this many rows were rejected, failed or ended unknown; None, or left out: never. Of the rows in
    progress only those whose request was handed to a connection are finished."""
    outage_limit: float
    """Stop the run after an outage of so many seconds, 1,800 if left out; pauses that the server asked for count."""
    wait_for_server: bool
    """False, or left out, stops the run after 30 s in which no request has ever reached the server because its name is
    not found, it refuses connections or TLS fails: a wrong ``base_url`` is not an outage."""


class UpdateOptions(ReadOptions, total=False):
    """What ``update_metadata_many`` takes beside its rows and ``decode``; each may be left out."""

    journal: str | os.PathLike[str] | Journal | None
    """A file in which the run records which rows are done. The same call with the same input resumes a run that was
    stopped or killed: rows done come out as ``skipped``, and at most what was in flight and the last 1,000 rows or
    200 ms are sent once more. It holds no id, metadata or patient data. None, or left out: no journal."""
    coalesce: bool
    """Whether a newer update of an object replaces an older one that has not been sent yet, which comes out as
    ``superseded``; False if left out."""


class CreateOptions(ReadOptions, total=False):
    """What a bulk create takes beside its rows and its batch; all but ``journal`` may be left out."""

    journal: Required[str | os.PathLike[str] | Journal | None]
    """A file in which the run records, before each request, what it is about to send, and what was created. The same
    call with the same batch resumes a run that was stopped or killed. It holds no key and no patient data, but the ids
    of what was created. It must be passed: None says that a killed run cannot go on."""
    lands_within_s: float
    """Seconds within which a request is executed or never will be; if left out, as for the client: 60. Values below its
    ``timeout_s`` count as that."""
    look_first: date | str | None
    """A day, in whatever time zone, for a batch whose journal is lost or was restored from a copy: what was created
    since is read before anything is sent, and rows whose reference is found come out as ``skipped`` with their id.
    Where something for the same person, or with the same barcode, shows no reference (its metadata are hidden, or were
    replaced), nobody knows whose it is, and the row ends ``unknown``; a requisition without any metadata is taken by
    the first row with its barcode. The first row that was not found waits for ``lands_within_s`` and 10 s, and another
    look: the lost session's last requests may still be on their way. If what was created cannot be read, the run raises
    that error, and sends nothing. The new journal remembers the day until all rows are done."""


@frozen(kw_only=True)
class RunOptions:
    """The checked options of a run."""

    concurrency: int
    ordered: bool
    coalesce: bool
    stop_after: int | None
    outage_limit_s: float
    wait_for_server: bool
    """Whether to wait as long as in any outage for a server that has never been reached."""
    policy: RetryPolicy
    operation: str
    host: str
    """The server's host, with its port if it names one: what texts may show of its address."""
    lands_within_s: float
    """Seconds after which a request that was sent has been executed, or never will be."""
    sleep: Callable[[float], Awaitable[None]]
    """Waits before a repeat; ends early if the client lifts a pause."""
    total: int | None = None
    """Rows of the input, if known."""

    @property
    def window(self) -> int:
        """The most rows that are read and whose outcome the consumer has not taken."""
        return max(_LEAST_WINDOW, 2 * self.concurrency) + (_READ_AHEAD_TO_COALESCE if self.coalesce else 0)


@frozen(kw_only=True)
class Job:
    """What a run does with its rows, for any kind of row."""

    kind: type[Update] | None = None
    """The class of a row, in a run that sets metadata."""
    rows_name: str = "updates"
    """The name of the argument with the rows."""
    send: Send
    operation: str
    """The operation's name; with ``server`` it identifies whose journal a file is."""
    server: str
    policy: RetryPolicy
    lands_within_s: float
    """Seconds after which a request that was sent has been executed, or never will be."""
    open_runs: WeakSet[ClosableRun]
    """The client's runs: a session adds itself when it begins, and the closing client ends those that are left."""
    sleep: Callable[[float], Awaitable[None]]
    """Waits before a repeat; ends early if the client lifts a pause."""
    dispatcher: Dispatcher | None = None
    """Observes the run and its rows."""
    allow_any_id: bool = False
    """Whether ids may contain characters that could lead to another path."""
    encode: Encode | None = None
    """Returns the JSON form of values that JSON lacks."""
    creates: bool = False
    """Whether it is a run that creates, of the batch"""
    batch: str | None = None
    """with this name."""
    ids_are_keys: bool = False
    """Whether what it creates has the row's key as its id, which its journal does not hold."""
    only_settles: bool = False
    """Whether it settles what is in doubt, and sends nothing."""
    takes_any_batch: bool = False
    """Whether it then does so for whatever batch the journal has."""

    def observe(self) -> CallObservation | None:
        """Report the start of a run to the observers, if there are any."""
        return None if self.dispatcher is None else self.dispatcher.observe(self.operation, "run")


@frozen
class Inputs:
    """Everything that a run is started with."""

    updates: Iterable[Any] | AsyncIterable[Any]
    job: Job
    options: RunOptions
    journal: Journal | None
    progress: Callable[[Progress], object] | None


def check_rows(name: str, rows: object) -> None:
    """Reject input that cannot be iterated, or holds no rows, before a run begins.

    Args:
        name: the argument's, as an error shows it.
        rows: the input.

    Raises:
        InvalidInputError: it is a mapping or text, or cannot be iterated.
    """
    if isinstance(rows, Mapping):
        raise InvalidInputError(f"{name} is a mapping: pass its .items()")
    if isinstance(rows, (str, bytes)) or not isinstance(rows, (Iterable, AsyncIterable)):
        what = "ids" if name == "ids" else "rows"
        raise InvalidInputError(f"{name} must be an iterable or async iterable of {what}, not {type(rows).__name__}")


def check_progress(progress: object) -> None:
    """Reject what cannot be called with a Progress, or would have to be awaited.

    Raises:
        InvalidInputError: it is not a plain function.
    """
    if progress is None:
        return
    if not callable(progress):
        raise InvalidInputError("progress must be a function that takes a Progress")
    if inspect.iscoroutinefunction(progress) or inspect.iscoroutinefunction(getattr(progress, "__call__", None)):  # noqa: B004 - its kind is asked
        raise InvalidInputError("progress must be a plain function, not an async one: nobody would await it")


def as_journal(journal: object) -> Journal | None:
    """Return the journal that a path stands for.

    Raises:
        InvalidInputError: it is neither a path nor a Journal.
    """
    if journal is None or isinstance(journal, Journal):
        return journal
    if isinstance(journal, (str, os.PathLike)) and os.fspath(journal):
        return Journal(journal)
    raise InvalidInputError(f"journal must be a path or a Journal, not {type(journal).__name__}")


def as_seconds(name: str, value: object) -> float:
    """Return a number of seconds.

    Raises:
        InvalidInputError: it is not a number above 0.
    """
    if isinstance(value, (int, float)) and not isinstance(value, bool) and value > 0:
        with suppress(OverflowError):
            return float(value)
    raise InvalidInputError(f"{name} must be a number of seconds above 0")
