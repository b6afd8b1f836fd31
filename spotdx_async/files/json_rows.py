"""JSON to rows, ``{"kit_id": …, "metadata": {…}}`` each: one a line, blank lines skipped, or all in one array."""

from collections.abc import Iterator
from typing import Any

from spotdx_async.files.json_records import ArrayRecords, JsonRecord, LineRecords
from spotdx_async.files.json_text import JsonSyntaxFault, decode_text, parse_object
from spotdx_async.files.row_shape import RowShape
from spotdx_async.files.rows import BadRow, Reading, Row, RowFault, key_of

__all__ = ["JsonRows"]

_UNTOLD = "where the next one begins cannot be told, so all that follows is rejected; correct it"


class JsonRows:
    """The rows that can be read from what is buffered so far."""

    preamble = b""
    """What must come before rows that are written again."""

    def __init__(self, records: LineRecords | ArrayRecords, *, shape: RowShape, reading: Reading) -> None:
        self._records = records
        self._shape = shape
        self._encoding = reading.encoding
        self._rows_read = 0

    @property
    def number(self) -> int:
        """The number of the next row."""
        return self._rows_read + 1

    def rows(self) -> Iterator[Row | BadRow]:
        """Yield the rows that are whole in what is buffered; call again after feeding more."""
        while (record := self._records.next()) is not None:
            if (row := self._row(record)) is not None:
                self._rows_read += 1
                yield row

    def _row(self, record: JsonRecord) -> Row | BadRow | None:
        """Return the row; None if it is not over, since where the next one begins cannot be told."""
        data = record.data
        if record.fault is not None or data is None:
            fault = record.fault or "the row is too long"
            return BadRow(self.number, record.first_line, fault, data, None, record.last_line, is_readable=False)
        values: dict[str, Any] = {}
        try:
            values = parse_object(decode_text(data, self._encoding).rstrip("\r\n"), "the row")
            key, content = self._shape.read_json(values)
        except RowFault as found:
            if isinstance(found, JsonSyntaxFault) and isinstance(self._records, ArrayRecords):
                self._records.lose(record, f"{found}: {_UNTOLD}")
                return None
            return self._bad(record, data, str(found), key_of(values, self._shape.id_name))
        return Row(self.number, record.first_line, key, content, self._records.source(data))

    def _bad(self, record: JsonRecord, data: bytes, reason: str, key: str | None) -> BadRow:
        # What does not begin as an object would make a file of failed rows look like another kind of file.
        is_readable = data.lstrip(b" \t\r\n").startswith(b"{")
        source = self._records.source(data)
        return BadRow(self.number, record.first_line, reason, source, key, record.last_line, is_readable=is_readable)
