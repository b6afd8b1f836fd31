"""Errors leave the SDK without the frames they came through: error trackers show the locals of every frame.

Those hold what the caller gave: ids, metadata, filters, people. It knows nothing but the error tree.
"""

import asyncio
from collections.abc import Callable, Coroutine
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from spotdx_async.errors import SpotError

__all__ = ["sealed", "sealed_call"]

P = ParamSpec("P")
T = TypeVar("T")


def sealed(function: Callable[P, T]) -> Callable[P, T]:
    """Seal a plain function: its SDK errors show this frame alone, and nothing in it."""

    @wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return function(*args, **kwargs)
        except SpotError as error:
            del args, kwargs
            raise error.with_traceback(None)  # noqa: B904 - it is the same error

    return call


def sealed_call(function: Callable[P, Coroutine[Any, Any, T]]) -> Callable[P, Coroutine[Any, Any, T]]:
    """Seal a coroutine function. A cancellation too: it comes through frames that hold the token."""

    @wraps(function)
    async def call(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return await function(*args, **kwargs)
        except (SpotError, asyncio.CancelledError) as error:
            del args, kwargs
            raise error.with_traceback(None)  # noqa: B904 - it is the same error

    return call
