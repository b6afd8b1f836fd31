"""How many rows of a Parquet file can be unpacked at once, worked out before any row is; what they take in Python.

What is small in the file can be large in memory: a well compressed page, a long text of the dictionary that all rows
point to, texts each of which repeats the one before it, a list of millions of nulls in one row. The page headers tell
how large each can become; dictionaries are unpacked one by one to find their longest text.
"""

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from attrs import define

from spotdx_async.files.parquet_pages import DamagedPageError, Page, longest_text, pages_of
from spotdx_async.files.rows import RowFault

__all__ = ["BUDGET_BYTES", "MAX_ROWS", "batch_rows", "check_description", "footer_bytes", "value_bytes"]

BUDGET_BYTES = 64 * 1024 * 1024
"""The most that the pages of a row group that are held at once, and one row of it, may take."""
MAX_ROWS = 1000
_MULTIPLIED_BYTES = 6 * 1024 * 1024
"""The most of a batch that may grow from little in the file; it exists as pages, Arrow arrays and Python values."""
_PLAIN_BYTES = 16 * 1024 * 1024
_MAX_PLAIN_BYTES = 32 * 1024 * 1024
"""The most of a batch that may be stored plainly in the pages; for wide files, the one or two pages of each column."""
_WIDTHS = {"BOOLEAN": 1, "INT32": 4, "INT64": 8, "INT96": 12, "FLOAT": 4, "DOUBLE": 8}
# Arrow's memory for a byte of the footer, and for each column that it reads: measured with 20,000 columns.
_PER_FOOTER_BYTE = 13
_PER_COLUMN = 6 * 1024
_MEBIBYTE = 1024 * 1024

# Sizes of Python values, beside the bytes of texts.
_SLOT = 8
"""A reference in a list or dict; in Arrow, the levels and offsets beside each value."""
_LIST = sys.getsizeof([]) + 2 * _SLOT  # with what it reserves for more items
_MAP_ENTRY = sys.getsizeof((None, None)) + 104  # a map comes as pairs and becomes a dict
_TEXT = sys.getsizeof("é")
_SCALAR = 64  # a number
_TIME = sys.getsizeof("2026-11-24T03:04:05.123456789Z")  # as text; a date is shorter
_DECIMAL = sys.getsizeof("") + 80  # the text of 76 digits
_VIEW = 16  # of a text view; its first four bytes are the text's length
_VIEW_TYPES = {"string_view", "binary_view"}
_TEXT_TYPES = {"string", "large_string", "binary", "large_binary", *_VIEW_TYPES}

Unpack = Callable[[str, bytes, int], list[bytes]]
"""Unpack bytes of a codec to a given size, in each way that readers may do it; empty if none works."""


def footer_bytes(path: str | os.PathLike[str]) -> int:
    """Return the length of the footer, which describes the columns and row groups; 0 if the file is damaged.

    Raises:
        OSError: the file cannot be read.
    """
    with Path(path).open("rb") as file:
        file.seek(max(file.seek(0, os.SEEK_END) - 8, 0))
        length = int.from_bytes(file.read(4), "little")
        return length if length <= file.tell() + 4 else 0


def check_description(length: int, columns: int = 0) -> None:
    """Check that a footer of this length, and these columns, can be read within the budget.

    Raises:
        RowFault: they cannot.
    """
    needed = length * _PER_FOOTER_BYTE + columns * _PER_COLUMN
    if needed > BUDGET_BYTES:
        what = f"its {columns:,} columns" if columns else "the description of its columns and row groups"
        raise RowFault(
            f"{what} would take {-(-needed // _MEBIBYTE):,} MiB to read, and {BUDGET_BYTES // _MEBIBYTE} MiB is the "
            "most: write the file with fewer columns and larger row groups"
        )


def batch_rows(path: str | os.PathLike[str], about: Any, schema: Any, unpack: Unpack) -> Iterator[int]:
    """Yield, for each row group, how many rows can be read at once, 1 to 1,000.

    Args:
        path: the file.
        about: pyarrow's metadata of the file.
        schema: pyarrow's Parquet schema of the file.
        unpack: for dictionaries, which are no larger than the budget.

    Raises:
        RowFault: unpacking would exceed the budget, however small the batch.
        OSError: the file cannot be read, or is damaged.
    """
    with Path(path).open("rb") as file:
        for number in range(about.num_row_groups):
            group = about.row_group(number)
            try:
                columns = [
                    _column(file, group.column(index), schema.column(index), unpack)
                    for index in range(group.num_columns)
                ]
            except DamagedPageError:
                columns = None
            if columns is None:
                raise OSError(f"row group {number + 1} has a page that cannot be read")
            yield _rows_within(columns, number + 1)


