"""Random single calls against the model: nothing is created twice, and no error says less than what is known."""

import asyncio
import random
from collections.abc import Awaitable
from typing import Any

import attrs
import pytest

from spotdx_async import (
    Address,
    DecodeError,
    NewOrder,
    NotSentError,
    OutcomeUnknownError,
    RateLimit,
    Recipient,
    RetryPolicy,
    SpotClient,
    SpotError,
)
from tests.model.bulk_story import ModelLimiter, token_of
from tests.model.server import (
    DOUBTFUL,
    FINAL,
    FOREIGN,
    NOT_ARRIVED,
    NOT_EXECUTED,
    Arrival,
    ModelServer,
    ModelTransport,
    Weather,
    now,
)
from tests.model.world import MOST_STEPS, ForeignBase, hold, other_tasks, play, seeds

PARTS = 4
HANG_S = 20_000.0
KITS = [f"SPOT{n}" for n in range(4)]
ADDRESS = Address(street1="1 Example Street", city="Springfield", state="CA", country="US", zip="00000")
RECIPIENT = Recipient(
    first_name="Robin", last_name="Sample", email="r@example.com", phone="2025550147", address=ADDRESS
)


@attrs.define(eq=False)
class Called:
    """One call, and how it ended."""

    kind: str
    n: int
    task: "asyncio.Task[Any]"
    cancels: int = 0


