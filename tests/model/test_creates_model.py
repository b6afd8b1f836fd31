"""Batches of orders against a server by a script: whatever happens, each is placed once, and nothing is lost."""

import asyncio
import random
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from spotdx_async._http.messages import Request
from tests.model import creates_story
from tests.model.bulk_story import Deed
from tests.model.creates_checks import check_batch
from tests.model.creates_nouns import NOUNS
from tests.model.creates_server import EPOCH, CreatesServer, Habits, client_clock
from tests.model.creates_session import BatchPlayer
from tests.model.creates_story import KINDS, CreatesSessionStory, CreatesStory
from tests.model.server import Weather
from tests.model.test_bulk_model import folder_of_a_seed
from tests.model.world import hold, play, seeds

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")


async def play_batch(
    story: CreatesStory, dice: random.Random, folder: Path, server: CreatesServer
) -> tuple[BatchPlayer, list[str]]:
    player = BatchPlayer(server, story, dice, folder)
    server.start()
    try:
        await player.play()
        await asyncio.sleep(story.habits.lands_most_s + 1)
    finally:
        server.end()
    found = check_batch(player)
    return player, [*found, f"{story}, {len(player.sessions)} sessions, {dict(server.counts)}"] if found else []


def run_on(seed: int, story: CreatesStory, dice: random.Random, server: CreatesServer) -> tuple[BatchPlayer, list[str]]:
    with folder_of_a_seed() as folder, client_clock(story.habits.client_ahead_s):
        return play(seed, play_batch(story, dice, Path(folder), server))


def run_story(seed: int, story: CreatesStory, dice: random.Random) -> list[str]:
    return run_on(seed, story, dice, NOUNS[story.noun].server(dice, story.habits))[1]


def run_seed(seed: int) -> list[str]:
    dice = random.Random(seed)
    return run_story(seed, creates_story.draw(dice), dice)


def test_a_batch_is_placed_once_whatever_happens(chaos: Any) -> None:
    hold(seeds(500 if chaos.is_full else 10, 0, 1), run_seed, "tests/model/test_creates_model.py")


def run_any(seed: int, noun: str, change: Callable[[CreatesStory], None] = lambda _: None) -> list[str]:
    dice = random.Random(seed)
    story = creates_story.draw_any(dice, noun)
    change(story)
    server = NOUNS[noun].server(dice, story.habits)
    server.most_foreign = 200
    return run_on(seed, story, dice, server)[1]


@pytest.mark.parametrize("noun", NOUNS)
def test_whatever_is_created_and_happens_to_rows_and_runs_is_done_once(chaos: Any, noun: str) -> None:
    count = 300 if chaos.is_full else 6
    hold(seeds(count, 0, 1), lambda seed: run_any(seed, noun), f"tests/model/test_creates_model.py, {noun}")


STEPS = 150
"""More than an undisturbed run of ``story_of_steps`` takes."""


def story_of_steps(noun: str, deed: Deed, steps: int) -> CreatesStory:
    """A run that takes next to no time, only steps, and its resumption."""
    habits = Habits(share=0.3, lands_most_s=1.0, list_lag_s=0.0, latency_s=0.0)
    disturbed = CreatesSessionStory(
        weather=Weather(), form="async generator", progress="fine", deeds=[(0.0, steps, deed)]
    )
    disturbed.rows = [(n, 0) for n in range(5)]
    return CreatesStory(noun=noun, rows=5, kills=1, habits=habits, concurrency=2, scripted=[disturbed])


@pytest.mark.parametrize("deed", ["stop", "close", "aclose", "cancel", "kill"])
def test_whatever_is_done_to_a_run_at_any_step_nothing_is_done_twice(chaos: Any, deed: Deed) -> None:
    def run_steps(number: int) -> list[str]:
        variant, steps = divmod(number, STEPS)
        story = story_of_steps([*NOUNS][number % len(NOUNS)], deed, steps)
        return run_story(variant, story, random.Random(variant))

    numbers = range(STEPS * 4) if chaos.is_full else range(chaos.seed % 29, STEPS, 29)
    hold([*numbers], run_steps, f"tests/model/test_creates_model.py, {deed} after {STEPS} * variant + steps")


@pytest.mark.parametrize("noun", ["orders", "requisitions"])
@pytest.mark.parametrize("kind", KINDS)
def test_where_an_assumption_does_not_hold_all_is_reported(chaos: Any, kind: str, noun: str) -> None:
    def run_kind(seed: int) -> list[str]:
        return run_any(seed, noun, KINDS[kind])

    hold(seeds(100 if chaos.is_full else 1, 0, 1), run_kind, f"tests/model/test_creates_model.py, {kind}, {noun}")


@pytest.mark.parametrize("noun", ["orders", "requisitions"])
def test_a_lost_journal_with_a_look_first_creates_nothing_twice(chaos: Any, noun: str) -> None:
    def lose(story: CreatesStory) -> None:
        story.look_first = EPOCH.date() - timedelta(days=1)
        story.habits.touches = ()  # what was created and deleted since, nobody can find
        story.habits.sick = 0.0  # where one object cannot be read, nothing is sent
        story.changes = False  # nobody knows any more what the lost session has sent

    def run_lost(seed: int) -> list[str]:
        return run_any(seed, noun, lose)

    hold(seeds(100 if chaos.is_full else 1, 0, 1), run_lost, f"tests/model/test_creates_model.py, {noun}")


def test_a_hundred_rows_in_doubt_among_two_thousand_foreign_orders_cost_few_requests() -> None:
    dice = random.Random(0)
    habits = Habits(share=0.0, foreign_every_s=0.01)
    story = CreatesStory(rows=400, kills=0, habits=habits)
    server, played = NOUNS[story.noun].server(dice, habits), 0

    def lose_some(request: Request) -> str:
        nonlocal played
        server.count(request)
        played += request.method == "POST"
        return "drop" if request.method == "POST" and played % 4 == 0 and played <= 400 else "ok"

    server.draw = lose_some  # type: ignore[method-assign]
    server.most_foreign = 2000

    player, found = run_on(0, story, dice, server)

    assert not found
    assert len(player.sessions) == 1
    assert sum(arrival.play == "drop" for arrival in server.arrivals) == 100
    assert server.counts["foreign"] == 2000
    assert server.counts["lists"] <= 30
    assert server.counts["gets"] <= 2110


def long_story(lands_most_s: float, lands_within_s: float) -> CreatesStory:
    habits = Habits(lands_most_s=lands_most_s, foreign_every_s=5.0, touches=("update", "cancel", "none"))
    return CreatesStory(rows=10_000, kills=200, habits=habits, lands_within_s=lands_within_s, most_between_kills=150)


@pytest.mark.timeout(3600)
@pytest.mark.parametrize(("lands_most_s", "lands_within_s"), [(50.0, 60.0), (120.0, 60.0), (120.0, 120.0)])
def test_ten_thousand_orders_and_two_hundred_kills(chaos: Any, lands_most_s: float, lands_within_s: float) -> None:
    if not chaos.is_full:
        pytest.skip("long: SPOTDX_CHAOS=full")
    story = long_story(lands_most_s, lands_within_s)
    hold([chaos.seed], lambda seed: run_story(seed, story, random.Random(seed)), "tests/model/test_creates_model.py")
