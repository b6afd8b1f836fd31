"""What the benches share: processes on cores of their own, rounds in turn, medians with their quartiles.

Needs nothing but the standard library, so that a process of another environment can import it.
"""

import asyncio
import gc
import itertools
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")
SERVER = Path(__file__).with_name("loopback_server.py")
CLIENT_CORE, SERVER_CORE = 0, 1


@cache
def cores() -> list[int]:
    """The cores that this process had when it first asked; none where they cannot be chosen."""
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []


def pin(place: int, pid: int = 0) -> None:
    """Keep a process (0: this one) on a core of its own, where there is more than one."""
    if len(cores()) > 1:
        os.sched_setaffinity(pid, {cores()[place]})


@dataclass
class ThinServer:
    """The thin server in a process of its own."""

    url: str
    answered: int | None = None
    """How many requests it answered; known when it has ended."""


@contextmanager
def thin_server(latency_ms: float = 0, *, answer: Path | None = None, pinned: bool = True) -> Iterator[ThinServer]:
    """Start the thin server, on its core and this process on the other.

    Args:
        latency_ms: after how long it answers.
        answer: a file with the JSON that it answers; None: the vendor's example kit.
        pinned: False leaves both where they are, for what is counted and not timed.
    """
    if pinned:
        pin(CLIENT_CORE)
    command = [sys.executable, str(SERVER), str(latency_ms), *([str(answer)] if answer else [])]
    process = subprocess.Popen(  # noqa: S603 - our own script
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    if pinned:
        pin(SERVER_CORE, process.pid)
    server = ThinServer(f"http://127.0.0.1:{int(process.stdout.readline())}")
    try:
        yield server
    finally:
        out, _ = process.communicate()
    server.answered = int(out)


def interleaved(kinds: Mapping[str, Callable[[], T]], rounds: int) -> dict[str, list[T]]:
    """Measure each kind once a round, each round beginning with another; a first round warms up and is not kept."""
    names = list(kinds)
    found: dict[str, list[T]] = {name: [] for name in names}
    for number in range(rounds + 1):
        shift = number % len(names)
        for name in (*names[shift:], *names[:shift]):
            figure = kinds[name]()
            if number:
                found[name].append(figure)
    return found


@dataclass(frozen=True)
class Spread:
    """A median with its quartiles."""

    middle: float
    low: float
    high: float

    def text(self, digits: int = 2) -> str:
        """Write it for a table."""
        return f"{self.middle:,.{digits}f} ({self.low:,.{digits}f} to {self.high:,.{digits}f})"


def spread(values: Sequence[float]) -> Spread:
    """The median of the rounds with the quartiles."""
    if len(values) == 1:
        return Spread(values[0], values[0], values[0])
    low, middle, high = statistics.quantiles(values, n=4)
    return Spread(middle, low, high)


def ratio(these: Sequence[float], those: Sequence[float]) -> Spread:
    """The median of the rounds' ratios with the quartiles."""
    return spread([this / that for this, that in zip(these, those, strict=True)])


@dataclass(frozen=True)
class Cost:
    """What a call took, in microseconds."""

    cpu_us: float
    """Of this process alone."""
    wall_us: float


Call = Callable[[str], Awaitable[object]]
_numbers = itertools.count()


def kit_ids(count: int) -> Iterator[str]:
    """Ids of kits that come once each in this process, so that no cache of URLs helps anybody."""
    return (f"SPOT{number:09d}" for number in itertools.islice(_numbers, count))


async def cost(call: Call, calls: int, concurrency: int) -> Cost:
    """Make the calls by workers that share one run of kit ids."""
    ids = iter(list(kit_ids(calls)))
    gc.collect()
    wall, cpu = time.perf_counter(), time.process_time()
    async with asyncio.TaskGroup() as group:
        for _ in range(concurrency):
            group.create_task(_work(call, ids))
    return Cost((time.process_time() - cpu) / calls * 1e6, (time.perf_counter() - wall) / calls * 1e6)


async def _work(call: Call, ids: Iterator[str]) -> None:
    for kit_id in ids:
        await call(kit_id)
