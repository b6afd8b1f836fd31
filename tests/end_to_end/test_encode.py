"""A client's ``encode``: values of metadata that JSON lacks arrive the same, whichever way they are sent."""

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve

from spotdx_async import (
    ConfigError,
    InvalidInputError,
    MetadataUpdate,
    NewOrder,
    Outcome,
    SpotClient,
    SpotError,
    check_new,
)
from spotdx_async.testing import FakeSpot
from tests.new_objects import ORDER, PATIENT, REQUISITION

WHEN = datetime(2026, 1, 31, 12, tzinfo=UTC)
METADATA = {"when": WHEN, "prices": [Decimal("1.10"), 2]}
SENT = {"when": "2026-01-31T12:00:00+00:00", "prices": ["1.10", 2]}
CANARY = "canary"


def encode(value: Any) -> object:
    return value.isoformat() if isinstance(value, datetime) else str(value)


def failing(value: Any) -> object:
    raise LookupError(f"{CANARY} {value}")


@pytest.fixture
def spot(fake_spot: FakeSpot) -> SpotClient:
    return fake_spot.client(encode=encode)


async def test_single_calls_send_what_it_returns(fake_spot: FakeSpot, spot: SpotClient) -> None:
    await spot.kits.update_metadata("SPOT123456", METADATA)
    order = await spot.orders.create(evolve(ORDER, metadata=METADATA))
    requisition = await spot.requisitions.create(evolve(REQUISITION, metadata=METADATA))
    kit = fake_spot.kits["SPOT123456"].metadata
    await spot.with_options(timeout_s=5).orders.update_metadata(str(order.order_id), METADATA)
    await spot.request("POST", "/api/v2/kits/SPOT123456/", json={"metadata": {"at": WHEN}})

    assert kit == SENT
    assert (order.metadata or {}).items() >= SENT.items()
    assert (requisition.metadata or {}).items() >= SENT.items()
    assert fake_spot.orders[str(order.order_id)].metadata == SENT
    assert fake_spot.kits["SPOT123456"].metadata == {"at": "2026-01-31T12:00:00+00:00"}


async def test_a_bulk_run_sends_and_records_what_it_returns(
    fake_spot: FakeSpot, spot: SpotClient, tmp_path: Path
) -> None:
    fake_spot.kits.add_many(f"SPOT{n}" for n in range(3))
    journal = tmp_path / "run.journal"
    rows = [MetadataUpdate(f"SPOT{n}", METADATA) for n in range(3)] + [MetadataUpdate("SPOT1", {"at": WHEN})]

    first = [row.state async for row in spot.kits.update_metadata_many(rows, journal=journal, coalesce=True)]
    plain = [MetadataUpdate(f"SPOT{n}", SENT) for n in range(3)] + [MetadataUpdate("SPOT1", {"at": WHEN.isoformat()})]
    # The journal knows rows by what was sent, so a client without the function goes on with them encoded before.
    again = [row.state async for row in fake_spot.client().kits.update_metadata_many(plain, journal=journal)]

    assert sorted(first) == ["ok", "ok", "ok", "superseded"]
    assert sorted(again) == ["skipped", "skipped", "skipped", "superseded"]
    assert [fake_spot.kits[f"SPOT{n}"].metadata for n in range(3)] == [SENT, {"at": WHEN.isoformat()}, SENT]


async def test_a_changed_input_is_found_by_what_it_returns(spot: SpotClient, tmp_path: Path) -> None:
    journal = tmp_path / "run.journal"
    [row async for row in spot.kits.update_metadata_many([("SPOT123456", METADATA)], journal=journal)]

    run = spot.kits.update_metadata_many([], journal=journal)

    assert run.first_changed_row([("SPOT123456", SENT)]) is None
    assert run.first_changed_row([("SPOT123456", {**METADATA, "prices": []})]) == 0


async def test_creates_in_bulk_send_what_it_returns(fake_spot: FakeSpot, spot: SpotClient, tmp_path: Path) -> None:
    journal = tmp_path / "batch.journal"
    rows = [("a", evolve(ORDER, metadata=METADATA))]

    (placed,) = [row async for row in spot.orders.create_many(rows, batch="b", journal=journal)]
    plain = [("a", evolve(ORDER, metadata=SENT))]
    (again,) = [row async for row in fake_spot.client().orders.create_many(plain, batch="b", journal=journal)]
    rows_of_requisitions = [("a", evolve(REQUISITION, metadata=METADATA))]
    (made,) = [row async for row in spot.requisitions.create_many(rows_of_requisitions, batch="b", journal=None)]

    assert (placed.state, again.state, again.object_id, made.state) == ("ok", "skipped", placed.object_id, "ok")
    assert placed.value is not None
    assert (placed.value.metadata or {}).items() >= SENT.items()


async def test_what_it_raises_is_told_by_its_place_and_shows_no_value(fake_spot: FakeSpot) -> None:
    spot = fake_spot.client(encode=failing)
    metadata = {"a": [{"when": WHEN}]}
    order = NewOrder(kit_types=("health_kit_1",), recipient=None, metadata=metadata)
    told: list[SpotError] = []

    for call in (
        spot.kits.update_metadata("SPOT123456", metadata),
        spot.orders.create(order),
        spot.request("POST", "/api/v2/kits/SPOT123456/", json={"metadata": metadata}),
    ):
        with pytest.raises(InvalidInputError) as caught:
            await call
        told.append(caught.value)
    outcomes: list[Outcome[Any]] = []
    outcomes += [row async for row in spot.kits.update_metadata_many([("SPOT123456", metadata)])]
    outcomes += [row async for row in spot.orders.create_many([("a", order)], batch="b", journal=None)]

    assert [row.state for row in outcomes] == ["rejected", "rejected"]
    told += [row.error for row in outcomes if row.error is not None]
    assert len(told) == 5
    for error in told:
        assert "metadata.a[0].when is of type datetime, for which encode raised LookupError" in str(error)
        assert CANARY not in f"{error!s} {error!r} {error.args}"
        assert (error.__cause__, error.__context__) == (None, None)
    assert dict(getattr(told[1], "faults", ())).keys() == {"recipient", "metadata.a[0].when"}
    assert fake_spot.counts["requests"] == 0


async def test_rows_and_orders_are_checked_with_it_before_they_are_sent() -> None:
    order = evolve(ORDER, metadata=METADATA)

    MetadataUpdate("SPOT123456", METADATA).check(encode=encode)
    check_new(order, encode=encode)
    check_new(evolve(REQUISITION, metadata=METADATA), encode=encode)
    check_new(PATIENT, encode=encode)

    checks: list[Callable[..., None]] = [MetadataUpdate("SPOT123456", METADATA).check, partial(check_new, order)]
    for call in checks:
        with pytest.raises(InvalidInputError, match=r"metadata\.when is of type datetime.* pass its isoformat\(\)"):
            call()
        with pytest.raises(InvalidInputError, match=r"metadata\.when is of type datetime, for which encode raised"):
            call(encode=failing)
        with pytest.raises(ConfigError, match="encode must be a plain function"):
            call(encode=5)


async def test_an_async_function_is_refused(fake_spot: FakeSpot) -> None:
    async def later(_value: object) -> object:
        return None

    with pytest.raises(ConfigError, match="encode must be a plain function"):
        fake_spot.client(encode=later)
