"""What a fault needs around the server: certificates, sessions, token functions, arguments."""

import asyncio
import contextlib
import errno
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any, Final

import aiohttp
import attrs
import trustme
from aiohttp.abc import AbstractResolver, ResolveResult

from spotdx_async import Address, NewOrder, Recipient

from .answers import KIT_TYPES
from .scripted_server import ScriptedServer


@attrs.frozen
class Asked:
    """What the calls are made with: another test may put words of its own here, and look where they turn up."""

    token: str = attrs.field(default="matrix-token", repr=False)
    kit_id: Any = "SPOT123456"
    metadata: Any = attrs.field(factory=lambda: {"cohort": "A"})
    order: Any = attrs.field(
        factory=lambda: NewOrder(
            kit_types=("health_kit_1",),
            recipient=Recipient(
                first_name="Robin",
                last_name="Sample",
                email="robin@example.com",
                phone="2025550147",
                address=Address(street1="1 Example Street", city="Springfield", state="CA", country="US", zip="00000"),
            ),
            metadata={"cohort": "A"},
        )
    )
    filters: Mapping[str, Any] = attrs.field(factory=lambda: {"email": "robin@example.com"})


# Arguments


def _with_kit_id(make: Callable[[str], Any]) -> Callable[[Asked], Asked]:
    return lambda asked: attrs.evolve(asked, kit_id=make(asked.kit_id))


def _with_metadata(make: Callable[[], Any]) -> Callable[[Asked], Asked]:
    """Put what JSON does not have into the metadata of the kit and of the order."""

    def change(asked: Asked) -> Asked:
        metadata = {**asked.metadata, **make()}
        order = attrs.evolve(asked.order, metadata={**(asked.order.metadata or {}), **make()})
        return attrs.evolve(asked, metadata=metadata, order=order)

    return change


def _with_filter(name: str, value: Any) -> Callable[[Asked], Asked]:
    return lambda asked: attrs.evolve(asked, filters={**asked.filters, name: value})


def _endless_metadata() -> dict[str, Any]:
    inner: dict[str, Any] = {}
    inner["again"] = inner
    return inner


def _deep_metadata() -> dict[str, Any]:
    inner: dict[str, Any] = {}
    for _ in range(300):
        inner = {"in": inner}
    return inner


def _without_recipient(asked: Asked) -> Asked:
    return attrs.evolve(asked, order=attrs.evolve(asked.order, recipient=None))


def _without_mapping(asked: Asked) -> Asked:
    order = attrs.evolve(asked.order, metadata=[*asked.metadata])
    return attrs.evolve(asked, metadata=[*asked.metadata], order=order)


INPUTS: Final[Mapping[str, Callable[[Asked], Asked]]] = {
    "": lambda asked: asked,
    "empty id": _with_kit_id(lambda _: ""),
    "dot id": _with_kit_id(lambda _: "."),
    "dots id": _with_kit_id(lambda _: ".."),
    "control id": _with_kit_id(lambda kit_id: f"{kit_id}\r\nX-Other: 1"),
    "surrogate id": _with_kit_id(lambda kit_id: f"{kit_id}\ud800"),
    "number id": _with_kit_id(lambda _: 7),
    "odd id": _with_kit_id(lambda kit_id: f"{kit_id}?a=b#c% é"),
    "path id": _with_kit_id(lambda kit_id: f"{kit_id}/../../orders/O1"),
    "encoded path id": _with_kit_id(lambda kit_id: f"{kit_id}%252F..%5c"),
    "nan metadata": _with_metadata(lambda: {"value": [float("nan")]}),
    "infinite metadata": _with_metadata(lambda: {"value": float("-inf")}),
    "bytes metadata": _with_metadata(lambda: {"value": b"x"}),
    "number key": _with_metadata(lambda: {7: "x"}),
    "surrogate metadata": _with_metadata(lambda: {"value": "\ud800"}),
    "endless metadata": _with_metadata(_endless_metadata),
    "deep metadata": _with_metadata(_deep_metadata),
    "huge metadata": _with_metadata(lambda: {"note": "x" * (8 * 1024 * 1024)}),
    "no mapping": _without_mapping,
    "no recipient": _without_recipient,
    "unknown day": _with_filter("created_after", "2024-13-01"),
    "control filter": _with_filter("last_name", "Sample\r\n"),
}


# Tokens


class TokenFunction:
    """The caller's function that gives a token, with a fault until it is healed."""

    def __init__(self, kind: str, good: str) -> None:
        self._good = good
        self._asked = 0
        self._kind = kind
        self._healed = asyncio.Event()

    def heal(self) -> None:
        """Give the good token from now on."""
        self._healed.set()

    async def __call__(self) -> str:
        """Give a token."""
        self._asked += 1
        if self._healed.is_set():
            return self._good
        return await _TOKENS[self._kind](self)

    async def rotated(self, after_s: float = 0.0) -> str:
        await asyncio.sleep(after_s)
        return f"{self._good}-stale" if self._asked == 1 else self._good

    async def wrong(self) -> str:
        return f"{self._good}-wrong"

    async def fails(self) -> str:
        raise LookupError(f"the vault is sealed: {self._good}")

    async def fails_to_renew(self) -> str:
        return f"{self._good}-stale" if self._asked == 1 else await self.fails()

    async def hangs(self) -> str:
        await self._healed.wait()
        return self._good


