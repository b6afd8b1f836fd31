"""The vendor's example kit, field by field, and back."""

import json
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from spotdx_async import dumps, loads
from spotdx_async.models import (
    Carrier,
    GenotypeResult,
    Kit,
    KitStatus,
    QuantityResult,
    ReactivityResult,
    Registrant,
    SampleStatus,
    SampleType,
    Sex,
    Shipment,
)

SAMPLE = Path(__file__).parents[2] / "samples" / "kit.json"
VENDOR = Path(__file__).parents[4] / "shared" / "spot-api" / "kit-example.json"


def day(month: int, of_month: int) -> datetime:
    return datetime(2023, month, of_month, 4, 30, 11, 222_000, tzinfo=UTC)


@pytest.fixture(scope="module")
def text() -> bytes:
    return SAMPLE.read_bytes()


@pytest.fixture(scope="module")
def kit(text: bytes) -> Kit:
    return loads(text, Kit)


def test_the_kit_itself(kit: Kit) -> None:
    assert (kit.kit_id, kit.type) == ("SPOT123456", "health_kit_1")
    assert kit.status is KitStatus.PREPARING
    assert kit.extra == {}


def test_the_events_of_the_kit(kit: Kit) -> None:
    assert [(event.status, event.created) for event in kit.events] == [
        (KitStatus.PREPARING, day(1, 1)),
        (KitStatus.IN_TRANSIT, day(1, 5)),
        (KitStatus.DELIVERED, day(1, 6)),
        (KitStatus.REGISTERED, day(1, 7)),
    ]


def test_the_parcel_to_the_customer(kit: Kit) -> None:
    parcel = Shipment(tracking_number="9400123456789999876500", carrier=Carrier.USPS, created=day(1, 1))

    assert kit.shipment_to_customer == parcel


def test_the_registrant(kit: Kit) -> None:
    assert kit.registered_to == Registrant(
        patient_id="7563e8e2-7fbd-480c-9b8b-2070eda884bf",
        first_name="Alice",
        last_name="Smith",
        date_of_birth=date(1990, 1, 1),
        sex=Sex.F,
        email="alice123@gmail.com",
        phone="1234567890",
    )


def test_the_sample(kit: Kit) -> None:
    sample = kit.sample

    assert sample is not None
    assert (sample.sample_id, sample.status, sample.type) == (
        "SPOT654321",
        SampleStatus.AWAITING_COLLECTION,
        SampleType.ADX100,
    )
    assert [(event.status, event.created) for event in sample.events] == [
        (SampleStatus.AWAITING_COLLECTION, day(1, 1)),
        (SampleStatus.IN_TRANSIT, day(1, 10)),
        (SampleStatus.DELIVERED, day(1, 11)),
        (SampleStatus.RECEIVED, day(1, 12)),
        (SampleStatus.RESULTED, day(1, 13)),
    ]
    assert sample.shipments == (kit.shipment_to_customer,)
    assert sample.panels == ("PANEL-123",)


def test_the_report(kit: Kit) -> None:
    assert kit.sample is not None
    (report,) = kit.sample.reports

    assert report is not None
    assert report.report_id == "<string>"
    assert report.pdf == "https://app.spotkits.com/results/f0e5a607-5b52-4d7c-a3f2-c40772d41482.pdf"
    assert report.txt == "https://app.spotkits.com/results/f0e5a607-5b52-4d7c-a3f2-c40772d41482.txt"
    moment = datetime(2023, 11, 7, 5, 31, 56, tzinfo=UTC)
    assert {report.date_collected, report.date_received, report.date_resulted} == {moment}
    assert report.is_amendment is False


def test_the_results(kit: Kit) -> None:
    report = kit.sample.reports[0] if kit.sample else None
    limits: dict[str, Any] = {"range_minimum": 20, "range_maximum": 200}

    assert report is not None
    assert report.results == (
        QuantityResult(
            name="HDL Cholesterol", time_collected=day(1, 14), result=123, unit_of_measure="mg/dL", **limits
        ),
        QuantityResult(name="Vitamin B12", time_collected=day(1, 14), result="<10", unit_of_measure="pg/mL", **limits),
        ReactivityResult(name="Chlamydia", time_collected=day(1, 14), result="negative"),
        GenotypeResult(name="rs1234567", time_collected=day(1, 14), result="TT"),
    )


def test_the_times_are_aware_and_in_utc(kit: Kit) -> None:
    assert all(event.created is not None and event.created.tzinfo is UTC for event in kit.events)


def test_what_came_goes_out(kit: Kit, text: bytes) -> None:
    assert json.loads(dumps(kit)) == json.loads(text)


def test_the_sample_of_this_project_is_the_example_of_the_vendor(text: bytes) -> None:
    if not VENDOR.exists():
        pytest.skip("the vendor's example is not beside this tree")

    assert json.loads(VENDOR.read_bytes()) == json.loads(text)
