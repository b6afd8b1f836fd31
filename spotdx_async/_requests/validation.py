"""Checks what is to be created before it is sent: every fault with its path, never a value. Pure; knows no wire."""

import re
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from enum import StrEnum
from typing import Any, TypeAlias, TypeVar

from attrs import evolve, frozen

from spotdx_async._codec.encoding import Encode, check_encode, encoded
from spotdx_async._codec.json import NotSerializableError, check_serializable, is_unicode
from spotdx_async._http import clock
from spotdx_async._observe.scrub import scrubs_traceback
from spotdx_async._requests.arguments import Fault, day_of, refuse
from spotdx_async.models import (
    Address,
    Carrier,
    Country,
    Model,
    NewOrder,
    NewPatient,
    NewRequisition,
    Recipient,
    RequisitionAttributes,
    Sex,
    Tracking,
)

M = TypeVar("M", NewOrder, NewRequisition)

Check: TypeAlias = Callable[[Any], Iterator[Fault]]
"""Yields the faults of a value, each with a path below it."""

_EMAIL = re.compile(r"[^@\s]+@[^@\s]+")
_FURTHEST_EAST = timedelta(hours=14)  # the zone in which each day begins first


@frozen
class Shape:
    """What a model must contain to be sent."""

    model: type[Model]
    checks: Mapping[str, "Check | Shape"]
    required: frozenset[str] = frozenset()
    unwanted: Mapping[str, str] = {}
    """Fields that this operation does not accept, and what to do instead."""


def check(value: object, shape: Shape, operation: str | None = None) -> None:
    """Make sure that it can be sent.

    Raises:
        InvalidInputError: it cannot; the error lists every fault.
    """
    faults = tuple(_faults(value, shape, ""))
    if faults:
        refuse(faults, operation)


def checked(new: M, shape: Shape, operation: str | None, encode: Encode | None) -> M:
    """Return what is to be created, with the JSON form of its metadata.

    Args:
        new: from the caller.
        shape: its own.
        operation: what creates it.
        encode: the client's, for values that JSON lacks.

    Raises:
        InvalidInputError: it cannot be sent; the error lists every fault.
    """
    metadata = getattr(new, "metadata", None)
    if encode is not None and isinstance(metadata, Mapping):
        new = evolve(new, metadata=encoded(dict(metadata), encode))
    check(new, shape, operation)
    return new


@scrubs_traceback
def check_new(
    new: NewOrder | NewPatient | NewRequisition, *, to_activate: bool = False, encode: Encode | None = None
) -> None:
    """Check what is to be created exactly as creating it does, before it is queued or a person is asked, say.

    Args:
        new: an order, a requisition or a patient.
        to_activate: whether the patient is for an activation, which takes an address and requires nothing.
        encode: as for the client, for values of the metadata that JSON lacks.

    Raises:
        InvalidInputError: it cannot be sent; ``faults`` lists all faults, and no text shows a value.
        ConfigError: ``encode`` is no plain function.
    """
    check_encode(encode)
    if isinstance(new, NewPatient):
        check(new, ACTIVATION_PATIENT if to_activate else PATIENT)
    elif isinstance(new, NewRequisition):
        checked(new, REQUISITION, None, encode)
    else:
        checked(new, ORDER, None, encode)


def _faults(value: object, shape: Shape, path: str) -> Iterator[Fault]:
    if not isinstance(value, shape.model):
        yield path, f"must be {_a(shape.model.__name__)}, not {_a(type(value).__name__)}"
        return
    for name, rule in shape.checks.items():
        item, where = getattr(value, name), f"{path}.{name}" if path else name
        if name in shape.unwanted and item is not None:
            yield where, shape.unwanted[name]
        elif item is None or item == ():
            if name in shape.required:
                yield where, "is required"
        elif isinstance(rule, Shape):
            yield from _faults(item, rule, where)
        else:
            yield from ((where + below, fault) for below, fault in rule(item))
    yield from ((f"{path}.extra{below}".lstrip("."), fault) for below, fault in _json(value.extra))


def _a(name: str) -> str:
    return f"{'an' if name[0] in 'AEIOUaeiou' else 'a'} {name}"


# Checks of single values.


def _text(value: Any) -> Iterator[Fault]:
    if not isinstance(value, str):
        yield "", f"must be text, not {_a(type(value).__name__)}"
    elif not value.strip():
        yield "", "must not be empty"
    elif not is_unicode(value):
        yield "", "must be valid Unicode"


def _text_but(spoilt: str, says: str) -> Check:
    """Text, but not what a spreadsheet or a data frame leaves of a number that was one of digits."""
    compiled = re.compile(spoilt, re.ASCII | re.IGNORECASE)

    def faults(value: Any) -> Iterator[Fault]:
        yield from _text(value)
        if isinstance(value, str) and compiled.fullmatch(value.strip()):
            yield "", says

    return faults


