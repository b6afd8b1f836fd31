"""The token: asked for once by all who wait, renewed once, and shown to nobody."""

import asyncio
import gc
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import pytest

from spotdx_async._http.auth import Auth
from spotdx_async._http.messages import Token
from spotdx_async.errors import ConfigError, NotSentError, SpotError

pytestmark = pytest.mark.virtual_time
SECRET = "canary-token"


@pytest.fixture(autouse=True)
async def no_loose_ends() -> AsyncIterator[None]:
    """Fail where an exception was never retrieved, or a callback broke."""
    found: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: found.append(context))
    yield
    gc.collect()
    await asyncio.sleep(0)
    assert found == []


class Source:
    """A token function that counts its calls and gives its answers one after the other."""

    def __init__(self, *answers: Any, takes_s: float = 1.0) -> None:
        self.asked = 0
        self.cancelled = 0
        self._answers: Iterator[Any] = iter(answers)
        self._takes_s = takes_s

    async def __call__(self) -> str:
        self.asked += 1
        answer = next(self._answers)
        try:
            await asyncio.sleep(self._takes_s)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        if isinstance(answer, BaseException):
            raise answer
        return str(answer)


def assert_shows_nothing(error: SpotError) -> None:
    assert "canary" not in f"{error!s}{error!r}{error.args!r}{vars(error)!r}"
    assert (error.__cause__, error.__context__) == (None, None)


# A fixed token


async def test_a_fixed_token_is_there_at_once_and_stays_the_same() -> None:
    auth = Auth(SECRET)

    assert auth.current is not None
    token = await auth.token()
    assert token.text == SECRET
    assert await auth.token() is token


async def test_a_fixed_token_that_is_refused_cannot_be_renewed() -> None:
    auth = Auth(SECRET)

    assert await auth.renew(await auth.token()) is False


async def test_a_fixed_token_stays_after_closing() -> None:
    auth = Auth(SECRET)
    await auth.close()

    assert (await auth.token()).text == SECRET


@pytest.mark.parametrize("bad", ["", "canary token", "canary\r\n", "canary\u00e9", 5, None, b"canary"])
async def test_an_unusable_token_is_refused_at_once_and_unseen(bad: Any) -> None:
    with pytest.raises(ConfigError) as caught:
        Auth(bad)

    assert_shows_nothing(caught.value)


def test_no_repr_shows_the_token() -> None:
    auth = Auth(SECRET)

    assert "canary" not in f"{auth!r}{auth.current!r}{auth.current!s}"


def test_two_tokens_of_the_same_text_are_still_two() -> None:
    assert Token(SECRET) != Token(SECRET)


# A source


@pytest.mark.parametrize("make", [lambda: SECRET, Source(SECRET)], ids=["plain", "async"])
async def test_a_source_may_be_plain_or_async(make: Callable[[], Any]) -> None:
    assert (await Auth(make).token()).text == SECRET


async def test_a_source_may_give_any_awaitable() -> None:
    def source() -> Awaitable[str]:
        future = asyncio.get_running_loop().create_future()
        future.set_result(SECRET)
        return future

    assert (await Auth(source).token()).text == SECRET


async def test_a_source_is_asked_when_it_is_needed_and_only_once() -> None:
    source = Source(SECRET)
    auth = Auth(source)
    assert (auth.current, source.asked) == (None, 0)

    first = await auth.token()

    assert auth.current is not None
    assert await auth.token() is first
    assert source.asked == 1


async def test_a_thousand_waiting_calls_ask_once() -> None:
    source = Source(SECRET)
    auth = Auth(source)

    tokens = await asyncio.gather(*(auth.token() for _ in range(1000)))

    assert source.asked == 1
    assert {id(token) for token in tokens} == {id(await auth.token())}
    assert asyncio.get_running_loop().time() == pytest.approx(1)


@pytest.mark.parametrize("who", [0, 1, 500, 999])
async def test_one_cancelled_call_does_not_take_the_others_answer_with_it(who: int) -> None:
    source = Source(SECRET)
    auth = Auth(source)
    tasks = [asyncio.create_task(auth.token()) for _ in range(1000)]
    await asyncio.sleep(0.5)

    tasks[who].cancel()
    done = await asyncio.gather(*tasks, return_exceptions=True)

    assert isinstance(done[who], asyncio.CancelledError)
    assert [getattr(token, "text", None) for token in done].count(SECRET) == 999
    assert (source.asked, source.cancelled) == (1, 0)


