"""aiohttp.web: the client lives in a cleanup context, a middleware turns the SDK's errors into answers.

To try it:

    $ pip install '.[cli]'    # in a checkout, as docs/install.md says
    $ spotdx sandbox --port 8123    # in another terminal; then set the two variables that it prints
    $ python examples/aiohttp_app.py
    $ curl localhost:8080/kits/SPOT123456
"""

import os
from collections.abc import AsyncIterator

from aiohttp import web
from aiohttp.typedefs import Handler

from spotdx_async import (
    InvalidInputError,
    NotFoundError,
    NotSentError,
    OutcomeUnknownError,
    RateLimit,
    RateLimitError,
    SpotClient,
    SpotError,
)

SPOT = web.AppKey("spot", SpotClient)
STATUS_OF: dict[type[SpotError], int] = {
    InvalidInputError: 400,
    NotFoundError: 404,
    NotSentError: 503,
    RateLimitError: 503,
    OutcomeUnknownError: 504,
}


async def spot_context(app: web.Application) -> AsyncIterator[None]:
    """Open with the application, close with it: aiohttp's own sessions and ours end in order."""
    async with SpotClient(rate_limit=RateLimit(50), deadline_s=2.0) as spot:
        app[SPOT] = spot
        yield


@web.middleware
async def map_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn the SDK's errors into a status of ours; what is not in the table is the Spot API's trouble: 502."""
    try:
        return await handler(request)
    except SpotError as error:
        status = next((STATUS_OF[kind] for kind in type(error).mro() if kind in STATUS_OF), 502)
        return web.json_response({"error": type(error).__name__}, status=status)


async def show_kit(request: web.Request) -> web.Response:
    """Show where a kit stands, and nothing about its person."""
    kit = await request.app[SPOT].kits.get(request.match_info["kit_id"])
    sample = kit.sample.status if kit.sample else None
    return web.json_response({"kit_id": kit.kit_id, "status": kit.status, "sample": sample})


def make_app() -> web.Application:
    """Put it together."""
    app = web.Application(middlewares=[map_errors])
    app.cleanup_ctx.append(spot_context)
    app.router.add_get("/kits/{kit_id}", show_kit)
    return app


if __name__ == "__main__":
    web.run_app(make_app(), host="127.0.0.1", port=int(os.environ.get("PORT", "8080")))
