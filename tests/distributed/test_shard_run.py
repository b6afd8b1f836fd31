"""One shard: every row in its report, resumed by its journal, stopped in order, never raising."""

import asyncio
import errno
import json
import pickle
import sqlite3
from collections.abc import AsyncIterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing
from datetime import date
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import attrs
import pytest
import pytest_asyncio

from spotdx_async import ConfigError, OrderMetadataUpdate, RetryPolicy, read_journal
from spotdx_async.distributed import ClientSettings, Shard, ShardOptions, Split, merge, run_shard, run_shard_blocking
from spotdx_async.files import FailedRows
from spotdx_async.testing import FakeSpot, faults

ONCE = RetryPolicy(max_attempts=1)


@pytest_asyncio.fixture
async def fake() -> AsyncIterator[FakeSpot]:
    async with FakeSpot(kits=100) as found:
        yield found


def shard_of(rows: Any, **options: Any) -> Shard:
    with Split(shard_rows=8000, **options) as split:
        split.read_now(rows)
        (shard,) = split.shards()
        return attrs.evolve(shard, rows=Path(shard.rows).read_bytes() if isinstance(shard.rows, str) else shard.rows)


async def test_every_row_is_counted_and_those_not_done_are_named_and_written(
    fake: FakeSpot, rows_of: Any, tmp_path: Path
) -> None:
    rows = [*rows_of(50, 20), ("NOSUCHKIT", {"n": 50}), ("SPOT000001", {"n": 51})]

    report = await run_shard(shard_of(rows, folder=tmp_path), fake.client())

    assert (report.counts["ok"], report.counts["failed"], report.rows, report.undone) == (51, 1, 52, (50,))
    assert report.stopped is None
    assert report.troubles[0].index == 50
    assert "404" in report.troubles[0].reason
    (failed,) = tmp_path.rglob("*.failed.jsonl")
    assert json.loads(failed.read_text()) == {"kit_id": "NOSUCHKIT", "metadata": {"n": 50}}
    assert failed.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("is_at_the_end", [False, True], ids=["at a row", "at the end"])
async def test_failed_rows_that_the_disk_does_not_take_are_named(
    fake: FakeSpot, rows_of: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, is_at_the_end: bool
) -> None:
    write = FailedRows.write

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    def almost_full(self: FailedRows, source: bytes) -> None:
        full() if self.count == 1 else write(self, source)

    if is_at_the_end:
        monkeypatch.setattr(FailedRows, "close", full)
    else:
        monkeypatch.setattr(FailedRows, "write", almost_full)
    rows = [("NOSUCHKIT", {"n": 0}), *rows_of(5, 5), ("NOSUCHKIT", {"n": 6}), ("NOSUCHKIT", {"n": 7})]

    report = await run_shard(shard_of(rows, folder=tmp_path), fake.client())

    assert report.stopped is None
    assert report.undone == (0, 6, 7)
    assert report.unwritten == ((0, 6, 7) if is_at_the_end else (6, 7))
    assert merge([report]).unwritten == len(report.unwritten)


