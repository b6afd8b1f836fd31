"""Answers made to hurt, from a server in another process: they cost little memory and CPU, and end in the right error.

Each case is measured in a fresh process, which is this file run as a script; so is the server.
"""

import asyncio
import contextlib
import gzip
import itertools
import json
import subprocess
import sys
import time
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import attrs
import pytest

from spotdx_async import OutcomeUnknownError, RetryPolicy, SpotClient, SpotError
from tests.long_set import with_long

pytestmark = pytest.mark.no_cover

MIB = 1024 * 1024
MOST_MEMORY_MB = 32
MOST_CPU_S = 1.0
HASTY_S = 1.5
LARGEST_MB = 10
"""The usual max_body_bytes."""
MOST_OF_VALUES_MB = 120
"""What an answer of that size may become."""
KIT = b'{"kit_id": "kit00"}'
"""The normal one; the server puts the id that was asked for in its place, which is as long."""
CHUNKED = "Transfer-Encoding: chunked"
GZIP = "Content-Encoding: gzip"
Answer = Iterable[bytes]

TOO_LARGE = "DecodeError unknown x1"
NO_ANSWER = "DecodeError unknown x4"
"""No JSON, or JSON that is no kit."""
DROPPED = "OutcomeUnknownError dropped x4"
REFUSED = "BadRequestError 400 x1"
FINE = "Kit"


@attrs.frozen
class Case:
    """An answer, and how a call that gets it ends."""

    answer: Callable[[], Answer]
    end: str
    in_short: bool = False
    """Whether it is tried in the normal run too."""


def head(*lines: str, status: str = "200 OK") -> bytes:
    return "\r\n".join([f"HTTP/1.1 {status}", *lines, "", ""]).encode()


def whole(body: bytes, *lines: str, status: str = "200 OK") -> Answer:
    return [head(f"Content-Length: {len(body)}", *lines, status=status), body]


def again(first: bytes, piece: bytes, times: int | None = None) -> Answer:
    """Write a beginning, and then a piece for ever, or so many times."""
    return itertools.chain([first], itertools.repeat(piece) if times is None else itertools.repeat(piece, times))


def packed(mebibytes: int, wbits: int) -> bytes:
    """Compress so many MiB of zeros, quickly: the same packed block again and again."""
    packer = zlib.compressobj(9, zlib.DEFLATED, wbits)
    start = packer.compress(b"0") + packer.flush(zlib.Z_FULL_FLUSH)
    block = packer.compress(b"0" * MIB) + packer.flush(zlib.Z_FULL_FLUSH)
    return start + block * mebibytes


