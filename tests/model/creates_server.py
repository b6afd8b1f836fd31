"""A server of creates by a script: what it creates lands late, what it shows lags and moves, its clocks disagree.

It looks into the journal of whoever sends it a create: the intent must be there, committed. What is created, and how it
is shown, is up to the subclasses in ``creates_nouns``.
"""

import asyncio
import json
import random
import sqlite3
from abc import ABC, abstractmethod
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any, ClassVar

import attrs
import pytest

from spotdx_async import SpotClient
from spotdx_async._http.messages import AttemptState, Reply, Request, TransportFailure
from spotdx_async.bulk.create_reader import _in_one_order
from spotdx_async.bulk.journal.records import Digester
from tests.model.server import BASE_URL, DOUBTFUL, Arrival, ModelTransport, Weather, now

EPOCH = datetime(2026, 11, 29, 22, 0, tzinfo=UTC)
KEY = "client_ref"
LOST_READS = ("500", "502", "503", "504", "drop", "timeout", "unreadable", "429", "refused")
MOST_OF_READS = 0.05
LOST_CREATES = (
    *("refused", "dns", "no connection", "slow connect", "429", "429 soon"),
    *("drop", "drop", "timeout", "500", "502", "503", "504", "unreadable"),
)
ODD_CREATES = (
    *("400", "cut", "redirect", "other shape", "wrong object"),
    *("foreign before", "foreign after", "base before", "base after", "cancelled before", "cancelled after"),
)
"""Troubles after which a row has failed, or the whole run ends: for sessions that others follow."""
_REFUSED = frozenset({400, 401, 403, 404, 425, 429})


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
    """Share of objects that never show their metadata."""
    repeats: float = 0.0
    """Share of creates that a proxy repeats."""
    sick: float = 0.0
    """Share of objects that cannot be got for some time."""
    foreign_every_s: float = float("inf")
    touches: tuple[str, ...] = ()
    """What others do to objects whenever they create one: update, cancel, delete."""
    latency_s: float = 0.05


@attrs.define(eq=False)
class Placed:
    """An object as the server keeps it."""

    number: int
    an_id: str
    body: dict[str, Any]
    identity: str | None
    """Which row it is; None for one of somebody else's."""
    created_s: float
    updated_s: float
    visible_s: float
    well_s: float = 0.0
    """From when on it can be got."""
    shows_metadata: bool = True
    status: str = "pending"
    is_deleted: bool = False
    is_answered: bool = False


