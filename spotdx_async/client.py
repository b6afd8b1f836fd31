"""SpotClient: opens and closes, wires the stages of a call, hands out the resources."""

import inspect
import ssl
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cached_property, partial
from typing import Any, NoReturn, Self, Unpack

from attrs import evolve

from spotdx_async import resources
from spotdx_async._codec.encoding import check_encode
from spotdx_async._http.auth import Auth, TokenSource
from spotdx_async._http.client_state import ClientState
from spotdx_async._http.logs import log_exposure
from spotdx_async._http.messages import Response
from spotdx_async._http.rate_limiter import GcraLimiter, RateLimiter, slots_of
from spotdx_async._http.sessions import CallersSession
from spotdx_async._http.transport import Transport
from spotdx_async._observe.scrub import Prepared, scrubs_traceback, scrubs_traceback_of_call
from spotdx_async._version import __version__
from spotdx_async.config import (
    AdaptiveRateLimit,
    CallOptionChanges,
    CallOptions,
    Limiter,
    RateLimit,
    RetryPolicy,
    Stats,
    check_base_url,
    check_count,
    check_flag,
    check_key,
    check_seconds,
    host_of,
    is_exposed,
    token_from_environment,
)
from spotdx_async.errors import ConfigError
from spotdx_async.network import Network, network_of
from spotdx_async.resources import lazy
from spotdx_async.resources.noun import Noun, set_by_hand

__all__ = ["SpotClient"]

_TEN_MIB = 10 * 1024 * 1024


