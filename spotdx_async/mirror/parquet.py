"""Rows to Parquet, some thousands at a time; imports pyarrow, and only when something is written."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

from spotdx_async.errors import InvalidInputError
from spotdx_async.tables import Column

__all__ = ["check_parquet", "parquet_pieces"]

_ROWS_OF_A_GROUP = 20_000
_CHARACTERS_OF_A_GROUP = 16 * 1024 * 1024
"""Twice what so many usual rows have; metadata of some kilobytes would make a gigabyte of a group. A choice."""
_ROWS_AT_ONCE = 500


def check_parquet() -> None:
    """Make sure that Parquet can be written.

    Raises:
        InvalidInputError: pyarrow is not installed.
    """
    try:
        import pyarrow.parquet  # noqa: F401, PLC0415 - an extra, and slow to import
    except ImportError:
        pass
    else:
        return
    raise InvalidInputError("Parquet needs the extra parquet (pyarrow): install it, or export as csv or jsonl")


def parquet_pieces(columns: Sequence[Column], rows: Iterable[tuple[Any, ...]]) -> Iterator[bytes]:
    """Yield the bytes of a file: instants as microseconds in UTC, JSON as text, null as null."""
    import pyarrow as pa  # noqa: PLC0415
    from pyarrow import parquet  # noqa: PLC0415

    schema = pa.schema([pa.field(column.name, _type(pa, column), nullable=column.nullable) for column in columns])
    sink = _Sink()
    with parquet.ParquetWriter(pa.PythonFile(sink, mode="w"), schema, compression="zstd") as writer:
        for group in _groups(rows):
            cells = zip(*group, strict=True)
            arrays = [
                pa.array(of_column, _kept_as(pa, column)).cast(schema.field(column.name).type)
                for column, of_column in zip(columns, cells, strict=True)
            ]
            writer.write_table(pa.Table.from_arrays(arrays, schema=schema))
            yield sink.take()
    yield sink.take()


def _groups(rows: Iterable[tuple[Any, ...]]) -> Iterator[list[tuple[Any, ...]]]:
    """Yield the rows of each row group: so many, or fewer of those with much text."""
    waiting, group, characters = iter(rows), list[tuple[Any, ...]](), 0
    while some := list(islice(waiting, _ROWS_AT_ONCE)):
        group += some
        characters += sum(len(cell) for row in some for cell in row if type(cell) is str)
        if len(group) >= _ROWS_OF_A_GROUP or characters >= _CHARACTERS_OF_A_GROUP:
            yield group
            group, characters = [], 0
    if group:
        yield group


class _Sink:
    """Keeps what is written until it is taken."""

    closed = False

    def __init__(self) -> None:
        self._pieces: list[bytes] = []

    def write(self, data: Any) -> int:
        self._pieces.append(bytes(data))
        return len(data)

    def flush(self) -> None:
        pass

    def close(self) -> None:
        pass

    def take(self) -> bytes:
        """Return what was written since the last time."""
        data = b"".join(self._pieces)
        self._pieces.clear()
        return data


def _type(pyarrow: Any, column: Column) -> Any:
    types = {
        "text": pyarrow.string,
        "json": pyarrow.string,
        "integer": pyarrow.int64,
        "real": pyarrow.float64,
        "boolean": pyarrow.bool_,
        "date": pyarrow.date32,
        "instant": lambda: pyarrow.timestamp("us", tz="UTC"),
    }
    return types[column.type]()


def _kept_as(pyarrow: Any, column: Column) -> Any:
    """Return the type of what SQLite has in a column: instants and dates are text, true and false are numbers."""
    if column.type == "boolean":
        return pyarrow.int64()
    return pyarrow.string() if column.type in {"instant", "date"} else _type(pyarrow, column)
