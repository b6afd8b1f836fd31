"""Bulk runs and lists: rows, outcomes, items and pages. Checked, never run."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, assert_never, assert_type

from spotdx_async import (
    BulkRun,
    InvalidInputError,
    InvalidRow,
    Journal,
    JournalState,
    Kit,
    KitStatus,
    KitSummary,
    MetadataUpdate,
    Order,
    OrderMetadataUpdate,
    Outcome,
    Pages,
    Progress,
    SpotClient,
    SpotError,
    read_journal,
)


def pairs() -> Iterator[tuple[str, dict[str, str]]]:
    yield "SPOT123456", {"cohort": "A"}


async def mixed_rows() -> AsyncIterator[MetadataUpdate | tuple[str, dict[str, int]] | InvalidRow | InvalidInputError]:
    yield MetadataUpdate("SPOT123456", {"cohort": "A"})
    yield "SPOT123456", {"cohort": 1}
    yield InvalidInputError("line 3 cannot be read")
    yield MetadataUpdate("SPOT123456", {"cohort": "A"}, source=("table", 4))
    yield InvalidRow(InvalidInputError("line 5 cannot be read"), source=5)


def tell(progress: Progress) -> None:
    assert_type(progress.done, int)
    assert_type(progress.by_state["ok"], int)
    assert_type(progress.eta_s, float | None)


async def update_kits(spot: SpotClient, untyped: Any) -> None:
    run = spot.kits.update_metadata_many(pairs(), journal="night.journal", progress=tell, coalesce=True)
    assert_type(run, BulkRun[Kit])
    async for outcome in run:
        assert_type(outcome, Outcome[Kit])
        assert_type(outcome.key, str | None)
        assert_type(outcome.value, Kit | None)
        assert_type(outcome.error, SpotError | None)
        assert_type(outcome.ok, bool)
        assert_type(outcome.source, Any)
        assert_type(sort_out(outcome), str)
    run.stop()
    await run.aclose()
    assert_type(run.remaining_outcomes(), list[Outcome[Kit]])
    spot.kits.update_metadata_many(mixed_rows(), ordered=True, decode=False, stop_after=10)
    spot.kits.update_metadata_many([("SPOT123456", {"cohort": "A"})], journal=Path("night.journal"))
    spot.kits.update_metadata_many([MetadataUpdate("SPOT123456", {})], journal=Journal("night.journal"), progress=print)
    spot.kits.update_metadata_many(untyped)


async def update_orders(spot: SpotClient) -> None:
    run = spot.orders.update_metadata_many([OrderMetadataUpdate("O1", {"batch": 7}), ("O2", {})])
    assert_type([outcome async for outcome in run], list[Outcome[Order]])
    assert_type(read_journal("night.journal"), JournalState)


def sort_out(outcome: Outcome[Kit]) -> str:
    """Every state is known, so that a branch that is missing shows."""
    match outcome.state:
        case "ok" | "superseded" | "skipped":
            return "done"
        case "rejected" | "failed" | "unknown":
            return "to be looked at"
        case _:
            assert_never(outcome.state)


async def read_list(spot: SpotClient) -> None:
    pages = spot.kits.list(has_order=True)
    assert_type(pages, Pages[KitSummary])
    async for kit in pages:
        assert_type(kit, KitSummary)
        assert_type(kit.kit_status, KitStatus | str | None)
    async for page in pages.by_page():
        assert_type(page, tuple[KitSummary, ...])
    assert_type(await pages.first(5), list[KitSummary])
    assert_type({kit.kit_id async for kit in pages}, set[str | None])
