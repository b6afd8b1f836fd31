"""Runs on a real cluster: three worker processes, a fake server in its own, workers that are killed."""

import asyncio
import logging
import os
import re
import signal
import time
from collections.abc import AsyncIterator, Generator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from spotdx_async import ConfigError, InvalidInputError, Progress, RateLimit
from spotdx_async.distributed import ClientSettings, RunReport, Shard, ShardOptions, ShardReport
from spotdx_async.distributed.shard import mark_of
from spotdx_async.shared import SharedLimiter

dask = pytest.importorskip("distributed", reason="the extra dask is not installed")

TIMEOUT_S = 2.0


@pytest_asyncio.fixture
async def client(cluster: Any) -> AsyncIterator[Any]:
    async with dask.Client(cluster.scheduler_address, asynchronous=True) as found:
        await found.wait_for_workers(2, timeout=60)
        yield found


async def update(rows: Any, client: Any, fake: Any, **options: Any) -> RunReport:
    from spotdx_async.distributed import update_metadata_distributed  # noqa: PLC0415 - after the check that it can be had

    settings = ClientSettings(base_url=fake.url, timeout_s=TIMEOUT_S, lands_within_s=TIMEOUT_S)
    return await update_metadata_distributed(rows, client=client, **{"settings": settings, **options})


async def kill_a_worker(client: Any, fake: Any, after: int) -> None:
    """Kill a worker in the middle, as a crash would; it is one that the fixture has started."""
    pids = await client.run(os.getpid)
    while fake.executed() < after:
        await asyncio.sleep(0.05)
    os.kill(next(iter(pids.values())), signal.SIGKILL)


async def test_a_token_is_in_no_key_and_no_log(
    client: Any, start_fake: Any, token: str, caplog: pytest.LogCaptureFixture
) -> None:
    rows = [(f"SPOT{n % 50 + 1:06}", {"name": "canary"}) for n in range(100)]
    fake = start_fake(kits=50)
    keys: list[str] = []
    with caplog.at_level(logging.DEBUG):
        await update(rows, client, fake, on_report=lambda _: keys.extend(client.futures))
    logs = str([*(await client.get_worker_logs()).values(), await client.get_scheduler_logs(), caplog.text])
    seen = fake.finish()

    assert seen.tokens == [f"Token {token}"]
    assert keys
    assert all(re.fullmatch(r"spotdx_[0-9a-f]{8}-\d{6}", key) for key in keys)
    for secret in (token, "SPOT0000", "canary"):
        assert secret not in logs
        assert not any(secret in key for key in keys)


async def test_a_refused_token_stops_the_run_and_it_can_be_resumed(
    client: Any, start_fake: Any, rows_of: Any, tmp_path: Path, token: str
) -> None:
    rows = rows_of(3000, 600)
    fake = start_fake(kits=600)
    wrong = ClientSettings(base_url=fake.url, timeout_s=TIMEOUT_S, lands_within_s=TIMEOUT_S, token=str_of("wrong"))
    reports: list[ShardReport] = []

    stopped = await update(
        rows, client, fake, settings=wrong, folder=tmp_path, shard_rows=100, on_report=reports.append
    )

    assert stopped.stopped is not None
    assert "401" in stopped.stopped
    assert (stopped.rows, stopped.counts["ok"]) == (3000, 0)
    assert sum(report.rows for report in reports) == 3000
    assert sorted(index for report in reports for index in report.undone) == [*range(3000)]
    assert stopped.counts["skipped"] > 2000

    right = ClientSettings(base_url=fake.url, timeout_s=TIMEOUT_S, lands_within_s=TIMEOUT_S, token=str_of(token))
    done = await update(rows, client, fake, settings=right, folder=tmp_path, shard_rows=100)
    again = await update(rows, client, fake, settings=right, folder=tmp_path, shard_rows=100)

    fake.finish().check(rows)
    assert done.is_done
    assert (again.done_before, again.attempts) == (3000, 0)
    assert not [*tmp_path.rglob("*.rows")]


