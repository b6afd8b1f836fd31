"""What a seed's batch of orders is to be like: how its server is, its rows, and what happens to its sessions."""

import random
from collections.abc import Callable
from datetime import date

import attrs

from spotdx_async import NewOrder, RateLimit, Recipient
from tests.model.creates_server import Habits
from tests.new_objects import ADDRESS

LANDS_WITHIN_S = 60.0


@attrs.define(kw_only=True)
class CreatesStory:
    """A batch, from its first session to the one that leaves nothing."""

    rows: int
    kills: int
    habits: Habits
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
    most_between_kills: int = 20
    """Requests from a session's begin to its kill, at most, where it is not killed by time."""
    most_s_to_kill: float = 150.0

    @property
    def is_clean(self) -> bool:
        """Whether nothing may ever be placed twice."""
        return self.habits.lands_most_s <= self.lands_within_s and not self.habits.repeats

    @property
    def may_park(self) -> bool:
        """Whether it may be impossible to know what became of a row."""
        return bool(self.habits.stripped)

    def limit(self) -> RateLimit | None:
        return None if self.rate is None else RateLimit(self.rate)


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


KINDS: dict[str, Callable[[CreatesStory], None]] = {}


def kind(change: Callable[[CreatesStory], None]) -> Callable[[CreatesStory], None]:
    KINDS[change.__name__] = change
    return change


@kind
def stripped(story: CreatesStory) -> None:
    """Some orders, or all, never show their metadata."""
    story.habits.stripped = 1.0 if story.concurrency == 1 else 0.2


@kind
def landing_too_late(story: CreatesStory) -> None:
    story.habits.lands_most_s = 2 * story.lands_within_s
    story.habits.share = 0.15


@kind
def a_proxy_that_repeats(story: CreatesStory) -> None:
    story.habits.repeats = 0.1


def new_orders(count: int) -> list[tuple[str, NewOrder]]:
    """Return the rows; some persons get several orders."""
    return [
        (
            f"row {n}",
            NewOrder(
                kit_types=("k",),
                recipient=Recipient(
                    first_name=f"P{n - n % 2 if n % 10 < 2 else n}",
                    last_name="Sample",
                    email="e@example.com",
                    phone="2025550147",
                    address=ADDRESS,
                ),
            ),
        )
        for n in range(count)
    ]
