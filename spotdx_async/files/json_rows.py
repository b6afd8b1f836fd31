"""JSON: Lines to rows, ``{"kit_id": …, "metadata": {…}}`` each, blank lines skipped; and files of a single object.

Both are read more strictly than JSON asks: a key that occurs twice is refused, since the value that would be dropped
may be the one that was meant.
"""

import json
import math
import os
import re
from collections.abc import Iterator
from typing import Any, BinaryIO, NoReturn

from spotdx_async.errors import InvalidInputError
from spotdx_async.files.lines import Line, LineBuffer
from spotdx_async.files.rows import MAX_ROW_BYTES, BadRow, Row, RowFault, check_key, key_of

__all__ = ["BOM", "MAX_OBJECT_BYTES", "JsonRows", "decode_text", "name_of", "parse_object", "read_object"]

MAX_OBJECT_BYTES = 10 * 1024 * 1024
"""The largest file that ``read_object`` reads."""
BOM = b"\xef\xbb\xbf"
_BYTES_OF_A_SIGN = {"{": 64, "[": 64, ",": 64, ":": 128}
"""Bytes of an empty dict or list and its slot, of a value and its slot, of an entry in a dict."""
# Possessive, and runs to the end of the text if a string is not closed: a text of quotes would backtrack forever.
_STRING = re.compile(r'"(?:[^"\\]|\\.)*+(?:"|\Z|\\\Z)', re.DOTALL)


class JsonRows:
    """The rows that can be read from what is buffered so far."""

    preamble = b""
    """What must come before rows that are written again."""

    def __init__(self, lines: LineBuffer, *, id_name: str = "kit_id") -> None:
        self._lines = lines
        self._id_name = id_name
        self._rows_read = 0

    def rows(self) -> Iterator[Row | BadRow]:
        """Yield the rows whose last line is buffered; call again after feeding more."""
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
            return BadRow(self._rows_read, line.number, str(fault), line.data, key_of(values, self._id_name))
        return Row(self._rows_read, line.number, key, metadata, line.data)


def name_of(path: str | os.PathLike[str]) -> str:
    """Return the name of a file for messages; ``-`` is standard input."""
    return "standard input" if os.fspath(path) == "-" else os.fspath(path)


def read_object(path: str | os.PathLike[str]) -> bytes:
    """Read a file, or standard input for ``-``, and check that it holds one JSON object in which no key occurs twice.

    Returns:
        The text as it came, without a byte order mark.

    Raises:
        InvalidInputError: it cannot be read, is larger than 10 MiB, is not UTF-8, or holds anything else. The message
            shows no value.
    """
    try:
        with _open(path) as file:
            data = file.read(MAX_OBJECT_BYTES + 1).removeprefix(BOM)
        _check_object(data)
    except OSError as error:
        reason = error.strerror or "it cannot be read"
    except RowFault as fault:
        reason = str(fault)
    else:
        return data
    raise InvalidInputError(f"{name_of(path)}: {reason}")


def decode_text(data: bytes) -> str:
    """Decode UTF-8.

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
    """Parse one JSON object, integers exact; ``what`` names it in the reason.

    Raises:
        RowFault: it is not JSON or not an object, names a key twice, holds a number that JSON or a float cannot
            represent, or would take more than 16 MiB as Python values.
    """
    if _value_bytes(text) > MAX_ROW_BYTES:
        raise RowFault(f"{what} holds more values than fit into {MAX_ROW_BYTES // 1024**2} MiB")
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


def _open(path: str | os.PathLike[str]) -> BinaryIO:
    return open(0, "rb", closefd=False) if os.fspath(path) == "-" else open(path, "rb")  # noqa: PTH123 - 0 is no path


def _check_object(data: bytes) -> None:
    if len(data) > MAX_OBJECT_BYTES:
        raise RowFault(f"it is larger than {MAX_OBJECT_BYTES:,} bytes")
    if not data.strip():
        raise RowFault("the file is empty")
    parse_object(decode_text(data), "the file")


def _value_bytes(text: str) -> int:
    """Return an upper bound of what the text takes as Python values: two characters can be a dict."""
    if len(text) * (1 + max(_BYTES_OF_A_SIGN.values())) <= MAX_ROW_BYTES:
        return 0  # true of nearly every row
    needed = _bytes_of_signs(text)
    # A text may be full of commas: those in strings are discounted where it matters.
    return len(text) + (needed if len(text) + needed <= MAX_ROW_BYTES else _bytes_of_signs(_STRING.sub("", text)))


def _bytes_of_signs(text: str) -> int:
    return sum(text.count(sign) * each for sign, each in _BYTES_OF_A_SIGN.items())


def _update(value: dict[str, Any], id_name: str) -> tuple[str, dict[str, Any]]:
    for name in (id_name, "metadata"):
        if name not in value:
            raise RowFault(f"the key {name} is missing")
    if value.keys() != {id_name, "metadata"}:
        raise RowFault(f"the row has keys other than {id_name} and metadata")
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
