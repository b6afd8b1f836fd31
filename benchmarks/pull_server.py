"""A thin server of so many kits: their list, by pages and days of creation, and each of them.

Run as a script it prints its port and serves until its standard input ends. Argument: the number of kits.
"""

import asyncio
import json
import sys
from bisect import bisect_left, bisect_right
from datetime import UTC, date, datetime, timedelta
from email.utils import format_datetime
from functools import lru_cache
from pathlib import Path
from urllib.parse import parse_qs

KIT = Path(__file__).parents[1] / "tests" / "samples" / "kit.json"
FIRST_DAY = date(2019, 1, 1)
KITS_A_DAY = 400


class Kits:
    """The kits, by number: created some hundred a day from 2019 on, and never changed."""

    def __init__(self, count: int) -> None:
        self._count = count
        kit = KIT.read_bytes()
        self._before, _, self._after = kit.partition(json.loads(kit)["kit_id"].encode())
        self._days = [(FIRST_DAY + timedelta(days=number // KITS_A_DAY)).isoformat() for number in range(0, count, 400)]

    def kit(self, kit_id: bytes) -> bytes:
        """Return the JSON of a kit."""
        return self._before + kit_id + self._after

    @lru_cache(maxsize=64)  # noqa: B019 - one object for the life of the process
    def page(self, query: str) -> bytes:
        """Return the JSON of a page of the list."""
        asked = {name: values[0] for name, values in parse_qs(query).items()}
        first = bisect_left(self._days, asked.get("created_after", "")) * KITS_A_DAY
        last = min(bisect_right(self._days, asked.get("created_before", "9")) * KITS_A_DAY, self._count)
        if "updated_after" in asked:
            first = bisect_left(self._days, asked["updated_after"]) * KITS_A_DAY
        start = first + int(asked.get("offset", 0))
        return b"[%b]" % b",".join(map(self._row, range(start, min(last, start + int(asked.get("results", 10))))))

    def _row(self, number: int) -> bytes:
        day = self._days[number // KITS_A_DAY].encode()
        return (
            b'{"kit_id":"SPOT%09d","kit_type":"health_kit_1","order_id":null,"kit_status":"registered",'
            b'"sample_status":"resulted","created":"%bT10:00:00.000Z","updated":"%bT10:00:00.000Z"}'
            % (number, day, day)
        )


class Answering(asyncio.Protocol):
    """Answers requests without a body, each at once."""

    def __init__(self, kits: Kits) -> None:
        self._kits = kits
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the connection to write to."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer every whole request in what has come."""
        self._buffer += data
        while (end := self._buffer.find(b"\r\n\r\n")) >= 0:
            target = self._buffer[: self._buffer.find(b" HTTP/")].partition(b" ")[2]
            self._buffer = self._buffer[end + 4 :]
            path, _, query = target.partition(b"?")
            kit_id = path.split(b"/")[4]
            body = self._kits.kit(kit_id) if kit_id else self._kits.page(query.decode())
            self._transport.write(
                b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nDate: %b\r\nContent-Length: %d\r\n\r\n%b"
                % (format_datetime(datetime.now(UTC), usegmt=True).encode(), len(body), body)
            )


async def serve(count: int) -> None:
    """Serve on a free port of the loopback interface until standard input ends."""
    kits, loop = Kits(count), asyncio.get_running_loop()
    server = await loop.create_server(lambda: Answering(kits), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.buffer.read)
    server.close()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1])))
