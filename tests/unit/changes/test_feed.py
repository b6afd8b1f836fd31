"""A feed as its consumer has it: left anywhere, closed, followed, nudged; and what it shows of what it carries."""

import asyncio
import gc
import logging
import traceback
from collections.abc import Iterator
from contextlib import aclosing, suppress
from typing import Any, cast

import pytest

from spotdx_async import (
    AuthenticationError,
    Batch,
    Changes,
    InvalidInputError,
    RateLimit,
    SpotClient,
    SpotError,
)
from spotdx_async.observers import Observer
from spotdx_async.testing import run_virtual
from tests.matrix.test_canaries import chain_of, locals_in
from tests.model.changes_server import CANARY, NOUNS, FeedServer, calm_server
from tests.model.server import Arrival, now
from tests.model.world import other_tasks

pytestmark = pytest.mark.virtual_time


def feed_of(server: FeedServer, cursor: str | None = None, **options: Any) -> Changes[Any]:
    spot, _ = server.client(None)
    return changes_of(spot, server, cursor, **options)


def changes_of(spot: SpotClient, server: FeedServer, cursor: str | None = None, **options: Any) -> Changes[Any]:
    return cast("Changes[Any]", getattr(spot, server.noun).changes(cursor, **options))


def ids_of(batch: Batch[Any]) -> list[str]:
    names = ("kit_id", "order_id", "requisition_id")
    return [getattr(item, name) for item in batch.items for name in names if hasattr(item, name)]


async def ids_of_a_pass(feed: Changes[Any]) -> list[str]:
    return [an_id async for batch in feed for an_id in ids_of(batch)]


async def idle() -> None:
    """Let the loop close what was dropped."""
    for _ in range(10):
        await asyncio.sleep(0)


# --- One consumer -------------------------------------------------------------------------------------------------


async def test_a_feed_has_one_consumer() -> None:
    feed = feed_of(calm_server("kits", 5), batch_size=1)
    batches = aiter(feed)
    await anext(batches)

    for other in (aiter(feed), feed.follow()):
        with pytest.raises(InvalidInputError, match="one consumer"):
            await anext(other)
    assert len([batch async for batch in batches if batch.items]) == 4


async def test_a_pass_that_was_left_can_be_followed_by_another_at_once() -> None:
    server = calm_server("kits", 5)
    feed = feed_of(server, batch_size=1)
    got = []
    for _ in range(5):
        async for batch in feed:
            got += ids_of(batch)
            break

    assert sorted(got) == sorted(server.things)
    assert await ids_of_a_pass(feed) == []


async def test_a_pass_that_is_garbage_leaves_nothing_behind() -> None:
    server = calm_server("kits", 5)
    feed = feed_of(server, batch_size=1)
    for begin in (feed.__aiter__, feed.follow):
        batches = begin()
        await anext(batches)
        del batches
        gc.collect()
        await idle()
        assert other_tasks() == []


def test_a_feed_may_be_followed_in_one_loop_after_another() -> None:
    servers: list[FeedServer] = []

    async def follow(feed: Changes[Any] | None, change_at_s: float) -> tuple[Changes[Any], list[str]]:
        if feed is None:
            servers.append(calm_server("kits", 3))
            feed = feed_of(servers[0])
        follower = Follower(feed)
        await asyncio.sleep(change_at_s)
        servers[0].change(servers[0].things["canary-1"])
        feed.nudge("canary-1")
        await asyncio.sleep(1)
        follower.task.cancel()
        await asyncio.wait([follower.task])
        return feed, [an_id for _, an_id in follower.came]

    feed, came = run_virtual(follow(None, 100))
    assert came[3:] == ["canary-1"]
    for change_at_s in (200, 300):
        feed, came = run_virtual(follow(feed, change_at_s))
        assert came == ["canary-1"]


# --- Left at every moment -----------------------------------------------------------------------------------------


