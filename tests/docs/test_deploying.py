"""What the page on deploying says of forks, frozen loops, time limits, threads and notebooks, with plain Python."""

import ast
import asyncio
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from types import CodeType
from typing import Any

import pytest

from spotdx_async import InvalidInputError, NotFoundError, OutcomeUnknownError, SpotClient
from spotdx_async.testing import FakeSpot, faults
from tests.docs.pages import DOCS, ROOT, blocks_of
from tests.docs.playing import environment, load_example
from tests.forks import in_a_forked_child
from tests.new_objects import ORDER
from tests.patience import PATIENCE_S, until


class SoftTimeLimitError(Exception):
    """Raised by a signal handler, as Celery does."""


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeSpot]:
    with FakeSpot() as fake:
        monkeypatch.setenv("SPOTDX_BASE_URL", fake.url)
        monkeypatch.setenv("SPOTDX_TOKEN", fake.token)
        yield fake


@pytest.fixture
def recipe(fake: FakeSpot) -> Iterator[Any]:  # noqa: ARG001 - what it calls
    module = load_example("portal")
    yield module
    for portal in module._portals:
        portal.close()


def wait_for(is_so: Callable[[], object]) -> None:
    asyncio.run(until(is_so))


def test_threads_share_the_portals_client(fake: FakeSpot, recipe: Any) -> None:
    said: list[str] = []
    threads = [threading.Thread(target=lambda: said.append(recipe.set_cohort("SPOT123456", "A"))) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_S)

    assert said == [f"SPOT123456 {fake.kits['SPOT123456'].status}"] * 20
    assert len(recipe._portals) == 1
    assert recipe.portal().spot.stats.calls == 20


def test_errors_come_out_of_the_portal_with_their_classes_and_facts(fake: FakeSpot, recipe: Any) -> None:
    portal = recipe.portal()
    with pytest.raises(NotFoundError) as missing:
        portal.call(portal.spot.kits.get("SPOT000000"))
    with pytest.raises(InvalidInputError):
        portal.call(portal.spot.kits.get(""))
    fake.faults.add(faults.slow_answer(600))
    with pytest.raises(OutcomeUnknownError) as late:
        portal.call(portal.spot.with_options(deadline_s=0.2).kits.update_metadata("SPOT123456", {}))

    assert (missing.value.status, missing.value.attempts) == (404, 1)
    assert late.value.reason == "deadline"


def test_a_portal_that_closes_ends_the_calls_of_other_threads(fake: FakeSpot, recipe: Any) -> None:
    fake.latency_s = 600
    portal, ends = recipe.portal(), Counter[str]()

    def call() -> None:
        try:
            portal.call(portal.spot.kits.get("SPOT123456"))
        except BaseException as error:  # noqa: BLE001 - whatever it is, the test is to see it
            ends[type(error).__name__] += 1

    threads = [threading.Thread(target=call) for _ in range(70)]
    for thread in threads:
        thread.start()
    wait_for(lambda: fake.in_flight == 64 and portal.spot.stats.waiting == 6)
    portal.close()
    portal.close()
    for thread in threads:
        thread.join(PATIENCE_S)

    assert ends == {"OutcomeUnknownError": 64, "NotSentError": 6}


async def test_a_forked_worker_makes_a_portal_of_its_own(fake: FakeSpot, recipe: Any) -> None:
    recipe.set_cohort("SPOT123456", "A")
    (parents,) = recipe._portals

    def work() -> None:
        assert recipe.set_cohort("SPOT123456", "B").startswith("SPOT123456 ")
        parents.close()  # as the handlers of atexit that a fork copies
        recipe.portal().close()

    assert await in_a_forked_child(work) == 0
    recipe.set_cohort("SPOT123456", "C")

    assert [entry.metadata["cohort"] for entry in fake.ledger] == ["A", "B", "C"]
    first, child, last = (request.connection for request in fake.requests)
    assert first == last != child


def test_a_portal_is_closed_at_the_end_of_its_process_without_a_warning(fake: FakeSpot, tmp_path: Path) -> None:
    command = [sys.executable, "-W", "error", str(ROOT / "examples" / "portal.py")]
    done = subprocess.run(  # noqa: S603 - our own script
        [*command, "SPOT000000", "SPOT123456"],
        cwd=tmp_path,
        env=environment(fake),
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )

    assert done.stderr == ""
    assert done.stdout.splitlines()[-1] == f"SPOT123456 {fake.kits['SPOT123456'].status}"