class CallPlayer:
    """One client with its calls."""

    def __init__(self, seed: int) -> None:
        dice = self.dice = random.Random(seed)
        self.options: dict[str, Any] = {
            "timeout_s": dice.choice([1.0, 5.0]),
            "lands_within_s": dice.choice([2.0, 60.0]),
            "max_pause_s": dice.choice([5.0, 60.0]),
            "deadline_s": dice.choice([None, None, 0.3, 4.0]),
            "max_wait_s": dice.choice([None, None, 0.5, 3.0]),
            "concurrency": dice.randrange(1, 6),
            "retry": dice.choice([RetryPolicy(), RetryPolicy(budget=False), RetryPolicy(max_attempts=1)]),
        }
        self.token = dice.choice(["fixed"] * 4 + ["function", "slow function", "fails later", "hangs"])
        self.limiter = dice.choice([None] * 5 + ["slow", "raises", "cancelled", "hangs"])
        self.hook_raises = dice.random() < 0.1
        rate = dice.choice([None, None, 2.0, 20.0])
        self.server = ModelServer(dice, KITS, max(self.options["lands_within_s"], self.options["timeout_s"]))
        self.server.weather = self.weather()
        limit: Any = None if rate is None else RateLimit(rate)
        if self.limiter is not None:
            limit = ModelLimiter(self.limiter, dice, self.server.raised)
        self.spot: SpotClient
        self.transport: ModelTransport
        self.spot, self.transport = self.server.client(
            "calls",
            **self.options,
            rate_limit=limit,
            token=token_of(self.token, dice),
            on_attempt=self.on_attempt if self.hook_raises else None,
        )
        self.calls: list[Called] = []
        self.faults: list[str] = []
        self.closes_at_s: float | None = dice.choice([None, None, 0.0, 0.05, 1.0, 5.0])
        self.arrived_before_close: int | None = None

    def weather(self) -> Weather:
        dice = self.dice
        kinds = dice.sample(NOT_ARRIVED + NOT_EXECUTED + DOUBTFUL, dice.randrange(1, 8))
        if dice.random() < 0.3:
            kinds += [*FINAL, "401"]
        if dice.random() < 0.2:
            kinds.append(dice.choice(FOREIGN))
        return Weather(dice.choice([0.1, 0.4, 1.0]), tuple(kinds), latency_s=dice.choice([0.0, 0.02, 0.5]))

    def on_attempt(self, _: object) -> None:
        if self.dice.random() < 0.2:
            error = ForeignBase("of on_attempt")
            self.server.raised.append(error)
            raise error

    def act(self, kind: str, n: int) -> Awaitable[Any]:
        spot = self.spot
        if kind == "create":
            order = NewOrder(kit_types=("health_kit_1",), recipient=RECIPIENT, metadata={"n": n})
            return spot.orders.create(order, client_ref=f"ref-{n}")
        if kind == "once":
            return spot.request("POST", f"/api/v2/kits/{KITS[n % 4]}/", json={"metadata": {"n": n}})
        if kind == "update":
            return spot.kits.update_metadata(KITS[n % 4], {"n": n})
        return spot.kits.get(KITS[n % 4])

    async def play(self) -> list[str]:
        dice = self.dice
        asyncio.get_running_loop().set_exception_handler(
            lambda _, context: self.faults.append(f"the loop was told: {context}")
        )
        disturbers: list[asyncio.Task[None]] = []
        for n in range(dice.randrange(1, 25)):
            kind = dice.choice(["create", "create", "once", "update", "get"])
            call = Called(kind, n, asyncio.ensure_future(self.act(kind, n)))
            self.calls.append(call)
            if dice.random() < 0.3:
                disturbers.append(asyncio.ensure_future(self.cancel(call)))
        if self.closes_at_s is not None:
            disturbers.append(asyncio.ensure_future(self.close()))
        tasks = [call.task for call in self.calls]
        await asyncio.wait(tasks, timeout=HANG_S)
        self.faults += [f"call {call.n} ({call.kind}) hangs" for call in self.calls if not call.task.done()]
        for disturber in disturbers:
            disturber.cancel()
        await asyncio.wait(disturbers) if disturbers else None
        stats = self.spot.stats
        if (stats.in_flight, stats.waiting) != (0, 0):
            self.faults.append(f"{stats.in_flight} calls in flight and {stats.waiting} waiting are left")
        await self.spot.close()
        await self.look_for_tasks()
        arrived = len(self.server.arrivals)
        await asyncio.sleep(self.server.lands_within_s + 100)
        if len(self.server.arrivals) != arrived:
            self.faults.append("a request was sent after the end")
        return self.faults + self.found()

    async def look_for_tasks(self) -> None:
        for _ in range(20):
            await asyncio.sleep(0)
        left = other_tasks()
        if left:
            self.faults.append(f"tasks are left: {[str(task.get_coro()) for task in left]}")

    async def cancel(self, call: Called) -> None:
        dice = self.dice
        await asyncio.sleep(dice.choice([0.0, 0.05, 1.0, 10.0]) * dice.random())
        for _ in range(dice.randrange(10)):
            await asyncio.sleep(0)
        for _ in range(dice.randrange(1, 4)):
            call.cancels += call.task.cancel()
            await asyncio.sleep(0)
        for _ in range(MOST_STEPS):
            if call.task.done():
                return
            await asyncio.sleep(0)
        self.faults.append(f"the cancellation of call {call.n} has not come out after {MOST_STEPS} steps")

    async def close(self) -> None:
        await asyncio.sleep((self.closes_at_s or 0.0) * self.dice.random())
        for _ in range(self.dice.randrange(10)):
            await asyncio.sleep(0)
        self.arrived_before_close = len(self.server.arrivals)
        at_s = now()
        await self.spot.close()
        await asyncio.wait([call.task for call in self.calls], timeout=10)
        late = [call.n for call in self.calls if not call.task.done()]
        if late:
            self.faults.append(f"calls {late} went on for {now() - at_s:g} s after close()")

    def found(self) -> list[str]:
        found = [fault for call in self.calls if call.task.done() for fault in self.wrong(call)]
        if self.arrived_before_close is not None and len(self.server.arrivals) > self.arrived_before_close:
            found.append("requests arrived after close()")
        return found

    def wrong(self, call: Called) -> list[str]:
        """What is wrong with how a call ended, once nothing can land any more."""
        arrivals = [arrival for arrival in self.server.arrivals if number_of(arrival) == call.n]
        if call.kind == "get":  # nobody can tell its arrivals from another's
            arrivals = []
        executed = sum(len(arrival.executed_at_s) for arrival in arrivals)
        plays = [arrival.play for arrival in arrivals]
        said = f"call {call.n} ({call.kind}), {plays}, executed {executed} times"
        found = [f"{said}: more than once"] if call.kind in {"create", "once"} and executed > 1 else []
        if call.task.cancelled():
            return found if call.cancels else [*found, f"{said}: a CancelledError that nobody aimed at it"]
        error = call.task.exception()
        # The hook is told of the cancelled attempt, too; what it raises then is its own.
        if call.cancels and not self.hook_raises:
            found.append(f"{said}: a cancellation was swallowed: {error!r}")
        if error is None:
            # request() takes a 2xx as it comes, be it from a proxy.
            may_be_odd = call.kind == "get" or (call.kind == "once" and "unreadable" in plays)
            return found if executed or may_be_odd else [*found, f"{said}: it came back and was not executed"]
        return found + [f"{said}: {error!r} {what}" for what in self.wrong_error(call, error, executed)]

    def wrong_error(self, call: Called, error: BaseException, executed: int) -> list[str]:
        if not isinstance(error, SpotError):
            is_foreign = any(error is raised for raised in self.server.raised)
            return [] if is_foreign else ["is nobody's"]
        found = []
        if executed and isinstance(error, NotSentError):
            found.append("says that it was not sent")
        if executed and not error.may_be_executed:
            found.append("does not say that it may be executed")
        if isinstance(error, DecodeError) and error.outcome == "done" and not executed and call.kind != "get":
            found.append("says that it is done")
        if isinstance(error, OutcomeUnknownError) and call.kind == "create" and error.clue is None:
            found.append("has no clue to look for it")
        return found


def number_of(arrival: Arrival) -> Any:
    return arrival.n if arrival.request.method != "GET" else None


def run_seed(seed: int) -> list[str]:
    async def run() -> list[str]:
        player = CallPlayer(seed)
        found = await player.play()
        weather = player.server.weather
        return [*found, f"{player.options}, {player.token}, {player.limiter}, {weather}"] if found else []

    return play(seed, run())


@pytest.mark.parametrize("part", range(PARTS))
def test_single_calls_tell_the_truth_whatever_happens(chaos: Any, part: int) -> None:
    count = 5_000 if chaos.is_full else 200
    hold(seeds(count, part, PARTS), run_seed, "tests/model/test_single_calls_model.py")
