"""The sessions that requests go through, the SDK's own and a caller's, and the record of what was sent.

Whether a request was sent is recorded where its bytes are handed to a connection, never inferred from what came after.
Only aiohttp's public API is used here: ``fast_request`` has the rest.
"""

import asyncio
import ssl
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from types import SimpleNamespace
from typing import Any, Final
from weakref import WeakKeyDictionary

import aiohttp
from attrs import define

from spotdx_async._http import clock
from spotdx_async._http.messages import AttemptState

CallersSession = aiohttp.ClientSession
"""What a caller may bring, for signatures above: a name under TYPE_CHECKING alone breaks ``typing.get_type_hints``."""

_OF_THE_WRITER: Final = frozenset({"connection", "content-length", "content-type", "transfer-encoding"})
"""Headers that aiohttp adds to a request by itself."""


class SecondSendingError(Exception):
    """A request was about to be sent again, by aiohttp or by a middleware, though only the SDK may repeat."""


@define(eq=False, repr=False)
class Sending:
    """What is known of one attempt, from before it is passed to aiohttp until it has ended.

    Our own requests find it in ``CURRENT``, trace hooks in their ``trace_request_ctx``: requests that other hooks or
    middlewares make carry another one, and do not count.
    """

    attempt_state: AttemptState | None
    """What the call knows of its attempts; None once this one has ended."""
    headers: Mapping[str, str] | None
    """Headers to send beside the session's; None once the attempt has ended."""
    now: Callable[[], float]
    """The clock of the loop that sends it."""
    is_own: bool = True
    """Whether the session is ours: nothing else is sent then."""
    may_repeat: bool = False
    """Whether a middleware may send the request again by itself."""
    is_seen: bool = True
    """Whether everything that the session sends is recorded."""
    is_reached: bool = False
    """Whether the request has reached the point from which every byte sent is recorded."""
    is_written: bool = False
    """Whether bytes of it were handed to a connection."""
    is_repeated: bool = False
    """Whether a second sending was prevented."""
    is_over: bool = False
    closed: "asyncio.Future[None] | None" = None
    """The end of the connection that it was given; None where that is not known, and when the attempt has ended."""
    traces: Any = None
    """What aiohttp passes along with each request that it makes for one call."""
    _first_head: object = None

    def __bool__(self) -> bool:
        """Return False, like the None that other hooks have found in its place so far."""
        return False

    @property
    def may_have_arrived(self) -> bool:
        """Whether bytes were sent, or nobody can know: a mock or a middleware answered in place of aiohttp."""
        return self.is_written or not (self.is_reached and self.is_seen)

    def check_first(self, head: object = None) -> None:
        """Allow the request to be sent once.

        Args:
            head: the headers as aiohttp holds them. For its own repeat on a broken connection, which the retry budget
                must see, aiohttp makes them anew; a middleware that repeats, to renew a credential say, still has the
                same ones.

        Raises:
            SecondSendingError: it was sent before, its attempt has ended, or it was called off.
        """
        if not self._may_go() or (self.is_written and not (self.may_repeat and head is self._first_head)):
            self.is_repeated = True
            raise SecondSendingError
        self._first_head = head

    def start_writing(self) -> bool:
        """Record that the next step hands bytes to a connection; False if none may go out any more."""
        if not self._may_go():
            return False
        self.note_written()
        return True

    def note_written(self) -> None:
        """Record that the next step hands bytes to a connection."""
        self.is_written = True
        if self.attempt_state is not None:
            self.attempt_state.may_have_arrived = True
            self.attempt_state.last_byte_s = self.now()

    def end(self) -> None:
        """Let go of the request: contexts that were copied meanwhile live as long as the connection."""
        self.is_over = True
        self.headers = self._first_head = self.attempt_state = self.closed = self.traces = None
        if CURRENT.get(None) is self:
            CURRENT.set(None)

    def _may_go(self) -> bool:
        return not (self.is_over or (self.attempt_state is not None and self.attempt_state.is_called_off))


CURRENT: ContextVar[Sending | None] = ContextVar("spotdx_sending")
"""What this task is sending through a session of our own."""


class _Tracing(aiohttp.TraceConfig):
    """Records what is sent, by aiohttp's public hooks: all of a caller's session, and what aiohttp writes for ours."""

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
    """Record the request right before aiohttp writes it; through our own sessions only our headers go out."""
    if type(sending := context.trace_request_ctx) is Sending:
        sending.check_first(params.headers)
        if sending.is_own and sending.headers is not None:
            _keep_ours(params.headers, {**session.headers, **sending.headers})
        sending.note_written()


