"""The passes of a feed in the model: each is consumed, left, cancelled or killed, and what was stored is compared."""

import asyncio
import random
from base64 import urlsafe_b64decode
from collections.abc import AsyncIterator
from contextlib import aclosing, suppress
from datetime import datetime, timedelta
from typing import Any, cast

import attrs

from spotdx_async import Batch, Changes, SpotClient, SpotError
from spotdx_async._http.retry import may_pass
from tests.model.changes_server import CANARY, DAY_S, FeedServer, FeedTransport, Thing
from tests.model.changes_story import ChangesStory
from tests.model.creates_server import EPOCH
from tests.model.server import now
from tests.model.world import MOST_STEPS, other_tasks

HANG_S = 100_000.0
"""Virtual seconds after which a pass hangs."""
MOST_LISTS = 2000
"""Of a pass, or of following for a while; no story has so long a list."""
LEAVES = ("kill after", "kill within", "break", "cancel", "close", "exception")


class Left(Exception):  # noqa: N818 - it stands for whatever a consumer raises
    """What a consumer raises."""


@attrs.define
class Stored:
    """What the consumer has stored in one transaction with a cursor."""

    cursor: str | None = None
    contents: dict[str, int] = attrs.field(factory=dict)
    rows: dict[str, int] = attrs.field(factory=dict)
    """How often the list had changed an object when it was delivered, at most."""
    stamps: dict[str, float] = attrs.field(factory=dict)
    """When its row was changed, in stamped seconds."""
    unread: set[str] = attrs.field(factory=set)


@attrs.define
class Began:
    """How things were when a pass began."""

    transitions: int
    uncommitted: int
    undated: int
    unread: int
    gets: int
    lists: int