async def test_rows_whose_file_is_deleted_during_the_run_are_named(
    fake: FakeSpot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = FailedRows.write

    def deleting(self: FailedRows, source: bytes) -> None:
        write(self, source)
        self.place.unlink()

    monkeypatch.setattr(FailedRows, "write", deleting)

    report = await run_shard(shard_of([("NOSUCHKIT", {"n": 0})], folder=tmp_path), fake.client())

    assert (report.undone, report.unwritten) == ((0,), (0,))


async def test_rows_that_are_overtaken_are_named_and_in_no_file(fake: FakeSpot, tmp_path: Path) -> None:
    fake.faults.add("400", times=1, kit_id="SPOT000001")
    fake.faults.add("400", times=2, kit_id="SPOT000002")
    rows = [("SPOT000001", {"n": 0}), ("SPOT000002", {"n": 1}), ("SPOT000001", {"n": 2}), ("SPOT000002", {"n": 3})]

    report = await run_shard(shard_of(rows, folder=tmp_path), fake.client())

    assert (report.undone, report.overtaken, report.unwritten) == ((0, 1, 3), (0,), ())
    (failed,) = tmp_path.rglob("*.failed.jsonl")
    assert [json.loads(line)["metadata"]["n"] for line in failed.read_text().splitlines()] == [1, 3]


async def test_rows_that_a_full_disk_did_not_take_and_are_overtaken_are_none_to_name(
    fake: FakeSpot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(FailedRows, "write", full)
    fake.faults.add("400", times=1, kit_id="SPOT000001")
    rows = [("SPOT000001", {"n": 0}), ("NOSUCHKIT", {"n": 1}), ("SPOT000001", {"n": 2})]

    report = await run_shard(shard_of(rows, folder=tmp_path), fake.client())

    assert (report.undone, report.overtaken, report.unwritten) == ((0, 1), (0,), (1,))


async def test_rows_that_a_stop_has_left_unread_are_in_the_file_too(
    fake: FakeSpot, rows_of: Any, tmp_path: Path
) -> None:
    fake.faults.add("401")

    report = await run_shard(shard_of(rows_of(500, 20), folder=tmp_path), fake.client(), ShardOptions(concurrency=1))

    assert (report.counts["ok"], report.unwritten) == (0, ())
    (failed,) = tmp_path.rglob("*.failed.jsonl")
    assert [json.loads(line)["metadata"]["n"] for line in failed.read_text().splitlines()] == [*range(500)]


async def test_a_repeated_shard_skips_what_its_journal_shows_done(fake: FakeSpot, rows_of: Any, tmp_path: Path) -> None:
    shard = shard_of([*rows_of(50, 20), ("SPOT000100", {"n": 50})], folder=tmp_path)
    fake.faults.add("400", times=1, kit_id="SPOT000100")
    first = await run_shard(shard, fake.client())
    second = await run_shard(shard, fake.client())

    assert (first.counts["ok"], first.counts["failed"]) == (50, 1)
    assert (second.counts["ok"], second.done_before, second.attempts) == (1, 50, 1)
    assert not [*tmp_path.rglob("*.failed.jsonl")]


async def test_without_a_journal_it_is_repeated_as_a_whole(fake: FakeSpot, rows_of: Any) -> None:
    shard = shard_of(rows_of(50, 20))

    reports = [await run_shard(shard, fake.client()) for _ in range(2)]

    assert merge(reports).counts["ok"] == 100
    assert len(fake.ledger) == 100


async def test_two_at_once_wait_for_one_another(fake: FakeSpot, rows_of: Any, tmp_path: Path) -> None:
    shard = shard_of(rows_of(50, 20), folder=tmp_path)
    fake.latency_s = 0.05

    reports = await asyncio.gather(*(run_shard(shard, fake.client(concurrency=8)) for _ in range(2)))

    assert sorted(report.counts["ok"] for report in reports) == [0, 50]
    assert sorted(report.done_before for report in reports) == [0, 50]


async def test_a_journal_that_stays_in_use_is_reported(fake: FakeSpot, rows_of: Any, tmp_path: Path) -> None:
    shard = shard_of(rows_of(50, 50), folder=tmp_path)
    fake.latency_s = 0.5
    running = asyncio.create_task(run_shard(shard, fake.client(concurrency=50)))
    async with asyncio.timeout(5):
        while not fake.in_flight:
            await asyncio.sleep(0.01)

    report = await run_shard(shard, fake.client(), ShardOptions(journal_wait_s=0.1))

    assert report.stopped is not None
    assert "in use" in report.stopped
    assert not report.is_run_wide
    assert (report.counts["skipped"], report.done_before, len(report.undone)) == (50, 0, 50)
    assert (await running).counts["ok"] == 50


async def test_what_stops_one_shard_stops_all_and_is_said_so(fake: FakeSpot, rows_of: Any) -> None:
    report = await run_shard(shard_of(rows_of(50, 20)), fake.client(token="wrong"))

    assert report.is_run_wide
    assert report.stopped is not None
    assert "401" in report.stopped
    assert (report.rows, report.counts["ok"], len(report.undone)) == (50, 0, 50)


async def test_another_input_in_its_journal_stops_all(fake: FakeSpot, rows_of: Any, tmp_path: Path) -> None:
    shard = shard_of(rows_of(50, 20), folder=tmp_path)
    await run_shard(shard, fake.client())
    other = attrs.evolve(shard_of(rows_of(49, 20)), journal=shard.journal)

    report = await run_shard(other, fake.client())

    assert report.is_run_wide
    assert report.stopped is not None
    assert "another input" in report.stopped
    assert report.counts["skipped"] == 49


async def test_it_can_be_stopped_and_resumed(fake: FakeSpot, rows_of: Any, tmp_path: Path) -> None:
    shard = shard_of(rows_of(100, 40), folder=tmp_path)
    stop = asyncio.Event()
    fake.latency_s = 0.02
    running = asyncio.create_task(run_shard(shard, fake.client(), ShardOptions(concurrency=4), stop=stop))
    async with asyncio.timeout(5):
        while len(fake.ledger) < 20:
            await asyncio.sleep(0.005)
    stop.set()
    first = await running
    second = await run_shard(shard, fake.client())

    assert first.stopped == "the run was stopped"
    assert first.counts["ok"] + first.counts["skipped"] == 100
    assert (second.done_before, second.counts["ok"]) == (first.counts["ok"], first.counts["skipped"])
    assert len(fake.ledger) == 100


@pytest.mark.virtual_time
async def test_a_repeat_without_a_journal_holds_kits_of_several_values_until_nothing_of_before_can_land(
    fake: FakeSpot, caplog: pytest.LogCaptureFixture
) -> None:
    rows = [("SPOT000001", {"n": 0}), ("SPOT000002", {"n": 1}), ("SPOT000001", {"n": 2}), ("SPOT000003", {"n": 3})]

    report = await run_shard(shard_of(rows), fake.client(), is_repeat=True)

    assert report.counts["ok"] == 4
    assert 60 <= report.elapsed_s < 61
    assert sorted(entry.metadata["n"] for entry in fake.ledger[:2]) == [1, 3]
    assert [entry.metadata["n"] for entry in fake.ledger[2:]] == [0, 2]
    assert "shard 0: 2 rows wait 60 s" in caplog.text
    assert [record.spotdx_event for record in caplog.records] == ["settle"]  # type: ignore[attr-defined]


@pytest.mark.virtual_time
async def test_a_repeat_without_two_values_of_a_kit_waits_for_nothing(fake: FakeSpot, rows_of: Any) -> None:
    report = await run_shard(shard_of(rows_of(20, 20)), fake.client(), is_repeat=True)

    assert report.counts["ok"] == 20
    assert report.elapsed_s < 1


async def test_a_stop_ends_the_wait_of_a_repeat_and_every_row_is_reported(fake: FakeSpot, rows_of: Any) -> None:
    stop = asyncio.Event()
    running = asyncio.create_task(run_shard(shard_of(rows_of(4, 2)), fake.client(), is_repeat=True, stop=stop))
    await asyncio.sleep(0.05)
    stop.set()

    report = await asyncio.wait_for(running, 5)

    assert (report.counts["skipped"], report.undone, report.stopped) == (4, (0, 1, 2, 3), "the run was stopped")
    assert not fake.ledger


@pytest.mark.virtual_time
async def test_a_client_closed_in_the_wait_of_a_repeat_loses_no_row_from_the_report(
    fake: FakeSpot, tmp_path: Path
) -> None:
    rows = [("SPOT000001", {"n": 0}), ("SPOT000002", {"n": 1}), ("SPOT000001", {"n": 2}), ("SPOT000001", {"n": 3})]
    shard = attrs.evolve(shard_of(rows), failed=str(tmp_path / "failed.jsonl"))
    spot = fake.client()
    running = asyncio.create_task(run_shard(shard, spot, is_repeat=True))
    await asyncio.sleep(30)
    await spot.close()

    report = await running

    assert (report.counts["ok"], report.counts["skipped"], report.undone) == (1, 3, (0, 2, 3))
    written = [json.loads(line) for line in (tmp_path / "failed.jsonl").read_text().splitlines()]
    assert [row["metadata"]["n"] for row in written] == [0, 2, 3]


def killed(shard: Shard, *, recorded: int) -> None:
    """Make a journal that of a killed process, which had recorded so many rows."""
    with closing(sqlite3.connect(str(shard.journal))) as journal, journal:
        journal.execute("UPDATE meta SET ending = NULL")
        journal.execute("DELETE FROM rows WHERE row >= ?", (recorded,))


@pytest.mark.virtual_time
@pytest.mark.parametrize("is_repeat", [False, True])
async def test_after_a_kill_its_journal_holds_no_row_but_the_next_value_of_one_that_may_have_been_sent(
    fake: FakeSpot, tmp_path: Path, *, is_repeat: bool
) -> None:
    rows = [("SPOT000001", {"n": 0}), ("SPOT000002", {"n": 1}), ("SPOT000003", {"n": 2}), ("SPOT000002", {"n": 3})]
    shard = shard_of(rows, folder=tmp_path)
    await run_shard(shard, fake.client())
    del fake.ledger[:]
    killed(shard, recorded=1)

    report = await run_shard(shard, fake.client(), is_repeat=is_repeat)

    assert (report.done_before, report.counts["ok"]) == (1, 3)
    assert [entry.metadata["n"] for entry in fake.ledger] == [1, 2, 3]
    assert 60 <= report.elapsed_s < 61


@pytest.mark.virtual_time
@pytest.mark.parametrize("is_repeat", [False, True])
async def test_after_a_kill_a_journal_of_kits_of_one_value_makes_nobody_wait(
    fake: FakeSpot, rows_of: Any, tmp_path: Path, *, is_repeat: bool
) -> None:
    shard = shard_of(rows_of(50, 50), folder=tmp_path)
    await run_shard(shard, fake.client())
    killed(shard, recorded=20)

    report = await run_shard(shard, fake.client(), is_repeat=is_repeat)

    assert (report.done_before, report.counts["ok"]) == (20, 30)
    assert report.elapsed_s < 5


async def test_rows_that_are_gone_are_reported_without_an_exception(fake: FakeSpot, rows_of: Any) -> None:
    shard = attrs.evolve(shard_of(rows_of(5, 5)), rows="/nowhere/rows")

    report = await run_shard(shard, fake.client())

    assert report.stopped is not None
    assert "cannot be read" in report.stopped
    assert report.counts["skipped"] == 5


async def test_an_error_from_outside_is_told_by_its_type_alone(fake: FakeSpot, rows_of: Any) -> None:
    def fail(_: object) -> None:
        raise LookupError("canary")

    fake.latency_s = 0.3
    report = await run_shard(shard_of(rows_of(90, 5)), fake.client(), progress=fail)

    assert report.stopped == "LookupError was raised"
    assert report.rows == 90


async def test_what_was_cut_off_is_unknown(fake: FakeSpot, rows_of: Any) -> None:
    fake.faults.add(faults.slow(60), times=None)

    report = await run_shard(shard_of(rows_of(3, 3)), fake.client(timeout_s=0.1, retry=ONCE))

    assert report.counts["unknown"] == 3
    assert report.undone == (0, 1, 2)


async def test_orders_go_the_same_way() -> None:
    async with FakeSpot(orders=5) as fake:
        ids = [*fake.state.orders]
        rows = [OrderMetadataUpdate(ids[n % 5], {"n": n}) for n in range(20)]

        report = await run_shard(shard_of(rows, noun="orders"), fake.client())

        assert report.counts["ok"] == 20
        assert len(fake.order_ledger) == 20


async def test_progress_is_told(fake: FakeSpot, rows_of: Any) -> None:
    known: list[int] = []

    await run_shard(shard_of(rows_of(50, 20)), fake.client(), progress=lambda progress: known.append(progress.done))

    assert known[-1] == 50


def test_a_pool_of_processes_runs_shards(start_fake: Any, rows_of: Any, tmp_path: Path, token: str) -> None:
    rows = rows_of(600, 100)
    fake = start_fake(kits=100)
    settings = ClientSettings(base_url=fake.url)
    with pytest.MonkeyPatch.context() as patch, Split(shard_rows=100, folder=tmp_path) as split:
        patch.setenv("SPOTDX_TOKEN", token)
        split.read_now(rows)
        with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
            report = merge(pool.map(partial(run_shard_blocking, settings=settings), split.shards()))

    assert report.is_done
    assert report.rows == 600
    fake.finish().check(rows)
    assert {read_journal(path).ending for path in tmp_path.rglob("*.journal")} == {"complete"}


def test_without_a_token_nothing_is_begun(monkeypatch: pytest.MonkeyPatch, rows_of: Any) -> None:
    monkeypatch.delenv("SPOTDX_TOKEN", raising=False)

    with pytest.raises(ConfigError, match="no token"):
        run_shard_blocking(shard_of(rows_of(5, 5)), ClientSettings(base_url="http://127.0.0.1:9"))


@pytest.mark.virtual_time
async def test_ids_that_could_lead_elsewhere_are_sent_where_settings_and_split_allow_them() -> None:
    odd = ["x/../y", "a\\b"]
    rows = [(kit_id, {"n": 1}) for kit_id in odd]
    with Split() as split:
        split.read_now(rows)
        assert split.rejected.counts["rejected"] == 2
    async with FakeSpot(kits=odd) as fake:
        settings = ClientSettings(base_url=fake.url, allow_any_id=True, token=lambda: fake.token)
        with Split(allow_any_id=settings.allow_any_id) as split:
            split.read_now(rows)
            (shard,) = split.shards()
        async with settings.client() as spot:
            report = await run_shard(shard, spot)

    assert report.counts["ok"] == 2
    with pytest.raises(ConfigError, match="allow_any_id"):
        ClientSettings(allow_any_id="false")  # type: ignore[arg-type]


def as_text(value: object) -> str:
    return str(value)


@pytest.mark.virtual_time
async def test_values_that_json_lacks_are_encoded_where_rows_are_split_and_where_a_worker_sends(fake: FakeSpot) -> None:
    kit_id = next(iter(fake.kits))
    settings = ClientSettings(base_url=fake.url, encode=as_text, token=partial(str, fake.token))
    travelled = pickle.loads(pickle.dumps(settings))
    with Split(encode=settings.encode) as split:
        split.read_now([(kit_id, {"day": date(2026, 1, 31)}), (kit_id, {"day": float("nan")})])
        (shard,) = split.shards()
        rejected = split.rejected
    async with travelled.client() as spot:
        report = await run_shard(shard, spot)
        sent = fake.kits[kit_id].metadata
        await spot.kits.update_metadata(kit_id, {"day": date(2026, 2, 1)})

    assert (report.counts["ok"], rejected.counts["rejected"]) == (1, 1)
    assert sent == {"day": "2026-01-31"}
    assert fake.kits[kit_id].metadata == {"day": "2026-02-01"}


def test_a_function_that_cannot_travel_is_refused_where_settings_are_made() -> None:
    with pytest.raises(ConfigError, match="pickled by its name") as caught:
        ClientSettings(encode=lambda _: "canary")
    assert caught.value.__context__ is None
    with pytest.raises(ConfigError, match="plain function"):
        ClientSettings(encode=5)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="plain function"):
        Split(encode=5)  # type: ignore[arg-type]
