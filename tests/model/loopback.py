"""The fake over loopback in the place of the model's server: fewer kinds of trouble, and all of the real border."""

import asyncio
import random
from typing import Any

from spotdx_async import SpotClient
from spotdx_async._http.messages import Request
from spotdx_async.testing import FakeSpot, Fault, ReceivedRequest, faults
from tests.model.server import Arrival, Weather, now

_NONE = Request("POST", "POST", "/")


class LoopbackServer:
    """The world behind real sockets."""

    def __init__(self, fake: FakeSpot, dice: random.Random, lands_within_s: float) -> None:
        self.fake, self.dice, self.lands_within_s = fake, dice, lands_within_s
        self.raised: list[BaseException] = []
        self._sessions: list[tuple[int, object]] = []
        fake.accepted_tokens.add("model")
        fake.accepted_tokens.update(f"model-{n}" for n in range(1000))
        self._weather = Weather()

    @property
    def weather(self) -> Weather:
        return self._weather

    @weather.setter
    def weather(self, weather: Weather) -> None:
        self._weather = weather
        self.fake.latency_s = weather.latency_s
        self.fake.faults.clear()
        kinds = [fault for kind in weather.kinds if (fault := self._fault(kind)) is not None]
        if weather.share and kinds:
            self.fake.faults.random(weather.share, seed=self.dice.randrange(10**6), kinds=kinds)
        if weather.ends_at_s > now() and weather.ends_at_s != float("inf"):
            asyncio.get_running_loop().call_at(weather.ends_at_s, self.fake.faults.clear)

    @property
    def sends(self) -> int:
        return self.fake.counts["requests"]

    @property
    def arrivals(self) -> list[Arrival]:
        order = {entry.index: place for place, entry in enumerate(self.fake.ledger)}
        return [self._arrival(request, order) for request in self.fake.requests]

    def client(self, session: object, **options: Any) -> "tuple[SpotClient, Cord]":
        self._sessions.append((self.fake.counts["requests"], session))
        spot = self.fake.client(**{"token": "model", **options})
        return spot, Cord(spot)

    def executions(self) -> list[tuple[float, Arrival]]:
        by_number = {arrival.number: arrival for arrival in self.arrivals}
        return [(float(place), by_number[entry.index]) for place, entry in enumerate(self.fake.ledger)]

    def _arrival(self, request: ReceivedRequest, order: dict[int, int]) -> Arrival:
        session = next((session for first, session in reversed(self._sessions) if first <= request.index), None)
        place = order.get(request.index)
        return Arrival(
            number=request.index,
            at_s=request.at_s,
            session=session,
            request=_NONE,
            play=request.fault or "ok",
            body=request.body,
            key=request.kit_id,
            executed_at_s=[] if place is None else [float(place)],
            is_exact=False,
        )

    def _fault(self, kind: str) -> Fault | str | None:
        asks = {"429 now": 0, "429 soon": 5, "429 huge": 999_999_999}
        if kind in asks:
            return faults.status(429, retry_after=asks[kind])
        made: dict[str, Fault | str] = {
            "drop": self.dice.choice([faults.drop_after(), faults.drop_before()]),
            "timeout": faults.slow(self.dice.uniform(0.0, self.lands_within_s)),
            "504": faults.status(504),
            "unreadable": faults.unreadable(),
            "cut": faults.half_body(),
            "redirect": faults.redirect(),
            "too large": faults.broken_json(),
        }
        return made.get(kind, kind if kind.isdigit() else None)


class Cord:
    """What is cut where a client's process is killed: nothing leaves it any more."""

    def __init__(self, spot: SpotClient) -> None:
        self._transport = spot._runner.state.transport
        self._send = self._transport.send
        self._is_dead = False
        self._transport.send = self._send_unless_dead  # type: ignore[method-assign,assignment]

    @property
    def is_dead(self) -> bool:
        return self._is_dead

    @is_dead.setter
    def is_dead(self, is_dead: bool) -> None:
        self._is_dead = is_dead
        if is_dead:
            asyncio.ensure_future(self._transport.close())  # noqa: RUF006 - awaited by the loop; nobody else is left

    async def _send_unless_dead(self, *of_it: Any) -> Any:
        if self._is_dead:
            await asyncio.get_running_loop().create_future()
        return await self._send(*of_it)