async def interrupted(server: FeedServer, steps: int, *, follows: bool, goes_on: bool) -> tuple[list[str], bool]:
    """Cancel a pass after so many steps of the loop; return what came by the end, and whether it was cancelled."""
    feed, stored, got = feed_of(server, batch_size=2, concurrency=2), None, []

    async def consume() -> None:
        nonlocal stored
        async for batch in feed.follow() if follows else feed:
            got.extend(ids_of(batch))
            stored = batch.cursor
            await asyncio.sleep(0)

    consumer = asyncio.create_task(consume())
    for _ in range(steps):
        await asyncio.sleep(0)
    is_over = consumer.done()
    consumer.cancel()
    with suppress(asyncio.CancelledError):
        await consumer
    again = feed if goes_on else feed_of(server, stored, batch_size=2)
    got += await ids_of_a_pass(again)
    await idle()
    assert other_tasks() == []
    return got, not is_over


@pytest.mark.parametrize("follows", [False, True])
@pytest.mark.parametrize("goes_on", [False, True])
@pytest.mark.parametrize(("objects", "most_rows"), [(7, 100), (25, 10)], ids=["one page", "pages read ahead"])
def test_a_pass_that_is_cancelled_anywhere_loses_and_doubles_nothing(
    objects: int, most_rows: int, *, follows: bool, goes_on: bool
) -> None:
    async def run(steps: int) -> bool:
        server = calm_server("orders", objects, most_rows=most_rows)
        server.weather.connect_s = (0.0,)
        server.dice.random = lambda: 0.4  # type: ignore[method-assign]  # no wait takes time, so each is a step
        got, was_cancelled = await interrupted(server, steps, follows=follows, goes_on=goes_on)
        assert sorted(got) == sorted(server.things), steps
        return was_cancelled

    stride = 1 if objects == 7 else 5
    steps = 0
    while run_virtual(run(steps)) and steps < 150 * stride:
        steps += stride
    assert steps > 10


async def test_a_consumer_that_raises_loses_only_what_it_did_not_store() -> None:
    server = calm_server("kits", 7)
    feed, stored = feed_of(server, batch_size=2), None

    with pytest.raises(ZeroDivisionError):
        async for batch in feed:
            if stored is not None:
                raise ZeroDivisionError
            stored = batch.cursor

    assert len(await ids_of_a_pass(feed_of(server, stored))) == 5


# --- Follow and nudge ---------------------------------------------------------------------------------------------


class Follower:
    """Follows a feed, and notes when each object came."""

    def __init__(self, feed: Changes[Any], every_s: float = 60.0) -> None:
        self.came: list[tuple[float, str]] = []
        self.batches: list[Batch[Any]] = []
        self.task = asyncio.create_task(self._run(feed, every_s))

    async def _run(self, feed: Changes[Any], every_s: float) -> None:
        async for batch in feed.follow(every_s=every_s):
            self.batches.append(batch)
            self.came += [(now(), an_id) for an_id in ids_of(batch)]


@pytest.mark.parametrize("noun", NOUNS)
async def test_following_delivers_changes_as_they_arise(noun: str) -> None:
    server = calm_server(noun, 3)
    feed = feed_of(server)
    follower = Follower(feed)
    await asyncio.sleep(90)
    server.change(server.things["canary-1"])
    await asyncio.sleep(60)
    await feed.aclose()
    await follower.task

    assert [an_id for _, an_id in follower.came[3:]] == ["canary-1"]
    assert 120 <= follower.came[3][0] < 121


async def test_what_is_nudged_comes_at_once_and_not_again() -> None:
    server = calm_server("kits", 3)
    feed = feed_of(server)
    follower = Follower(feed)
    await asyncio.sleep(90)
    server.change(server.things["canary-1"])
    feed.nudge("canary-1")
    feed.nudge("canary-2")  # has not changed
    await asyncio.sleep(100)
    await feed.aclose()
    await follower.task

    assert [an_id for _, an_id in follower.came[3:]] == ["canary-1"]
    assert 90 <= follower.came[3][0] < 91
    assert await ids_of_a_pass(feed_of(server, follower.batches[-1].cursor)) == []


