"""What people and addresses must be when they are sent. Pure; knows no operation."""

from collections.abc import Mapping
from datetime import date

from spotdx_async.testing.bodies import Check, day_until, email, fields, fits, maybe_null, one_of, text

__all__ = ["ADDRESS", "RECIPIENT", "TWO_LETTERS", "person_fields"]

TWO_LETTERS = fits("[A-Za-z]{2}", "two letters")

ADDRESS = fields(
    {"street1": text, "city": text, "state": text, "country": one_of("US", "CA"), "zip": text},
    {"street2": maybe_null(text)},
)
RECIPIENT = fields({"first_name": text, "last_name": text, "email": email, "phone": text, "address": ADDRESS})


def person_fields(today: date) -> Mapping[str, Check]:
    """Give the checks of a patient's fields but for the phone, which is optional everywhere."""
    return {
        "first_name": text,
        "last_name": text,
        "email": email,
        "sex": one_of("M", "F"),
        "date_of_birth": day_until(today),
    }
