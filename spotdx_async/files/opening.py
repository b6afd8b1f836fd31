"""Opens an input of rows: what kind it is, and what must be known of it before its first row."""

import os
import stat
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Literal, TypeAlias

from spotdx_async.errors import InvalidInputError
from spotdx_async.files.excel_rows import ExcelFile
from spotdx_async.files.json_file import MAX_OBJECT_BYTES
from spotdx_async.files.json_text import BOM, JsonSyntaxFault, decode_text, name_of, parse_object
from spotdx_async.files.parquet_rows import PARQUET_MAGIC, ParquetFile
from spotdx_async.files.recognition import LONGEST_MARK
from spotdx_async.files.row_file import RowFile
from spotdx_async.files.row_shape import RowShape, shape_of
from spotdx_async.files.rows import USUAL_READING, ChangedInputError, DamagedInputError, Format, Reading, RowFault
from spotdx_async.files.stored_file import StoredFile
from spotdx_async.files.unpacking import PACKINGS, packing_of

__all__ = ["RowInput", "is_rows", "open_rows"]

_FORMAT_OF_SUFFIX: dict[str, Format] = {
    ".csv": "csv",
    ".tsv": "csv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
    ".xlsx": "xlsx",
    ".xlsm": "xlsx",
}

_OTHER_WORKBOOKS = {".xlsb", ".ods", ".numbers"}

RowInput: TypeAlias = RowFile | ParquetFile | ExcelFile
"""What ``open_rows`` returns: all are used in the same way."""


def open_rows(
    path: str | os.PathLike[str],
    *,
    row_format: Format | None = None,
    columns: Mapping[str, str] | None = None,
    id_name: str = "kit_id",
    shape: RowShape | None = None,
    reading: Reading = USUAL_READING,
) -> RowInput:
    """Open a file of rows; ``-`` is standard input. What is packed (gzip, bzip2, xz, zstd) is unpacked as it is read.

    Without ``row_format`` the suffix decides (``.csv``, ``.tsv``, ``.jsonl``, ``.ndjson``, ``.parquet``, each also
    before one such as ``.gz``; ``.xlsx``, ``.xlsm``); failing that, the first characters do: ``PAR1`` begins Parquet,
    ``{`` JSON Lines, ``[`` a JSON array of rows, anything else a CSV header. JSON that begins with ``[`` is always read
    as an array.

    Args:
        path: the file.
        row_format: the format of the rows.
        columns: the key for each column that has another name; an empty key drops the column. Not for JSON.
        id_name: the name of the column, or JSON key, that holds the id, beside metadata.
        shape: what a row holds, if not that.
        reading: how text is read as rows.

    Raises:
        InvalidInputError: it cannot be opened, or nothing in it can be used: an empty file, no usable header, text that
            is not rows at all.
        ChangedInputError: the file was changed while it was looked at.
    """
    shape = shape_of(id_name, shape)
    is_stdin = os.fspath(path) == "-"
    name = name_of(path)
    row_format = row_format or _format_of(Path(path))
    try:
        if row_format == "parquet" or (row_format is None and not is_stdin and _is_parquet(Path(path))):
            _refuse_options_of_text(name, reading)
            _refuse_sheet(name, reading)
            _check_file("standard input" if is_stdin else Path(path), "Parquet")
            return ParquetFile(path, columns=columns, shape=shape, allow_empty=reading.allows_empty)
        if row_format == "xlsx":
            _refuse_options_of_text(name, reading)
            _check_file("standard input" if is_stdin else Path(path), "Excel")
            how: dict[str, Any] = {"allow_empty": reading.allows_empty, "sheet": reading.sheet}
            return ExcelFile(path, columns=columns, shape=shape, **how)
        if row_format is None and Path(path).suffix.lower() in _OTHER_WORKBOOKS:
            raise InvalidInputError(f"{name}: of workbooks only .xlsx is read: save it as such, or as CSV UTF-8")
        _refuse_sheet(name, reading)
        again = partial(_text_rows, name=name, row_format=row_format, columns=columns, shape=shape, reading=reading)
        file = again(0 if is_stdin else Path(path))
        has_quotes = file.format == "csv" and not reading.is_one_line
        if (has_quotes or file.is_packed) and file.stored_file is not None:
            _survey(file, file.stored_file, again)
    except ChangedInputError as error:
        raise ChangedInputError(f"{name}: {error}") from None
    except OSError as error:
        reason = error.strerror or str(error) or "it cannot be read"
    else:
        return file
    raise InvalidInputError(f"{name}: {reason}")


