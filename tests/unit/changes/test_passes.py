"""Passes of a feed at a server at which nothing happens by itself: what is asked for, and what comes of it."""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from attrs import evolve

from spotdx_async import AuthenticationError, Batch, Changes, DecodeError, InvalidInputError, NotFoundError, SpotError
from tests.model.changes_server import DAY_S, NOUNS, FeedServer, Thing, calm_server
from tests.model.creates_server import EPOCH, client_clock
from tests.model.server import Arrival

pytestmark = pytest.mark.virtual_time


def feed_of(server: FeedServer, cursor: str | None = None, *, account: str = "model", **options: Any) -> Changes[Any]:
    spot, _ = server.client(None, token=account)
    feed: Changes[Any] = getattr(spot, server.noun).changes(cursor, **options)
    return feed


async def one_pass(feed: Changes[Any]) -> list[Batch[Any]]:
    return [batch async for batch in feed]


async def extend(got: list[Batch[Any]], feed: Changes[Any]) -> None:
    """Make a pass that is to fail, and keep what came before."""
    async for batch in feed:
        got.append(batch)  # noqa: PERF401 - what came before an error must be kept


def ids(batches: list[Batch[Any]]) -> list[str]:
    """The ids of what was delivered, in order."""
    return [getattr(item, name) for batch in batches for item in batch.items for name in ID if hasattr(item, name)]


ID = ("kit_id", "order_id", "requisition_id")


def unread(batches: list[Batch[Any]]) -> list[str | None]:
    return [one.object_id for batch in batches for one in batch.unread]


@pytest.mark.parametrize("noun", NOUNS)
async def test_a_pass_delivers_all_and_the_next_one_what_has_changed(noun: str) -> None:
    server = calm_server(noun, 30)
    feed = feed_of(server)

    first = await one_pass(feed)
    assert sorted(ids(first)) == sorted(server.things)
    assert [row is not None for batch in first for row in batch.summaries] == [True] * 30

    await asyncio.sleep(1)
    server.change(server.things["canary-7"])
    new = server.create()
    assert sorted(ids(await one_pass(feed))) == ["canary-30", "canary-7"] == sorted([new.an_id, "canary-7"])
    assert await one_pass(feed) == []
    assert (feed.counts.gets, feed.counts.delivered, feed.counts.unchanged) == (32, 32, 0)


@pytest.mark.parametrize("noun", NOUNS)
async def test_the_cursor_goes_on_in_another_process(noun: str) -> None:
    server = calm_server(noun, 30)
    batches = await one_pass(feed_of(server, batch_size=7))
    assert [len(batch.items) for batch in batches] == [7, 7, 7, 7, 2]

    for taken, batch in enumerate(batches, 1):
        rest = await one_pass(feed_of(server, batch.cursor))
        assert len(ids(rest)) == 30 - min(30, 7 * taken)


@pytest.mark.parametrize("noun", NOUNS)
@pytest.mark.parametrize("most", [10, 50])
async def test_a_server_with_smaller_pages_than_asked_for_shows_all(noun: str, most: int) -> None:
    server = calm_server(noun, 130)
    server.habits.most_rows = most
    feed = feed_of(server)

    assert sorted(ids(await one_pass(feed))) == sorted(server.things)

    await asyncio.sleep(1)
    for thing in server.things.values():
        server.change(thing)
    assert sorted(ids(await one_pass(feed))) == sorted(server.things)


@pytest.mark.parametrize("noun", NOUNS)
async def test_an_idle_pass_asks_for_the_pages_of_two_days_at_most(noun: str) -> None:
    server = calm_server(noun, 450)
    feed = feed_of(server)
    await one_pass(feed)
    await asyncio.sleep(3 * DAY_S)
    await one_pass(feed)
    for number in range(130):
        server.change(server.things[f"canary-{number}"])
    await asyncio.sleep(1)
    await one_pass(feed)

    # Of orders the first page, and once, two minutes later, all that changed since: some may be shown late.
    for pause_s, pages_of_orders in ((1, 1), (130, 2), (130, 1), (4000, 1)):
        await asyncio.sleep(pause_s)
        before = feed.counts.lists
        assert ids(await one_pass(feed)) == []
        assert feed.counts.lists - before == (pages_of_orders if noun == "orders" else 2)
    await asyncio.sleep(2 * DAY_S)
    await one_pass(feed)
    before = feed.counts.lists
    assert ids(await one_pass(feed)) == []
    assert feed.counts.lists - before == 1


