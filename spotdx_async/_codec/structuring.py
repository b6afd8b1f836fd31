"""A model's JSON object: read with care, and written back without loss.

It knows the base class of the models and no single model: the fields of the attrs class say everything.
"""

from collections.abc import Callable, Mapping
from enum import Enum
from types import NoneType, UnionType
from typing import Any, TypeVar, Union, get_args, get_origin

import attrs

from spotdx_async._codec.scalars import Hook, MismatchError
from spotdx_async.models.model import NO_FIELDS, Model, as_came

M = TypeVar("M", bound=Model)


@attrs.frozen
class WireField:
    """A field that appears in the JSON under its own name."""

    name: str
    """Its name, in the model and in the JSON."""

    kind: Any
    """Its annotation without None."""

    blank: Any
    """Its value if the JSON has null or nothing."""

    read: Hook
    """The rule for any other value."""


def wire_fields(cls: type[Model], rule_of: Callable[[Any], Hook]) -> tuple[WireField, ...]:
    """Return a model's fields with their rules."""
    own = attrs.fields_dict(Model)
    attrs.resolve_types(cls)
    return tuple(
        WireField(field.name, kind := without_none(field.type), field.default, rule_of(kind))
        for field in attrs.fields(cls)
        if field.name not in own
    )


def is_model(kind: Any) -> bool:
    """Return whether an annotation is a model."""
    return isinstance(kind, type) and issubclass(kind, Model)


def is_optional(kind: Any) -> bool:
    """Return whether an annotation is a union with None."""
    return get_origin(kind) in (Union, UnionType) and NoneType in get_args(kind)


def is_open_enum(kind: Any) -> bool:
    """Return whether an annotation is an enumeration that also accepts text beyond its values."""
    return get_origin(kind) in (Union, UnionType) and bool(enum_members(kind))


def without_none(kind: Any) -> Any:
    """Return a union without None; any other annotation is returned as it is."""
    if not is_optional(kind):
        return kind
    return Union[tuple(part for part in get_args(kind) if part is not NoneType)]  # noqa: UP007 - of any number of parts


def enum_members(kind: Any) -> dict[str, Enum]:
    """Return the known values of an annotation such as ``KitStatus | str``; empty for any other."""
    parts = (part for part in get_args(kind) if isinstance(part, type) and issubclass(part, Enum))
    return {member.value: member for part in parts for member in part}


def careful_reader(cls: type[M], fields: tuple[WireField, ...], _: Any = None) -> Hook:
    """Make a reader that reports where the JSON differs from the model."""
    known = {field.name for field in fields}

    def read(raw: Any, _: Any = None) -> M:
        if type(raw) is not dict:
            raise MismatchError("an object", raw)
        came: dict[str, Any] = {}
        values = {field.name: _read_field(field, raw.get(field.name, ...), came) for field in fields}
        extra = {name: value for name, value in raw.items() if name not in known}
        notes: dict[str, Any] = {"as_came": came or None}
        return cls(**values, extra=extra or NO_FIELDS, **notes)

    return read


def _read_field(field: WireField, raw: Any, came: dict[str, Any]) -> Any:
    """Read a field, and note in ``came`` what the value alone does not show."""
    if raw is ... or raw is None:
        if raw is None or not is_empty(field.blank):
            came[field.name] = raw
        return field.blank
    try:
        value = field.read(raw)
    except MismatchError as mismatch:
        mismatch.path = f".{field.name}{mismatch.path}"
        raise
    if not raw or not _tells_its_form(field.kind):
        came[field.name] = raw
    return value


def _tells_its_form(kind: Any) -> bool:
    """Return whether a value of that kind, if present, can come in one form only."""
    return is_model(kind) or get_origin(kind) is tuple


def writer(fields: tuple[WireField, ...], write: Hook) -> Hook:
    """Make a writer that returns what came, except for fields that were changed since."""

    def write_model(model: Model) -> dict[str, Any]:
        came = as_came(model)
        written: dict[str, Any] = {}
        for field in fields:
            value = getattr(model, field.name)
            raw = came.get(field.name, _NOT_NOTED)
            if raw is not _NOT_NOTED and _is_same(value, _value_of(field, raw), write):
                if raw is not ...:
                    written[field.name] = raw
            elif not is_empty(value):
                written[field.name] = value if type(value) in _AS_THEY_ARE else write(value)
        for name, value in model.extra.items():
            written.setdefault(name, value)
        return written

    return write_model


def without_notes(value: Any) -> Any:
    """Return a model, and the models in it, as if you had built them: without the form they came in."""
    if isinstance(value, tuple):
        return tuple(map(without_notes, value))
    if not isinstance(value, Model):
        return value
    fields = {field.name: getattr(value, field.name) for field in attrs.fields(type(value))}
    changed = {name: without_notes(item) for name, item in fields.items() if isinstance(item, (Model, tuple))}
    return attrs.evolve(value, **changed, **_NO_NOTES)


_NO_NOTES: dict[str, Any] = {"as_came": None}
_AS_THEY_ARE = frozenset({str, int, float, bool, dict})  # a dict is JSON already: no field holds models in a dict
_NOT_NOTED: Mapping[str, Any] = {}


def _value_of(field: WireField, raw: Any) -> Any:
    return field.blank if raw is None or raw is ... else field.read(raw)


def _is_same(value: Any, other: Any, write: Hook) -> bool:
    """Return whether a value is still the one that came: equal, and the same JSON (True == 1, but not in JSON)."""
    if value is other or isinstance(value, (dict, list)):  # their contents may be equal, yet different JSON
        return value is other
    if isinstance(value, Model) and isinstance(other, Model):
        return _is_same_json(write(value), write(other))
    return type(value) is type(other) and bool(value == other)


def _is_same_json(one: Any, other: Any) -> bool:
    pairs = [(one, other)]
    while pairs:  # no recursion: unknown fields may be nested deeper than Python's call stack
        ours, theirs = pairs.pop()
        if type(ours) is not type(theirs):
            return False
        if isinstance(ours, dict):
            if ours.keys() != theirs.keys():
                return False
            pairs.extend((item, theirs[name]) for name, item in ours.items())
        elif isinstance(ours, list):
            if len(ours) != len(theirs):
                return False
            pairs.extend(zip(ours, theirs, strict=True))
        elif ours != theirs:
            return False
    return True


def is_empty(value: Any) -> bool:
    """Return whether a value is the one that an unset field has in a model that you built yourself."""
    return value is None or value == ()