def str_of(text: str) -> Any:
    return lambda: text


async def test_it_can_be_stopped(client: Any, start_fake: Any, rows_of: Any) -> None:
    rows = rows_of(2000, 500)
    fake = start_fake(kits=500)
    stop = asyncio.Event()
    known: list[Progress] = []

    def look(progress: Progress) -> None:
        known.append(progress)
        if progress.by_state["ok"] > 100:
            stop.set()

    report = await update(rows, client, fake, limit=RateLimit(200), shard_rows=200, progress=look, stop=stop)

    assert report.stopped == "the run was stopped"
    assert 100 < report.counts["ok"] < 2000
    assert report.counts["ok"] + report.counts["skipped"] == 2000
    assert report.counts["ok"] == len(fake.finish().ledger)
    assert known[-1].done == known[-1].total == 2000


async def test_enough_failures_of_all_workers_together_stop_the_run(client: Any, start_fake: Any) -> None:
    rows = [(f"NONE{number}", {"n": 1}) for number in range(3000)]
    fake = start_fake(kits=600)
    options = ShardOptions(stop_after=30, concurrency=4)

    report = await update(rows, client, fake, options=options, shard_rows=20)

    fake.finish()
    assert report.stopped is not None
    assert report.stopped.startswith("as many rows were rejected, failed or ended unknown as are accepted")
    assert report.rows == 3000
    assert 30 <= report.counts["failed"] < 3000
    assert report.counts["skipped"] == 3000 - report.counts["failed"]


async def test_what_progress_raises_ends_the_run(client: Any, start_fake: Any, rows_of: Any) -> None:
    fake = start_fake(kits=100)

    def fail(_: Progress) -> None:
        raise LookupError("of the caller")

    with pytest.raises(LookupError, match="of the caller"):
        await update(rows_of(1000, 100), client, fake, limit=RateLimit(100), progress=fail)


async def test_one_limit_is_shared_through_redis(client: Any, start_fake: Any, rows_of: Any, redis_url: str) -> None:
    rows = rows_of(1500, 300)
    fake = start_fake(kits=300)
    settings = ClientSettings(
        base_url=fake.url,
        timeout_s=TIMEOUT_S,
        lands_within_s=TIMEOUT_S,
        limiter=lambda: SharedLimiter(redis_url, RateLimit(500)),
    )

    report = await update(rows, client, fake, settings=settings, shard_rows=150)
    seen = fake.finish()

    assert report.is_done
    seen.check(rows)
    seen.check_rate(RateLimit(500))


async def test_a_pause_that_the_server_asks_for_holds_for_all_workers(
    client: Any, start_fake: Any, rows_of: Any
) -> None:
    rows = rows_of(600, 200)
    fake = start_fake(kits=200, rate_limit=150, burst=150)

    report = await update(rows, client, fake, limit=RateLimit(400), shard_rows=50)

    assert report.is_done
    assert len(fake.finish().arrivals) - 600 < 3 * 64 * 4


async def test_bad_rows_are_reported_with_the_others(client: Any, start_fake: Any) -> None:
    rows = [("SPOT000001", {"n": 1}), ("", {"n": 2}), ("SPOT000002", {"n": float("nan")}), 7, ("SPOT000009", {})]
    fake = start_fake(kits=2)

    report = await update(rows, client, fake)

    assert (report.counts["ok"], report.counts["rejected"], report.counts["failed"]) == (1, 3, 1)
    assert [trouble.index for trouble in report.troubles] == [1, 2, 3, 4]
    assert report.stopped is None


def test_a_client_that_is_not_asynchronous_has_a_face_of_its_own(cluster: Any, start_fake: Any, rows_of: Any) -> None:
    from spotdx_async.distributed import update_metadata_distributed_blocking  # noqa: PLC0415 - as above

    rows = rows_of(200, 50)
    fake = start_fake(kits=50)
    with dask.Client(cluster) as plain:
        report = update_metadata_distributed_blocking(
            rows, client=plain, settings=ClientSettings(base_url=fake.url), options=ShardOptions(concurrency=8)
        )
        with pytest.raises(ConfigError, match="blocking"):
            asyncio.run(update(rows, plain, fake))

    assert report.is_done
    fake.finish().check(rows)


