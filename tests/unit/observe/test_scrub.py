"""Calls that are prepared at once and sent when awaited: what they take, when they raise, what they look like."""

import asyncio
import gc
import inspect
import sys
import traceback
import warnings
from collections.abc import Coroutine
from functools import partial
from typing import Any
from unittest.mock import AsyncMock, MagicMock, create_autospec

import pytest
from aiosignal import Signal

from spotdx_async._observe.scrub import Prepared, scrubs_traceback_of_call
from spotdx_async.errors import InvalidInputError, NotSentError
from tests.calls import is_async

CANARY = "canary-7f3a"


async def give(value: str) -> str:
    return value


class Noun:
    @scrubs_traceback_of_call
    def ask(self, values: dict[str, str]) -> Prepared[str]:
        """Ask."""
        if not values:
            raise InvalidInputError("values must not be empty")
        return partial(give, ",".join(values.values()))

    @scrubs_traceback_of_call
    def fail(self, secret: str) -> Prepared[str]:
        async def send() -> str:
            raise NotSentError(f"no connection, and {len(secret)} characters")

        return send

    @scrubs_traceback_of_call
    def wait(self, _secret: str) -> Prepared[bool]:
        return partial(asyncio.Event().wait)

    @scrubs_traceback_of_call
    def crash(self) -> Prepared[str]:
        raise ZeroDivisionError


async def test_what_is_sent_is_what_stood_there_at_the_call() -> None:
    values: dict[str, str] = {}

    def filled(number: int) -> dict[str, str]:
        values["a"] = str(number)
        return values

    assert await asyncio.gather(*(Noun().ask(filled(number)) for number in range(3))) == ["0", "1", "2"]


async def test_what_preparing_raises_is_raised_when_the_call_is_awaited() -> None:
    for call, kind in ((Noun().ask({}), InvalidInputError), (Noun().crash(), ZeroDivisionError)):
        with pytest.raises(kind):
            await call


async def test_one_wrong_call_of_a_batch_is_one_result() -> None:
    results = await asyncio.gather(Noun().ask({}), Noun().ask({"a": "b"}), return_exceptions=True)

    assert isinstance(results[0], InvalidInputError)
    assert results[1] == "b"


async def test_wrong_arguments_are_a_type_error() -> None:
    with pytest.raises(TypeError):
        await Noun().ask()  # type: ignore[call-arg]  # what the test is about


def test_a_call_needs_no_loop_before_it_is_awaited() -> None:
    assert asyncio.run(Noun().ask({"a": "b"})) == "b"


@pytest.mark.parametrize("call", [lambda: Noun().ask({}), lambda: Noun().fail(CANARY)], ids=["preparing", "sending"])
async def test_no_frame_of_a_traceback_holds_what_was_given(call: Any) -> None:
    with pytest.raises((InvalidInputError, NotSentError)) as caught:
        await call()

    frames = [frame for frame, _ in traceback.walk_tb(caught.value.__traceback__)]
    assert CANARY not in repr([frame.f_locals for frame in frames if "sealing" in frame.f_code.co_filename])
    assert [frame.f_code.co_name for frame in frames][1:] == ["send"]


async def test_a_cancellation_comes_without_its_frames() -> None:
    task = asyncio.create_task(Noun().wait(CANARY))
    await asyncio.sleep(0)
    task.cancel()

    with pytest.raises(asyncio.CancelledError) as caught:
        await task

    assert "prepared" not in repr([frame.f_locals for frame, _ in traceback.walk_tb(caught.value.__traceback__)][1:])


def test_one_that_is_never_awaited_is_named_once() -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        Noun().ask({"a": "b"})  # type: ignore[unused-coroutine]  # what the test is about
        Noun().ask({})  # type: ignore[unused-coroutine]  # as well
        gc.collect()

    assert [str(one.message) for one in caught] == ["coroutine 'Noun.ask' was never awaited"] * 2


async def test_it_looks_like_the_coroutine_function_that_it_is() -> None:
    assert is_async(Noun.ask)
    assert is_async(Noun().ask)
    assert inspect.iscoroutinefunction(Noun.ask) is (sys.version_info >= (3, 12))
    assert isinstance(create_autospec(Noun).ask, AsyncMock)
    assert isinstance(AsyncMock(spec=Noun).ask, AsyncMock)
    assert isinstance(MagicMock(spec=Noun).ask, AsyncMock)
    assert inspect.signature(Noun.ask).return_annotation is str
    assert (Noun.ask.__name__, Noun.ask.__doc__) == ("ask", "Ask.")
    call = Noun().ask({"a": "b"})
    assert isinstance(call, Coroutine)
    assert "Noun.ask" in repr(call)
    await call


class OfAHookError(Exception):
    pass


@pytest.mark.parametrize("is_group", [False, True])
async def test_a_foreign_exception_comes_without_our_frames_and_those_that_call_hooks(*, is_group: bool) -> None:
    hooks: Signal[Any] = Signal(object())

    async def hook(_secret: str) -> None:
        raise OfAHookError

    hooks.append(hook)
    hooks.freeze()

    def prepare(secret: str) -> Prepared[None]:
        async def ask() -> None:
            try:
                await hooks.send(secret)
            except OfAHookError as error:
                if is_group:
                    raise ExceptionGroup("several", [error])  # noqa: B904 - it is in the group
                raise

        return ask

    with pytest.raises(ExceptionGroup if is_group else OfAHookError) as caught:
        await scrubs_traceback_of_call(prepare)(CANARY)

    error: Any = getattr(caught.value, "exceptions", (caught.value,))[0]
    frames = [step for step, _ in traceback.walk_tb(error.__traceback__)]
    assert "aiosignal" not in {frame.f_globals["__name__"] for frame in frames}
    assert all(CANARY not in repr(frame.f_locals) for frame in frames if frame.f_code.co_name in {"send", "call"})
