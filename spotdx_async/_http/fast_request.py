"""Everything that touches aiohttp's internals; without it the SDK uses aiohttp's public API alone, a little slower.

Two kinds of thing, with different rules:

1. Requests written in place of aiohttp, only with the exact releases in ``RELEASES``: all tests have run with each.
   With any other release aiohttp writes its requests itself, and its public hooks note what was sent.
2. Questions that aiohttp's public API does not answer. These only read, with any release; if the attribute that they
   look for is missing, they return the cautious answer.
"""

import asyncio
import ssl
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from inspect import getattr_static
from typing import Any, Final, TypeAlias

import aiohttp
from aiohttp import http_writer
from aiohttp.helpers import TimerNoop
from aiohttp.tracing import Trace
from attrs import define
from yarl import URL

from spotdx_async._http.sessions import CURRENT, TRACING, Connector, Sending, new_session

RELEASES: frozenset[str] = frozenset({"3.14.4", "3.14.5"})
"""The releases of aiohttp with which the SDK writes requests itself."""
_NO_TIMER: Final = TimerNoop()
_NOWHERE: Final = URL()
# What aiohttp's exceptions tell of a request: ours are made of what it was.
_UNTOLD: Final = aiohttp.RequestInfo(_NOWHERE, "", {}, _NOWHERE)  # type: ignore[arg-type]  # of headers, none
_WITH_A_BODY: Final = frozenset({"POST", "PUT", "PATCH", "DELETE"})
_LARGE_BODY: Final = 64 * 1024
"""Bodies from this size on are left to aiohttp's writer, which waits while the connection's buffer is full."""


def own_session(
    headers: Mapping[str, str], *, is_single_use: bool, ssl_context: ssl.SSLContext | None = None
) -> aiohttp.ClientSession:
    """Return a session of the SDK's own, which writes its requests itself if aiohttp's release is known.

    Args:
        headers: of every request, ``Host`` among them; any others come with the request.
        is_single_use: whether each request gets a connection of its own, closed afterwards. The server can close a
            kept-alive connection just as a request goes out, and nobody knows whether that was executed: what must
            not be done twice gets a fresh connection.
        ssl_context: verifies the server; None: as aiohttp does it.
    """
    if aiohttp.__version__ not in RELEASES:
        return new_session(Connector(force_close=is_single_use, ssl_context=ssl_context), headers)
    connector = _WritingConnector(force_close=is_single_use, ssl_context=ssl_context)
    session = new_session(connector, headers, request_class=_OneWrite, has_hooks=False)
    # Otherwise aiohttp reconnects for a GET whose kept-alive connection broke, only to find that it may not send it
    # again.
    session._retry_connection = False  # noqa: SLF001 - of a known release
    return session


class WriteQueue:
    """Writes the requests that one turn of the loop makes together, in the next turn.

    Written one by one, each would wake the server and enter the kernel between the decoding of two answers. Together
    they save 11 % of a typed call's CPU time at 10 at once, 15 % at 100, and a fifth on uvloop (interleaved rounds).
    """

    def __init__(self) -> None:
        self._waiting: deque[tuple[Any, bytes, Sending]] = deque()

    def put(self, protocol: Any, request: bytes, sending: Sending) -> None:
        """Queue a request, to be written to the connection that aiohttp's protocol has by then, if any."""
        if not self._waiting:
            asyncio.get_running_loop().call_soon(self._write)
        self._waiting.append((protocol, request, sending))

    def _write(self) -> None:
        waiting, self._waiting = self._waiting, deque()
        try:
            while waiting:
                protocol, request, sending = waiting.popleft()
                try:
                    _write(protocol, request, sending)
                except (KeyboardInterrupt, SystemExit):  # meant for the loop, which ends with them
                    protocol.abort()
                    raise
                except BaseException as error:  # noqa: BLE001 - the call raises it
                    _fail(protocol, error)
        finally:
            for left in waiting:  # a signal handler may raise anywhere
                self.put(*left)


def _write(protocol: Any, request: bytes, sending: Sending) -> None:
    transport = protocol.transport
    # A connection that was lost meanwhile has failed its call already; nothing more is sent for a call that is over.
    if transport is not None and not transport.is_closing() and sending.start_writing():
        transport.write(request)


def _fail(protocol: Any, error: BaseException) -> None:
    """Fail the call whose request could not be written; its connection is not used again."""
    transport = protocol.transport
    protocol.set_exception(error)
    if transport is not None:
        transport.abort()


