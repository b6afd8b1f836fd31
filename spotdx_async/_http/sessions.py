"""How it is known what was sent, by the SDK's own sessions and by a caller's.

Whether a request was sent is noted where its bytes are handed to a connection, never concluded from what came after.
"""

from collections.abc import Awaitable, Callable, Mapping
from contextvars import ContextVar
from inspect import getattr_static
from types import SimpleNamespace
from typing import Any, Final, Protocol

import aiohttp

from spotdx_async._http import clock

__all__ = [
    "CURRENT",
    "TRACING",
    "SecondSendingError",
    "Sending",
    "has_middlewares",
    "untraced_request",
    "watch",
]

_OF_THE_WRITER: Final = frozenset({"connection", "content-length", "content-type", "transfer-encoding"})
"""Headers that aiohttp adds to a request by itself."""


class SecondSendingError(Exception):
    """A request was about to be sent again, by aiohttp or by a middleware, where only the SDK may repeat."""


class _AttemptState(Protocol):
    may_have_arrived: bool
    last_byte_s: float
    is_called_off: bool


class Sending:
    """What is known of one attempt, from before it is given to aiohttp until it has ended.

    It goes to our own requests by ``CURRENT``, and to trace hooks as their ``trace_request_ctx``: requests of other
    hooks or middlewares have another one, and do not count.
    """

    __slots__ = (
        *("_first_head", "attempt_state", "headers", "is_over", "is_own", "is_reached", "is_repeated"),
        *("is_seen", "is_written", "may_repeat"),
    )

    def __init__(
        self,
        attempt_state: _AttemptState,
        headers: Mapping[str, str],
        *,
        is_own: bool = True,
        may_repeat: bool = False,
        is_seen: bool = True,
    ) -> None:
        """Note nothing so far.

        Args:
            attempt_state: what the call knows of its attempts.
            headers: what is sent besides the session's headers.
            is_own: whether the session is ours: nothing else is sent then.
            may_repeat: whether a middleware may send the request again by itself.
            is_seen: whether all that the session sends is noted.
        """
        self.attempt_state: _AttemptState | None = attempt_state
        self.headers: Mapping[str, str] | None = headers
        self.is_own = is_own
        self.may_repeat = may_repeat
        self.is_seen = is_seen
        self.is_reached = False
        """Whether the request has come to where every byte that is sent is noted."""
        self.is_written = False
        """Whether bytes of it were handed to a connection."""
        self.is_repeated = False
        """Whether it was kept from being sent a second time."""
        self.is_over = False
        self._first_head: Any = None

    def __bool__(self) -> bool:
        """Be false, as the None is that hooks have found there so far."""
        return False

    @property
    def may_have_arrived(self) -> bool:
        """Whether bytes were sent, or nobody can know: a mock or a middleware answered in aiohttp's place."""
        return self.is_written or not (self.is_reached and self.is_seen)

    @property
    def may_go(self) -> bool:
        """Whether bytes of it may still be handed to a connection."""
        return not self.is_over and not (self.attempt_state is not None and self.attempt_state.is_called_off)

    def check_first(self, head: object = None) -> None:
        """Let the request be sent once.

        Args:
            head: the headers as aiohttp holds them. It makes them anew for a repeat of its own on a broken connection,
                which the retry budget must see; a middleware that repeats, to renew a credential say, has them still.

        Raises:
            SecondSendingError: it was sent before, its attempt has ended, or it was called off.
        """
        if not self.may_go or (self.is_written and not (self.may_repeat and head is self._first_head)):
            self.is_repeated = True
            raise SecondSendingError
        self._first_head = head

    def note_written(self) -> None:
        """Note that the next step hands bytes to a connection."""
        self.is_written = True
        if self.attempt_state is not None:
            self.attempt_state.may_have_arrived = True
            self.attempt_state.last_byte_s = clock.now()

    def end(self) -> None:
        """Keep nothing of the request: contexts that were copied meanwhile live as long as the connection."""
        self.is_over = True
        self.headers = self._first_head = self.attempt_state = None
        if CURRENT.get(None) is self:
            CURRENT.set(None)


CURRENT: ContextVar[Sending | None] = ContextVar("spotdx_sending")
"""What is being sent by this task, through a session of our own."""


class _Tracing(aiohttp.TraceConfig):
    """Notes by aiohttp's public hooks what is sent: all of a caller's session, and what aiohttp writes for ours."""

    def __init__(self) -> None:
        super().__init__()
        self.on_connection_queued_start.append(_note_reached)
        self.on_connection_create_start.append(_note_reached)
        self.on_connection_reuseconn.append(_note_reached)
        self.on_request_headers_sent.append(_note_head)
        self.on_request_chunk_sent.append(_note_chunk)
        self.freeze()


async def _note_reached(_session: object, context: SimpleNamespace, _params: object) -> None:
    if type(sending := context.trace_request_ctx) is Sending:
        sending.is_reached = True


async def _note_head(
    session: aiohttp.ClientSession, context: SimpleNamespace, params: aiohttp.TraceRequestHeadersSentParams
) -> None:
    """Note the request right before aiohttp writes it; of our own sessions send what we send alone."""
    if type(sending := context.trace_request_ctx) is Sending:
        sending.check_first(params.headers)
        if sending.is_own and sending.headers is not None:
            _keep_ours(params.headers, {**session.headers, **sending.headers})
        sending.note_written()


async def _note_chunk(_session: object, context: SimpleNamespace, _params: object) -> None:
    """Note a part of a body that aiohttp writes: the request can land for so long after its last byte."""
    if type(sending := context.trace_request_ctx) is Sending:
        sending.note_written()


def _keep_ours(headers: Any, ours: Mapping[str, str]) -> None:
    kept = {name.lower() for name in ours} | _OF_THE_WRITER
    for name in [*headers]:
        if name.lower() not in kept:
            headers.popall(name, None)
    headers.update(ours)


TRACING: Final = _Tracing()
"""The hooks that note it; one for all sessions."""


def watch(session: aiohttp.ClientSession) -> bool:
    """Note what a caller's session sends from here on; False where it may send what aiohttp's hooks do not see.

    Other hooks of the session stay, and run before ours.
    """
    if TRACING not in session.trace_configs:
        session.trace_configs.append(TRACING)
    # There is no public way to ask; tests hold what is meant. A product's patch of aiohttp's `_request` is the same for
    # both, though a new object each time it is looked up as an attribute; one that does not hand our marker on leaves
    # the request unseen.
    is_usual = getattr(session, "_request_class", aiohttp.ClientRequest) is aiohttp.ClientRequest
    return is_usual and getattr_static(session, "_request") is getattr_static(aiohttp.ClientSession, "_request")


def untraced_request() -> Callable[..., Awaitable[aiohttp.ClientResponse]]:
    """Give what makes a session's requests, without what Datadog, Elastic and others have put around it.

    They write down each URL, which can hold a patient's name, and add headers. What stands in its place altogether, as
    the mocks of tests do, is used.
    """
    request: Any = aiohttp.ClientSession._request  # noqa: SLF001 - what aiohttp's own request() calls
    while hasattr(type(request), "_self_wrapper"):  # a FunctionWrapper of wrapt's, which they all use
        request = request.__wrapped__
    return request  # type: ignore[no-any-return]


def has_middlewares(session: aiohttp.ClientSession) -> bool:
    """Whether something stands before aiohttp that may send a request its own way after aiohttp could not."""
    return bool(getattr(session, "_middlewares", ()))
