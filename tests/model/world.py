"""What a seed's run stands on: its dice, a loop in virtual time without threads, and exceptions from outside."""

import asyncio
import os
import random
import traceback
from collections import deque
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from functools import partial
from types import SimpleNamespace
from typing import Any, TypeVar, TypeVarTuple, Unpack

import pytest

from spotdx_async.testing import VirtualTimeLoop

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

SEED = "SPOTDX_MODEL_SEED"
MOST_FAILURES = 5
MOST_STEPS = 400
"""Loop steps within which a cancellation comes out."""


class Foreign(Exception):  # noqa: N818 - what it stands for is anything
    """An exception of a caller's: of a hook, a signal handler, an input."""


class ForeignBase(BaseException):
    """The same beside ``Exception``, as a framework's way to end a task."""


class ModelLoop(VirtualTimeLoop):
    """A loop in virtual time that does the work of threads by itself, some steps later, so that a seed repeats exactly.

    A job that has been begun is done, one that waits behind another can still be cancelled: as with real threads.
    """

    def __init__(self, dice: random.Random) -> None:
        super().__init__()
        self._dice = dice
        self._jobs: dict[Executor | None, deque[tuple[asyncio.Future[Any], Callable[[], Any]]]] = {}

    def run_in_executor(
        self, executor: Executor | None, func: Callable[[Unpack[Ts]], T], *args: *Ts
    ) -> asyncio.Future[T]:
        future: asyncio.Future[T] = self.create_future()
        jobs = self._jobs.setdefault(executor, deque())
        jobs.append((future, partial(func, *args)))
        if len(jobs) == 1:
            self._take(jobs, self._dice.randrange(5))
        return future

    def _take(self, jobs: deque[tuple[asyncio.Future[Any], Callable[[], Any]]], steps: int) -> None:
        if steps:
            self.call_soon(self._take, jobs, steps - 1)
            return
        future, job = jobs[0]
        result: Any = None
        error: BaseException | None = None
        try:
            result = job()
        except BaseException as raised:  # noqa: BLE001 - it belongs to whoever waits
            error = raised
        if not future.done():
            if error is None:
                future.set_result(result)
            else:
                future.set_exception(error)
        jobs.popleft()
        while jobs and jobs[0][0].cancelled():
            jobs.popleft()
        if jobs:
            self._take(jobs, self._dice.randrange(5))


def other_tasks() -> list["asyncio.Task[Any]"]:
    """Give every task but this one and those of the fake's server."""
    tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    return [task for task in tasks if "RequestHandler." not in str(task.get_coro())]


@contextmanager
def known_dice(seed: int) -> Iterator[None]:
    """Let all that the SDK throws dice for follow from the seed."""
    state = random.getstate()
    random.seed(seed)
    with pytest.MonkeyPatch.context() as patch:
        fresh = SimpleNamespace(Random=lambda: random.Random(random.randrange(10**9)))
        patch.setattr("spotdx_async.bulk.circuit_breaker.random", fresh)
        for module in ("creates_file", "database"):  # the order in which objects are looked up follows from digests
            secrets = SimpleNamespace(token_bytes=random.randbytes)
            patch.setattr(f"spotdx_async.bulk.journal.{module}.secrets", secrets)
        try:
            yield
        finally:
            random.setstate(state)


def play(seed: int, coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a seed's coroutine on a loop of its own, which goes on where somebody's KeyboardInterrupt has ended it."""
    with known_dice(seed), asyncio.Runner(loop_factory=lambda: ModelLoop(random.Random(seed))) as runner:
        loop = runner.get_loop()
        task = loop.create_task(coroutine)
        while True:
            try:
                return loop.run_until_complete(task)
            except (KeyboardInterrupt, SystemExit):
                if task.done():
                    raise


def seeds(count: int, part: int, parts: int) -> list[int]:
    """Give the seeds of one part of a set; where the environment names one, it alone, in the first part."""
    if only := os.environ.get(SEED):
        return [int(only)] if part == 0 else []
    return list(range(part, count, parts))


def hold(of: list[int], run: Callable[[int], list[str]], test: str) -> None:
    """Play the seeds, and fail with what each of the first few found, and how to repeat it."""
    failures: list[str] = []
    for seed in of:
        try:
            found = run(seed)
        except Exception:  # noqa: BLE001 - whatever it is, the seed must be named
            found = [traceback.format_exc()]
        if found:
            failures.append(f"seed {seed} ({SEED}={seed} pytest {test}):\n  " + "\n  ".join(found[:12]))
        if len(failures) == MOST_FAILURES:
            break
    if failures:
        pytest.fail("\n".join(failures), pytrace=False)