async def _note_chunk(_session: object, context: SimpleNamespace, _params: object) -> None:
    """Record a part of a body that aiohttp writes: how late the request can land counts from its last byte."""
    if type(sending := context.trace_request_ctx) is Sending:
        sending.note_written()


def _keep_ours(headers: Any, ours: Mapping[str, str]) -> None:
    kept = {name.lower() for name in ours} | _OF_THE_WRITER
    for name in [*headers]:
        if name.lower() not in kept:
            headers.popall(name, None)
    headers.update(ours)


TRACING: Final = _Tracing()
"""The hooks that record it; one set for all sessions."""


class Connector(aiohttp.TCPConnector):
    """Reuses no connection that is not clean.

    If unrequested bytes have come, they would pass for the next answer; if the answer came before its request was fully
    written, the next request would queue behind the rest. If the machine stood still meanwhile, the other end may have
    given the connection up without a word that arrived, and the next request would wait for its whole timeout.
    """

    def __init__(self, *, force_close: bool = False, ssl_context: ssl.SSLContext | None = None) -> None:
        # No limit here: the client's own permits come first, and waiting for those uses up no timeout.
        super().__init__(limit=0, force_close=force_close, ssl=True if ssl_context is None else ssl_context)
        self._watch = clock.SuspensionWatch()
        self._suspensions = 0
        self._used: WeakKeyDictionary[Any, int] = WeakKeyDictionary()
        """After how many suspensions each connection was opened."""

    async def connect(self, req: aiohttp.ClientRequest, traces: Any, timeout: aiohttp.ClientTimeout) -> Any:  # noqa: ASYNC109 - aiohttp's
        """Return a connection that is new, or clean.

        Raises:
            aiohttp.ClientError: what the connection ended with that the request was written to. aiohttp would open
                another one for some methods, over which nothing may be sent, and forget why the first one broke.
        """
        sending = CURRENT.get(None)
        # It is the same call of aiohttp's that repeats: what wraps aiohttp and repeats makes another.
        if sending is not None and sending.is_written and sending.traces is traces:
            raise _end_of(sending.closed)
        if self._watch.has_stood_still(self._loop.time()):
            self._suspensions += 1
        while True:
            connection = await super().connect(req, traces, timeout)
            protocol: Any = connection.protocol
            if self._is_clean(protocol):
                if sending is not None:
                    sending.closed, sending.traces = getattr(protocol, "closed", None), traces
                return connection
            connection.close()

    def _is_clean(self, protocol: Any) -> bool:
        opened_after = self._used.get(protocol)
        if opened_after is None:
            self._used[protocol] = self._suspensions
            if (closed := getattr(protocol, "closed", None)) is not None:
                closed.add_done_callback(look_at)
            return True
        if opened_after != self._suspensions:
            return False
        transport = protocol.transport
        return not protocol.should_close and (transport is None or not transport.get_write_buffer_size())


def look_at(closed: "asyncio.Future[None]") -> None:
    """Retrieve how a connection ended: asyncio complains about an exception that nothing retrieves."""
    if not closed.cancelled():
        closed.exception()


def _end_of(closed: "asyncio.Future[None] | None") -> aiohttp.ClientError:
    """Return what aiohttp raises when a connection ends before the answer."""
    end = closed.exception() if closed is not None and closed.done() and not closed.cancelled() else None
    cause = None if end is None else end.__cause__
    if not isinstance(cause, OSError):
        return aiohttp.ServerDisconnectedError()
    error = aiohttp.ClientOSError(*cause.args)
    error.__cause__ = cause
    return error


def new_session(
    connector: Connector,
    headers: Mapping[str, str],
    *,
    request_class: type[aiohttp.ClientRequest] = aiohttp.ClientRequest,
    has_hooks: bool = True,
) -> aiohttp.ClientSession:
    """Make a session of the SDK's own.

    Args:
        connector: keeps connections for the next request, or closes each.
        headers: of every request, ``Host`` among them; what is sent besides comes with the request.
        request_class: writes the requests.
        has_hooks: whether trace hooks record what is sent; otherwise the request class does.
    """
    session = aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        request_class=request_class,
        trust_env=False,
    )
    # Tracing products add hooks and headers to every session that is made; ours send the token.
    session.headers.clear()
    session.headers.update({**headers, "Connection": "close"} if connector.force_close else headers)
    session.trace_configs[:] = [TRACING] if has_hooks else []
    return session
