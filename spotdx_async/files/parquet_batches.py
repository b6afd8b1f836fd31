"""A batch of a Parquet file as rows: its columns converted one by one, each row judged by itself; knows no file."""

import json
from collections.abc import Iterator, Sequence
from typing import Any

from attrs import field, frozen

from spotdx_async.files.json_text import parse_object
from spotdx_async.files.parquet_columns import Columns
from spotdx_async.files.rows import EMPTY_ROW, BadRow, Row, RowFault, check_key, key_of

__all__ = ["Batch", "RowMaker"]

_ENCODE = json.JSONEncoder(ensure_ascii=False).encode
_NO_LINE_ENDS = str.maketrans("\r\n", "  ")


@frozen
class Batch:
    """Some rows, as JSON values in columns."""

    ids: Sequence[Any] = field(repr=False)
    values: Sequence[Sequence[Any]] = field(repr=False)
    """Of each other column."""
    faults: dict[int, dict[str, str]]
    """Why rows are bad, by position and column; rows without a fault are not there."""


@frozen
class RowMaker:
    """Makes rows of the batches of one file."""

    columns: Columns
    id_name: str
    allows_empty: bool
    """Whether a row without a value sets no key, instead of being bad."""

    def converted(self, batch: Any) -> Batch:
        """Return an Arrow batch as JSON values."""
        columns = (self.columns.id, *self.columns.others)
        found = [column.converted(batch) for column in columns]
        faults: dict[int, dict[str, str]] = {}
        for column, of_column in zip(columns, found, strict=True):
            for place, reason in of_column.faults.items():
                faults.setdefault(place, {})[column.key] = reason
        return Batch(found[0].values, [one.values for one in found[1:]], faults)

    def rows(self, batch: Batch, first: int) -> Iterator[Row | BadRow]:
        """Yield the rows of a batch; ``first`` is the number of its first."""
        names = [column.key for column in self.columns.others]
        for place, (key, *values) in enumerate(zip(batch.ids, *batch.values, strict=True)):
            faults = batch.faults.get(place)
            set_by = {name: value for name, value in zip(names, values, strict=True) if value is not None}
            if faults:
                yield self._not_json(first + place, key, set_by, faults)
            else:
                yield self._row(first + place, key, set_by)

    def _row(self, number: int, key: Any, values: dict[str, Any]) -> Row | BadRow:
        # Null for a row without any value: its line, as {}, would be sent when it is fed in again.
        found: Any = values.get("metadata") if self.columns.is_metadata else values or None
        try:
            self._check(key)
            metadata = self._metadata(found)
        except RowFault as fault:
            return self._bad(number, key, str(fault), _line({self.id_name: key, "metadata": found}))
        if not self.columns.is_json:
            return Row(number, number, key, metadata, _line({self.id_name: key, "metadata": metadata}))
        # As it was written: another program's numbers stay what they are, however many digits they have.
        text = found.translate(_NO_LINE_ENDS)
        source = f'{{{_ENCODE(self.id_name)}: {_ENCODE(key)}, "metadata": {text}}}\n'
        return Row(number, number, key, metadata, source.encode())

    def _metadata(self, found: Any) -> dict[str, Any]:
        if not self.columns.is_metadata:
            if found is None and not self.allows_empty:
                raise RowFault(EMPTY_ROW)
            return found or {}
        if found is None or (self.columns.is_json and not found.strip()):
            raise RowFault("the metadata is empty: write {} to set no keys")
        metadata: dict[str, Any] = parse_object(found, "the metadata") if self.columns.is_json else found
        return metadata

    def _not_json(self, number: int, key: Any, values: dict[str, Any], faults: dict[str, str]) -> BadRow:
        """Return a row with values that JSON does not have.

        Its line has them beside the metadata, under ``rejected``: so it is refused until a person has mended it.
        """
        column, reason = next(iter(faults.items()))
        shown = {self.id_name: key, **values}
        rejected = {name: {"reason": f"holds {why}", "value": shown[name]} for name, why in faults.items()}
        kept = {name: value for name, value in values.items() if name not in faults}
        row = {
            self.id_name: None if self.id_name in faults else key,
            "metadata": None if self.columns.is_metadata else kept,
            "rejected": rejected,
        }
        return self._bad(number, row[self.id_name], f"the column {column} holds {reason}", _line(row))

    def _check(self, key: str | None) -> None:
        if key is None:
            raise RowFault(f"the {self.id_name} is empty")
        check_key(key, self.id_name)

    def _bad(self, number: int, key: Any, reason: str, source: bytes) -> BadRow:
        return BadRow(number, number, reason, source, key_of({self.id_name: key}, self.id_name))


def _line(row: dict[str, Any]) -> bytes:
    """Return a row as a line of JSON Lines."""
    return _ENCODE(row).encode() + b"\n"
