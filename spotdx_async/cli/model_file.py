"""A file that holds one object to be sent, read into its model; nothing of it gets lost on the way."""

from collections.abc import Iterator
from typing import TypeVar

import attrs

from spotdx_async import DecodeError, NewOrder, NewPatient, NewRequisition, check_new, loads
from spotdx_async.cli.file_arguments import Word, check_path
from spotdx_async.errors import InvalidInputError
from spotdx_async.files import name_of, read_object
from spotdx_async.models import Model

__all__ = ["read_to_send"]

M = TypeVar("M", NewOrder, NewPatient, NewRequisition)

_NAMED_FIELDS = 10


def read_to_send(word: Word, type_: type[M], *, yes: bool, to_activate: bool = False) -> M:
    """Read an object in the API's own form from a file, or from standard input for ``-``.

    Raises:
        InvalidInputError: it comes from standard input, which then cannot answer the question that ``yes`` spares; or
            the file cannot be read, is of another shape, names fields that the API does not have, or holds what cannot
            be sent. The message says where, and shows no value.
    """
    path = check_path(word)
    if path == "-" and not yes:
        raise InvalidInputError("standard input holds the object and cannot answer a question: give --yes")
    data = read_object(path)
    try:
        model = loads(data, type_)
    except DecodeError as error:
        reason = str(error.args[0])
    else:
        unknown = list(_unknown_fields(model))
        if not unknown:
            check_new(model, to_activate=to_activate)
            return model
        # Sent on, such a field would be dropped by the server without a word: a misspelt street2, say.
        more = f" and {len(unknown) - _NAMED_FIELDS:,} more" if len(unknown) > _NAMED_FIELDS else ""
        reason = f"unknown fields: {', '.join(unknown[:_NAMED_FIELDS])}{more}"
    raise InvalidInputError(f"{name_of(path)}: {reason}")


def _unknown_fields(model: Model, place: str = "") -> Iterator[str]:
    yield from (f"{place}{name}" for name in model.extra)
    for field in attrs.fields(type(model)):
        value = getattr(model, field.name)
        items = value if isinstance(value, tuple) else (value,)
        for number, item in enumerate(items):
            if isinstance(item, Model):
                index = f"[{number}]" if isinstance(value, tuple) else ""
                yield from _unknown_fields(item, f"{place}{field.name}{index}.")