def _texts(value: Any) -> Iterator[Fault]:
    if not isinstance(value, tuple):
        yield "", f"must be a list of texts, not {_a(type(value).__name__)}"
        return
    for index, item in enumerate(value):
        yield from ((f"[{index}]", fault) for _, fault in _text(item))


def _matching(pattern: str, says: str) -> Check:
    compiled = re.compile(pattern, re.ASCII)

    def faults(value: Any) -> Iterator[Fault]:
        if not isinstance(value, str) or compiled.fullmatch(value) is None:
            yield "", says

    return faults


def _one_of(values: type[StrEnum]) -> Check:
    says = f"must be one of {', '.join(values)}"

    def faults(value: Any) -> Iterator[Fault]:
        if not isinstance(value, str) or value not in list(values):
            yield "", says

    return faults


def _email(value: Any) -> Iterator[Fault]:
    if not isinstance(value, str) or _EMAIL.fullmatch(value) is None:
        yield "", "must be an e-mail address"


def _past_day(value: Any) -> Iterator[Fault]:
    day = day_of(value)
    if day is None:
        yield "", "must be a date, or text in the form YYYY-MM-DD"
    elif day > (clock.wall() + _FURTHEST_EAST).date():
        yield "", "must not be in the future"


def _json(value: Any) -> Iterator[Fault]:
    if not isinstance(value, Mapping):
        yield "", f"must be a mapping, not {_a(type(value).__name__)}"
        return
    try:
        check_serializable(dict(value))
    except NotSerializableError as fault:
        yield fault.path, fault.why


# The shapes, in the contract's words.

_STATE = _matching(r"[A-Za-z]{2}", "must be a state's two letters")

# Digits that are gone are in no file: the server would take what is left, and ship to another place.
_ZIP = _text_but(r"\d{1,4}", "has fewer than five digits, as where leading zeros were lost")
_PHONE = _text_but(r"\d(\.\d+)?E\+\d+", "is a number in scientific notation, as where digits were lost")

_ADDRESS_CHECKS: dict[str, Check | Shape] = {
    "street1": _text,
    "street2": _text,
    "city": _text,
    "state": _STATE,
    "country": _one_of(Country),
    "zip": _ZIP,
}
_ADDRESS = Shape(Address, _ADDRESS_CHECKS, frozenset({"street1", "city", "state", "country", "zip"}))

_RECIPIENT = Shape(
    Recipient,
    {"first_name": _text, "last_name": _text, "email": _text, "phone": _PHONE, "address": _ADDRESS},
    frozenset({"first_name", "last_name", "email", "phone", "address"}),
)
ORDER = Shape(
    NewOrder,
    {"kit_types": _texts, "recipient": _RECIPIENT, "metadata": _json},
    frozenset({"kit_types", "recipient"}),
)

_PERSON: dict[str, Check | Shape] = {
    "first_name": _text,
    "last_name": _text,
    "email": _email,
    "phone": _PHONE,
    "sex": _one_of(Sex),
    "date_of_birth": _past_day,
}
_PERSON_REQUIRED = frozenset({"first_name", "last_name", "email", "sex", "date_of_birth"})
PATIENT = Shape(
    NewPatient,
    {**_PERSON, "address": _ADDRESS},
    _PERSON_REQUIRED,
    unwanted={"address": "must be left out: only activations and requisitions take it"},
)
ACTIVATION_PATIENT = Shape(NewPatient, {**_PERSON, "address": Shape(Address, _ADDRESS_CHECKS)})
"""Which fields an activation requires depends on the kit type, which only the server knows."""

REQUISITION = Shape(
    NewRequisition,
    {
        "barcode": _text,
        "panels": _texts,
        "account_number": _text,
        "lab": _text,
        "state_collected": _STATE,
        "patient": Shape(NewPatient, {**_PERSON, "address": _ADDRESS}, _PERSON_REQUIRED | {"address"}),
        "tracking": Shape(Tracking, {"tracking_number": _text, "carrier": _one_of(Carrier)}),
        "attributes": Shape(
            RequisitionAttributes,
            {
                "crl_slip_id": _matching(r"[A-Za-z0-9]{1,10}", "must be 1 to 10 letters and digits"),
                "crl_tier3_account_number": _matching(r"[A-Za-z0-9]{8}", "must be exactly 8 letters and digits"),
            },
        ),
        "metadata": _json,
    },
    frozenset({"barcode", "panels", "account_number", "lab", "state_collected", "patient"}),
)
