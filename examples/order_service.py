"""aiohttp.web: a background task that orders kits for cohorts, and survives a deploy.

To try it:

    $ pip install '.[cli]'    # in a checkout, as docs/install.md says
    $ spotdx sandbox --port 8123    # in another terminal; then set the two variables that it prints
    $ ORDERS=/var/lib/our-orders python examples/order_service.py    # a folder that outlives the process
    $ curl --data-binary @orders.jsonl localhost:8080/cohorts/cohort-7    # lines as in order_task.py
"""

import asyncio
import json
import os
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

from aiohttp import web

from spotdx_async import (
    BulkRun,
    BulkStopped,
    DecodeError,
    InvalidInputError,
    JournalError,
    NewOrder,
    Order,
    RateLimit,
    SpotClient,
    StatusError,
    check_new,
    loads,
    read_journal,
)

FOLDER, STOPPING = web.AppKey("folder", Path), web.AppKey("stopping", asyncio.Event)
RUNS, GRACE_S, AGAIN_S = web.AppKey("runs", list[BulkRun[Order]]), 20.0, 5.0


def read(body: bytes) -> list[tuple[str, NewOrder]]:
    """Return the orders of a cohort; a ValueError names the first line that is none, and shows nothing of it."""
    rows: dict[str, NewOrder] = {}
    for number, line in enumerate(body.splitlines(), start=1):
        try:
            row = json.loads(line)
            key, order = row["key"].encode().decode(), loads(json.dumps(row["order"]), NewOrder)  # a key is text
            check_new(order)
        except (DecodeError, InvalidInputError) as error:
            raise ValueError(f"line {number}: {error}") from None
        except (ValueError, LookupError, TypeError, AttributeError):
            raise ValueError(f'line {number} is not of the form {{"key": "…", "order": {{…}}}}') from None
        if not key or rows.setdefault(key, order) is not order:
            raise ValueError(f"line {number}: its key is empty, or that of an earlier line")
    return [*rows.items()]


async def work(app: web.Application, spot: SpotClient) -> None:
    """Place the orders of one cohort after another; one that is not done comes again."""
    while not app[STOPPING].is_set():
        for path in sorted(app[FOLDER].glob("*.jsonl")):
            journal, are_final = path.with_suffix(".journal"), True
            try:
                run = spot.orders.create_many(read(path.read_bytes()), batch=path.stem, journal=journal)
                app[RUNS][:] = [run]
                async with run:
                    async for outcome in run:
                        is_refused = outcome.state == "failed" and isinstance(outcome.error, StatusError)
                        are_final &= outcome.is_done or outcome.state == "rejected" or is_refused
                        if not outcome.is_done:
                            print(f"{path.stem}: {outcome.key}: {outcome.state}: {outcome.error}")
                if are_final and read_journal(journal).ending == "complete":
                    path.rename(path.with_suffix(".done"))
            except (BulkStopped, JournalError, ValueError, OSError) as error:  # an outage, a journal in use, a bad file
                print(f"{path.stem}: tried again later: {error}")
        with suppress(TimeoutError):
            await asyncio.wait_for(app[STOPPING].wait(), AGAIN_S)


async def worker(app: web.Application) -> AsyncIterator[None]:
    """Go on with what the process before has left; leave in order at SIGTERM."""
    async with SpotClient(rate_limit=RateLimit(20)) as spot:
        task = asyncio.create_task(work(app, spot))
        yield
        app[STOPPING].set()
        for run in app[RUNS]:
            run.stop()  # nothing more is sent, and what is under way is finished
        await asyncio.wait([task], timeout=GRACE_S)
        task.cancel()  # rows without an answer by now are in doubt: the next process looks for them


async def accept(request: web.Request) -> web.Response:
    """Take a cohort: once its file is there it will be placed, whatever happens to this process."""
    part, body = request.app[FOLDER] / f"{request.match_info['name']}.part", await request.read()
    try:
        read(body)
    except ValueError as error:
        raise web.HTTPBadRequest(text=str(error)) from None
    part.write_bytes(body)
    part.rename(part.with_suffix(".jsonl"))
    return web.Response(status=202)


def make_app() -> web.Application:
    """Make the application; its files hold patient data, so nobody else may read them."""
    os.umask(0o077)
    app = web.Application(client_max_size=64 * 2**20)  # aiohttp's own is 1 MiB: some three thousand orders
    app[FOLDER], app[STOPPING], app[RUNS] = Path(os.environ["ORDERS"]), asyncio.Event(), []
    app.cleanup_ctx.append(worker)
    app.add_routes([web.post("/cohorts/{name:[a-z0-9-]+}", accept)])
    return app


if __name__ == "__main__":
    web.run_app(make_app(), host="127.0.0.1", port=8080)
