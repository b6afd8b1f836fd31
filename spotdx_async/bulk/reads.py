"""Bulk runs that read one object for each id."""

from collections.abc import AsyncIterable, Iterable
from functools import partial
from typing import Any, ClassVar, TypeVar, Unpack

from spotdx_async._http.messages import Request
from spotdx_async._http.runner import Runner
from spotdx_async._requests.arguments import check_keywords
from spotdx_async._requests.operation import Operation, check_id
from spotdx_async.bulk.jobs import job_of
from spotdx_async.bulk.options import Job, ReadOptions
from spotdx_async.bulk.reader import Reader
from spotdx_async.bulk.records import InvalidRow
from spotdx_async.bulk.row import Effect
from spotdx_async.bulk.run import BulkRun
from spotdx_async.bulk.session import Session
from spotdx_async.errors import InvalidInputError

T = TypeVar("T")


class _IdReader(Reader):
    """Returns a row for each id."""

    EFFECT: ClassVar[Effect] = "reads"

    def _checked(self, item: Any) -> tuple[str, bytes | InvalidInputError]:
        if isinstance(item, InvalidInputError):
            return "", item
        if isinstance(item, InvalidRow):
            return "", item.error
        try:
            return check_id("id", item, allow_any_id=self._allow_any_id), b""
        except InvalidInputError as raised:
            fault = raised.with_traceback(None)  # the frames hold the id
        return "", fault


class _ReadSession(Session[T]):
    def _new_reader(self) -> Reader:
        return _IdReader(self._inputs.updates, None, allow_any_id=self._inputs.job.allow_any_id)


def read_run(
    ids: Iterable[Any] | AsyncIterable[Any], *, operation: Operation[T], runner: Runner, **options: Unpack[ReadOptions]
) -> BulkRun[T]:
    """Build the run; nothing is sent before it is iterated.

    Args:
        ids: the ids, each with one outcome.
        operation: gets one object.
        runner: makes the attempts, as for a run that sets metadata.
        **options: as passed to ``get_many``.

    Raises:
        InvalidInputError: ``ids`` or an option is unusable.
        TypeError: there is no such option.
    """
    check_keywords("get_many", options, ReadOptions.__annotations__)
    unbounded = runner.without_bounds()
    send = partial(unbounded.attempt_row, partial(_request, operation), operation.decode)
    job = job_of(operation, unbounded, make=Job, send=send, rows_name="ids")
    return BulkRun(ids, job, session=_ReadSession, **options)


def _request(operation: Operation[T], an_id: str, _body: bytes) -> Request:
    return operation.checked_request(an_id, None)
