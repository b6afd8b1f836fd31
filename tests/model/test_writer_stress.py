"""Real sockets, real time: clients closed and calls cancelled at any await, and the server's ledger beside every error.

Bounded in count, a few seconds in all.
"""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest

from spotdx_async import NotSentError, RetryPolicy, SpotClient, SpotError
from spotdx_async.testing import FakeSpot, faults

KITS = [f"SPOT{n}" for n in range(8)]
ROUNDS = 120
PLAYS = ("drop_before", "drop_after", "half_body", "503", "unreadable", faults.slow(0.01), faults.slow_answer(0.01))


class Stress:
    """Rounds of calls, each call with a number of its own, and how each ended."""

    def __init__(self, fake: FakeSpot, seed: int) -> None:
        self.fake, self.dice = fake, random.Random(seed)
        self.ends: dict[int, BaseException | None] = {}
        self.writes_once: set[int] = set()

    async def play_round(self, spot: SpotClient) -> None:
        dice = self.dice
        tasks = {self.next(n): asyncio.ensure_future(self.act(spot, n)) for n in self.numbers(dice.randrange(1, 16))}
        chosen = [task for task in tasks.values() if dice.random() < 0.3]
        await self.some_steps()
        for task in chosen:
            task.cancel()
            if dice.random() < 0.3:
                await self.some_steps()
        if dice.random() < 0.7:
            await self.some_steps()
            await spot.close()
        for n, end in zip(tasks, await asyncio.gather(*tasks.values(), return_exceptions=True), strict=True):
            self.ends[n] = end if isinstance(end, BaseException) else None

    def numbers(self, count: int) -> range:
        return range(len(self.ends), len(self.ends) + count)

    def next(self, n: int) -> int:
        if self.dice.random() < 0.5:
            self.writes_once.add(n)
        return n

    async def act(self, spot: SpotClient, n: int) -> object:
        metadata: dict[str, Any] = {"n": n}
        if n % 11 == 0:
            metadata["long"] = "x" * 300_000  # more than one write of the socket's
        kit_id = KITS[n % len(KITS)]
        if n in self.writes_once:
            return await spot.request("POST", f"/api/v2/kits/{kit_id}/", json={"metadata": metadata})
        return await spot.kits.update_metadata(kit_id, metadata)

    async def some_steps(self) -> None:
        """Let the loop go some steps, or some milliseconds: into connecting, writing, waiting, reading."""
        for _ in range(self.dice.choice([0, 1, 2, 3, 5, 8, 13, 21, 40])):
            await asyncio.sleep(0)
        if self.dice.random() < 0.3:
            await asyncio.sleep(0.004 * self.dice.random())

    async def check(self) -> None:
        until = asyncio.get_running_loop().time() + 2.0
        while self.fake.in_flight and asyncio.get_running_loop().time() < until:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.05)
        executed = Counter(entry.metadata["n"] for entry in self.fake.ledger)
        for n, end in self.ends.items():
            said = f"call {n}: {end!r}, executed {executed[n]} times"
            assert n not in self.writes_once or executed[n] <= 1, said
            assert end is not None or executed[n], said
            assert end is None or isinstance(end, (SpotError, asyncio.CancelledError)), said
            if executed[n] and isinstance(end, SpotError):
                assert not isinstance(end, NotSentError), said
                assert end.may_be_executed, said
        kinds = Counter(type(end).__name__ for end in self.ends.values())
        assert {"NoneType", "CancelledError", "NotSentError", "OutcomeUnknownError"} <= kinds.keys(), kinds


@asynccontextmanager
async def own(_: FakeSpot) -> AsyncIterator[None]:
    yield None


@asynccontextmanager
async def callers(_: FakeSpot) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


@pytest.mark.parametrize("whose", [own, callers])
async def test_no_error_denies_what_the_ledger_has(chaos: Any, whose: Any) -> None:
    async with FakeSpot(kits=KITS) as fake:
        fake.faults.random(0.15, seed=chaos.seed, kinds=PLAYS)
        stress = Stress(fake, chaos.seed)
        for _ in range(ROUNDS * (5 if chaos.is_full else 1)):
            async with (
                whose(fake) as session,
                fake.client(
                    session=session, concurrency=6, timeout_s=0.5, retry=RetryPolicy(max_attempts=2, base_s=0.001)
                ) as spot,
            ):
                await stress.play_round(spot)
        await stress.check()
