"""A fake server in its own process, and a Dask cluster of three processes."""

import bisect
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from spotdx_async import RateLimit
from tests.limits import conftest as shared

TOKEN = "canary-token"


class FakeProcess:
    """The fake server in a process of its own; ``finish`` ends it and gives what it has seen."""

    def __init__(self, **settings: Any) -> None:
        script = str(Path(__file__).with_name("fake_process.py"))
        self._process = subprocess.Popen(  # noqa: S603 - our own script
            [sys.executable, script, json.dumps({"token": TOKEN, **settings})],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        self.url = self._process.stdout.readline().strip()

    def executed(self) -> int:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write("count\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())

    def finish(self) -> "Seen":
        out, _ = self._process.communicate()
        return Seen(**json.loads(out))

    def kill(self) -> None:
        if self._process.returncode is None:
            self._process.kill()
            self._process.communicate()


class Seen:
    """What the fake has seen."""

    def __init__(
        self, arrivals: list[float], ledger: list[tuple[str, dict[str, Any]]], tokens: list[str], late_s: float
    ) -> None:
        self.late_s = late_s
        self.arrivals = sorted(arrivals)
        self.ledger = ledger
        self.tokens = tokens

    def most_within(self, seconds: float) -> int:
        """The most requests that arrived in any window of that length."""
        ends = (bisect.bisect_left(self.arrivals, at + seconds) for at in self.arrivals)
        return max(end - start for start, end in enumerate(ends))

    def check_rate(self, limit: RateLimit) -> None:
        """No window holds more than the limit allows.

        Of what processes use or take late, since two cores serve five of them, so much is allowed: a twentieth of a
        second's worth, and what this fake was late itself.
        """
        rate = 1 / limit.interval_s
        for seconds in (1, 5):
            assert self.most_within(seconds) <= rate * (seconds + 0.05 + self.late_s) + limit.burst_size

    def check(self, rows: list[tuple[str, dict[str, int]]]) -> None:
        """Every row was executed, each kit's in order as far as first times go, and kits hold their last values."""
        written: dict[str, list[int]] = {}
        for kit_id, metadata in self.ledger:
            written.setdefault(kit_id, []).append(metadata["n"])
        assert {n for numbers in written.values() for n in numbers} == {metadata["n"] for _, metadata in rows}
        last = {kit_id: metadata["n"] for kit_id, metadata in rows}
        for kit_id, numbers in written.items():
            first_times = list(dict.fromkeys(numbers))
            assert first_times == sorted(first_times), "a row went before an earlier one of its kit"
            assert numbers[-1] == last[kit_id]


@pytest.fixture
def token() -> str:
    return TOKEN


@pytest.fixture
def rows_of() -> Any:
    return _rows_of


def _rows_of(count: int, kits: int) -> list[tuple[str, dict[str, int]]]:
    """Rows of kits that come several times."""
    return [(f"SPOT{n * 7919 % kits + 1:06}", {"n": n}) for n in range(count)]


@pytest.fixture
def start_fake() -> Iterator[Any]:
    started: list[FakeProcess] = []

    def start(**settings: Any) -> FakeProcess:
        started.append(FakeProcess(**settings))
        return started[-1]

    yield start
    for fake in started:
        fake.kill()


# For a file of tests, not longer: idle workers take a third of a core, and whatever comes after would pay for it.
@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """Three worker processes with the token in their environment."""
    distributed = pytest.importorskip("distributed", reason="the extra dask is not installed")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SPOTDX_TOKEN", TOKEN)
        with distributed.LocalCluster(
            n_workers=3, threads_per_worker=1, processes=True, host="127.0.0.1", dashboard_address="127.0.0.1:0"
        ) as found:
            yield found


# A real server for a test, or the reason why there is none, as tests/limits has it.
redis_binary, redis_server = shared.redis_binary, shared.redis_server


@pytest.fixture
def redis_url(redis_server: shared.RedisServer) -> str:
    return redis_server.url
