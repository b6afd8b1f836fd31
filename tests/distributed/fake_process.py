"""The fake server as a process of its own: prints its address, and at its input's end what it has seen."""

import asyncio
import json
import sys

from spotdx_async.testing import FakeSpot


async def watch_lateness(lateness: list[float]) -> None:
    """Note by how much this process is late at most: requests that wait meanwhile seem to come at once."""
    loop = asyncio.get_running_loop()
    while True:
        due = loop.time() + 0.005
        await asyncio.sleep(0.005)
        lateness[0] = max(lateness[0], loop.time() - due)


async def serve(settings: dict[str, object]) -> None:
    faults = settings.pop("random_faults", 0.0)
    async with FakeSpot(**settings) as fake:  # type: ignore[arg-type]
        if faults:
            fake.faults.random(float(str(faults)), seed=7)
        print(fake.url, flush=True)  # noqa: T201 - its answer
        loop = asyncio.get_running_loop()
        lateness = [0.0]
        watching = asyncio.create_task(watch_lateness(lateness))
        while line := await loop.run_in_executor(None, sys.stdin.readline):
            if line == "count\n":
                print(fake.counts["executed"], flush=True)  # noqa: T201 - the same
        watching.cancel()
        seen = {
            "late_s": lateness[0],
            "arrivals": [request.at_s for request in fake.requests],
            "ledger": [[entry.kit_id, entry.metadata] for entry in fake.ledger],
            "tokens": sorted({request.headers.get("authorization", "") for request in fake.requests}),
        }
        json.dump(seen, sys.stdout)


if __name__ == "__main__":
    asyncio.run(serve(json.loads(sys.argv[1])))
