"""Rows in and failed rows out, read lazily from CSV and JSON Lines; knows no HTTP and no bulk run."""

from spotdx_async.files.failed_rows import FailedRows
from spotdx_async.files.row_file import RowFile, open_rows
from spotdx_async.files.rows import BadRow, Format, Row

__all__ = ["BadRow", "FailedRows", "Format", "Row", "RowFile", "open_rows"]
