"""JSON to models and back, without loss; the only importer of cattrs. It knows no HTTP and no single model but results.

Two readers follow the same rules. The quick one is a function generated for each model, which takes the usual forms
inline. Where it refuses, the careful one reads again: it reads integers of any length and says where the JSON differs.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, date, datetime
from enum import Enum
from functools import cache
from math import isfinite
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin

import attrs
from cattrs import Converter

from spotdx_async._pipeline.jsontext import NotJsonError, NotSerializableError, parse, parse_exact, serialize
from spotdx_async.errors import DecodeError, InvalidInputError
from spotdx_async.models.model import Model
from spotdx_async.models.reports import RangeLimit, Result, UnknownResult

__all__ = ["decode", "dumps", "loads"]

T = TypeVar("T")
Hook = Callable[..., Any]

_JSON_NAMES = {
    dict: "an object",
    list: "a list",
    str: "text",
    int: "a number",
    float: "a number",
    bool: "true or false",
    NoneType: "null",
}
# The quick parser gives an integer beyond 64 bits as a float at or above this; the careful reader parses it exactly.
_ROUNDED_FROM = 2.0**63
_JSON_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")
_DEEPEST = 1100  # beyond what the parser takes (1,024): only a value that holds itself is deeper


class _Mismatch(ValueError):
    """The JSON has another shape than the model; it carries kinds and a path, never a value."""

    def __init__(self, expected: str, found: Any) -> None:
        super().__init__(expected)
        self.expected = expected
        self.found = _JSON_NAMES.get(type(found), "something else")
        self.path = ""


class _RoundedError(ValueError):
    """A number may have lost digits in the quick parser."""


def decode(body: bytes, type_: type[T], *, operation: str | None = None) -> T:
    """Read an answer: a model, ``tuple[model, ...]``, ``tuple[str, ...]``, or ``dict[str, Any]`` for any object.

    Unknown values and fields are kept; a missing or null field is its default.

    Raises:
        DecodeError: the text is no JSON (``outcome`` is ``"unknown"``), or JSON of another shape (``"done"``).
    """
    try:
        return _quick_hook(type_)(parse(body), type_)  # type: ignore[no-any-return]  # a hook gives what it is for
    except ValueError:
        pass  # no JSON, another shape, or a number to be read exactly: the careful reader tells them apart
    value, error = _read_with_care(body, type_, operation)
    if error is not None:
        del body  # patient data does not stay in the frames of a traceback
        raise error
    return value  # type: ignore[no-any-return]  # as above


def loads(data: bytes | bytearray | memoryview | str, type_: type[T]) -> T:
    """Read stored JSON or a webhook's body into a model, or a list of them into ``tuple[Kit, ...]``.

    Unknown values and fields are kept, and ``dumps`` gives them back. A missing or null field is None, or ``()`` for a
    list. Times are aware and in UTC; one without a zone is taken as UTC.

    Raises:
        DecodeError: the text is no JSON, or JSON of another shape; ``path`` says where.
        InvalidInputError: ``data`` is no text, or ``type_`` neither a model nor a tuple of them.
    """
    if not isinstance(data, (bytes, bytearray, memoryview, str)):
        raise InvalidInputError(f"loads reads bytes or str, not {type(data).__name__}")
    if not (_is_model(type_) or _is_tuple(type_) or type_ is Result):
        raise InvalidInputError("loads reads a model, such as Kit, or tuple[Kit, ...]")
    body = data.encode(errors="surrogatepass") if isinstance(data, str) else bytes(data)
    del data  # as in decode
    return decode(body, type_)


def dumps(model: Any) -> bytes:
    """Write a model, or a list or tuple of models, as UTF-8 JSON.

    What ``loads`` read comes out equal, unknown fields and values included; fields that were changed since come out as
    they are now. A model of your own making writes only the fields that hold something.

    Raises:
        InvalidInputError: a value has no JSON form (NaN, say); the message says where.
    """
    tree = _careful().unstructure(model)
    try:
        return serialize(tree)
    except NotSerializableError as error:
        why = str(error)
    try:
        return b"".join(_pieces(tree))  # only nesting deeper than ``serialize`` goes passes here
    except NotSerializableError:
        pass
    del tree, model  # as in decode
    raise InvalidInputError(f"not written: {why}")


def _read_with_care(body: bytes, type_: Any, operation: str | None) -> tuple[Any, DecodeError | None]:
    try:
        raw = parse_exact(body)
    except NotJsonError:
        return None, DecodeError("the text is not JSON", outcome="unknown", operation=operation)
    try:
        return _careful().get_structure_hook(type_)(raw, type_), None
    except _Mismatch as mismatch:
        path = mismatch.path.removeprefix(".")
        message = f"{path or 'the answer'} should be {mismatch.expected} and is {mismatch.found}"
    return None, DecodeError(message, path=path, outcome="done", raw=raw, operation=operation)


# The two converters. Each gathers hooks as types are first asked for, and is never changed after it was built.


@cache
def _quick_hook(type_: Any) -> Hook:
    return _quick().get_structure_hook(type_)


@cache
def _quick() -> Converter:
    converter = _converter(_quick_model)
    for kind in (Any, _Amount, RangeLimit, _LooseInstant, Mapping[str, Any]):
        converter.register_structure_hook_func(_equals(kind), _unless_rounded(_LEAVES[kind]))
    return converter


@cache
def _careful() -> Converter:
    return _converter(_careful_model)


def _converter(model_hook: Callable[[Any, Converter], Hook]) -> Converter:
    converter = Converter(detailed_validation=False)
    for kind, hook in _LEAVES.items():
        converter.register_structure_hook_func(_equals(kind), hook)
    for kind in (str, bool):  # cattrs looks at its own hooks for these before it asks ours above
        converter.register_structure_hook(kind, _LEAVES[kind])
    converter.register_structure_hook_factory(_is_open_enum, lambda kind, _: _open_enum_hook(kind))
    converter.register_structure_hook_factory(lambda kind: get_origin(kind) is Literal, lambda kind, _: _tag_hook(kind))
    converter.register_structure_hook_factory(_is_optional, _optional_hook)
    converter.register_structure_hook_factory(_is_tuple, _tuple_hook)
    converter.register_structure_hook_factory(_equals(Result), _result_hook)
    converter.register_structure_hook_factory(_is_model, model_hook)
    converter.register_unstructure_hook(datetime, _write_instant)
    converter.register_unstructure_hook(date, date.isoformat)
    converter.register_unstructure_hook_factory(_is_model, _model_writer)
    return converter


def _equals(kind: Any) -> Callable[[Any], bool]:
    return lambda other: bool(other == kind)


def _is_model(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, Model)


def _is_tuple(kind: Any) -> bool:
    return get_origin(kind) is tuple


def _is_optional(kind: Any) -> bool:
    return get_origin(kind) in (Union, UnionType) and NoneType in get_args(kind)


def _is_open_enum(kind: Any) -> bool:
    return get_origin(kind) in (Union, UnionType) and _enum_of(kind) is not None and NoneType not in get_args(kind)


def _enum_of(kind: Any) -> type[Enum] | None:
    return next((part for part in get_args(kind) if isinstance(part, type) and issubclass(part, Enum)), None)


# Leaves: what a JSON value becomes. Each takes the JSON value, and the type that cattrs passes and nobody needs.


def _text(raw: Any, _: Any = None) -> str:
    if raw.__class__ is str:
        return raw  # type: ignore[no-any-return]  # the line above says what it is
    raise _Mismatch("text", raw)


def _flag(raw: Any, _: Any = None) -> bool:
    if raw.__class__ is bool:
        return raw  # type: ignore[no-any-return]  # the line above says what it is
    raise _Mismatch("true or false", raw)


def _object(raw: Any, _: Any = None) -> dict[str, Any]:
    if raw.__class__ is dict:
        return raw  # type: ignore[no-any-return]  # the line above says what it is
    raise _Mismatch("an object", raw)


def _anything(raw: Any, _: Any = None) -> Any:
    return raw


def _amount(raw: Any, _: Any = None) -> int | float | str:
    if raw.__class__ in (int, float, str):
        return raw  # type: ignore[no-any-return]  # the line above says what it is
    raise _Mismatch("a number or text", raw)


def _range_limit(raw: Any, _: Any = None) -> int | float | str:
    """Read a number, also where it is written as text; other text stays."""
    limit = _amount(raw)
    if not isinstance(limit, str) or (number := _JSON_NUMBER.fullmatch(limit)) is None:
        return limit
    try:
        value = float(limit) if number[1] or number[2] else int(limit)
    except ValueError:  # more digits than Python turns into a number
        return limit
    return value if isinstance(value, int) or isfinite(value) else limit


def _instant(raw: Any, _: Any = None) -> datetime:
    """Read ISO 8601 as an instant in UTC; without a zone it is taken as UTC."""
    try:
        if raw[10:11] in ("T", "t", " ", ""):  # Python itself takes any character there
            instant = datetime.fromisoformat(raw.upper())
            return instant.replace(tzinfo=UTC) if instant.tzinfo is None else instant.astimezone(UTC)
    except (AttributeError, LookupError, TypeError, ValueError, OverflowError):  # no text, no date, no year like that
        pass
    raise _Mismatch("a date and time", raw)


def _loose_instant(raw: Any, _: Any = None) -> Any:
    try:
        return _instant(raw)
    except _Mismatch:
        return raw


def _day(raw: Any, _: Any = None) -> date:
    try:
        if len(raw) == 10 and raw[7] == "-":  # noqa: PLR2004 - YYYY-MM-DD, and no other form of ISO 8601
            return date.fromisoformat(raw)
    except (LookupError, TypeError, ValueError):
        pass
    raise _Mismatch("a date (YYYY-MM-DD)", raw)


_Amount = int | float | str
_LooseInstant = datetime | Any
_LEAVES: dict[Any, Hook] = {
    str: _text,
    bool: _flag,
    datetime: _instant,
    date: _day,
    Any: _anything,
    dict[str, Any]: _object,
    Mapping[str, Any]: _object,
    _Amount: _amount,
    RangeLimit: _range_limit,
    _LooseInstant: _loose_instant,
}


def _unless_rounded(hook: Hook) -> Hook:
    def read(raw: Any, _: Any = None) -> Any:
        _refuse_rounded(raw)
        return hook(raw)

    return read


def _refuse_rounded(value: Any) -> None:
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if item.__class__ is float:
            if abs(item) >= _ROUNDED_FROM:
                raise _RoundedError
        elif item.__class__ is dict:
            waiting.extend(item.values())
        elif item.__class__ is list:
            waiting.extend(item)


# Hooks that are made of others.


def _open_enum_hook(kind: Any) -> Hook:
    members = _members(kind)

    def read(raw: Any, _: Any = None) -> Any:
        return members.get(_text(raw), raw)

    return read


def _members(kind: Any) -> dict[str, Enum]:
    return {member.value: member for member in _enum_of(kind) or ()}


def _tag_hook(kind: Any) -> Hook:
    tags = get_args(kind)

    def read(raw: Any, _: Any = None) -> Any:
        if raw in tags:
            return raw
        raise _Mismatch(" or ".join(f'"{tag}"' for tag in tags), raw)

    return read


def _optional_hook(kind: Any, converter: Converter) -> Hook:
    hook = converter.get_structure_hook(_without_none(kind))

    def read(raw: Any, _: Any = None) -> Any:
        return None if raw is None else hook(raw, None)

    return read


def _without_none(kind: Any) -> Any:
    """Take None out of a union; anything else stays."""
    if not _is_optional(kind):
        return kind
    return Union[tuple(part for part in get_args(kind) if part is not NoneType)]  # noqa: UP007 - parts of any number


def _tuple_hook(kind: Any, converter: Converter) -> Hook:
    hook = converter.get_structure_hook(get_args(kind)[0])

    def read(raw: Any, _: Any = None) -> tuple[Any, ...]:
        if raw.__class__ is not list:
            raise _Mismatch("a list", raw)
        items: list[Any] = []
        try:
            for item in raw:
                items.append(hook(item, None))  # noqa: PERF401 - how far it came is the index of a fault
        except _Mismatch as mismatch:
            mismatch.path = f"[{len(items)}]{mismatch.path}"
            raise
        return tuple(items)

    return read


def _result_hook(kind: Any, converter: Converter) -> Hook:
    """Tell results apart by their tag. A tag that is missing, null or unknown is data, so it is no fault."""
    kinds = {attrs.fields_dict(cls)["result_type"].default: cls for cls in get_args(kind)}
    hooks = {tag: converter.get_structure_hook(cls) for tag, cls in kinds.items()}
    unknown = converter.get_structure_hook(UnknownResult)

    def read(raw: Any, _: Any = None) -> Any:
        tag = raw.get("result_type") if raw.__class__ is dict else None
        return (hooks.get(tag, unknown) if tag.__class__ is str else unknown)(raw, None)

    return read
