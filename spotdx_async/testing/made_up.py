"""A person who does not exist, and what else is made up for things of which nothing is said. Pure."""

import json
import uuid
from collections.abc import Mapping
from typing import Any
from zlib import crc32

__all__ = ["ADDRESS", "PERSON", "RECIPIENT", "fresh", "new_shipment", "new_uuid"]

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


def fresh(value: Mapping[str, Any]) -> dict[str, Any]:
    """Give a copy of a JSON object that may be changed at any depth."""
    copied: dict[str, Any] = json.loads(json.dumps(value))
    return copied


def new_uuid() -> str:
    """Give an id as the API's patients and requisitions have it."""
    return str(uuid.uuid4())


def new_shipment(of: str, at: str, tracking_number: str | None = None, carrier: str | None = "usps") -> dict[str, Any]:
    """Give a shipment with a tracking number of 22 digits, the same for the same thing, where none is given."""
    number = f"9400{crc32(of.encode()):018}" if tracking_number is None else tracking_number
    return {"tracking_number": number, "carrier": carrier, "created": at}
