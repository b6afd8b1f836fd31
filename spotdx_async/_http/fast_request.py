"""Sessions of the SDK's own: their connections, and the writing of their requests."""

import asyncio
from collections import deque
from collections.abc import Mapping
from typing import Any, Final

import aiohttp
from aiohttp import http_writer
from aiohttp.tracing import Trace
from attrs import define

from spotdx_async._http.sessions import CURRENT, TRACING, Sending

__all__ = ["WriteQueue", "pooled_session", "request_class", "single_use_session"]

_KNOWN: Final = "3.14."
"""The releases of aiohttp whose requests are written here; with another one aiohttp writes them itself."""
_LARGE_BODY: Final = 64 * 1024
"""From here on a body is left to aiohttp's writer, which waits while the connection takes no more."""


def pooled_session(headers: Mapping[str, str]) -> aiohttp.ClientSession:
    """Make a session that keeps connections for the next request.

    Args:
        headers: of every request, ``Host`` among them; what is sent besides comes with the request.
    """
    return _session(_Connector(), headers)


def single_use_session(headers: Mapping[str, str]) -> aiohttp.ClientSession:
    """Make a session that opens a connection for each request and closes it after.

    A kept connection can be closed by the server just as a request goes out, and nobody knows whether it was carried
    out. What must not be done twice gets a fresh one.
    """
    return _session(_Connector(force_close=True), {**headers, "Connection": "close"})


class WriteQueue:
    """Writes the requests that one turn of the loop makes together, in the next turn.

    One by one, each would wake the server and go through the kernel between the decoding of two answers. Together they
    save 11 % of a typed call's CPU time at 10 at once, 15 % at 100, and a fifth on uvloop (in turn, round by
    round).
    """

    def __init__(self) -> None:
        self._waiting: deque[tuple[Any, bytes, Sending]] = deque()

    def put(self, protocol: Any, request: bytes, sending: Sending) -> None:
        """Take in a request, to be written by the connection that the protocol of aiohttp's has then, if any."""
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
                except (KeyboardInterrupt, SystemExit):  # these are the loop's, which ends with them
                    protocol.abort()
                    raise
                except BaseException as error:  # noqa: BLE001 - it is told to the call
                    _fail(protocol, error)
        finally:
            for left in waiting:  # a signal's exception may come anywhere
                self.put(*left)


def _write(protocol: Any, request: bytes, sending: Sending) -> None:
    transport = protocol.transport
    # A connection that was lost meanwhile has told its call so; of a call that is over nothing goes out any more.
    if transport is not None and not transport.is_closing() and sending.may_go:
        sending.note_written()
        transport.write(request)


def _fail(protocol: Any, error: BaseException) -> None:
    """Tell the call whose request could not be written why; its connection is not used again."""
    transport = protocol.transport
    protocol.set_exception(error)
    if transport is not None:
        transport.abort()


class _Connector(aiohttp.TCPConnector):
    """Gives no kept connection on which something came that nobody asked for: it would pass for the next answer.

    It also writes the requests, since it knows how many are under way.
    """

    def __init__(self, *, force_close: bool = False) -> None:
        # No limit here: the client's own permits stand before it, and wait without eating the timeout.
        super().__init__(limit=0, force_close=force_close)
        self._writes = WriteQueue()

    def write(self, protocol: Any, request: bytes, sending: Sending) -> None:
        """Write a request with the others of its turn, or at once where it is the only one under way."""
        if len(self._acquired) > 1:
            self._writes.put(protocol, request, sending)
        else:
            _write(protocol, request, sending)

    async def _get(self, key: Any, traces: Any) -> Any:
        while (kept := await super()._get(key, traces)) is not None:
            if kept.protocol is not None and not kept.protocol.should_close:
                break
            kept.close()
        return kept

    def _release(self, key: Any, protocol: Any, *, should_close: bool = False) -> None:
        """Close a connection whose answer came before its request was sent whole: the rest would go before the next."""
        transport = protocol.transport
        if transport is not None and transport.get_write_buffer_size():
            should_close = True
        super()._release(key, protocol, should_close=should_close)


@define
class _Written:
    """What a response asks of the writer of its request."""

    output_size: int


class _OneWrite(aiohttp.ClientRequest):
    """Takes headers and body as they are, and writes them at once, with others of its turn.

    What aiohttp does besides, merging headers and making a payload, a writer and before Python 3.12 a task for each
    body, takes 114 kI of a request's 460 (callgrind).
    """

    _sending: Sending
    _given: bytes | None = None
    """The body, empty for a GET; None: aiohttp writes it."""

    def update_headers(self, headers: Any) -> None:  # noqa: ARG002 - what tracers have put in besides
        """Take the session's headers, with ``Host`` in its place, and those of the request: no others are sent."""
        sending = CURRENT.get()
        assert sending is not None and sending.headers is not None  # noqa: S101, PT018 - for the type checker
        self._sending = sending
        self.headers = self._session.headers.copy()
        self.headers.update(sending.headers)
        sending.is_reached = True

    def update_auto_headers(self, skip_auto_headers: Any) -> None:
        """Add none."""

    def update_body_from_data(self, body: Any, _stacklevel: int = 3) -> None:
        """Keep a body of bytes as it is."""
        if type(body) is bytes and len(body) < _LARGE_BODY:
            self._given = body
            self.headers["Content-Length"] = str(len(body))
        else:
            super().update_body_from_data(body, _stacklevel)
            self._given = b"" if body is None and self.method == "GET" else None

    async def send(self, conn: Any) -> aiohttp.ClientResponse:
        """Give the request to the connector; a body that is large or no bytes is left to aiohttp."""
        body, sending = self._given, self._sending
        session: Any = self._session
        if body is None:
            self._traces = [Trace(session, TRACING, TRACING.trace_config_ctx(trace_request_ctx=sending))]
            return await super().send(conn)
        sending.check_first()
        head = f"{self.method} {self.url.raw_path_qs} HTTP/1.1"
        # It refuses control characters in the headers. Looked up here, since another release may not have it.
        request = http_writer._serialize_headers(head, self.headers) + body  # noqa: SLF001 - of a known release
        session.connector.write(conn.protocol, request, sending)
        conn.protocol.start_timeout()
        return self.response_class(
            self.method,
            self.original_url,
            writer=None,
            continue100=None,
            timer=self._timer,
            request_info=self.request_info,
            traces=self._traces,
            loop=self.loop,
            session=self._session,
            stream_writer=_Written(len(request)),  # type: ignore[arg-type]  # all that is asked of it
        )


def request_class(aiohttp_version: str) -> type[aiohttp.ClientRequest]:
    """Choose what writes requests: nothing of ours where the release may have changed what stands around it."""
    return _OneWrite if aiohttp_version.startswith(_KNOWN) else aiohttp.ClientRequest


def _session(connector: aiohttp.TCPConnector, headers: Mapping[str, str]) -> aiohttp.ClientSession:
    requests = request_class(aiohttp.__version__)
    session = aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        request_class=requests,
        trust_env=False,
    )
    # Products that trace put hooks and headers into every session that is made; ours send the token.
    session.headers.clear()
    session.headers.update(headers)
    session.trace_configs[:] = [] if requests is _OneWrite else [TRACING]
    # Else aiohttp sends a GET a second time by itself when a kept connection breaks, unseen by the retry budget. There
    # is no public way to say so.
    session._retry_connection = False  # noqa: SLF001 - a test holds its effect
    return session
