"""Rows in and failed rows out, read lazily from CSV, JSON Lines and Parquet; a JSON object in.

It knows no HTTP and no bulk run.
"""

from spotdx_async.files.columns import parse_map
from spotdx_async.files.failed_rows import FailedRows
from spotdx_async.files.fingerprints import fingerprint
from spotdx_async.files.json_file import name_of, read_object
from spotdx_async.files.parquet_rows import ParquetFile
from spotdx_async.files.row_file import RowFile, RowInput, open_rows
from spotdx_async.files.rows import BadRow, Format, Row

__all__ = [
    "BadRow",
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
