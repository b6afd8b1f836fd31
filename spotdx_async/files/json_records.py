"""Bytes to the texts of JSON values, one a line or all in one array, in the memory of one; knows no rows.

A line is a value whatever is in it, since no JSON string holds a line break. In an array the end of a value is known
only as long as each one is JSON: what follows one that is not is a value with a fault, up to the end.
"""

import re
from collections.abc import Callable
from typing import Literal, NamedTuple

from spotdx_async.files.lines import LineBuffer

__all__ = ["ArrayRecords", "JsonRecord", "LineRecords"]

_SPACE = b" \t\r\n"
_SIGN = re.compile(rb'["\[\]{},]')
_NOT_SPACE = re.compile(rb"[^ \t\r\n]")
# Possessive, so that nothing is tried twice.
_IN_STRING = re.compile(rb'(?:[^"\\\n]++|\\.)*+')
_CUT_OFF = "the array is not closed: the file was cut off"
_NO_COMMA = "something other than a comma is between two rows of the array, so all that follows is rejected"
_OPEN_STRING = "the row is broken JSON (a text is not closed on its line), so all that follows is rejected"
_BEHIND = "something follows the end of the array, and is rejected"


class JsonRecord(NamedTuple):
    """The text of one value, or what is wrong with it."""

    first_line: int
    last_line: int
    data: bytes | None
    """As it came; None if it was too long to be kept."""
    fault: str | None = None
    """Why it cannot be read."""


class LineRecords:
    """A value on each line that is not blank."""

    def __init__(self, lines: LineBuffer, *, max_bytes: int, overflow: Callable[[int, bytes], None]) -> None:
        """Take lines from the buffer; ``overflow`` is given a longer one, a piece at a time, with its number."""
        self._lines = lines
        self._max_bytes = max_bytes
        self._overflow = overflow
        self._text = bytearray()
        self._is_long = False

    def next(self) -> JsonRecord | None:
        """Return the next value; None when more must be fed first, or at the end."""
        while (line := self._lines.take()) is not None:
            if line.is_ended and not self._text and not self._is_long:
                if line.data.strip():
                    return JsonRecord(line.number, line.number, line.data)
                continue
            self._keep(line.number, line.data)
            if line.is_ended and (self._is_long or self._text.strip()):
                return self._taken(line.number)
        return None

    def source(self, data: bytes) -> bytes:
        """Return the value as a line."""
        return data

    def _keep(self, number: int, data: bytes) -> None:
        self._text += data
        self._is_long = self._is_long or len(self._text) > self._max_bytes
        if self._is_long:
            self._overflow(number, bytes(self._text))
            self._text.clear()

    def _taken(self, number: int) -> JsonRecord:
        fault = f"the row is longer than {self._max_bytes:,} bytes" if self._is_long else None
        record = JsonRecord(number, number, None if self._is_long else bytes(self._text), fault)
        self._text.clear()
        self._is_long = False
        return record


