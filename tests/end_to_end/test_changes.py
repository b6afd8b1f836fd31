"""Pulling what has changed from the fake server: the three lists, cursors across clients, following with nudges."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, cast

import pytest

from spotdx_async import Batch, Changes, InvalidInputError, SpotClient, WaitTimeoutError
from spotdx_async.testing import FakeSpot, faults
from tests.new_objects import ORDER
from tests.patience import PATIENCE_S

NOUNS = ("kits", "orders", "requisitions")
OLD = datetime.now(UTC) - timedelta(days=90)
CHANGE: dict[str, Callable[[Any], object]] = {
    "kits": lambda kit: kit.deliver(),
    "orders": lambda order: order.cancel(),
    "requisitions": lambda requisition: requisition.deliver(),
}
STATUS = {"kits": "in_transit", "orders": "pending", "requisitions": "approved"}


@pytest.fixture
def world(fake: FakeSpot) -> dict[str, list[str]]:
    """Add objects of three months, the last of them of today; return their ids by noun."""
    ids: dict[str, list[str]] = {noun: [] for noun in NOUNS}
    for noun in NOUNS:
        store: Any = getattr(fake, noun)
        for an_id in list(store):
            del store[an_id]
        for number in range(130):
            an_id = store.free_id()
            store.add(an_id, created=OLD + timedelta(hours=16.5 * number), status=STATUS[noun])
            ids[noun].append(an_id)
    return ids


def changes(spot: SpotClient, noun: str, cursor: str | None = None, **options: Any) -> Changes[Any]:
    return cast("Changes[Any]", getattr(spot, noun).changes(cursor, **options))


def ids_of(batch: Batch[Any], noun: str) -> list[str]:
    return [getattr(item, f"{noun.removesuffix('s')}_id") for item in batch.items]


async def one_pass(spot: SpotClient, noun: str, cursor: str | None = None) -> tuple[list[str], str | None]:
    ids: list[str] = []
    async for batch in changes(spot, noun, cursor):
        ids += ids_of(batch, noun)
        cursor = batch.cursor
    return ids, cursor


@pytest.mark.parametrize("noun", NOUNS)
async def test_each_client_goes_on_where_the_one_before_has_stored_its_cursor(
    fake: FakeSpot, world: dict[str, list[str]], noun: str
) -> None:
    async with fake.client() as spot:
        first, cursor = await one_pass(spot, noun)
    assert sorted(first) == sorted(world[noun])

    store: Any = getattr(fake, noun)
    CHANGE[noun](store[world[noun][3]])
    async with fake.client() as spot:
        second, cursor = await one_pass(spot, noun, cursor)
        assert second == [world[noun][3]]
        assert (await one_pass(spot, noun, cursor))[0] == []


@pytest.mark.parametrize("noun", NOUNS)
async def test_a_killed_pass_is_resumed_through_faults(fake: FakeSpot, world: dict[str, list[str]], noun: str) -> None:
    fake.faults.random(0.1, seed=1, kinds=["500", faults.status(503), faults.drop_after()])
    got: list[str] = []
    cursor = None
    for _ in range(20):
        async with fake.client() as spot, aclosing(cast("Any", aiter(changes(spot, noun, cursor)))) as batches:
            async for batch in batches:
                got += ids_of(batch, noun)
                cursor = batch.cursor
                if len(got) % 3 == 0:
                    break
            else:
                break

    assert sorted(got) == sorted(world[noun])


@pytest.mark.parametrize("noun", NOUNS)
async def test_following_gets_what_is_nudged_at_once(fake: FakeSpot, world: dict[str, list[str]], noun: str) -> None:
    store: Any = getattr(fake, noun)
    an_id = world[noun][7]
    async with fake.client() as spot, changes(spot, noun) as feed, asyncio.timeout(PATIENCE_S):
        batches = feed.follow(every_s=3600)
        got = await of_batches(batches, noun, 130)
        CHANGE[noun](store[an_id])
        feed.nudge(an_id)
        assert await of_batches(batches, noun, 1) == [an_id]
        asyncio.get_running_loop().call_later(0.01, lambda: asyncio.ensure_future(feed.aclose()))
        assert [batch async for batch in batches] == []
    assert sorted(got) == sorted(world[noun])


async def of_batches(batches: AsyncIterator[Batch[Any]], noun: str, count: int) -> list[str]:
    ids: list[str] = []
    while len(ids) < count:
        ids += ids_of(await anext(batches), noun)
    return ids


async def test_passes_follow_one_another(fake: FakeSpot, world: dict[str, list[str]]) -> None:
    async with fake.client() as spot, asyncio.timeout(PATIENCE_S):
        batches = changes(spot, "kits").follow(every_s=0.01)
        await of_batches(batches, "kits", 130)
        fake.kits[world["kits"][1]].deliver()
        assert await of_batches(batches, "kits", 1) == [world["kits"][1]]


async def test_an_order_comes_as_it_is_placed_fulfilled_and_completed(fake: FakeSpot) -> None:
    async with fake.client() as spot:
        _, cursor = await one_pass(spot, "orders")
        placed = (await spot.orders.create(ORDER)).order_id
        assert placed is not None
        for move in (str, fake.orders[placed].fulfil, partial(deliver_all, fake, placed)):
            move()
            ids, cursor = await one_pass(spot, "orders", cursor)
            assert ids == [placed]


def deliver_all(fake: FakeSpot, order_id: str) -> None:
    for kit in list(fake.kits.by_creation()):
        if kit.order_id == order_id:
            kit.ship()
            kit.deliver()


async def test_a_new_signature_of_a_report_is_no_change(fake: FakeSpot) -> None:
    kit = fake.kits.add("K1", updated=datetime.now(UTC))
    kit.document["sample"]["reports"] = [
        {"report_id": "r", "results": [], "pdf": "https://f.example/r.pdf?Signature=1"}
    ]
    async with fake.client() as spot:
        _, cursor = await one_pass(spot, "kits")
        kit.document["sample"]["reports"][0]["pdf"] = "https://f.example/r.pdf?Signature=2"
        kit.updated = datetime.now(UTC).isoformat()
        ids, touched = [], []
        async for batch in changes(spot, "kits", cursor):
            ids += ids_of(batch, "kits")
            touched += [row.kit_id for row in batch.touched]

    assert (ids, touched) == ([], ["K1"])


@pytest.mark.parametrize("count", [2, 130])
@pytest.mark.parametrize("quiet_days", [0, 1, 2, 3, 60])
async def test_another_accounts_cursor_is_refused(fake: FakeSpot, quiet_days: int, count: int) -> None:
    for an_id in list(fake.kits):
        del fake.kits[an_id]
    last = datetime.now(UTC) - timedelta(days=quiet_days)
    for number in range(count):
        fake.kits.add(fake.kits.free_id(), created=last - timedelta(hours=16.5 * number))
    fake.accepted_tokens.add("another")
    async with fake.client() as spot:
        _, cursor = await one_pass(spot, "kits")
        _, cursor = await one_pass(spot, "kits", cursor)
    async with fake.client(token="another") as spot:
        assert (await one_pass(spot, "kits", cursor))[0] == []
    for an_id in list(fake.kits):
        del fake.kits[an_id]
    fake.kits.add_many(3)

    async with fake.client(token="another") as spot:
        with pytest.raises(InvalidInputError, match="another account's"):
            await one_pass(spot, "kits", cursor)


async def test_a_cursor_of_another_server_is_refused(fake: FakeSpot, world: dict[str, list[str]]) -> None:  # noqa: ARG001
    async with fake.client() as spot:
        _, cursor = await one_pass(spot, "kits")
    async with FakeSpot() as other, other.client() as spot:
        with pytest.raises(InvalidInputError, match="another server"):
            changes(spot, "kits", cursor)


@pytest.mark.parametrize("noun", NOUNS)
async def test_one_object_is_waited_for(fake: FakeSpot, world: dict[str, list[str]], noun: str) -> None:
    store: Any = getattr(fake, noun)
    an_id = world[noun][0]
    was = STATUS[noun]

    def wait_until(spot: SpotClient, **about: Any) -> Any:
        return getattr(spot, noun).wait_until(an_id, lambda found: found.status != was, every_s=0.01, **about)

    async with fake.client() as spot:
        with pytest.raises(WaitTimeoutError) as caught:
            await wait_until(spot, deadline_s=0.2)
        assert caught.value.last.status == was
        asyncio.get_running_loop().call_later(0.05, lambda: CHANGE[noun](store[an_id]))
        found = await wait_until(spot, deadline_s=PATIENCE_S)

    assert found.status != was
