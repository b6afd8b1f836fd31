"""The token: fixed, or from the caller's function, called once for all waiting calls, and again when it is refused.

It knows no HTTP. The token never appears in a repr or an error.
"""

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from contextvars import ContextVar

from spotdx_async._http.messages import Token
from spotdx_async.config import check_token
from spotdx_async.errors import ConfigError, NotSentError

TokenSource = Callable[[], Awaitable[str] | str]

_PATIENCE_S = 1.0  # for a source to end when cancelled; a choice: closing must not hang on the caller's code


class _Question:
    """One request to a source for a token."""

    __slots__ = ("is_over", "waits_for_itself")

    def __init__(self) -> None:
        self.is_over = False
        self.waits_for_itself = False


_ASKED_IN: ContextVar[tuple[_Question, ...]] = ContextVar("spotdx_asked_in", default=())
"""The questions that the current context is answering: waiting for one of them here would deadlock."""


class Auth:
    """Holds the current token; only one task asks the source at a time, however many calls wait for it."""

    def __init__(self, token: str | TokenSource, *, timeout_s: float | None = None) -> None:
        """Take the given token.

        Args:
            token: the token, or its source.
            timeout_s: the longest that the source may take to answer, in seconds; None: no bound.

        Raises:
            ConfigError: the token is unusable.
        """
        self._source = token if callable(token) else None
        self._timeout_s = timeout_s
        self.current = None if callable(token) else Token(check_token(token))
        """The current token, without asking for one."""
        self._asking: asyncio.Task[Token] | None = None
        self._question = _Question()
        self._is_closed = False

    async def token(self) -> Token:
        """The current token; asks the source if there is none.

        Raises:
            NotSentError: the source failed.
            ConfigError: the source returned no usable token.
        """
        return self.current if self.current is not None else await self._ask()

    async def renew(self, refused: Token) -> bool:
        """After a 401: whether there is now a token other than the refused one to try.

        The source is asked only if it has not answered since it returned the refused token.

        Raises:
            NotSentError: the source failed.
            ConfigError: the source returned no usable token.
        """
        if self._source is None:
            return False
        if self.current is refused:
            self.current = None
        return (await self.token()).text != refused.text

    def forget_loop(self) -> None:
        """Drop a question asked in a loop that is gone."""
        self._asking = None
        self._is_closed = False

    def check_not_asked_here(self) -> None:
        """Refuse to wait inside the very source that is being asked: its answer would never come.

        Raises:
            ConfigError: this is inside it.
        """
        questions = _ASKED_IN.get()
        if self._asking is not None and self._question in questions:
            for question in questions[questions.index(self._question) :]:
                question.waits_for_itself = True
            raise _tangled()

    async def close(self) -> None:
        """Cancel a question that is in progress; its waiters see the cancellation as a failed source."""
        self._is_closed = True
        asking, self._asking = self._asking, None
        if asking is not None:
            asking.cancel()
            await asyncio.wait([asking], timeout=_PATIENCE_S)

    async def _ask(self) -> Token:
        self.check_not_asked_here()
        if self._asking is None:
            self._question = _Question()
            # A separate task: a caller that is cancelled must not take the others' answer with it.
            self._asking = asyncio.create_task(self._ask_source(self._question), name="spotdx token")
            self._asking.add_done_callback(self._settle)
        asking = self._asking
        await asyncio.wait([asking])
        if asking.cancelled() and self._is_closed:
            raise NotSentError("the client was closed while it waited for a token", reason="closed")
        if asking.cancelled():
            message = "something other than the call cancelled the token function, so nothing was sent"
            raise NotSentError(message, reason="token")
        # The task's exception would collect a traceback from every waiter, so each gets its own copy.
        if (error := asking.exception()) is not None:
            raise _copy(error)
        return asking.result()

    def _settle(self, asking: "asyncio.Task[Token]") -> None:
        if self._asking is asking:
            self._asking = None
        if not asking.cancelled() and asking.exception() is None:
            self.current = asking.result()

    async def _ask_source(self, question: _Question) -> Token:
        assert self._source is not None  # noqa: S101 - only a source is asked; for the type checker
        # Set in this task and its children only: they must know nothing of questions that are over.
        _ASKED_IN.set((*(earlier for earlier in _ASKED_IN.get() if not earlier.is_over), question))
        bound = asyncio.timeout(self._timeout_s)
        try:
            async with bound:
                answer = self._source()
                token = await answer if inspect.isawaitable(answer) else answer
        except asyncio.CancelledError as cancelled:
            asking = asyncio.current_task()
            if asking is None or asking.cancelling():
                raise
            failure = f"raised {type(cancelled).__name__}"  # something it awaited was cancelled, not the question
        except TimeoutError as error:
            is_bound = bound.expired()
            failure = "returned no token within timeout_s" if is_bound else f"raised {type(error).__name__}"
        except Exception as error:  # noqa: BLE001 - the caller's code may raise anything, and its text may hold secrets
            failure = f"raised {type(error).__name__}"
        else:
            return Token(check_token(token))
        finally:
            question.is_over = True
        if question.waits_for_itself:
            raise _tangled()
        raise NotSentError(f"the token function {failure}; nothing was sent", reason="token")


def _tangled() -> ConfigError:
    return ConfigError(
        "the token function uses the client that waits for its token: let it use another client or session"
    )


def _copy(error: BaseException) -> BaseException:
    if isinstance(error, ConfigError):
        return ConfigError(*error.args)
    if isinstance(error, NotSentError):
        return NotSentError(*error.args, reason=error.reason)
    return error  # not an ordinary error: the exit of a test, say
