"""What a seed's batch of creates is to be like: how its server is, its rows, and what happens to its sessions."""

import asyncio
import random
from collections.abc import Callable
from datetime import date

import attrs

from tests.model.bulk_story import DEEDS, ENDINGS, MOMENTS_S, BulkStory, Deed, SessionStory
from tests.model.creates_server import LOST_CREATES, ODD_CREATES, Habits
from tests.model.server import Weather
from tests.model.world import Foreign, ForeignBase

LANDS_WITHIN_S = 60.0
BAD = -1
"""Stands for the content of a row that is no row."""

RowOf = tuple[int, int]
"""The number of a row, and which of its contents it has."""
RAISED = (ValueError, Foreign, ForeignBase, KeyboardInterrupt, SystemExit, GeneratorExit, asyncio.CancelledError)


@attrs.define
class CreatesSessionStory(SessionStory):
    """One session of a batch: what it meets."""

    rows: list[RowOf] = attrs.field(factory=list)
    plays: tuple[str, ...] = LOST_CREATES
    """What may happen to its creates."""
    at_request: int | None = None
    """After how many of its requests something is done to it, beside its other deeds,"""
    steps: int = 0
    """and after how many steps of the loop,"""
    deed: Deed = "kill"
    """and what."""


@attrs.define(kw_only=True)
class CreatesStory:
    """A batch, from its first session to the one that leaves nothing."""

    rows: int
    kills: int
    """Sessions that are killed, or to which something else happens."""
    habits: Habits
    noun: str = "orders"
    lands_within_s: float = LANDS_WITHIN_S
    concurrency: int = 8
    timeout_s: float = 30.0
    rate: float | None = None
    disk_fails: bool = False
    """Whether the journals of its first sessions cannot always be written."""
    look_first: date | None = None
    """Where its journal is lost after the first session: the day from which on its next ones look."""
    shuffles: bool = False
    """Whether the rows come in another order each time."""
    changes: bool = False
    """Whether rows come, go, come twice and get other contents from session to session."""
    is_disturbed: bool = False
    """Whether its early sessions are not only killed, but also left, stopped, cancelled and raised into."""
    ordered: bool = False
    scripted: list[CreatesSessionStory] = attrs.field(factory=list)
    """Its first sessions, where they are not drawn."""
    most_between_kills: int = 20
    """Requests from a session's begin to its kill, at most, where it is not killed by time."""
    most_s_to_kill: float = 150.0

    @property
    def is_clean(self) -> bool:
        """Whether nothing may ever be executed twice."""
        return self.habits.lands_most_s <= self.lands_within_s and not self.habits.repeats

    @property
    def may_park(self) -> bool:
        """Whether it may be impossible to know what became of a row."""
        return bool(self.habits.stripped) or self.noun == "patients" or (self.changes and self.noun == "activations")

    @property
    def as_bulk_story(self) -> BulkStory:
        """The same as those who play a session know it."""
        client = {"timeout_s": self.timeout_s, "concurrency": self.concurrency, "max_pause_s": 300.0}
        options = {"concurrency": self.concurrency, "ordered": self.ordered, "coalesce": False}
        return BulkStory([], has_journal=True, options=options, client_options=client, rate=self.rate, sessions=[])

    def session(self, number: int, dice: random.Random, contents: dict[int, int]) -> CreatesSessionStory:
        """Draw a session; ``contents`` are those of its rows, and may be changed here."""
        if number < len(self.scripted):
            return self.scripted[number]
        is_early = number < self.kills
        story = CreatesSessionStory(weather=Weather(), form="list", rows=self._draw_rows(dice, contents, is_early))
        if not is_early:
            return story
        story.disk_fails = self.disk_fails
        if self.is_disturbed and dice.random() < 0.6:
            self._disturb(story, dice)
        elif dice.random() < 0.3:
            story.deeds = [(dice.choice([dice.uniform(0, 2), dice.uniform(0, self.most_s_to_kill)]), 0, "kill")]
        else:
            self._draw_request(story, dice, "kill")
        return story

    def _draw_rows(self, dice: random.Random, contents: dict[int, int], is_early: bool) -> list[RowOf]:
        if self.changes and is_early:
            for n in dice.sample(range(self.rows), dice.choice([0, 1, 3])):
                contents[n] = dice.randrange(4)
        rows = [*contents.items()]
        if self.shuffles:
            dice.shuffle(rows)
        if self.changes and is_early:
            rows = [row for row in rows if dice.random() < 0.8]
        if self.changes and rows:
            for n, version in dice.choices(rows, k=dice.choice([0, 1, 2])):
                rows.insert(dice.randrange(len(rows) + 1), (n, dice.choice([version, version, 9, BAD])))
        return rows

    def _draw_request(self, story: CreatesSessionStory, dice: random.Random, deed: Deed) -> None:
        story.at_request, story.steps, story.deed = dice.randrange(1, self.most_between_kills), dice.randrange(30), deed

    def _disturb(self, story: CreatesSessionStory, dice: random.Random) -> None:
        story.form = dice.choice(["list", "generator", "async generator"])
        story.input_s = dice.choice([0.0, 0.0, 0.05, 1.0])
        story.consumer_s = dice.choice([0.0, 0.0, 0.3])
        if dice.random() < 0.4:
            story.plays = (*LOST_CREATES, *ODD_CREATES)
        if dice.random() < 0.3 and story.form != "list":
            story.raises_at, story.raises = dice.randrange(len(story.rows) + 1), dice.choice(RAISED)
        if dice.random() < 0.3:
            story.progress = dice.choice(["fine", "raises", "raises base", "stops"])
        if dice.random() < 0.3:
            story.ending, story.leaves_after = dice.choice(ENDINGS), dice.randrange(1, self.rows + 2)
        if dice.random() < 0.15:
            story.hook = dice.choice(["stops", "raises", "raises base"])
        if dice.random() < 0.1:
            story.limiter = dice.choice(["slow", "raises", "raises base", "cancelled"])
        if dice.random() < 0.1:
            story.token = dice.choice(["function", "slow function", "fails later"])
        story.closing_raises = story.form != "list" and dice.random() < 0.1
        deeds = (*DEEDS, "aclose", "aclose")
        story.deeds = [
            (dice.choice((*MOMENTS_S, 150.0)) * dice.random(), dice.randrange(12), dice.choice(deeds))
            for _ in range(dice.choice([0, 0, 0, 1]))
        ]
        if dice.random() < 0.7:
            self._draw_request(story, dice, dice.choice(deeds))


