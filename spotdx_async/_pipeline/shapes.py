"""A model's JSON object: read the quick way, read with care, and written again without loss.

It knows the models' root and no single model: the fields of the attrs class say it all.
"""

from collections.abc import Callable, Mapping
from datetime import date, datetime
from enum import Enum
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin

import attrs

from spotdx_async._pipeline.wire import ROUNDED_FROM, Hook, MismatchError, refuse_rounded
from spotdx_async.models.model import Model
from spotdx_async.models.reports import RangeLimit

__all__ = [
    "WireField",
    "careful_reader",
    "enum_members",
    "is_model",
    "is_open_enum",
    "is_optional",
    "quick_reader",
    "wire_fields",
    "without_none",
    "writer",
]

M = TypeVar("M", bound=Model)


@attrs.frozen
class WireField:
    """A field that stands in the JSON under its own name."""

    name: str
    """Its name, here and there."""

    kind: Any
    """Its annotation without None."""

    blank: Any
    """What it is where the JSON has null or nothing."""

    read: Hook
    """The rule for anything else."""


def wire_fields(cls: type[Model], rule_of: Callable[[Any], Hook]) -> tuple[WireField, ...]:
    """List a model's fields with their rules."""
    own = attrs.fields_dict(Model)
    attrs.resolve_types(cls)
    return tuple(
        WireField(field.name, kind := without_none(field.type), field.default, rule_of(kind))
        for field in attrs.fields(cls)
        if field.name not in own
    )


def is_model(kind: Any) -> bool:
    """Tell whether an annotation is a model."""
    return isinstance(kind, type) and issubclass(kind, Model)


def is_optional(kind: Any) -> bool:
    """Tell whether an annotation is a union with None."""
    return get_origin(kind) in (Union, UnionType) and NoneType in get_args(kind)


def is_open_enum(kind: Any) -> bool:
    """Tell whether an annotation is an enumeration that text beyond its values may stand in for."""
    return get_origin(kind) in (Union, UnionType) and bool(enum_members(kind))


def without_none(kind: Any) -> Any:
    """Take None out of a union; any other annotation stays."""
    if not is_optional(kind):
        return kind
    return Union[tuple(part for part in get_args(kind) if part is not NoneType)]  # noqa: UP007 - of any number of parts


def enum_members(kind: Any) -> dict[str, Enum]:
    """List the known values of an annotation such as ``KitStatus | str``; empty for any other."""
    parts = (part for part in get_args(kind) if isinstance(part, type) and issubclass(part, Enum))
    return {member.value: member for part in parts for member in part}


# The careful reader.


def careful_reader(cls: type[M], fields: tuple[WireField, ...]) -> Hook:
    """Make a reader that says where the JSON differs from the model."""
    known = {field.name for field in fields}

    def read(raw: Any, _: Any = None) -> M:
        if type(raw) is not dict:
            raise MismatchError("an object", raw)
        came: dict[str, Any] = {}
        values = {field.name: _read_field(field, raw.get(field.name, ...), came) for field in fields}
        extra = {name: value for name, value in raw.items() if name not in known}
        return cls(**values, extra=extra, as_came=came or None)

    return read


def _read_field(field: WireField, raw: Any, came: dict[str, Any]) -> Any:
    """Read a field, and note in ``came`` what its value could not tell."""
    if raw is ... or raw is None:
        if raw is None or not _is_empty(field.blank):
            came[field.name] = raw
        return field.blank
    try:
        value = field.read(raw)
    except MismatchError as mismatch:
        mismatch.path = f".{field.name}{mismatch.path}"
        raise
    if not raw or not isinstance(raw, (dict, list)):
        came[field.name] = raw
    return value


# The quick reader: the same as a function written for the one model, which asks the rules only for unusual forms.
# Against the careful reader it takes a third of the time, mostly by what is inline and by the drafts.

_HEAD = """
def read(raw, _=None):
    if raw.__class__ is not dict:
        raise MismatchError("an object", raw)
    get = raw.get
    came = {{}}
    count = {count}
    draft = Draft()"""

_USUAL = """
    {word} {test}:
        draft.{name} = {value}"""

_REST = """
    elif x is None:
        draft.{name} = blank{index}
        came[{name!r}] = None
    elif x is ...:
        draft.{name} = blank{index}
        count -= 1{note}
    else:
        draft.{name} = rule{index}(x)
        came[{name!r}] = x"""

_TAIL = """
    draft.extra = {} if len(raw) == count else unknown(raw)
    draft._as_came = came or None
    draft.__class__ = cls
    return draft"""