def value_bytes(arrow: Any, array: Any) -> int:
    """Return the bytes that an Arrow array takes as Python values, an upper bound or nearly so.

    An empty list, four bytes in Arrow, takes 56 bytes and a slot in Python.

    Args:
        arrow: pyarrow, with ``pyarrow.compute`` imported if there are dictionaries.
        array: it may be a slice of a longer one.
    """
    if isinstance(array, arrow.ExtensionArray):
        return value_bytes(arrow, array.storage)
    present: int = len(array) - array.null_count
    needed = len(array) * _SLOT
    if arrow.types.is_struct(array.type):
        fields = [array.field(number) for number in range(array.type.num_fields)]
        needed += present * sys.getsizeof(dict.fromkeys(range(len(fields))))
        return needed + sum(value_bytes(arrow, field) for field in fields)
    if arrow.types.is_nested(array.type):  # a map, and lists of every kind
        first, count = _items_of(array)
        is_map = arrow.types.is_map(array.type)
        needed += present * _LIST + (count * _MAP_ENTRY if is_map else 0)
        parts = (array.keys, array.items) if is_map else (array.values,)
        return needed + sum(value_bytes(arrow, part.slice(first, count)) for part in parts)
    return needed + present * _scalar_bytes(arrow, array.type) + _text_bytes(arrow, array)


@define
class _Column:
    """What the pages of one column in one row group can come to."""

    name: str
    is_repeated: bool
    """Whether one row may hold any number of its values."""
    width: int
    """Bytes of a value of fixed length, else 0."""
    readers: int = 1
    """How often it is read at once."""
    pages: Sequence[Page] = ()
    longest: int = 0
    """The longest entry of the dictionary."""

    @property
    def held(self) -> int:
        """Bytes of the pages that a reader holds at once: the dictionary and one more."""
        found = [0, 0]
        for page in self.pages:
            found[page.is_dictionary] = max(found[page.is_dictionary], page.unpacked_bytes)
        return sum(found) * self.readers

    def multiplied(self, rows: int) -> int:
        """Return an upper bound of the bytes of so many rows that are not stored one by one in the pages."""
        a_value = self.width + _SLOT
        if not self.width:
            pages = self._data_pages
            a_value += self.longest if any(page.points_to_dictionary for page in pages) else 0
            a_value += max((page.unpacked_bytes for page in pages if page.repeats_prefixes), default=0)
        return self._values(rows) * a_value * self.readers

    def plain(self, rows: int) -> int:
        """Return the bytes of the pages that may hold so many rows, if they hold the values themselves."""
        return 0 if self.width else _max_plain_bytes(self._data_pages, self._values(rows))

    @property
    def _data_pages(self) -> list[Page]:
        return [page for page in self.pages if not page.is_dictionary]

    def _values(self, rows: int) -> int:
        return sum(page.values for page in self._data_pages) if self.is_repeated else rows


def _column(file: BinaryIO, chunk: Any, of_schema: Any, unpack: Unpack) -> _Column:
    kind = chunk.physical_type
    width = of_schema.length if kind == "FIXED_LEN_BYTE_ARRAY" else _WIDTHS.get(kind, 0)
    # INT96 is read as nanoseconds and as seconds: parquet_int96 says why.
    readers = 2 if kind == "INT96" else 1
    column = _Column(chunk.path_in_schema, of_schema.max_repetition_level > 0, width, readers)
    start, dictionary_at = chunk.data_page_offset, chunk.dictionary_page_offset
    if dictionary_at and 0 < dictionary_at < start:
        start = dictionary_at
    if start < 0 or chunk.total_compressed_size < 0:
        raise DamagedPageError
    column.pages = [*pages_of(file, start=start, size=chunk.total_compressed_size, values=chunk.num_values)]
    if column.held <= BUDGET_BYTES and not width:
        column.longest = max(
            (_longest(file, page, chunk.compression, unpack) for page in column.pages if page.is_dictionary), default=0
        )
    return column


