"""``spotdx sandbox``: the fake server in the foreground, to try commands and programs on."""

import asyncio
from typing import TYPE_CHECKING

from spotdx_async.cli.exit_codes import Exit
from spotdx_async.cli.options import Whole
from spotdx_async.cli.output import OurScreen, Streams, counted
from spotdx_async.errors import InvalidInputError
from spotdx_async.own_loop import run_in_own_loop

if TYPE_CHECKING:
    from spotdx_async.testing import FakeSpot

__all__ = ["sandbox"]

_LAST_PORT = 65535
_TOKEN = "sandbox-token"  # noqa: S105 - made up, and shown on purpose


def sandbox(
    *,
    port: Whole = 0,
    kits: Whole | None = None,
    latency: float = 0.0,
    rate_limit: float | None = None,
    faults: float = 0.0,
    seed: Whole = 1,
    streams: OurScreen,
) -> int:
    """Run the bundled fake server on this machine until Ctrl-C, to try things on; it keeps nothing afterwards.

    Example: spotdx sandbox --port 8123 --kits 1000 --faults 0.05

    Args:
        port: The port on 127.0.0.1. Default: any free one.
        kits: How many kits, named SPOT000001 and so on. Default: the documented example, SPOT123456, and two others.
        latency: Seconds of delay for every request.
        rate_limit: Requests a second; those above it get a 429.
        faults: The share of requests that meet a fault, 0 to 1.
        seed: Which faults.
        streams: Where to write; no argument of the command line.
    """
    from spotdx_async.testing import FakeSpot

    try:
        fake = FakeSpot(
            token=_TOKEN, kits=kits, latency_s=latency, rate_limit=rate_limit, port=port, keep_requests=False
        )
        fake.faults.random(faults, seed=seed)
    except ValueError as error:
        reason = str(error)
    else:
        return run_in_own_loop(_serve(fake, port, streams))
    raise InvalidInputError(reason)


def _unusable(why: str) -> InvalidInputError:
    return InvalidInputError(f"the port cannot be used ({why}): pass another --port, or none for any free one")


async def _serve(fake: "FakeSpot", port: int, streams: Streams) -> Exit:
    from spotdx_async.cli.progress import StopSignals

    if not 0 <= port <= _LAST_PORT:  # uvloop takes it modulo 65536
        raise _unusable(f"ports are 0 to {_LAST_PORT}")
    stop = asyncio.Event()
    with StopSignals(first=stop.set, second=stop.set):
        try:
            await fake.start()
        except OSError as error:
            raise _unusable(str(error)) from None
        try:
            streams.say(f"the fake server with {counted(len(fake.kits), 'kit')} is on {fake.url}; Ctrl-C stops it")
            streams.tell(f"export SPOTDX_BASE_URL={fake.url}")
            streams.tell(f"export SPOTDX_TOKEN={fake.token}")
            await stop.wait()
        finally:
            await fake.close()
    played = sum(fake.faults.played.values())
    streams.say(f"received {counted(fake.counts['requests'], 'request')}; {played:,} met a fault")
    return Exit.OK