class CreatesServer(ABC):
    """The world behind the border of clients that create."""

    PATH: ClassVar[str]
    """Where creates go."""

    def __init__(self, dice: random.Random, habits: Habits) -> None:
        self.dice, self.habits = dice, habits
        self.weather = Weather(latency_s=habits.latency_s, connect_s=(0.0, 0.0, 0.002))
        self.plays: tuple[str, ...] = LOST_CREATES
        """What may happen to a create in this session."""
        self.is_calm = False
        self.arrivals: list[Arrival] = []
        self.refused: set[int] = set()
        """Creates that got a final no, by the number of their arrival."""
        self.sends = 0
        self.raised: list[BaseException] = []
        self.placed: dict[str, Placed] = {}
        self.by_identity: defaultdict[str, list[Placed]] = defaultdict(list)
        self.placed_by: dict[int, Placed] = {}
        """What a create has placed, by the number of its arrival."""
        self.on_its_way: Counter[str] = Counter()
        """Creates that will still land, by identity."""
        self.counts: Counter[str] = Counter()
        self.faults: list[str] = []
        self.most_foreign: float = float("inf")
        self.journal: Path | None = None
        """Of the session that runs."""
        self.keys: dict[str, str] = {}
        """The key of each row, by its identity."""
        self._reading: tuple[Path, sqlite3.Connection, Digester] | None = None

    @abstractmethod
    def identity_of(self, request: Request, body: dict[str, Any]) -> str:
        """Tell which row a create is."""

    @abstractmethod
    def version_of(self, body: Mapping[str, Any]) -> int:
        """Tell which of a row's contents it is."""

    @abstractmethod
    def created(self, placed: Placed) -> tuple[int, dict[str, Any]]:
        """Give the answer to a create."""

    @abstractmethod
    def look(self, request: Request) -> tuple[int, Any]:
        """Answer a GET."""

    def refusal(self, arrival: Arrival) -> str | None:  # noqa: ARG002 - for subclasses
        """Tell why the server does not carry a create out."""
        return None

    def start(self) -> None:  # noqa: B027 - most have nothing to start
        """Let others create theirs, where that can be seen."""

    def end(self) -> None:
        if self._reading is not None:
            self._reading[1].close()

    def client(self, session: object, **options: Any) -> "tuple[SpotClient, CreatesTransport]":
        spot = SpotClient(**{"token": "model", "base_url": BASE_URL, **options})
        transport = CreatesTransport(self, session)
        spot._runner.state.transport = transport
        return spot, transport

    def draw(self, request: Request) -> str:
        self.count(request)
        if self.is_calm:
            return "ok"
        if request.method == "POST" and self.dice.random() < self.habits.repeats:
            return "repeat"
        share = self.habits.share if request.method == "POST" else min(self.habits.share, MOST_OF_READS)
        if self.dice.random() >= share:
            return "ok"
        return self.dice.choice(self.plays if request.method == "POST" else LOST_READS)

    def count(self, request: Request) -> None:
        self.counts["creates" if request.method == "POST" else "lists" if request.path == self.PATH else "gets"] += 1

    def arrive(self, session: object, request: Request, play: str) -> Arrival:
        body = json.loads(request.body) if request.body else None
        arrival = Arrival(len(self.arrivals), now(), session, request, play, body)
        self.arrivals.append(arrival)
        if body is not None:
            arrival.key = self.identity_of(request, body)
            self._check_intent(arrival)
        return arrival

    def execute(self, arrival: Arrival) -> tuple[int, bytes]:
        arrival.is_fated = True
        request = arrival.request
        if request.method == "POST":
            if (why := self.refusal(arrival)) is not None:
                return 400, json.dumps({"error": {"status": 400, "type": "invalid", "detail": why}}).encode()
            placed = self.place(arrival.body, identity=arrival.key)
            arrival.executed_at_s.append(now())
            self.placed_by[arrival.number] = placed
            status, answer = self.created(placed)
            return status, json.dumps(answer).encode()
        if request.path == "/api/v2/kit_types":
            return 200, b"[]"
        status, answer = self.look(request)
        return status, json.dumps(answer).encode()

    def execute_late(self, arrival: Arrival) -> None:
        """Carry it out at any moment in which it still may land."""
        if arrival.is_fated or arrival.key is None:
            return
        arrival.is_fated = True
        latest_s = arrival.at_s + self.habits.lands_most_s
        at_s = self.dice.choice([now(), self.dice.uniform(arrival.at_s, latest_s), latest_s - 0.001])
        identity = arrival.key
        self.on_its_way[identity] += 1

        def land() -> None:
            self.on_its_way[identity] -= 1
            self.execute(arrival)

        asyncio.get_running_loop().call_at(max(now(), at_s), land)

    def place(self, body: dict[str, Any], *, identity: str | None) -> Placed:
        lag_s, number = self.dice.uniform(0.0, self.habits.list_lag_s), len(self.placed)
        placed = Placed(number, f"o-{number}", body, identity, now(), now(), now() + lag_s)
        placed.shows_metadata = self.dice.random() >= self.habits.stripped
        if self.habits.sick and self.dice.random() < self.habits.sick:
            placed.well_s = now() + self.dice.uniform(0.0, 400.0)
        self.placed[placed.an_id] = placed
        if identity is not None:
            self.by_identity[identity].append(placed)
        return placed

    def headers(self) -> dict[str, str]:
        moment = EPOCH + timedelta(seconds=now() + self.habits.date_ahead_s)
        return {"Date": format_datetime(moment.replace(microsecond=0), usegmt=True)}

    def executions(self) -> list[tuple[float, Arrival]]:
        return [(at_s, arrival) for arrival in self.arrivals for at_s in arrival.executed_at_s]

    def alive(self, identity: str) -> list[Placed]:
        return [placed for placed in self.by_identity[identity] if not placed.is_deleted]

    def is_shown(self, placed: Placed) -> bool:
        return not placed.is_deleted and placed.visible_s <= now()

    def dated(self, moment_s: float) -> datetime:
        return EPOCH + timedelta(seconds=moment_s + self.habits.objects_ahead_s)

    def dates(self, placed: Placed) -> dict[str, str]:
        """Give when it was created and changed, as the server writes that."""
        return {"created": _text(self.dated(placed.created_s)), "updated": _text(self.dated(placed.updated_s))}

    def _check_intent(self, arrival: Arrival) -> None:
        if self.journal is None or arrival.key is None:
            return
        if self._reading is None or self._reading[0] != self.journal:
            if self._reading is not None:
                self._reading[1].close()
            database = sqlite3.connect(f"{self.journal.as_uri()}?mode=ro", uri=True)
            (secret,) = database.execute("SELECT secret FROM meta").fetchone()
            self._reading = self.journal, database, Digester(secret)
        _, database, digester = self._reading
        digest = digester.create_key(self.keys[arrival.key])
        reference_key = KEY if "metadata" in arrival.body else None
        content = digester.named("content", _in_one_order(arrival.request.body or b"", without=reference_key))
        query = "SELECT state, began FROM creates WHERE key = ? AND content = ?"
        found = database.execute(query, (digest, content)).fetchall()
        if len(found) != 1 or found[0][0] != 4:
            self.faults.append(f"a create was sent, and the journal says {found} of it")
            return
        server_s = (EPOCH + timedelta(seconds=now() + self.habits.date_ahead_s)).timestamp()
        if found[0][1] > server_s:
            self.faults.append("an intent is dated later than its request")


class CreatesTransport(ModelTransport):
    """The border of one client of a server of creates."""

    server: CreatesServer  # type: ignore[assignment]

    def __init__(self, server: CreatesServer, session: object) -> None:
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
            server.execute(Arrival(-1, now(), self.session, arrival.request, "repeated", arrival.body, arrival.key))
        answer = await super()._answered(arrival, dice, ends_at_s)
        if isinstance(answer, TransportFailure):
            return answer
        if arrival.key is not None and answer.status in _REFUSED:
            server.refused.add(arrival.number)
        body = answer.body
        if (placed := server.placed_by.get(arrival.number)) is not None and play not in DOUBTFUL:
            placed.is_answered = play != "wrong object"
            body = _distorted(play, body)
        return Reply(answer.status, {**server.headers(), **answer.headers}, body)


def _distorted(play: str, body: bytes) -> bytes:
    """Give an answer of another shape, or for another object."""
    if play == "other shape":
        return json.dumps({**json.loads(body), "kits": 7, "panels": 7, "sex": 7}).encode()
    if play == "wrong object":
        answer = json.loads(body)
        return json.dumps({**answer, "metadata": {KEY: "of another"}} if "metadata" in answer else []).encode()
    return body


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


def _text(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
