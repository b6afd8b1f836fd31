"""A server on raw sockets in the test's own loop: it plays scripts, and counts what arrives whole and what it executes.

It knows no script: one is a function of a ``Connection`` that says whether the connection goes on.
"""

import asyncio
import socket
import ssl
import struct
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Final, Self

from .answers import KIT_TYPES, Arrived, headers_of, healthy, kit_types

Script = Callable[["Connection"], Awaitable[bool]]

_START: Final = datetime(2030, 6, 1, 12, tzinfo=UTC)
_BUFFER: Final = 128 * 1024


class Wall:
    """A wall clock that keeps the loop's time, and can be wrong; servers have the right time."""

    def __init__(self, wrong_by_s: float = 0.0) -> None:
        self.wrong_by_s = wrong_by_s

    def now(self) -> datetime:
        """Tell the time as this machine has it."""
        return self.true() + timedelta(seconds=self.wrong_by_s)

    def true(self) -> datetime:
        """Tell the right time."""
        return _START + timedelta(seconds=asyncio.get_running_loop().time())

    def http_date(self, in_s: float = 0.0) -> str:
        """Write the right time as HTTP does."""
        return format_datetime(self.true() + timedelta(seconds=in_s), usegmt=True)


class ScriptedServer:
    """Plays a script for every turn of a connection, or for the first one; an async context manager."""

    def __init__(
        self, script: Script, *, is_once: bool, token: str, wall: Wall, tls: ssl.SSLContext | None = None
    ) -> None:
        self.token = token
        self.wall = wall
        self.tls = tls
        self.sent = 0
        """Requests that arrived whole."""
        self.executed_paths: list[str] = []
        """The paths of the requests that were executed."""
        self.asides = 0
        """Requests of the matrix beside the call under test."""
        self.answers_asides = asyncio.Event()
        self.answers_asides.set()
        self.is_half_way = asyncio.Event()
        """Set by a script that has sent a part of its answer."""
        self.on_answer: Callable[[], object] = lambda: None
        self._script = script
        self._turns_left = 1 if is_once else None
        # With its protocol named asyncio sends at once; without, answers over TLS would be 40 real ms late.
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        self._fillers: list[socket.socket] = []
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def executed(self) -> int:
        """Requests that were executed."""
        return len(self.executed_paths)

    @property
    def port(self) -> int:
        """The port on 127.0.0.1."""
        port: int = self._socket.getsockname()[1]
        return port

    @property
    def tasks(self) -> frozenset[asyncio.Task[None]]:
        """The server's own tasks."""
        return frozenset(self._tasks)

    async def __aenter__(self) -> Self:
        self._socket.setblocking(False)  # noqa: FBT003 - the standard library's own signature
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
        self._socket.bind(("127.0.0.1", 0))
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._drop_fillers()
        self._socket.close()

    def listen(self) -> None:
        """Take connections from now on; before it they are refused."""
        self._socket.listen(100)
        self._start(self._accept())

    def fill_queue(self) -> None:
        """Listen, and let those who wait be so many that further ones are neither taken nor refused."""
        self._socket.listen(0)
        for _ in range(4):
            filler = socket.socket()
            filler.setblocking(False)  # noqa: FBT003 - the standard library's own signature
            filler.connect_ex(self._socket.getsockname())
            self._fillers.append(filler)

    def heal(self, tls: ssl.SSLContext | None) -> None:
        """Behave from now on."""
        self._turns_left = 0
        self.tls = tls
        self.answers_asides.set()
        self._drop_fillers()
        if not any(task.get_name() == "accept" for task in self._tasks):
            self.listen()

    def next_script(self) -> Script:
        """Choose what the next turn plays."""
        if self._turns_left is None:
            return self._script
        if self._turns_left == 0:
            return answer_well
        self._turns_left -= 1
        return self._script

    async def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        task = asyncio.current_task()
        assert task is not None
        task.set_name("accept")
        while True:
            taken, _ = await loop.sock_accept(self._socket)
            self._start(self._serve(Connection(self, taken)))

    async def _serve(self, connection: "Connection") -> None:
        try:
            while await self.next_script()(connection):
                await connection.wait_for_next()
        except (OSError, EOFError):  # the client has left
            pass
        finally:
            connection.close()

    def _start(self, work: Awaitable[None]) -> None:
        task: asyncio.Task[None] = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _drop_fillers(self) -> None:
        for filler in self._fillers:
            filler.close()
        self._fillers.clear()