async def test_wrong_settings_are_refused_before_anything_is_sent(client: Any, start_fake: Any) -> None:
    fake = start_fake(kits=1)
    both = ClientSettings(base_url=fake.url, limiter=lambda: RateLimit(1))
    with pytest.raises(ConfigError, match="not both"):
        await update([], client, fake, settings=both, limit=RateLimit(1))
    with pytest.raises(InvalidInputError, match="mapping"):
        await update({}, client, fake)
    with pytest.raises(ConfigError, match="no token is sent to it"):
        ClientSettings(base_url=fake.url, token="secret")  # type: ignore[arg-type]


class Ended:
    """A future that ends in an error."""

    def __init__(self, error: BaseException) -> None:
        self._error = error

    def __await__(self) -> Generator[None, None, None]:
        yield
        raise self._error


@pytest.mark.parametrize(
    ("error", "reason", "is_run_wide"),
    [
        (dask.KilledWorker("canary", None, 3), "lost again and again", False),
        (asyncio.CancelledError("canary"), "dropped it", True),
        (LookupError("canary"), "LookupError", False),
    ],
)
async def test_a_shard_without_a_report_is_unknown(error: BaseException, reason: str, *, is_run_wide: bool) -> None:
    from spotdx_async.distributed import dask_engine  # noqa: PLC0415 - as above

    text = b'7\t["A",{}]\n'
    for rows in (text, "/nowhere/rows"):
        shard = Shard(number=3, count=1, rows=rows, mark=mark_of(text))
        future: Any = Ended(error)

        report = await dask_engine._result(future, shard)

        assert (report.counts["unknown"], report.rows) == (1, 1)
        assert report.stopped is not None
        assert reason in report.stopped
        assert "canary" not in str(report)
        assert report.is_run_wide is is_run_wide


async def test_where_nobody_answers_it_is_said_so_without_the_address(monkeypatch: pytest.MonkeyPatch) -> None:
    from spotdx_async.distributed import clusters  # noqa: PLC0415 - as above

    monkeypatch.setattr(clusters, "_CONNECT_S", 0.2)
    for address in ("tcp://127.0.0.1:9", "nonsense://x"):
        with pytest.raises(ConfigError, match="no Dask scheduler answers"):
            async with clusters.connected(address, None):
                raise AssertionError


# The last: Dask does not always start a killed worker again, and two are enough for what it proves.
@pytest.mark.parametrize("has_folder", [True, False], ids=["shared folder", "no folder"])
async def test_a_killed_worker_loses_no_row(
    client: Any, start_fake: Any, rows_of: Any, tmp_path: Path, chaos: Any, *, has_folder: bool
) -> None:
    count, rate = (20_000, 800) if chaos.is_full else (3000, 500)
    rows = rows_of(count, count // 5)
    fake = start_fake(kits=count // 5)
    killer = asyncio.create_task(kill_a_worker(client, fake, count // 3))
    began = time.monotonic()
    limit = RateLimit(rate)

    report = await update(
        rows, client, fake, folder=tmp_path / "run" if has_folder else None, shard_rows=count // 12, limit=limit
    )
    took_s = time.monotonic() - began
    await killer
    seen = fake.finish()

    assert (report.stopped, report.unfinished, report.rows) == (None, [], count)
    assert report.is_done
    seen.check(rows)
    repeats = len(seen.ledger) - count
    print(  # noqa: T201 - the proof's figures
        f"{count} rows, {report.shards} shards, one worker killed after {count // 3}: {took_s:.1f} s, {repeats} rows "
        f"sent again, most in a second {seen.most_within(1)}, in five {seen.most_within(5)}, at a limit of {rate}; "
        f"the fake was late by {seen.late_s * 1000:.0f} ms"
    )
    assert repeats <= (1000 + 64 if has_folder else report.rows // 12 * 1.25)
    seen.check_rate(limit)
