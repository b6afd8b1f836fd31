"""Run by ``test_apm_products.py`` in a process of its own: what goes out beside a product that patches aiohttp."""

import asyncio
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from importlib import import_module
from typing import Any

import aiohttp

from spotdx_async import RetryPolicy, SpotClient, SpotError
from spotdx_async._http import fast_request
from spotdx_async.testing import FakeSpot

NOWHERE = "http://127.0.0.1:9"
TOLD: list[str] = []
"""What the product has written down, to be sent to its makers."""


def sentry() -> Callable[[], AbstractContextManager[Any]]:
    sentry_sdk: Any = import_module("sentry_sdk")

    def keep(event: dict[str, Any], _: object) -> None:
        TOLD.extend(str(span) for span in event["spans"])

    sentry_sdk.init(dsn="http://key@127.0.0.1:9/1", traces_sample_rate=1.0, before_send_transaction=keep)
    return lambda: sentry_sdk.start_transaction(name="job")


def datadog() -> Callable[[], AbstractContextManager[Any]]:
    trace: Any = import_module("ddtrace.trace")

    class Keep(trace.TraceFilter):  # type: ignore[misc]
        def process_trace(self, spans: list[Any]) -> None:
            TOLD.extend(f"{span.name} {span.resource} {span.get_tags()}" for span in spans)

    trace.tracer.configure(trace_processors=[Keep()])
    import_module("ddtrace").patch(aiohttp=True)
    return lambda: trace.tracer.trace("job")


def elastic() -> Callable[[], AbstractContextManager[Any]]:
    elasticapm: Any = import_module("elasticapm")
    client = elasticapm.Client(service_name="job", server_url=NOWHERE, disable_send=True, central_config=False)
    client.tracer.queue_func = lambda _, data, **__: TOLD.append(str(data))
    elasticapm.instrument()

    @contextmanager
    def transaction() -> Iterator[None]:
        client.begin_transaction("job")
        yield
        client.end_transaction("job", "success")

    return transaction


PRODUCTS = {"sentry": sentry, "datadog": datadog, "elastic": elastic}


async def use(spot: SpotClient) -> None:
    await spot.kits.get("SPOT123456")
    await spot.kits.update_metadata("SPOT123456", {"batch": "7"})
    await spot.orders.list(email="robin@example.com").first(1)
    # Over a connection of its own, as what creates something.
    await spot.request("POST", "/api/v2/kits/SPOT123456/", json={"metadata": {}})


async def seen_of(fake: FakeSpot, *, is_own: bool, job: Callable[[], AbstractContextManager[Any]]) -> dict[str, Any]:
    """The names of the headers that the server got, and what the product tells its makers."""
    before = len(fake.requests)
    TOLD.clear()
    with job():
        if is_own:
            async with fake.client() as spot:
                await use(spot)
        else:
            async with aiohttp.ClientSession() as session, fake.client(session=session) as spot:
                await use(spot)
    headers = sorted({name.lower() for request in fake.requests[before:] for name in request.headers})
    return {"headers": headers, "told": " ".join(TOLD)}


async def ends_of_what_is_sent_once(fake: FakeSpot) -> dict[str, Any]:
    """Through a caller's session that the product sees: a refused connection, and an answer that does not come."""
    ends: dict[str, Any] = {}
    before = len(fake.ledger)
    fake.faults.add("drop_after")
    for name, url in (("refused", NOWHERE), ("dropped", fake.url)):
        async with aiohttp.ClientSession() as session:
            spot = SpotClient(fake.token, base_url=url, session=session, retry=RetryPolicy(max_attempts=1))
            async with spot:
                try:
                    await spot.request("POST", "/api/v2/kits/SPOT123456/", json={"metadata": {}})
                except SpotError as error:
                    ends[name] = type(error).__name__
    return {**ends, "executed": len(fake.ledger) - before}


async def main(product: str, aiohttp_release: str) -> None:
    if aiohttp_release == "unknown":  # requests are then written by aiohttp itself
        fast_request.RELEASES = frozenset()
    job = PRODUCTS[product]()
    async with FakeSpot(kits=["SPOT123456"]) as fake:
        own = await seen_of(fake, is_own=True, job=job)
        callers = await seen_of(fake, is_own=False, job=job)
        with job():
            ends = await ends_of_what_is_sent_once(fake)
    sys.stdout.write(json.dumps({"own": own, "callers": callers, "ends": ends}))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