class ArrayRecords:
    """The values of one array; it is its own buffer."""

    def __init__(self, *, max_bytes: int, overflow: Callable[[int, bytes], None]) -> None:
        """Begin; ``overflow`` is given the text of a longer value, a piece at a time, with its first line."""
        self.at_end: bool = False
        """True once the input has ended."""
        self._max_bytes = max_bytes
        self._overflow = overflow
        self._data = bytearray()
        self._expected: Literal["array", "value or end", "value", "comma or end", "nothing"] = "array"
        self._first = self._line = 1
        # Of the value under way: how far it has been followed, and what is open there.
        self._seen = 0
        self._depth = 0
        self._is_in_string = False
        self._is_long = False
        self._lost: str | None = None
        self._is_over = False

    def feed(self, piece: bytes) -> None:
        """Add what was read; an empty piece is the end of the input."""
        self._data += piece
        self.at_end = self.at_end or not piece

    def next(self) -> JsonRecord | None:
        """Return the next value; None when more must be fed first, or at the end."""
        if self._lost is None and self._is_in_value():
            end = self._end_of_value()
            if end is not None:
                return self._taken(end)
            self._shed(self._seen)
        if self._lost is not None:
            self._shed(len(self._data))
        return self._rest() if self.at_end and not self._is_over else None

    def lose(self, record: JsonRecord, fault: str) -> None:
        """Take the value that was returned last, and all that follows, as one with this fault."""
        self._lost = fault
        self._first = self._line = record.first_line
        self._data[:0] = record.data or b""

    def source(self, data: bytes) -> bytes:
        """Return the value as a line: JSON has line breaks only where a space may stand."""
        return data.strip(_SPACE).replace(b"\r", b" ").replace(b"\n", b" ") + b"\n"

    def _is_in_value(self) -> bool:
        """Go to the first character of the next value; return False if there is none so far."""
        while not (self._seen or self._is_long):
            found = _NOT_SPACE.search(self._data)
            self._drop(len(self._data) if found is None else found.start())
            if found is None:
                return False
            self._first = self._line
            sign = bytes(self._data[:1])
            if self._expected.startswith("value") and not (sign == b"]" and self._expected == "value or end"):
                return True
            if not self._has_taken(sign):
                self._lost = _BEHIND if self._expected == "nothing" else _NO_COMMA
                return False
        return True

    def _has_taken(self, sign: bytes) -> bool:
        """Take a bracket or a comma, if it is expected."""
        if self._expected == "array":  # whoever opened the file has seen the bracket
            self._expected = "value or end"
        elif sign == b"," and self._expected == "comma or end":
            self._expected = "value"
        elif sign == b"]" and self._expected != "nothing":
            self._expected = "nothing"
        else:
            return False
        self._drop(1)
        return True

    def _end_of_value(self) -> int | None:
        """Return where the value ends; None when more must be fed first."""
        data = self._data
        while self._seen < len(data):
            if self._is_in_string:
                inside = _IN_STRING.match(data, self._seen)
                self._seen = self._seen if inside is None else inside.end()
                if (
                    data[self._seen : self._seen + 1] != b'"'
                ):  # none yet, a backslash that is the last byte, or what no string holds
                    self._lost = _OPEN_STRING if b"\n" in data[self._seen : self._seen + 2] else None
                    return None
                self._seen += 1
                self._is_in_string = False
                continue
            found = _SIGN.search(data, self._seen)
            if found is None:
                self._seen = len(data)
                return None
            sign = found[0]
            if not self._depth and sign in b",]}":
                return found.start()
            self._is_in_string = sign == b'"'
            self._depth += (sign in b"[{") - (sign in b"]}")
            self._seen = found.end()
            if not self._depth and sign in b"]}":
                return self._seen
        return None

    def _taken(self, end: int) -> JsonRecord:
        text = bytes(self._data[:end])
        self._drop(end)
        last = self._line - text[len(text.rstrip(_SPACE)) :].count(b"\n")
        fault = None
        if self._is_long:
            self._overflow(self._first, text)
            fault = f"the row is longer than {self._max_bytes:,} bytes"
        record = JsonRecord(self._first, last, None if self._is_long else text, fault)
        self._expected = "comma or end"
        self._seen, self._is_long = 0, False
        return record

    def _shed(self, count: int) -> None:
        """Give away the first bytes of what is too long to be kept."""
        if self._is_long or len(self._data) > self._max_bytes:
            self._is_long = True
            self._overflow(self._first, bytes(self._data[:count]))
            self._drop(count)
            self._seen = 0

    def _drop(self, count: int) -> None:
        self._line += self._data.count(b"\n", 0, count)
        del self._data[:count]

    def _rest(self) -> JsonRecord | None:
        """Return what is left at the end of the input."""
        self._is_over = True
        if self._lost is None and self._expected == "nothing":
            return None
        if not (self._data or self._is_long):
            self._first = self._line
        last = self._line + self._data.rstrip(b"\n").count(b"\n")
        return JsonRecord(self._first, last, None if self._is_long else bytes(self._data), self._lost or _CUT_OFF)