def draw(dice: random.Random, *, rows: int = 60, kills: int = 10) -> CreatesStory:
    """Draw a story that keeps to the assumptions, though nothing else can be relied on."""
    date_ahead_s = dice.choice([0.0, dice.uniform(-400, 400)])
    habits = Habits(
        share=dice.choice([0.05, 0.05, 0.15]),
        lands_most_s=dice.choice([1.0, 50.0, 60.0]),
        list_lag_s=dice.choice([0.0, 2.0, 8.0]),
        gets_lag=dice.random() < 0.3,
        date_ahead_s=date_ahead_s,
        objects_ahead_s=date_ahead_s + dice.choice([0.0, dice.uniform(-300, 300)]),
        client_ahead_s=dice.choice([0.0, 86400.0, -86400.0]),
        zone_h=dice.choice([0, 0, 12, -11]),
        foreign_every_s=dice.choice([float("inf"), 1.0, 20.0]),
        touches=dice.choice([(), ("update", "cancel", "none"), ("update", "cancel", "delete", "none")]),
        latency_s=dice.choice([0.05, 1.0]),
    )
    return CreatesStory(
        rows=rows,
        kills=kills,
        habits=habits,
        concurrency=dice.choice([1, 4, 8]),
        timeout_s=dice.choice([5.0, 30.0, 90.0]),
        rate=dice.choice([None, None, 5.0]),
        shuffles=dice.random() < 0.3,
        disk_fails=dice.random() < 0.2,
    )


def draw_any(dice: random.Random, noun: str) -> CreatesStory:
    """Draw one of fewer rows, to which more happens."""
    story = draw(dice, rows=dice.choice([3, 12, 24]), kills=dice.choice([2, 4, 6]))
    story.noun = noun
    story.changes, story.is_disturbed = dice.random() < 0.6, dice.random() < 0.7
    story.ordered = dice.random() < 0.2
    story.habits.sick = dice.choice([0.0, 0.0, 0.1])
    if noun in {"patients", "activations"}:  # nobody sees those of others
        story.habits.foreign_every_s = float("inf")
    return story


KINDS: dict[str, Callable[[CreatesStory], None]] = {}


def kind(change: Callable[[CreatesStory], None]) -> Callable[[CreatesStory], None]:
    KINDS[change.__name__] = change
    return change


@kind
def stripped(story: CreatesStory) -> None:
    """Some objects, or all, never show their metadata."""
    story.habits.stripped = 1.0 if story.concurrency == 1 else 0.2


@kind
def landing_too_late(story: CreatesStory) -> None:
    story.habits.lands_most_s = 2 * story.lands_within_s
    story.habits.share = 0.15


@kind
def a_proxy_that_repeats(story: CreatesStory) -> None:
    story.habits.repeats = 0.1
