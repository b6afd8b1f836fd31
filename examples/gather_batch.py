"""asyncio.gather: calls side by side on one client, which paces, repeats and pools them; no failure hides another.

To try it:

    $ pip install '.[cli]'    # in a checkout, as docs/install.md says
    $ spotdx sandbox --port 8123    # in another terminal; then set the two variables that it prints
    $ python examples/gather_batch.py B SPOT123456 SPOT234567 SPOT000000
"""

import asyncio
import sys
from collections.abc import Sequence

from spotdx_async import Kit, RateLimit, SpotClient, SpotError


async def set_cohort(kit_ids: Sequence[str], cohort: str) -> list[Kit | SpotError]:
    """Return a kit or an error for each id, in the order of the ids."""
    async with SpotClient(rate_limit=RateLimit(50)) as spot:
        results = await asyncio.gather(
            *(spot.kits.update_metadata(kit_id, {"cohort": cohort}) for kit_id in kit_ids),
            return_exceptions=True,  # else the first error leaves the others running, and their results are lost
        )
    found: list[Kit | SpotError] = []
    for result in results:
        if isinstance(result, BaseException) and not isinstance(result, SpotError):
            raise result  # a bug, or a cancellation: not the API's doing
        found.append(result)
    return found


def main(cohort: str, *kit_ids: str) -> int:
    """Print a line for each kit; the exit code says whether all went well."""
    results = asyncio.run(set_cohort(kit_ids, cohort))
    for kit_id, result in zip(kit_ids, results, strict=True):
        print(kit_id, f"{type(result).__name__}: {result}" if isinstance(result, SpotError) else result.status)
    return int(any(isinstance(result, SpotError) for result in results))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
