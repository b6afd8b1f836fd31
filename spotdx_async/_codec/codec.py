"""JSON text to models and back, without loss; the only importer of cattrs. It knows no HTTP and no single model.

Two converters follow the same rules. The quick one handles the usual forms inline and rejects everything unusual; the
careful one then reads the text again: it accepts integers of any length and reports where the JSON differs from the
model.
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import date, datetime
from enum import StrEnum
from functools import cache, partial
from operator import attrgetter
from typing import Any, Literal, NoReturn, Protocol, TypeVar, get_args, get_origin, overload

import attrs
from cattrs import Converter

from spotdx_async._codec import scalars, structuring
from spotdx_async._codec.compiled import quick_reader
from spotdx_async._codec.json import (
    NotJsonError,
    NotSerializableError,
    canonical,
    parse_exact,
    parse_unguarded,
    parse_with_constants,
    serialize_any,
    with_plain_numbers,
)
from spotdx_async._codec.scalars import Hook, MismatchError
from spotdx_async.errors import DecodeError, InvalidInputError
from spotdx_async.models.model import Model, as_came
from spotdx_async.models.people import Address, PatientAddress
from spotdx_async.models.reports import RangeLimit, Result, UnknownResult

T = TypeVar("T")


class HasBody(Protocol):
    """An answer; only its text matters here."""

    @property
    def body(self) -> bytes:
        """The JSON text."""
        ...


@attrs.frozen
class BadItem:
    """Takes the place of a list item that does not fit its model."""

    error: DecodeError = attrs.field(eq=False, repr=False)
    """What is wrong; its texts show no value."""
    key: int
    """Equal for equal JSON, so that an item that appears twice is reported once."""


def decoder(type_: type[T]) -> Callable[[HasBody], T]:
    """Return ``decode`` for the answers of one type."""

    def decode_answer(answer: HasBody) -> T:
        return decode(answer.body, type_)

    return decode_answer


def decode(body: bytes, type_: type[T], *, operation: str | None = None) -> T:
    """Decode an answer: a model, ``tuple[model, ...]``, ``tuple[str, ...]``, or ``dict[str, Any]`` for any object.

    Unknown values and fields are kept; a missing or null field gets its default.

    Raises:
        DecodeError: the text is not JSON (``outcome`` is ``"unknown"``), or JSON of another shape (``"done"``).
    """
    try:
        value: T = _quick_rule(type_)(parse_unguarded(body))  # type: ignore[arg-type]  # a type can be hashed
    except (ValueError, TypeError):
        pass  # not JSON, another shape, or a number that needs exact reading: distinguished below
    else:
        return value
    value, error = _read_with_care(body, type_, operation)
    if error is not None:
        del body, value  # patient data does not stay in the frames of a traceback
        raise error
    return value


def decode_items(body: bytes, type_: type[T], *, operation: str | None = None) -> tuple[T | BadItem, ...]:
    """Decode a list of models item by item: one that does not fit is replaced by a BadItem.

    NaN or Infinity makes a whole answer invalid; in a list it spoils only the item that contains it.

    Raises:
        DecodeError: the answer as a whole is not a list, or not JSON.
    """
    return _items(body, type_, operation)[0]


def decode_rows(body: bytes, type_: type[T]) -> tuple[tuple[T | BadItem, ...], tuple[bytes, ...]]:
    """Decode a list as ``decode_items`` does; return with the items a text of each, which tells whether it has changed.

    Raises:
        DecodeError: as ``decode_items``.
    """
    items, raw = _items(body, type_, None)
    return items, tuple(b"" if type(item) is BadItem else canonical(one) for item, one in zip(items, raw, strict=True))


def _items(body: bytes, type_: type[T], operation: str | None) -> tuple[tuple[T | BadItem, ...], list[Any]]:
    """Return the items of a list, and the JSON values that they were read from."""
    try:
        raw = parse_unguarded(body)
        value: tuple[T, ...] = _quick_rule(tuple[type_, ...])(raw)  # type: ignore[valid-type]
    except (ValueError, TypeError):
        pass  # as in decode
    else:
        return value, raw
    try:
        raw = parse_with_constants(body)
    except NotJsonError:
        raw = None
    if type(raw) is not list:
        del raw
        return decode(body, tuple[type_, ...], operation=operation), []  # type: ignore[valid-type]  # reports what is wrong
    rule = _rule_of(type_, _careful())
    return tuple(_item(rule, one, index, operation) for index, one in enumerate(raw)), raw


def loads(data: bytes | bytearray | memoryview | str, type_: type[T]) -> T:
    """Read stored JSON or the body of a webhook into a model, or a list into ``tuple[Kit, ...]``.

    Unknown values and fields are kept, and ``dumps`` writes them again. A missing or null field is None, or ``()`` for
    a list. Times are timezone-aware and in UTC; one without a zone is taken as UTC.

    Raises:
        DecodeError: the text is not JSON, or JSON of another shape; ``path`` says where.
        InvalidInputError: ``data`` is not text, or ``type_`` is neither a model nor ``tuple[model, ...]``.
    """
    if not isinstance(data, (bytes, bytearray, memoryview, str)):
        raise InvalidInputError(f"loads reads bytes or str, not {type(data).__name__}")
    if not structuring.is_model(type_) and not _is_tuple(type_):
        raise InvalidInputError("loads reads a model, such as Kit, or tuple[Kit, ...]")
    body = data.encode(errors="surrogatepass") if isinstance(data, str) else bytes(data)
    try:
        return decode(body, type_)
    finally:
        del data, body  # as in decode


def dumps(model: Any) -> bytes:
    """Write a model, or a list or tuple of models, as UTF-8 JSON.

    What ``loads`` read is written back equal, unknown fields and values included; a field that was changed since is
    written with its new value. For a model that you built yourself, only the fields that are set are written.

    Raises:
        InvalidInputError: a value has no JSON form (NaN, say); the message says where.
    """
    values = _careful().unstructure(model)
    try:
        return serialize_any(values)
    except NotSerializableError as fault:
        why = str(fault)
    del model, values  # as in decode
    raise InvalidInputError(f"the model has no JSON form: {why}")


@overload
def to_dict(model: Model) -> dict[str, Any]: ...
@overload
def to_dict(model: Iterable[Model]) -> list[dict[str, Any]]: ...
def to_dict(model: Any) -> Any:
    """Return a model as values for ``json.dumps``: what ``dumps`` writes, parsed; a list of models as a list.

    Objects are dicts under the API's own names, lists are lists, times and dates are text, and nothing is shared with
    the model. It holds patient data. ``loads(json.dumps(to_dict(kit)), Kit)`` equals the kit.

    Numbers beyond a float's range, such as 1e400 in an unknown field, become the integers that they stand for: these
    alone do not equal what the kit holds.

    Raises:
        InvalidInputError: as ``dumps``; it is no model, such as a dict, whose keys it would list; or such a number has
            more than 4,300 digits, which Python's ``json`` cannot write: use ``dumps``.
    """
    if not isinstance(model, Model):
        model = _models_in(model)
    text = dumps(model)
    try:
        return with_plain_numbers(parse_exact(text))
    except NotSerializableError as fault:
        why = str(fault)
    del model, text  # as in decode
    raise InvalidInputError(f"the model has no form in Python's own values: {why}; use dumps")


def _models_in(models: Any) -> list[Model]:
    found = [*models] if isinstance(models, Iterable) and not isinstance(models, (str, bytes, Mapping)) else [models]
    kind = next((type(one).__name__ for one in found if not isinstance(one, Model)), None)
    if kind is None:
        return found
    del models, found  # as in decode
    raise InvalidInputError(f"to_dict takes a model, such as a Kit, or a list of them, not {kind}")


def tree(model: Model) -> Any:
    """Return a model as JSON values to send: only the fields that are set, whatever form they came in.

    Does not check that the values have a JSON form.
    """
    return _careful().unstructure(structuring.without_notes(model))


def _read_with_care(body: bytes, type_: Any, operation: str | None) -> tuple[Any, DecodeError | None]:
    try:
        raw = parse_exact(body)
    except NotJsonError:
        return None, DecodeError("the text is not JSON", outcome="unknown", operation=operation)
    try:
        return _rule_of(type_, _careful())(raw), None
    except MismatchError as mismatch:
        path = mismatch.path.removeprefix(".")
        message = f"{path or 'the answer'} should be {mismatch.expected} and is {mismatch.found}"
    return None, DecodeError(message, path=path, outcome="done", raw=raw, operation=operation)


def _item(rule: Hook, raw: Any, index: int, operation: str | None) -> Any:
    """Decode one item of a list; one that does not fit becomes a BadItem."""
    path, fault = f"[{index}]", "holds NaN or Infinity, which JSON does not have"
    if not scalars.holds_constant(raw):
        try:
            return rule(raw)
        except MismatchError as mismatch:
            path, fault = path + mismatch.path, f"should be {mismatch.expected} and is {mismatch.found}"
    error = DecodeError(f"{path} {fault}", path=path, outcome="done", raw=raw, operation=operation)
    try:
        return BadItem(error, hash(repr(raw)))
    except RecursionError:  # nested deeper than Python can write: all such items count as the same
        return BadItem(error, 0)


def has_come_as_null(model: Model, name: str) -> bool:
    """Return whether the JSON had null for a field; False if it had a value or no such field."""
    return as_came(model).get(name, ...) is None


# The converters are built on first use; each collects the hooks for a type when first asked for it.

_AMOUNT = int | float | str
_LOOSE_INSTANT = datetime | Any
_RULES: dict[Any, Hook] = {
    str: scalars.text,
    bool: scalars.flag,
    datetime: scalars.instant,
    date: scalars.day,
    Any: scalars.anything,
    dict[str, Any]: scalars.json_object,
    Mapping[str, Any]: scalars.json_object,
    _AMOUNT: scalars.amount,
    RangeLimit: scalars.range_limit,
    _LOOSE_INSTANT: scalars.loose_instant,
}
# Not dict[str, Any]: that one only checks that an answer is an object, and nobody reads the numbers in it.
_HOLD_NUMBERS = (Any, Mapping[str, Any], _AMOUNT, RangeLimit, _LOOSE_INSTANT)


@cache
def _quick_rule(type_: Any) -> Hook:
    return _rule_of(type_, _quick())


@cache
def _quick() -> Converter:
    exact = {kind: scalars.unless_rounded(_RULES[kind]) for kind in _HOLD_NUMBERS}
    converter = _converter(_RULES | exact, quick_reader)
    address = scalars.unless_rounded(_rule_of(PatientAddress, converter))  # the form it came wrapped in is kept as well
    converter.register_structure_hook_func(_equals(PatientAddress), address)
    return converter


@cache
def _careful() -> Converter:
    converter = _converter(_RULES, structuring.careful_reader)
    converter.register_unstructure_hook(datetime, scalars.write_instant)
    converter.register_unstructure_hook(date, date.isoformat)
    converter.register_unstructure_hook(StrEnum, attrgetter("value"))  # cattrs would leave it, as a str
    converter.register_unstructure_hook_factory(structuring.is_model, _model_writer)
    return converter


def _converter(rules: Mapping[Any, Hook], reader: Callable[..., Hook]) -> Converter:
    def model_hook(cls: Any, converter: Converter) -> Hook:
        rule_of = partial(_rule_of, converter=converter)
        return reader(cls, structuring.wire_fields(cls, rule_of), rule_of)

    converter = Converter(detailed_validation=False, structure_fallback_factory=_refuse)
    for kind, rule in rules.items():
        converter.register_structure_hook_func(_equals(kind), rule)
    for kind in (str, bool):  # cattrs has rules for these (bool is an int) that win over the line above
        converter.register_structure_hook(kind, rules[kind])
    converter.register_structure_hook_factory(structuring.is_open_enum, _enum_hook)
    converter.register_structure_hook_factory(_is_literal, _literal_hook)
    converter.register_structure_hook_factory(structuring.is_optional, _optional_hook)
    converter.register_structure_hook_factory(_is_tuple, _tuple_hook)
    converter.register_structure_hook_factory(_equals(Result), _result_hook)
    converter.register_structure_hook_factory(_equals(PatientAddress), _patient_address_hook)
    converter.register_structure_hook_factory(structuring.is_model, model_hook)
    return converter


def _rule_of(kind: Any, converter: Converter) -> Hook:
    rule: Hook = converter.get_structure_hook(kind)
    if rule.__module__.startswith("cattrs"):  # its rules turn null into "None" and "5" into 5
        return _refuse(kind)
    return rule


def _refuse(kind: Any) -> NoReturn:
    raise InvalidInputError(f"there is no rule for reading {kind}")


def _model_writer(cls: Any, converter: Converter) -> Hook:
    fields = structuring.wire_fields(cls, partial(_rule_of, converter=converter))
    return structuring.writer(fields, converter.unstructure)


def _equals(kind: Any) -> Callable[[Any], bool]:
    return lambda other: bool(other == kind)


def _is_tuple(kind: Any) -> bool:
    return get_origin(kind) is tuple and get_args(kind)[1:] == (...,)


def _is_literal(kind: Any) -> bool:
    return get_origin(kind) is Literal


def _enum_hook(kind: Any, _: Converter) -> Hook:
    return scalars.open_enum(structuring.enum_members(kind))


def _literal_hook(kind: Any, _: Converter) -> Hook:
    return scalars.tag(get_args(kind))


def _optional_hook(kind: Any, converter: Converter) -> Hook:
    hook = _rule_of(structuring.without_none(kind), converter)

    def read(raw: Any, _: Any = None) -> Any:
        return None if raw is None else hook(raw)

    return read


def _tuple_hook(kind: Any, converter: Converter) -> Hook:
    hook = _rule_of(get_args(kind)[0], converter)

    def read(raw: Any, _: Any = None) -> tuple[Any, ...]:
        if type(raw) is not list:
            raise MismatchError("a list", raw)
        items: list[Any] = []
        try:
            for item in raw:
                items.append(hook(item))  # noqa: PERF401 - the length so far is the index of a fault
        except MismatchError as mismatch:
            mismatch.path = f"[{len(items)}]{mismatch.path}"
            raise
        return tuple(items)

    return read


def _patient_address_hook(_: Any, converter: Converter) -> Hook:
    return scalars.unwrapped("address", _rule_of(Address, converter))


def _result_hook(kind: Any, converter: Converter) -> Hook:
    """Return the rule that picks a result's class by its tag. A missing, null or unknown tag is data, not a fault."""
    kinds = {attrs.fields_dict(cls)["result_type"].default: cls for cls in get_args(kind)}
    hooks = {tag: _rule_of(cls, converter) for tag, cls in kinds.items()}
    unknown = _rule_of(UnknownResult, converter)

    def read(raw: Any, _: Any = None) -> Any:
        try:
            hook = hooks[raw["result_type"]]
        except (KeyError, TypeError):
            hook = unknown
        return hook(raw)

    return read
