"""JSON Lines to rows: one object such as ``{"kit_id": …, "metadata": {…}}`` a line; blank lines are skipped."""

import json
import math
import re
from collections.abc import Iterator
from typing import Any, NoReturn

from spotdx_async.files.lines import Line, LineBuffer
from spotdx_async.files.rows import MOST_ROW_BYTES, BadRow, Row, RowFault, check_key, key_in

__all__ = ["JsonRows", "decode_text", "parse_object"]

_OF_A_SIGN = {"{": 64, "[": 64, ",": 64, ":": 128}
"""Bytes of an empty dict or list and its place, of a value and its place, of an entry in a dict."""
# Takes no way back, and goes on to the end where a string does not end: else a text of quotes would take for ever.
_STRING = re.compile(r'"(?:[^"\\]|\\.)*+(?:"|\Z|\\\Z)', re.DOTALL)


class JsonRows:
    """The rows that can be read from what is buffered so far."""

    preamble = b""
    """What must stand before rows that are written again."""

    def __init__(self, lines: LineBuffer, *, id_name: str = "kit_id") -> None:
        self._lines = lines
        self._id_name = id_name
        self._rows_read = 0

    def rows(self) -> Iterator[Row | BadRow]:
        """Give the rows whose last line is buffered; call again after feeding more."""
        while (line := self._lines.take()) is not None:
            if line.data is None or line.data.strip():
                self._rows_read += 1
                yield self._row(line)

    def _row(self, line: Line) -> Row | BadRow:
        if line.data is None:
            return BadRow(self._rows_read, line.number, "the line is too long", None)
        values: dict[str, Any] = {}
        try:
            values = parse_object(decode_text(line.data).rstrip("\r\n"), "the row")
            key, metadata = _update(values, self._id_name)
        except RowFault as fault:
            return BadRow(self._rows_read, line.number, str(fault), line.data, key_in(values, self._id_name))
        return Row(self._rows_read, line.number, key, metadata, line.data)


def decode_text(data: bytes) -> str:
    """Read UTF-8.

    Raises:
        RowFault: it is not UTF-8, or holds a NUL byte.
    """
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        raise RowFault("the text is not UTF-8") from None
    if "\0" in text:
        raise RowFault("the text holds a NUL byte")
    return text


def parse_object(text: str, what: str) -> dict[str, Any]:
    """Read one JSON object, integers exact; ``what`` names it in the reason.

    Raises:
        RowFault: it is no JSON, no object, names a key twice, holds a number that JSON or a float cannot hold, or more
            values than fit into 16 MiB.
    """
    if _value_bytes(text) > MOST_ROW_BYTES:
        raise RowFault(f"{what} holds more values than fit into {MOST_ROW_BYTES // 1024**2} MiB")
    try:
        value = _DECODER.decode(text)
    except json.JSONDecodeError as error:
        reason = f"{what} is broken JSON ({error.msg}, character {error.pos + 1})"
    except ValueError:
        reason = f"{what} holds a number with too many digits"
    except RecursionError:
        reason = f"{what} is nested too deeply"
    else:
        if isinstance(value, dict):
            return value
        reason = f"{what} is not a JSON object"
    # Raised out here: the decoder's error holds the whole text, and must not even be the context.
    raise RowFault(reason)


def _value_bytes(text: str) -> int:
    """Give what the text becomes as Python's values, at the most: two letters can be a dict."""
    if len(text) * (1 + max(_OF_A_SIGN.values())) <= MOST_ROW_BYTES:
        return 0  # so it is with nearly all
    needed = _of_signs(text)
    # A text may be full of commas: those in strings are not counted, where that matters.
    return len(text) + (needed if len(text) + needed <= MOST_ROW_BYTES else _of_signs(_STRING.sub("", text)))


def _of_signs(text: str) -> int:
    return sum(text.count(sign) * each for sign, each in _OF_A_SIGN.items())


def _update(value: dict[str, Any], id_name: str) -> tuple[str, dict[str, Any]]:
    for name in (id_name, "metadata"):
        if name not in value:
            raise RowFault(f"the key {name} is missing")
    if value.keys() != {id_name, "metadata"}:
        raise RowFault(f"the row has keys beside {id_name} and metadata")
    key, metadata = value[id_name], value["metadata"]
    if not isinstance(key, str):
        raise RowFault(f"the {id_name} is not a string")
    if not isinstance(metadata, dict):
        raise RowFault("the metadata is not a JSON object")
    check_key(key, id_name)
    return key, metadata


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise RowFault("an object names a key twice")
    return value


def _finite(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise RowFault("a number is too large")
    return number


def _no_constant(_name: str) -> NoReturn:
    raise RowFault("NaN and Infinity are not JSON")


_DECODER = json.JSONDecoder(object_pairs_hook=_unique, parse_float=_finite, parse_constant=_no_constant)