@pytest.fixture
def soft_limit(fake: FakeSpot) -> Iterator[threading.Thread]:
    """A signal whose handler raises in the main thread while that waits for a request under way."""

    def raise_it(_number: int, _frame: object) -> None:
        raise SoftTimeLimitError

    def strike() -> None:
        number = main.ident or 0
        # A limit of minutes finds the thread waiting: so does this one, which comes at once.
        wait_for(lambda: fake.in_flight and sys._current_frames()[number].f_code.co_name == "wait")
        signal.pthread_kill(number, signal.SIGUSR1)

    main, before = threading.main_thread(), signal.signal(signal.SIGUSR1, raise_it)
    thread = threading.Thread(target=strike, daemon=True)
    yield thread
    thread.join(PATIENCE_S)
    signal.signal(signal.SIGUSR1, before)


def test_a_soft_time_limit_cancels_the_portals_call_and_a_look_tells_what_became_of_it(
    fake: FakeSpot, recipe: Any, soft_limit: threading.Thread
) -> None:
    portal = recipe.portal()
    portal.call(portal.spot.kits.get("SPOT123456"))
    fake.faults.add(faults.slow_answer(600), method="POST")
    soft_limit.start()
    with pytest.raises(SoftTimeLimitError):
        portal.call(portal.spot.orders.create(ORDER, client_ref="task-7"))
    wait_for(lambda: portal.spot.stats.in_flight == 0)

    # The task comes again, with the same id.
    found = portal.call(portal.spot.orders.reconcile(client_ref="task-7"))

    assert found.state == "found"
    assert [creation.an_id for creation in fake.creations] == [found.value.order_id]
    assert portal.spot.stats.in_flight == portal.spot.stats.waiting == 0


class ATenthLess:
    def get_remaining_time_in_millis(self) -> int:
        return 9900


def test_a_function_that_was_frozen_goes_on_with_connections_that_are_alive(
    fake: FakeSpot,
) -> None:
    example = load_example("aws_lambda")
    event = {"kit_id": "SPOT123456", "cohort": "A"}
    port = int(fake.url.rpartition(":")[2])

    first = example.handler(event, ATenthLess())
    second = example.handler(event, ATenthLess())
    connections = {request.connection for request in fake.requests}
    fake.__exit__(None, None, None)  # frozen: nobody reads that the connections end
    with FakeSpot(port=port) as later:
        third = example.handler(event, ATenthLess())
        order = example.loop.run(example.spot.orders.create(ORDER))
        missing = example.handler({**event, "kit_id": "SPOT000000"}, ATenthLess())
        example.loop.run(example.spot.close())
        example.loop.close()

    assert first == second == third == {"kit_id": "SPOT123456", "status": later.kits["SPOT123456"].status}
    assert len(connections) == 1
    assert [creation.an_id for creation in later.creations] == [order.order_id]
    assert missing == {"error": "NotFoundError"}


def test_the_cells_of_the_page_run_one_after_another_and_after_an_interrupt(
    fake: FakeSpot, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    blocks = [block for block in blocks_of(DOCS / "deploying.md") if block.act == "elsewhere"]
    names: dict[str, Any] = {}

    async def run(cell: str) -> None:
        code: CodeType = compile(cell, "a cell", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        await eval(code, names)  # noqa: S307 - as IPython does

    async def notebook() -> None:
        make, update, close = (block.text for block in blocks)
        await run(make)
        fake.latency_s = 600
        cell = asyncio.ensure_future(run(update))
        await until(lambda: fake.in_flight)
        cell.cancel()  # what an interrupt does to a cell that awaits
        with pytest.raises(asyncio.CancelledError):
            await cell
        fake.latency_s = 0
        await run(update)
        await run(close)

    asyncio.run(notebook())

    assert names["kit"].kit_id == "SPOT123456"
    assert names["undone"] == []
    assert {entry.kit_id for entry in fake.ledger} == {*fake.kits}


def test_a_client_that_was_made_and_not_used_goes_along_with_a_fork(fake: FakeSpot) -> None:
    spot = SpotClient()

    def work() -> None:
        asyncio.run(spot.kits.update_metadata("SPOT123456", {"by": "child"}))

    async def parent() -> None:
        assert await in_a_forked_child(work) == 0
        await spot.kits.update_metadata("SPOT123456", {"by": "parent"})
        await spot.close()

    asyncio.run(parent())

    assert [entry.metadata["by"] for entry in fake.ledger] == ["child", "parent"]
