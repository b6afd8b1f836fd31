"""Waits until one object meets a condition."""

import inspect
from collections.abc import Callable
from functools import partial
from typing import TypeVar

from spotdx_async._http import clock
from spotdx_async._http.messages import Reply, Request
from spotdx_async._http.retry import may_pass
from spotdx_async._http.runner import Runner
from spotdx_async._observe.scrub import Prepared
from spotdx_async.config import check_seconds
from spotdx_async.errors import InvalidInputError, SpotError, WaitTimeoutError

__all__ = ["wait_until"]

T = TypeVar("T")


def wait_until(
    runner: Runner,
    request: Request,
    decode: Callable[[Reply], T],
    condition: Callable[[T], object] | object,
    *,
    deadline_s: float,
    every_s: float,
) -> Prepared[T]:
    """Prepare to get an object again and again until a condition holds.

    Raises:
        InvalidInputError: an option is unusable.
    """
    if not callable(condition) or inspect.iscoroutinefunction(condition):
        raise InvalidInputError("condition must be a plain function of the object; nothing was sent")
    deadline_s = check_seconds("deadline_s", deadline_s, error=InvalidInputError)
    every_s = check_seconds("every_s", every_s, error=InvalidInputError)
    return partial(_wait, runner, request, decode, condition, deadline_s, every_s)


async def _wait(  # noqa: PLR0917 - as prepared above
    runner: Runner,
    request: Request,
    decode: Callable[[Reply], T],
    condition: Callable[[T], object],
    deadline_s: float,
    every_s: float,
) -> T:
    ends_at_s = clock.now() + deadline_s
    last: T | None = None
    trouble: SpotError | None = None
    while (left_s := ends_at_s - clock.now()) > clock.INSTANT_S:
        try:
            last, trouble = await runner.within(left_s).call(request, decode), None
        except SpotError as error:
            if not may_pass(error):
                raise
            trouble = error
        else:
            answer = condition(last)
            if inspect.isawaitable(answer):
                if inspect.iscoroutine(answer):
                    answer.close()
                raise InvalidInputError("condition must be a plain function of the object, and returned an awaitable")
            if answer:
                return last
        await runner.state.sleep(min(every_s, max(0.0, ends_at_s - clock.now())))
        runner.state.check_open()
    message = f"the condition did not hold within {deadline_s:g} s"
    if trouble is not None:
        message += f"; the last look failed: {trouble}"
    raise WaitTimeoutError(message, operation=request.operation, last=last)
