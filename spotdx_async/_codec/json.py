"""JSON text to Python values and back; the only importer of orjson, in whose place the standard library can stand.

It knows no model and no HTTP, and raises its own exceptions, which never carry text from the input.
"""

import json
import math
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import date, time, timedelta
from decimal import Decimal
from enum import Enum
from pathlib import PurePath
from types import NoneType
from typing import Any, Self
from uuid import UUID

from spotdx_async._codec.plain_json import unless_too_deep

try:
    import orjson as library
except ImportError:  # it has no wheel for this Python
    from spotdx_async._codec import plain_json as library  # type: ignore[no-redef]

DEEPEST = 200
"""The most levels of lists and objects in what is sent."""
_DEEPEST_PARSED = 1100  # the parser stops at 1,024 levels: only a value that contains itself goes deeper
_PLAIN = frozenset({int, bool, NoneType})
_PLAIN_LEVELS, _LONGEST_PATH = 4, 80
_MOST_DIGITS = 4300  # beyond that Python turns no integer into text
# orjson reads an integer beyond 64 bits as a float; only a run of 19 digits or more can be one.
_LONG_NUMBER = re.compile(rb"\d{19}")
_BYTE_ORDER_MARK, _NOTHING = b"\xef\xbb\xbf", object()
_BEFORE_A_TEXT = b"{[,: \t\r\n"
# Possessive, so that the regex never backtracks.
_PERHAPS_IN_A_TEXT = re.compile(rb'\}[^"]*+"[,:}\]\s]').search
_INSTEAD: tuple[tuple[type | tuple[type, ...], str], ...] = (
    (Enum, "its value"),
    (date, "its isoformat()"),  # datetime is one too
    (time, "its isoformat()"),
    (timedelta, "its total_seconds()"),
    (Decimal, "str() of it"),
    (UUID, "str() of it"),
    (PurePath, "str() of it"),
    (bytes, "it decoded, as text"),
    ((set, frozenset), "a list of its items"),
)
"""What has an obvious form in JSON, to be chosen by whoever reads it again."""


class NotJsonError(ValueError):
    """The text is not JSON."""


class NotSerializableError(ValueError):
    """The value has no JSON form; ``path`` says where, the message says why, neither shows the value."""

    def __init__(self, path: str, why: str) -> None:
        if len(path) > _LONGEST_PATH:
            path = path[:_LONGEST_PATH] + "…"
        super().__init__(f"{path or 'the value'} {why}")
        self.path = path
        self.why = why


class Unencodable:
    """Takes the place of a value that the caller's function could not encode; ``why`` shows neither."""

    __slots__ = ("why",)

    def __init__(self, why: str) -> None:
        self.why: str = why


