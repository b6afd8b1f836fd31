"""Bulk runs that set metadata, of kits or orders: the engine on top of the client's single attempts."""

from collections.abc import AsyncIterable, Callable, Iterable
from functools import partial
from typing import Any, TypeVar, Unpack

from spotdx_async._http.messages import Reply
from spotdx_async._http.runner import Runner
from spotdx_async._requests.arguments import check_keywords
from spotdx_async._requests.operation import Operation
from spotdx_async.bulk.jobs import job_of
from spotdx_async.bulk.options import Job, UpdateOptions
from spotdx_async.bulk.records import Update
from spotdx_async.bulk.run import BulkRun

T = TypeVar("T")


def metadata_run(
    updates: Iterable[Any] | AsyncIterable[Any],
    *,
    kind: type[Update],
    operation: Operation[T],
    runner: Runner,
    decode: bool,
    **options: Unpack[UpdateOptions],
) -> BulkRun[T]:
    """Build the run; nothing is sent before it is iterated.

    Args:
        updates: the rows.
        kind: what a row is.
        operation: sets the metadata of one.
        runner: makes the attempts; its repeats and its bounds on a whole call do not apply, since a run has its own.
        decode: whether an outcome gets the decoded answer.
        **options: as passed to ``update_metadata_many``.

    Raises:
        InvalidInputError: ``updates`` or an option is unusable.
        TypeError: there is no such option.
    """
    check_keywords("update_metadata_many", options, UpdateOptions.__annotations__)
    read: Callable[[Reply], T | None] = operation.decode if decode else _no_value
    unbounded = runner.without_bounds()
    send = partial(unbounded.attempt_row, operation.checked_request, read)
    job = job_of(operation, unbounded, make=Job, send=send, kind=kind)
    return BulkRun(updates, job, **options)


def _no_value(_reply: Reply) -> None:
    """Return None: the answer is not decoded, though it was checked to be the one that was asked for."""