async def test_an_idle_pass_of_orders_is_one_request() -> None:
    server = calm_server("orders", 450)
    feed = feed_of(server)
    await one_pass(feed)

    for pause_s in (1, 130, 4000):
        await asyncio.sleep(pause_s)
        before = server.counts["attempts"]
        assert await one_pass(feed) == []
        assert server.counts["attempts"] - before == 1


async def test_after_an_interrupted_pass_known_orders_do_not_end_the_next_one() -> None:
    server = calm_server("orders", 250)
    feed = feed_of(server)
    await one_pass(feed)
    await asyncio.sleep(10)
    for thing in server.things.values():
        server.change(thing)
    stored = (await anext(aiter(feed))).cursor

    rest = ids(await one_pass(feed_of(server, stored)))

    assert len(rest) == 150


async def test_an_order_that_is_listed_late_below_known_ones_is_found_two_minutes_later() -> None:
    server = calm_server("orders", 250, late_s=60.0)
    feed = feed_of(server)
    await one_pass(feed)
    *others, late = server.things.values()
    server.change(late, is_late=True)
    await asyncio.sleep(0.01)
    for thing in others:
        server.change(thing)
    await one_pass(feed)
    await asyncio.sleep(130)

    assert ids(await one_pass(feed)) == [late.an_id]


@pytest.mark.parametrize("noun", ["kits", "requisitions"])
async def test_an_idle_pass_reads_the_pages_of_two_days(noun: str) -> None:
    server = calm_server(noun, 1200, days=20.0)
    feed = feed_of(server, concurrency=100)
    await one_pass(feed)
    server.most_matched, before = 0, server.counts["attempts"]

    await one_pass(feed)

    assert 100 < server.most_matched < 300
    assert server.counts["attempts"] - before == server.most_matched // 99 + 1


def before_the_second_page(server: FeedServer, happen: Callable[[], object]) -> None:
    execute = server.execute

    def happen_once(arrival: Arrival) -> tuple[int, bytes]:
        if "offset=99" in arrival.request.query and server.execute is happen_once:
            server.execute = execute  # type: ignore[method-assign]
            happen()
        return execute(arrival)

    server.execute = happen_once  # type: ignore[method-assign]


@pytest.mark.parametrize("changed", [99, 150, 250, 400])
@pytest.mark.parametrize("noun", NOUNS)
async def test_many_changes_between_two_pages_cost_neither_objects_nor_endless_requests(
    noun: str, changed: int
) -> None:
    server = calm_server(noun, 450)
    await asyncio.sleep(10)
    last = list(server.things.values())[-changed:]

    def change_them() -> None:
        for thing in last:
            server.change(thing)

    before_the_second_page(server, change_them)
    feed = feed_of(server, concurrency=100)

    got = ids(await one_pass(feed))
    assert server.counts["lists"] < 30
    got += ids(await one_pass(feed))

    assert set(got) == set(server.things)
    assert ids(await one_pass(feed)) == []


@pytest.mark.parametrize("deleted", [1, 50, 60, 100, 150])
@pytest.mark.parametrize("noun", NOUNS)
async def test_deletions_between_two_pages_cost_neither_objects_nor_endless_requests(noun: str, deleted: int) -> None:
    server = calm_server(noun, 450)
    await asyncio.sleep(10)

    def delete_the_head() -> None:
        for _, number in server._list[:deleted]:
            server.delete(server.things[f"canary-{number}"])

    before_the_second_page(server, delete_the_head)
    got = ids(await one_pass(feed_of(server, concurrency=100)))

    assert server.counts["lists"] < 30
    assert set(got) >= {thing.an_id for thing in server.alive()}