def _longest(file: BinaryIO, page: Page, codec: str, unpack: Unpack) -> int:
    file.seek(page.place)
    packed = file.read(page.packed_bytes)
    readings = [packed] if codec == "UNCOMPRESSED" else unpack(codec, packed, page.unpacked_bytes)
    # An entry cannot be longer than the page: if its length is not known, the page's is assumed.
    return min(max(map(longest_text, readings), default=page.unpacked_bytes), page.unpacked_bytes)


def _max_plain_bytes(pages: Sequence[Page], values: int) -> int:
    """Return the most bytes of pages that so many consecutive values can span, where pages hold the values."""
    most = here = between = first = 0
    for last, page in enumerate(pages):
        here += _plain_bytes(page)
        between += page.values
        # The values may begin with the last one of the first page: those behind it must not be too many.
        while first < last and between - pages[first].values - page.values + 2 > values:
            here -= _plain_bytes(pages[first])
            between -= pages[first].values
            first += 1
        most = max(most, here)
    return most


def _plain_bytes(page: Page) -> int:
    return 0 if page.points_to_dictionary else page.unpacked_bytes


def _rows_within(columns: Sequence[_Column], number: int) -> int:
    """Return the rows of a batch.

    Raises:
        RowFault: even a single row may take too much.
    """

    def least(column: _Column) -> int:
        # One row may hold all plain values of a repeated column, so they are those of all its pages.
        return column.held + column.multiplied(1) + (column.plain(1) if column.is_repeated else 0)

    if (needed := sum(map(least, columns))) > BUDGET_BYTES:
        raise RowFault(
            f"row group {number} would take {-(-needed // _MEBIBYTE):,} MiB to unpack, most of it for the column "
            f"{max(columns, key=least).name}, and {BUDGET_BYTES // _MEBIBYTE} MiB is the most: write the "
            "file with smaller row groups and pages"
        )
    max_plain = min(max(_PLAIN_BYTES, 2 * sum(column.plain(1) for column in columns)), _MAX_PLAIN_BYTES)
    # However few rows are read, one may hold everything of a repeated column: that is in the budget already.
    columns = [column for column in columns if not column.is_repeated]
    rows = MAX_ROWS
    while rows > 1 and (
        sum(column.multiplied(rows) for column in columns) > _MULTIPLIED_BYTES
        or sum(column.plain(rows) for column in columns) > max_plain
    ):
        rows //= 2
    return rows


def _scalar_bytes(arrow: Any, kind: Any) -> int:
    """Return what one value takes beside its slot and its text."""
    if arrow.types.is_null(kind):
        return 0
    if arrow.types.is_decimal(kind):
        return _DECIMAL
    if arrow.types.is_temporal(kind):
        return _TIME
    return _TEXT if _is_text(kind) or arrow.types.is_dictionary(kind) else _SCALAR


def _items_of(array: Any) -> tuple[int, int]:
    """Return where the items of these lists begin among those of the whole array, and how many they are."""
    size = getattr(array.type, "list_size", None)
    if size is not None:
        return array.offset * size, len(array) * size
    if not len(array):
        return 0, 0
    offsets = array.offsets
    first = offsets[0].as_py()
    last = offsets[-1].as_py()
    if hasattr(array, "sizes"):  # a list view, whose offsets are where each begins; a reader stores them in order
        last += array.sizes[-1].as_py()
    return first, last - first


def _text_bytes(arrow: Any, array: Any) -> int:
    """Return the bytes of texts; a dictionary's text counts as often as a value points to it."""
    found: int = 0
    if str(array.type) in _VIEW_TYPES:
        # What a slice is told to take is what the whole array takes.
        lengths = memoryview(array.buffers()[1]).cast("i")[:: _VIEW // 4]
        found = sum(lengths[array.offset : array.offset + len(array)])
    elif _is_text(array.type):
        found = array.nbytes
    elif arrow.types.is_dictionary(array.type) and _is_text(array.type.value_type):
        lengths = arrow.compute.binary_length(array.dictionary)
        found = arrow.compute.sum(lengths.take(array.indices)).as_py() or 0
    return found


def _is_text(kind: Any) -> bool:
    name = str(kind)
    return name in _TEXT_TYPES or name.startswith("fixed_size_binary")
