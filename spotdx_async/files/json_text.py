"""JSON text to an object, more strictly than JSON asks.

A key that occurs twice is refused, since the value that would be dropped may be the one that was meant; and so is a
number that would not be sent as it is written.
"""

import json
import math
import os
import re
from decimal import Decimal
from typing import Any, NoReturn

from spotdx_async._codec.plain_json import is_deeper
from spotdx_async.files.rows import MAX_ROW_BYTES, RowFault

__all__ = ["BOM", "JsonSyntaxFault", "decode_text", "is_spread_object", "name_of", "parse_object"]

_LINES_LOOKED_AT, _TWO = 20, 2
BOM = b"\xef\xbb\xbf"
_DEEPEST = 256
"""More than any request may have with what is around it, and little enough for what copies a value by recursion."""
_NOT_UTF_8 = "the text is not UTF-8: save it as UTF-8, or pass --encoding, such as latin-1"
_BYTES_OF_A_SIGN = {"{": 64, "[": 64, ",": 64, ":": 128}
"""Bytes of an empty dict or list and its slot, of a value and its slot, of an entry in a dict."""
# Possessive, and runs to the end of the text if a string is not closed: a text of quotes would backtrack forever.
_STRING = re.compile(r'"(?:[^"\\]|\\.)*+(?:"|\Z|\\\Z)', re.DOTALL)


class JsonSyntaxFault(RowFault):
    """The text is no JSON, so that where its values end is not certain either."""


def is_spread_object(start: bytes) -> bool:
    """Return whether JSON Lines surely are none: their first line only opens an object, and the next one goes on.

    A first row that was cut off is not taken for that, since a row that stands by itself follows it.
    """
    lines = [line for line in start.removeprefix(BOM).splitlines(keepends=True)[:_LINES_LOOKED_AT] if line.strip()]
    whole = [line for line in lines if line.endswith((b"\n", b"\r"))]
    if len(lines) < _TWO or not whole:
        return False
    first, second = (line.decode("utf-8", "replace").strip() for line in lines[:_TWO])
    return first.startswith("{") and _breaks_at(first) == len(first) and _breaks_at(second) is not None


def _breaks_at(text: str) -> int | None:
    """Return where text stops being JSON, which is its length if more is expected; None if it is whole."""
    try:
        json.loads(text)
    except json.JSONDecodeError as error:
        return error.pos
    except (ValueError, RecursionError):
        return 0
    return None


def name_of(path: str | os.PathLike[str]) -> str:
    """Return the name of a file for messages; ``-`` is standard input."""
    return "standard input" if os.fspath(path) == "-" else os.fspath(path)


def decode_text(data: bytes, encoding: str | None = None) -> str:
    """Decode UTF-8.

    Args:
        data: the text.
        encoding: in which it came, if that was another one.

    Raises:
        RowFault: it is not UTF-8, or holds a NUL byte.
    """
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        raise RowFault(_NOT_UTF_8 if encoding is None else f"the text is not {encoding}") from None
    if "\0" in text:
        raise RowFault("the text holds a NUL byte")
    return text


def parse_object(text: str, what: str) -> dict[str, Any]:
    """Parse one JSON object, numbers exact; ``what`` names it in the reason.

    Raises:
        JsonSyntaxFault: it is not JSON.
        RowFault: it is not an object, names a key twice, holds a number that would not be sent as it is written, is
            nested deeper than 256 levels, or would take more than 16 MiB as Python values.
    """
    if _value_bytes(text) > MAX_ROW_BYTES:
        raise RowFault(f"{what} holds more values than fit into {MAX_ROW_BYTES // 1024**2} MiB")
    fault: type[RowFault] = RowFault
    try:
        value = (_DECODER if "-0" not in text else _SIGNED_ZERO_DECODER).decode(text)
    except json.JSONDecodeError as error:
        reason = f"{what} is broken JSON ({error.msg}, character {error.pos + 1})"
        fault = JsonSyntaxFault
    except ValueError:
        reason = f"{what} holds a number with too many digits"
    except RecursionError:
        reason = f"{what} is nested too deeply"
    else:
        # How deep the decoder goes depends on the Python.
        if text.count("[") + text.count("{") > _DEEPEST and is_deeper(value, _DEEPEST):
            reason = f"{what} is nested too deeply"
        elif isinstance(value, dict):
            return value
        else:
            reason = f"{what} is not a JSON object"
    # Raised out here: the decoder's error holds the whole text, and must not even be the context.
    raise fault(reason)


def _value_bytes(text: str) -> int:
    """Return an upper bound of what the text takes as Python values: two characters can be a dict."""
    if len(text) * (1 + max(_BYTES_OF_A_SIGN.values())) <= MAX_ROW_BYTES:
        return 0  # nearly every row
    needed = _bytes_of_signs(text)
    # A text may be full of commas: those in strings are discounted where it matters.
    return len(text) + (needed if len(text) + needed <= MAX_ROW_BYTES else _bytes_of_signs(_STRING.sub("", text)))


def _bytes_of_signs(text: str) -> int:
    return sum(text.count(sign) * each for sign, each in _BYTES_OF_A_SIGN.items())


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise RowFault("an object names a key twice")
    return value


def _exact(digits: str) -> float:
    """Return a number with a fraction or an exponent, which is sent as the shortest digits that mean the same float."""
    number = float(digits)
    if not math.isfinite(number):
        raise RowFault("a number is too large")
    if repr(number) != digits and not _is_equal(number, digits):
        raise RowFault("a number has more digits, or is smaller, than a double can hold: write it as text")
    return number


def _is_equal(number: float, digits: str) -> bool:
    if number == 0:  # Decimal does not take an exponent of any length
        return not digits.lower().partition("e")[0].strip("-0.")
    return Decimal(repr(number)) == Decimal(digits)


def _signed_zero(digits: str) -> int:
    if digits == "-0":
        raise RowFault("a number is -0, which no integer is: write 0 or -0.0")
    return int(digits)


def _no_constant(_name: str) -> NoReturn:
    raise RowFault("NaN and Infinity are not JSON")


_DECODER = json.JSONDecoder(object_pairs_hook=_unique, parse_float=_exact, parse_constant=_no_constant)
# Asked only where there may be one: a function of ours for each integer takes its time.
_SIGNED_ZERO_DECODER = json.JSONDecoder(
    object_pairs_hook=_unique, parse_float=_exact, parse_int=_signed_zero, parse_constant=_no_constant
)
