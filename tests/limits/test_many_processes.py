"""One limit for four processes: all of the rate is used, and never more, whoever is killed in the middle."""

import subprocess
import sys
import time
from bisect import bisect_right
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

import attrs
import pytest

from spotdx_async import RateLimit
from tests.long_set import with_long

TAKER = Path(__file__).with_name("slot_taker.py")
PROCESSES = 4
RATE = 100.0
BURST = RateLimit(RATE).burst_size
SETTLED_S = 2.5
"""Until all processes are up, and the server's first half second is over."""
MISHAPS = ["none", "a process is killed", "the server is killed"]


class RedisServer(Protocol):
    """The fixture of conftest.py."""

    url: str

    def start(self) -> None: ...
    def kill(self) -> None: ...


class Chaos(Protocol):
    """The fixture of tests/conftest.py."""

    is_full: bool


@attrs.define
class Crowd:
    """Processes that take slots."""

    folder: Path
    processes: list[subprocess.Popen[bytes]]
    until_s: float

    def kill_one(self) -> None:
        self.processes[0].kill()

    def times(self) -> list[list[float]]:
        for process in self.processes:
            process.wait()
        files = sorted(self.folder.glob("*.txt"))
        return [
            [float(line) for line in file.read_text().splitlines(keepends=True) if line.endswith("\n")]
            for file in files
        ]


@pytest.fixture
def crowd(tmp_path: Path) -> Iterator[Callable[[RedisServer, float], Crowd]]:
    made: list[subprocess.Popen[bytes]] = []

    def start(server: RedisServer, seconds: float) -> Crowd:
        until_s = time.monotonic() + seconds
        for number in range(PROCESSES):
            arguments = [server.url, str(RATE), str(until_s), str(tmp_path / f"{number}.txt")]
            made.append(subprocess.Popen([sys.executable, str(TAKER), *arguments]))  # noqa: S603 - ours
        return Crowd(tmp_path, made, until_s)

    yield start
    for process in made:
        process.kill()
        process.wait()


def most_in_a_second(times: list[float]) -> int:
    return max(bisect_right(times, at + 1.0) - index for index, at in enumerate(times))


@pytest.mark.no_cover
@pytest.mark.parametrize("mishap", with_long(MISHAPS[1:], MISHAPS))
def test_four_processes_use_the_rate_and_no_more(
    redis_server: RedisServer, crowd: Callable[[RedisServer, float], Crowd], chaos: Chaos, mishap: str
) -> None:
    seconds = 30.0 if chaos.is_full else 7.0
    started = time.monotonic()
    takers = crowd(redis_server, seconds)
    pause = subprocess.Popen(["sleep", str(seconds / 2)])  # noqa: S603, S607 - a wait of this machine's clock
    pause.wait()
    if mishap == "a process is killed":
        takers.kill_one()
    elif mishap == "the server is killed":
        redis_server.kill()
        redis_server.start()

    by_process = takers.times()

    times = sorted(at for taken in by_process for at in taken)
    settled = [at for at in times if at > started + SETTLED_S]
    used = (len(settled) - 1) / (settled[-1] - settled[0]) / RATE
    worst = most_in_a_second(times)
    # Not before: how soon each of them is up is the machine's affair.
    parts = [sum(at > started + SETTLED_S for at in taken) for taken in by_process]
    print(f"{mishap}: {used:.3f} of the rate, {worst} in the worst second, {parts}")  # noqa: T201
    assert worst <= (RATE + BURST) * 1.03
    alive = parts[1:] if mishap == "a process is killed" else parts
    assert min(alive) > 0
    # How much of the rate they get, and in which parts, is a matter of time: in the normal tests the machine may be
    # busy with others. tests/limits/test_sharing.py asserts it there, in virtual time.
    if chaos.is_full:
        assert used >= 0.97
        assert min(alive) >= 0.8 * max(alive)