_TOKENS: Final[Mapping[str, Callable[[TokenFunction], Awaitable[str]]]] = {
    "rotated": TokenFunction.rotated,
    "rotated slowly": lambda function: function.rotated(after_s=3),
    "the same again": TokenFunction.wrong,
    "fails": TokenFunction.fails,
    "fails to renew": TokenFunction.fails_to_renew,
    "empty": lambda _: _at_once(""),
    "line break": lambda function: _at_once(f"{function._good}\r\n"),
    "hangs": TokenFunction.hangs,
}


async def _at_once(token: str) -> str:
    return token


# Sessions


class _Resolver(AbstractResolver):
    """Finds nothing as often as told, or never comes to an end."""

    def __init__(self, *, failures: float, hangs: bool = False) -> None:
        self.failures = failures
        self.hangs = hangs

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        if self.failures > 0:
            self.failures -= 1
            if self.hangs:
                await asyncio.Event().wait()
            raise socket.gaierror(socket.EAI_NONAME, f"canary: {host} is not known")
        flags = socket.AI_NUMERICHOST
        return [ResolveResult(hostname=host, host="127.0.0.1", port=port, family=family, proto=0, flags=flags)]

    async def close(self) -> None:
        pass


class _NoNetwork:
    """Gives some sockets, and then none as often as told."""

    def __init__(self, failures: float, *, after: int = 0) -> None:
        self.failures = failures
        self._after = after

    def __call__(self, info: Any) -> socket.socket:
        if self._after > 0:
            self._after -= 1
        elif self.failures > 0:
            self.failures -= 1
            raise OSError(errno.ENETUNREACH, "canary: the network is away")
        return socket.socket(info[0], info[1], info[2])


@attrs.define
class Surroundings:
    """A session of the caller's, and how it gets well."""

    session: aiohttp.ClientSession | None = None
    host: str = "127.0.0.1"
    heal: Callable[[], object] = lambda: None


@contextlib.asynccontextmanager
async def surroundings_of(kind: str, server: ScriptedServer, *, is_once: bool) -> AsyncIterator[Surroundings]:
    """Make what the client lives in."""
    failures = 1 if is_once else float("inf")
    if kind in {"", "client closed", "no session", "slot taken"}:
        yield Surroundings()
        return
    made = _SESSIONS[kind](failures)
    assert made.session is not None
    async with made.session as session:
        if kind == "pool full":
            async with _full(session, server, made, is_once=is_once):
                yield made
            return
        if kind == "session closed":
            await session.close()
        yield made


def _of_resolver(failures: float, *, hangs: bool = False) -> Surroundings:
    resolver = _Resolver(failures=failures, hangs=hangs)
    session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(resolver=resolver, use_dns_cache=False))
    return Surroundings(session, "localhost", lambda: setattr(resolver, "failures", 0))


def _of_no_network(failures: float, *, after: int = 0) -> Surroundings:
    network = _NoNetwork(failures, after=after)
    session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(socket_factory=network))
    return Surroundings(session, heal=lambda: setattr(network, "failures", 0))


def _of_one_connection(_failures: float) -> Surroundings:
    return Surroundings(aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=1)))


def _of_defaults(_failures: float) -> Surroundings:
    return Surroundings(aiohttp.ClientSession())


def _of_single_use(_failures: float) -> Surroundings:
    # aiohttp looks after kept connections every 15 s: over a day of virtual time that takes seconds of real time.
    return Surroundings(aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=True)))


def _of_trust(_failures: float) -> Surroundings:
    context = ssl.create_default_context()
    _authority().configure_trust(context)
    return Surroundings(aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context)))


_SESSIONS: Final[Mapping[str, Callable[[float], Surroundings]]] = {
    "name not found": _of_resolver,
    "no name server": lambda failures: _of_resolver(failures, hangs=True),
    "no network": _of_no_network,
    "network lost": lambda failures: _of_no_network(failures, after=1),
    "caller's session": _of_defaults,
    "pool full": _of_one_connection,
    "no kept connections": _of_single_use,
    "session closed": _of_one_connection,
    "trusting": _of_trust,
}


@contextlib.asynccontextmanager
async def _full(
    session: aiohttp.ClientSession, server: ScriptedServer, made: Surroundings, *, is_once: bool
) -> AsyncIterator[None]:
    """Have somebody else hold the session's only connection, for 7 seconds or until it gets well."""
    server.answers_asides.clear()

    async def hold() -> None:
        async with session.get(f"http://127.0.0.1:{server.port}{KIT_TYPES}") as response:
            await response.read()

    holding = asyncio.create_task(hold())
    while not server.asides:
        await asyncio.sleep(0)
    if is_once:
        asyncio.get_running_loop().call_later(7, server.answers_asides.set)
    made.heal = server.answers_asides.set
    yield
    server.answers_asides.set()
    await holding


# Certificates


@cache
def _authority() -> trustme.CA:
    return trustme.CA()


@cache
def certificate_of(kind: str) -> ssl.SSLContext:
    """Make a server's side of TLS."""
    now = datetime.now(UTC)
    authority = trustme.CA() if kind == "unknown CA" else _authority()
    options: dict[str, Any] = {}
    if kind == "expired":
        options = {"not_before": now - timedelta(days=30), "not_after": now - timedelta(days=1)}
    if kind == "not yet valid":
        options = {"not_before": now + timedelta(days=1), "not_after": now + timedelta(days=30)}
    leaf = authority.issue_cert("elsewhere.example" if kind == "wrong host" else "127.0.0.1", **options)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    leaf.configure_cert(context)
    if kind == "asks for ours":
        context.verify_mode = ssl.CERT_REQUIRED
        _authority().configure_trust(context)
    return context
