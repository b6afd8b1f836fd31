"""The sessions of a batch of creates in the model: each is consumed, killed or disturbed; the same call resumes."""

import asyncio
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar, cast

import attrs

from spotdx_async import InvalidInputError, Outcome, Progress
from spotdx_async.bulk.journal.creates_file import CreatesFile
from tests.model.bulk_session import BulkSession, SessionPlayer
from tests.model.bulk_story import ModelInput
from tests.model.creates_nouns import BATCH, NOUNS, key_of
from tests.model.creates_server import CreatesServer
from tests.model.creates_story import BAD, CreatesSessionStory, CreatesStory, RowOf
from tests.model.server import now

MOST_MORE = 12
"""Sessions after the last kill; each meets faults, so that one alone need not end all rows."""


@attrs.define(eq=False)
class CreatesSession(BulkSession):
    """A session, and what it showed."""

    duplicates: tuple[tuple[str, str], ...] = ()
    audit_error: BaseException | None = None
    began_s: float = 0.0

    @property
    def own(self) -> CreatesSessionStory:
        """What it meets."""
        return cast("CreatesSessionStory", self.story)


class CreatesPlayer(SessionPlayer):
    """Plays a session against a server of creates."""

    JOURNAL: ClassVar[type[Any]] = CreatesFile
    DISK_FAILS: ClassVar[float] = 0.03

    _server: CreatesServer
    _session: CreatesSession

    def __init__(self, batch: "BatchPlayer", session: CreatesSession) -> None:
        self._batch, self._of_batch = batch, batch.story
        super().__init__(batch.server, batch.story.as_bulk_story, session, batch.dice, batch.journal)

    def _new_run(self, progress: Callable[[Progress], object] | None) -> Any:
        story = self._of_batch
        more: dict[str, Any] = {}
        if story.look_first is not None and self._session.number:
            more["look_first"] = story.look_first
        return self._batch.noun.create(self.spot)(
            self._session.input.made(),
            batch=BATCH,
            journal=self._journal,
            concurrency=story.concurrency,
            ordered=story.ordered,
            lands_within_s=story.lands_within_s,
            progress=progress,
            **more,
        )

    async def _play_to_end(self, consumer: "asyncio.Task[None]") -> None:
        session = self._session
        self._server.plays, self._server.is_calm = session.own.plays, False
        await super()._play_to_end(consumer)

    def _note_end(self, consumer: "asyncio.Task[None]") -> None:
        super()._note_end(consumer)
        session, run = self._session, self._run
        session.duplicates, session.audit_error = run.duplicates, run.audit_error
        if not session.is_killed and not session.is_left and session.error is None and session.stopped_at_s is None:
            session.faults += _left_in_window(run)

    def _begin_deeds(self) -> list["asyncio.Task[None]"]:
        own, deeds = self._session.own, super()._begin_deeds()
        if own.at_request is not None:
            deeds.append(asyncio.create_task(self._do_at_request(own), name="deed"))
        return deeds

    async def _do_at_request(self, own: CreatesSessionStory) -> None:
        left, reached = own.at_request or 0, asyncio.Event()

        def count() -> None:
            nonlocal left
            left -= 1
            if not left:
                reached.set()

        self.transport.after_arrival = count  # type: ignore[attr-defined]
        await reached.wait()
        await self._do(self._dice.choice([0.0, 0.0, self._dice.uniform(0.0, 0.2)]), own.steps, own.deed)

    def _calm(self) -> None:
        self._server.is_calm = True

    def _note(self, outcome: Outcome[Any]) -> None:
        self._session.outcomes.append(outcome)
        self._session.executed_when_given.append(True)
        self._session.faults += self._batch.note(self._session, outcome)