_IS_TEXT = "x.__class__ is str"
_IS_INT = "x.__class__ is int"
_IS_EXACT_FLOAT = f"x.__class__ is float and {-ROUNDED_FROM} < x < {ROUNDED_FROM}"
# What a value is tested for, and what it becomes, where nothing about its form needs to be remembered.
_USUAL_FORMS: dict[Any, tuple[tuple[str, str], ...]] = {
    str: ((_IS_TEXT, "x"),),
    bool: (("x.__class__ is bool", "x"),),
    date: ((f"{_IS_TEXT} and len(x) == 10 and x[7] == '-'", "day(x)"),),
    datetime: (  # 2023-01-01T04:30:11.222Z and 2023-01-01T04:30:11Z: what the writer writes
        (f"{_IS_TEXT} and len(x) == 24 and x[10] == 'T' and x[23] == 'Z' and (time := instant(x)).microsecond", "time"),
        (f"{_IS_TEXT} and len(x) == 20 and x[10] == 'T' and x[19] == 'Z'", "instant(x)"),
    ),
    int | float | str: ((f"{_IS_INT} or {_IS_TEXT} or {_IS_EXACT_FLOAT}", "x"),),
    RangeLimit: ((f"{_IS_INT} or {_IS_EXACT_FLOAT}", "x"),),
}


def quick_reader(cls: type[Model], fields: tuple[WireField, ...]) -> Hook:
    """Make a reader for the usual forms; any ValueError from it means: read again with care."""
    known = frozenset(field.name for field in fields)

    def unknown(raw: dict[str, Any]) -> dict[str, Any]:
        extra = {name: value for name, value in raw.items() if name not in known}
        refuse_rounded(extra)
        return extra

    scope: dict[str, Any] = {
        "__name__": __name__,
        "MismatchError": MismatchError,
        "Draft": _draft(cls),
        "cls": cls,
        "day": date.fromisoformat,
        "instant": datetime.fromisoformat,
        "unknown": unknown,
    }
    source = [_HEAD.format(count=len(fields))]
    for index, field in enumerate(fields):
        source.append(_field_source(index, field))
        scope |= {f"blank{index}": field.blank, f"rule{index}": field.read, f"members{index}": enum_members(field.kind)}
    exec("".join([*source, _TAIL]), scope)  # noqa: S102 - made of the models' own field names and nothing from outside
    return scope["read"]  # type: ignore[no-any-return]  # the source above defines it


def _field_source(index: int, field: WireField) -> str:
    usual = _USUAL_FORMS.get(field.kind) or _usual_form(field.kind, index)
    about = {"name": field.name, "index": index}
    about["note"] = "" if _is_empty(field.blank) else f"\n        came[{field.name!r}] = ..."
    lines = [f"\n    x = get({field.name!r}, ...)"]
    for number, (test, value) in enumerate(usual):
        lines.append(_USUAL.format(word="elif" if number else "if", test=test, value=value, **about))
    return "".join([*lines, _REST.format(**about)])


def _usual_form(kind: Any, index: int) -> tuple[tuple[str, str], ...]:
    if is_model(kind):
        return (("x.__class__ is dict", f"rule{index}(x)"),)
    if get_origin(kind) is tuple:
        return (("x.__class__ is list and x", f"rule{index}(x)"),)
    if is_open_enum(kind):
        return ((_IS_TEXT, f"members{index}.get(x, x)"),)
    if get_origin(kind) is Literal:
        return ((f"x in {get_args(kind)!r}", "x"),)
    return (("False", "x"),)  # nothing usual about it: its form is always remembered


def _draft(cls: type[Model]) -> type[Any]:
    """Make a class with the slots of a frozen one whose instances can be filled, and then become the frozen one's.

    Filling 8 slots so takes 0.16 µs; attrs' own ``__init__`` of a frozen class takes 1.0, descriptors take 0.45.
    """
    # The deleter too, since Python sees the quick setter only where neither is the frozen one.
    plain = {name: getattr(object, name) for name in ("__init__", "__setattr__", "__delattr__")}
    return type(f"{cls.__name__}Draft", cls.__bases__, {"__slots__": cls.__dict__["__slots__"], **plain})


# The writer.


def writer(fields: tuple[WireField, ...], write: Hook) -> Hook:
    """Make a writer that gives what came, but for the fields that were changed since."""

    def write_model(model: Model) -> dict[str, Any]:
        came = model._as_came or {}  # noqa: SLF001 - kept for this writer
        written = dict(model.extra)
        for field in fields:
            value = getattr(model, field.name)
            raw = came.get(field.name, _NOT_NOTED)
            if raw is not _NOT_NOTED and value == _value_of(field, raw):
                if raw is not ...:
                    written[field.name] = raw
            elif not _is_empty(value):
                written[field.name] = write(value)
        return written

    return write_model


_NOT_NOTED: Mapping[str, Any] = {}


def _value_of(field: WireField, raw: Any) -> Any:
    return field.blank if raw is None or raw is ... else field.read(raw)


def _is_empty(value: Any) -> bool:
    return value is None or value == ()
