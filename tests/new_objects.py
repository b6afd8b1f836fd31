"""An order, a patient and a requisition to create, of nobody who exists."""

from datetime import date
from typing import Any, TypeVar

from spotdx_async import Address, NewOrder, NewPatient, NewRequisition, Recipient
from spotdx_async.models import Model

__all__ = ["ADDRESS", "ORDER", "PATIENT", "RECIPIENT", "REQUISITION", "part"]

M = TypeVar("M", bound=Model)


def part(model: type[M], **fields: Any) -> M:
    """Build a model without all of its required fields, as an answer may be, or as a user must not send it."""
    return model(**fields)


ADDRESS = Address(street1="1 Example Street", city="Springfield", state="CA", country="US", zip="00000")
RECIPIENT = Recipient(
    first_name="Robin", last_name="Sample", email="r@example.com", phone="2025550147", address=ADDRESS
)
ORDER = NewOrder(kit_types=("health_kit_1",), recipient=RECIPIENT)
PATIENT = NewPatient(
    first_name="Robin", last_name="Sample", email="robin@example.com", sex="F", date_of_birth=date(1990, 1, 31)
)
REQUISITION = NewRequisition(
    barcode="77742938328",
    panels=("PANEL-123",),
    account_number="1234567890",
    lab="CRL",
    state_collected="OH",
    patient=NewPatient(
        first_name="Robin",
        last_name="Sample",
        email="robin@example.com",
        sex="F",
        date_of_birth=date(1990, 1, 31),
        address=ADDRESS,
    ),
)
