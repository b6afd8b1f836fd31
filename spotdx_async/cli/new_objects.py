"""What can be created: how a row of a file is written, and the object that it makes, checked as a whole."""

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import deepcopy
from typing import Any, NoReturn, TypeVar

import attrs
from attrs import frozen

from spotdx_async import (
    BulkRun,
    KitActivation,
    MetadataUpdate,
    NewOrder,
    NewOrderRow,
    NewPatient,
    NewPatientRow,
    NewRequisition,
    NewRequisitionRow,
    SpotClient,
    check_new,
    loads,
)
from spotdx_async.cli.output import counted
from spotdx_async.errors import DecodeError, InvalidInputError
from spotdx_async.files.row_shape import Cell, ObjectShape
from spotdx_async.models import Model

__all__ = ["ACTIVATIONS", "ORDERS", "PATIENTS", "REFERENCE_KEY", "REQUISITIONS", "CreateKind", "unknown_fields"]

M = TypeVar("M", NewOrder, NewPatient, NewRequisition)

REFERENCE_KEY = "client_ref"
"""Of the client's own, which no setting changes."""
_ADDRESS = ("street1", "street2", "city", "state", "country", "zip")
_CONTACT = ("first_name", "last_name", "email", "phone")
_LISTS = {"kit_types", "panels"}
_HOW_TO_LIST = " (several are separated by ; in a cell, and one that holds a comma ends with ;)"
_SPOILT = (
    (re.compile(r"\d{1,4}"), "has fewer than five digits, as where leading zeros were lost"),
    (re.compile(r"\d(\.\d+)?E\+\d+", re.IGNORECASE), "is a number in scientific notation, as where digits were lost"),
    (re.compile(r"\d+\.0+"), "is a number with a decimal point"),
    (re.compile(r'=".*"', re.DOTALL), "is a formula"),
)
"""What a spreadsheet, or a data frame, makes of codes and telephone numbers; the first of postal codes alone."""
_MOST_FAULTS = 50
_NEAR_KEYS = frozenset(
    {"id", "rowid", "externalid", "reference", "ref", "clientref", "primarykey", "record", "recordid"}
    | {"participant", "participantid", "subject", "subjectid", "order", "orderid", "requisition", "requisitionid"}
)
_MEANINGS = {
    "given": "first_name", "givenname": "first_name", "forename": "first_name",
    "surname": "last_name", "family": "last_name", "familyname": "last_name",
    "mail": "email", "emailaddress": "email",
    "tel": "phone", "telephone": "phone", "mobile": "phone", "phonenumber": "phone",
    "street": "street1", "address": "street1", "address1": "street1", "addressline1": "street1", "line1": "street1",
    "address2": "street2", "addressline2": "street2", "line2": "street2", "apartment": "street2", "apt": "street2",
    "town": "city", "province": "state", "region": "state",
    "postcode": "zip", "postalcode": "zip", "zipcode": "zip", "plz": "zip",
    "kits": "kit_types", "kit": "kit_types", "kittype": "kit_types", "type": "kit_types",
    "dob": "date_of_birth", "birthdate": "date_of_birth", "birthday": "date_of_birth", "gender": "sex",
    "consent": "research_consent", "panel": "panels", "account": "account_number", "laboratory": "lab",
}  # fmt: skip
"""Columns by other names, letters and digits alone."""


@frozen(kw_only=True)
class CreateKind:
    """Something that can be created in bulk."""

    noun: str
    """What it is a command of."""
    shape: ObjectShape
    """How a row is written."""
    build: Callable[..., Any]
    """Returns what is sent for a row's id and content, with its ``source``; raises InvalidInputError."""
    send_of: Callable[[SpotClient], Callable[..., BulkRun[Any]]]
    """Returns the client's call that sends such rows."""
    thing: str
    """One of them, in words."""
    done: str
    """What is true of one that was created."""
    says: Callable[[int], str]
    """Returns what so many of them cost, as a sentence."""
    can_look: bool = True
    """Whether the API can be asked what became of a row in doubt."""
    has_reference: bool = True
    """Whether it carries a reference, made of batch and key."""

    def check(self, row: Any, *, allow_any_id: bool) -> None:
        """Check what ``build`` does not: the id that a request's path holds.

        Raises:
            InvalidInputError: it cannot be sent.
        """
        if isinstance(row, KitActivation):
            MetadataUpdate(row.kit_id, {}).check(allow_any_id=allow_any_id)


