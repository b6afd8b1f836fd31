"""Parquet to rows, a batch at a time, types kept; the only importer of pyarrow, and only when a file is opened.

The columns are those of CSV: the id and one for each metadata key, or the id and ``metadata``, which holds JSON text, a
struct or a map. A null leaves its key out. Dates and times become ISO 8601 text (in UTC if they have a zone), decimals
text, or an integer if their type has no fraction; lists, structs and maps become JSON. Binary values, durations, NaN
and infinities have no JSON form and make their row bad.
"""

import json
import math
import os
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, time
from decimal import Decimal
from functools import partial
from typing import Any, Self

from spotdx_async.errors import InvalidInputError
from spotdx_async.files.json_text import parse_object
from spotdx_async.files.parquet_budget import batch_rows, check_description, footer_bytes, value_bytes
from spotdx_async.files.rows import (
    MAX_ROW_BYTES,
    BadRow,
    Format,
    Row,
    RowFault,
    check_columns,
    check_key,
    key_of,
    rename_columns,
)

__all__ = ["PARQUET_MAGIC", "ParquetFile"]

PARQUET_MAGIC = b"PAR1"
_BUFFER_BYTES = 1024 * 1024
_SLICE_BYTES = 4 * 1024 * 1024
_MAX_FOOTER_LIST = 100_000
"""The longest list that the footer may hold: of columns, or of row groups."""


