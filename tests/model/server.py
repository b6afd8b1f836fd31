"""A server and its network behind the SDK's own border, ``Transport.send``: in memory, in virtual time, by dice.

It executes by the fake's rules, and remembers what arrived, what it executed and when.
"""

import asyncio
import random
from collections.abc import Mapping
from typing import Any

import attrs

from spotdx_async import SpotClient
from spotdx_async._http.messages import AttemptState, Reply, Request, Token, TransportFailure
from spotdx_async._http.transport import Transport
from spotdx_async.testing.state import SpotState
from tests.model.world import Foreign, ForeignBase

BASE_URL = "http://127.0.0.1:9"
_ADMITTED = "Token model"

NOT_ARRIVED = ("refused", "dns", "no connection", "closed before", "slow connect")
"""Troubles before the first byte."""
NOT_EXECUTED = ("429", "429", "429 now", "429 soon", "429 huge", "425")
DOUBTFUL = ("500", "502", "503", "504", "408", "drop", "drop", "timeout", "unreadable", "cut", "redirect", "too large")
FINAL = ("400", "403", "404")
FOREIGN = ("foreign before", "foreign after", "base before", "base after", "signal")
RAW_CANCELS = ("cancelled before", "cancelled after")
LATE = frozenset({*DOUBTFUL, "closed"})
"""After which a server may still be at it: nothing that it has said of this request is its final word."""


@attrs.define
class Arrival:
    """One request whose bytes were handed to a connection."""

    number: int
    at_s: float
    session: object
    request: Request
    play: str
    body: Any
    key: str | None = None
    executed_at_s: list[float] = attrs.field(factory=list)
    is_exact: bool = True
    """Whether it was counted in the moment in which its bytes were handed over."""
    is_fated: bool = False
    """Whether it is settled when it is executed, if at all: once."""

    @property
    def is_write(self) -> bool:
        return bool(self.body)

    @property
    def n(self) -> Any:
        metadata = self.body.get("metadata") if isinstance(self.body, dict) else None
        return metadata.get("n") if isinstance(metadata, dict) else None


@attrs.define
class Weather:
    """How often things go wrong, and of which kinds."""

    share: float = 0.0
    kinds: tuple[str, ...] = ("500",)
    latency_s: float = 0.05
    ends_at_s: float = float("inf")
    """When all becomes well."""
    connect_s: tuple[float, ...] = (0.0, 0.0, 0.002, 0.1)
    """What a connection may take."""


class ModelServer:
    """The world behind the border."""

    def __init__(self, dice: random.Random, kits: list[str], lands_within_s: float) -> None:
        self.dice = dice
        self.state = SpotState(kits=kits, orders=[], requisitions=[], patients=[], tokens=["model"])
        self.weather = Weather()
        self.lands_within_s = lands_within_s
        self.arrivals: list[Arrival] = []
        self.sends: int = 0
        """Attempts that were begun."""
        self.raised: list[BaseException] = []

    def client(self, session: object, **options: Any) -> "tuple[SpotClient, ModelTransport]":
        """Make a client whose border is the model's."""
        spot = SpotClient(**{"token": "model", "base_url": BASE_URL, **options})
        transport = ModelTransport(self, session)
        spot._runner.state.transport = transport
        return spot, transport

    def draw(self, request: Request) -> str:
        weather = self.weather
        if self.dice.random() >= weather.share or now() >= weather.ends_at_s:
            return "ok"
        play = self.dice.choice(weather.kinds)
        return "ok" if play == "404" and request.method == "GET" else play

    def arrive(self, session: object, request: Request, play: str) -> Arrival:
        call = self.state.read(request.method, _target(request), request.body or b"", index=len(self.arrivals))
        arrival = Arrival(len(self.arrivals), now(), session, request, play, call.body, call.kit_id)
        self.arrivals.append(arrival)
        return arrival

    def execute(self, arrival: Arrival) -> tuple[int, bytes]:
        """Execute it by the fake's rules."""
        arrival.is_fated = True
        request = arrival.request
        call = self.state.read(request.method, _target(request), request.body or b"", index=arrival.number)
        answer = self.state.execute(call, _ADMITTED)
        if answer.is_success:
            arrival.executed_at_s.append(now())
        return answer.status, answer.body

    def execute_late(self, arrival: Arrival) -> None:
        """Execute it at any moment in which it still may land."""
        if arrival.is_fated:
            return
        arrival.is_fated = True
        latest_s = arrival.at_s + self.lands_within_s
        at_s = self.dice.choice([now(), self.dice.uniform(now(), latest_s), latest_s - 0.001])
        asyncio.get_running_loop().call_at(max(now(), at_s), self.execute, arrival)

    def executions(self) -> list[tuple[float, Arrival]]:
        """All, in their order."""
        return sorted(
            ((at_s, arrival) for arrival in self.arrivals for at_s in arrival.executed_at_s), key=lambda pair: pair[0]
        )


