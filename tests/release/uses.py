"""The smallest use of the core and of each extra: programs, with what they print. No import: nox reads it too."""

CORE = """
import asyncio
from spotdx_async import SpotClient, dumps
from spotdx_async.report import RunStory, render
from spotdx_async.testing import FakeSpot

async def main():
    run_stats = RunStory({}, now_s=0.0)
    async with FakeSpot() as fake, fake.client() as spot:
        kit = await spot.kits.update_metadata("SPOT123456", {"cohort": "A"})
        outcomes = [outcome async for outcome in spot.kits.update_metadata_many([("SPOT123456", {"cohort": "B"})])]
        run_stats.add(outcomes[0], now_s=1.0)
        run_stats.finish(now_s=2.0)
        states = [outcome.state for outcome in outcomes]
        print(len(dumps(kit)) > 100, states, fake.kits["SPOT123456"].metadata, "<svg" in render(run_stats))

asyncio.run(main())
"""
PARQUET = """
import pyarrow, pyarrow.parquet
from spotdx_async.files import open_rows

table = pyarrow.table({"kit_id": ["SPOT123456"], "cohort": ["A"]})
pyarrow.parquet.write_table(table, "kits.parquet")
with open_rows("kits.parquet") as rows:
    print([(row.key, row.metadata) for row in rows])
"""
PARQUET_FILE_ALONE = """
from pathlib import Path
from spotdx_async.files import open_rows

Path("kits.parquet").write_bytes(b"PAR1")
open_rows("kits.parquet")
"""
REDIS = """
import asyncio
from spotdx_async.shared import SharedLimiter

async def main():
    limiter = SharedLimiter("redis://127.0.0.1:1/0", 100, on_outage="local_share", timeout_s=0.2)
    await limiter.acquire()
    print("a slot")

asyncio.run(main())
"""
DASK = """
from spotdx_async.distributed import Split, update_metadata_distributed_blocking

with Split(shard_rows=2) as split:
    split.read_now([("SPOT123456", {"cohort": "A"})])
    print(split.rows, callable(update_metadata_distributed_blocking))
"""
OTEL = """
import asyncio
from spotdx_async.otel import OpenTelemetry
from spotdx_async.testing import FakeSpot

async def main():
    async with FakeSpot() as fake, fake.client(observer=OpenTelemetry()) as spot:
        print((await spot.kits.get("SPOT123456")).kit_id)

asyncio.run(main())
"""
UVLOOP = """
import asyncio
from spotdx_async.own_loop import run_in_own_loop

async def main():
    return type(asyncio.get_running_loop()).__module__

print(run_in_own_loop(main()))
"""

TRUSTSTORE = """
from spotdx_async.network import ssl_context_of

print(type(ssl_context_of("system", None, None)).__module__)
"""

USES = {
    "core": (CORE, "True ['ok'] {'cohort': 'B'} True"),
    "cli": ("spotdx demo --kits 20", "20 kits"),
    "parquet": (PARQUET, "[('SPOT123456', {'cohort': 'A'})]"),
    "redis": (REDIS, "a slot"),
    "dask": (DASK, "1 True"),
    "otel": (OTEL, "SPOT123456"),
    "uvloop": (UVLOOP, "uvloop"),
    "truststore": (TRUSTSTORE, "truststore"),
}
"""By extra, a program (``spotdx …``: the command) and what it prints."""

WITHOUT = {
    "parquet": PARQUET_FILE_ALONE,
    "redis": "from spotdx_async.shared import SharedLimiter",
    "dask": "from spotdx_async.distributed import update_metadata_distributed",
    "otel": "from spotdx_async.otel import OpenTelemetry",
    "truststore": TRUSTSTORE,
}
"""By extra, a program that fails for want of it, and says so."""

TEST = """
async def test_a_kit_is_updated(fake_spot, spot_client):
    await spot_client.kits.update_metadata("SPOT123456", {"cohort": "A"})
    assert fake_spot.kits["SPOT123456"].metadata == {"cohort": "A"}
"""
"""A test of a user, whose fixtures come with the package."""
