"""A script without async code of its own: one asyncio.run around all that talks to the API.

To try it:

    $ pip install '.[cli]'    # in a checkout, as docs/install.md says
    $ spotdx sandbox --port 8123    # in another terminal; then set the two variables that it prints
    $ python examples/sync_script.py
"""

import asyncio
import sys
from collections import Counter

from spotdx_async import SpotClient, SpotError


def main() -> int:
    """Count the kits by their status."""
    try:
        # One run for the whole job: each would connect anew, and forget the rate and the pauses of the one before.
        kits_by_status = asyncio.run(count_kits())
    except SpotError as error:
        print(f"cannot tell: {error}", file=sys.stderr)
        return 1
    for status, count in kits_by_status.most_common():
        print(status, count)
    return 0


async def count_kits() -> Counter[str]:
    """Read the whole list, page by page."""
    async with SpotClient() as spot:
        return Counter([str(kit.kit_status) async for kit in spot.kits.list()])


if __name__ == "__main__":
    sys.exit(main())