def is_rows(path: str | os.PathLike[str], id_name: str) -> bool | None:
    """Return whether a file holds rows, rather than one object without an id; None if it cannot be told.

    The suffix decides, as for ``open_rows``. Any other file holds one object if it is one as a whole.

    Args:
        path: the file.
        id_name: the JSON key that only a row has.
    """
    place = Path(path)
    if _format_of(place) is not None:
        return True
    try:
        if not place.is_file():
            return None
        if place.stat().st_size > MAX_OBJECT_BYTES or _is_parquet(place):
            return True
        data = place.read_bytes()
    except OSError:
        return None
    if not data.removeprefix(BOM).lstrip().startswith(b"{"):
        return None if place.suffix.lower() == ".json" else True
    try:
        return id_name in parse_object(decode_text(data.removeprefix(BOM)), "the file")
    except JsonSyntaxFault:
        # Several objects, or a broken one: whoever reads it says so.
        return b"}\n{" in data
    except RowFault:
        return False


def _format_of(path: Path) -> Format | None:
    name = path.with_suffix("") if path.suffix.lower() in {packing.suffix for packing in PACKINGS} else path
    return _FORMAT_OF_SUFFIX.get(name.suffix.lower())


def _refuse_options_of_text(name: str, reading: Reading) -> None:
    given = {"--delimiter": reading.delimiter, "--encoding": reading.encoding}
    for option, value in given.items():
        if value is not None:
            raise InvalidInputError(f"{name}: {option} is for text, and this is not: leave it out")


def _refuse_sheet(name: str, reading: Reading) -> None:
    if reading.sheet is not None:
        raise InvalidInputError(f"{name}: --sheet is for Excel workbooks (.xlsx)")


def _is_parquet(path: Path) -> bool:
    # Only a regular file can be read twice.
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(len(PARQUET_MAGIC)) == PARQUET_MAGIC


def _check_file(place: Path | Literal["standard input"], what: str) -> None:
    """Check that Parquet or a workbook can be read from there, without waiting for the writer of a pipe.

    Raises:
        OSError: it cannot be opened; in the system's own words.
        InvalidInputError: it is no file.
    """
    mode = place.stat().st_mode if isinstance(place, Path) else 0
    if stat.S_ISDIR(mode):
        raise InvalidInputError(f"{place}: this is a folder: pass the files in it")
    if not stat.S_ISREG(mode):
        raise InvalidInputError(f"{place}: {what} can be read only from a file, not from a pipe")
    with open(place, "rb") as file:  # noqa: PTH123 - it may be a word for standard input, to a type checker
        packing = packing_of(file.read(LONGEST_MARK))
    if packing is not None:
        raise InvalidInputError(f"{place}: this is packed with {packing.name}: {what} is read only unpacked")


def _text_rows(place: Path | int | StoredFile, **how: Any) -> RowFile:
    stream = place if isinstance(place, StoredFile) else StoredFile.open(place)
    try:
        return RowFile(stream, **how)
    except BaseException:
        stream.close()
        raise


def _survey(file: RowFile, stored: StoredFile, again: Callable[[StoredFile], RowFile]) -> None:
    """Look through a file that can be read twice, for what makes its rows doubtful.

    Raises:
        DamagedInputError: a checksum is wrong, so no row can be relied on.
        ChangedInputError: the file was changed meanwhile.
    """
    try:
        with again(stored.again()) as copy:
            doubt = copy.survey()
        file.check_unchanged()
    except OSError as error:
        is_cut = isinstance(error, DamagedInputError) and error.are_earlier_rows_sound
        if is_cut or not isinstance(error, (DamagedInputError, ChangedInputError)):
            return  # the rows up to there are read, and whoever reads them is told
        file.close()
        raise
    except BaseException:
        file.close()
        raise
    if doubt is not None:
        file.distrust(doubt)