class _WritingConnector(Connector):
    """Writes the requests, since the connector knows how many are in progress."""

    def __init__(self, *, force_close: bool, ssl_context: ssl.SSLContext | None = None) -> None:
        super().__init__(force_close=force_close, ssl_context=ssl_context)
        self._writes = WriteQueue()
        self._keys: dict[URL, Any] = {}
        self._last: tuple[Mapping[str, str], bytes] = {}, b""

    def key_of(self, base: URL, make: Callable[[], Any]) -> Any:
        """Return the key of a server's connections, made once."""
        if (key := self._keys.get(base)) is None:
            key = self._keys[base] = make()
        return key

    def headers_text(self, of_all: Any, of_this: Mapping[str, str]) -> bytes:
        """Return a request's headers as they are written; those of most requests are the same as of the last one.

        Raises:
            ValueError: one of them holds a control character.
        """
        last, text = self._last
        if not text or last != of_this:
            # With ``Host`` in its place. Headers that tracers have added to the options are not sent.
            headers = of_all.copy()
            headers.update(of_this)
            # Looked up here, since another release may not have it.
            text = http_writer._serialize_headers("", headers)[2:-2]  # noqa: SLF001 - of a known release
            self._last = {**of_this}, text
        return text

    def write(self, protocol: Any, request: bytes, sending: Sending) -> None:
        """Write a request with the others of its turn, or at once if it is the only one in progress."""
        if len(self._acquired) > 1:
            self._writes.put(protocol, request, sending)
        else:
            _write(protocol, request, sending)


@define(eq=False, repr=False)
class _Written:
    """The part of a request's writer that a response looks at."""

    output_size: int


class _OneWrite(aiohttp.ClientRequest):
    """Takes headers and body as they are, and writes them in one piece, together with others of its turn.

    What aiohttp does besides (merging headers, making a payload, a writer and, before Python 3.12, a task for each
    body) takes 114 kI of a request's 460 (callgrind). Large bodies and rare cases are left to it.
    """

    _given: bytes | None = None
    """The body, empty for a GET; None: aiohttp writes the request."""
    _has_body = False
    _target: str | None = None
    """Path and query, if the URL is the server's address alone."""
    _text: bytes
    """The headers."""

    def __init__(self, method: str, url: URL, *, data: Any = None, **options: Any) -> None:
        sending = CURRENT.get()
        assert sending is not None and sending.headers is not None  # noqa: S101, PT018 - for the type checker
        self._sending = sending
        sending.is_reached = True
        if not self.can_write(method, data):
            super().__init__(method, url, data=data, **options)
            return
        self._given, self._has_body = data or b"", data is not None
        self.method, self.url, self.original_url = method, url, url
        self._target = options.get("target")
        session = self._session = options["session"]
        self.loop, self._timer, self._traces = options["loop"], options["timer"], options["traces"]
        self._ssl, self.response_class = options["ssl"], options["response_class"] or aiohttp.ClientResponse
        self.proxy, self.proxy_headers = options.get("proxy"), options.get("proxy_headers")
        self.server_hostname = self.proxy_auth = None
        if self.proxy is not None:  # aiohttp reads from them which host the proxy is to be told
            self.headers = session.headers.copy()
            self.headers.update(sending.headers)
        self._text = session.connector.headers_text(session.headers, sending.headers)

    @property
    def connection_key(self) -> Any:
        """What connections it can use."""
        if self._target is None:
            return super().connection_key
        connector: Any = self._session.connector
        return connector.key_of(self.url, lambda: super(_OneWrite, self).connection_key)

    @staticmethod
    def can_write(method: str, data: object) -> bool:
        """Return whether it writes such a request itself."""
        if data is None:
            return method == "GET"
        return type(data) is bytes and len(data) < _LARGE_BODY and method in _WITH_A_BODY

    async def send(self, conn: Any) -> aiohttp.ClientResponse:
        """Hand the request to the connector, or to aiohttp's writer, which our hooks watch."""
        body, sending = self._given, self._sending
        session: Any = self._session
        if body is None:
            self._traces = [Trace(session, TRACING, TRACING.trace_config_ctx(trace_request_ctx=sending))]
            return await super().send(conn)
        sending.check_first()
        is_read_by_proxy = self.proxy is not None and not self.is_ssl()
        target = self._target or (str(self.url) if is_read_by_proxy else self.url.raw_path_qs)
        if not target.isprintable():
            raise ValueError("the path holds a control character")
        length = b"Content-Length: %d\r\n" % len(body) if self._has_body else b""
        request = b"%b %b HTTP/1.1\r\n%b%b\r\n%b" % (self.method.encode(), target.encode(), self._text, length, body)
        session.connector.write(conn.protocol, request, sending)
        conn.protocol.start_timeout()
        return self.response_class(
            self.method,
            self.original_url,
            writer=None,
            continue100=None,
            timer=self._timer,
            request_info=_UNTOLD,
            traces=self._traces,
            loop=self.loop,
            session=self._session,
            stream_writer=_Written(len(request)),  # type: ignore[arg-type]  # all that a response uses of it
        )


