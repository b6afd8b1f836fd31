"""A batch of a Parquet file as rows: its columns converted one by one, each row judged by itself; knows no file."""

import json
from collections.abc import Iterator, Sequence
from typing import Any

from attrs import field, frozen

from spotdx_async.files.json_text import parse_object
from spotdx_async.files.parquet_columns import Columns
from spotdx_async.files.row_shape import RowShape
from spotdx_async.files.rows import BadRow, Row, RowFault, check_key, key_of

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
    shape: RowShape
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
        name = self.shape.content_name
        found: Any = values.get(name) if self.columns.is_metadata else values or None
        try:
            self._check(key)
            content = self._content(found)
        except RowFault as fault:
            return self._bad(number, key, str(fault), _line({self._id_name: key, name: found}))
        if not self.columns.is_json:
            return Row(number, number, key, content, _line({self._id_name: key, name: content}))
        # As it was written: another program's numbers stay what they are, however many digits they have.
        text = found.translate(_NO_LINE_ENDS)
        source = f'{{{_ENCODE(self._id_name)}: {_ENCODE(key)}, "{name}": {text}}}\n'
        return Row(number, number, key, content, source.encode())

    @property
    def _id_name(self) -> str:
        return self.shape.id_name

    def _content(self, found: Any) -> dict[str, Any]:
        if not self.columns.is_metadata:
            return self.shape.content_of(found or {}, allows_empty=self.allows_empty)
        if found is None or (self.columns.is_json and not found.strip()):
            raise RowFault("the metadata is empty: write {} to set no keys")
        metadata: dict[str, Any] = parse_object(found, "the metadata") if self.columns.is_json else found
        return metadata

    def _not_json(self, number: int, key: Any, values: dict[str, Any], faults: dict[str, str]) -> BadRow:
        """Return a row with values that JSON does not have.

        Its line has them beside the metadata, under ``rejected``: so it is refused until a person has mended it.
        """
        column, reason = next(iter(faults.items()))
        shown = {self._id_name: key, **values}
        rejected = {name: {"reason": f"holds {why}", "value": shown[name]} for name, why in faults.items()}
        kept = {name: value for name, value in values.items() if name not in faults}
        row = {
            self._id_name: None if self._id_name in faults else key,
            self.shape.content_name: None if self.columns.is_metadata else kept,
            "rejected": rejected,
        }
        return self._bad(number, row[self._id_name], f"the column {column} holds {reason}", _line(row))

    def _check(self, key: str | None) -> None:
        if key is None:
            raise RowFault(f"the {self._id_name} is empty")
        check_key(key, self._id_name)

    def _bad(self, number: int, key: Any, reason: str, source: bytes) -> BadRow:
        return BadRow(number, number, reason, source, key_of({self._id_name: key}, self._id_name))


def _line(row: dict[str, Any]) -> bytes:
    """Return a row as a line of JSON Lines."""
    return _ENCODE(row).encode() + b"\n"
