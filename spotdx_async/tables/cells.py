"""What a model's value is in a cell."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, TypeAlias

from spotdx_async._codec.json import HugeNumber, NotSerializableError, serialize_any
from spotdx_async.errors import InvalidInputError
from spotdx_async.models import Model

Pseudonym: TypeAlias = Callable[[str], str]
"""Makes of a patient's id what may be written in its place: the same for the same id, and telling nothing of it."""


def plain(word: str | None) -> str | None:
    """Return a member of an enumeration as its text; any other text is returned unchanged."""
    return word if word is None else word[:]  # a whole slice of a subclass is a plain str


def instant(moment: Any) -> datetime | None:
    """Return an instant in UTC, taken as UTC where it has no zone; None for what is no instant."""
    if not isinstance(moment, datetime):
        return None
    if moment.tzinfo is UTC:
        return moment
    if moment.tzinfo is None:
        return moment.replace(tzinfo=UTC)
    try:
        return moment.astimezone(UTC)
    except OverflowError:  # outside the years 1 to 9999 in UTC
        return None


def json_text(value: Any) -> str:
    """Return a value as compact JSON.

    Raises:
        InvalidInputError: it has no JSON form, which only happens in a model that you built yourself.
    """
    try:
        return serialize_any(value).decode()
    except NotSerializableError as fault:
        why = str(fault)
    del value  # patient data does not stay in the frames of a traceback
    raise InvalidInputError(f"a model holds what has no JSON form: {why}")


def json_or_none(value: Any) -> str | None:
    """Return a value as compact JSON, and None where there is nothing: None, or an empty object or list."""
    return json_text(value) if value else None


def unknown_fields(model: Model | None, **parts: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a model's unknown fields, and under the name of each part the part's."""
    if model is None:
        return {}
    # No unknown field has the name of a part, which is a field that is known.
    return {**model.extra, **{name: part for name, part in parts.items() if part}} if parts else model.extra


def extra_of(model: Model, *, phi: bool) -> str | None:
    """Return a model's unknown fields as JSON; None where there are none, and without ``phi``."""
    return json_text(model.extra) if phi and model.extra else None


def text_of(value: Any, *, phi: bool) -> str | None:
    """Return a value of a kind of result that the SDK does not know as text: a text as it came, else its JSON.

    An object or a list may hold anything, as unknown fields may: without ``phi`` it is None.
    """
    if value is None or type(value) is str:
        return value
    if isinstance(value, (Mapping, list, tuple)):
        return json_text(value) if phi else None
    return number_text(value)


def number_text(value: Any) -> str:
    """Return a number, true or false as JSON writes it."""
    if isinstance(value, HugeNumber):
        return value.literal
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def pseudonym_of(patient_id: str | None, pseudonym: Pseudonym | None, *, phi: bool) -> str | None:
    """Return what stands for a patient's id: itself with ``phi``, else its pseudonym, or None without one."""
    if phi or patient_id is None:
        return patient_id
    return None if pseudonym is None else pseudonym(patient_id)
