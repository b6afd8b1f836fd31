"""Random bulk runs against the model: whatever happens to a run, its books are right."""

import asyncio
import random
import tempfile
from pathlib import Path
from typing import Any

import pytest

from spotdx_async import RetryPolicy
from spotdx_async.testing import FakeSpot
from tests.model import bulk_story
from tests.model.bulk_checks import WholeRun, check_session, check_whole
from tests.model.bulk_session import BulkSession, Server, SessionPlayer, recorded
from tests.model.bulk_story import BulkStory, Deed, ModelInput, SessionStory
from tests.model.loopback import LoopbackServer
from tests.model.server import ModelServer, Weather
from tests.model.world import hold, play, seeds

PARTS = 8
STEPS = 60
"""More than an undisturbed run of ``story_of_steps`` takes."""
KITS = [f"SPOT{n}" for n in range(7)]

# Runs that are left in the middle, which some are on purpose, warn of it.
pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")


async def run_all(seed: int, folder: Path) -> list[str]:
    dice = random.Random(seed)
    story = bulk_story.draw(dice)
    return await play_story(story, ModelServer(dice, KITS, story.lands_within_s), dice, folder)


async def play_story(story: BulkStory, server: Server, dice: random.Random, folder: Path) -> list[str]:
    sessions = []
    journal = folder / "run.journal" if story.has_journal else None
    for number, own in enumerate(story.sessions):
        session = BulkSession(number, own, ModelInput(own, story.rows))
        sessions.append(session)
        server.weather = own.weather
        player = SessionPlayer(server, story, session, dice, journal)
        await player.play()
        journal = player.journal_left
        session.recorded = recorded(journal)
        session.executed = {arrival.n for arrival in server.arrivals if arrival.is_write and arrival.executed_at_s}
        # What was sent may still land, be it over the next session.
        await asyncio.sleep(min(own.rests_s, story.lands_within_s + 100))
        if (len(server.arrivals), server.sends) != session.quiet_since:
            session.faults.append("a request was sent after the end")
    await asyncio.sleep(story.lands_within_s + 100)
    found = [f"session {session.number}: {fault}" for session in sessions for fault in check_session(story, session)]
    found += check_whole(WholeRun(story, server, sessions))
    return [*found, *tell(story, sessions)] if found else []


def tell(story: BulkStory, sessions: list[BulkSession]) -> list[str]:
    options = f"{len(story.rows)} rows, {story.options}, {story.client_options}, rate {story.rate}"
    return [options, *(f"{session.number}: {session.story}, ended with {session.error!r}" for session in sessions)]


def folder_of_a_seed() -> "tempfile.TemporaryDirectory[str]":
    """Make a folder for a journal, in memory where the system offers that: thousands of journals wait for no disk."""
    memory = Path("/dev/shm")  # noqa: S108 - what lies there is made safely, and gone with the seed
    return tempfile.TemporaryDirectory(prefix="spotdx-model-", dir=memory if memory.is_dir() else None)


def run_seed(seed: int) -> list[str]:
    with folder_of_a_seed() as folder:
        return play(seed, run_all(seed, Path(folder)))


@pytest.mark.no_cover
@pytest.mark.parametrize("part", range(PARTS))
def test_a_bulk_run_keeps_its_books_whatever_happens(chaos: Any, part: int) -> None:
    count = 5_000 if chaos.is_full else 200
    hold(seeds(count, part, PARTS), run_seed, "tests/model/test_bulk_model.py")


def story_of_steps(deed: Deed, steps: int) -> BulkStory:
    """A run that takes no time at all, only steps, and its resumption."""
    quick = Weather(share=0.15, kinds=("503", "refused"), latency_s=0.0, connect_s=(0.0,))
    disturbed = SessionStory(weather=quick, form="async one dict", progress="fine", deeds=[(0.0, steps, deed)])
    return BulkStory(
        rows=[(KITS[n % 3], {"n": n}) for n in range(9)],
        has_journal=True,
        options={"concurrency": 3, "ordered": False, "coalesce": False, "decode": True},
        client_options={
            "timeout_s": 1.0,
            "lands_within_s": 2.0,
            "max_pause_s": 5.0,
            "concurrency": 2,
            "retry": RetryPolicy(base_s=0.0, throttle_base_s=0.0),
        },
        rate=None,
        sessions=[disturbed, SessionStory(weather=Weather(), form="generator")],
    )


@pytest.mark.no_cover
@pytest.mark.parametrize("deed", ["stop", "close", "cancel", "cancel thrice", "kill"])
def test_whatever_is_done_to_a_run_at_any_step_keeps_its_books(chaos: Any, deed: Deed) -> None:
    def run_steps(number: int) -> list[str]:
        variant, steps = divmod(number, STEPS)
        dice = random.Random(variant)
        story = story_of_steps(deed, steps)
        server = ModelServer(dice, KITS, story.lands_within_s)
        with folder_of_a_seed() as folder:
            return play(variant, play_story(story, server, dice, Path(folder)))

    numbers = range(STEPS * 4) if chaos.is_full else range(chaos.seed % 3, STEPS * 2, 3)
    hold(list(numbers), run_steps, f"tests/model/test_bulk_model.py, {deed} after {STEPS} * variant + steps")


async def run_over_loopback(seed: int, folder: Path) -> list[str]:
    dice = random.Random(seed)
    story = bulk_story.draw(dice)
    async with FakeSpot(kits=KITS) as fake:
        return await play_story(story, LoopbackServer(fake, dice, story.lands_within_s), dice, folder)


def test_the_same_over_real_sockets(chaos: Any) -> None:
    def run_seed_over_loopback(seed: int) -> list[str]:
        with folder_of_a_seed() as folder:
            return play(seed, run_over_loopback(seed, Path(folder)))

    hold(seeds(400 if chaos.is_full else 24, 0, 1), run_seed_over_loopback, "tests/model/test_bulk_model.py")