async def test_since_is_where_the_first_pass_begins() -> None:
    server = calm_server("kits", 300, days=30.0)
    since = (EPOCH - timedelta(days=10)).date()
    expected = {thing.an_id for thing in server.things.values() if thing.days[1] >= str(since)}

    feed = feed_of(server, since=since)
    batches = await one_pass(feed)

    assert set(ids(batches)) == expected
    assert await one_pass(feed_of(server, batches[-1].cursor)) == []


@pytest.mark.parametrize("since", ["tomorrow", 7, "2026-13-01"])
async def test_since_must_be_a_day(since: Any) -> None:
    with pytest.raises(InvalidInputError, match="since must be a date"):
        feed_of(calm_server("kits"), since=since)


async def test_since_and_a_cursor_exclude_each_other() -> None:
    server = calm_server("kits", 1)
    (batch,) = await one_pass(feed_of(server))

    with pytest.raises(InvalidInputError, match="never both"):
        feed_of(server, batch.cursor, since="2026-01-01")


@pytest.mark.parametrize("option", [{"batch_size": 0}, {"concurrency": 0}, {"concurrency": True}, {"batch_size": 1.5}])
async def test_an_option_that_is_unusable_is_refused(option: Any) -> None:
    with pytest.raises(InvalidInputError):
        feed_of(calm_server("kits"), **option)


async def test_the_cursor_of_an_empty_account_is_worth_storing() -> None:
    server = calm_server("kits")

    (batch,) = await one_pass(feed_of(server))
    assert batch.items == ()
    server.create()
    assert ids(await one_pass(feed_of(server, batch.cursor))) == ["canary-0"]


# --- Between a row and its object ---------------------------------------------------------------------------------


@pytest.mark.parametrize("noun", NOUNS)
@pytest.mark.parametrize("objects", [30, 120])
async def test_what_changes_between_its_row_and_its_get_does_not_come_again(noun: str, objects: int) -> None:
    server = calm_server(noun, objects, days=300.0)
    await asyncio.sleep(10)
    changed = list(server.things.values())[:25]

    execute = server.execute

    def change_before_the_first_get(arrival: Arrival) -> tuple[int, bytes]:
        if server.counts["gets"] == 0 and arrival.request.path != server.path:
            for thing in changed:
                server.change(thing)
        return execute(arrival)

    server.execute = change_before_the_first_get  # type: ignore[method-assign]
    feed = feed_of(server, concurrency=1)
    first = await one_pass(feed)
    assert sorted(ids(first)) == sorted(server.things)

    await asyncio.sleep(100)
    assert ids(await one_pass(feed)) == []
    assert all(thing.state.number for thing in changed)


async def test_a_row_that_changed_alone_is_touched() -> None:
    server = calm_server("kits", 3)
    feed = feed_of(server)
    await one_pass(feed)
    await asyncio.sleep(1)

    server.change(server.things["canary-1"], is_touch=True)
    (batch,) = await one_pass(feed)

    assert (batch.items, [row.kit_id for row in batch.touched]) == ((), ["canary-1"])
    assert feed.counts.unchanged == 1
    assert await one_pass(feed) == []


@pytest.mark.parametrize("noun", NOUNS)
async def test_an_object_without_a_date_is_got_each_time_and_delivered_once(noun: str) -> None:
    server = calm_server(noun, 5, undated=1.0)
    feed = feed_of(server)

    assert len(ids(await one_pass(feed))) == 5
    assert ids(await one_pass(feed)) == []
    server.change(server.things["canary-2"])
    assert ids(await one_pass(feed)) == ["canary-2"]
    assert feed.counts.gets == 15


async def test_an_undated_object_that_is_gone_leaves_the_cursor() -> None:
    server = calm_server("kits", 5, undated=1.0)
    feed = feed_of(server)
    await one_pass(feed)
    long = len(feed.cursor)

    for an_id in ("canary-1", "canary-2"):
        server.delete(server.things[an_id])
    await one_pass(feed)

    assert len(feed.cursor) < long


