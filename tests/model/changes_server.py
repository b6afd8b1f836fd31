"""A server of one noun by a script: its objects change while they are listed, and show up late; its clocks disagree."""

import asyncio
import json
import random
from bisect import bisect_left, insort
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any
from urllib.parse import parse_qs

import attrs

from spotdx_async import SpotClient
from spotdx_async._http.messages import AttemptState, Reply, Request, TransportFailure
from tests.model.creates_server import EPOCH, LOST_READS
from tests.model.server import BASE_URL, Arrival, ModelTransport, Weather, now

NOUNS = ("kits", "orders", "requisitions")
CANARY = "canary"
"""Stands in every id and every name."""
DAY_S = 86400.0
_STATUSES = ("pending", "in_progress", "delivered", "completed")
_ID = {"kits": "kit_id", "orders": "order_id", "requisitions": "requisition_id"}


@attrs.define(kw_only=True)
class Habits:
    """How the server is, for the whole of a story."""

    share: float = 0.05
    """Of attempts that go wrong."""
    list_lag_s: float = 8.0
    """How long the list takes to show what can be got, at most."""
    late_s: float = 60.0
    """How long a change that is stamped takes until it is committed, at most."""
    late_share: float = 0.2
    get_lag_s: float = 0.0
    """How long a new object that is listed cannot be got."""
    date_ahead_s: float = 0.0
    """How far the clock of ``Date`` is ahead of the one that stamps objects."""
    dateless: float = 0.0
    """Share of answers without a ``Date``."""
    client_ahead_s: float = 0.0
    zone_h: int = 0
    """Where the days of filters begin."""
    undated: float = 0.0
    """Share of objects that never show ``updated``."""
    dated_once_changed: float = 0.0
    """Share of objects that show it from their first change on."""
    poisoned: int = 0
    """How many objects cannot be read."""
    most_rows: int = 100
    """Rows of a page at most, whatever is asked for."""
    per_page: int = 20
    """Changes between two pages."""
    burst: float = 0.02
    """How often that many times twenty."""
    deletes: bool = True
    latency_s: float = 0.05


@attrs.frozen
class Version:
    """A state of an object."""

    number: int
    """Of its content."""
    stamp_s: float
    content_s: float
    """When its content was changed."""


@attrs.define(eq=False)
class Thing:
    """An object as the server keeps it."""

    number: int
    created_s: float
    state: Version
    listed: Version | None
    """What the list shows; None: not yet."""
    is_undated: bool = False
    is_dated_once_changed: bool = False
    poison: str | None = None
    gettable_s: float = float("-inf")
    key: tuple[float, int] | None = None
    """Its place in the list."""
    days: tuple[str, str] = ("", "")
    """Those of its creation and its last change, as the filters of the list count them."""
    transitions: int = 0
    """How often its row has changed."""
    is_busy: bool = False
    """Whether a change of it is on its way."""
    is_deleted: bool = False
    was_hidden: bool = False
    """Whether it could not be found until the end."""

    @property
    def an_id(self) -> str:
        return f"{CANARY}-{self.number}"


