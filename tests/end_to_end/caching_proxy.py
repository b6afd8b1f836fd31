"""A proxy that keeps answers to GETs and gives them again, well behaved or not."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime

import aiohttp

from spotdx_async._http import clock
from spotdx_async.testing import FakeSpot

__all__ = ["CachingProxy", "cached", "path_alone"]


def path_alone(target: str) -> str:
    """Name an answer as a proxy that does not look at queries."""
    return target.partition("?")[0]


@dataclass
class CachingProxy:
    """What it keeps, and how it behaves. What it answers is always whole, with the ``Date`` of the first answer."""

    url: str = ""
    """Its own address."""
    key: Callable[[str], str] = lambda target: target
    """Under which name it keeps the answer to a path with its query."""
    obeys: bool = False
    """Whether it asks the server where the request says ``no-cache``, as HTTP wants it."""
    tells_age: bool = False
    """Whether it says how old an answer is, as HTTP wants it."""
    dates_anew: bool = False
    """Whether a kept answer gets a new ``Date``, as nginx does it."""
    hits: list[str] = field(default_factory=list)
    """What was answered without asking the server."""
    kept: dict[str, tuple[int, bytes, datetime]] = field(default_factory=dict)

    async def answer(self, fake: FakeSpot, head: bytes, body: bytes) -> bytes | None:
        first, *lines = head.decode("latin-1").split("\r\n")
        method, target, _ = first.split(" ")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines) if name}
        asks_anew = self.obeys and "no-cache" in headers.get("cache-control", "")
        name = self.key(target)
        came = None if method != "GET" or asks_anew else self.kept.get(name)
        if came is not None:
            self.hits.append(target)
        else:
            passed_on: dict[str, str] = {
                one: headers[one] for one in ("authorization", "content-type", "cache-control") if one in headers
            }
            try:
                async with (
                    aiohttp.ClientSession() as session,
                    session.request(method, fake.url + target, data=body or None, headers=passed_on) as reply,
                ):
                    came = reply.status, await reply.read(), clock.wall()
            except aiohttp.ClientError:
                return None
            if method == "GET" and came[0] == 200:
                self.kept[name] = came
        status, content, since = came
        moment = clock.wall() if self.dates_anew else since
        told = [f"HTTP/1.1 {status} X", f"Date: {format_datetime(moment.astimezone(UTC), usegmt=True)}"]
        told += ["Content-Type: application/json", f"Content-Length: {len(content)}"]
        if self.tells_age and name in self.kept:
            told.append(f"Age: {max(1, int((clock.wall() - since).total_seconds())) if target in self.hits else 0}")
        return "\r\n".join([*told, "", ""]).encode() + content


@asynccontextmanager
async def cached(fake: FakeSpot, **behaviour: object) -> AsyncIterator[CachingProxy]:
    """Stand before the fake."""
    proxy = CachingProxy(**behaviour)  # type: ignore[arg-type]

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = next(
                    (line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")), b":0"
                )
                answer = await proxy.answer(fake, head, await reader.readexactly(int(length.partition(b":")[2])))
                if answer is None:
                    return
                writer.write(answer)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        proxy.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        yield proxy