# --- Long passes --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("zone_h", [12, -12])
@pytest.mark.parametrize("noun", NOUNS)
async def test_after_a_long_pause_nothing_comes_again_wherever_the_servers_day_begins(noun: str, zone_h: int) -> None:
    server = calm_server(noun, 250, zone_h=zone_h, days=2.0)
    feed = feed_of(server)
    await one_pass(feed)
    await asyncio.sleep(5 * DAY_S)
    server.change(server.things["canary-3"])

    assert ids(await one_pass(feed)) == ["canary-3"]


async def test_a_sweep_gets_everything_and_counts_what_the_list_did_not_tell() -> None:
    server = calm_server("kits", 150, days=0.3)
    feed = feed_of(server)
    await one_pass(feed)
    thing = server.things["canary-9"]
    thing.state = evolve(thing.state, number=5)
    assert ids(await one_pass(feed)) == []

    feed.sweep = True
    swept = await one_pass(feed)

    assert ids(swept) == ["canary-9"]
    assert (feed.sweep, feed.counts.untold) == (False, 1)


async def test_a_sweep_that_is_given_up_costs_no_knowledge() -> None:
    server = calm_server("kits", 300, days=100.0)
    feed = feed_of(server)
    stored = (await one_pass(feed))[-1].cursor
    await asyncio.sleep(DAY_S)
    feed = feed_of(server, stored)
    feed.sweep = True
    batches = aiter(feed)
    for _ in range(2):
        stored = (await anext(batches)).cursor

    assert ids(await one_pass(feed_of(server, stored))) == []


async def test_a_sweep_finishes_first_what_is_under_way() -> None:
    server = calm_server("kits", 300, days=100.0)
    batches = aiter(feed_of(server))
    stored = (await anext(batches)).cursor
    feed = feed_of(server, stored)
    feed.sweep = True

    swept = await one_pass(feed)

    assert len(ids(swept)) == 200
    assert not feed.sweep
    assert ids(await one_pass(feed_of(server, swept[-1].cursor))) == []


async def test_a_server_without_a_date_costs_a_day_of_pages_and_no_object() -> None:
    server = calm_server("kits", 50, dateless=1.0)
    feed = feed_of(server)
    await one_pass(feed)

    server.change(server.things["canary-1"])

    assert ids(await one_pass(feed)) == ["canary-1"]
    assert await one_pass(feed) == []


@pytest.mark.parametrize("noun", NOUNS)
@pytest.mark.parametrize("ahead_days", [0.9, 3.0, 4000.0])
async def test_a_servers_clock_that_was_ahead_hides_nothing_once_it_is_set_back(noun: str, ahead_days: float) -> None:
    server = calm_server(noun, 130, days=200.0)
    server.habits.date_ahead_s = ahead_days * DAY_S
    feed = feed_of(server)
    with client_clock(0.0):
        await one_pass(feed)
        for number in range(6):
            await asyncio.sleep(3600)
            server.habits.date_ahead_s *= number < 3  # set back
            server.change(server.things[f"canary-{number}"])
            assert ids(await one_pass(feed)) == [f"canary-{number}"]
        assert ids(await one_pass(feed)) == []


@pytest.mark.parametrize("noun", NOUNS)
async def test_a_clock_of_ours_that_is_a_month_behind_costs_no_object(noun: str) -> None:
    server = calm_server(noun, 130, days=200.0)
    feed = feed_of(server)
    with client_clock(-30 * DAY_S):
        assert len(ids(await one_pass(feed))) == 130
        for number in range(3):
            await asyncio.sleep(DAY_S)
            server.change(server.things[f"canary-{number}"])
            assert ids(await one_pass(feed)) == [f"canary-{number}"]
        assert ids(await one_pass(feed)) == []