class FeedPlayer:
    """Plays passes against the server, from the first one to the last quiet one."""

    def __init__(self, server: FeedServer, story: ChangesStory, dice: random.Random) -> None:
        self.server, self.story, self.dice = server, story, dice
        self.stored = Stored()
        self.faults: list[str] = []
        self.passes = 0
        self.how = ""
        self.spot: SpotClient | None = None
        self.transport: FeedTransport | None = None
        self.feed: Changes[Any] | None = None
        self._nudged: set[str] = set()
        self._sweep_of: Changes[Any] | None = None
        self._token = 0
        self._is_clean = True
        self._stored_token = -1
        self._stored_s = float("-inf")
        """When a batch was stored last."""

    async def play(self) -> None:
        server, dice = self.server, self.dice
        asyncio.get_running_loop().set_exception_handler(
            lambda _, context: self.faults.append(f"the loop was told: {context}")
        )
        server.on_too_many = self._cut
        server.populate(self.story.objects, self.story.days)
        for thing in dice.sample(list(server.things.values()), min(server.habits.poisoned, len(server.things))):
            thing.poison = dice.choice(["500", "unreadable", "403", "400", "404", "drop"])
        for _ in range(self.story.passes):
            await self._play_one()
            if self.faults:
                break
            await self._pause()
        else:
            await self._play_quiet()
        await self._end_process()

    # --- One pass -------------------------------------------------------------------------------------------------

    async def _play_one(self, *, is_last: bool = False) -> None:
        dice, story, server = self.dice, self.story, self.server
        server.is_down = not is_last and dice.random() < story.outages
        is_left = not is_last and dice.random() < story.kills
        self.how = dice.choice(LEAVES) if is_left else ""
        is_follow = not is_last and dice.random() < story.follows
        feed = self._feed_of_a_process()
        if not is_last and not is_follow and dice.random() < story.sweeps:
            feed.sweep = True
        self._sweep_of = feed if feed.sweep else None
        began = self._begin(feed)
        consumer = asyncio.create_task(self._consume(feed, is_follow=is_follow))
        helpers = [asyncio.create_task(self._nudge(feed))] if is_follow else []
        if self.how in {"kill within", "cancel", "close"} or is_follow:
            helpers.append(asyncio.create_task(self._leave(feed, consumer, is_follow=is_follow)))
        if server.is_down:
            asyncio.get_running_loop().call_later(dice.uniform(0.0, 100.0), self._come_up)
        await asyncio.wait([consumer], timeout=HANG_S)
        if not consumer.done():
            self.faults.append(f"pass {self.passes} hangs")
            consumer.cancel()
        await self._end_helpers([consumer, *helpers])
        self._come_up()
        self.passes += 1
        self._judge(feed, began, consumer, is_follow=is_follow)
        if self.how.startswith("kill") or self.how == "close" or (not is_last and dice.random() < 0.3):
            await self._end_process()

    def _feed_of_a_process(self) -> Changes[Any]:
        story = self.story
        if self.feed is None:
            if self.dice.random() < 0.1:
                self._token += 1  # renewed
            self.spot, self.transport = self.server.client(self, token=f"model-{self._token}")
            self.feed = getattr(self.spot, story.noun).changes(self.stored.cursor, **story.options())
        assert self.feed is not None
        return self.feed

    def _begin(self, feed: Changes[Any]) -> Began:
        server = self.server
        server.most_matched = 0
        server.most_lists = server.counts["lists"] + MOST_LISTS
        uncommitted = sum(
            thing.listed is not None and self.stored.rows.get(an_id) != thing.transitions
            for an_id, thing in server.things.items()
        )
        undated = sum(thing.is_undated or thing.is_dated_once_changed for thing in server.things.values())
        transitions = sum(thing.transitions for thing in server.things.values())
        state = feed._state
        # It neither reads old rows twice nor looks whose cursor it is.
        self._is_clean = state.has_begun and not state.is_long and self._stored_token == self._token
        self._is_clean &= now() - self._stored_s < DAY_S and not server.habits.dateless
        self._is_clean &= not server.habits.share and not server.habits.poisoned
        return Began(transitions, uncommitted, undated, len(self.stored.unread), feed.counts.gets, feed.counts.lists)

    async def _consume(self, feed: Changes[Any], *, is_follow: bool) -> None:
        left = self.dice.randrange(6) if self.how in {"kill after", "break", "exception"} else None
        batches: AsyncIterator[Batch[Any]] = feed.follow(every_s=60.0) if is_follow else aiter(feed)
        is_closed = self.dice.random() < 0.5
        async with aclosing(cast("Any", batches)) if is_closed else _nothing():
            async for batch in batches:
                if left == 0 and self.how == "kill after":
                    return
                self._store(feed, batch)
                if left == 0 and self.how == "break":
                    break
                if left == 0 and self.how == "exception":
                    raise Left
                left = None if left is None else left - 1
                await asyncio.sleep(self.dice.choice([0.0, 0.0, 0.1, self.dice.uniform(0.0, 5.0)]))

    async def _leave(self, feed: Changes[Any], consumer: "asyncio.Task[None]", *, is_follow: bool) -> None:
        """End a pass at some moment."""
        dice = self.dice
        if is_follow:
            await asyncio.sleep(dice.uniform(0.0, 1000.0))
            if self.how not in {"kill within", "cancel", "close"}:
                await feed.aclose()
                return
        else:
            left, reached = dice.randrange(1, self.story.most_between_kills), asyncio.Event()

            def count() -> None:
                nonlocal left
                left -= 1
                if not left:
                    reached.set()

            assert self.transport is not None
            self.transport.after_arrival = count
            await reached.wait()
        for _ in range(dice.randrange(30)):
            await asyncio.sleep(0)
        if consumer.done():
            return
        if self.how == "close":
            assert self.spot is not None
            await self.spot.close()
            return
        consumer.cancel()
        for _ in range(MOST_STEPS):
            if consumer.done():
                return
            await asyncio.sleep(0)
        self.faults.append(f"the cancellation has not come out after {MOST_STEPS} steps")

    async def _nudge(self, feed: Changes[Any]) -> None:
        """Tell of objects that have changed, and of some that have not."""
        while True:
            await asyncio.sleep(self.dice.uniform(0.0, 100.0))
            for _ in range(self.dice.randrange(1, 4)):
                if self.server.things:
                    thing = self.server.any()
                    if self.dice.random() < 0.7:
                        self.server.change(thing)
                    self._nudged.add(thing.an_id)
                    feed.nudge(thing.an_id)

    async def _end_helpers(self, tasks: "list[asyncio.Task[None]]") -> None:
        for task in tasks[1:]:
            task.cancel()
        await asyncio.wait(tasks, timeout=HANG_S)
        if self.transport is not None:
            self.transport.after_arrival = lambda: None

    async def _end_process(self) -> None:
        spot, self.spot, self.feed = self.spot, None, None
        if spot is not None:
            with suppress(BaseException):
                await spot.close()
        for _ in range(20):
            await asyncio.sleep(0)
        if others := other_tasks():
            self.faults.append(f"tasks are left: {[str(task.get_coro()) for task in others]}")
            for task in others:
                task.cancel()

    def _come_up(self) -> None:
        self.server.is_down = False

    def _cut(self) -> None:
        """Let nothing more come out of a pass that asks for ever."""
        if self.transport is not None and not self.transport.is_dead:
            self.faults.append(f"pass {self.passes} asks for more than {MOST_LISTS} lists")
            self.transport.is_dead = True

    async def _pause(self) -> None:
        """Let things happen until the next pass."""
        dice, server = self.dice, self.server
        left_s = self.story.pause_s(dice)
        for _ in range(dice.randrange(self.story.most_acts)):
            wait_s = dice.choice([0.0, dice.uniform(0.0, left_s / 8)])
            left_s -= wait_s
            await asyncio.sleep(wait_s)
            server.act()
        await asyncio.sleep(max(0.0, left_s))

    # --- What is right --------------------------------------------------------------------------------------------

    def _store(self, feed: Changes[Any], batch: Batch[Any]) -> None:
        """Store a batch with its cursor, and compare it with the truth of this moment."""
        stored = self.stored
        assert len(batch.items) <= self.story.batch_size
        assert len(batch.items) == len(batch.summaries)
        for item, row in zip(batch.items, batch.summaries, strict=True):
            an_id = self._id_of(item)
            thing, number = self.server.things[an_id], item.extra["number"]
            before = stored.contents.get(an_id)
            if number > thing.state.number or (before is not None and number < before):
                self.faults.append(f"{an_id} came as {number}, and is {thing.state.number}, after {before}")
            if number == before and self._sweep_of is not feed:
                self._check_again(thing, row)
            stored.contents[an_id] = number
            stored.unread.discard(an_id)
            if row is not None:
                stored.rows[an_id] = self._transition_of(thing, row)
                stored.stamps[an_id] = _stamp_of(row)
        for row in batch.touched:
            an_id = self._id_of(row)
            stored.rows[an_id] = self._transition_of(self.server.things[an_id], row)
            stored.stamps[an_id] = _stamp_of(row)
        for unread in batch.unread:
            self._is_clean = False
            assert unread.object_id is not None
            is_known = unread.object_id in stored.unread - self._nudged and self._sweep_of is not feed
            if is_known:
                self.faults.append(f"pass {self.passes}: {unread.object_id} was reported again: {unread.error!r}")
            stored.unread.add(unread.object_id)
        stored.cursor, self._stored_s, self._stored_token = batch.cursor, now(), self._token
        self._check_cursor(feed, batch.cursor)

    def _check_again(self, thing: Thing, row: Any) -> None:
        """Judge an object that came in the content in which it was stored.

        The cursor knows the states of about two days. One that is older comes again when its row has changed.
        """
        an_id, stored, habits = thing.an_id, self.stored, self.server.habits
        if an_id in self._nudged or an_id in stored.unread:
            return
        known_s = stored.stamps.get(an_id, float("inf"))
        content_s = thing.state.content_s
        may_lag = self.story.noun == "kits" and habits.list_lag_s > 0 and known_s < content_s
        is_remembered = max(known_s, content_s) >= self._stored_s + habits.date_ahead_s - DAY_S and not may_lag
        if is_remembered or row is None or _stamp_of(row) == known_s:
            self.faults.append(f"pass {self.passes}: {an_id} came again unchanged, of {known_s}: {thing}")

    def _transition_of(self, thing: Thing, row: Any) -> int:
        """Return how often an object's row had changed, if it is still that one; -1 if it has changed since."""
        if thing.listed is None:
            return -1
        shown = self.server.row(thing)
        known = shown.get("updated")
        is_of_time = (None if known is None else datetime.fromisoformat(known)) == row.updated
        name = "kit_status" if self.story.noun == "kits" else "status"
        return thing.transitions if is_of_time and getattr(row, name) == shown[name] else -1

    def _check_cursor(self, feed: Changes[Any], cursor: str) -> None:
        raw, server = urlsafe_b64decode(cursor), self.server
        if CANARY.encode() in raw or CANARY in cursor:
            self.faults.append("an id or a name is in the cursor")
        state = feed._state
        most = len(server.things)
        if state.is_complete:
            first_s = state.watermark_s - EPOCH.timestamp() - 2 * DAY_S - server.habits.date_ahead_s
            most = sum(
                thing.state.stamp_s >= first_s or thing.is_undated or thing.is_dated_once_changed
                for thing in server.things.values()
            )
            most += len(self._nudged | stored_unread(self.stored))
        owed = sum(len(an_id) + 30 for an_id in state.owed)
        groups = 0 if state.is_complete else 8 * len(state.groups)
        if len(raw) > 16 * most + 220 + groups + owed:
            self.faults.append(f"pass {self.passes}: {len(raw)} bytes of cursor for {most} objects, {owed} of ids")

    def _judge(self, feed: Changes[Any], began: Began, consumer: "asyncio.Task[None]", *, is_follow: bool) -> None:
        server = self.server
        error = None if consumer.cancelled() else consumer.exception()
        if consumer.cancelled() and self.how not in {"kill within", "cancel"}:
            self.faults.append(f"pass {self.passes}: a CancelledError that nobody aimed at it")
        if error is not None and not isinstance(error, Left):
            self._is_clean = False
            if not isinstance(error, SpotError) or not (may_pass(error) or self.how == "close"):
                self.faults.append(f"pass {self.passes} ended with {error!r}")
        if self._sweep_of is not None or is_follow:
            return
        transitions = sum(thing.transitions for thing in server.things.values()) - began.transitions
        undated = began.undated + transitions
        most = began.uncommitted + transitions + undated + began.unread + len(self._nudged)
        gets, lists = feed.counts.gets - began.gets, feed.counts.lists - began.lists
        if gets > most:
            self.faults.append(f"pass {self.passes}: {gets} gets, and at most {most} were called for: {began}")
        if self._is_clean and not server.habits.deletes and not server.habits.burst:
            # A page begins with the last row of the one before; the last of all may be empty.
            most = server.most_matched // (min(server.habits.most_rows, 100) - 1) + 2
            if lists > most:
                self.faults.append(f"pass {self.passes}: {lists} lists for {server.most_matched} rows")

    async def _play_quiet(self) -> None:
        """Let everything come to rest, and compare what is stored with what is there."""
        server, habits = self.server, self.server.habits
        server.is_restless = False
        habits.share = 0.0
        server.mend()
        await asyncio.sleep(habits.late_s + habits.list_lag_s + habits.get_lag_s + 121.0)
        await self._play_one(is_last=True)
        if not habits.date_ahead_s and not habits.dateless:
            self._compare("a quiet pass")
        midnight = datetime.combine(server.date().date() + timedelta(days=1), datetime.min.time(), EPOCH.tzinfo)
        await asyncio.sleep((midnight - server.date()).total_seconds() + habits.dateless * DAY_S + 1.0)
        await self._play_one(is_last=True)
        self._compare("the day's change")
        await self._play_idle()

    def _compare(self, when: str) -> None:
        lost = [
            f"{thing} of {self.stored.contents.get(thing.an_id)}"
            for thing in self.server.alive()
            if self.stored.contents.get(thing.an_id) != thing.state.number and not self._is_given_up(thing)
        ]
        if lost:
            self.faults.append(f"after {when} {len(lost)} states were not delivered: {lost[:3]}")

    def _is_given_up(self, thing: Thing) -> bool:
        """Return whether an object that could not be found was mended only after two days."""
        return thing.was_hidden and thing.an_id in self.stored.unread

    async def _play_idle(self) -> None:
        server, feed = self.server, self._feed_of_a_process()
        await asyncio.sleep(60.0)
        before, server.most_matched = feed.counts, 0
        await self._consume(feed, is_follow=False)
        gets, lists = feed.counts.gets - before.gets, feed.counts.lists - before.lists
        most = 1 if self.story.noun == "orders" else server.most_matched // (server.habits.most_rows - 1) + 1
        # Behind a short page there may be more, if it has as many rows as a server's limit may be.
        most += server.most_matched % (server.habits.most_rows - 1) % 5 in {0, 1} and self.story.noun != "orders"
        undated = sum(not server.shows_date(thing, thing.state) for thing in server.alive()) + len(feed._state.owed)
        if (lists > most and not server.habits.dateless) or gets > undated:
            self.faults.append(f"an idle pass took {lists} lists and {gets} gets, of {most} and {undated}")

    def _id_of(self, item: Any) -> str:
        name = {"kits": "kit_id", "orders": "order_id", "requisitions": "requisition_id"}[self.story.noun]
        return cast("str", getattr(item, name))


def stored_unread(stored: Stored) -> set[str]:
    return stored.unread


def _stamp_of(row: Any) -> float:
    return float("-inf") if row.updated is None else (row.updated - EPOCH).total_seconds()


class _nothing:  # noqa: N801
    async def __aenter__(self) -> None: ...
    async def __aexit__(self, *_: object) -> None: ...
