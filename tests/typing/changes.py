"""Feeds of changes and waiting for one object. Checked, never run."""

from collections.abc import AsyncIterator
from datetime import date
from typing import Any, assert_type

from spotdx_async import (
    Batch,
    ChangeCounts,
    Changes,
    Kit,
    Order,
    Requisition,
    SpotClient,
    SpotError,
    Unread,
    WaitTimeoutError,
)


async def pull_kits(spot: SpotClient, stored: str | None) -> str | None:
    feed = spot.kits.changes(stored, concurrency=8, batch_size=50)
    assert_type(feed, Changes[Kit])
    async for batch in feed:
        assert_type(batch, Batch[Kit])
        assert_type(batch.items, tuple[Kit, ...])
        assert_type(batch.summaries, tuple[Any, ...])
        assert_type(batch.unread, tuple[Unread, ...])
        stored = batch.cursor
        for unread in batch.unread:
            assert_type(unread.object_id, str | None)
            assert_type(unread.error, SpotError)
    assert_type(feed.counts, ChangeCounts)
    assert_type(feed.cursor, str)
    feed.sweep = True
    return stored


async def pull_others(spot: SpotClient) -> None:
    assert_type(spot.orders.changes(), Changes[Order])
    assert_type(spot.orders.changes(since=date(2026, 11, 1)), Changes[Order])
    assert_type(spot.requisitions.changes(None, since="2026-11-01"), Changes[Requisition])


async def follow(spot: SpotClient) -> None:
    async with spot.orders.changes() as feed:
        assert_type(feed, Changes[Order])
        batches = feed.follow(every_s=5)
        assert_type(batches, AsyncIterator[Batch[Order]])
        feed.nudge("O1")
        assert_type(await feed.aclose(), None)


async def wait(spot: SpotClient) -> None:
    try:
        assert_type(await spot.kits.wait_until("SPOT123456", is_delivered, deadline_s=3600), Kit)
    except WaitTimeoutError as error:
        assert_type(error.last, Any)
    order = await spot.orders.wait_until("O1", lambda order: order.kits, deadline_s=60, every_s=1.5)
    assert_type(order, Order)
    found = await spot.requisitions.wait_until("R1", lambda requisition: requisition.reports, deadline_s=60)
    assert_type(found, Requisition)


def is_delivered(kit: Kit) -> bool:
    return kit.status == "delivered"