@pytest.mark.parametrize("noun", NOUNS)
async def test_objects_with_dates_in_the_future_hide_no_change(noun: str) -> None:
    server = calm_server(noun, 150)
    server.populate(3, -400.0)
    feed = feed_of(server)
    await one_pass(feed)
    assert ids(await one_pass(feed)) == []

    for number in (7, 151):
        await asyncio.sleep(3 * DAY_S)
        server.change(server.things[f"canary-{number}"])
        assert ids(await one_pass(feed)) == [f"canary-{number}"]
        assert ids(await one_pass(feed)) == []


async def test_two_feeds_of_a_client_know_nothing_of_each_other() -> None:
    server = calm_server("kits", 250, latency_s=0.1)
    spot, _ = server.client(None, token="model")
    kits = [spot.kits.changes(batch_size=size) for size in (7, 100)]

    for batches in await asyncio.gather(*map(one_pass, kits)):
        assert sorted(ids(batches)) == sorted(server.things)


# --- What cannot be got -------------------------------------------------------------------------------------------

POISONS = ("500", "502", "unreadable", "403", "400", "404", "410", "drop", "timeout", "too large", "redirect")


@pytest.mark.parametrize("concurrency", [1, 16])
@pytest.mark.parametrize("play", POISONS)
async def test_an_object_that_cannot_be_got_is_reported_once_and_holds_up_no_other(play: str, concurrency: int) -> None:
    server = calm_server("kits", 10)
    poisoned = server.things["canary-4"]
    poisoned.poison = play
    feed = feed_of(server, concurrency=concurrency)

    first = await one_pass(feed)
    assert len(ids(first)) == 9
    assert unread(first) == ["canary-4"]

    gets = feed.counts.gets
    feed = feed_of(server, first[-1].cursor)
    for _ in range(3):
        assert await one_pass(feed) == []
    assert feed.counts.gets == 3
    assert gets == 10

    poisoned.poison = None
    mended = await one_pass(feed)
    assert (ids(mended), unread(mended)) == (["canary-4"], [])
    assert await one_pass(feed) == []


@pytest.mark.parametrize("noun", NOUNS)
async def test_all_objects_but_one_poisoned_hold_up_nothing(noun: str) -> None:
    server = calm_server(noun, 60)
    for number in range(59):
        server.things[f"canary-{number}"].poison = "500"
    feed = feed_of(server, concurrency=4, batch_size=30)

    batches = await one_pass(feed)

    assert ids(batches) == ["canary-59"]
    assert len(unread(batches)) == 59
    for thing in server.things.values():
        thing.poison = None
    assert len(ids(await one_pass(feed))) == 59


async def test_an_object_that_is_gone_is_reported_and_not_looked_for_again() -> None:
    server = calm_server("kits", 5)
    thing = server.things["canary-2"]
    thing.gettable_s = float("inf")  # listed, and deleted right after
    feed = feed_of(server)

    assert unread(await one_pass(feed)) == ["canary-2"]
    server.delete(thing)
    await one_pass(feed)
    gets = feed.counts.gets
    for _ in range(3):
        assert await one_pass(feed) == []
    assert feed.counts.gets == gets


async def test_an_old_object_that_is_gone_is_looked_for_on_two_days() -> None:
    server = calm_server("kits", 5, days=100.0)
    thing = server.things["canary-2"]
    thing.gettable_s = float("inf")
    feed = feed_of(server)
    await one_pass(feed)
    server.delete(thing)

    for _ in range(3):
        await asyncio.sleep(DAY_S)
        await one_pass(feed)
    gets = feed.counts.gets
    await one_pass(feed)

    assert feed.counts.gets == gets


async def test_an_object_that_is_listed_before_it_can_be_got_is_delivered() -> None:
    server = calm_server("kits", 5)
    server.things["canary-2"].gettable_s = 2.0
    feed = feed_of(server)

    assert len(ids(await one_pass(feed))) == 4
    await asyncio.sleep(60)
    assert ids(await one_pass(feed)) == ["canary-2"]