async def test_a_nudge_while_the_object_is_got_is_not_lost() -> None:
    server = calm_server("kits", 1)
    feed = feed_of(server)
    follower = Follower(feed, 10_000.0)
    await asyncio.sleep(90)
    execute = server.execute

    def change_after(arrival: Arrival) -> tuple[int, bytes]:
        answer = execute(arrival)
        if server.counts["gets"] < 4:
            server.change(server.things["canary-0"])
            feed.nudge("canary-0")
        return answer

    server.execute = change_after  # type: ignore[method-assign]
    feed.nudge("canary-0")
    await asyncio.sleep(60)
    await feed.aclose()
    await follower.task

    assert len(follower.came) == 3
    assert server.things["canary-0"].state.number == 2


async def test_what_was_got_of_nudged_objects_comes_before_an_error() -> None:
    server = calm_server("kits", 3)
    feed = feed_of(server, concurrency=1)
    follower = Follower(feed)
    await asyncio.sleep(90)
    for number in range(3):
        server.change(server.things[f"canary-{number}"])
        feed.nudge(f"canary-{number}")
    server.things["canary-1"].poison = "401"
    with pytest.raises(AuthenticationError):
        await follower.task
    server.mend()

    assert [an_id for _, an_id in follower.came[3:]] == ["canary-0"]
    later = Follower(feed)
    await asyncio.sleep(1)
    await feed.aclose()
    await later.task
    assert sorted(an_id for _, an_id in later.came) == ["canary-1", "canary-2"]


async def test_what_was_nudged_is_got_after_a_cancelled_wait() -> None:
    server = calm_server("kits", 1)
    feed = feed_of(server)
    follower = Follower(feed, 10_000.0)
    await asyncio.sleep(90)
    server.change(server.things["canary-0"])
    server.things["canary-0"].poison = "timeout"
    feed.nudge("canary-0")
    await asyncio.sleep(1)
    follower.task.cancel()
    await asyncio.wait([follower.task])
    server.mend()

    async with aclosing(cast("Any", feed._nudged_batches())) as batches:
        assert [an_id async for batch in batches for an_id in ids_of(batch)] == ["canary-0"]


async def test_a_nudge_before_the_list_shows_the_object_is_enough() -> None:
    server = calm_server("kits", 3, list_lag_s=500.0)
    feed = feed_of(server)
    follower = Follower(feed)
    await asyncio.sleep(90)
    thing = server.create()
    thing.gettable_s = 0.0
    feed.nudge(thing.an_id)
    feed.nudge("canary-99")  # nobody knows it
    await asyncio.sleep(1000)
    await feed.aclose()
    await follower.task

    assert [an_id for _, an_id in follower.came[3:]] == [thing.an_id]
    assert [one.object_id for batch in follower.batches for one in batch.unread] == ["canary-99"]


@pytest.mark.parametrize("an_id", ["", "..", "a/b", 7, None])
async def test_a_nudge_with_a_wrong_id_is_refused(an_id: Any) -> None:
    with pytest.raises(InvalidInputError, match="kit_id"):
        feed_of(calm_server("kits")).nudge(an_id)


@pytest.mark.parametrize("every_s", [0, -1, float("inf"), float("nan"), "60", True])
async def test_the_time_between_passes_must_be_seconds(every_s: Any) -> None:
    with pytest.raises(InvalidInputError, match="every_s"):
        feed_of(calm_server("kits")).follow(every_s=every_s)


async def test_an_outage_is_waited_out_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    server = calm_server("kits", 3)
    feed = feed_of(server)
    follower = Follower(feed)
    await asyncio.sleep(30)
    server.is_down = True
    server.change(server.things["canary-1"])
    await asyncio.sleep(10_000)
    server.is_down = False
    with caplog.at_level(logging.WARNING):
        await asyncio.sleep(1000)
    attempts = server.counts["attempts"]
    await feed.aclose()
    await follower.task

    assert [an_id for _, an_id in follower.came[3:]] == ["canary-1"]
    assert attempts < 150
    fields = [vars(record) for record in caplog.records]
    waits = [field["spotdx_wait_s"] for field in fields if field.get("spotdx_event") == "feed"]
    assert waits[:5] == [120, 240, 480, 900, 900]
    assert not any(CANARY in record.getMessage() + repr(vars(record)) for record in caplog.records)