def array(item: bytes, size: int = 10 * MIB) -> bytes:
    return b"[" + b",".join([item] * ((size - 2) // (len(item) + 1))) + b"]"


def text(escape: bytes) -> bytes:
    return b'"' + escape * ((10 * MIB - 2) // len(escape)) + b'"'


GZIP_BITS, ZLIB_BITS, RAW_BITS = 31, 15, -15

CASES = {
    "a bomb of 50 MB": Case(lambda: whole(packed(50, GZIP_BITS), GZIP), TOO_LARGE, in_short=True),
    "a bomb of 1 GB": Case(lambda: whole(packed(1000, GZIP_BITS), GZIP), TOO_LARGE, in_short=True),
    "a bomb of 1 GB in members": Case(lambda: whole(gzip.compress(bytes(10 * MIB)) * 100, GZIP), TOO_LARGE),
    "a bomb in a bomb": Case(lambda: whole(gzip.compress(packed(1000, GZIP_BITS)), GZIP), NO_ANSWER),
    "a bomb packed twice": Case(
        lambda: whole(gzip.compress(packed(1000, GZIP_BITS)), "Content-Encoding: gzip, gzip"), NO_ANSWER, in_short=True
    ),
    "a deflate bomb": Case(lambda: whole(packed(1000, ZLIB_BITS), "Content-Encoding: deflate"), TOO_LARGE),
    "a raw deflate bomb": Case(lambda: whole(packed(1000, RAW_BITS), "Content-Encoding: deflate"), TOO_LARGE),
    "a bomb with 503": Case(lambda: whole(packed(1000, GZIP_BITS), GZIP, status="503 Busy"), "ServerError 503 x4"),
    "a bomb with 400": Case(lambda: whole(packed(1000, GZIP_BITS), GZIP, status="400 No"), REFUSED),
    "1 GB": Case(lambda: again(head("Content-Length: 1000000000"), b"0" * MIB, 1000), TOO_LARGE, in_short=True),
    "1 GB with 400": Case(
        lambda: again(head("Content-Length: 1000000000", status="400 No"), b"0" * MIB, 1000), REFUSED
    ),
    "no end and no length": Case(lambda: again(head("Connection: close"), b"0" * MIB), TOO_LARGE),
    "chunks without end": Case(
        lambda: again(head(CHUNKED), b"10000\r\n" + b"0" * 65536 + b"\r\n"), TOO_LARGE, in_short=True
    ),
    "small chunks without end, and 400": Case(
        lambda: again(head(CHUNKED, status="400 No"), b"1\r\n0\r\n" * 9999), REFUSED
    ),
    "a length and chunks without end": Case(
        lambda: again(head("Content-Length: 5", CHUNKED), b"10000\r\n" + b"0" * 65536 + b"\r\n"), DROPPED, in_short=True
    ),
    "empty gzip members without end": Case(
        lambda: again(head(GZIP, "Connection: close"), gzip.compress(b"") * 5000), DROPPED
    ),
    "trailers without end": Case(lambda: again(head(CHUNKED) + b"1\r\n0\r\n0\r\n", b"a: b\r\n" * 10_000), DROPPED),
    "a million headers": Case(
        lambda: again(b"HTTP/1.1 200 OK\r\n", b"".join(b"x-%d: y\r\n" % n for n in range(1000)), 1000),
        DROPPED,
        in_short=True,
    ),
    "a header of 100 MB": Case(lambda: again(b"HTTP/1.1 200 OK\r\nX: ", b"a" * MIB, 100), DROPPED, in_short=True),
    "a header's name of 100 MB": Case(lambda: again(b"HTTP/1.1 200 OK\r\n", b"a" * MIB, 100), DROPPED),
    "a header folded without end": Case(lambda: again(b"HTTP/1.1 200 OK\r\nX: a", b"\r\n b" * 9999), DROPPED),
    "a status line without end": Case(lambda: again(b"HTTP/1.1 200 ", b"a" * MIB), DROPPED, in_short=True),
    "no HTTP at all": Case(lambda: again(b"", b"\x00\xff" * 9999), DROPPED),
    "200,000 brackets": Case(lambda: whole(b"[" * 200_000), NO_ANSWER, in_short=True),
    "100,000 brackets and their ends": Case(lambda: whole(b"[" * 100_000 + b"]" * 100_000), NO_ANSWER),
    "20,000 objects in each other": Case(lambda: whole(b'{"a":' * 20_000 + b"1" + b"}" * 20_000), NO_ANSWER),
    "10 MB of escapes": Case(lambda: whole(text(b"\\u0041")), NO_ANSWER, in_short=True),
    "10 MB of line ends": Case(lambda: whole(text(b"\\n")), NO_ANSWER),
    "10 MB of escaped emoji": Case(lambda: whole(text(b"\\ud83d\\ude00")), NO_ANSWER),
    "an unknown encoding": Case(lambda: whole(KIT, "Content-Encoding: rot13"), FINE),
    "brotli, not asked for": Case(lambda: whole(b"\x8b\x02\x80" * 100, "Content-Encoding: br"), DROPPED, in_short=True),
    "zstd, not asked for": Case(lambda: whole(b"\x28\xb5\x2f\xfd" * 100, "Content-Encoding: zstd"), DROPPED),
    "broken gzip": Case(lambda: whole(b"\x1f\x8b\x08\x00abcdefgh" * 100, GZIP), DROPPED),
    "another protocol": Case(
        lambda: again(head("Upgrade: x", "Connection: upgrade", status="101 Switching"), b"0" * MIB),
        "OutcomeUnknownError redirect x1",
    ),
    "answers without end": Case(lambda: again(b"", b"".join(whole(KIT)) * 2000), FINE),
}
# What goes on for ever without a body, and costs CPU for as long as timeout_s allows: aiohttp reads it all.
TIRING = {
    "100 Continue without end": Case(lambda: again(b"", head(status="100 Continue") * 2000), "", in_short=True),
    "103 Early Hints without end": Case(lambda: again(b"", head("Link: a", status="103 Early Hints") * 2000), ""),
    "chunks of one byte": Case(lambda: again(head(CHUNKED), b"1\r\n0\r\n" * 9999), "", in_short=True),
    "a chunk's extension without end": Case(lambda: again(head(CHUNKED) + b"1;", b"a" * 65536), ""),
    "a chunk's size of zeros": Case(lambda: again(head(CHUNKED), b"0" * 65536), ""),
    "empty gzip blocks without end": Case(
        lambda: again(head(GZIP, "Connection: close") + packed(0, GZIP_BITS), b"\x00\x00\x00\xff\xff" * 9999), ""
    ),
    "blank lines without end": Case(lambda: again(b"", b"\r\n" * 30_000), ""),
}
# As large as max_body_bytes allows. As Python values such JSON would take up to 2 GB: more than one for 20 bytes of the
# bound are refused.
GREEDY = {
    "a flat array": Case(lambda: whole(array(b"0")), TOO_LARGE, in_short=True),
    "a flat array in a kit": Case(
        lambda: whole(KIT[:-1] + b', "x": ' + array(b"{}", 10 * MIB - 99) + b"}"), TOO_LARGE, in_short=True
    ),
    "an array of arrays": Case(lambda: whole(array(b"[]")), TOO_LARGE),
    "an array of kits": Case(lambda: whole(array(b'{"kit_id":"a"}')), TOO_LARGE),
    "an object of keys": Case(
        lambda: whole(KIT[:-1] + b"".join(b',"%x":0' % n for n in range(900_000)) + b"}"), TOO_LARGE
    ),
    "as many keys as are allowed": Case(
        lambda: whole(KIT[:-1] + b"".join(b',"%012x":{}' % n for n in range(262_143)) + b"}"), FINE, in_short=True
    ),
    "long numbers": Case(lambda: whole(array(b"1234567890123456789012")), NO_ANSWER),
    "a text with one emoji": Case(lambda: whole(b'"' + b"a" * (10 * MIB - 6) + "😀".encode() + b'"'), NO_ANSWER),
    "a proxy's page": Case(lambda: whole(b"<" * 10 * MIB), NO_ANSWER, in_short=True),
}
ALL = {"normal": Case(lambda: whole(KIT), FINE), **CASES, **TIRING, **GREEDY}
NUMBERS = {name: number for number, name in enumerate(ALL)}


@pytest.fixture(scope="module")
def hostile_url() -> Iterator[str]:
    command = [sys.executable, __file__, "serve"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603 - this file itself
        assert process.stdout is not None
        try:
            yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.kill()


def measure(url: str, name: str, options: str) -> dict[str, Any]:
    """Make one call in a fresh process; how it ended, and what it took."""
    command = [sys.executable, __file__, "call", url, str(NUMBERS[name]), options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)  # noqa: S603 - this file
    found: dict[str, Any] = json.loads(done.stdout)
    print(f"{name}: {found}")  # noqa: T201 - the figures
    return found


def chosen(cases: dict[str, Case]) -> list[Any]:
    return [pytest.param(name, case.in_short, id=name.replace(" ", "-")) for name, case in cases.items()]


def skip_the_long(chaos: Any, *, in_short: bool) -> None:
    if not (in_short or chaos.is_full):
        pytest.skip("only with SPOTDX_CHAOS=full")


@pytest.mark.parametrize(("name", "in_short"), chosen(CASES))
def test_a_hostile_answer_costs_little_and_ends_in_the_right_error(
    hostile_url: str, name: str, chaos: Any, *, in_short: bool
) -> None:
    skip_the_long(chaos, in_short=in_short)

    found = measure(hostile_url, name, "patient")

    assert found["end"] == CASES[name].end
    assert found["next"] == FINE
    assert found["memory_mb"] <= MOST_MEMORY_MB
    assert found["cpu_s"] <= MOST_CPU_S


@pytest.mark.parametrize(
    "name",
    with_long(
        ["a bomb of 1 GB", "a bomb with 503"],
        ["a bomb of 1 GB", "a deflate bomb", "a bomb with 503", "a bomb with 400"],
    ),
)
def test_a_callers_session_unpacks_no_more_at_once_whatever_it_is_set_to(hostile_url: str, name: str) -> None:
    """Its ``read_bufsize`` says how much aiohttp unpacks before it looks up."""
    found = measure(hostile_url, name, "callers")

    assert found["end"] == CASES[name].end
    assert found["next"] == FINE
    assert found["memory_mb"] <= MOST_MEMORY_MB


@pytest.mark.parametrize(
    "name",
    with_long(
        ["a deflate bomb", "a bomb of 1 GB in members"],
        ["a bomb of 50 MB", "a bomb of 1 GB", "a deflate bomb", "a bomb of 1 GB in members"],
    ),
)
def test_unpacking_stops_at_a_cap_that_is_smaller_than_usual(hostile_url: str, name: str) -> None:
    found = measure(hostile_url, name, "small")

    assert found["end"] == TOO_LARGE
    assert found["next"] == FINE
    assert found["memory_mb"] <= 4  # the cap of 1 MB, its pieces, and aiohttp's buffers


@pytest.mark.parametrize(("name", "in_short"), chosen(TIRING))
def test_what_never_comes_to_a_body_ends_with_the_timeout_and_holds_little_memory(
    hostile_url: str, name: str, chaos: Any, *, in_short: bool
) -> None:
    skip_the_long(chaos, in_short=in_short)

    found = measure(hostile_url, name, "hasty")

    assert found["end"] == "OutcomeUnknownError timeout x1"
    assert found["next"] == FINE
    assert found["memory_mb"] <= MOST_MEMORY_MB
    assert found["cpu_s"] <= HASTY_S + MOST_CPU_S


@pytest.mark.parametrize(("name", "in_short"), chosen(GREEDY))
def test_as_much_json_as_is_allowed_is_read_or_refused(
    hostile_url: str, name: str, chaos: Any, *, in_short: bool
) -> None:
    skip_the_long(chaos, in_short=in_short)

    found = measure(hostile_url, name, "patient")

    assert found["end"] == GREEDY[name].end
    assert found["next"] == FINE
    assert found["memory_mb"] <= MOST_OF_VALUES_MB
    if name == "a proxy's page":
        assert found["memory_mb"] <= 5 * LARGEST_MB  # pieces, the whole, and its copy; not one for each attempt


async def answer_twice(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer every request with the kit that it asks for, and soon after with the same once more."""
    with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
        while request := await reader.readuntil(b"\r\n\r\n"):
            answer = b"".join(whole(b'{"kit_id": "%s"}' % request.split(b"/")[4]))
            writer.write(answer)
            await asyncio.sleep(0.01)
            writer.write(answer)
    writer.close()


@pytest.mark.virtual_time
async def test_an_answer_too_many_is_not_taken_for_the_next_calls() -> None:
    server = await asyncio.start_server(answer_twice, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    kit_ids = [f"SPOT{n}" for n in range(6)]
    came = []
    async with server, SpotClient("token", base_url=f"http://127.0.0.1:{port}") as spot:
        for kit_id in kit_ids:
            with contextlib.suppress(SpotError):  # saying that something is wrong is fine
                came.append((kit_id, (await spot.kits.get(kit_id)).kit_id))
            await asyncio.sleep(0.05)

    assert all(asked == given for asked, given in came), came


class Unread:
    """Says no before the request's body is read, which it never is."""

    def __init__(self, body: bytes) -> None:
        self.answer = head("Content-Length: 100", status="400 No") + body
        self.is_over = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(self.answer)
        await self.is_over.wait()
        writer.close()


@pytest.mark.virtual_time
@pytest.mark.parametrize("body", [b"", b"{", b"{}" * 50], ids=["no body", "half a body", "a whole body"])
async def test_a_server_that_never_reads_the_request_holds_no_call_beyond_its_deadline(body: bytes) -> None:
    unread = Unread(body)
    server = await asyncio.start_server(unread.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    clock = asyncio.get_running_loop()
    async with server, SpotClient("token", base_url=f"http://127.0.0.1:{port}", deadline_s=0.5) as spot:
        start = clock.time()
        with pytest.raises(SpotError):
            await spot.kits.update_metadata("SPOT1", {"x": "y" * 8 * MIB})
        took_s = clock.time() - start
        unread.is_over.set()
        await asyncio.sleep(0.1)

    assert took_s <= 0.55


class Broken:
    """Sends the head of an answer and, when that has been read, a body that is against HTTP's rules."""

    def __init__(self, body: bytes) -> None:
        self.body = body

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(head(CHUNKED))
            await asyncio.sleep(0.1)
            writer.write(self.body)
            await reader.read()
        writer.close()


@pytest.mark.virtual_time
@pytest.mark.parametrize(
    "body",
    [b"zz\r\n", b"1\r\n0zz\r\n", b"1\r\n0\r\n0\r\na: " + b"a" * 10_000, b"1\r\n0\r\n0\r\n" + b"a: b\r\n" * 1000],
    ids=["no chunk's size", "no chunk's end", "a long trailer", "many trailers"],
)
async def test_a_body_against_the_rules_ends_the_call_with_its_timeout_at_the_latest(body: bytes) -> None:
    server = await asyncio.start_server(Broken(body).serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    clock = asyncio.get_running_loop()
    async with server, SpotClient("token", base_url=f"http://127.0.0.1:{port}", timeout_s=30) as spot:
        start = clock.time()
        with pytest.raises(OutcomeUnknownError):
            await spot.with_options(retry=RetryPolicy(max_attempts=1)).kits.get("SPOT1")
        took_s = clock.time() - start

    assert took_s <= 30.05


# What the processes do.


async def write_answers(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    cases = list(ALL.values())
    with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
        while request := await reader.readuntil(b"\r\n\r\n"):
            kit_id = request.split(b"/")[4]
            for piece in cases[int(kit_id.removeprefix(b"kit"))].answer():
                writer.write(piece.replace(b"kit00", kit_id))
                await writer.drain()
    writer.close()


async def serve_for_ever() -> None:
    server = await asyncio.start_server(write_answers, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)  # noqa: T201 - how the test learns of it
    await server.serve_forever()


def memory_mb(which: str) -> float:
    """Of this process; the kernel's ru_maxrss would include that of the process which started it."""
    found = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(which))
    return int(found.split()[1]) / 1024


async def end_of(spot: SpotClient, number: int) -> str:
    try:
        return type(await spot.kits.get(f"kit{number:02}")).__name__
    except SpotError as error:
        words = (getattr(error, word, None) for word in ("reason", "outcome", "status"))
        word = next(word for word in words if word is not None)
        return f"{type(error).__name__} {word} x{error.attempts}"


async def call(url: str, number: int, options: str) -> None:
    """Measure one call beside a normal one's cost, which is next to nothing."""
    chosen: dict[str, Any] = {"timeout_s": 10.0}
    if options == "hasty":
        chosen = {"timeout_s": HASTY_S, "retry": RetryPolicy(max_attempts=1)}
    elif options == "small":
        chosen["max_body_bytes"] = MIB
    async with contextlib.AsyncExitStack() as stack:
        if options == "callers":
            chosen["session"] = await stack.enter_async_context(aiohttp.ClientSession(read_bufsize=64 * MIB))
        spot = await stack.enter_async_context(SpotClient("token", base_url=url, **chosen))
        for _ in range(3):
            await end_of(spot, 0)
        Path("/proc/self/clear_refs").write_text("5")  # the peak is counted from now on
        before_mb, before_s = memory_mb("VmRSS"), time.process_time()
        end = await end_of(spot, number)
        found = {
            "end": end,
            "memory_mb": round(memory_mb("VmHWM") - before_mb, 1),
            "cpu_s": round(time.process_time() - before_s, 2),
            "next": await end_of(spot, 0),
        }
        print(json.dumps(found))  # noqa: T201 - the answer to the test


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        asyncio.run(serve_for_ever())
    else:
        asyncio.run(call(sys.argv[2], int(sys.argv[3]), sys.argv[4]))
