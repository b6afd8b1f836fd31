"""The fake server in a process of its own, and how a bench starts it and tells it what to do.

Run as a script it prints its address, then does what each line of JSON on its standard input says, answering with one
line of JSON, until that ends: ``["silence", EXECUTED, LOST]`` leaves so many creates without an answer, ``["foreign",
N]`` adds orders of others, ``["counts"]`` gives the requests of each operation since it was last asked.
"""

import asyncio
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rounds import CLIENT_CORE, SERVER_CORE, pin

from spotdx_async.testing import FakeSpot, faults

NEVER_S = 1e6


class FakeProcess:
    """The fake, as seen from the bench."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process
        self.url: str = self._read()

    def _read(self) -> Any:
        assert self._process.stdout is not None
        return json.loads(self._process.stdout.readline())

    def tell(self, *order: Any) -> Any:
        """Have it do something, and give what it answers."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        return self._read()


@contextmanager
def fake_process(latency_ms: float = 0) -> Iterator[FakeProcess]:
    """Start the fake on its core, and keep this process on the other."""
    pin(CLIENT_CORE)
    command = [sys.executable, __file__, str(latency_ms)]
    process = subprocess.Popen(  # noqa: S603 - our own script
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    pin(SERVER_CORE, process.pid)
    try:
        yield FakeProcess(process)
    finally:
        process.communicate()


async def serve(latency_s: float) -> None:
    """Serve until standard input ends."""
    counted: Counter[str] = Counter()
    loop = asyncio.get_running_loop()
    async with FakeSpot(token="benchmark", orders=[], keep_requests=False, latency_s=latency_s) as fake:  # noqa: S106 - no secret
        print(json.dumps(fake.url), flush=True)
        while line := await loop.run_in_executor(None, sys.stdin.readline):
            match json.loads(line):
                case ["silence", executed, lost]:
                    fake.faults.add(faults.slow_answer(NEVER_S), times=executed, method="POST")
                    fake.faults.add(faults.land_later(NEVER_S, answers_after_s=NEVER_S), times=lost, method="POST")
                    answer: Any = None
                case ["foreign", count]:
                    answer = len(fake.orders.add_foreign(count, metadata=lambda n: {"client_ref": f"other-{n}"}))
                case ["counts"]:
                    now = Counter(fake.operation_counts)
                    answer, counted = dict(now - counted), now
                case order:
                    raise ValueError(order)
            print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    asyncio.run(serve(float(sys.argv[1]) / 1000))
