"""A transport without a network: it answers in turn what a test has written down, and notes what it was asked."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import attrs

from spotdx_async._http import clock
from spotdx_async._http.messages import AttemptState, Reply, Request, Token, TransportFailure

__all__ = ["CANARY", "NOT_SENT", "UNANSWERED", "ScriptedTransport", "Sent", "Step", "reply"]

CANARY = "canary"
"""Stands in all that nobody may see: the token, ids, queries and bodies."""

NOT_SENT = TransportFailure("refused", "the server refused the connection, so nothing was sent", may_have_arrived=False)
UNANSWERED = TransportFailure("dropped", "the connection broke before a whole answer came", may_have_arrived=True)


def reply(status: int = 200, *, retry_after: float | None = None, body: bytes = b"{}") -> Reply:
    """Make a whole answer."""
    return Reply(status, {} if retry_after is None else {"Retry-After": str(retry_after)}, body)


@attrs.define
class Sent:
    """One request, as the transport was given it."""

    request: Request
    token: Token
    timeout_s: float
    attempt_state: AttemptState
    at_s: float
    headers: Mapping[str, str] | None = None


Step = Reply | TransportFailure | BaseException | Callable[[Sent], Awaitable[Reply | TransportFailure]]
"""What becomes of one request: an answer, a trouble, what is raised, or a coroutine function that finds it out."""


class ScriptedTransport:
    """Takes the steps in turn, and answers everything after the last with 200.

    Args:
        steps: what becomes of each request.
        turns: how often the loop turns before each is answered.
    """

    def __init__(self, *steps: Step, turns: int = 1) -> None:
        self.most_connections: int | None = None
        self.sent: list[Sent] = []
        self.under_way = 0
        self.life: list[str] = []
        """What was asked of the connections."""
        self.close_fails_with: BaseException | None = None
        self._steps = [*steps]
        self._turns = turns

    async def send(
        self, request: Request, token: Token, timeout_s: float, attempt_state: AttemptState
    ) -> Reply | TransportFailure:
        """Note the request, as handed to a connection unless its trouble says that it never was."""
        sent = Sent(request, token, timeout_s, attempt_state, clock.now(), attempt_state.headers)
        self.sent.append(sent)
        step = self._steps.pop(0) if self._steps else reply()
        self.under_way += 1
        try:
            if not isinstance(step, TransportFailure) or step.may_have_arrived:
                attempt_state.may_have_arrived, attempt_state.last_byte_s = True, clock.now()
            for _ in range(self._turns):
                await asyncio.sleep(0)
            if isinstance(step, BaseException):
                raise step
            return step if isinstance(step, (Reply, TransportFailure)) else await step(sent)
        finally:
            self.under_way -= 1

    @property
    def times(self) -> list[float]:
        """When each request was sent, on the loop's clock."""
        return [sent.at_s for sent in self.sent]

    @property
    def tokens(self) -> list[str]:
        """The token of each request."""
        return [sent.token.text for sent in self.sent]

    async def close(self) -> None:
        """Note it, or fail once as the test wants."""
        self.life.append("close")
        await asyncio.sleep(0)
        if self.close_fails_with is not None:
            error, self.close_fails_with = self.close_fails_with, None
            raise error

    async def close_orphans(self) -> None:
        """Note it."""
        self.life.append("close orphans")

    def check_loop(self, _loop: Any) -> None:
        """Take any loop."""

    def leave(self, _loop: Any) -> None:
        """Note it."""
        self.life.append("leave")

    def come_to(self, _loop: Any) -> None:
        """Note it."""
        self.life.append("come")

    def leave_to_parent(self) -> None:
        """Note it."""
        self.life.append("leave to parent")