@pytest.mark.parametrize("noun", NOUNS)
async def test_an_outage_in_the_middle_raises_after_what_was_got(noun: str) -> None:
    server = calm_server(noun, 250, days=30.0)
    execute = server.execute

    def go_down(arrival: Arrival) -> tuple[int, bytes]:
        answer = execute(arrival)
        server.is_down = server.counts["gets"] >= 150
        return answer

    server.execute = go_down  # type: ignore[method-assign]
    got: list[Batch[Any]] = []
    with pytest.raises(SpotError):
        await extend(got, feed_of(server))
    delivered = ids(got)
    assert len(delivered) >= 150
    assert unread(got) == []

    server.is_down, server.execute = False, execute  # type: ignore[method-assign]
    rest = ids(await one_pass(feed_of(server, got[-1].cursor)))
    assert sorted(delivered + rest) == sorted(server.things)


async def test_a_refused_token_ends_the_pass_after_what_was_got() -> None:
    server = calm_server("kits", 50)
    for number in range(40, 50):
        server.things[f"canary-{number}"].poison = "401"
    feed, got = feed_of(server), list[Batch[Any]]()

    with pytest.raises(AuthenticationError):
        await extend(got, feed)

    delivered = ids(got)
    assert unread(got) == []
    server.mend()
    assert sorted(delivered + ids(await one_pass(feed))) == sorted(server.things)


async def test_throttling_ends_a_pass_and_blames_no_object() -> None:
    server = calm_server("kits", 5)
    for thing in server.things.values():
        thing.poison = "429"
    feed, got = feed_of(server), list[Batch[Any]]()

    with pytest.raises(SpotError, match="429"):
        await extend(got, feed)

    assert unread(got) == []


async def test_no_more_than_a_thousand_objects_are_owed() -> None:
    server = calm_server("kits", 1100, latency_s=0.0)
    for thing in server.things.values():
        thing.poison = "403"
    feed, got = feed_of(server), list[Batch[Any]]()

    with pytest.raises(SpotError, match="403"):
        await extend(got, feed)

    assert len(unread(got)) == 1000


def nameless(server: FeedServer, count: int, **row: Any) -> None:
    show, first = server.row, server.row(server.things["canary-0"]) | row

    def without_ids(thing: Thing) -> dict[str, Any]:
        return show(thing) if thing.number >= count else {"kit_status": str(thing.number), "created": first["created"]}

    server.row = without_ids  # type: ignore[method-assign]


@pytest.mark.parametrize("count", [2, 150])
async def test_rows_without_an_id_are_reported_once_a_feed(count: int) -> None:
    server = calm_server("kits", 160)
    nameless(server, count)
    feed = feed_of(server)

    first = await one_pass(feed)

    assert len(ids(first)) == 160 - count
    assert unread(first) == [None] * count
    assert await one_pass(feed) == [] or unread(await one_pass(feed)) == []


async def test_a_row_that_cannot_be_read_is_got_by_its_id() -> None:
    server = calm_server("kits", 4)
    show = server.row
    server.row = lambda thing: show(thing) | ({"updated": "soon"} if thing.number == 2 else {})  # type: ignore[method-assign]
    feed = feed_of(server)

    (batch,) = await one_pass(feed)

    assert len(batch.items) == 4
    assert [row is None for row in batch.summaries].count(True) == 1
    assert await one_pass(feed) == []
    assert feed.counts.gets == 5


async def test_a_list_that_cannot_be_read_is_an_error() -> None:
    server = calm_server("kits", 4)
    server.draw = lambda request: "unreadable"  # type: ignore[method-assign]  # noqa: ARG005

    with pytest.raises(DecodeError):
        await one_pass(feed_of(server))


# --- Whose cursor it is -------------------------------------------------------------------------------------------


def other_account(noun: str, objects: int) -> FeedServer:
    server = calm_server(noun)
    server._numbers = 5000
    server.populate(objects, 1.0)
    return server


