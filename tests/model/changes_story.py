"""What a seed's feed of changes is to be like: how its server is, how large, and what happens to its passes."""

import random
from typing import Any

import attrs

from tests.model.changes_server import DAY_S, Habits


@attrs.define(kw_only=True)
class ChangesStory:
    """A feed, from its first pass to the last quiet one."""

    noun: str
    objects: int
    passes: int
    habits: Habits
    kills: float = 0.3
    """Share of passes that do not come to their end by themselves."""
    days: float = 400.0
    """The age of the oldest object."""
    long_pauses: bool = True
    sweeps: float = 0.03
    follows: float = 0.1
    batch_size: int = 100
    concurrency: int = 16
    outages: float = 0.05
    most_acts: int = 40
    """Changes from one pass to the next, at most."""
    most_between_kills: int = 150
    """Requests from a pass's begin to its kill, at most."""

    def options(self) -> dict[str, Any]:
        return {"batch_size": self.batch_size, "concurrency": self.concurrency}

    def pause_s(self, dice: random.Random) -> float:
        """Draw how long it is from one pass to the next."""
        if self.long_pauses and dice.random() < 0.06:
            return dice.uniform(3.0, 5.0) * DAY_S
        most_s = dice.choice([0.0, 60.0, 60.0, 200.0, 4000.0, 4000.0, 30_000.0, 2 * DAY_S])
        return dice.uniform(0.0, most_s)


def draw(dice: random.Random, noun: str, *, passes: int = 14) -> ChangesStory:
    """Draw a story that keeps to what is promised, though nothing else can be relied on."""
    habits = Habits(
        share=dice.choice([0.0, 0.02, 0.05]),
        list_lag_s=dice.choice([0.0, 2.0, 8.0]),
        late_s=dice.choice([8.0, 60.0]),
        late_share=dice.choice([0.0, 0.2]),
        get_lag_s=dice.choice([0.0, 0.0, 2.0]),
        date_ahead_s=dice.choice([0.0, dice.uniform(0.0, 400.0)]),
        dateless=dice.choice([0.0, 0.0, 0.1, 1.0]),
        client_ahead_s=dice.choice([0.0, DAY_S, -DAY_S]),
        zone_h=dice.choice([0, 0, 12, -12]),
        undated=dice.choice([0.0, 0.0, 0.02]),
        dated_once_changed=dice.choice([0.0, 0.3]),
        poisoned=dice.choice([0, 0, 3]),
        most_rows=dice.choice([100, 100, 50]),
        per_page=dice.choice([20, 20, 60] if noun == "orders" else [20]),
        burst=dice.choice([0.0, 0.0, 0.03]),
        deletes=dice.random() < 0.6,
        latency_s=dice.choice([0.05, 1.0]),
    )
    if habits.most_rows < 100:  # a list that grows faster than it is read is never read to its end
        habits.per_page = 10
    return ChangesStory(
        noun=noun,
        objects=dice.choice([0, 30, 120, 400] if noun != "orders" else [30, 120, 300, 400]),
        passes=passes,
        habits=habits,
        kills=dice.choice([0.1, 0.5]),
        days=dice.choice([0.5, 5.0, 400.0]),
        long_pauses=dice.random() < 0.5,
        sweeps=dice.choice([0.0, 0.1]),
        follows=dice.choice([0.0, 0.2]),
        most_acts=dice.choice([5, 40, 300] if noun == "orders" else [5, 40]),
        batch_size=dice.choice([1, 7, 100, 100, 100]),
        concurrency=dice.choice([1, 4, 16, 16]),
    )
