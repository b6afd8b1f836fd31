"""Bulk runs that create: what they need of the client, and of the kind of object."""

from collections.abc import AsyncIterable, Awaitable, Callable, Iterable, Mapping
from functools import partial
from typing import Any, TypeVar
from unicodedata import normalize

from spotdx_async._codec.json import is_unicode
from spotdx_async._http import clock
from spotdx_async._http.messages import AttemptResult, AttemptState, Reply, Request
from spotdx_async._http.runner import Runner
from spotdx_async._observe.dispatch import CallObservation
from spotdx_async._requests.answers import server_clock
from spotdx_async._requests.arguments import check_keywords, day_of
from spotdx_async._requests.identity import TEXTS
from spotdx_async._requests.operation import Operation
from spotdx_async.bulk.create_rows import Creation
from spotdx_async.bulk.create_session import CreateJob, CreateSession, NewLook
from spotdx_async.bulk.jobs import job_of
from spotdx_async.bulk.options import CreateOptions
from spotdx_async.bulk.run import BulkRun
from spotdx_async.bulk.server_time import ServerTime
from spotdx_async.config import check_seconds
from spotdx_async.errors import ConfigError, InvalidInputError

T = TypeVar("T")

_SMALL_READ = Operation("GET", "/api/v2/kit_types", is_replay_safe=True, answer=list[str], identity=TEXTS)
"""Shows whether the server is back, for whatever is created."""
_CONCURRENCY = 8
"""Each order ships a parcel: fewer are in doubt when a run dies."""


def create_run(
    rows: Iterable[Any] | AsyncIterable[Any],
    *,
    call: str,
    operation: Operation[T],
    runner: Runner,
    creation: Creation[T],
    new_look: NewLook | None,
    options: Mapping[str, Any],
    decode: Callable[[Reply], T] | None = None,
) -> BulkRun[T]:
    """Build the run; nothing is sent before it is iterated.

    Args:
        rows: the rows.
        call: the method's name, as an error shows it.
        operation: creates one object.
        runner: makes the attempts; its repeats and its bounds on a whole call do not apply, since a run has its own.
        creation: how a row becomes a request.
        new_look: makes what looks for rows in doubt; None if there is no way to.
        options: as passed to the method.
        decode: decodes an answer, if not as the operation does: a DecodeError says that it does not show success.

    Raises:
        InvalidInputError: ``rows`` or an option is unusable.
        TypeError: there is no such option, or the journal is missing.
    """
    check_keywords(call, options, CreateOptions.__annotations__)
    if "journal" not in options:
        message = f"{call}() missing 1 required keyword-only argument: 'journal' (None: a killed run cannot go on)"
        raise TypeError(message)
    first = options.get("look_first")
    day = None if first is None else day_of(first)
    if first is not None and day is None:
        raise InvalidInputError("look_first must be a date, or text as YYYY-MM-DD")
    if first is not None and creation.client_ref_key is None:
        raise InvalidInputError(f"look_first is not for {creation.noun}s: they carry no reference to look for")
    given = {name: value for name, value in options.items() if name not in {"lands_within_s", "look_first"}}
    lands_within_s = options.get("lands_within_s")
    if lands_within_s is not None:
        lands_within_s = check_seconds("lands_within_s", lands_within_s, error=InvalidInputError)
    unbounded, server_time = runner.without_bounds(), ServerTime()
    job = job_of(
        operation,
        unbounded,
        make=CreateJob,
        send=partial(_send, unbounded, partial(_dated, decode or operation.decode, server_time)),
        rows_name="rows",
        lands_within_s=None if lands_within_s is None else max(lands_within_s, unbounded.options.timeout_s),
        creates=True,
        batch=creation.batch,
        ids_are_keys=creation.is_of_key,
        creation=creation,
        server_time=server_time,
        ask=partial(_ask, unbounded),
        new_look=new_look,
        look_first=day,
    )
    return BulkRun(rows, job, session=CreateSession, **{"concurrency": _CONCURRENCY, **given})


def _send(  # noqa: PLR0917 - as every Send is called
    runner: Runner,
    decode: Callable[[Reply], Any],
    request: Request,
    _body: bytes,
    attempt_state: AttemptState,
    is_repeat: bool,
    may_go: Callable[[], bool],
    observation: CallObservation | None,
) -> Awaitable[AttemptResult]:
    return runner.attempt(
        request,
        decode,
        attempt_state=attempt_state,
        is_repeat=is_repeat,
        may_go=may_go,
        observation=observation,
    )


async def _ask(runner: Runner) -> AttemptResult:
    request = _SMALL_READ.request()
    return await runner.attempt(
        request, _SMALL_READ.decode, attempt_state=AttemptState(), is_repeat=False, may_go=lambda: True
    )


def getter(operation: Operation[T], runner: Runner) -> Callable[[str], Awaitable[T]]:
    """Return the function that gets an object by its id, for whoever looks for what is in doubt."""

    async def get(an_id: str) -> T:
        return await runner.call(operation.request(an_id, allow_any_id=runner.allow_any_id), operation.decode)

    return get


def _dated(decode: Callable[[Reply], T], server_time: ServerTime, reply: Reply) -> T:
    """Decode an answer, and note what it says of the server's clock."""
    found = server_clock(reply.headers, clock.wall())
    if found is not None:
        server_time.note(found.now)
    return decode(reply)


def checked_batch(batch: object) -> str:
    """Return the name of a batch, the same for every form of Unicode.

    Raises:
        InvalidInputError: it is not text, or empty.
    """
    if isinstance(batch, str) and batch.strip() and is_unicode(batch):
        return normalize("NFC", batch)
    raise InvalidInputError("batch must be text, and not empty: a name of yours for these rows")


def checked_key(client_ref_key: str | None, call: str) -> str:
    """Return the key of the references, without which no row in doubt could be found.

    Raises:
        ConfigError: the client has none.
    """
    if client_ref_key is not None:
        return client_ref_key
    raise ConfigError(f"{call} needs references, and the client has client_ref_key=None")
