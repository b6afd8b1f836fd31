"""Requests over HTTP, one attempt at a time; none of aiohttp's exceptions gets out.

A ``TransportFailure`` says whether the request may have arrived. This module knows no model and no retry.
"""

import asyncio
import io
import platform
import ssl
import sys
import warnings
from collections.abc import Callable, Iterable, Mapping
from contextlib import AsyncExitStack
from functools import cached_property
from typing import Any, Final

import aiohttp
from yarl import URL

from spotdx_async._http import clock, fast_request
from spotdx_async._http.bodies import SMALL_BODY, check_head, check_values, read_body, receive
from spotdx_async._http.failures import ClosedError, closed_failure, failure_of, foreign_in
from spotdx_async._http.messages import SUCCESS, AttemptState, Download, Reply, Request, Token, TransportFailure
from spotdx_async._http.sessions import CURRENT, TRACING, Sending
from spotdx_async._observe.scrub import without_ours
from spotdx_async.errors import ConfigError
from spotdx_async.network import Network, Proxy

_LARGE_BODY: Final = 1024 * 1024
_READS: Final = frozenset({"GET", "HEAD"})
_READ_AHEAD: Final = 256 * 1024
"""How much is read, and decompressed, before the body's cap is checked again. A caller's session may set far more."""


class Transport:
    """Sends requests through one pooled session per loop, and creates through connections that are used once."""

    def __init__(
        self,
        base_url: str,
        *,
        max_body_bytes: int,
        user_agent: str,
        session: aiohttp.ClientSession | None = None,
        network: Network | None = None,
    ) -> None:
        """Open nothing yet.

        Args:
            base_url: the server.
            max_body_bytes: the longest answer that is read, decompressed.
            user_agent: what names the SDK.
            session: a caller's own.
            network: how sessions of our own reach the server, how long any one may take for that, and what is sent.
        """
        self._pooled: aiohttp.ClientSession | None = None
        self._single_use: aiohttp.ClientSession | None = None
        self.now: Callable[[], float] = clock.now
        """The clock of the loop whose requests it sends."""
        self._network = network or Network()
        self._base = URL(base_url)
        self._origin = self._base.origin()
        self._prefix = self._base.raw_path.rstrip("/")
        self._max_body_bytes = max_body_bytes
        versions = f"python/{platform.python_version()} aiohttp/{aiohttp.__version__}"
        self._headers = {
            "Accept": "application/json",
            "Accept-Encoding": "gzip, deflate",
            "User-Agent": f"{user_agent} {versions}{self._network.user_agent}",
        }
        self._own_headers = {"Host": self._base.host_port_subcomponent or "", **self._headers}
        self._callers_session = _checked(session)
        self._usual_way = _way_through(self._network.proxy)
        self._timeout = _connect_timeout(self._network.connect_timeout_s, is_own=session is None)
        self._inherited: list[aiohttp.ClientSession | None] = []
        # Sessions of loops that are open but not running: each loop finds its own again.
        self._left: dict[asyncio.AbstractEventLoop, tuple[aiohttp.ClientSession | None, ...]] = {}
        self._closing: set[asyncio.Task[None]] = set()

    def __del__(self, _is_at_exit: Callable[[], bool] = sys.is_finalizing) -> None:
        """Warn of a client that was not closed: aiohttp, which warns as well, knows only its session."""
        try:
            if self._pooled is not None or self._single_use is not None:
                message = f"a SpotClient of {self._base} was not closed: use async with, or await its close()"
                warnings.warn(message, ResourceWarning, source=self, stacklevel=2)
        except (AttributeError, TypeError):
            if not _is_at_exit():  # at exit the modules that a warning needs may be gone already
                raise

    @property
    def base_url(self) -> str:
        """The server's address."""
        return str(self._base)

    @property
    def most_connections(self) -> int | None:
        """How many requests the caller's own session lets through at once; None: no limit."""
        connector = self._callers_session.connector if self._callers_session is not None else None
        limits = [n for n in (connector.limit, connector.limit_per_host) if n] if connector is not None else []
        return min(limits, default=None)

    async def send(
        self, request: Request, token: Token, timeout_s: float, attempt_state: AttemptState
    ) -> Reply | TransportFailure:
        """Make one attempt and read its whole answer.

        ``attempt_state`` tells a caller that is interrupted, as by a deadline, whether the request may have arrived.
        """
        session = self._session(request)
        if session.closed:
            message = "the aiohttp session is closed, so nothing was sent"
            return TransportFailure("closed", message, may_have_arrived=False, is_lasting=True)
        if request.download is not None and (failure := request.download.start()) is not None:
            return failure
        sending = self._sending(session, request, token, attempt_state)
        task = asyncio.current_task()
        cancels = await clock.pending_cancellations() if task is not None and task.cancelling() else 0
        status: int | None = None
        headers: Mapping[str, str] = {}
        response: aiohttp.ClientResponse | None = None
        try:
            # Not with aiohttp's own timer, which swallows a cancellation by the caller that comes at the same time.
            async with asyncio.timeout(timeout_s):
                response = await self._request(session, request, sending)
                attempt_state.may_have_arrived = sending.is_written = True
                check_head(response)
                status, headers = response.status, response.headers
                if request.download is not None:
                    await receive(response, session, request.download)
                    return Reply(status, headers, b"")
                cap = self._max_body_bytes
                body = await read_body(response, session, cap, is_own=self._callers_session is None)
                if len(body) > SMALL_BODY and request.identity is not None:
                    check_values(body, cap)
                return Reply(status, headers, body)
        except BaseException as error:  # noqa: BLE001 - what is not recognised is raised again below
            is_aimed = isinstance(error, asyncio.CancelledError) and task is not None and task.cancelling() > cancels
            trouble = error if is_aimed else self._judged(error, session, sending, status)
            attempt_state.may_have_arrived |= sending.may_have_arrived
        if isinstance(trouble, BaseException):
            response, headers = None, {}  # an error tracker would show them, and the URL with its query
            try:
                raise without_ours(trouble)
            finally:
                del trouble  # otherwise frame and exception hold each other
        # An answer that broke off after a status of refusal is still that refusal.
        return trouble if status is None or status in SUCCESS else Reply(status, headers, b"")

    def _judged(
        self, error: BaseException, session: aiohttp.ClientSession, sending: Sending, status: int | None
    ) -> TransportFailure | BaseException:
        """Return the failure, or the foreign exception that the caller gets unchanged."""
        may_have_arrived = sending.may_have_arrived
        if not isinstance(error, asyncio.CancelledError):
            # aiohttp's own assertion, if its session was closed while a hook or a middleware ran.
            if isinstance(error, ClosedError) or (session.closed and isinstance(error, AssertionError)):
                return closed_failure(status, may_have_arrived=may_have_arrived)
            foreign = foreign_in(error, is_own=self._callers_session is None)
            if foreign is not None:
                return foreign
            if may_have_arrived or not session.closed:
                was_repeated = sending.is_repeated
                proxy = self._network.proxy
                return failure_of(
                    error,
                    status,
                    may_have_arrived=may_have_arrived,
                    was_repeated=was_repeated,
                    proxy=None if proxy is None else proxy.place,
                )
        # Closed by another task: aiohttp cancels what it had begun for the request.
        return closed_failure(status, may_have_arrived=may_have_arrived)

    def _sending(
        self, session: aiohttp.ClientSession, request: Request, token: Token, attempt_state: AttemptState
    ) -> Sending:
        headers = self._headers_of(request, token, attempt_state)
        if self._callers_session is None:
            return Sending(attempt_state, headers, self.now)
        if TRACING not in session.trace_configs:  # the session's other hooks stay, and run before ours
            session.trace_configs.append(TRACING)
        is_seen = fast_request.is_watched(session)
        if not is_seen and not request.is_replay_safe:
            raise ConfigError(
                "session sends requests in a way of its own (a request class, or a subclass of ClientSession), so that "
                "nobody can tell whether one was sent twice: send what must not be repeated through another client"
            )
        is_seen = is_seen and not fast_request.has_middlewares(session)
        return Sending(
            attempt_state, headers, self.now, is_own=False, may_repeat=request.is_replay_safe, is_seen=is_seen
        )

    async def _request(
        self, session: aiohttp.ClientSession, request: Request, sending: Sending
    ) -> aiohttp.ClientResponse:
        CURRENT.set(sending)
        try:
            way = self._way(request)
            if self._callers_session is None and not way and request.download is None:
                direct = fast_request.direct_request(session, request.method, request.body)
                if direct is not None:
                    target = f"{self._prefix}{request.path}{f'?{request.query}' if request.query else ''}"
                    return await direct(self._origin, target, request.body, (self._timeout, _READ_AHEAD))
            ask = fast_request.untraced_request(session) if self._callers_session is None else session.request
            return await ask(
                request.method,
                self._url(request),
                data=_payload(request.body),
                headers={**(sending.headers or {})},  # a copy: Datadog and Elastic add theirs to the mapping they see
                allow_redirects=False,
                raise_for_status=False,
                timeout=self._timeout,
                read_bufsize=_READ_AHEAD,
                auto_decompress=None if request.download is None else False,  # None: as the session does
                trace_request_ctx=sending if session.trace_configs else None,
                **way,
            )
        finally:
            sending.end()

    def check_loop(self, loop: asyncio.AbstractEventLoop) -> None:
        """Make sure that the caller's session, if there is one, belongs to this loop.

        Raises:
            ConfigError: it was made in another one, which has its connections and timers.
        """
        if self._callers_session is not None and fast_request.is_of_another_loop(self._callers_session, loop):
            raise ConfigError("session was made in another event loop: create the session and the client in each loop")

    async def close(self) -> None:
        """Close our connections, in their own loop or a later one; a caller's session stays open.

        Those of another loop that is open but not running are closed when it runs again: nobody else can.
        """
        for loop, of_loop in [*self._left.items()]:
            if not loop.is_closed():
                del self._left[loop]
                loop.call_soon_threadsafe(self._close_later, of_loop)
        sessions = [self._pooled, self._single_use]
        self._pooled = self._single_use = None
        try:
            await _close(sessions)
        finally:
            await self.close_orphans()

    async def close_orphans(self) -> None:
        """Close the connections whose loop is closed: it will not come back for them."""
        for loop in [loop for loop in self._left if loop.is_closed()]:
            await _close(self._left.pop(loop))

    def leave(self, loop: asyncio.AbstractEventLoop) -> None:
        """Set aside the connections of a loop that is not running, until it has the client again."""
        self._left[loop] = (self._pooled, self._single_use)
        self._pooled = self._single_use = None

    def come_to(self, loop: asyncio.AbstractEventLoop) -> None:
        """Take up again the connections that were left in this loop, if any."""
        if (left := self._left.pop(loop, None)) is not None:
            self._pooled, self._single_use = left

    def leave_to_parent(self) -> None:
        """In a forked child: stop using the parent's connections, without closing them.

        Closing would take the sockets out of the selector that parent and child share, so the child only keeps them
        from being collected.
        """
        self._inherited += [self._pooled, self._single_use, *(one for left in self._left.values() for one in left)]
        self._pooled = self._single_use = None
        self._left = {}

    def _close_later(self, sessions: Iterable[aiohttp.ClientSession | None]) -> None:
        """Close sessions in their own loop, which runs again, without anybody waiting for it."""
        closing = asyncio.get_running_loop().create_task(_close(sessions), name="spotdx close")
        self._closing.add(closing)
        closing.add_done_callback(self._closing.discard)

    def _session(self, request: Request) -> aiohttp.ClientSession:
        if self._callers_session is not None:
            return self._callers_session
        if request.is_replay_safe:
            if self._pooled is None:
                self._pooled = self._new_session(is_single_use=False)
            return self._pooled
        if self._single_use is None:
            self._single_use = self._new_session(is_single_use=True)
        return self._single_use

    def _new_session(self, *, is_single_use: bool) -> aiohttp.ClientSession:
        context = self._network.ssl_context
        return fast_request.own_session(self._own_headers, is_single_use=is_single_use, ssl_context=context)

    @cached_property
    def _verifying(self) -> ssl.SSLContext:
        return ssl.create_default_context()

    def _way(self, request: Request) -> dict[str, Any]:
        """Return how aiohttp is to reach the server, where that is not its usual way."""
        if request.download is None or self._network.verifies or request.download.link.is_of_server:
            return self._usual_way
        return {**self._usual_way, "ssl": self._verifying}  # only the server on this machine need not be verified

    def _url(self, request: Request) -> URL:
        if request.download is not None:
            return URL(request.download.link.url, encoded=True)
        if not request.query:
            return self._base.with_path(self._prefix + request.path, encoded=True)
        return URL(f"{self._origin}{self._prefix}{request.path}?{request.query}", encoded=True)

    def _headers_of(self, request: Request, token: Token, attempt_state: AttemptState) -> dict[str, str]:
        """Return the headers that the session does not send by itself."""
        if request.download is not None:
            return self._headers_of_file(request.download, token, attempt_state)
        headers = {"Authorization": f"Token {token.text}"}
        if attempt_state.headers is not None:
            headers = {**attempt_state.headers, **headers}
        if self._network.headers or request.headers:
            headers = _merged(self._network.headers, _merged(request.headers, headers))
        if self._network.proxy is not None and self._base.scheme == "http":  # it is the proxy that reads the request
            headers |= self._network.proxy.headers
        if request.body is not None:
            headers["Content-Type"] = "application/json"
        if request.method in _READS:
            # A patient, or the result of a write: an answer from a cache may be older than the write.
            headers["Cache-Control"] = "no-cache"
        if self._callers_session is not None:
            headers |= self._headers
            if not request.is_replay_safe:
                headers["Connection"] = "close"
        return headers

    def _headers_of_file(self, download: Download, token: Token, attempt_state: AttemptState) -> dict[str, str]:
        """Return the headers of a request for a file, which may be on another server: that gets nothing of this one's.

        Raises:
            ConfigError: the caller's session would send it a credential by itself.
        """
        session, link = self._callers_session, download.link
        headers = {**self._headers, "Accept": "*/*", "Accept-Encoding": "identity", "Cache-Control": "no-cache"}
        if session is None:  # our sessions send the name of the API's server with every request
            headers["Host"] = link.place
        if self._network.proxy is not None and link.url.startswith("http:"):  # as for a request without a file
            headers |= self._network.proxy.headers
        if link.is_of_server and download.carries_token:
            headers = _merged(self._network.headers, {**(attempt_state.headers or {}), **headers})
            return {**headers, "Authorization": f"Token {token.text}"}
        if session is not None and "Authorization" in session.headers:
            raise ConfigError("session has an Authorization among its headers, which would go to the host of the file")
        return headers