def unknown_fields(model: Model, path: str = "") -> Iterator[str]:
    """Yield the fields that the API does not have, also of models within: the server would silently drop them."""
    yield from (f"{path}{name}" for name in model.extra)
    for field in attrs.fields(type(model)):
        value = getattr(model, field.name)
        # Nested models too: the address of a recipient is where misspelt names occur.
        items = value if isinstance(value, tuple) else (value,)
        for number, item in enumerate(items):
            if isinstance(item, Model):
                index = f"[{number}]" if isinstance(value, tuple) else ""
                yield from unknown_fields(item, f"{path}{field.name}{index}.")


def _built(content: Mapping[str, Any], type_: type[M], *, to_activate: bool = False) -> M:
    """Return what a row creates.

    Raises:
        InvalidInputError: it cannot be created; ``faults`` has every fault with its path, and no text shows a value.
    """
    model, faults = _read(content, type_)
    faults += _spoilt(content)
    if model is not None:
        unread = [path for path, _ in faults]
        faults += [(path, "is no field that the API has") for path in unknown_fields(model)]
        reference = (getattr(model, "metadata", None) or {}).get(REFERENCE_KEY, "none")
        if reference is not None and not (isinstance(reference, str) and reference.strip()):
            faults.append((f"metadata.{REFERENCE_KEY}", "must be text, and not empty"))
        try:
            check_new(model, to_activate=to_activate)
        except InvalidInputError as error:
            faults += [(path, why) for path, why in error.faults if not any(map(path.startswith, unread))]
    if faults or model is None:
        _refuse(faults)
    return model


def _read(content: Mapping[str, Any], type_: type[M]) -> tuple[M | None, list[tuple[str, str]]]:
    """Return the model without what has a wrong type, and what that is; no model if too much has."""
    faults: list[tuple[str, str]] = []
    tree = content
    while len(faults) < _MOST_FAULTS:
        try:
            return loads(json.dumps(tree), type_), faults
        except DecodeError as error:
            path, text = error.path, str(error.args[0])
        found = _value_at(tree, path)
        hint = _HOW_TO_LIST if path in _LISTS and isinstance(found, str) else ""
        if type(found) in {int, float}:  # no field of what is created is a number
            hint = ": format the column as text in the spreadsheet and enter it once more, or put it in quotes in JSON"
        faults.append((path, f"{text.removeprefix(path).strip() or 'cannot be read'}{hint}"))
        if tree is content:
            tree = deepcopy(dict(content))
        if not _take_out(tree, path):
            break
    return None, faults


def _spoilt(content: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, str]]:
    """Yield what a spreadsheet has made of text that looks like a number: the digits that are gone are in no file."""
    for name, value in content.items():
        if isinstance(value, dict) and name != "metadata":
            yield from _spoilt(value, f"{path}{name}.")
        elif isinstance(value, str) and name != "metadata":
            for look, why in _SPOILT if name == "zip" else _SPOILT[1:]:
                if look.fullmatch(value.strip()):
                    yield f"{path}{name}", f"{why}: format the column as text in the spreadsheet"


def _steps(path: str) -> list[str | int]:
    steps: list[str | int] = []
    for part in path.split("."):
        name, *indexes = part.replace("]", "").split("[")
        steps += [name, *map(int, indexes)]
    return steps


def _value_at(tree: Any, path: str) -> Any:
    """Return the value at a path; None if there is none."""
    try:
        for step in _steps(path):
            tree = tree[step]
    except (LookupError, TypeError):
        return None
    return tree


def _take_out(tree: Any, path: str) -> bool:
    steps = _steps(path)
    try:
        for step in steps[:-1]:
            tree = tree[step]
        del tree[steps[-1]]
    except (LookupError, TypeError):
        return False
    return True


def _refuse(faults: Sequence[tuple[str, str]]) -> NoReturn:
    listed = "; ".join(f"{path} {why}".lstrip() for path, why in faults)
    count = "" if len(faults) == 1 else f"{len(faults)} faults: "
    raise InvalidInputError(f"{count}{listed}; nothing was sent", faults=tuple(faults))


def _new_order(key: str, content: Mapping[str, Any], *, source: Any) -> NewOrderRow:
    return NewOrderRow(key, _built(content, NewOrder), source=source)


def _new_requisition(key: str, content: Mapping[str, Any], *, source: Any) -> NewRequisitionRow:
    return NewRequisitionRow(key, _built(content, NewRequisition), source=source)


def _new_patient(key: str, content: Mapping[str, Any], *, source: Any) -> NewPatientRow:
    return NewPatientRow(key, _built(content, NewPatient), source=source)


