"""How many rows of a Parquet file can be unpacked at once, found out before any row is.

What is small in a file can be large in memory: a page that is well packed, a long text of the dictionary that all rows
point to, texts of which each repeats the one before it, a list of millions of nulls in one row. The headers of the
pages tell how large each can become; dictionaries are unpacked one by one to find their longest text.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from attrs import define

from spotdx_async.files.parquet_pages import DamagedPageError, Page, longest_text, pages_of
from spotdx_async.files.rows import RowFault

__all__ = ["BUDGET_BYTES", "MOST_ROWS", "batch_rows", "check_columns", "check_footer"]

BUDGET_BYTES = 64 * 1024 * 1024
"""What the pages of a row group that are held at once, and one row of it, may take."""
MOST_ROWS = 1000
_MULTIPLIED_BYTES = 6 * 1024 * 1024
"""What of a batch may come from little in the file; it is there as pages, in Arrow's form, and as Python's values."""
_PLAIN_BYTES = 16 * 1024 * 1024
_MOST_PLAIN_BYTES = 32 * 1024 * 1024
"""What of a batch may stand in the pages as it is; in a wide file, the one or two pages that each column needs."""
_WIDTHS = {"BOOLEAN": 1, "INT32": 4, "INT64": 8, "INT96": 12, "FLOAT": 4, "DOUBLE": 8}
_OF_A_PLACE = 8
"""Bytes of levels and offsets beside each value, in Arrow's form; what becomes of it in Python's is counted later."""
_OF_A_FOOTER = 13
_OF_A_COLUMN = 6 * 1024
"""What Arrow takes for a byte of the footer, and for each column that it reads: measured with 20,000 columns."""
_MEBIBYTE = 1024 * 1024

Unpack = Callable[[str, bytes, int], list[bytes]]
"""Unpacks bytes of a codec to so many, in each way that readers may take; none where it cannot."""


def check_footer(path: str | os.PathLike[str]) -> int:
    """Give the length of what tells of the columns and row groups.

    Raises:
        RowFault: reading it would take more than the budget.
        OSError: the file cannot be read.
    """
    with Path(path).open("rb") as file:
        file.seek(max(file.seek(0, os.SEEK_END) - 8, 0))
        length = int.from_bytes(file.read(4), "little")
        size = file.tell() + 4
    if length > size:
        return 0  # damaged, of which Arrow says more
    _check_description(length, 0)
    return length


def check_columns(columns: int, footer_bytes: int) -> None:
    """Make sure that there are not more columns than can be read at once.

    Raises:
        RowFault: reading them would take more than the budget.
    """
    _check_description(footer_bytes, columns)


def _check_description(footer_bytes: int, columns: int) -> None:
    needed = footer_bytes * _OF_A_FOOTER + columns * _OF_A_COLUMN
    if needed > BUDGET_BYTES:
        what = f"its {columns:,} columns" if columns else "the description of its columns and row groups"
        raise RowFault(
            f"{what} would take {-(-needed // _MEBIBYTE):,} MiB to read, and {BUDGET_BYTES // _MEBIBYTE} MiB is the "
            "most: write the file with fewer columns and larger row groups"
        )


def batch_rows(path: str | os.PathLike[str], about: Any, schema: Any, unpack: Unpack) -> Iterator[int]:
    """Give for each row group how many rows can be read at once, 1 to 1,000.

    Args:
        path: the file.
        about: pyarrow's metadata of the file.
        schema: pyarrow's Parquet schema of the file.
        unpack: for dictionaries, which are no larger than the budget.

    Raises:
        RowFault: unpacking would take more than the budget, whatever the batch.
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


@define
class _Column:
    """What the pages of one column in one row group can come to."""

    name: str
    is_repeated: bool
    """Whether one row may hold any number of its values."""
    width: int
    """Bytes of a value whose length is fixed, else 0."""
    pages: Sequence[Page] = ()
    longest: int = 0
    """The longest entry of the dictionary."""

    @property
    def held(self) -> int:
        """Bytes of the pages that a reader holds at once: the dictionary and one more."""
        found = [0, 0]
        for page in self.pages:
            found[page.is_dictionary] = max(found[page.is_dictionary], page.unpacked_bytes)
        return sum(found)

    def multiplied(self, rows: int) -> int:
        """Bytes of so many rows, at the most, that do not stand one by one in the pages."""
        pages = [page for page in self.pages if not page.is_dictionary]
        values = self._values(rows)
        a_value = self.width + _OF_A_PLACE
        if not self.width and any(page.points_to_dictionary for page in pages):
            a_value += self.longest
        if not self.width:
            a_value += max((page.unpacked_bytes for page in pages if page.repeats_prefixes), default=0)
        return values * a_value

    def plain(self, rows: int) -> int:
        """Bytes of the pages in which so many rows can lie, where they hold the values themselves."""
        pages = [page for page in self.pages if not page.is_dictionary]
        return 0 if self.width else _most_of_plain(pages, self._values(rows))

    def _values(self, rows: int) -> int:
        return sum(page.values for page in self.pages if not page.is_dictionary) if self.is_repeated else rows


def _column(file: BinaryIO, chunk: Any, of_schema: Any, unpack: Unpack) -> _Column:
    kind = chunk.physical_type
    width = of_schema.length if kind == "FIXED_LEN_BYTE_ARRAY" else _WIDTHS.get(kind, 0)
    column = _Column(chunk.path_in_schema, of_schema.max_repetition_level > 0, width)
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
    # An entry cannot be longer than the page: where its length is not known, that is taken for it.
    return min(max(map(longest_text, readings), default=page.unpacked_bytes), page.unpacked_bytes)


def _most_of_plain(pages: Sequence[Page], values: int) -> int:
    """Give the bytes of the pages that so many values can lie in, where they hold the values themselves."""
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
    """Give the rows of a batch.

    Raises:
        RowFault: even one row may take too much.
    """

    def least(column: _Column) -> int:
        # A repeated column's plain values are those of all its pages, since one row may hold them.
        return column.held + column.multiplied(1) + (column.plain(1) if column.is_repeated else 0)

    if (needed := sum(map(least, columns))) > BUDGET_BYTES:
        raise RowFault(
            f"row group {number} would take {-(-needed // _MEBIBYTE):,} MiB to unpack, most of it for the column "
            f"{max(columns, key=least).name}, and {BUDGET_BYTES // _MEBIBYTE} MiB is the most: write the "
            "file with smaller row groups and pages"
        )
    most_plain = min(max(_PLAIN_BYTES, 2 * sum(column.plain(1) for column in columns)), _MOST_PLAIN_BYTES)
    # However few rows are read, one may hold all that a repeated column has: that is in the budget already.
    columns = [column for column in columns if not column.is_repeated]
    rows = MOST_ROWS
    while rows > 1 and (
        sum(column.multiplied(rows) for column in columns) > _MULTIPLIED_BYTES
        or sum(column.plain(rows) for column in columns) > most_plain
    ):
        rows //= 2
    return rows