class BatchPlayer:
    """Plays a batch against the server, from its first session to the one that leaves nothing."""

    def __init__(self, server: CreatesServer, story: CreatesStory, dice: random.Random, folder: Path) -> None:
        self.server, self.story, self.dice, self.folder = server, story, dice, folder
        self.noun = NOUNS[story.noun]
        self.contents: dict[int, int] = dict.fromkeys(range(story.rows), 0)
        self.identities = {key_of(n): self.noun.identity_of(key_of(n)) for n in self.contents}
        server.keys = {identity: key for key, identity in self.identities.items()}
        self.journal = folder / "0.journal"
        self.last: dict[str, Outcome[Any]] = {}
        """The last outcome of each row."""
        self.sessions: list[CreatesSession] = []

    async def play(self) -> None:
        story, dice = self.story, self.dice
        is_done = False
        for number in range(story.kills + MOST_MORE):
            own = story.session(number, dice, self.contents)
            session = CreatesSession(number, own, ModelInput(own, [self._item(row) for row in own.rows]))
            session.began_s = now()
            self.sessions.append(session)
            self.server.journal = self.journal
            player = CreatesPlayer(self, session)
            await player.play()
            assert player.journal_left is not None
            self.journal = player.journal_left
            if story.look_first is not None and not number:
                self.journal = self.folder / "lost.journal"
            is_good = number >= story.kills and session.error is None and session.audit_error is None
            if is_good and is_done:
                return
            # What was created at the end of a session is audited by the next: the list may have been late.
            is_done = is_good and self._is_done()
            if is_done and not story.habits.repeats:
                return
            await asyncio.sleep(20.0 if is_done else dice.choice([0.0, 1.0, dice.uniform(0.0, 100.0)]))
            if (len(self.server.arrivals), self.server.sends) != session.quiet_since:
                session.faults.append("a request was sent after the end")

    def _item(self, row: RowOf) -> Any:
        n, version = row
        return InvalidInputError("known to be bad") if version == BAD else self.noun.row(n, version)

    def _is_done(self) -> bool:
        return len(self.last) == len(self.identities) and all(
            each.is_done or each.object_id is not None or (each.state == "unknown" and self.may_park)
            for each in self.last.values()
        )

    @property
    def may_park(self) -> bool:
        """Whether it may be impossible to know what became of a row: nothing of the batch shows what a look can see."""
        return self.story.may_park or not any(map(self.server.alive, self.identities.values()))

    def note(self, session: CreatesSession, outcome: Outcome[Any]) -> list[str]:
        """Compare an outcome with the server's truth at this moment."""
        n, version = session.own.rows[outcome.index]
        if version == BAD:
            return [] if outcome.state == "rejected" else [f"a bad row is {outcome.state}"]
        key = key_of(n)
        told = f"{outcome.key} is {outcome.state} ({outcome.object_id}, {outcome.error!r})"
        if outcome.key != key:
            return [f"{told}, and is {key}"]
        first = next(at for at, (other, content) in enumerate(session.own.rows) if other == n and content != BAD)
        if outcome.index != first:
            return [] if outcome.state == "rejected" and "same key" in str(outcome.error) else [f"a second {told}"]
        self.last[key] = outcome
        return self._faults_of(outcome, self.identities[key], version, told)

    def _faults_of(self, outcome: Outcome[Any], identity: str, version: int, told: str) -> list[str]:
        server = self.server
        placed = server.by_identity[identity]
        told += f", and the server has {[(each.an_id, server.version_of(each.body)) for each in placed]}"
        if outcome.state == "rejected":
            # It was executed with other content; or by whom nobody knows, where no id is told.
            return [] if any(server.version_of(each.body) != version for each in placed) else [told]
        if outcome.is_done:
            named = [each for each in placed if outcome.object_id in {None, each.an_id, outcome.key}]
            is_it = any(server.version_of(each.body) == version or not self.story.is_clean for each in named)
            return [] if is_it else [told]
        if outcome.state in {"failed", "skipped"}:
            is_there = bool(placed) or server.on_its_way[identity] > 0
            # A session that has lost its journal cannot know of a row that it did not come to.
            may_be_there = not self.story.is_clean or (self.story.look_first is not None and outcome.state == "skipped")
            return [told] if is_there and not may_be_there else []
        return [] if outcome.state == "unknown" else [told]


def _left_in_window(run: Any) -> list[str]:
    window = run._session._engine._window
    counted = window._rows, window._beside, window._bytes_beside
    return [f"the window still counts rows: {counted}"] if any(counted) else []
