"""AWS Lambda: client and event loop outlive a request, and a request ends before the function's time does.

To try it:

    $ pip install '.[cli]'    # in a checkout, as docs/install.md says
    $ spotdx sandbox --port 8123    # in another terminal; then set the two variables that it prints
    $ python examples/aws_lambda.py SPOT123456 SPOT123456
"""

import asyncio
import json
import sys
from typing import Any, Protocol

from spotdx_async import NotFoundError, SpotClient, SpotError

# Made once for each environment, which is frozen between two requests. In one loop the connections are kept; what has
# died meanwhile is noticed, and replaced. asyncio.run for each request works too, and connects anew each time.
spot = SpotClient()
loop = asyncio.Runner()


class Context(Protocol):
    """What Lambda tells of the request."""

    def get_remaining_time_in_millis(self) -> int:
        """Return the time that is left; then the process is killed."""


def handler(event: dict[str, str], context: Context) -> dict[str, Any]:
    """Set a kit's cohort; an event that is delivered twice sets it twice, which is safe."""
    left_s = context.get_remaining_time_in_millis() / 1000
    return loop.run(set_cohort(event, spot.with_options(deadline_s=max(0.1, left_s - 1))))


async def set_cohort(event: dict[str, str], spot: SpotClient) -> dict[str, Any]:
    """Raise what Lambda is to try again, and answer what trying again would not change."""
    try:
        kit = await spot.kits.update_metadata(event["kit_id"], {"cohort": event["cohort"]})
    except NotFoundError as error:
        return {"error": type(error).__name__}
    except SpotError as error:
        raise RuntimeError(str(error)) from None
    return {"kit_id": kit.kit_id, "status": kit.status}


class FiveSeconds:
    """What stands for Lambda's context on the command line."""

    def get_remaining_time_in_millis(self) -> int:
        """Return five seconds."""
        return 5000


if __name__ == "__main__":
    for name in sys.argv[1:]:
        print(json.dumps(handler({"kit_id": name, "cohort": "A"}, FiveSeconds())))
    loop.run(spot.close())
    loop.close()
