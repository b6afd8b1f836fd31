"""Rows in, read lazily from CSV, JSON Lines, Parquet and Excel, and failed rows out; knows no HTTP and no bulk run."""

from spotdx_async._lazy import names_from

TYPE_CHECKING = False
if TYPE_CHECKING:
    from spotdx_async.files.csv_header import check_delimiter
    from spotdx_async.files.csv_rows import Doubt
    from spotdx_async.files.excel_rows import ExcelFile
    from spotdx_async.files.failed_rows import FailedRows
    from spotdx_async.files.input_fingerprint import fingerprint
    from spotdx_async.files.json_file import read_object
    from spotdx_async.files.json_text import name_of
    from spotdx_async.files.opening import RowInput, is_rows, open_rows
    from spotdx_async.files.parquet_rows import ParquetFile
    from spotdx_async.files.recognition import check_encoding
    from spotdx_async.files.row_file import RowFile
    from spotdx_async.files.rows import (
        USUAL_READING,
        BadRow,
        ChangedInputError,
        DamagedInputError,
        Format,
        Reading,
        Row,
        parse_map,
    )
    from spotdx_async.files.unreadable_rows import UnreadableRows

__all__ = [
    "USUAL_READING",
    "BadRow",
    "ChangedInputError",
    "DamagedInputError",
    "Doubt",
    "ExcelFile",
    "FailedRows",
    "Format",
    "ParquetFile",
    "Reading",
    "Row",
    "RowFile",
    "RowInput",
    "UnreadableRows",
    "check_delimiter",
    "check_encoding",
    "fingerprint",
    "is_rows",
    "name_of",
    "open_rows",
    "parse_map",
    "read_object",
]

if not TYPE_CHECKING:
    __getattr__ = names_from(
        __name__,
        {
            "files.csv_header": "check_delimiter",
            "files.csv_rows": "Doubt",
            "files.excel_rows": "ExcelFile",
            "files.failed_rows": "FailedRows",
            "files.input_fingerprint": "fingerprint",
            "files.json_file": "read_object",
            "files.json_text": "name_of",
            "files.opening": "RowInput is_rows open_rows",
            "files.parquet_rows": "ParquetFile",
            "files.recognition": "check_encoding",
            "files.row_file": "RowFile",
            "files.rows": "USUAL_READING BadRow ChangedInputError DamagedInputError Format Reading Row parse_map",
            "files.unreadable_rows": "UnreadableRows",
        },
    )
