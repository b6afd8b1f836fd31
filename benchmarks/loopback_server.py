"""A server as thin as can be, for benchmarks of the client: answers every request with one kit, under the id asked for.

A new order gets one with an id of its own, and without metadata; the list of orders is empty.
Run as a script it prints its port and serves until its standard input ends, then prints how many requests it answered.
Arguments: its latency in ms, and a file with the JSON to answer in place of the vendor's example kit.
"""

import asyncio
import json
import sys
from email.utils import formatdate
from pathlib import Path

KIT = Path(__file__).parents[1] / "tests" / "samples" / "kit.json"


class Answering(asyncio.Protocol):
    """Cuts the stream into requests by their Content-Length and answers each at once."""

    answered = 0
    """By all connections of this process."""

    def __init__(self, before: bytes, after: bytes, latency_s: float) -> None:
        # The JSON up to the id, and from there on.
        self._before, self._after = before, after
        self._latency_s = latency_s
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the connection to write to."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer every whole request in what has come."""
        self._buffer += data
        while (end := self._buffer.find(b"\r\n\r\n")) >= 0:
            asked_for = self._buffer[:end].split(b"/", 5)[4]
            head = self._buffer[:end].lower()
            start = head.find(b"content-length:")
            length = int(head[start + 15 :].split(b"\r\n", 1)[0]) if start >= 0 else 0
            if len(self._buffer) < end + 4 + length:
                return
            self._buffer = self._buffer[end + 4 + length :]
            Answering.answered += 1
            is_of_orders = asked_for[:1] in {b" ", b"?"}
            answer = self._of_orders(head.startswith(b"post")) if is_of_orders else self._answer(asked_for)
            if self._latency_s:
                asyncio.get_running_loop().call_later(self._latency_s, self._transport.write, answer)
            else:
                self._transport.write(answer)

    def _answer(self, kit_id: bytes) -> bytes:
        body = self._before + kit_id + self._after
        return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)

    def _of_orders(self, is_new: bool) -> bytes:
        body = b'{"order_id":"O%d","status":"pending"}' % Answering.answered if is_new else b"[]"
        date = formatdate(usegmt=True).encode()
        head = b"HTTP/1.1 20%d OK\r\nDate: %b\r\nContent-Type: application/json" % (is_new, date)
        return b"%b\r\nContent-Length: %d\r\n\r\n%b" % (head, len(body), body)


async def serve(body: bytes, latency_s: float) -> None:
    """Serve on a free port of the loopback interface until standard input ends."""
    kit_id = json.loads(body)["kit_id"].encode()
    before, _, after = body.partition(kit_id)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Answering(before, after, latency_s), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)
    server.close()
    print(Answering.answered)


if __name__ == "__main__":
    answer = Path(sys.argv[2]) if len(sys.argv) > 2 else KIT
    latency_ms = float(sys.argv[1]) if len(sys.argv) > 1 else 0.0
    asyncio.run(serve(json.dumps(json.loads(answer.read_text())).encode(), latency_ms / 1000))