class HugeNumber(float):
    """A JSON number that no float can hold, such as 1e400: infinite in arithmetic, and written back as it came."""

    __slots__ = ("literal",)
    literal: str

    def __new__(cls, literal: str) -> Self:
        """Keep the text of the number."""
        number = super().__new__(cls, literal)
        number.literal = literal
        return number

    def __eq__(self, other: object) -> bool:
        """Compare by text: as floats, any two are infinite and equal."""
        return self.literal == other.literal if isinstance(other, HugeNumber) else super().__eq__(other)

    def __ne__(self, other: object) -> bool:
        """The opposite of ``==``: float defines its own."""
        return not self == other

    __hash__ = float.__hash__

    def __str__(self) -> str:
        """Show what came, not ``inf``, which could be any such number."""
        return self.literal

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle by text."""
        return HugeNumber, (self.literal,)


def is_surely_whole(text: bytes) -> bool:
    """Return whether text that begins as JSON certainly does not end too soon; False only means that it must be parsed.

    In text without a backslash, the closing quote of a string is followed by a space or one of ``,:}]`` and nothing
    else. A brace before any other quote, or after the last one, is structure. If no ``}`` is inside a string, having as
    many ``}`` as ``{`` is enough: some of the ``{`` may be inside a string, but then the object would have closed
    earlier.
    """
    if text[:1] != b"{" or text[-1:] != b"}" or text.find(b"\\") >= 0:
        return False
    # Subtracting lengths counts as well, and takes a third of the instructions of ``count``.
    if len(text.replace(b"{", b"")) != len(text.replace(b"}", b"")):
        return False
    return text[text.rfind(b'"') - 1] not in _BEFORE_A_TEXT and _PERHAPS_IN_A_TEXT(text) is None


parse_unguarded = library.loads
"""Like ``parse``, for callers that discard its ValueError, which holds the text."""


def parse(text: bytes) -> Any:
    """Parse JSON the fast way; an integer beyond 64 bits becomes a float.

    Raises:
        NotJsonError: the text is not JSON, holds NaN, or is nested deeper than 1,024.
    """
    try:
        return library.loads(text)
    except library.JSONDecodeError:
        pass
    # Raised out here so that the decoder's error, which holds the whole text, is not even the context.
    raise NotJsonError("not JSON")


def parsed_key(name: str) -> str:
    """Return a key as the same object that the parser creates for it, while its cache lasts.

    Looking that object up needs no comparison of characters, which saves 3 % of the time that a Kit takes.
    """
    (key,) = parse(b'{"%s": 0}' % name.encode())
    return str(key)


def parse_exact(text: bytes) -> Any:
    """Parse everything that is JSON: integers of any length exactly, huge numbers, lone surrogates, a BOM.

    The fast parser rejects or rounds those four; it reads everything else.

    Raises:
        NotJsonError: the text is not JSON, holds NaN or Infinity, or is nested deeper than 1,024.
    """
    return _parse_all(text, _refuse_constant)


def parse_with_constants(text: bytes) -> Any:
    """Parse like ``parse_exact``, and accept NaN and Infinity: the only plain floats in the result that are not finite.

    Raises:
        NotJsonError: as ``parse_exact``, except for these.
    """
    return _parse_all(text, float)


def _parse_all(text: bytes, constant: Callable[[str], float]) -> Any:
    text = text.removeprefix(_BYTE_ORDER_MARK)
    value: Any = _NOTHING
    with suppress(library.JSONDecodeError):
        value = library.loads(text)
    if value is not _NOTHING and _LONG_NUMBER.search(text) is None:
        return value
    try:  # as str: given bytes, json would also accept UTF-16 and invalid UTF-8
        exact = json.loads(text.decode(), parse_float=_float, parse_int=_integer, parse_constant=constant)
        return unless_too_deep(text, exact)
    except (ValueError, RecursionError):
        if value is not _NOTHING:
            return value  # nested between the two parsers' limits: keep the fast result
    raise NotJsonError("not JSON")


def _refuse_constant(_: str) -> float:
    raise ValueError


def _float(literal: str) -> float:
    return number if math.isfinite(number := float(literal)) else HugeNumber(literal)


def _integer(literal: str) -> int | float:
    try:
        return int(literal)
    except ValueError:  # more digits than Python converts
        return _float(literal)


def with_plain_numbers(tree: Any) -> Any:
    """Return a parsed value, changed in place, in which huge numbers are the integers that they stand for.

    Raises:
        NotSerializableError: one has more digits than Python's own ``json`` writes, or a fraction.
    """
    levels: list[Any] = [[tree]]
    root = levels[0]
    while levels:  # no recursion: an answer may be nested deeper than Python's call stack
        inside = levels.pop()
        for place, item in inside.items() if isinstance(inside, dict) else enumerate(inside):
            if isinstance(item, HugeNumber):
                inside[place] = _whole(item.literal)
            elif isinstance(item, (dict, list)):
                levels.append(item)
    return root[0]


def _whole(literal: str) -> int:
    with suppress(ArithmeticError):  # of an exponent beyond Decimal's
        number = Decimal(literal)
        if number.adjusted() < _MOST_DIGITS and number == number.to_integral_value():
            return int(number)
    raise NotSerializableError("", "holds a number beyond what Python's json writes")


def serialize_scalar(value: Any) -> bytes:
    """Write a value that is neither a list nor an object, including values that only ``parse_exact`` reads.

    Raises:
        NotSerializableError: as ``serialize``.
    """
    if isinstance(value, HugeNumber):
        return value.literal.encode()
    if isinstance(value, str) and not is_unicode(value):
        return json.dumps(value).encode()  # escaped, which is valid JSON too
    return serialize(value)


def serialize(value: Any) -> bytes:
    """Write JSON as UTF-8, keeping key order.

    Raises:
        NotSerializableError: NaN, an infinity, a key that is not a string, a value that JSON does not have, text that
            is not valid Unicode, or nesting deeper than orjson takes (254) or that never ends.
    """
    check_serializable(value)
    try:
        return library.dumps(value)
    except TypeError:
        pass
    with suppress(TypeError, ValueError):  # integers beyond 64 bits, which orjson rejects
        return json.dumps(_plain(value), ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
    raise NotSerializableError("", "has no JSON form: use only strings, numbers, booleans, null, lists and objects")


def _plain(value: Any) -> Any:
    """Return a checked value in which each object is a dict that shows what it holds, as orjson reads it."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in dict.items(value)}
    return [_plain(item) for item in value] if isinstance(value, (list, tuple)) else value


def serialize_any(value: Any) -> bytes:
    """Write everything that ``parse_exact`` reads: huge numbers, lone surrogates and any depth included.

    Raises:
        NotSerializableError: as ``serialize``, except for these; the message is about the first fault that it found.
    """
    try:
        return serialize(value)
    except NotSerializableError as fault:
        path, why = fault.path, fault.why
    try:
        return b"".join(_pieces(value))
    except NotSerializableError:
        pass
    raise NotSerializableError(path, why)


def _pieces(tree: Any) -> Iterator[bytes]:
    """Yield JSON without recursion: unknown fields may be nested deeper than ``serialize`` goes."""
    levels = [(iter([(b"", tree)]), b"")]
    while levels:
        if len(levels) > _DEEPEST_PARSED:
            raise NotSerializableError("", "never ends")
        items, end = levels[-1]
        for lead, item in items:
            if isinstance(item, dict):
                yield lead + b"{"
                levels.append((_members(item), b"}"))
                break
            if isinstance(item, (list, tuple)):
                yield lead + b"["
                levels.append((((b"," if number else b"", one) for number, one in enumerate(item)), b"]"))
                break
            yield lead + serialize_scalar(item)
        else:
            levels.pop()
            yield end


def _members(value: dict[Any, Any]) -> Iterator[tuple[bytes, Any]]:
    for number, (key, item) in enumerate(dict.items(value)):
        if not isinstance(key, str):
            raise NotSerializableError("", "has a key that is not a string")
        yield (b"," if number else b"") + serialize_scalar(key) + b":", item


def canonical(value: Any) -> bytes:
    """Return text by which equal values are recognised; as a rule it is the same for another order of keys."""
    try:
        return library.dumps(value, option=library.OPT_SORT_KEYS)
    except TypeError:
        pass
    return serialize_any(value)  # what only parse_exact reads


def check_serializable(value: Any) -> None:
    """Reject what JSON does not have. orjson alone would write NaN as null, and dates and enums in its own forms.

    Raises:
        NotSerializableError: naming the place and the kind of problem, never the value.
    """
    if value.__class__ is dict and _is_plain(value, _PLAIN_LEVELS):
        return
    found = first_fault(value)
    if found is not None:
        raise NotSerializableError(*found)


def _is_plain(value: dict[Any, Any], levels: int) -> bool:
    """Return whether an object holds only common values: ASCII strings, integers, booleans, null, and such objects.

    Checked first, since most metadata is like this: it takes 5 kI, the full rules take 10 (callgrind).
    """
    for key, item in value.items():
        kind = item.__class__
        if not (key.__class__ is str and key.isascii()):
            return False
        if kind is str:
            if not item.isascii():
                return False
        elif kind not in _PLAIN and not (kind is dict and levels and _is_plain(item, levels - 1)):
            return False
    return True


def first_fault(value: Any, depth: int = 0) -> tuple[str, str] | None:
    """Return the path of the first value that JSON does not have and what is wrong there; None if all is well."""
    if isinstance(value, str):
        return None if value.isascii() or is_unicode(value) else ("", "holds text that is not valid Unicode")
    if value is None or isinstance(value, int):
        return None
    if isinstance(value, float):
        return None if math.isfinite(value) else ("", "is NaN or infinite, which JSON does not have")
    if depth > DEEPEST:
        return "", f"is nested deeper than {DEEPEST} levels"
    if isinstance(value, dict):
        return _fault_in_object(value, depth)
    if isinstance(value, (list, tuple)):
        return _fault_in_array(value, depth)
    return "", _why_not(value)


def _why_not(value: Any) -> str:
    """Return why JSON does not have a value, and for one of a common type what to pass in its place."""
    if isinstance(value, Unencodable):
        return value.why
    found = next((instead for kind, instead in _INSTEAD if isinstance(value, kind)), None)
    advice = "" if found is None else f": pass {found}"
    return f"is of type {type(value).__name__}, which JSON does not have{advice}"


def _fault_in_object(value: dict[Any, Any], depth: int) -> tuple[str, str] | None:
    # What is written is what it holds; Django's QueryDict, say, shows the last one of each list alone.
    for key, item in dict.items(value):
        if not isinstance(key, str):
            return "", f"has a key of type {type(key).__name__}; JSON keys are strings"
        if (found := first_fault(key, depth) or first_fault(item, depth + 1)) is not None:
            return (f".{key}" if key.isidentifier() else "[…]") + found[0], found[1]
    return None


def _fault_in_array(value: list[Any] | tuple[Any, ...], depth: int) -> tuple[str, str] | None:
    for index, item in enumerate(value):
        if (found := first_fault(item, depth + 1)) is not None:
            return f"[{index}]{found[0]}", found[1]
    return None


def is_unicode(text: str) -> bool:
    """Return whether a text is valid Unicode, so that JSON can hold it."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