class SpotClient:
    """A client of the Spot API; one for each process and token, shared by all its tasks.

    It may be created outside a loop, and used in one running loop at a time; the first call opens connections.
    Close it with ``async with`` or ``await close()``.

    Args:
        token: the API key, or a plain or async function that returns it. A function is called once, and once more for
            all waiting calls together when the server answers 401; it may take ``timeout_s`` each time, and must not
            use this client. A client has one token, requested in the context of whichever call comes first: a function
            that reads a context variable (a tenant, say) needs a client per tenant. None: the environment's
            ``SPOTDX_TOKEN``.
        base_url: None: the environment's ``SPOTDX_BASE_URL``, else the production server. https; http on loopback only.
            ``SSL_CERT_FILE``, set before Python starts, names authorities other than the system's.
        timeout_s: one attempt, from connection to last byte, in seconds; waits before it do not count.
        deadline_s: the whole call with all its waits and attempts, in seconds; None: no bound.
        retry: when and how often to repeat.
        rate_limit: a ``RateLimit``; an ``AdaptiveRateLimit``, which this client learns from the server's 429s; a
            ``RateLimiter`` that several clients share; or any object with the ``Limiter`` protocol. None: no limit.
        max_wait_s: the most that all waits before an attempt may add up to, in seconds: for one of ``concurrency``
            permits, the rate limit, a pause and the token; None: no bound. A call that would wait longer ends at once
            if that is known in advance. The back-off of ``retry`` does not count.
        concurrency: calls in flight at once. More than about 200 costs twice the CPU per call, since the garbage
            collector walks over everything in flight.
        lands_within_s: seconds after which a request that was sent has been executed, or never will be; values below
            ``timeout_s`` count as ``timeout_s``. After an attempt without a usable answer, even if a repeat succeeded,
            a kit's next value in a bulk run waits that long; ``reconcile`` says "not found" no sooner.
        max_pause_s: the longest pause that a server's Retry-After can impose on the whole client, in seconds;
            ``resume`` lifts one. A server that asks for more is logged, and ends calls whose own bounds that exceeds.
        max_body_bytes: the longest answer that is read, decompressed. One of more than 64 KiB may hold one value for
            every 20 bytes of this bound (524,288 by default), since tiny values take far more memory than their text.
            Values in the answers of ``request`` are not counted.
        client_ref_key: the key in the metadata of new orders and requisitions under which the SDK puts a reference, by
            which ``reconcile`` finds them; None: no reference is added.
        allow_any_id: True accepts ids that hold a slash, a backslash, a semicolon or nothing but dots, percent-encoded
            or not. They are encoded into one path segment, but a proxy that decodes and normalises paths (nginx with a
            URI in ``proxy_pass``, say), or a server that cuts them at a semicolon, may route them to another object:
            use it only if nothing like that is in between.
        encode: a plain function, called with each value in metadata, and in the ``json`` of ``request``, whose type
            JSON lacks (a datetime, Decimal, UUID, Enum, …; never NaN). It returns the JSON form, without such values in
            it, and always the same for the same value, since journals compare rows by it. What it raises is an
            ``InvalidInputError`` that names the place, and shows no value.
        session: the caller's own session, never closed by the client. Its own limits, proxies, cookies, hooks and
            middlewares apply; their exceptions propagate unchanged. aiohttp is kept from repeating by itself through
            it. With middlewares a failure is never "not sent", since one of them may have sent the request in its own
            way. For requests that must not be repeated, a session with its own request class, or of a subclass with its
            own way of sending, is rejected (ConfigError).
        proxy: your network's forward proxy, ``http://host:port`` or ``http://user:password@host:port``, with special
            characters percent-encoded. TLS to the server passes it unread, and what must not be sent twice has a
            connection of its own there too. None: the environment's ``SPOTDX_PROXY``, unless the server is on this
            machine, else none; ``HTTPS_PROXY`` is not read. Not together with ``session``, which has its own.
        ssl_context: verifies the server, and may hold a client certificate. One that does not verify is rejected,
            unless the server is on this machine. None: a context from the files that the environment's
            ``SPOTDX_CA_FILE``, ``SPOTDX_CLIENT_CERT`` and ``SPOTDX_CLIENT_KEY`` name, else Python's own. Not together
            with ``session``.
        connect_timeout_s: the part of ``timeout_s`` that a new connection may take, in seconds: the lookup of the name,
            the connection itself, the proxy's answer, the TLS handshake. With ``session``, without the lookup.
        headers: sent with each request to the server, and to nobody else: no proxy, and no other host of a file. For a
            gateway that asks for a key, say. Names that the SDK sets itself are rejected.
        user_agent: follows the SDK's own in ``User-Agent``, such as ``acme-etl/2.1``.
        allow_http_hosts: names of hosts, such as ``host.docker.internal``, to which ``base_url`` may lead by http: for
            a fake server in another container. Token and patient data can be read on the way, which is logged.
        observer: is notified of everything that this client and its views do; ``spotdx_async.otel.OpenTelemetry`` is
            one.
        on_attempt: a plain function, called with a record of each attempt when it ends: of single calls, lists and bulk
            rows alike. For this and the two below: an exception in the function changes no call, and goes to the loop's
            exception handler.
        on_retry: the same with each wait before another attempt, when it begins.
        on_pause: the same with each pause that the server asks for.

    Raises:
        ConfigError: a setting is wrong; the message does not show a token.
    """

    @scrubs_traceback
    def __init__(
        self,
        token: str | TokenSource | None = None,
        *,
        base_url: str | None = None,
        timeout_s: float = 30.0,
        deadline_s: float | None = None,
        retry: RetryPolicy | None = None,
        rate_limit: RateLimit | AdaptiveRateLimit | Limiter | None = None,
        max_wait_s: float | None = None,
        concurrency: int = 64,
        lands_within_s: float = 60.0,
        max_pause_s: float = 300.0,
        max_body_bytes: int = _TEN_MIB,
        client_ref_key: str | None = "client_ref",
        allow_any_id: bool = False,
        encode: Callable[[Any], object] | None = None,
        session: CallersSession | None = None,
        proxy: str | None = None,
        ssl_context: ssl.SSLContext | None = None,
        connect_timeout_s: float = 10.0,
        headers: Mapping[str, str] | None = None,
        user_agent: str | None = None,
        allow_http_hosts: Iterable[str] = (),
        observer: "lazy.Observer | None" = None,
        on_attempt: "Callable[[lazy.AttemptRecord], object] | None" = None,
        on_retry: "Callable[[lazy.RetryRecord], object] | None" = None,
        on_pause: "Callable[[lazy.PauseRecord], object] | None" = None,
    ) -> None:
        self._base_url = _base_url(base_url, allow_http_hosts)
        self._client_ref_key = check_key("client_ref_key", client_ref_key)
        retry = RetryPolicy() if retry is None else retry
        options = CallOptions(timeout_s=timeout_s, deadline_s=deadline_s, retry=retry, max_wait_s=max_wait_s)
        hooks = {"on_attempt": on_attempt, "on_retry": on_retry, "on_pause": on_pause}
        is_observed = observer is not None or any(hook is not None for hook in hooks.values())
        way = (proxy, ssl_context, connect_timeout_s)
        network = network_of(self._base_url, way, headers=headers, user_agent=user_agent, session=session)
        self._options = options
        self._state = ClientState(
            auth=Auth(token_from_environment() if token is None else token, timeout_s=options.timeout_s),
            transport=_transport(self._base_url, network, session, max_body_bytes),
            limiter=_limiter(rate_limit),
            concurrency=check_count("concurrency", concurrency),
            lands_within_s=check_seconds("lands_within_s", lands_within_s),
            max_pause_s=check_seconds("max_pause_s", max_pause_s),
            allow_any_id=check_flag("allow_any_id", allow_any_id),
            encode=check_encode(encode),
            dispatcher=lazy.dispatcher_of(self._base_url, observer, hooks) if is_observed else None,
        )
        self._is_owner = True

    def __repr__(self) -> str:
        return f"<SpotClient of {self._base_url}>"

    async def __aenter__(self) -> Self:
        """Return the client itself; nothing is opened before the first call."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close it."""
        await self.close()

    def resume(self) -> None:
        """Lift a pause that the server asked for, for all calls and runs of this client that wait because of it.

        Call it in the client's event loop.

        Raises:
            ConfigError: another running loop uses the client, or no loop runs here.
        """
        self._state.resume()

    def __reduce__(self) -> NoReturn:
        """Refuse to be pickled or copied: a copy would hold the token in clear text, and no connection."""
        raise TypeError("a SpotClient cannot be pickled or copied: create one in each process, with its own token")

    __copy__ = __reduce__

    def __deepcopy__(self, memo: object) -> NoReturn:
        """Refuse, as for ``copy``."""
        self.__reduce__()

    async def close(self) -> None:
        """Close the connections, and end calls in progress: as not sent, or as unknown if a request was sent.

        It returns when the inputs and journals of bulk runs are closed too, unless it is called by the input of one, or
        by a task that the input started: the run would wait for itself. It waits at most 5 s, in case an input waits
        for a task that was started elsewhere and closes the client.

        A second close does nothing, and neither does closing a view made by ``with_options``: only the opener closes.
        """
        if self._is_owner:
            await self._state.close()

    def with_options(self, **options: Unpack[CallOptionChanges]) -> Self:
        """Return a view on the same connections, limits and budget whose calls have other options.

        A view of a subclass is of that subclass, and has the attributes that the client has at this moment: the same
        objects, not copies. What a ``cached_property`` holds is made anew, since it may hold a noun of the client. A
        noun that you have set yourself, such as a mock, is the view's too.
        ``__init__`` is not called.

        Args:
            **options: any of ``timeout_s``, ``deadline_s``, ``retry`` and ``max_wait_s``.

        Raises:
            ConfigError: an unknown name, or a value out of range.
        """
        unknown = options.keys() - {"timeout_s", "deadline_s", "retry", "max_wait_s"}
        if unknown:
            raise ConfigError(
                f"with_options takes timeout_s, deadline_s, retry and max_wait_s, not {', '.join(sorted(unknown))}"
            )
        # Without __init__, which would ask for the token again and make a second session.
        view = object.__new__(type(self))
        for name, value in _kept_by(self):
            object.__setattr__(view, name, value)
        view._options = evolve(self._options, **options)
        view._is_owner = False
        return view

    @property
    def stats(self) -> Stats:
        """Return a snapshot of the counts of this client and all its views."""
        return self._state.stats()

    @cached_property
    def _runner(self) -> "lazy.Runner":
        return lazy.Runner(self._state, self._options)

    @Noun
    def kits(self) -> "resources.Kits":
        """Kits: their metadata, their state, their list, their types, and their activation."""
        return resources.Kits(self._runner)

    @Noun
    def orders(self) -> "resources.Orders":
        """Orders: placing them, their state, their list and their metadata."""
        return resources.Orders(self._runner, self._client_ref_key)

    @Noun
    def requisitions(self) -> "resources.Requisitions":
        """Requisitions: creating them, their state and their list."""
        return resources.Requisitions(self._runner, self._client_ref_key)

    @Noun
    def patients(self) -> "resources.Patients":
        """Patients: creating them."""
        return resources.Patients(self._runner)

    @Noun
    def registration_tokens(self) -> "resources.RegistrationTokens":
        """Secrets with which patients register kits themselves."""
        return resources.RegistrationTokens(self._runner)

    @Noun
    def reports(self) -> "resources.Reports":
        """The files of reports, which kits and requisitions link to."""
        return resources.Reports(self._runner)

    @scrubs_traceback_of_call
    def request(
        self,
        method: str,
        path: str,
        *,
        json: Any = None,
        query: Mapping[str, Any] | None = None,
        replay_safe: bool = False,
        headers: Mapping[str, str] | None = None,
    ) -> Prepared[Response]:
        """Call an endpoint that the SDK does not know, through the same stages: limits, token, repeats, redaction.

        Args:
            method: in capitals, such as ``POST``.
            path: from the first slash on, ids percent-encoded, without a query.
            json: the body; None for none.
            query: parameters; None values are left out.
            replay_safe: whether executing it twice leaves the same state as once; GET, HEAD and OPTIONS always are.
                Without it, a failure after sending is an OutcomeUnknownError, and nothing is repeated that may have
                been executed.
            headers: of this request, beside the client's own. Names that the SDK sets itself are rejected.

        Raises:
            InvalidInputError: an argument is wrong; nothing was sent.
            SpotError: any other, as the error tree says.
        """
        encode = self._runner.encode
        request = lazy.unlisted_request(
            method, path, json=json, query=query, replay_safe=replay_safe, headers=headers, encode=encode
        )
        return partial(self._runner.fetch, request)


