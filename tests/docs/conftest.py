"""A fake server whose token and people are canaries, for programs that must let none of them out."""

from collections.abc import Iterator

import pytest

from spotdx_async.testing import FakeSpot

CANARY = "canary"
PERSON = {
    "first_name": f"{CANARY}-first",
    "last_name": f"{CANARY}-last",
    "email": f"{CANARY}@example.com",
    "phone": f"{CANARY}-phone",
    "date_of_birth": "1900-02-03",
}


@pytest.fixture
def watched() -> Iterator[FakeSpot]:
    with FakeSpot(token=f"{CANARY}-token") as fake:
        for kit in fake.kits.values():
            kit.document["registered_to"] = {"patient_id": f"{CANARY}-patient", **PERSON}
        for order in fake.orders.values():
            order.document["recipient"] = {name: PERSON[name] for name in ("first_name", "last_name", "email", "phone")}
            order.metadata = {"note": f"{CANARY}-note"}
        yield fake