class ParquetFile:
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

    def __init__(
        self, path: str | os.PathLike[str], *, columns: Mapping[str, str] | None = None, id_name: str = "kit_id"
    ) -> None:
        """Open the file and check its columns.

        Raises:
            InvalidInputError: pyarrow is not installed, nothing in the file can be used, or it would take too much
                memory.
        """
        self.name: str = os.fspath(path)
        self._id_name = id_name
        self.at_end: bool = False
        self._read = 0
        self._batch: list[dict[str, Any] | None] = []
        self._arrow = _pyarrow(self.name)
        self._file, self._names, sizes = self._opened(path, columns)
        self._rows = self._file.metadata.num_rows
        self._batches = self._read_batches(sizes)

    @property
    def share_read(self) -> float:
        """The share of the file that has been read, 0 to 1."""
        return self._read / self._rows if self._rows else 1.0

    def fill(self) -> None:
        """Read the next batch.

        Raises:
            OSError: the file is damaged here.
        """
        try:
            for batch in self._batches:
                self._batch += _plain_rows(self._arrow, batch)
                break
            else:
                self.at_end = True
        except (self._arrow.ArrowException, OSError) as error:
            reason = _first_line(error)
        else:
            return
        raise OSError(f"the Parquet data is damaged: {reason}")

    def rows(self) -> Iterator[Row | BadRow]:
        """Yield the rows of the batches read so far."""
        batch, self._batch = self._batch, []
        for values in batch:
            self._read += 1
            yield self._row(values)

    def __iter__(self) -> Iterator[Row | BadRow]:
        while not self.at_end:
            self.fill()
            yield from self.rows()

    def close(self) -> None:
        """Close the file; closing twice does nothing."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _opened(
        self, path: str | os.PathLike[str], columns: Mapping[str, str] | None
    ) -> tuple[Any, list[str | None], list[int]]:
        """Return the open file, the keys of its columns, and how many rows of each row group can be read at once."""
        options = {"buffer_size": _BUFFER_BYTES, "pre_buffer": False, "memory_map": False}
        file: Any = None
        try:
            length = footer_bytes(path)
            check_description(length)
            file = self._arrow.parquet.ParquetFile(path, thrift_container_size_limit=_MAX_FOOTER_LIST, **options)
            check_description(length, file.metadata.num_columns)
            names = self._keys(file.schema_arrow, columns)
            sizes = [*batch_rows(path, file.metadata, file.schema, partial(_unpacked, self._arrow))]
        except RowFault as fault:
            reason = str(fault)
        except (self._arrow.ArrowException, OSError) as error:
            reason = f"this Parquet file cannot be read: {_first_line(error)}"
        else:
            return file, names, sizes
        if file is not None:
            file.close()
        raise InvalidInputError(f"{self.name}: {reason}")

    def _keys(self, schema: Any, columns: Mapping[str, str] | None) -> list[str | None]:
        names = rename_columns(_unique(schema.names), columns)
        if any("dictionary<" in str(kind) for kind in schema.types):
            import pyarrow.compute  # noqa: F401, PLC0415 - heavy too, and seldom needed: for the lengths of their texts
        check_columns(names, self._id_name, hint=f": give --map 'COLUMN={self._id_name}'")
        kind = schema.field(names.index(self._id_name)).type
        kind = kind.value_type if self._arrow.types.is_dictionary(kind) else kind
        if not (self._arrow.types.is_string(kind) or self._arrow.types.is_large_string(kind)):
            raise RowFault(f"the column {self._id_name} is of type {kind}: it must be text")
        return names

    def _read_batches(self, sizes: list[int]) -> Iterator[Any]:
        for number, rows in enumerate(sizes):
            for batch in self._file.iter_batches(batch_size=rows, row_groups=[number], use_threads=False):
                yield from _slices(self._arrow, batch)

    def _row(self, values: dict[str, Any] | None) -> Row | BadRow:
        number = self._read
        if values is None:
            return BadRow(number, number, f"the row is longer than {MAX_ROW_BYTES // 1024**2} MiB", None)
        by_key = {key: value for key, value in zip(self._names, values.values(), strict=True) if key is not None}
        try:
            key, metadata = _update(by_key, self._id_name)
        except RowFault as fault:
            known = key_of(by_key, self._id_name)
            return BadRow(number, number, str(fault), _source_of_bad(by_key, self._id_name), known)
        source = json.dumps({self._id_name: key, "metadata": metadata}, ensure_ascii=False).encode() + b"\n"
        return Row(number, number, key, metadata, source)


def _pyarrow(name: str) -> Any:
    try:
        import pyarrow  # noqa: ICN001, PLC0415 - heavy, and an extra
        import pyarrow.parquet  # noqa: PLC0415 - as above
    except ImportError:
        pass
    else:
        return pyarrow
    raise InvalidInputError(f"{name}: to read Parquet install the extra: pip install 'spotdx-async[parquet]'")


def _first_line(error: Exception) -> str:
    # pyarrow describes the file's structure at length; the first line is enough.
    return str(error).split("\n", 1)[0][:200] or type(error).__name__


def _unique(names: list[str]) -> list[str]:
    found: set[str] = set()
    for name in names:
        if name in found:
            raise RowFault(f"two columns have the name {name}")
        found.add(name)
    return names


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


def _plain_rows(arrow: Any, batch: Any) -> list[dict[str, Any] | None]:
    """Return a batch as Python values; nanoseconds, which Python lacks, as text. None stands for a row too long."""
    if batch is None:
        return [None]
    columns = []
    for column in batch.columns:
        is_fine = arrow.types.is_timestamp(column.type) and column.type.unit == "ns"
        columns.append(_micros_or_text(arrow, column) if is_fine else column)
    rows: list[dict[str, Any] | None] = arrow.RecordBatch.from_arrays(columns, names=batch.schema.names).to_pylist()
    return rows


def _micros_or_text(arrow: Any, column: Any) -> Any:
    try:
        return column.cast(arrow.timestamp("us", column.type.tz))
    except arrow.ArrowInvalid:
        return column.cast(arrow.string())


def _update(by_key: dict[str, Any], id_name: str) -> tuple[str, dict[str, Any]]:
    values = dict(by_key)
    key = values.pop(id_name)
    if key is None:
        raise RowFault(f"the {id_name} is empty")
    check_key(key, id_name)
    if "metadata" not in values:
        return key, {name: _json_value(value, name) for name, value in values.items() if value is not None}
    metadata = values["metadata"]
    if metadata is None or (isinstance(metadata, str) and not metadata.strip()):
        raise RowFault("the metadata is empty: write {} to set no keys")
    if isinstance(metadata, str):
        return key, parse_object(metadata, "the metadata")
    found = _json_value(metadata, "metadata")
    if not isinstance(found, dict):
        raise RowFault("the metadata is not a JSON object")
    return key, found


def _json_value(value: Any, column: str) -> Any:
    """Return the value as JSON has it."""
    if isinstance(value, float):
        if not math.isfinite(value):
            raise RowFault(f"the column {column} holds NaN or an infinity, which JSON does not have")
        return value
    if value is None or isinstance(value, (str, int)):
        return value
    if isinstance(value, datetime):
        return value.isoformat() if value.tzinfo is None else value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    if isinstance(value, (date, time)):
        return value.isoformat()
    if isinstance(value, Decimal):
        return int(value) if value.as_tuple().exponent == 0 else str(value)
    if isinstance(value, dict):
        return {key: _json_value(item, column) for key, item in value.items()}
    if isinstance(value, list):
        return _json_list(value, column)
    raise RowFault(f"the column {column} holds values of type {type(value).__name__}, which JSON does not have")


def _json_list(value: list[Any], column: str) -> Any:
    # A map comes as a list of pairs; a list of anything else never holds tuples.
    if value and all(isinstance(item, tuple) for item in value):
        if not all(isinstance(key, str) for key, _ in value):
            raise RowFault(f"the column {column} holds a map whose keys are no text")
        return {key: _json_value(item, column) for key, item in value}
    return [_json_value(item, column) for item in value]


def _source_of_bad(by_key: dict[str, Any], id_name: str) -> bytes | None:
    """Return a bad row as JSON, as well as that can be; None if it cannot."""
    values = dict(by_key)
    row = {id_name: values.pop(id_name)}
    row["metadata"] = values.get("metadata", {key: value for key, value in values.items() if value is not None})
    try:
        return json.dumps(row, ensure_ascii=False, allow_nan=False).encode() + b"\n"
    except (TypeError, ValueError):
        return None
