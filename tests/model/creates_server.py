"""An order server by a script: what it creates lands late, its list lags and moves, its clocks disagree.

It looks into the journal of whoever sends it a create: the intent must be there, committed.
"""

import asyncio
import json
import random
import sqlite3
from bisect import insort
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import attrs
import pytest

from spotdx_async import SpotClient
from spotdx_async._http.messages import AttemptState, Reply, Request, TransportFailure
from spotdx_async.bulk.journal.records import Digester
from tests.model.server import BASE_URL, Arrival, ModelTransport, Weather, now

EPOCH = datetime(2026, 11, 29, 22, 0, tzinfo=UTC)
ORDERS = "/api/v2/orders/"
KEY = "client_ref"
LOST_READS = ("500", "502", "503", "504", "drop", "timeout", "unreadable", "429", "refused")
MOST_OF_READS = 0.05
LOST_CREATES = (
    *("refused", "dns", "no connection", "slow connect", "429", "429 soon"),
    *("drop", "drop", "timeout", "500", "502", "503", "504", "unreadable"),
)


@attrs.define(kw_only=True)
class Habits:
    """How the server is, for the whole of a story."""

    share: float = 0.05
    lands_most_s: float = 50.0
    """How long a create whose answer was lost may be on its way, counted from its last byte."""
    list_lag_s: float = 8.0
    gets_lag: bool = False
    """Whether an object cannot be got either before the list shows it."""
    date_ahead_s: float = 0.0
    """How far the clock of ``Date`` is ahead of the true time; the next is of the one that dates objects."""
    objects_ahead_s: float = 0.0
    client_ahead_s: float = 0.0
    zone_h: int = 0
    """Where the days of filters begin."""
    stripped: float = 0.0
    """Share of orders that never show their metadata."""
    repeats: float = 0.0
    """Share of creates that a proxy repeats."""
    foreign_every_s: float = float("inf")
    touches: tuple[str, ...] = ()
    """What others do to orders whenever they place one: update, cancel, delete."""
    latency_s: float = 0.05


@attrs.define(eq=False)
class PlacedOrder:
    """An order as the server keeps it."""

    number: int
    body: dict[str, Any]
    created_s: float
    updated_s: float
    visible_s: float
    is_ours: bool
    shows_metadata: bool = True
    status: str = "pending"
    is_deleted: bool = False
    is_answered: bool = False

    @property
    def order_id(self) -> str:
        return f"o-{self.number}"

    @property
    def reference(self) -> str | None:
        return (self.body.get("metadata") or {}).get(KEY)