class FeedServer:
    """The world behind the border of clients that pull changes."""

    def __init__(self, dice: random.Random, noun: str, habits: Habits) -> None:
        self.dice, self.noun, self.habits = dice, noun, habits
        self.weather = Weather(latency_s=habits.latency_s, connect_s=(0.0, 0.0, 0.002))
        self.path = f"/api/v2/{noun}/"
        self.things: dict[str, Thing] = {}
        self.counts: Counter[str] = Counter()
        self.raised: list[BaseException] = []
        self.sends = 0
        self.is_restless = True
        self.is_down = False
        self.most_matched = 0
        """Rows that one of the lists matched, since it was set to 0."""
        self.most_lists = 100_000
        self.on_too_many: Callable[[], object] = lambda: None
        self._list: list[tuple[float, int]] = []
        self._numbers = 0

    # --- What the transport asks ----------------------------------------------------------------------------------

    def client(self, session: object, **options: Any) -> tuple[SpotClient, "FeedTransport"]:
        spot = SpotClient(**{"token": "model", "base_url": BASE_URL, **options})
        transport = FeedTransport(self, session)
        spot._runner.state.transport = transport
        return spot, transport

    def draw(self, request: Request) -> str:
        self.counts["attempts"] += 1
        if self.is_down:
            return self.dice.choice(("503", "refused", "drop"))
        thing = self.things.get(request.path.removeprefix(self.path).strip("/"))
        if thing is not None and thing.poison is not None:
            return thing.poison
        return self.dice.choice(LOST_READS) if self.dice.random() < self.habits.share else "ok"

    def arrive(self, session: object, request: Request, play: str) -> Arrival:
        return Arrival(0, now(), session, request, play, None)

    def execute_late(self, arrival: Arrival) -> None:
        arrival.is_fated = True

    def execute(self, arrival: Arrival) -> tuple[int, bytes]:
        arrival.is_fated = True
        request = arrival.request
        if request.path == self.path:
            self.counts["lists"] += 1
            if self.counts["lists"] > self.most_lists:
                self.on_too_many()
            page = self._page({name: values[0] for name, values in parse_qs(request.query).items()})
            self._change_meanwhile()
            return 200, json.dumps(page).encode()
        self.counts["gets"] += 1
        thing = self.things.get(request.path.removeprefix(self.path).strip("/"))
        if thing is None or thing.is_deleted or thing.gettable_s > now():
            return 404, b'{"error": {"status": 404, "type": "not_found", "detail": "not found"}}'
        return 200, json.dumps(self._shown(thing)).encode()

    def headers(self) -> dict[str, str]:
        if self.dice.random() < self.habits.dateless:
            return {}
        return {"Date": format_datetime(self.date().replace(microsecond=0), usegmt=True)}

    def date(self) -> datetime:
        return _moment(now() + self.habits.date_ahead_s)

    # --- What happens ---------------------------------------------------------------------------------------------

    def populate(self, count: int, days: float) -> None:
        """Create what there was before the story begins."""
        for _ in range(count):
            created_s = -self.dice.uniform(0.0, days * DAY_S)
            self._add(created_s, self.dice.choice([created_s, self.dice.uniform(created_s, 0.0)]), 0.0)

    def create(self) -> Thing:
        return self._add(now(), now(), self.dice.uniform(0.0, self.habits.list_lag_s))

    def change(self, thing: Thing, *, is_late: bool | None = None, is_touch: bool = False) -> None:
        """Change an object; its row is stamped now, and shows up later."""
        if thing.is_busy or thing.is_deleted or thing.listed is None:
            return
        dice, habits = self.dice, self.habits
        is_late = dice.random() < habits.late_share if is_late is None else is_late
        # An object that shows when it was last changed is another one then.
        is_same = is_touch and self.noun == "kits"
        state = thing.state
        version = Version(state.number + (not is_same), now(), state.content_s if is_same else now())
        thing.is_busy = True
        commit_s = dice.uniform(0.0, habits.late_s) if is_late else 0.0
        self._at(now() + commit_s, lambda: self._commit(thing, version))

    def delete(self, thing: Thing) -> None:
        if not thing.is_deleted:
            thing.is_deleted = True
            self._unlist(thing)

    def act(self) -> None:
        """Let something happen."""
        dice = self.dice
        what = dice.random()
        if what < 0.2 or not self.things:
            self.create()
        elif what < 0.25 and self.habits.deletes:
            self.delete(self.any())
        else:
            self.change(self.any(), is_touch=what > 0.95)

    def any(self) -> Thing:
        return self.things[f"{CANARY}-{self.dice.randrange(self._numbers)}"]

    def alive(self) -> list[Thing]:
        return [thing for thing in self.things.values() if not thing.is_deleted]

    def mend(self) -> None:
        for thing in self.things.values():
            thing.was_hidden, thing.poison = thing.poison == "404", None

    def _change_meanwhile(self) -> None:
        if not self.is_restless:
            return
        dice, habits = self.dice, self.habits
        if dice.random() >= habits.burst:
            for _ in range(dice.randrange(2 * habits.per_page + 1)):
                self.act()
        elif habits.deletes and dice.random() < 0.3:
            for _ in range(dice.choice([60, 150])):
                if self._list:
                    _, number = self._list[dice.randrange(len(self._list) // 2 + 1)]
                    self.delete(self.things[f"{CANARY}-{number}"])
        else:
            for _ in range(dice.choice([120, 250])):
                if self._numbers:
                    self.change(self.any(), is_late=False)

    def _add(self, created_s: float, updated_s: float, lag_s: float) -> Thing:
        dice, habits = self.dice, self.habits
        version = Version(0, updated_s, updated_s)
        thing = Thing(self._numbers, created_s, version, None)
        fate = dice.random()
        thing.is_undated = fate < habits.undated
        thing.is_dated_once_changed = habits.undated <= fate < habits.undated + habits.dated_once_changed
        self._numbers += 1
        self.things[thing.an_id] = thing
        if lag_s:
            thing.gettable_s = now() + lag_s + habits.get_lag_s
            self._at(now() + lag_s, lambda: self._list_as(thing, version))
        else:
            self._list_as(thing, version)
        return thing

    def _commit(self, thing: Thing, version: Version) -> None:
        thing.state = version
        self._at(now() + self.dice.uniform(0.0, self.habits.list_lag_s), lambda: self._list_as(thing, version))

    def _list_as(self, thing: Thing, version: Version) -> None:
        thing.is_busy = False
        if thing.is_deleted:
            return
        self._unlist(thing)
        thing.listed, thing.key = version, self._place(thing, version)
        thing.days = self._day(thing.created_s), self._day(version.stamp_s)
        thing.transitions += 1
        insort(self._list, thing.key)

    def _unlist(self, thing: Thing) -> None:
        if thing.key is not None:
            del self._list[bisect_left(self._list, thing.key)]
            thing.key = None

    def _place(self, thing: Thing, version: Version) -> tuple[float, int]:
        if self.noun == "kits":
            return thing.created_s, thing.number
        if self.noun == "orders":
            return -version.stamp_s, thing.number
        return (thing.number * 7919 + 13) % 10007, thing.number

    def _at(self, at_s: float, job: Callable[[], object]) -> None:
        if at_s <= now():
            job()
        else:
            asyncio.get_running_loop().call_at(at_s, job)

    # --- What it shows --------------------------------------------------------------------------------------------

    def _page(self, asked: dict[str, str]) -> list[dict[str, Any]]:
        size, offset = min(int(asked["results"]), self.habits.most_rows), int(asked["offset"])
        unknown = set(asked) - {"results", "offset", "updated_after", "created_after", "created_before"}
        assert not unknown, f"a filter under which rows leave the list: {unknown}"
        found = [thing for _, number in self._list if self._matches(thing := self.things[f"{CANARY}-{number}"], asked)]
        self.most_matched = max(self.most_matched, len(found))
        return [self.row(thing) for thing in found[offset : offset + size]]

    def _matches(self, thing: Thing, asked: dict[str, str]) -> bool:
        created, updated = thing.days
        return (
            (thing.is_undated or asked.get("updated_after", "") <= updated)
            and asked.get("created_after", "") <= created
            and created <= asked.get("created_before", "9")
        )

    def _day(self, stamp_s: float) -> str:
        return _text(_moment(stamp_s + self.habits.zone_h * 3600))[:10]

    def shows_date(self, thing: Thing, version: Version) -> bool:
        return not thing.is_undated and (not thing.is_dated_once_changed or version.stamp_s > thing.created_s)

    def row(self, thing: Thing) -> dict[str, Any]:
        assert thing.listed is not None
        status = _STATUSES[thing.listed.number % 4]
        row = {_ID[self.noun]: thing.an_id, **self._dates(thing, thing.listed)}
        if self.noun == "kits":
            return row | {"kit_type": "k", "kit_status": status, "order_id": None}
        return row | {"status": status, "recipient" if self.noun == "orders" else "patient": {"first_name": CANARY}}

    def _shown(self, thing: Thing) -> dict[str, Any]:
        number = thing.state.number
        shown = {_ID[self.noun]: thing.an_id, "status": _STATUSES[number % 4], "number": number}
        if self.noun == "kits":
            link = f"https://{CANARY}.example/{number}.pdf?X-Amz-Date={now()}&X-Amz-Signature={self.dice.random()}"
            return shown | {"type": "k", "sample": {"reports": [{"results": [], "pdf": link, "txt": None}]}}
        return shown | self._dates(thing, thing.state)

    def _dates(self, thing: Thing, version: Version) -> dict[str, Any]:
        dates = {"created": _text(_moment(thing.created_s))}
        if self.shows_date(thing, version):
            dates["updated"] = _text(_moment(version.stamp_s))
        return dates


def calm_server(noun: str, objects: int = 0, *, days: float = 1.0, **habits: Any) -> FeedServer:
    """Return a server at which nothing happens by itself, and with objects of the last days; call it in the loop."""
    calm: dict[str, Any] = {"share": 0.0, "list_lag_s": 0.0, "late_share": 0.0, "latency_s": 0.0}
    server = FeedServer(random.Random(0), noun, Habits(**(calm | habits)))
    server.is_restless = False
    server.populate(objects, days)
    return server


def _moment(time_s: float) -> datetime:
    return EPOCH + timedelta(seconds=time_s)


def _text(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class FeedTransport(ModelTransport):
    """The border of one client of a server whose objects change."""

    server: FeedServer  # type: ignore[assignment]

    def __init__(self, server: FeedServer, session: object) -> None:
        super().__init__(server, session)  # type: ignore[arg-type]
        self.after_arrival: Any = lambda: None

    def _hand_over(self, request: Request, play: str, attempt_state: AttemptState) -> Arrival:
        attempt_state.last_byte_s = now()
        arrival = super()._hand_over(request, play, attempt_state)
        self.after_arrival()
        return arrival

    async def _answered(self, arrival: Arrival, dice: random.Random, ends_at_s: float) -> Reply | TransportFailure:
        answer = await super()._answered(arrival, dice, ends_at_s)
        if isinstance(answer, TransportFailure):
            return answer
        return Reply(answer.status, {**self.server.headers(), **answer.headers}, answer.body)
