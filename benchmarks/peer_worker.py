"""One client in a process of its own: makes calls as ``bench_peers.py`` tells it, and tells their CPU time.

    python benchmarks/peer_worker.py {plain,spotdx_async,httpx,asyncio} URL

Answers a line ``CALLS CONCURRENCY`` on standard input with the CPU microseconds a call, until the input ends. Its first
line is ``ready`` and what it runs on, or ``cannot`` and the name of what went wrong in a first call.
"""

import asyncio
import importlib
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from importlib.metadata import version

import aiohttp
import orjson
from rounds import Call, cost

from spotdx_async import SpotClient

METADATA = {"cohort": "A"}
TOKEN = "Token benchmark"  # noqa: S105 - of a server that does not look at it


@asynccontextmanager
async def plain(url: str) -> AsyncIterator[Call]:
    """Post and parse with aiohttp and orjson alone."""
    headers = {"Authorization": TOKEN, "Content-Type": "application/json"}
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), headers=headers) as session:

        async def call(kit_id: str) -> object:
            body = orjson.dumps({"metadata": METADATA})
            async with session.post(f"{url}/api/v2/kits/{kit_id}/", data=body) as response:
                return orjson.loads(await response.read())

        yield call


@asynccontextmanager
async def ours(url: str) -> AsyncIterator[Call]:
    """Call ``update_metadata``."""
    async with SpotClient("benchmark", base_url=url, concurrency=200) as spot:

        async def call(kit_id: str) -> object:
            return await spot.kits.update_metadata(kit_id, METADATA)

        yield call


@asynccontextmanager
async def by_httpx(url: str) -> AsyncIterator[Call]:
    """Call the operation that openapi-python-client made."""
    package = importlib.import_module("peer_httpx")
    models = importlib.import_module("peer_httpx.models")
    operation = importlib.import_module("peer_httpx.api.default.api_v2_update_kit_metadata")
    async with package.AuthenticatedClient(url, token="benchmark", prefix="Token") as client:  # noqa: S106 - as above

        async def call(kit_id: str) -> object:
            body = models.ApiV2UpdateKitMetadataBody.from_dict({"metadata": METADATA})
            return await operation.asyncio(kit_id, client=client, body=body)

        yield call


@asynccontextmanager
async def by_asyncio(url: str) -> AsyncIterator[Call]:
    """Call the operation that OpenAPI Generator made."""
    package = importlib.import_module("peer_asyncio")
    settings = package.Configuration(
        host=url, api_key={"tokenAuth": "benchmark"}, api_key_prefix={"tokenAuth": "Token"}
    )
    async with package.ApiClient(settings) as client:
        api = package.DefaultApi(client)

        async def call(kit_id: str) -> object:
            return await api.api_v2_update_kit_metadata(
                kit_id, package.ApiV2UpdateKitMetadataRequest(metadata=METADATA)
            )

        yield call


CLIENTS: dict[str, Callable[[str], AbstractAsyncContextManager[Call]]] = {
    "plain": plain,
    "spotdx_async": ours,
    "httpx": by_httpx,
    "asyncio": by_asyncio,
}


VERSIONS_OF = {
    "plain": ("aiohttp", "orjson"),
    "spotdx_async": ("spotdx-async", "aiohttp"),
    "httpx": ("openapi-python-client", "httpx", "attrs"),
    "asyncio": ("openapi-generator-cli", "aiohttp", "pydantic"),
}


async def serve(kind: str, url: str) -> None:
    """Call once to see that the client can read the answer, then as told."""
    async with CLIENTS[kind](url) as call:
        answer = await call("SPOT123456")
        kit_id = answer["kit_id"] if isinstance(answer, dict) else getattr(answer, "kit_id", None)
        assert kit_id == "SPOT123456", "no kit"
        print("ready", ", ".join(f"{name} {version(name)}" for name in VERSIONS_OF[kind]), flush=True)
        loop = asyncio.get_running_loop()
        while line := await loop.run_in_executor(None, sys.stdin.readline):
            calls, concurrency = map(int, line.split())
            print((await cost(call, calls, concurrency)).cpu_us, flush=True)


if __name__ == "__main__":
    try:
        asyncio.run(serve(*sys.argv[1:]))
    except Exception as error:
        print("cannot", type(error).__name__, flush=True)
        raise