async def test_a_cancelled_call_ends_at_once() -> None:
    task = asyncio.create_task(Auth(Source(SECRET, takes_s=3600)).token())
    await asyncio.sleep(1)

    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task
    assert asyncio.get_running_loop().time() == pytest.approx(1)


async def test_where_all_are_cancelled_the_answer_is_kept_for_the_next() -> None:
    source = Source(SECRET)
    auth = Auth(source)
    tasks = [asyncio.create_task(auth.token()) for _ in range(10)]
    await asyncio.sleep(0.5)
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)

    assert (await auth.token()).text == SECRET
    assert source.asked == 1


async def test_where_all_are_cancelled_a_failure_is_no_loose_end() -> None:
    auth = Auth(Source(ValueError("canary")))
    task = asyncio.create_task(auth.token())
    await asyncio.sleep(0.5)
    task.cancel()
    await asyncio.wait([task])

    await asyncio.sleep(5)  # the fixture looks for what nobody retrieved

    assert auth.current is None


# A source that fails


@pytest.mark.parametrize(
    "failure",
    [
        ValueError("canary"),
        OSError(5, "canary"),
        KeyError("canary"),
        TimeoutError("canary"),
        NotSentError("canary"),
        ConfigError("canary"),
        StopAsyncIteration("canary"),
        ExceptionGroup("canary", [ValueError("canary")]),
    ],
    ids=lambda failure: type(failure).__name__,
)
async def test_a_failing_source_shows_only_the_kind_of_its_error(failure: BaseException) -> None:
    with pytest.raises(NotSentError, match=f"the token function raised {type(failure).__name__}; nothing") as caught:
        await Auth(Source(failure)).token()

    assert caught.value.reason == "token"
    assert_shows_nothing(caught.value)


async def test_a_plain_source_that_fails_is_no_different() -> None:
    def source() -> str:
        raise LookupError("canary")

    with pytest.raises(NotSentError, match="raised LookupError") as caught:
        await Auth(source).token()

    assert_shows_nothing(caught.value)


async def test_a_source_that_is_cancelled_from_within_has_failed() -> None:
    async def source() -> str:
        task = asyncio.create_task(asyncio.sleep(3600))
        asyncio.get_running_loop().call_later(1, task.cancel)
        await task
        return SECRET

    with pytest.raises(NotSentError, match="the token function raised CancelledError") as caught:
        await Auth(source).token()

    assert caught.value.reason == "token"


async def test_what_is_no_mere_error_goes_through_as_it_is() -> None:
    class Exit(BaseException):
        pass

    with pytest.raises(Exit):
        await Auth(Source(Exit())).token()


async def test_a_failure_reaches_all_who_wait_as_errors_of_their_own() -> None:
    source = Source(ValueError("canary"), SECRET)
    auth = Auth(source)

    errors = await asyncio.gather(*(auth.token() for _ in range(100)), return_exceptions=True)

    assert all(isinstance(error, NotSentError) for error in errors)
    assert len({id(error) for error in errors}) == 100
    assert source.asked == 1


async def test_after_a_failure_the_next_call_asks_anew() -> None:
    source = Source(ValueError("canary"), SECRET)
    auth = Auth(source)
    with pytest.raises(NotSentError):
        await auth.token()

    assert (await auth.token()).text == SECRET
    assert source.asked == 2


@pytest.mark.parametrize("bad", ["", "canary token", "canary\n", "canary\u00e9", 5, None, b"canary", ["canary"]])
async def test_an_unusable_answer_is_the_caller_s_error_and_unseen(bad: Any) -> None:
    auth = Auth(lambda: bad)

    for _ in range(2):
        with pytest.raises(ConfigError, match="token") as caught:
            await auth.token()
        assert_shows_nothing(caught.value)
    assert auth.current is None


# Renewing


async def test_a_refused_token_is_renewed_once_for_all_calls_that_carried_it() -> None:
    source = Source("old", "new")
    auth = Auth(source)
    refused = await auth.token()

    answers = await asyncio.gather(*(auth.renew(refused) for _ in range(1000)))

    assert answers == [True] * 1000
    assert source.asked == 2
    assert (await auth.token()).text == "new"


