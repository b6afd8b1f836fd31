"""Made-up data: the documented example of a kit, a person who does not exist, ids, shipments and lab reports. Pure."""

import json
import uuid
from collections.abc import Iterable, Mapping
from functools import cache
from importlib.resources import files
from typing import Any
from zlib import crc32

EXAMPLE_KIT_ID = "SPOT123456"
EXAMPLE_INSTANT = "2023-01-01T04:30:11.222Z"
"""The instant of the documented examples."""
MADE_UP = "https://results.example.com"
"""Where the links of made-up reports lead, until a server has an address of its own for them."""

PERSON: Mapping[str, Any] = {
    "first_name": "Robin",
    "last_name": "Sample",
    "email": "robin.sample@example.com",
    "phone": "2025550147",
}
ADDRESS: Mapping[str, Any] = {
    "street1": "1 Example Street",
    "street2": "Apt 1",
    "city": "Springfield",
    "state": "CA",
    "country": "US",
    "zip": "00000",
}
RECIPIENT: Mapping[str, Any] = {**PERSON, "address": ADDRESS}

_NO_RANGE: Mapping[str, Any] = {"unit_of_measure": None, "range_minimum": None, "range_maximum": None}
_RESULTS: tuple[Mapping[str, Any], ...] = (
    {
        "result_type": "quantity",
        "name": "HDL Cholesterol",
        "result": 61.5,
        "unit_of_measure": "mg/dL",
        "range_minimum": 40,
        "range_maximum": 90,
    },
    {
        "result_type": "quantity",
        "name": "Vitamin B12",
        "result": "<10",  # below the detection limit
        "unit_of_measure": "pg/mL",
        "range_minimum": 20,
        "range_maximum": 200,
    },
    {"result_type": "reactivity", "name": "Chlamydia", "result": "negative", **_NO_RANGE},
    {"result_type": "genotype", "name": "rs1234567", "result": "CT", **_NO_RANGE},
)


@cache
def example_kit() -> Mapping[str, Any]:
    """Return the vendor's example answer as published, to read; the vendor invented its people and addresses."""
    text = files(__package__).joinpath("kit_example.json").read_text(encoding="utf-8")
    read: dict[str, Any] = json.loads(text)
    return read


def example_kit_text(kit_id: str) -> str:
    """Return the example as JSON text under another id, without parsing and writing it for each kit."""
    before, after = _halves()
    return before + json.dumps(kit_id, ensure_ascii=False) + after


@cache
def _halves() -> tuple[str, str]:
    before, _, after = json.dumps(example_kit(), ensure_ascii=False).partition(json.dumps(EXAMPLE_KIT_ID))
    return before, after


def fresh(value: Mapping[str, Any]) -> dict[str, Any]:
    """Return a deep copy of a JSON object."""
    copied: dict[str, Any] = json.loads(json.dumps(value))
    return copied


def new_uuid() -> str:
    """Return an id such as the API's patients and requisitions have."""
    return str(uuid.uuid4())


def new_shipment(of: str, at: str, tracking_number: str | None = None, carrier: str | None = "usps") -> dict[str, Any]:
    """Return a shipment; without a tracking number it gets one of 22 digits, always the same for the same ``of``."""
    number = f"9400{crc32(of.encode()):018}" if tracking_number is None else tracking_number
    return {"tracking_number": number, "carrier": carrier, "created": at}


def new_report(
    results: Iterable[Mapping[str, Any]] | None,
    *,
    collected: str,
    received: str,
    resulted: str,
    is_amendment: bool = False,
) -> dict[str, Any]:
    """Return a lab report with an id of its own.

    Args:
        results: the results as they appear in it; None for two quantities, a reactivity and a genotype.
        collected: when the sample was collected.
        received: when the lab received it.
        resulted: when the report was written.
        is_amendment: whether it amends an earlier report.
    """
    report_id = new_uuid()
    if results is None:
        results = [{**result, "time_collected": collected, "comments": None} for result in _RESULTS]
    return {
        "report_id": report_id,
        "results": [fresh(result) for result in results],
        "pdf": f"{MADE_UP}/{report_id}.pdf",
        "txt": f"{MADE_UP}/{report_id}.txt",
        "date_collected": collected,
        "date_received": received,
        "date_resulted": resulted,
        "is_amendment": is_amendment,
    }
