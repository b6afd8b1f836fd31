"""Parquet to rows, a batch at a time, types kept; the only importer of pyarrow, and only when a file is opened.

The columns are those of CSV: the id and one for each metadata key, or the id and ``metadata``, which holds JSON text, a
struct or a map. A null leaves its key out. How each type is written is decided by the file's schema: dates and times
become ISO 8601 text (in UTC, with Z, if they have a zone), decimals text, or an integer if their type has no fraction;
lists, structs and maps become JSON. What has no JSON form, such as a binary value, a duration, NaN or a year beyond
9999, makes its row bad, and no other.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

from spotdx_async.errors import InvalidInputError
from spotdx_async.files.parquet_batches import Batch, RowMaker
from spotdx_async.files.parquet_budget import batch_rows, check_description, footer_bytes, value_bytes
from spotdx_async.files.parquet_columns import Columns, columns_of
from spotdx_async.files.row_shape import RowShape, shape_of
from spotdx_async.files.rows import (
    MAX_ROW_BYTES,
    BadRow,
    ChangedInputError,
    DamagedInputError,
    Format,
    Row,
    RowFault,
)
from spotdx_async.files.stored_file import StoredFile, WatchedInput, watched

__all__ = ["PARQUET_MAGIC", "ParquetFile"]

PARQUET_MAGIC = b"PAR1"
_BUFFER_BYTES = 1024 * 1024
_SLICE_BYTES = 4 * 1024 * 1024
_MAX_FOOTER_LIST = 100_000
"""The longest list that the footer may hold: of columns, or of row groups."""


class ParquetFile(WatchedInput):
    """The rows of one Parquet file, in order; the same interface as ``RowFile``.

    Memory holds one batch and its pages, at most 64 MiB: what may take more is refused before it is unpacked. Rows
    become Python values a few at a time, and a row that takes more than 16 MiB of those is a bad one.
    """

    format: Format = "parquet"
    failed_format: Format = "jsonl"
    """The format in which its rows are written again."""
    preamble = b""
    size = None
    may_wait = False
    """Whether ``fill`` may have to wait for a writer."""
    _file: Any
    _again: Any
    """The file once more, if something in it must be read twice."""

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        columns: Mapping[str, str] | None = None,
        id_name: str = "kit_id",
        shape: RowShape | None = None,
        allow_empty: bool = False,
    ) -> None:
        """Open the file and check its columns.

        Args:
            path: the file.
            columns: the key for each column that has another name; an empty key drops the column.
            id_name: the name of the column that holds the id, beside metadata.
            shape: what a row holds, if not that.
            allow_empty: take a row without a value as one that sets no key, instead of a bad one.

        Raises:
            InvalidInputError: pyarrow is not installed, nothing in the file can be used, or it would take too much
                memory.
            ChangedInputError: the file was changed while it was looked at.
        """
        self.name: str = os.fspath(path)
        self._read = self._filled = 0
        self._slices: list[Batch | None] = []
        self._arrow = _pyarrow(self.name)
        self._opens = ExitStack()
        self._in_seconds: list[int] = []
        found, sizes = self._opened(path, columns, shape_of(id_name, shape))
        self._maker = RowMaker(found, shape_of(id_name, shape), allow_empty)
        self._rows: int = self._file.metadata.num_rows
        self._batches = self._read_batches(sizes)

    @property
    def notes(self) -> Sequence[str]:
        """What the user should know of how the file is read; shows no value."""
        left_out = self._maker.columns.left_out
        which = ", ".join(left_out)
        is_are = "column is" if len(left_out) == 1 else "columns are"
        hint = f"--map '{left_out[0]}=KEY' sends it" if len(left_out) == 1 else "--map sends them"
        return [f"the index {is_are} left out: {which} ({hint})"] if left_out else []

    @property
    def share_read(self) -> float:
        """The share of the file that has been read, 0 to 1."""
        return self._read / self._rows if self._rows else 1.0

    def fill(self) -> None:
        """Read the next batch.

        Raises:
            DamagedInputError: the file is damaged here.
            ChangedInputError: the file is no longer the one that was opened.
            OSError: it cannot be read any further.
        """
        try:
            for batch in self._batches:
                part = None if batch is None else self._maker.converted(batch)
                self.check_unchanged()
                self._slices.append(part)
                self._filled += 1 if batch is None else batch.num_rows
                break
            else:
                self.check_unchanged()
                self._at_end = True
        except ChangedInputError:
            raise
        except (self._arrow.ArrowException, OSError) as error:
            reason = _first_line(error)
        else:
            return
        self.check_unchanged()  # a change explains the damage
        raise DamagedInputError(f"the Parquet data is damaged from row {self._filled + 1:,} on: {reason}")

    def rows(self) -> Iterator[Row | BadRow]:
        """Yield the rows of the batches read so far.

        Raises:
            ChangedInputError: the file is no longer the one that was opened.
        """
        self.check_unchanged()
        slices, self._slices = self._slices, []
        for part in slices:
            if part is None:
                self._read += 1
                yield BadRow(self._read, self._read, f"the row is longer than {MAX_ROW_BYTES // 1024**2} MiB", None)
            else:
                first = self._read + 1
                for row in self._maker.rows(part, first):
                    self._read = row.number
                    yield row

    def close(self) -> None:
        """Close the file; closing twice does nothing."""
        self._opens.close()

    def _opened(
        self, path: str | os.PathLike[str], columns: Mapping[str, str] | None, shape: RowShape
    ) -> tuple[Columns, list[int]]:
        """Open the file; return its columns, and how many rows of each row group can be read at once."""
        try:
            self.stored_file: StoredFile | None = watched(Path(path), self._opens)
            length = footer_bytes(path)
            check_description(length)
            file = self._file = self._opens.enter_context(_reader(self._arrow, path))
            check_description(length, file.metadata.num_columns)
            if any(file.schema.column(number).physical_type == "INT96" for number in range(file.metadata.num_columns)):
                self._again = self._opens.enter_context(_reader(self._arrow, path, coerce_int96_timestamp_unit="s"))
                types = zip(file.schema_arrow.types, self._again.schema_arrow.types, strict=True)
                self._in_seconds = [number for number, (nanos, seconds) in enumerate(types) if nanos != seconds]
            found = columns_of(self._arrow, file.schema_arrow, columns, shape, self._in_seconds)
            if any("dictionary<" in str(kind) for kind in file.schema_arrow.types):
                import pyarrow.compute  # noqa: F401, PLC0415 - heavy too, and seldom needed: for the lengths of texts
            sizes = [*batch_rows(path, file.metadata, file.schema, partial(_unpacked, self._arrow))]
            self.check_unchanged()
        except ChangedInputError:
            self.close()
            raise
        except RowFault as fault:
            reason = str(fault)
        except (self._arrow.ArrowException, OSError) as error:
            reason = f"this Parquet file cannot be read: {_first_line(error)}"
        except UnicodeDecodeError:
            reason = "this Parquet file cannot be read: the name of a column is not UTF-8"
        else:
            return found, sizes
        self.close()
        raise InvalidInputError(f"{self.name}: {reason}")

    def _read_batches(self, sizes: list[int]) -> Iterator[Any]:
        for number, rows in enumerate(sizes):
            left = self._file.metadata.row_group(number).num_rows
            for batch in self._read_group(number, rows):
                left -= batch.num_rows
                yield from _slices(self._arrow, batch)
            if left:
                raise OSError(f"row group {number + 1} does not have as many rows as the file says")

    def _read_group(self, number: int, rows: int) -> Iterator[Any]:
        """Yield the batches of a row group; columns with INT96 timestamps come once more, behind all others."""
        options = {"batch_size": rows, "row_groups": [number], "use_threads": False}
        if not self._in_seconds:
            yield from self._file.iter_batches(**options)
            return
        names = [self._file.schema_arrow.names[place] for place in self._in_seconds]
        again = self._again.iter_batches(columns=names, **options)
        for batch, seconds in zip(self._file.iter_batches(**options), again, strict=False):
            both = batch
            for name in names:
                both = both.append_column(name, seconds.column(name))
            yield both


def _pyarrow(name: str) -> Any:
    try:
        import pyarrow  # noqa: ICN001, PLC0415 - heavy, and an extra
        import pyarrow.parquet  # noqa: PLC0415 - as above
    except ImportError:
        pass
    else:
        return pyarrow
    raise InvalidInputError(f"{name}: to read Parquet install the extra: pip install 'spotdx-async[parquet]'")


def _reader(arrow: Any, path: str | os.PathLike[str], **options: Any) -> Any:
    usual = {"buffer_size": _BUFFER_BYTES, "pre_buffer": False, "memory_map": False, "page_checksum_verification": True}
    return arrow.parquet.ParquetFile(path, thrift_container_size_limit=_MAX_FOOTER_LIST, **usual, **options)


def _first_line(error: Exception) -> str:
    # pyarrow describes the file's structure at length; the first line is enough.
    return str(error).split("\n", 1)[0][:200] or type(error).__name__


def _unpacked(arrow: Any, codec: str, packed: bytes, size: int) -> list[bytes]:
    """Unpack in each way that Arrow may: what is called LZ4 may or may not begin with Hadoop's eight bytes."""
    is_lz4 = codec.startswith("LZ4")
    name = "lz4_raw" if is_lz4 else codec.lower()
    found = []
    for data in (packed, packed[8:]) if is_lz4 else (packed,):
        try:
            unpacked: bytes = arrow.Codec(name).decompress(data, decompressed_size=size, asbytes=True)
        except (arrow.ArrowException, ValueError, OSError):
            continue
        found.append(unpacked)
    return found


def _slices(arrow: Any, batch: Any) -> Iterator[Any]:
    """Cut a batch so that it stays small as Python values too; None stands for a row that is too long by itself."""
    needed = sum(value_bytes(arrow, column) for column in batch.columns)
    if batch.num_rows <= 1 or needed <= _SLICE_BYTES:
        yield batch if needed <= MAX_ROW_BYTES else None
        return
    middle = batch.num_rows // 2
    for part in (batch.slice(0, middle), batch.slice(middle)):
        yield from _slices(arrow, part)
