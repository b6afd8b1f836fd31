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
from spotdx_async._pipeline import connections
from spotdx_async.testing import FakeSpot

NOWHERE = "http://127.0.0.1:9"


def sentry() -> AbstractContextManager[Any]:
    sentry_sdk: Any = import_module("sentry_sdk")
    sentry_sdk.init(dsn="http://key@127.0.0.1:9/1", traces_sample_rate=1.0, transport=lambda _: None)
    return sentry_sdk.start_transaction(name="job")  # type: ignore[no-any-return]


def datadog() -> AbstractContextManager[Any]:
    ddtrace: Any = import_module("ddtrace")
    ddtrace.patch(aiohttp=True)
    return import_module("ddtrace.trace").tracer.trace("job")  # type: ignore[no-any-return]


@contextmanager
def elastic() -> Iterator[None]:
    elasticapm: Any = import_module("elasticapm")
    client = elasticapm.Client(service_name="job", server_url=NOWHERE, disable_send=True, central_config=False)
    elasticapm.instrument()
    client.begin_transaction("job")
    yield
    client.end_transaction("job", "success")
    client.close()


PRODUCTS: dict[str, Callable[[], AbstractContextManager[Any]]] = {
    "sentry": sentry,
    "datadog": datadog,
    "elastic": elastic,
}


async def use(spot: SpotClient) -> None:
    await spot.kits.get("SPOT123456")
    await spot.kits.update_metadata("SPOT123456", {"batch": "7"})
    await spot.orders.list(email="robin@example.com").first(1)
    # Over a connection of its own, as what creates something.
    await spot.request("POST", "/api/v2/kits/SPOT123456/", json={"metadata": {}})


async def headers_of(fake: FakeSpot, *, is_own: bool) -> list[str]:
    before = len(fake.requests)
    if is_own:
        async with fake.client() as spot:
            await use(spot)
    else:
        async with aiohttp.ClientSession() as session, fake.client(session=session) as spot:
            await use(spot)
    return sorted({name.lower() for request in fake.requests[before:] for name in request.headers})


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
        connections.request_class = lambda aiohttp_version: aiohttp.ClientRequest  # noqa: ARG005
    with PRODUCTS[product]():
        async with FakeSpot(kits=["SPOT123456"]) as fake:
            own = await headers_of(fake, is_own=True)
            callers = await headers_of(fake, is_own=False)
            ends = await ends_of_what_is_sent_once(fake)
    sys.stdout.write(json.dumps({"own": own, "callers": callers, "ends": ends}))


asyncio.run(main(*sys.argv[1:]))