async def test_a_late_call_with_the_refused_token_finds_the_new_one() -> None:
    source = Source("old", "new")
    auth = Auth(source)
    refused = await auth.token()
    await auth.renew(refused)

    assert await auth.renew(refused) is True
    assert source.asked == 2


async def test_while_it_is_renewed_new_calls_wait_for_the_new_token() -> None:
    auth = Auth(Source("old", "new"))
    refused = await auth.token()
    renewing = asyncio.create_task(auth.renew(refused))
    await asyncio.sleep(0.5)

    assert auth.current is None
    assert (await auth.token()).text == "new"
    assert await renewing is True


async def test_the_same_text_again_is_no_other_token() -> None:
    source = Source("old", "old")
    auth = Auth(source)
    refused = await auth.token()

    assert await asyncio.gather(*(auth.renew(refused) for _ in range(100))) == [False] * 100
    assert await auth.renew(refused) is False
    assert source.asked == 2


async def test_the_same_text_again_is_asked_for_again_when_it_is_refused_again() -> None:
    source = Source("old", "old", "new")
    auth = Auth(source)
    await auth.renew(await auth.token())

    assert await auth.renew(await auth.token()) is True
    assert source.asked == 3


async def test_a_renewal_that_fails_says_so_to_all_and_can_be_tried_again() -> None:
    source = Source("old", ValueError("canary"), "new")
    auth = Auth(source)
    refused = await auth.token()

    errors = await asyncio.gather(*(auth.renew(refused) for _ in range(50)), return_exceptions=True)

    assert all(isinstance(error, NotSentError) and error.reason == "token" for error in errors)
    assert source.asked == 2
    assert await auth.renew(refused) is True


async def test_a_renewal_that_gives_no_token_is_the_caller_s_error() -> None:
    auth = Auth(Source("old", "canary with spaces"))

    with pytest.raises(ConfigError) as caught:
        await auth.renew(await auth.token())

    assert "canary" not in repr(caught.value)


async def test_a_cancelled_renewal_does_not_take_the_others_answer_with_it() -> None:
    source = Source("old", "new")
    auth = Auth(source)
    refused = await auth.token()
    tasks = [asyncio.create_task(auth.renew(refused)) for _ in range(10)]
    await asyncio.sleep(0.5)

    tasks[0].cancel()
    done = await asyncio.gather(*tasks, return_exceptions=True)

    assert done[1:] == [True] * 9
    assert source.asked == 2


# The end


async def test_closing_while_it_is_asked_tells_all_who_wait() -> None:
    source = Source(SECRET, takes_s=3600)
    auth = Auth(source)
    tasks = [asyncio.create_task(auth.token()) for _ in range(100)]
    await asyncio.sleep(1)

    await auth.close()
    errors = await asyncio.gather(*tasks, return_exceptions=True)

    assert all(isinstance(error, NotSentError) and error.reason == "closed" for error in errors)
    assert source.cancelled == 1
    assert asyncio.get_running_loop().time() == pytest.approx(1)


async def test_closing_before_the_question_has_begun_is_no_loose_end() -> None:
    source = Source(SECRET)
    auth = Auth(source)
    task = asyncio.create_task(auth.token())
    await asyncio.sleep(0)

    await auth.close()

    with pytest.raises(NotSentError) as caught:
        await task
    assert caught.value.reason == "closed"
    assert source.asked == 0


async def test_closing_does_not_wait_for_ever_for_a_source_that_will_not_end() -> None:
    async def stubborn() -> str:
        for _ in range(10):
            try:
                await asyncio.sleep(3600)
            except asyncio.CancelledError:
                continue
        return SECRET

    auth = Auth(stubborn)
    task = asyncio.create_task(auth.token())
    await asyncio.sleep(1)

    await auth.close()

    assert asyncio.get_running_loop().time() == pytest.approx(2)
    task.cancel()
    await asyncio.wait([task])


async def test_closing_twice_or_without_a_question_does_nothing() -> None:
    auth = Auth(Source(SECRET))

    await auth.close()
    await auth.close()

    assert auth.current is None


async def test_a_question_of_a_loop_that_is_gone_is_forgotten() -> None:
    source = Source(SECRET, SECRET)
    auth = Auth(source)
    task = asyncio.create_task(auth.token())
    await asyncio.sleep(0.5)

    auth.forget_loop()

    assert (await auth.token()).text == SECRET
    assert source.asked == 2
    await task
