"""Single calls: what they take and what they give. Checked, never run."""

from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any, assert_type

import aiohttp

from spotdx_async import (
    Activation,
    AdaptiveRateLimit,
    Address,
    Kit,
    KitStatus,
    KitSummary,
    Limiter,
    NewOrder,
    NewPatient,
    NewRequisition,
    Order,
    OrderSummary,
    Pages,
    Patient,
    RateLimit,
    Recipient,
    RegistrationToken,
    Requisition,
    RequisitionSummary,
    Response,
    RetryPolicy,
    SavedFile,
    SpotClient,
    Stats,
    check_new,
    dumps,
    loads,
    to_dict,
)
from spotdx_async.resources import Kits


class OwnClient(SpotClient):
    """A subclass, whose views are of it."""

    study = "flu"


async def nouns_and_views(own: OwnClient) -> None:
    """A noun of a client, one of the class, which mocks look at, and a view of a subclass."""
    assert_type(own.kits, Kits)
    assert_type(SpotClient.kits, Kits)
    assert_type(own.with_options(timeout_s=5), OwnClient)
    assert_type(own.with_options(timeout_s=5).study, str)


class EveryTenth:
    """A limiter of the user's own, which need not know ours."""

    async def acquire(self) -> None: ...

    def pause(self, seconds: float) -> None: ...


def plain_token() -> str:
    return "token"


async def awaited_token() -> str:
    return "token"


class Vault:
    async def __call__(self) -> str:
        return "token"


async def make_clients(session: aiohttp.ClientSession, any_limiter: Limiter) -> None:
    SpotClient()
    SpotClient("token", base_url="https://spot.example", timeout_s=5, deadline_s=60, max_wait_s=0.5)
    SpotClient(token=plain_token)
    SpotClient(awaited_token)
    SpotClient(Vault())
    SpotClient(lambda: "token", session=session)
    SpotClient(rate_limit=RateLimit(50))
    SpotClient(rate_limit=RateLimit(rate=3000, per_s=60.0, burst=10))
    SpotClient(rate_limit=AdaptiveRateLimit(start=20, ceiling=200))
    SpotClient(rate_limit=EveryTenth())
    SpotClient(rate_limit=any_limiter, retry=RetryPolicy(max_attempts=1), client_ref_key=None)
    async with SpotClient(concurrency=8, max_body_bytes=2**20) as spot:
        assert_type(spot, SpotClient)
        assert_type(spot.stats, Stats)
        assert_type(spot.stats.rate, float | None)
        assert_type(spot.with_options(timeout_s=5, deadline_s=None, retry=RetryPolicy(), max_wait_s=1.5), SpotClient)
    assert_type(await spot.close(), None)


async def ask_for_kits(spot: SpotClient, metadata: Mapping[str, int]) -> None:
    assert_type(await spot.kits.update_metadata("SPOT123456", {"cohort": "A", "tags": ["x", 1, None]}), Kit)
    assert_type(await spot.kits.update_metadata("SPOT123456", metadata), Kit)
    assert_type(await spot.kits.get("SPOT123456"), Kit)
    assert_type(await spot.kits.types(), list[str])
    assert_type(spot.kits.list(), Pages[KitSummary])
    assert_type(
        spot.kits.list(kit_status=KitStatus.DELIVERED, sample_status="pending", created_after="2024-01-31"),
        Pages[KitSummary],
    )
    assert_type(await spot.kits.activate("SPOT123456", patient_id="P1"), Activation)
    # Of a person who is not known in full: what an activation requires depends on the kit type.
    patient = NewPatient(first_name="A", last_name="B", email=None, sex="F", date_of_birth=None)
    assert_type(await spot.kits.activate("SPOT123456", patient=patient, research_consent=True), Activation)


async def ask_for_orders(spot: SpotClient) -> None:
    address = Address(street1="1 Example Street", city="Springfield", state="IL", country="US", zip="62701")
    recipient = Recipient(first_name="A", last_name="B", email="a@b.example", phone="2025550147", address=address)
    order = NewOrder(kit_types=("health_kit_1",), recipient=recipient, metadata={"batch": 7})
    check_new(order)
    assert_type(await spot.orders.create(order, client_ref="mine"), Order)
    assert_type(await spot.orders.get("O1"), Order)
    assert_type(await spot.orders.update_metadata("O1", {}), Order)
    assert_type(spot.orders.list(status="pending", created_after=date(2024, 1, 31)), Pages[OrderSummary])
    assert_type(spot.orders.list(on_bad_item="skip", start_offset=100), Pages[OrderSummary])
    assert_type(spot.orders.list(on_bad_item=lambda _offset, _index, error: error.path), Pages[OrderSummary])


async def ask_for_people(spot: SpotClient, requisition: NewRequisition, patient: NewPatient) -> None:
    check_new(patient, to_activate=True)
    assert_type(await spot.requisitions.create(requisition), Requisition)
    assert_type(await spot.requisitions.get("R1"), Requisition)
    assert_type(spot.requisitions.list(status="denied"), Pages[RequisitionSummary])
    assert_type(await spot.patients.create(patient), Patient)
    assert_type(await spot.registration_tokens.create("P1"), RegistrationToken)


async def save_files(spot: SpotClient, kit: Kit, requisition: Requisition) -> None:
    for report in (*(kit.sample.reports if kit.sample else ()), *requisition.reports):
        if report is not None and report.pdf is not None:
            saved = await spot.reports.save(report, Path("report.pdf"))
            assert_type(saved, SavedFile)
            assert_type((saved.path, saved.size, saved.sha256), tuple[Path, int, str])
    await spot.reports.save("https://app.spotkits.com/report.txt", "report.txt", kind="txt", hosts={"a.example:8443"})


async def ask_what_the_sdk_does_not_know(spot: SpotClient) -> None:
    response = await spot.request("GET", "/api/v2/labs", query={"state": "IL", "page": 2}, replay_safe=True)
    assert_type(response, Response)
    assert_type(response.status, int)
    assert_type(response.headers, Mapping[str, str])
    assert_type(response.body, bytes)
    assert_type(response.json(), Any)


def keep(data: bytes) -> None:
    assert_type(loads(data, Kit), Kit)
    assert_type(loads("[]", tuple[Order, ...]), tuple[Order, ...])
    assert_type(dumps(loads(data, Kit)), bytes)
    assert_type(to_dict(loads(data, Kit)), dict[str, Any])
    assert_type(to_dict(loads(data, tuple[Order, ...])), list[dict[str, Any]])
