"""A webhook receiver that trusts nothing but an id, and fetches what the id names.

To try it:

    $ pip install '.[cli]'    # in a checkout, as docs/install.md says
    $ spotdx sandbox --port 8123    # in another terminal; then set the two variables that it prints
    $ python examples/webhook_receiver.py
    $ curl -X POST localhost:8081/spot -d '{"kit_id": "SPOT123456", "status": "canceled"}'

The vendor documents neither what a webhook brings nor a signature, so anybody could have sent one. Assumed: its body
looks like a kit or an order. What it says beside the id is ignored: the kit above is not canceled.
"""

import os
from collections.abc import AsyncIterator

from aiohttp import web

from spotdx_async import (
    DecodeError,
    InvalidInputError,
    Kit,
    NotFoundError,
    Order,
    RateLimit,
    SpotClient,
    SpotError,
    loads,
)

SPOT = web.AppKey("spot", SpotClient)


async def spot_context(app: web.Application) -> AsyncIterator[None]:
    """A rate, since strangers decide how often something is fetched, and a deadline, since the sender waits."""
    async with SpotClient(rate_limit=RateLimit(10), deadline_s=5.0) as spot:
        app[SPOT] = spot
        yield


async def receive(request: web.Request) -> web.Response:
    """Answer 2xx only once the news is taken in, and 503 where it should come again."""
    body = await request.read()
    try:
        kit_id, order_id = loads(body, Kit).kit_id, loads(body, Order).order_id
    except DecodeError:
        return web.Response(status=400, text="this is neither a kit nor an order")
    try:
        news = await fetch(request.app[SPOT], kit_id, order_id)
    except (InvalidInputError, NotFoundError):
        return web.Response(status=404, text="there is no such kit or order")
    except SpotError:
        return web.Response(status=503, text="try again later", headers={"Retry-After": "30"})
    print(news, flush=True)  # here your own code takes over
    return web.Response(status=204)


async def fetch(spot: SpotClient, kit_id: str | None, order_id: str | None) -> str:
    """Get what the Spot API itself says; of a kit or an order, id and status are no patient data."""
    if kit_id is not None:
        kit = await spot.kits.get(kit_id)
        return f"kit {kit.kit_id} is {kit.status}"
    order = await spot.orders.get(order_id or "")  # an empty id is refused before anything is sent
    return f"order {order.order_id} is {order.status}"


def make_app() -> web.Application:
    """Put it together; a webhook is short."""
    app = web.Application(client_max_size=64 * 1024)
    app.cleanup_ctx.append(spot_context)
    app.router.add_post("/spot", receive)
    return app


if __name__ == "__main__":
    web.run_app(make_app(), host="127.0.0.1", port=int(os.environ.get("PORT", "8081")))
