"""Where the quotes of CSV stand: in a whole record, or in one that comes in pieces; knows no lines and no rows."""

import re
from functools import cache
from typing import NamedTuple

__all__ = ["QuoteFault", "QuoteTracker", "cells_of", "fault_in", "has_stray_return"]

_QUOTE, _CR, _LF = b'"\r\n'


_QUOTED = re.compile(r'"[^"]*+"')


class QuoteFault(NamedTuple):
    """What is wrong with a quote."""

    reason: str
    """In words that lack the line."""
    position: int
    """Of the character of the record at which that is seen."""


class _Pattern(NamedTuple):
    cell: re.Pattern[str]
    record: re.Pattern[str]
    closed: re.Pattern[str]


@cache
def _pattern(delimiter: str) -> _Pattern:
    # RFC 4180: a cell is quoted as a whole, or holds no quote. `5" screen` is refused, since such a quote cannot be
    # told from one that was meant to open or close a cell. Possessive throughout, so that nothing is tried twice.
    sign = re.escape(delimiter)
    quoted, plain = r'"([^"]*+(?:""[^"]*+)*+)"', rf'([^"{sign}]*+)'
    cell = f"(?:{quoted}|{plain})"
    return _Pattern(
        cell=re.compile(rf"(?:\A|{sign}){cell}"),
        record=re.compile(rf"{cell}(?:{sign}{cell})*+"),
        closed=re.compile(rf'(?:{quoted}|(?!"){plain})(?={sign}|\Z)'),
    )


def cells_of(record: str, delimiter: str) -> list[str] | None:
    """Return the cells of a record without its line end; None if a quote in it is broken."""
    if '"' not in record:
        return record.split(delimiter)
    pattern = _pattern(delimiter)
    if pattern.record.fullmatch(record) is None:
        return None
    return [quoted.replace('""', '"') if quoted else plain for quoted, plain in pattern.cell.findall(record)]


def fault_in(record: str, delimiter: str) -> QuoteFault:
    """Return what is wrong with the first cell that is not properly quoted."""
    closed = _pattern(delimiter).closed
    start = 0
    while (cell := closed.match(record, start)) is not None and cell.end() < len(record):
        start = cell.end() + 1
    if not record.startswith('"', start):
        position = record.find('"', start)
        return QuoteFault("a quote stands inside a cell that is not quoted", position)
    quote = re.compile(r'"[^"]*+(?:""[^"]*+)*+"').match(record, start)
    if quote is None:
        return QuoteFault("a quote opens and is never closed", start)
    return QuoteFault("text follows a closing quote", quote.end() - 1)


def has_stray_return(record: str) -> bool:
    """Return whether a cell that is not quoted holds a carriage return, in a record whose quotes are in order."""
    return "\r" in _QUOTED.sub("", record)


class QuoteTracker:
    """Follows the quotes of one record that is too long to be kept."""

    def __init__(self, delimiter: str) -> None:
        self.is_open: bool = False
        """Whether what comes next is inside a quoted cell."""
        self.is_broken: bool = False
        """True once a quote stands where none may be; nothing is known from there on."""
        self._delimiter = delimiter.encode()[0]
        self._last = self._delimiter
        self._has_closed = False

    def feed(self, data: bytes) -> None:
        """Follow the next piece of the record."""
        position = 0
        while position < len(data) and not self.is_broken:
            position = self._step(data, position)

    def _step(self, data: bytes, position: int) -> int:
        """Go on to the next quote, or to the end of the piece."""
        if self.is_open:
            found = data.find(b'"', position)
            self.is_open, self._has_closed = found < 0, found >= 0
            return len(data) if found < 0 else found + 1
        if self._has_closed:
            return self._after_quote(data, position)
        found = data.find(b'"', position)
        if found < 0:
            self._last = data[-1]
            return len(data)
        before = data[found - 1] if found > position else self._last
        self._last = before
        self.is_open = before == self._delimiter
        self.is_broken = not self.is_open
        return found + 1

    def _after_quote(self, data: bytes, position: int) -> int:
        sign = data[position]
        if sign == _QUOTE and self._last != _CR:
            self.is_open, self._has_closed = True, False
        elif sign in {_CR, _LF}:
            self._last = _CR  # the record ends here; nothing but its line end may follow
            return position + 1
        elif sign == self._delimiter and self._last != _CR:
            self._has_closed = False
        else:
            self.is_broken = True
        self._last = sign
        return position + 1