class ModelTransport(Transport):
    """The border of one client: sends nothing, asks the model."""

    def __init__(self, server: ModelServer, session: object) -> None:
        super().__init__(BASE_URL, max_body_bytes=10**6, user_agent="model")
        self.server = server
        self.session = session
        self.is_dead = False
        """Whether its process was killed: nothing leaves it any more."""
        self.closes = 0
        self._waits: set[asyncio.Future[str]] = set()

    async def send(
        self,
        request: Request,
        token: Token,  # noqa: ARG002 - the border's
        timeout_s: float,
        attempt_state: AttemptState,
    ) -> Reply | TransportFailure:
        attempt_state.may_have_arrived = False
        if self.is_dead:
            await asyncio.get_running_loop().create_future()
        server, dice = self.server, self.server.dice
        play, closes = server.draw(request), self.closes
        ends_at_s = now() + timeout_s
        server.sends += 1
        if (trouble := await self._connect(play, dice, ends_at_s)) is not None:
            return trouble
        if self.is_dead:
            await asyncio.get_running_loop().create_future()
        if self.closes != closes:  # the connection that was just made is closed with the others
            return TransportFailure("closed", "the client was closed before anything was sent", may_have_arrived=False)
        attempt_state.may_have_arrived = True
        arrival = self._hand_over(request, play, attempt_state)
        try:
            return await self._answered(arrival, dice, ends_at_s)
        except asyncio.CancelledError:
            if dice.random() < 0.5:
                server.execute_late(arrival)
            raise

    def _hand_over(self, request: Request, play: str, attempt_state: AttemptState) -> Arrival:  # noqa: ARG002
        return self.server.arrive(self.session, request, play)

    async def close(self) -> None:
        self.closes += 1
        for wait in list(self._waits):
            if not wait.done():
                wait.set_result("closed")

    def check_loop(self, loop: asyncio.AbstractEventLoop) -> None:
        pass

    async def _connect(self, play: str, dice: random.Random, ends_at_s: float) -> TransportFailure | None:
        if play in {"foreign before", "base before"}:
            raise self._foreign(Foreign if play == "foreign before" else ForeignBase)
        if play == "cancelled before":
            await _of_a_cancelled_task()
        seconds = dice.choice(self.server.weather.connect_s)
        if play in {"slow connect", "no connection"}:
            seconds = dice.uniform(0.1, 2 * (ends_at_s - now()))
        how = await self._wait(seconds, ends_at_s)
        if how == "closed" or play == "closed before":
            return TransportFailure("closed", "the client was closed before anything was sent", may_have_arrived=False)
        if how == "timeout":
            return TransportFailure(
                "timeout", "no connection within timeout_s, so nothing was sent", may_have_arrived=False
            )
        if play in {"refused", "dns"}:
            return TransportFailure(play, "no connection, so nothing was sent", may_have_arrived=False)
        if play == "no connection":
            return TransportFailure(
                "connect", "no connection could be made, so nothing was sent", may_have_arrived=False
            )
        return None

    async def _answered(self, arrival: Arrival, dice: random.Random, ends_at_s: float) -> Reply | TransportFailure:
        server, play, latency_s = self.server, arrival.play, self.server.weather.latency_s
        if play == "signal":
            raise self._foreign(Foreign)
        how = await self._wait(latency_s * dice.random() + (10**6 if play == "timeout" else 0), ends_at_s)
        if how != "done":
            if dice.random() < 0.6:
                server.execute_late(arrival)
            return _unanswered("timeout" if how == "timeout" else "dropped")
        if play in LATE or play in DOUBTFUL or play.endswith(" after"):
            return await self._doubtful(arrival, dice)
        if play[:3].isdigit():
            return _refusal(play, dice)
        status, body = server.execute(arrival)
        how = await self._wait(latency_s * dice.random(), ends_at_s)
        return Reply(status, {}, body) if how == "done" else _unanswered("timeout" if how == "timeout" else "dropped")

    async def _doubtful(self, arrival: Arrival, dice: random.Random) -> Reply | TransportFailure:
        server, play = self.server, arrival.play
        fate = dice.random()
        if fate < 0.3:
            server.execute(arrival)
        elif fate < 0.8 and play in LATE:
            server.execute_late(arrival)
        if play.endswith(" after"):
            if play == "cancelled after":
                await _of_a_cancelled_task()
            raise self._foreign(Foreign if play == "foreign after" else ForeignBase)
        if play == "drop":
            return _unanswered("dropped")
        if play == "cut":
            return TransportFailure("dropped", "the answer broke off", may_have_arrived=True, status=200)
        if play == "too large":
            return TransportFailure(
                "too large", "the answer is too large", may_have_arrived=True, is_lasting=True, status=200
            )
        if play == "unreadable":
            return Reply(200, {"Content-Type": "text/html"}, b"<html>Please sign in</html>")
        if play == "redirect":
            return Reply(302, {"Location": "/elsewhere/"}, b"")
        headers = {"Retry-After": "1"} if play == "503" and dice.random() < 0.3 else {}
        return Reply(int(play), headers, b"")

    async def _wait(self, seconds: float, ends_at_s: float) -> str:
        """Let time pass; tell whether it is done, the attempt's time is over, or the connections were closed."""
        loop = asyncio.get_running_loop()
        until_s = now() + seconds
        if until_s <= now() and self.server.dice.random() < 0.5:
            return "done"
        wait: asyncio.Future[str] = loop.create_future()
        self._waits.add(wait)
        what, at_s = ("done", until_s) if until_s < ends_at_s else ("timeout", ends_at_s)
        timer = loop.call_at(at_s, _end, wait, what)
        try:
            return await wait
        finally:
            self._waits.discard(wait)
            timer.cancel()

    def _foreign(self, kind: type[BaseException]) -> BaseException:
        error = kind("of a hook, or of a signal's handler")
        self.server.raised.append(error)
        return error


def now() -> float:
    return asyncio.get_running_loop().time()


async def _of_a_cancelled_task() -> None:
    """Wait for something that another one cancels: the CancelledError is aimed at nobody here."""
    future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    future.cancel()
    await future


def _end(wait: "asyncio.Future[str]", what: str) -> None:
    if not wait.done():
        wait.set_result(what)


def _target(request: Request) -> str:
    return f"{request.path}?{request.query}" if request.query else request.path


def _unanswered(reason: str) -> TransportFailure:
    return TransportFailure(reason, "no whole answer came", may_have_arrived=True)


def _refusal(play: str, dice: random.Random) -> Reply:
    headers: Mapping[str, str] = {}
    if play.startswith("429 "):
        headers = {"Retry-After": {"now": "0", "soon": dice.choice(["1", "5", "2.5"]), "huge": "999999999"}[play[4:]]}
    return Reply(int(play[:3]), headers, b"")
