"""``spotdx sandbox``: the fake server in the foreground."""

import asyncio
import signal
import sys

from spotdx_async.testing import FakeSpot

__all__ = ["serve"]


async def serve(*, port: int, kits: int, latency_s: float, rate_limit: float | None, fault_rate: float) -> int:
    """Serve until SIGINT or SIGTERM.

    Raises:
        ValueError: an option is out of range.
        OSError: the port cannot be used.
    """
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for kind in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(kind, stopped.set)
    fake = FakeSpot(kits=kits, latency_s=latency_s, rate_limit=rate_limit, port=port, keep_requests=False)
    fake.faults.random(fault_rate, seed=1)
    async with fake:
        first = next(iter(fake.kits), None)
        sys.stdout.write(f"A fake Spot server with {len(fake.kits)} kits. In another terminal:\n\n")
        sys.stdout.write(f"export SPOTDX_BASE_URL={fake.url} SPOTDX_TOKEN={fake.token}\n")
        sys.stdout.write(f"spotdx kits get {first}\n\nCtrl-C ends it.\n" if first else "\nCtrl-C ends it.\n")
        sys.stdout.flush()
        await stopped.wait()
    return 0
