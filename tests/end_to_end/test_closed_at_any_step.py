"""A client, or a caller's session, closed at each step of a call, which ends by an error of ours that tells the truth.

aiohttp ends what it had begun in several ways then; some of them are no ClientError.
"""

import asyncio
import gc
import logging
import socket
import struct
from typing import Any

import aiohttp
import pytest

from spotdx_async import NotSentError, RetryPolicy, SpotClient, SpotError
from spotdx_async.testing import FakeSpot, faults

STEPS = range(60)


async def after(steps: int) -> None:
    for _ in range(steps):
        await asyncio.sleep(0)


async def end_of_a_call(spot: Any, *, is_update: bool) -> SpotError | None:
    body = {"metadata": {"long": "x" * 100_000}}
    try:
        if is_update:
            await spot.kits.update_metadata("SPOT123456", body["metadata"])
        else:
            await spot.request("POST", "/api/v2/kits/SPOT123456/", json=body)
    except SpotError as error:
        return error
    return None


@pytest.mark.parametrize("answer", ["whole", "half"])
@pytest.mark.parametrize("is_update", [True, False], ids=["update", "sent once"])
@pytest.mark.parametrize("whose", ["own", "caller's"])
async def test_a_close_at_any_step_ends_the_call_by_an_error_that_is_true(
    whose: str, answer: str, *, is_update: bool
) -> None:
    ends: set[str] = set()
    for steps in STEPS:
        async with FakeSpot(kits=["SPOT123456"]) as fake, aiohttp.ClientSession() as session:
            if answer == "half":
                fake.faults.add(faults.half_body(), times=100)
            spot = fake.client(session=None if whose == "own" else session, retry=RetryPolicy(max_attempts=1))
            call = asyncio.ensure_future(end_of_a_call(spot, is_update=is_update))
            await after(steps)
            await (spot if whose == "own" else session).close()
            end = await call
            await spot.close()
            ends.add(type(end).__name__)
            assert end is not None or len(fake.ledger) == 1
            if fake.ledger and end is not None:
                assert end.may_be_executed
            assert not (isinstance(end, NotSentError) and fake.requests)

    assert {"NotSentError", "OutcomeUnknownError"} <= ends


async def test_a_kept_connection_that_is_reset_while_idle_is_no_error_in_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    writers: list[asyncio.StreamWriter] = []
    rest = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n")
        await rest.wait()
        writer.write(b"{}")
        await reader.read()
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with SpotClient("token", base_url=f"http://127.0.0.1:{port}") as spot:
            call = asyncio.ensure_future(spot.request("GET", "/x"))
            while not writers:
                await asyncio.sleep(0)
            await after(100)  # into the reading of the body
            rest.set()
            await call
            linger = struct.pack("ii", 1, 0)  # its end is a reset
            writers[0].get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            writers[0].transport.abort()
            await after(100)
            await spot.request("GET", "/x")  # the pool lets go of the one that is reset
        gc.collect()

    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


@pytest.mark.parametrize("kind", [RuntimeError, AttributeError, TypeError])
async def test_what_a_hook_raises_over_a_closed_session_is_the_hooks(
    fake_spot: FakeSpot, kind: type[Exception]
) -> None:
    async def hook(session: aiohttp.ClientSession, _context: object, _params: object) -> None:
        await session.close()
        raise kind("mine")

    trace = aiohttp.TraceConfig()
    trace.on_request_end.append(hook)
    session = aiohttp.ClientSession(trace_configs=[trace])
    async with fake_spot.client(session=session) as spot:
        with pytest.raises(kind, match="mine"):
            await spot.kits.get("SPOT123456")
