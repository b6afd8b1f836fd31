"""Errors leave the SDK without the frames they passed through: error trackers show the locals of every frame.

Those hold what the caller passed: ids, metadata, filters, people. It knows nothing but the error tree.
"""

import asyncio
import inspect
import sys
from collections.abc import Callable, Coroutine
from functools import partial, wraps
from types import TracebackType
from typing import Any, Final, NoReturn, ParamSpec, TypeAlias, TypeVar

from spotdx_async.errors import SpotError

_OURS: Final = frozenset({"aiohttp", "aiosignal", "spotdx_async"})

P = ParamSpec("P")
T = TypeVar("T")

Prepared: TypeAlias = Callable[[], Coroutine[Any, Any, T]]
"""A call whose request is already written: sending begins when its result is awaited."""


def scrubs_traceback(function: Callable[P, T]) -> Callable[P, T]:
    """Wrap a plain function so that its SDK errors show this frame alone, with nothing in it."""

    @wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return function(*args, **kwargs)
        except SpotError as error:
            del args, kwargs
            raise error.with_traceback(None)  # noqa: B904 - it is the same error

    return call


def scrubs_traceback_of_call(prepare: Callable[P, Prepared[T]]) -> Callable[P, Coroutine[Any, Any, T]]:
    """Make a coroutine function of one that prepares a call; its errors show none of our frames.

    Preparing happens at the call, not when the coroutine is first stepped: a caller may refill the mapping long before
    a gathered call gets its turn, and what is sent must be what it held at the call. Errors from preparing are raised
    when the coroutine is awaited, as a coroutine function would: one bad argument among many passed to
    ``asyncio.gather(..., return_exceptions=True)`` is then one result.

    A cancellation is scrubbed too: it passes through frames that hold the token.
    """
    _tell_what_it_gives(prepare)
    _mark_as_coroutine_function(prepare)  # mocks of Python 3.13 look at the wrapped function, too

    @wraps(prepare)  # for its name, in a task's repr and in "was never awaited"
    async def send(prepared: Prepared[T]) -> T:
        try:
            return await prepared()
        except (SpotError, asyncio.CancelledError) as error:
            del prepared
            raise error.with_traceback(None)  # noqa: B904 - it is the same error
        except BaseException as error:  # noqa: BLE001 - from a hook, a limiter, a signal handler: raised again
            del prepared
            raise without_ours(error)  # noqa: B904 - it is the same error

    @wraps(prepare)
    def call(*args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, T]:
        try:
            prepared = prepare(*args, **kwargs)
        except SpotError as error:
            return send(partial(_fail, error.with_traceback(None)))
        except Exception as error:  # noqa: BLE001 - a caller's mapping may raise anything: raised when awaited
            return send(partial(_fail, error))
        return send(prepared)

    _mark_as_coroutine_function(call)
    return call


def without_ours(error: BaseException) -> BaseException:
    """Remove our frames and aiohttp's, whose locals hold the token, from an exception of the caller's own.

    The same is done to its context, and to its members if it is a group.
    """
    seen: set[int] = set()
    waiting: list[tuple[BaseException | None, bool]] = [(error, True)]
    while waiting:
        found, came_through_us = waiting.pop()
        if found is None or id(found) in seen:
            continue
        seen.add(id(found))
        trace = found.__traceback__
        # An exception that the caller is handling begins with a frame of the caller's, and stays as it is.
        if trace is not None and (came_through_us or _is_ours(trace)):
            found.__traceback__ = _cut(trace)
        waiting += ((found.__cause__, False), (found.__context__, False))
        if isinstance(found, BaseExceptionGroup):
            waiting += ((one, came_through_us) for one in found.exceptions)
    return error


def _is_ours(traceback: TracebackType) -> bool:
    return str(traceback.tb_frame.f_globals.get("__name__")).partition(".")[0] in _OURS


def _cut(traceback: TracebackType) -> TracebackType | None:
    kept: list[TracebackType] = []
    step: TracebackType | None = traceback
    while step is not None:
        if not _is_ours(step):
            kept.append(step)
        step = step.tb_next
    rest: TracebackType | None = None
    for one in reversed(kept):
        rest = TracebackType(rest, one.tb_frame, one.tb_lasti, one.tb_lineno)
    return rest


async def _fail(error: Exception) -> NoReturn:
    raise error


def _tell_what_it_gives(prepare: Callable[..., Any]) -> None:
    """Annotate a function that prepares a call with what awaiting the call returns, for signatures that are shown."""
    given = prepare.__annotations__["return"]  # Callable[[], Coroutine[Any, Any, T]]
    if isinstance(given, str):  # what it names is imported when it is first asked for
        prepare.__annotations__["return"] = given.removeprefix("Prepared[").removesuffix("]")
    else:
        prepare.__annotations__["return"] = given.__args__[-1].__args__[-1]


def _mark_as_coroutine_function(call: Callable[..., Any]) -> None:
    """Make mocks and frameworks recognise it as a coroutine function, although its body runs at the call."""
    if sys.version_info >= (3, 12):
        inspect.markcoroutinefunction(call)
    else:  # no public mark yet: asyncio.iscoroutinefunction and unittest.mock look for this
        call._is_coroutine = asyncio.coroutines._is_coroutine  # type: ignore[attr-defined]  # noqa: SLF001
