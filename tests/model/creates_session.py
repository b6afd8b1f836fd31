"""The sessions of a batch of orders in the model: each is consumed, or killed; then the same call resumes."""

import asyncio
import random
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import uuid5

import attrs

from spotdx_async import NewOrder, Outcome
from spotdx_async.bulk.create_rows import _NAMESPACE
from spotdx_async.bulk.journal.creates_file import CreatesFile
from tests.model.bulk_session import HANG_S, copy_of, disk
from tests.model.creates_server import OrderServer, PlacedOrder
from tests.model.creates_story import CreatesStory, new_orders
from tests.model.world import other_tasks

BATCH = "cohort"
MOST_MORE = 12
"""Sessions after the last kill; each meets faults, so that one alone need not end all rows."""


@attrs.define(eq=False)
class CreatesSession:
    """A session, and what it showed."""

    number: int
    outcomes: list[Outcome[Any]] = attrs.field(factory=list)
    faults: list[str] = attrs.field(factory=list)
    error: BaseException | None = None
    is_killed: bool = False
    duplicates: tuple[tuple[str, str], ...] = ()
    audit_error: BaseException | None = None


class BatchPlayer:
    """Plays a batch against the server, from its first session to the one that leaves nothing."""

    def __init__(self, server: OrderServer, story: CreatesStory, dice: random.Random, folder: Path) -> None:
        self.server, self.story, self.dice, self.folder = server, story, dice, folder
        self.rows = new_orders(story.rows)
        self.references = {key: reference_of(key) for key, _ in self.rows}
        self.journal = folder / "0.journal"
        self.last: dict[str, Outcome[Any]] = {}
        """The last outcome of each row."""
        self.sessions: list[CreatesSession] = []

    async def play(self) -> None:
        story, dice = self.story, self.dice
        for number in range(story.kills + MOST_MORE):
            session = CreatesSession(number)
            self.sessions.append(session)
            is_early = number < story.kills
            with disk(dice, 0.03 if is_early and story.disk_fails else 0.0, CreatesFile):
                await self._play(session, is_to_be_killed=is_early)
            if story.look_first is not None and not number:
                self.journal = self.folder / "lost.journal"
            if not session.is_killed and session.error is None and self._is_done():
                return
            await asyncio.sleep(dice.choice([0.0, 1.0, dice.uniform(0.0, 100.0)]))

    def _is_done(self) -> bool:
        return len(self.last) == len(self.rows) and all(
            each.state == "ok"
            or (each.state == "skipped" and each.object_id is not None)
            or (each.state == "unknown" and self.story.may_park)
            for each in self.last.values()
        )

    async def _play(self, session: CreatesSession, *, is_to_be_killed: bool) -> None:
        server, story, dice = self.server, self.story, self.dice
        server.journal = self.journal
        spot, transport = server.client(
            session, timeout_s=story.timeout_s, rate_limit=story.limit(), concurrency=story.concurrency
        )
        rows: Iterable[tuple[str, NewOrder]] = self.rows
        if story.shuffles:
            rows = dice.sample(self.rows, len(self.rows))
        run = spot.orders.create_many(
            rows,
            batch=BATCH,
            journal=self.journal,
            concurrency=story.concurrency,
            lands_within_s=story.lands_within_s,
            look_first=story.look_first if session.number else None,
        )
        asyncio.get_running_loop().set_exception_handler(
            lambda _, context: session.faults.append(f"the loop was told: {context}")
        )
        consumer = asyncio.create_task(self._consume(run, session))
        reaper: asyncio.Task[None] | None = None
        if is_to_be_killed:
            reaper = asyncio.create_task(self._kill(session, transport, consumer))
        await asyncio.wait([consumer], timeout=HANG_S)
        if not consumer.done():
            session.faults.append(f"the run hangs: {[str(task.get_coro()) for task in asyncio.all_tasks()]}")
            session.is_killed = True
        session.duplicates, session.audit_error = run.duplicates, run.audit_error
        if not session.is_killed and session.error is None:
            session.faults += _left_in_window(run)
        for task in (reaper, consumer):
            if task is not None:
                task.cancel()
                await asyncio.wait([task])
        with suppress(BaseException):
            await spot.close()
        others = other_tasks()
        if others and not session.is_killed:
            session.faults.append(f"tasks are left: {[str(task.get_coro()) for task in others]}")
        for task in others:
            task.cancel()
        if others:
            await asyncio.wait(others, timeout=10_000)

    async def _consume(self, run: Any, session: CreatesSession) -> None:
        try:
            async for outcome in run:
                if session.is_killed:
                    return
                session.outcomes.append(outcome)
                assert outcome.key is not None
                self.last[outcome.key] = outcome
                session.faults += self._faults_of(outcome)
        except Exception as error:  # noqa: BLE001 - whatever ends it is judged with the rest
            session.error = error

    async def _kill(self, session: CreatesSession, transport: Any, consumer: "asyncio.Task[None]") -> None:
        """Let nothing of it have any effect from some moment on: what lies on the disk is what the next one finds."""
        dice, story = self.dice, self.story
        if dice.random() < 0.3:
            await asyncio.sleep(dice.choice([dice.uniform(0, 2), dice.uniform(0, story.most_s_to_kill)]))
        else:
            left, reached = dice.randrange(1, story.most_between_kills), asyncio.Event()

            def count() -> None:
                nonlocal left
                left -= 1
                if not left:
                    reached.set()

            transport.after_arrival = count
            await reached.wait()
            await asyncio.sleep(dice.choice([0.0, 0.0, dice.uniform(0.0, 0.2)]))
        for _ in range(dice.randrange(30)):
            await asyncio.sleep(0)
        if consumer.done():
            return
        session.is_killed = transport.is_dead = True
        if not self.journal.exists():  # it was killed before it began
            consumer.cancel()
            return
        left_behind = self.journal
        self.journal = copy_of(left_behind, self.folder / f"{session.number + 1}.journal")
        consumer.cancel()

    def _faults_of(self, outcome: Outcome[Any]) -> list[str]:
        """Compare an outcome with the server's truth at this moment."""
        assert outcome.key is not None
        server, reference = self.server, self.references[outcome.key]
        placed = server.by_reference[reference]
        ids = [order.order_id for order in placed]
        told = f"{outcome.key} is {outcome.state} ({outcome.object_id}, {outcome.error!r}), and the server has {ids}"
        if outcome.state == "ok" or (outcome.state == "skipped" and outcome.object_id is not None):
            return [] if outcome.object_id in ids else [told]
        if outcome.state in {"failed", "skipped"}:
            is_there = bool(placed) or (self.story.is_clean and server.on_its_way[reference] > 0)
            return [told] if is_there and self.story.is_clean else []
        return [] if outcome.state == "unknown" else [told]

    def faults(self) -> list[str]:
        """Compare everything with the server's truth, once nothing can land any more."""
        found = [f"session {each.number}: {fault}" for each in self.sessions for fault in each.faults]
        found += self.server.faults
        story, server = self.story, self.server
        last = self.sessions[-1]
        for key, reference in self.references.items():
            alive = server.alive(reference)
            outcome = self.last.get(key)
            if outcome is None:
                found.append(f"{key} has no outcome")
                continue
            if story.is_clean and len(alive) > 1:
                found.append(f"{key} was placed twice: {_told(alive)}")
            is_done = outcome.state == "ok" or (outcome.state == "skipped" and outcome.object_id is not None)
            if not is_done and not (story.may_park and outcome.state == "unknown"):
                found.append(f"{key} is not done: {outcome.state}, {outcome.error!r}; the server has {_told(alive)}")
            found += self._unreported(key, alive)
        if last.error is not None:
            found.append(f"the last session ended with {last.error!r}")
        if last.audit_error is not None:
            found.append(f"the audit failed: {last.audit_error!r}")
        known = set(self.references.values())
        for one, other in (pair for each in self.sessions for pair in each.duplicates):
            a, b = server.orders[one].reference, server.orders[other].reference
            if a != b or a not in known:
                found.append(f"{one} and {other} are no duplicates")
        return found

    def _unreported(self, key: str, alive: list[PlacedOrder]) -> list[str]:
        """Return whether duplicates that the server shows were reported by none of the sessions."""
        shown = [order.order_id for order in alive if order.shows_metadata]
        # Nobody is told what a killed session has found.
        pairs = {frozenset(pair) for each in self.sessions if not each.is_killed for pair in each.duplicates}
        linked = {an_id for pair in pairs for an_id in pair}
        missing = [an_id for an_id in shown if an_id not in linked]
        return [f"{key}: {missing} of {_told(alive)} are unreported"] if len(shown) > 1 and missing else []


def _left_in_window(run: Any) -> list[str]:
    window = run._session._engine._window
    counted = window._rows, window._beside, window._bytes_beside
    return [f"the window still counts rows: {counted}"] if any(counted) else []


def reference_of(key: str) -> str:
    return str(uuid5(uuid5(_NAMESPACE, BATCH), key))


def _told(orders: list[PlacedOrder]) -> list[str]:
    return [f"{order.order_id} at {order.created_s:.1f} s" for order in orders]