async def test_following_ends_with_a_refused_token() -> None:
    server = calm_server("kits", 3)
    follower = Follower(feed_of(server))
    await asyncio.sleep(30)
    server.draw = lambda request: "401"  # type: ignore[method-assign]  # noqa: ARG005

    with pytest.raises(AuthenticationError):
        await follower.task


@pytest.mark.parametrize("is_down", [False, True])
async def test_closing_ends_a_wait_at_once(*, is_down: bool) -> None:
    server = calm_server("kits", 3)
    feed = feed_of(server)
    follower = Follower(feed)
    await asyncio.sleep(30)
    server.is_down = is_down
    await asyncio.sleep(500)
    at_s = now()
    async with feed:
        pass
    await follower.task

    assert now() - at_s < 30
    assert await ids_of_a_pass(feed) == [] if not is_down else True


async def test_closing_ends_after_the_batch_in_progress() -> None:
    server = calm_server("kits", 9)
    feed = feed_of(server, batch_size=3)
    got = []
    async for batch in feed.follow():
        got += ids_of(batch)
        await feed.aclose()

    assert len(got) == 3


@pytest.mark.parametrize("after_s", [0.01, 0.3, 30.0, 70.0])
async def test_closing_the_client_ends_following(after_s: float) -> None:
    server = calm_server("kits", 50, latency_s=1.0)
    spot, _ = server.client(None)
    follower = Follower(changes_of(spot, server, batch_size=5))
    await asyncio.sleep(after_s)
    await spot.close()
    await follower.task

    assert other_tasks() == []
    rest = await ids_of_a_pass(feed_of(server, follower.batches[-1].cursor if follower.batches else None))
    assert sorted([an_id for _, an_id in follower.came] + rest) == sorted(server.things)


async def test_closing_the_client_in_a_pass_raises_and_loses_nothing() -> None:
    server = calm_server("kits", 50, latency_s=1.0)
    spot, _ = server.client(None)
    got, stored = [], None
    with pytest.raises(SpotError):
        async for batch in changes_of(spot, server, batch_size=10):
            got += ids_of(batch)
            stored = batch.cursor
            asyncio.get_running_loop().call_later(0.2, lambda: asyncio.ensure_future(spot.close()))

    assert sorted(got + await ids_of_a_pass(feed_of(server, stored))) == sorted(server.things)


# --- Beside others ------------------------------------------------------------------------------------------------


async def test_single_calls_go_before_those_of_a_feed() -> None:
    server = calm_server("kits", 100)
    spot, _ = server.client(None, rate_limit=RateLimit(2.0, burst=1))
    consumer = asyncio.create_task(ids_of_a_pass(changes_of(spot, server)))
    await asyncio.sleep(10)
    waits = []
    for _ in range(5):
        at_s = now()
        await spot.kits.get("canary-1")
        waits.append(now() - at_s)
    await consumer

    assert max(waits) <= 1.01
    assert now() > 50


async def test_single_calls_do_not_wait_for_the_connections_of_a_feed() -> None:
    server = calm_server("kits", 100, latency_s=1.0)
    spot, _ = server.client(None, concurrency=2)
    consumer = asyncio.create_task(ids_of_a_pass(changes_of(spot, server, concurrency=64)))
    await asyncio.sleep(3)
    at_s = now()
    await asyncio.gather(*(spot.kits.get("canary-1") for _ in range(4)))
    took_s = now() - at_s
    consumer.cancel()
    with suppress(asyncio.CancelledError):
        await consumer

    assert took_s < 8