@pytest.mark.parametrize("undated", [0.0, 1.0])
@pytest.mark.parametrize("noun", NOUNS)
async def test_another_accounts_cursor_is_refused_before_anything_is_delivered(noun: str, undated: float) -> None:
    (batch,) = await one_pass(feed_of(calm_server(noun, 20, undated=undated), account="one"))
    other = other_account(noun, 300)

    with pytest.raises(InvalidInputError, match="another account's"):
        await one_pass(feed_of(other, batch.cursor, account="two"))

    assert other.counts["gets"] == 0


async def test_another_accounts_cursor_is_refused_in_the_middle_of_a_first_pass() -> None:
    batches = aiter(feed_of(calm_server("kits", 300, days=100.0), account="one"))
    stored = (await anext(batches)).cursor

    with pytest.raises(InvalidInputError, match="another account's"):
        await one_pass(feed_of(other_account("kits", 300), stored, account="two"))


@pytest.mark.parametrize("days", [1.0, 100.0])
@pytest.mark.parametrize("noun", NOUNS)
async def test_a_renewed_token_of_the_same_account_is_accepted(noun: str, days: float) -> None:
    server = calm_server(noun, 150, days=days)
    stored = (await one_pass(feed_of(server, account="one")))[-1].cursor
    await asyncio.sleep(20 * DAY_S)
    server.change(server.things["canary-5"])

    batches = await one_pass(feed_of(server, stored, account="two"))

    assert ids(batches) == ["canary-5"]
    before = server.counts["attempts"]
    await one_pass(feed_of(server, batches[-1].cursor, account="two"))
    assert server.counts["attempts"] - before <= 2


async def test_a_renewed_token_is_accepted_where_a_sweep_has_not_found_what_changed_last() -> None:
    server = calm_server("kits", 20)
    feed = feed_of(server, account="one")
    await one_pass(feed)
    await asyncio.sleep(5 * DAY_S)
    for thing in [*server.things.values()][:5]:
        server.change(thing)
    await asyncio.sleep(60)
    await one_pass(feed)
    for thing in [*server.things.values()][:5]:
        server.delete(thing)
    await asyncio.sleep(5 * DAY_S)
    feed.sweep = True
    assert len(ids(await one_pass(feed))) == 15

    await one_pass(feed_of(server, feed.cursor, account="two"))


@pytest.mark.parametrize("is_nudged", [False, True], ids=["poisoned", "nudged"])
async def test_a_renewed_token_is_accepted_after_gets_without_rows(is_nudged: bool) -> None:
    """They come late in a list that begins with the first kits, and their days are over."""
    server = calm_server("kits", 2500, days=100.0)
    last = sorted(server.things.values(), key=lambda thing: thing.created_s)[-5:]
    for thing in last:
        thing.poison = None if is_nudged else "500"
    feed = feed_of(server, account="one")
    await one_pass(feed)
    await asyncio.sleep(10 * DAY_S)
    await one_pass(feed)
    for thing in last:
        thing.poison = None
        if is_nudged:
            feed.nudge(thing.an_id)
    following = asyncio.ensure_future(one_pass(feed.follow()))  # type: ignore[arg-type]
    await asyncio.sleep(90)
    await feed.aclose()
    await following
    await asyncio.sleep(20 * DAY_S)
    stored = (await one_pass(feed_of(server, feed.cursor, account="one")))[-1].cursor

    await one_pass(feed_of(server, stored, account="two"))


async def test_the_token_of_an_idle_pass_is_stored() -> None:
    server = calm_server("orders", 20)
    stored = (await one_pass(feed_of(server, account="one")))[-1].cursor

    (batch,) = await one_pass(feed_of(server, stored, account="two"))

    assert batch.items == ()
    assert await one_pass(feed_of(server, batch.cursor, account="two")) == []


async def test_not_found_errors_say_nothing_of_the_object() -> None:
    server = calm_server("kits", 1)
    server.things["canary-0"].poison = "404"

    (batch,) = await one_pass(feed_of(server))

    (unread_one,) = batch.unread
    assert isinstance(unread_one.error, NotFoundError)
    assert unread_one.error.__traceback__ is None  # its frames would hold the id
    assert "canary" not in str(unread_one.error)
