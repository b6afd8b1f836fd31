"""Rows in, read lazily from CSV, JSON Lines and Parquet, and failed rows out; knows no HTTP and no bulk run."""

from spotdx_async.files.failed_rows import FailedRows
from spotdx_async.files.json_rows import name_of, read_object
from spotdx_async.files.parquet_rows import ParquetFile
from spotdx_async.files.row_file import RowFile, RowInput, fingerprint, open_rows
from spotdx_async.files.rows import BadRow, DamagedInputError, Format, Row, parse_map

__all__ = [
    "BadRow",
    "DamagedInputError",
    "FailedRows",
    "Format",
    "ParquetFile",
    "Row",
    "RowFile",
    "RowInput",
    "fingerprint",
    "name_of",
    "open_rows",
    "parse_map",
    "read_object",
]