class Connection:
    """One connection, raw until something is read or written through it; then TLS where the server has it."""

    def __init__(self, server: ScriptedServer, taken: socket.socket) -> None:
        self.server = server
        self._socket = taken
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._next: Arrived | None = None
        self._arrived: Arrived | None = None

    async def arrive(self) -> Arrived:
        """Read a request whole, and count it; what is asked beside the call is answered on the way."""
        while True:
            request, self._next = self._next or await self._read_request(), None
            if request.path != KIT_TYPES:
                self.server.sent += 1
                self._arrived = request
                return request
            self.server.asides += 1
            await self.server.answers_asides.wait()
            await self.send(kit_types())

    async def wait_for_next(self) -> None:
        """Wait for the next request, so that the next turn begins with it and not in idleness."""
        self._next = await self._read_request()

    async def read(self, count: int) -> None:
        """Read some of a request, which does not count."""
        await (await self._open())[0].readexactly(count)

    async def read_head(self) -> None:
        """Read a request's head and leave its body."""
        await (await self._open())[0].readuntil(b"\r\n\r\n")

    async def wait_for_end(self) -> None:
        """Say nothing until the client leaves."""
        if self._reader is not None:
            while await self._reader.read(_BUFFER):
                pass
        else:
            while await self.read_raw():
                pass

    async def read_raw(self) -> bytes:
        """Read some bytes as they come, below TLS."""
        self._socket.setblocking(False)  # noqa: FBT003 - the standard library's own signature
        return await asyncio.get_running_loop().sock_recv(self._socket, _BUFFER)

    async def send_raw(self, data: bytes) -> None:
        """Send bytes below TLS."""
        await asyncio.get_running_loop().sock_sendall(self._socket, data)

    def execute(self) -> None:
        """Execute the request that has arrived."""
        assert self._arrived is not None
        self.server.executed_paths.append(self._arrived.path)

    async def send(self, data: bytes) -> None:
        """Send bytes."""
        _, writer = await self._open()
        writer.write(data)
        await writer.drain()

    def reset(self) -> None:
        """Break the connection without a good-bye."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        if self._writer is None:
            self._socket.close()
        else:
            self._writer.transport.abort()

    def close(self) -> None:
        """Close, after what was written has gone."""
        if self._writer is None:
            self._socket.close()
        elif not self._writer.transport.is_closing():
            self._writer.close()

    async def _open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._reader is None or self._writer is None:
            loop = asyncio.get_running_loop()
            reader = asyncio.StreamReader()
            protocol = asyncio.StreamReaderProtocol(reader)
            transport, _ = await loop.connect_accepted_socket(lambda: protocol, self._socket, ssl=self.server.tls)
            self._reader, self._writer = reader, asyncio.StreamWriter(transport, protocol, reader, loop)
        return self._reader, self._writer

    async def _read_request(self) -> Arrived:
        reader, _ = await self._open()
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        first, *lines = head.removesuffix("\r\n\r\n").split("\r\n")
        method, target, _ = first.split(" ")
        headers = headers_of(lines)
        length = int(headers.get("content-length", "0"))
        return Arrived(method, target, headers, await reader.readexactly(length))


async def answer_well(connection: Connection) -> bool:
    """Execute what is asked, and say so."""
    request = await connection.arrive()
    connection.execute()
    await connection.send(healthy(request))
    return True
