"""The page headers of a Parquet column, read without unpacking a page: they tell how much memory unpacking takes.

The footer may say anything: what a reader allocates is what the header of each page says. Knows no pyarrow.
"""

import struct
from collections.abc import Iterator
from typing import Any, BinaryIO

from attrs import frozen

__all__ = ["DamagedPageError", "Page", "longest_text", "pages_of"]

_FIRST_TRY_BYTES = 1024
_MAX_HEADER_BYTES = 1024 * 1024
_MAX_DEPTH = 8
_DATA, _DICTIONARY, _DATA_V2 = 0, 2, 3
_HEADERS = {_DATA: (5, 2), _DICTIONARY: (7, 2), _DATA_V2: (8, 4)}
"""The field that holds the header of each kind of page, and the field of the encoding in it."""
# PLAIN_DICTIONARY and RLE_DICTIONARY; DELTA_BYTE_ARRAY.
_DICTIONARY_ENCODINGS, _PREFIX_ENCODING = (2, 8), 7


class DamagedPageError(Exception):
    """There is no valid page header where one must be."""


class _ShortError(Exception):
    """More bytes are needed."""


@frozen
class Page:
    """What a page's header says."""

    place: int
    """Where its packed bytes begin in the file."""
    packed_bytes: int
    unpacked_bytes: int
    values: int
    """How many values it holds, nulls included."""
    is_dictionary: bool
    encoding: int

    @property
    def points_to_dictionary(self) -> bool:
        """Whether its values are indices into the dictionary, so that an entry may occur any number of times."""
        return not self.is_dictionary and self.encoding in _DICTIONARY_ENCODINGS

    @property
    def repeats_prefixes(self) -> bool:
        """Whether a value may be as long as the whole page, yet take next to nothing in it."""
        return not self.is_dictionary and self.encoding == _PREFIX_ENCODING


def pages_of(file: BinaryIO, *, start: int, size: int, values: int) -> Iterator[Page]:
    """Yield the pages of one column in one row group.

    Args:
        file: open for reading.
        start: where the header of the first page begins.
        size: bytes of all pages together.
        values: how many there are in all; no reader reads what comes after them.

    Raises:
        DamagedPageError: there is no page where one must be.
        OSError: the file cannot be read.
    """
    place, end = start, start + size
    while values > 0 and place < end:
        length, header = _header_at(file, place)
        page = _page(place + length, header)
        if page is not None:
            yield page
            values -= 0 if page.is_dictionary else page.values
        place += length + _size(header, 3)


def longest_text(entries: bytes) -> int:
    """Return the length of the longest text of a dictionary, in which each text follows its length."""
    place = longest = 0
    while place + 4 <= len(entries):
        (length,) = struct.unpack_from("<I", entries, place)
        longest = max(longest, length)
        place += 4 + length
    return longest


def _page(place: int, header: dict[int, Any]) -> Page | None:
    kind = header.get(1)
    if kind not in _HEADERS:
        return None  # an index page, which readers skip
    field, encoding = _HEADERS[kind]
    about = header.get(field)
    if not isinstance(about, dict):
        raise DamagedPageError
    return Page(
        place=place,
        packed_bytes=_size(header, 3),
        unpacked_bytes=_size(header, 2),
        values=_size(about, 1),
        is_dictionary=kind == _DICTIONARY,
        encoding=about.get(encoding, 0),
    )


def _size(header: dict[int, Any], field: int) -> int:
    value = header.get(field)
    if not isinstance(value, int) or value < 0:
        raise DamagedPageError
    return value


def _header_at(file: BinaryIO, place: int) -> tuple[int, dict[int, Any]]:
    wanted = _FIRST_TRY_BYTES
    while wanted <= _MAX_HEADER_BYTES:
        file.seek(place)
        reader = _Compact(file.read(wanted))
        try:
            header = reader.struct()
        except _ShortError:
            wanted *= 4
        else:
            return reader.place, header
    raise DamagedPageError


class _Compact:
    """Reads Thrift's compact protocol: numbers and structs; strings and lists are skipped."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.place = 0

    def struct(self, depth: int = 0) -> dict[int, Any]:
        """Return the fields by their numbers."""
        if depth > _MAX_DEPTH:
            raise DamagedPageError
        found: dict[int, Any] = {}
        field = 0
        while head := self._byte():
            step, kind = head >> 4, head & 15
            field = field + step if step else self._number()
            found[field] = self._value(kind, depth)
        return found

    def _value(self, kind: int, depth: int) -> Any:
        if kind in {1, 2}:
            return kind == 1
        if kind == 3:  # noqa: PLR2004 - a byte, in the protocol's numbers
            return self._byte()
        if kind in {4, 5, 6}:
            return self._number()
        if kind == 7:  # noqa: PLR2004 - a double
            return self._skip(8)
        if kind == 8:  # noqa: PLR2004 - a string
            return self._skip(self._varint() & 0xFFFFFFFF)
        if kind in {9, 10}:
            return self._list(depth)
        if kind == 12:  # noqa: PLR2004 - a struct
            return self.struct(depth + 1)
        raise DamagedPageError  # a map, which no header has

    def _list(self, depth: int) -> None:
        head = self._byte()
        count = head >> 4 if head >> 4 != 15 else self._varint()  # noqa: PLR2004 - then the length follows
        kind = head & 15
        for _ in range(count):
            # In a list a boolean takes a byte.
            self._byte() if kind in {1, 2} else self._value(kind, depth + 1)

    def _number(self) -> int:
        """Read a zigzag number as readers in C do, which keep 32 bits."""
        coded = self._varint()
        value = (coded >> 1 ^ -(coded & 1)) & 0xFFFFFFFF
        return value - (1 << 32) if value >> 31 else value

    def _varint(self) -> int:
        value = 0
        for shift in range(0, 70, 7):
            byte = self._byte()
            value |= (byte & 127) << shift
            if byte < 128:  # noqa: PLR2004 - no further byte
                return value
        raise DamagedPageError

    def _byte(self) -> int:
        if self.place >= len(self._data):
            raise _ShortError
        self.place += 1
        return self._data[self.place - 1]

    def _skip(self, count: int) -> None:
        self.place += count
        if self.place > len(self._data):
            raise _ShortError
