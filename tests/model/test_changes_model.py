"""Feeds of changes against a server by a script: whatever happens, each state is delivered, and none again."""

import random
from typing import Any

import pytest

from tests.model import changes_story
from tests.model.changes_server import NOUNS, FeedServer
from tests.model.changes_session import FeedPlayer
from tests.model.changes_story import ChangesStory
from tests.model.creates_server import client_clock
from tests.model.world import hold, play, seeds

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")
HERE = "tests/model/test_changes_model.py"


def run_story(seed: int, story: ChangesStory, dice: random.Random) -> list[str]:
    async def run() -> list[str]:
        player = FeedPlayer(FeedServer(dice, story.noun, story.habits), story, dice)
        await player.play()
        told = f"{story}, {player.passes} passes, {dict(player.server.counts)}"
        return [*player.faults, told] if player.faults else []

    with client_clock(story.habits.client_ahead_s):
        return play(seed, run())


def run_seed(seed: int) -> list[str]:
    dice = random.Random(seed)
    return run_story(seed, changes_story.draw(dice, NOUNS[seed % 3]), dice)


def test_every_state_is_delivered_whatever_happens(chaos: Any) -> None:
    hold(seeds(90 if chaos.is_full else 3, 0, 1), run_seed, HERE)


@pytest.mark.parametrize("noun", NOUNS)
def test_a_first_pass_that_is_killed_many_times_delivers_all(chaos: Any, noun: str) -> None:
    if noun != "kits" and not chaos.is_full:
        pytest.skip("long: SPOTDX_CHAOS=full")

    def run_first(seed: int) -> list[str]:
        dice = random.Random(seed)
        story = changes_story.draw(dice, noun, passes=40 if chaos.is_full else 8)
        story.objects = 3000 if chaos.is_full else 1200
        story.kills, story.follows, story.days = 0.95, 0.0, 400.0
        story.most_between_kills = 400 if chaos.is_full else 800
        story.batch_size = 100
        return run_story(seed, story, dice)

    hold(seeds(5 if chaos.is_full else 1, 0, 1), run_first, HERE)
