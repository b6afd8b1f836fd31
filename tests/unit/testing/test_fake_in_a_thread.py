"""The fake in a thread of its own: for whoever blocks, has several loops, or starts them anew."""

import asyncio
import errno
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager

import pytest
from fastapi import FastAPI, Request

from spotdx_async import NotSentError, RetryPolicy, SpotClient, SpotError
from spotdx_async.testing import FakeSpot, faults, run_virtual
from spotdx_async.testing.clock import LoopThread

KIT = "SPOT123456"


@pytest.fixture
def fast_switches() -> Iterator[None]:
    """Let the threads take turns as often as they can."""
    usual = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(usual)


def theirs(fake: FakeSpot) -> FastAPI:
    """An application that makes its client when it starts, and closes it."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with SpotClient(fake.token, base_url=fake.url) as spot:
            app.state.spot = spot
            yield

    app = FastAPI(lifespan=lifespan)

    @app.post("/kits/{kit_id}")
    async def update(kit_id: str, request: Request) -> str | None:
        spot: SpotClient = request.app.state.spot
        return (await spot.kits.update_metadata(kit_id, {"cohort": "A"})).kit_id

    return app


async def ask(fake: FakeSpot) -> str | None:
    async with fake.client() as spot:
        return (await spot.kits.get(KIT)).kit_id


async def update_once(fake: FakeSpot) -> None:
    async with fake.client(retry=RetryPolicy(max_attempts=1)) as spot:
        await spot.kits.update_metadata(KIT, {"cohort": "A"})


# --- The fixture in a synchronous test --------------------------------------------------------------------------------


# Starlette would rather have httpx2, which the examples do not use.
@pytest.mark.filterwarnings("ignore:Using `httpx` with `starlette.testclient`")
def test_a_sync_test_can_drive_an_application_that_uses_the_fake(fake_spot: FakeSpot) -> None:
    from fastapi.testclient import TestClient  # noqa: PLC0415 - it warns when it is imported

    fake_spot.faults.add("503")

    with TestClient(theirs(fake_spot)) as web:
        answer = web.post(f"/kits/{KIT}")

    assert (answer.status_code, answer.json()) == (200, KIT)
    assert fake_spot.kits[KIT].metadata == {"cohort": "A"}
    assert [request.status for request in fake_spot.requests] == [503, 200]


def test_a_sync_test_can_run_loops_one_after_the_other(fake_spot: FakeSpot) -> None:
    assert [asyncio.run(ask(fake_spot)) for _ in range(2)] == [KIT, KIT]


def test_a_sync_test_can_use_the_client_of_the_fixture(spot_client: SpotClient) -> None:
    async def use() -> str | None:
        async with spot_client:
            return (await spot_client.kits.get(KIT)).kit_id

    assert asyncio.run(use()) == KIT


async def test_an_async_test_shares_its_loop_with_the_fake(fake_spot: FakeSpot, spot_client: SpotClient) -> None:
    assert (await spot_client.kits.get(KIT)).kit_id == KIT
    assert "spotdx-fake" not in {thread.name for thread in threading.enumerate()}
    assert fake_spot.counts["200"] == 1


# --- FakeSpot with a thread -------------------------------------------------------------------------------------------


def test_its_thread_ends_with_it() -> None:
    with FakeSpot() as fake:
        assert asyncio.run(ask(fake)) == KIT
        assert "spotdx-fake" in {thread.name for thread in threading.enumerate()}

    assert "spotdx-fake" not in {thread.name for thread in threading.enumerate()}
    assert "stopped" in repr(fake)
    with pytest.raises(NotSentError):
        asyncio.run(update_once(fake))


def test_loops_of_several_threads_can_use_it_at_once() -> None:
    with FakeSpot() as fake, ThreadPoolExecutor(4) as threads:
        found = list(threads.map(lambda _: asyncio.run(ask(fake)), range(8)))

    assert found == [KIT] * 8
    assert fake.counts["200"] == 8


async def test_it_answers_a_loop_that_started_it_too() -> None:
    with FakeSpot() as fake:
        assert await ask(fake) == KIT


def test_it_closes_the_clients_it_made() -> None:
    with FakeSpot() as fake:
        client = fake.client()

    with pytest.raises(NotSentError, match="closed"):
        asyncio.run(client.kits.get(KIT))


def test_another_loop_can_stop_and_start_it() -> None:
    async def through_an_outage(fake: FakeSpot) -> str | None:
        await fake.stop()
        async with fake.client(retry=RetryPolicy(max_attempts=1)) as spot:
            with pytest.raises(NotSentError):
                await spot.kits.get(KIT)
        await asyncio.wait_for(fake.wait_stopped(), 5)
        await fake.start()
        return await ask(fake)

    with FakeSpot() as fake:
        assert asyncio.run(through_an_outage(fake)) == KIT


def test_a_sync_test_can_play_an_outage() -> None:
    with FakeSpot() as fake:
        with fake.outage(), pytest.raises(NotSentError):
            asyncio.run(update_once(fake))
        assert asyncio.run(ask(fake)) == KIT


async def test_an_outage_without_a_thread_says_what_to_do_instead() -> None:
    async with FakeSpot() as fake:
        with pytest.raises(RuntimeError, match=r"await stop\(\) and start\(\)"), fake.outage():
            pass


async def test_it_is_in_a_loop_or_in_a_thread_not_both() -> None:
    async with FakeSpot() as fake:
        with pytest.raises(RuntimeError, match="started already"), fake:
            pass


def test_a_port_in_use_leaves_no_thread_behind() -> None:
    with FakeSpot() as fake:
        port = int(fake.url.rpartition(":")[2])
        with pytest.raises(OSError, match="in use"), FakeSpot(port=port):
            pass

    assert "spotdx-fake" not in {thread.name for thread in threading.enumerate()}


def test_a_request_can_land_after_its_answer() -> None:
    with FakeSpot() as fake:
        fake.faults.add(faults.land_later(0.01))
        with pytest.raises(SpotError, match="504"):
            asyncio.run(update_once(fake))
        while fake.landing:
            threading.Event().wait(0.001)

        assert len(fake.ledger) == 1


def test_virtual_time_keeps_its_fake_in_its_loop() -> None:
    async def wait() -> float:
        async with FakeSpot() as fake, fake.client() as spot:
            fake.faults.add(faults.status(503, retry_after=300))
            await spot.kits.get(KIT)
            return asyncio.get_running_loop().time()

    assert 300 <= run_virtual(wait()) < 360


# --- State, from two threads ------------------------------------------------------------------------------------------


def test_nothing_is_carried_out_while_it_is_locked() -> None:
    with FakeSpot() as fake, ThreadPoolExecutor(1) as threads:
        with fake.locked():
            asked = threads.submit(asyncio.run, ask(fake))
            while not fake.in_flight:
                threading.Event().wait(0.001)
            assert fake.executed == []
        assert asked.result() == KIT
        assert len(fake.executed) == 1


@pytest.mark.usefixtures("fast_switches")
def test_what_is_added_while_lists_are_read_is_in_the_next_list() -> None:
    async def list_again_and_again(fake: FakeSpot, until: threading.Event) -> list[str | None]:
        async with fake.client() as spot:
            while not until.is_set():
                await spot.kits.list().first(500)
            return [kit.kit_id async for kit in spot.kits.list()]

    all_added = threading.Event()
    with FakeSpot() as fake, ThreadPoolExecutor(1) as threads:
        listing = threads.submit(asyncio.run, list_again_and_again(fake, all_added))
        try:
            for number in range(300):
                fake.kits.add(f"LATE{number:04}")
                assert [*fake.kits]
                assert all(count for _, count in fake.counts.items())
        finally:
            all_added.set()

        assert set(listing.result()) == set(fake.kits)


@pytest.mark.usefixtures("fast_switches")
def test_faults_can_be_planned_and_withdrawn_while_requests_come() -> None:
    async def ask_again_and_again(fake: FakeSpot, until: threading.Event) -> None:
        async with fake.client(retry=RetryPolicy(max_attempts=1)) as spot:
            while not until.is_set():
                await asyncio.gather(*(spot.kits.get(KIT) for _ in range(4)), return_exceptions=True)

    done = threading.Event()
    with FakeSpot() as fake, ThreadPoolExecutor(1) as threads:
        asking = threads.submit(asyncio.run, ask_again_and_again(fake, done))
        try:
            for _ in range(200):
                planned = fake.faults.add("400", times=2)
                left = fake.faults.withdraw(planned)
                assert planned.times_left == 0
                assert planned.played + (left or 0) == 2
                fake.faults.add("400")
                fake.faults.clear()
        finally:
            done.set()
        asking.result()

        assert fake.faults.played["400"] == fake.counts["400"]


def test_a_thread_whose_loop_cannot_be_made_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> asyncio.AbstractEventLoop:
        raise OSError(errno.EMFILE, "too many open files")

    monkeypatch.setattr(asyncio, "SelectorEventLoop", fail)
    with pytest.raises(OSError, match="too many open files"):
        LoopThread("spotdx test")
