"""The patient: the resource, which only exists with ``phi``, and what other resources say of the subject."""

from typing import Final

from spotdx_async.fhir.case import Case, made_id
from spotdx_async.fhir.elements import PATIENT_SYSTEM, PSEUDONYM_SYSTEM, Json, clean, compact, identifier
from spotdx_async.models import Address

_GENDERS: Final = {"M": "male", "F": "female"}


def patient(case: Case) -> Json | None:
    """Return the patient; None without ``phi``, or where nobody is known."""
    person = case.person
    if person is None or not case.options.phi:
        return None
    given = clean(person.first_name)
    name = compact(family=clean(person.last_name), given=[given] if given else [])
    contacts = (("phone", clean(person.phone)), ("email", clean(person.email)))
    return compact(
        resourceType="Patient",
        id=_patient_id(case),
        identifier=identifier(PATIENT_SYSTEM, person.patient_id),
        name=[name] if name else [],
        telecom=[{"system": system, "value": value} for system, value in contacts if value],
        gender=None if person.sex is None else _GENDERS.get(person.sex),
        birthDate=None if person.date_of_birth is None else person.date_of_birth.isoformat(),
        address=_addresses(case.address),
    )


def subject(case: Case) -> Json | None:
    """Return whom the other resources are about: the patient, or without ``phi`` a pseudonym; None for nobody."""
    person, options = case.person, case.options
    if person is None:
        return None
    if options.phi:
        return {"reference": options.reference("Patient", _patient_id(case))}
    if options.pseudonym is None or person.patient_id is None:
        return None
    named = identifier(PSEUDONYM_SYSTEM, options.pseudonym(person.patient_id))
    return {"type": "Patient", "identifier": named[0]} if named else None


def _patient_id(case: Case) -> str:
    """Return an id that a patient has in every kit, where the vendor gives the patient one."""
    known = None if case.person is None else case.person.patient_id
    return case.id_of("Patient") if known is None else made_id("Patient", "patient", known)


def _addresses(address: Address | None) -> list[Json]:
    if address is None:
        return []
    lines = [line for line in (clean(address.street1), clean(address.street2)) if line]
    written = compact(
        line=lines,
        city=clean(address.city),
        state=clean(address.state),
        postalCode=clean(address.zip),
        country=clean(address.country),
    )
    return [written] if written else []