def _kept_by(client: SpotClient) -> Iterator[tuple[str, Any]]:
    """Give the attributes of a client that its views have too, those in slots of a subclass included."""
    for name, value in set_by_hand(client).items():
        if not isinstance(inspect.getattr_static(type(client), name, None), cached_property):
            yield name, value
    for cls in type(client).__mro__:
        for name, member in vars(cls).items():
            if inspect.ismemberdescriptor(member) and hasattr(client, name):
                yield name, getattr(client, name)


def _base_url(base_url: str | None, allow_http_hosts: Iterable[str]) -> str:
    checked = check_base_url(base_url, allow_http_hosts)
    if is_exposed(checked):
        log_exposure(host_of(checked))
    return checked


def _transport(base_url: str, network: Network, session: CallersSession | None, max_body_bytes: int) -> Transport:
    most = check_count("max_body_bytes", max_body_bytes)
    sdk = f"spotdx-async/{__version__}"
    return Transport(base_url, max_body_bytes=most, user_agent=sdk, session=session, network=network)


def _limiter(rate_limit: RateLimit | AdaptiveRateLimit | Limiter | None) -> GcraLimiter | Limiter:
    if rate_limit is None or isinstance(rate_limit, (RateLimit, AdaptiveRateLimit)):
        return GcraLimiter(rate_limit)
    if isinstance(rate_limit, RateLimiter):
        return slots_of(rate_limit)
    if isinstance(rate_limit, Limiter):
        return rate_limit
    raise ConfigError(
        "rate_limit must be RateLimit(rate), AdaptiveRateLimit(), a RateLimiter or an object with acquire() and "
        f"pause(), not {type(rate_limit).__name__}"
    )
