"""The examples that order kits for cohorts: each order is placed once, through a kill, other tries, a deploy."""

import asyncio
import json
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from types import ModuleType

import aiohttp
import pytest
from aiohttp import web

from spotdx_async.testing import FakeSpot, faults
from tests.docs.conftest import CANARY
from tests.docs.playing import load_example

pytestmark = [pytest.mark.virtual_time, pytest.mark.no_cover]

KEYS = [f"P-{number}" for number in range(12)]
ADDRESS = {"street1": "1 Example Street", "city": "Springfield", "state": "IL", "country": "US", "zip": "62701"}
PERSON = {"first_name": "Robin", "last_name": f"{CANARY}-last", "email": "r@example.com", "phone": "2025550147"}


@pytest.fixture
async def fake(
    wall: Callable[[], datetime], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[FakeSpot]:
    async with FakeSpot(wall=wall, orders=[]) as server:
        monkeypatch.setenv("SPOTDX_BASE_URL", server.url)
        monkeypatch.setenv("SPOTDX_TOKEN", server.token)
        monkeypatch.setenv("ORDERS", str(tmp_path))
        monkeypatch.chdir(tmp_path)
        yield server


def csv_file(folder: Path) -> Path:
    header = ["key", "kit_types", *PERSON, *ADDRESS, "street2", "metadata.site"]
    rows = [[key, "health_kit_1", *PERSON.values(), *ADDRESS.values(), "", "north"] for key in KEYS]
    path = folder / "cohort.csv"
    path.write_text("\n".join(",".join(row) for row in [header, *rows]) + "\n")
    return path


def lines(*, bad: str = "") -> bytes:
    order = {"kit_types": ["health_kit_1"], "recipient": {**PERSON, "address": ADDRESS}}
    rows = [{"key": key, "order": {**order, "kit_types": 7} if key == bad else order} for key in KEYS]
    return "\n".join(map(json.dumps, rows)).encode()


def hold_answers(fake: FakeSpot) -> None:
    """Let the first requests get no answer for as long as anybody waits: half of them are executed."""
    fake.faults.add(faults.slow_answer(1e6), times=4, method="POST")
    fake.faults.add(faults.land_later(1e6, answers_after_s=1e6), times=4, method="POST")


async def until_under_way(fake: FakeSpot) -> None:
    while fake.operation_counts["orders.create"] < 8:
        await asyncio.sleep(0.1)


def check_each_once(fake: FakeSpot) -> None:
    assert sorted(map(len, fake.orders.ids_by_reference().values())) == [1] * len(KEYS)


# --- A script ---------------------------------------------------------------------------------------------------------


async def test_the_script_goes_on_after_a_kill_and_tells_tracking_numbers(
    fake: FakeSpot, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    script, path = load_example("order_cohort"), csv_file(tmp_path)
    hold_answers(fake)
    killed = asyncio.create_task(script.main("cohort-7", path))
    await until_under_way(fake)
    killed.cancel()
    await asyncio.wait([killed])

    assert await script.main("cohort-7", path) == 0
    check_each_once(fake)
    assert capsys.readouterr().out.count("not shipped yet") == len(KEYS)
    for order in fake.orders.values():
        for kit in order.fulfil():
            kit.ship(tracking_number=f"T-{kit.kit_id}")
    assert await script.main("cohort-7", path) == 0

    told = dict(line.split() for line in capsys.readouterr().out.splitlines())
    assert told.keys() == {*KEYS}
    numbers = {f"T-{kit['kit_id']}" for order in fake.orders.values() for kit in order.document["kits"]}
    assert {*told.values()} == numbers


async def test_the_script_names_what_is_left_over(
    fake: FakeSpot, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fake.faults.add("422", times=1, method="POST")

    assert await load_example("order_cohort").main("cohort-7", csv_file(tmp_path)) == 1

    told = capsys.readouterr().out
    assert "failed: POST /api/v2/orders/" in told
    assert CANARY not in told


# --- A task of a scheduler --------------------------------------------------------------------------------------------


@pytest.fixture
def task() -> ModuleType:
    return load_example("order_task")


async def test_a_try_goes_on_where_the_one_before_was_killed(fake: FakeSpot, tmp_path: Path, task: ModuleType) -> None:
    path = tmp_path / "orders.jsonl"
    path.write_bytes(lines())
    hold_answers(fake)
    killed = asyncio.create_task(task.place_orders("2024-02-09", path, tmp_path))
    await until_under_way(fake)
    with pytest.raises(task.TryAgainLaterError, match="in use"):
        await task.place_orders("2024-02-09", path, tmp_path)
    killed.cancel()
    await asyncio.wait([killed])

    assert await task.place_orders("2024-02-09", path, tmp_path) == {"done": len(KEYS)}
    assert await task.place_orders("2024-02-09", path, tmp_path) == {"done": len(KEYS)}
    check_each_once(fake)


async def test_a_task_tells_what_another_try_mends_from_what_a_person_must(
    fake: FakeSpot, tmp_path: Path, task: ModuleType
) -> None:
    path = tmp_path / "orders.jsonl"
    path.write_bytes(lines(bad="P-3"))
    with pytest.raises(RuntimeError, match="'rejected': 1"):
        await task.place_orders("bad-row", path, tmp_path)
    path.write_bytes(lines() + b'\n}}}\n[1]\n{"key": "P-13"}\n\n')
    with pytest.raises(RuntimeError, match="'rejected': 3"):
        await task.place_orders("bad-lines", path, tmp_path)
    path.write_bytes(lines())
    fake.faults.add("422", times=1, method="POST")
    with pytest.raises(RuntimeError, match="'refused': 1"):
        await task.place_orders("refused", path, tmp_path)
    await fake.stop()
    with pytest.raises(task.TryAgainLaterError):
        await task.place_orders("down", path, tmp_path)
    (tmp_path / "torn.journal").write_bytes(b"no journal")
    with pytest.raises(RuntimeError, match="journal"):
        await task.place_orders("torn", path, tmp_path)


# --- A service --------------------------------------------------------------------------------------------------------


@asynccontextmanager
async def replica() -> AsyncIterator[str]:
    """Serve as one process would, and leave as it does at SIGTERM."""
    umask = os.umask(0o077)  # which the service sets for its whole process, the tests' own here
    runner = web.AppRunner(load_example("order_service").make_app())
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        host, port = runner.addresses[0][:2]
        yield f"http://{host}:{port}"
    finally:
        os.umask(umask)
        await runner.cleanup()


async def post(url: str, body: bytes | None = None, status: int = 202) -> str:
    async with (
        aiohttp.ClientSession() as browser,
        browser.post(f"{url}/cohorts/cohort-7", data=lines() if body is None else body) as answer,
    ):
        assert answer.status == status
        return await answer.text()


async def until_done(folder: Path) -> None:
    async with asyncio.timeout(600):
        while not (folder / "cohort-7.done").exists():
            await asyncio.sleep(1)


async def test_a_deploy_finishes_what_is_under_way_and_the_next_process_places_the_rest(
    fake: FakeSpot, tmp_path: Path
) -> None:
    fake.faults.add(faults.slow_answer(5), times=8, method="POST")
    async with replica() as url:
        await post(url)
        await until_under_way(fake)
    assert len(fake.creations) == 8
    assert not (tmp_path / "cohort-7.done").exists()
    looked = fake.operation_counts["orders.list"]

    async with replica():
        await until_done(tmp_path)

    assert fake.operation_counts["orders.create"] == len(KEYS)
    assert fake.operation_counts["orders.list"] - looked <= 2  # nothing was in doubt
    check_each_once(fake)
    assert {path.stat().st_mode & 0o077 for path in tmp_path.iterdir()} == {0}


async def test_what_gets_no_answer_before_the_process_ends_is_looked_for_by_the_next(
    fake: FakeSpot, tmp_path: Path
) -> None:
    hold_answers(fake)
    async with replica() as url:
        await post(url)
        await until_under_way(fake)
    async with replica():
        await until_done(tmp_path)
    check_each_once(fake)


async def test_a_second_replica_waits_for_the_journal_and_takes_over(
    fake: FakeSpot, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hold_answers(fake)
    first = replica()
    await post(await first.__aenter__())
    await until_under_way(fake)
    async with replica():
        await asyncio.sleep(10)
        assert "cohort-7: tried again later: the journal" in capsys.readouterr().out
        await first.__aexit__(None, None, None)
        await until_done(tmp_path)
    check_each_once(fake)


async def test_what_holds_no_orders_is_refused_at_once_and_holds_up_no_cohort(
    fake: FakeSpot, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = [b"}}}", b'{"key": "P-1"}', b"[1]", b"\xff", b'{"key": 1, "order": {}}', lines(bad="P-3")]
    (tmp_path / "by-hand.jsonl").write_text("}}}")
    async with replica() as url:
        answers = [await post(url, body, status=400) for body in bad]
        await post(url)
        await until_done(tmp_path)

    check_each_once(fake)
    told = "".join(answers) + capsys.readouterr().out
    assert "line 1 is not of the form" in answers[0]
    assert answers[-1].startswith("line 4: ")
    assert "by-hand: tried again later: line 1" in told
    assert CANARY not in told


@pytest.mark.parametrize(
    ("key", "told"),
    [
        (b"3", "line 2 is not of the form"),
        (b"null", "line 2 is not of the form"),
        (b'"\\ud800"', "line 2 is not of the form"),
        (b'""', "line 2: its key is empty, or that of an earlier line"),
        (b'"P-1"', "line 2: its key is empty, or that of an earlier line"),
    ],
)
async def test_a_key_that_no_order_can_have_is_refused_at_once(
    fake: FakeSpot, tmp_path: Path, key: bytes, told: str
) -> None:
    first, *_ = lines().splitlines(keepends=True)
    name = json.loads(first)["key"]
    one = first.replace(json.dumps(name).encode(), b'"P-1"')
    async with replica() as url:
        answer = await post(url, one + one.replace(b'"P-1"', key), status=400)

    assert answer.startswith(told)
    assert ([*tmp_path.iterdir()], fake.creations) == ([], [])


async def test_a_row_that_the_server_refuses_is_told_and_not_sent_for_ever(
    fake: FakeSpot, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fake.faults.add("422", times=1, method="POST")
    async with replica() as url:
        await post(url)
        await until_done(tmp_path)

    assert (fake.operation_counts["orders.create"], len(fake.orders)) == (len(KEYS), len(KEYS) - 1)
    assert ": failed: POST /api/v2/orders/: the server answered 422" in capsys.readouterr().out
