"""Writes a mirror's tables to files: Parquet, CSV, JSON Lines; each whole or absent, and deterministic."""

import csv
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import date
from functools import partial
from json.encoder import encode_basestring
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

from attrs import evolve

from spotdx_async import private_files
from spotdx_async.errors import InvalidInputError
from spotdx_async.mirror.export_places import check_targets, writing
from spotdx_async.mirror.parquet import check_parquet, parquet_pieces
from spotdx_async.mirror.schema import PULLS, columns_of
from spotdx_async.mirror.store import MirrorFile
from spotdx_async.tables import TABLES, Column, ColumnType, Table

__all__ = ["ExportFormat", "export_tables"]

ExportFormat: TypeAlias = Literal["parquet", "csv", "jsonl", "fhir"]
"""How tables are written; ``fhir``: as resources, not as tables."""

Rows: TypeAlias = Iterable[tuple[Any, ...]]
Write: TypeAlias = Callable[[Sequence[Column], Rows], Iterator[bytes]]

_ALL = (*TABLES, PULLS.name)
_EXPORTED = {**TABLES, PULLS.name: PULLS, "current_results": evolve(TABLES["results"], name="current_results")}
_LINES_AT_ONCE = 1000
# Before Python 3.13 the writer quotes a cell for those line breaks alone that end its lines, so that a lone carriage
# return would be read as the end of a row.
_QUOTED_IN_CELLS = "\r\n"


def export_tables(
    file: MirrorFile, folder: Path, form: str, *, tables: Sequence[str] | None, since: date | None
) -> dict[str, Path]:
    """Write tables to files, as of one moment.

    Raises:
        InvalidInputError: an argument is wrong, or a file cannot be written.
        MirrorError: the mirror cannot be read.
    """
    if form not in get_args(ExportFormat):
        raise InvalidInputError(f"format must be one of {', '.join(get_args(ExportFormat))}")
    names = list(_ALL) if tables is None else list(dict.fromkeys(tables))
    unknown = next((name for name in names if name not in _EXPORTED), None)
    if isinstance(tables, str) or not names or unknown is not None:
        which = "" if isinstance(tables, str) or unknown is None else f", and {unknown!r} is none"
        raise InvalidInputError(f"tables must be a list of some of {', '.join(_EXPORTED)}{which}")
    if form == "parquet":
        check_parquet()
    write = _WRITERS[form]
    paths = {name: folder / f"{name}.{form}" for name in names}
    check_targets(file, folder, paths.values())
    with file.snapshot() as database:
        for name, path in paths.items():
            table = _EXPORTED[name]
            pieces = write(_columns(table, phi=file.phi), file.rows(database, table, since))
            with writing(path):
                private_files.replace(path, pieces)
    return paths


def _columns(table: Table, *, phi: bool) -> list[Column]:
    names = columns_of(table, phi=phi)
    return [column for column in table.columns if column.name in names]


def _csv(columns: Sequence[Column], rows: Rows) -> Iterator[bytes]:
    """Yield a header and a line for each row: nothing for null, ``true`` and ``false``, instants in UTC."""
    lines = _Lines()
    write = csv.writer(lines, lineterminator=_QUOTED_IN_CELLS).writerow
    write([column.name for column in columns])
    flags = [index for index, column in enumerate(columns) if column.type == "boolean"]
    for row in rows:
        cells = list(row)
        for index in flags:
            cells[index] = None if cells[index] is None else "true" if cells[index] else "false"
        write(cells)
        if len(lines.waiting) >= _LINES_AT_ONCE:
            yield lines.take()
    yield lines.take()


class _Lines:
    """Takes the lines of a CSV writer, which hands over each as a whole."""

    def __init__(self) -> None:
        self.waiting: list[str] = []

    def write(self, line: str) -> None:
        self.waiting.append(line[: -len(_QUOTED_IN_CELLS)])

    def take(self) -> bytes:
        """Return what was written since the last time, each line with its end."""
        data = "\n".join([*self.waiting, ""]).encode()
        self.waiting.clear()
        return data


def _json_lines(columns: Sequence[Column], rows: Rows) -> Iterator[bytes]:
    """Yield an object for each row, with every column; JSON columns as values, not as text."""
    names = [f"{encode_basestring(column.name)}:" for column in columns]
    writers = [_JSON[column.type] for column in columns]
    lines: list[str] = []
    for row in rows:
        cells = zip(names, writers, row, strict=True)
        members = [f"{name}null" if value is None else name + write(value) for name, write, value in cells]
        lines.append(f"{{{','.join(members)}}}\n")
        if len(lines) == _LINES_AT_ONCE:
            yield "".join(lines).encode()
            lines.clear()
    yield "".join(lines).encode()


_JSON: dict[ColumnType, Callable[[Any], str]] = {
    **dict.fromkeys(("text", "instant", "date"), encode_basestring),
    "json": str,
    "integer": repr,
    "real": repr,  # always a finite number
    "boolean": lambda value: "true" if value else "false",
}
_WRITERS: dict[str, Write] = {"parquet": partial(parquet_pieces), "csv": _csv, "jsonl": _json_lines}