async def _close(sessions: Iterable[aiohttp.ClientSession | None]) -> None:
    """Close all of them, even if closing one fails or is cancelled."""
    async with AsyncExitStack() as closing:
        for session in reversed([*sessions]):
            if session is not None:
                closing.push_async_callback(session.close)


def _checked(session: object) -> aiohttp.ClientSession | None:
    if session is None:
        return None
    if not isinstance(session, aiohttp.ClientSession):
        raise ConfigError(f"session must be an aiohttp.ClientSession, not {type(session).__name__}")
    if session.auth is not None:
        raise ConfigError("session has its own auth, which conflicts with the token: create it without auth=")
    if not isinstance(session.trace_configs, list):
        raise ConfigError("session has trace_configs that cannot be added to: make it a list")
    if not session.auto_decompress:
        raise ConfigError("session does not decompress answers: create it without auto_decompress=False")
    return session


def _way_through(proxy: Proxy | None) -> dict[str, Any]:
    """Return aiohttp's arguments for requests through a proxy, if there is one."""
    if proxy is None:
        return {}
    # aiohttp sends a session's headers to the proxy as well, and a tunnel is not closed after one request.
    return {"proxy": proxy.url, "proxy_headers": {"Connection": "keep-alive", **proxy.headers}}


def _connect_timeout(seconds: float, *, is_own: bool) -> aiohttp.ClientTimeout:
    """Return aiohttp's bound on the time that a new connection takes, which a caller's session spends waiting too."""
    exactly = float("inf")  # from this on it would round up to whole seconds
    if is_own:
        return aiohttp.ClientTimeout(connect=seconds, ceil_threshold=exactly)
    return aiohttp.ClientTimeout(sock_connect=seconds, ceil_threshold=exactly)


def _merged(under: Mapping[str, str], over: Mapping[str, str]) -> dict[str, str]:
    """Return two sets of headers as one; names are compared in any case."""
    names = {name.lower() for name in over}
    return {**{name: value for name, value in under.items() if name.lower() not in names}, **over}


def _payload(body: bytes | None) -> bytes | io.BytesIO | None:
    # aiohttp warns of large bodies passed as bytes.
    return body if body is None or len(body) < _LARGE_BODY else io.BytesIO(body)