class OrderServer:
    """The world behind the border of clients that place orders."""

    def __init__(self, dice: random.Random, habits: Habits) -> None:
        self.dice, self.habits = dice, habits
        self.weather = Weather(latency_s=habits.latency_s, connect_s=(0.0, 0.0, 0.002))
        self.arrivals: list[Arrival] = []
        self.sends = 0
        self.raised: list[BaseException] = []
        self.orders: dict[str, PlacedOrder] = {}
        self.by_reference: defaultdict[str, list[PlacedOrder]] = defaultdict(list)
        self.on_its_way: Counter[str] = Counter()
        """Creates that will still land, by reference."""
        self.counts: Counter[str] = Counter()
        self.faults: list[str] = []
        self.most_foreign: float = float("inf")
        self.journal: Path | None = None
        """Of the session that runs."""
        self._reading: tuple[Path, sqlite3.Connection, Digester] | None = None
        # The orders by their last change, newest last; entries that are out of date are skipped.
        self._by_change: list[tuple[float, int]] = []
        self._next_foreign: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Let others place their orders."""
        if self.counts["foreign"] >= self.most_foreign:
            return
        if self.habits.foreign_every_s != float("inf"):
            self._next_foreign = asyncio.get_running_loop().call_later(
                self.dice.expovariate(1 / self.habits.foreign_every_s), self._act_of_others
            )

    def end(self) -> None:
        if self._next_foreign is not None:
            self._next_foreign.cancel()
        if self._reading is not None:
            self._reading[1].close()

    def client(self, session: object, **options: Any) -> "tuple[SpotClient, OrderTransport]":
        spot = SpotClient(**{"token": "model", "base_url": BASE_URL, **options})
        transport = OrderTransport(self, session)
        spot._runner.state.transport = transport
        return spot, transport

    def draw(self, request: Request) -> str:
        self.count(request)
        if request.method == "POST" and self.dice.random() < self.habits.repeats:
            return "repeat"
        share = self.habits.share if request.method == "POST" else min(self.habits.share, MOST_OF_READS)
        if self.dice.random() >= share:
            return "ok"
        return self.dice.choice(LOST_CREATES if request.method == "POST" else LOST_READS)

    def count(self, request: Request) -> None:
        self.counts["creates" if request.method == "POST" else "lists" if request.path == ORDERS else "gets"] += 1

    def arrive(self, session: object, request: Request, play: str) -> Arrival:
        body = json.loads(request.body) if request.body else None
        arrival = Arrival(len(self.arrivals), now(), session, request, play, body)
        self.arrivals.append(arrival)
        if body is not None:
            self._check_intent(body)
        return arrival

    def execute(self, arrival: Arrival) -> tuple[int, bytes]:
        arrival.is_fated = True
        request = arrival.request
        if request.method == "POST":
            order = self.place(arrival.body, is_ours=True)
            arrival.executed_at_s.append(now())
            shown = self._shown(order)
            del shown["updated"]
            return 201, json.dumps(shown).encode()
        if request.path == ORDERS:
            return 200, json.dumps(self._page(request.query)).encode()
        found = self.orders.get(request.path.removeprefix(ORDERS).strip("/"))
        if found is None or found.is_deleted or (self.habits.gets_lag and found.visible_s > now()):
            return 404, b'{"error": {"status": 404, "type": "not_found", "detail": "not found"}}'
        return 200, json.dumps(self._shown(found)).encode()

    def execute_late(self, arrival: Arrival) -> None:
        """Carry it out at any moment in which it still may land."""
        if arrival.is_fated or arrival.body is None:
            return
        arrival.is_fated = True
        latest_s = arrival.at_s + self.habits.lands_most_s
        at_s = self.dice.choice([now(), self.dice.uniform(arrival.at_s, latest_s), latest_s - 0.001])
        reference = _reference(arrival.body)
        self.on_its_way[reference] += 1

        def land() -> None:
            self.on_its_way[reference] -= 1
            self.execute(arrival)

        asyncio.get_running_loop().call_at(max(now(), at_s), land)

    def place(self, body: dict[str, Any], *, is_ours: bool) -> PlacedOrder:
        lag_s = self.dice.uniform(0.0, self.habits.list_lag_s)
        order = PlacedOrder(len(self.orders), body, now(), now(), now() + lag_s, is_ours)
        order.shows_metadata = self.dice.random() >= self.habits.stripped
        self.orders[order.order_id] = order
        if order.reference is not None:
            self.by_reference[order.reference].append(order)
        insort(self._by_change, (order.updated_s, order.number))
        return order

    def change(self, order: PlacedOrder, status: str) -> None:
        order.updated_s, order.status = now(), status
        insort(self._by_change, (order.updated_s, order.number))

    def headers(self) -> dict[str, str]:
        moment = EPOCH + timedelta(seconds=now() + self.habits.date_ahead_s)
        return {"Date": format_datetime(moment.replace(microsecond=0), usegmt=True)}

    def alive(self, reference: str) -> list[PlacedOrder]:
        return [order for order in self.by_reference[reference] if not order.is_deleted]

    def _page(self, query: str) -> list[dict[str, Any]]:
        asked = {name: values[0] for name, values in parse_qs(query).items()}
        since, size, offset = asked.get("created_after"), int(asked["results"]), int(asked["offset"])
        first = date.min if since is None else date.fromisoformat(since)
        found: list[dict[str, Any]] = []
        last = offset + size
        for updated_s, number in reversed(self._by_change):
            order = self.orders[f"o-{number}"]
            if order.updated_s != updated_s or order.is_deleted or order.visible_s > now():
                continue
            if (self._dated(order.created_s) + timedelta(hours=self.habits.zone_h)).date() < first:
                continue
            found.append(order)  # type: ignore[arg-type]
            if len(found) == last:
                break
        names = ("order_id", "status", "recipient", "created", "updated")
        return [{name: shown[name] for name in names} for shown in map(self._shown, found[offset:])]  # type: ignore[arg-type]

    def _shown(self, order: PlacedOrder) -> dict[str, Any]:
        return {
            "order_id": order.order_id,
            "status": order.status,
            "recipient": order.body["recipient"],
            "kit_types": order.body["kit_types"],
            "kits": [],
            "created": _text(self._dated(order.created_s)),
            "updated": _text(self._dated(order.updated_s)),
            "metadata": order.body.get("metadata") if order.shows_metadata else None,
        }

    def _dated(self, moment_s: float) -> datetime:
        return EPOCH + timedelta(seconds=moment_s + self.habits.objects_ahead_s)

    def _act_of_others(self) -> None:
        dice = self.dice
        self.counts["foreign"] += 1
        metadata: Any = dice.choice([None, {"theirs": "1"}, {KEY: f"theirs-{len(self.orders)}"}])
        self.place(order_body(f"Other{dice.randrange(50)}", metadata), is_ours=False)
        ids = list(self.orders) if len(self.orders) < 500 else [f"o-{dice.randrange(len(self.orders))}" for _ in "x"]
        order = self.orders[dice.choice(ids)]
        touch = dice.choice(self.habits.touches) if self.habits.touches else "none"
        if touch == "delete" and (order.is_answered or not order.is_ours):
            order.is_deleted = True
        elif touch in {"update", "cancel"}:
            self.change(order, "in_progress" if touch == "update" else "canceled")
        self.start()

    def _check_intent(self, body: dict[str, Any]) -> None:
        if self.journal is None:
            return
        if self._reading is None or self._reading[0] != self.journal:
            if self._reading is not None:
                self._reading[1].close()
            database = sqlite3.connect(f"{self.journal.as_uri()}?mode=ro", uri=True)
            (secret,) = database.execute("SELECT secret FROM meta").fetchone()
            self._reading = self.journal, database, Digester(secret)
        _, database, digester = self._reading
        digest = digester.named("reference", _reference(body).encode())
        found = database.execute("SELECT state, began FROM creates WHERE reference = ?", (digest,)).fetchall()
        if len(found) != 1 or found[0][0] != 4:
            self.faults.append(f"a create was sent, and the journal says {found} of it")
            return
        server_s = (EPOCH + timedelta(seconds=now() + self.habits.date_ahead_s)).timestamp()
        if found[0][1] > server_s:
            self.faults.append("an intent is dated later than its request")


class OrderTransport(ModelTransport):
    """The border of one client of the order server."""

    server: OrderServer  # type: ignore[assignment]

    def __init__(self, server: OrderServer, session: object) -> None:
        super().__init__(server, session)  # type: ignore[arg-type]
        self.after_arrival: Any = lambda: None

    def _hand_over(self, request: Request, play: str, attempt_state: AttemptState) -> Arrival:
        attempt_state.last_byte_s = now()
        arrival = super()._hand_over(request, play, attempt_state)
        self.after_arrival()
        return arrival

    async def _answered(self, arrival: Arrival, dice: random.Random, ends_at_s: float) -> Reply | TransportFailure:
        server, play = self.server, arrival.play
        if play == "repeat":
            server.execute(Arrival(-1, now(), self.session, arrival.request, "repeated", arrival.body))
        answer = await super()._answered(arrival, dice, ends_at_s)
        if isinstance(answer, TransportFailure):
            return answer
        if answer.status == 201:
            server.orders[json.loads(answer.body)["order_id"]].is_answered = True
        return Reply(answer.status, {**server.headers(), **answer.headers}, answer.body)


def order_body(person: str, metadata: Any) -> dict[str, Any]:
    return {
        "kit_types": ["k"],
        "recipient": {"first_name": person, "last_name": "Sample", "email": "e@example.com", "phone": "1"},
        "metadata": metadata,
    }


@contextmanager
def client_clock(ahead_s: float) -> Iterator[None]:
    """Let the client's wall clock show the world's time, off by so much."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("spotdx_async._http.clock.wall", lambda: EPOCH + timedelta(seconds=_time_s() + ahead_s))
        yield


def _time_s() -> float:
    try:
        return now()
    except RuntimeError:  # before the loop runs
        return 0.0


def _reference(body: dict[str, Any]) -> str:
    return str((body.get("metadata") or {}).get(KEY))


def _text(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