async def test_the_bounds_of_single_calls_do_not_apply() -> None:
    server = calm_server("kits", 20, latency_s=1.0)
    spot, _ = server.client(None, rate_limit=RateLimit(0.1, burst=1), deadline_s=3.0, max_wait_s=1.0)

    assert len(await ids_of_a_pass(changes_of(spot, server))) == 20


async def test_observers_see_the_calls_of_a_feed() -> None:
    server, began, ended = calm_server("kits", 3), [], []

    class Noting(Observer):
        def begin(self, subject: Any, parent: Any) -> Any:  # noqa: ARG002 - the observer's face
            began.append(subject.operation)

        def end(self, mark: Any, record: Any) -> None:  # noqa: ARG002 - as above
            ended.append(record)

    spot, _ = server.client(None, observer=Noting())
    await ids_of_a_pass(changes_of(spot, server))

    assert sorted(began) == ["GET /api/v2/kits/", *["GET /api/v2/kits/{kit_id}/"] * 3]
    assert len(ended) == 4


# --- What is shown ------------------------------------------------------------------------------------------------


class OfAHookError(Exception):
    pass


def texts_of(error: BaseException) -> Iterator[str]:
    for one in chain_of(error):
        yield from (str(one), repr(one), *locals_in(one.__traceback__))


@pytest.mark.parametrize("follows", [False, True])
@pytest.mark.parametrize("trouble", ["401", "foreign", "cancelled"])
@pytest.mark.parametrize("noun", NOUNS)
async def test_errors_come_without_the_rows_and_objects_they_passed(noun: str, trouble: str, *, follows: bool) -> None:
    server = calm_server(noun, 30)
    feed = feed_of(server, batch_size=10, concurrency=3)
    execute = server.execute
    task = asyncio.current_task()

    def fail(arrival: Arrival) -> tuple[int, bytes]:
        if server.counts["gets"] == 15 and trouble == "foreign":
            raise OfAHookError
        if server.counts["gets"] == 15 and trouble == "cancelled" and task is not None:
            task.cancel()
        if server.counts["gets"] >= 15 and trouble == "401":
            return 401, b"{}"
        return execute(arrival)

    server.execute = fail  # type: ignore[method-assign]
    batches: list[Batch[Any]] = []
    with pytest.raises((AuthenticationError, OfAHookError, asyncio.CancelledError)) as caught:
        async for batch in feed.follow() if follows else feed:
            batches.append(batch)  # noqa: PERF401 - what came before the error must be kept
    if task is not None and trouble == "cancelled":
        task.uncancel()

    assert batches
    assert not [text for text in texts_of(caught.value) if CANARY in text]
    ours = [step for step, _ in traceback.walk_tb(caught.value.__traceback__) if "changes" in step.f_code.co_filename]
    assert [step.f_code.co_name for step in ours if "spotdx_async" in step.f_code.co_filename] in ([], ["_scrubbed"])


async def test_a_batch_shows_no_object_and_no_row() -> None:
    server = calm_server("orders", 3)
    server.things["canary-1"].poison = "500"
    feed = feed_of(server)

    async for batch in feed:
        shown = repr(batch)
        assert CANARY not in shown.replace("canary-1", "")
        assert batch.cursor not in shown
    assert CANARY not in repr(feed)
    assert CANARY not in repr(feed.counts)


async def test_an_error_about_the_cursor_does_not_show_it() -> None:
    server = calm_server("kits", 3)
    feed = feed_of(server)
    await ids_of_a_pass(feed)
    cursor = feed.cursor

    with pytest.raises(InvalidInputError) as caught:
        feed_of(server, cursor[:-3])

    assert not [text for text in texts_of(caught.value) if cursor[:-3] in text]


def test_a_feed_can_be_made_without_a_loop() -> None:
    spot = SpotClient(token="model", base_url="http://127.0.0.1:9")

    feed = spot.kits.changes(since="2026-01-31")

    assert feed.counts.lists == 0
    assert spot.kits.changes(feed.cursor).cursor