def _activation(key: str, content: Mapping[str, Any], *, source: Any) -> KitActivation:
    values = dict(content)
    patient_id, new, consent = (values.pop(name, None) for name in ("patient_id", "patient", "research_consent"))
    faults = [(name, "is no field that the API has") for name in values]
    if (patient_id is None) == (new is None):
        faults.append(("patient_id", "or the fields of a new patient must be given, and not both"))
    if patient_id is not None and not (isinstance(patient_id, str) and patient_id.strip()):
        faults.append(("patient_id", "must be text, and not empty"))
    if consent is not None and not isinstance(consent, bool):
        faults.append(("research_consent", "must be true or false"))
    patient = None
    if isinstance(new, dict):
        try:
            patient = _built(new, NewPatient, to_activate=True)
        except InvalidInputError as error:
            faults += [(f"patient.{path}", why) for path, why in error.faults]
    elif new is not None:
        faults.append(("patient", "should be an object"))
    if faults:
        _refuse(faults)
    return KitActivation(key, patient_id=patient_id, patient=patient, research_consent=consent, source=source)


def _cells(names: Sequence[str], *within: str) -> dict[str, Cell]:
    return {name: Cell((*within, name), "date" if name == "date_of_birth" else "text") for name in names}


def _person(*within: str) -> dict[str, Cell]:
    return _cells((*_CONTACT, "sex", "date_of_birth"), *within)


def _shape(
    noun: str,
    columns: Mapping[str, Cell],
    *,
    id_name: str = "key",
    required: Sequence[str] = (),
    has_metadata: bool = False,
) -> ObjectShape:
    meanings = {name: column for name, column in _MEANINGS.items() if column in columns}
    return ObjectShape(
        id_name,
        _NEAR_KEYS if id_name == "key" else frozenset({"kit", "kitno", "kitnumber", "kitcode", "key", "id"}),
        noun,
        columns=columns,
        required=required,
        has_metadata=has_metadata,
        meanings=meanings,
    )


def _people(count: int) -> str:
    return "1 person" if count == 1 else f"{count:,} people"


_OF_LAB = ("barcode", "panels", "account_number", "lab", "state_collected")
_WHOLE_PERSON = ("first_name", "last_name", "email", "sex", "date_of_birth")
_WHOLE_ADDRESS = ("street1", "city", "state", "country", "zip")
_OF_ORDER = {
    "kit_types": Cell(("kit_types",), "list"),
    **_cells(_CONTACT, "recipient"),
    **_cells(_ADDRESS, "recipient", "address"),
}
_OF_REQUISITION = {
    **_cells(("barcode", "account_number", "lab", "state_collected")),
    "panels": Cell(("panels",), "list"),
    **_person("patient"),
    **_cells(_ADDRESS, "patient", "address"),
    **_cells(("tracking_number", "carrier"), "tracking"),
    **_cells(("crl_slip_id", "crl_tier3_account_number"), "attributes"),
}
_OF_ACTIVATION = {
    "patient_id": Cell(("patient_id",)),
    "research_consent": Cell(("research_consent",), "flag"),
    **_person("patient"),
    **_cells(_ADDRESS, "patient", "address"),
}
ORDERS = CreateKind(
    noun="orders",
    shape=_shape("order", _OF_ORDER, required=("kit_types", *_CONTACT, *_WHOLE_ADDRESS), has_metadata=True),
    build=_new_order,
    send_of=lambda spot: spot.orders.create_many,
    thing="order",
    done="placed",
    says=lambda count: f"{counted(count, 'order')} will ship {counted(count, 'parcel')}",
)
REQUISITIONS = CreateKind(
    noun="requisitions",
    shape=_shape(
        "requisition", _OF_REQUISITION, required=(*_OF_LAB, *_WHOLE_PERSON, *_WHOLE_ADDRESS), has_metadata=True
    ),
    build=_new_requisition,
    send_of=lambda spot: spot.requisitions.create_many,
    thing="requisition",
    done="created",
    says=lambda count: f"{counted(count, 'requisition')} will be created, for {_people(count)}",
)
PATIENTS = CreateKind(
    noun="patients",
    shape=_shape("patient", _person(), required=_WHOLE_PERSON),
    build=_new_patient,
    send_of=lambda spot: spot.patients.create_many,
    thing="patient",
    done="created",
    says=lambda count: f"{_people(count)} will be created as {'a patient' if count == 1 else 'patients'}",
    can_look=False,
    has_reference=False,
)
ACTIVATIONS = CreateKind(
    noun="kits",
    shape=_shape("activation", _OF_ACTIVATION, id_name="kit_id"),
    build=_activation,
    send_of=lambda spot: spot.kits.activate_many,
    thing="activation",
    done="registered",
    says=lambda count: f"{counted(count, 'kit')} will be registered to {_people(count)}",
    has_reference=False,
)