def direct_request(session: aiohttp.ClientSession, method: str, data: object) -> "_Direct | None":
    """Return a function that makes a request of an own session without aiohttp's session, if that would add nothing.

    It looks for cookies, credentials, proxies, redirects, middlewares and traces, of which own sessions have none: that
    takes a tenth of a typed call. None where the request is left to aiohttp, or something stands in its place.
    """
    connector = session.connector
    if type(connector) is not _WritingConnector or not _OneWrite.can_write(method, data):
        return None
    if session.trace_configs or has_middlewares(session):  # added by somebody else
        return None
    # Whatever wraps or replaces it has globals of its own.
    if getattr(_own_request(), "__globals__", None) is not vars(aiohttp.client):
        return None
    return partial(_request_directly, session, connector, method)


_Direct: TypeAlias = Callable[
    [URL, str, bytes | None, tuple[aiohttp.ClientTimeout, int]], Awaitable[aiohttp.ClientResponse]
]
"""Takes the server's address, path and query, the body, the bound on connecting, and how much is read ahead."""


async def _request_directly(  # noqa: PLR0917 - as prepared above
    session: Any,
    connector: _WritingConnector,
    method: str,
    base: URL,
    target: str,
    data: bytes | None,
    limits: tuple[aiohttp.ClientTimeout, int],
) -> aiohttp.ClientResponse:
    """Do what aiohttp's session does with such a request, with the same exceptions."""
    timeout, read_ahead = limits
    about = {"session": session, "loop": session._loop, "timer": _NO_TIMER, "traces": [], "ssl": True}  # noqa: SLF001 - of a known release
    request = _OneWrite(method, base, data=data, target=target, response_class=None, **about)
    try:
        try:
            connection = await connector.connect(request, about["traces"], timeout)
        except TimeoutError as error:
            raise aiohttp.ConnectionTimeoutError(f"Connection timeout to host {base}") from error
        try:
            connection.protocol.set_response_params(
                timer=_NO_TIMER,
                read_until_eof=True,
                auto_decompress=session.auto_decompress,
                read_bufsize=read_ahead,
                max_line_size=session._max_line_size,  # noqa: SLF001 - as above
                max_field_size=session._max_field_size,  # noqa: SLF001
                max_headers=session._max_headers,  # noqa: SLF001
            )
            response = await request.send(connection)
            try:
                return await response.start(connection)
            except BaseException:
                response.close()
                raise
        except BaseException:
            connection.close()
            raise
    except aiohttp.ClientError:
        raise
    except OSError as error:
        if error.errno is None and isinstance(error, TimeoutError):
            raise
        raise aiohttp.ClientOSError(*error.args) from error


def is_watched(session: aiohttp.ClientSession) -> bool:
    """Return whether aiohttp's hooks see everything that a caller's session sends.

    They do not if it has its own request class, or a subclass with its own ``_request``. A product's patch of aiohttp's
    ``_request`` is the same for both, though a new object each time it is looked up as an attribute; a patch that does
    not pass our marker on leaves the request unseen.
    """
    is_usual = getattr(session, "_request_class", None) is aiohttp.ClientRequest
    return is_usual and getattr_static(session, "_request", None) is getattr_static(
        aiohttp.ClientSession, "_request", 0
    )


def has_middlewares(session: aiohttp.ClientSession) -> bool:
    """Return whether middleware runs before aiohttp that may send a request again in its own way after a failure."""
    return bool(getattr(session, "_middlewares", True))


def is_of_another_loop(session: aiohttp.ClientSession, loop: asyncio.AbstractEventLoop) -> bool:
    """Return whether a session was made in an event loop other than this one."""
    return getattr(session, "_loop", loop) is not loop


def untraced_request(session: aiohttp.ClientSession) -> Callable[..., Awaitable[aiohttp.ClientResponse]]:
    """Return the function that makes a session's requests, without the wrappers of Datadog, Elastic and others.

    The wrappers record each URL, which can contain a patient's name, and add headers. A full replacement, such as the
    mocks of tests, is used as it is.
    """
    request = _own_request()
    return session.request if request is None else partial(request, session)


def _own_request() -> Any:
    request: Any = getattr(aiohttp.ClientSession, "_request", None)  # the one that aiohttp's request() calls
    while hasattr(type(request), "_self_wrapper"):  # wrapt's FunctionWrapper, which they all use
        request = request.__wrapped__
    return request
