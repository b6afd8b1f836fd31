"""The columns of people and their addresses, which several tables have: all of them patient data."""

from spotdx_async.models import Address, Patient, Registrant
from spotdx_async.tables.cells import plain
from spotdx_async.tables.schema import Column, Row, patient_data


def person_columns(whose: str) -> tuple[Column, ...]:
    """Describe the columns of a person; ``whose`` is the beginning of a sentence such as "The patient's"."""
    return (
        patient_data("first_name", "text", f"{whose} given name."),
        patient_data("last_name", "text", f"{whose} family name."),
        patient_data("date_of_birth", "date", f"{whose} date of birth."),
        patient_data("sex", "text", f"{whose} sex, ``M`` or ``F``, or what came in their place."),
        patient_data("email", "text", f"{whose} e-mail address."),
        patient_data("phone", "text", f"{whose} telephone number."),
    )


def person_cells(person: Registrant | Patient | None) -> Row:
    """Return the values of the columns of a person."""
    if person is None:
        return (None,) * 6
    names = (person.first_name, person.last_name)
    return *names, person.date_of_birth, plain(person.sex), person.email, person.phone


def address_columns(whose: str) -> tuple[Column, ...]:
    """Describe the columns of an address; ``whose`` is the beginning of a sentence such as "The patient's"."""
    return (
        patient_data("street1", "text", f"{whose} street and number."),
        patient_data("street2", "text", f"{whose} address's second line."),
        patient_data("city", "text", f"{whose} town."),
        patient_data("state", "text", f"{whose} state or province."),
        patient_data("country", "text", f"{whose} country, ``US`` or ``CA``, or what came in their place."),
        patient_data("zip", "text", f"{whose} postal code."),
    )


def address_cells(address: Address | None) -> Row:
    """Return the values of the columns of an address."""
    if address is None:
        return (None,) * 6
    where = (address.street1, address.street2, address.city, address.state)
    return *where, plain(address.country), address.zip
