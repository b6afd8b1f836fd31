"""How many files does a call pass on its way, and how often does it go from one file to another?

Counted with ``sys.setprofile``: calls from one file of the package to another, and coroutines that go on for one in
another file, for one call or one bulk row when all is warm. A row's figures are the difference of two runs, divided by
the rows that one has more. Not a time: the same on every machine::

    python benchmarks/count_steps.py [--files]
"""

import argparse
import asyncio
import sys
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import FrameType
from typing import Any

from rounds import thin_server

import spotdx_async
from spotdx_async import SpotClient

PACKAGE = str(Path(spotdx_async.__file__).parent)
WARM_UP, ROWS, MORE_ROWS = 50, 100, 600
Entered = Counter[str]
"""Of each file, how often it was entered from another one."""


def main() -> None:
    """Count, and print one table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", action="store_true", help="list the files, too")
    options = parser.parse_args()
    with thin_server() as server:
        found = asyncio.run(counts(server.url))
    print("| way | files | changes of file |\n|---|---|---|")
    for way, (entered, of) in found.items():
        passed = [name for name, times in entered.items() if times >= of / 2]
        print(f"| {way} | {len(passed)} | {sum(entered.values()) / of:.1f} |")
        if options.files:
            print("".join(f"|   {name} | | {entered[name] / of:.1f} |\n" for name in sorted(passed)), end="")


async def counts(url: str) -> dict[str, tuple[Entered, int]]:
    """What a call and a row enter, and how many of them were counted."""
    async with SpotClient("token", base_url=url) as spot:

        async def call() -> None:
            await spot.kits.update_metadata("SPOT000001", {"cohort": "A"})

        async def run(rows: int) -> None:
            updates = [(f"SPOT{n:06}", {"cohort": "A"}) for n in range(rows)]
            async for _ in spot.kits.update_metadata_many(updates, concurrency=8):
                pass

        for _ in range(WARM_UP):
            await call()
        await run(WARM_UP)
        one = await counted(call)
        few, many = await counted(lambda: run(ROWS)), await counted(lambda: run(MORE_ROWS))
        many.subtract(few)
        return {"call": (one, 1), "bulk row": (many, MORE_ROWS - ROWS)}


async def counted(work: Callable[[], Awaitable[object]]) -> Entered:
    """Count how often a function of the package is called, or goes on, for one in another file of it."""
    entered = Entered()

    def note(frame: FrameType, event: str, _: Any) -> None:
        if event == "call" and (name := frame.f_code.co_filename).startswith(PACKAGE):
            caller = frame.f_back
            while caller is not None and not caller.f_code.co_filename.startswith(PACKAGE):
                caller = caller.f_back
            if caller is None or caller.f_code.co_filename != name:
                entered[name.removeprefix(PACKAGE)[1:]] += 1

    sys.setprofile(note)
    try:
        await work()
    finally:
        sys.setprofile(None)
    return entered


if __name__ == "__main__":
    main()
