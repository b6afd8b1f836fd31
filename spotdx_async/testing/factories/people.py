"""People who do not exist, at addresses that do not exist either."""

from datetime import date, timedelta
from typing import Any

from spotdx_async.models import Address, Country, NewPatient, Patient, Recipient, Registrant, RegistrationToken, Sex
from spotdx_async.testing.factories.making import checked, made, made_up_uuid

_PATIENT = 1
_FIRST_BIRTHDAY = date(1900, 1, 1)
_BIRTHDAYS = 10_000
_FICTIONAL_PHONES = 100  # 555-0100 to 555-0199 are reserved for fiction


def _contact(number: int) -> dict[str, Any]:
    return {
        "first_name": "Robin",
        "last_name": f"Sample {checked(number)}",
        "email": f"robin.sample.{number}@example.com",
        "phone": f"20255501{number % _FICTIONAL_PHONES:02}",
    }


def _person(number: int) -> dict[str, Any]:
    born = _FIRST_BIRTHDAY + timedelta(days=checked(number) % _BIRTHDAYS)
    return {**_contact(number), "sex": Sex.F if number % 2 else Sex.M, "date_of_birth": born}


def make_address(number: int = 1, /, **fields: Any) -> Address:
    """Make an address that can be sent."""
    return made(
        Address,
        fields,
        street1=f"{checked(number)} Example Street",
        street2="Apt 1",
        city="Springfield",
        state="CA",
        country=Country.US,
        zip="00000",
    )


def make_recipient(number: int = 1, /, **fields: Any) -> Recipient:
    """Make a recipient with whom an order can be sent."""
    return made(Recipient, fields, **_contact(number), address=make_address(number))


def make_registrant(number: int = 1, /, **fields: Any) -> Registrant:
    """Make the person to whom a kit is registered: the patient of that number."""
    return made(Registrant, fields, patient_id=made_up_uuid(_PATIENT, number), **_person(number))


def make_patient(number: int = 1, /, **fields: Any) -> Patient:
    """Make a patient as "create patient" answers it: without an address."""
    return made(Patient, fields, patient_id=made_up_uuid(_PATIENT, number), **_person(number))


def make_new_patient(number: int = 1, /, **fields: Any) -> NewPatient:
    """Make a patient to create, so without an address; that of a requisition or an activation may have one."""
    return made(NewPatient, fields, **_person(number))


def make_registration_token(number: int = 1, /, **fields: Any) -> RegistrationToken:
    """Make a registration token; the fake has not issued it, and refuses it."""
    return made(RegistrationToken, fields, token=f"made-up-registration-token-{checked(number)}")
