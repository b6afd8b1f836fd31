"""aiohttp.web: a background task that orders kits for cohorts, and survives a deploy.

To try it:

    $ pip install spotdx-async
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

from spotdx_async import BulkRun, BulkStopped, JournalError, NewOrder, Order, RateLimit, SpotClient, loads, read_journal

FOLDER, STOPPING = web.AppKey("folder", Path), web.AppKey("stopping", asyncio.Event)
RUNS = web.AppKey("runs", list[BulkRun[Order]])
GRACE_S, AGAIN_S = 20.0, 5.0


async def work(app: web.Application, spot: SpotClient) -> None:
    """Place the orders of one cohort after another; one that is not done comes again."""
    while not app[STOPPING].is_set():
        for path in sorted(app[FOLDER].glob("*.jsonl")):
            lines = map(json.loads, path.read_text(encoding="utf-8").splitlines())
            rows = [(line["key"], loads(json.dumps(line["order"]), NewOrder)) for line in lines]
            journal = path.with_suffix(".journal")
            run = spot.orders.create_many(rows, batch=path.stem, journal=journal)
            app[RUNS][:] = [run]
            try:
                async with run:
                    states = {"done" if outcome.is_done else outcome.state async for outcome in run}
            except (BulkStopped, JournalError) as error:  # an outage; another process still has the journal
                print(f"{path.stem}: tried again later: {error}")
                continue
            if states <= {"done", "rejected"} and read_journal(journal).ending == "complete":
                path.rename(path.with_suffix(".done"))
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
    part = request.app[FOLDER] / f"{request.match_info['name']}.part"
    part.write_bytes(await request.read())
    part.rename(part.with_suffix(".jsonl"))
    return web.Response(status=202)


def make_app() -> web.Application:
    """Make the application; its files hold patient data, so nobody else may read them."""
    os.umask(0o077)
    app = web.Application()
    app[FOLDER], app[STOPPING], app[RUNS] = Path(os.environ["ORDERS"]), asyncio.Event(), []
    app.cleanup_ctx.append(worker)
    app.add_routes([web.post("/cohorts/{name:[a-z0-9-]+}", accept)])
    return app


if __name__ == "__main__":
    web.run_app(make_app(), host="127.0.0.1", port=8080)
