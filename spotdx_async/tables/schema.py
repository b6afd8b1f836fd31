"""What a table and a column are; knows no model and no database."""

from collections.abc import Iterable
from datetime import date, datetime
from typing import Literal, TypeAlias

import attrs

ColumnType: TypeAlias = Literal["text", "integer", "real", "boolean", "instant", "date", "json"]
"""What a column's values are in Python: ``str``, ``int``, ``float``, ``bool``, an aware ``datetime`` in UTC, a
``date``, and a ``str`` that is JSON. Any of them may be None where the column is nullable.
"""

Value: TypeAlias = str | int | float | bool | datetime | date | None
"""A cell."""

Row: TypeAlias = tuple[Value, ...]
"""A row: one value for each column of its table, in the order of the columns."""


@attrs.frozen(kw_only=True)
class Column:
    """A column of a table."""

    name: str
    """Its name, unique in the table."""

    type: ColumnType
    """The type of its values."""

    doc: str
    """What it holds."""

    is_phi: bool = True
    """Whether it is only filled with ``phi=True``. A column is patient data unless it is marked as safe."""

    nullable: bool = True
    """Whether it may be None in a stored row."""


def _safe_first(_: object, attribute: "attrs.Attribute[tuple[Column, ...]]", columns: tuple[Column, ...]) -> None:
    marks = [column.is_phi for column in columns]
    if marks != sorted(marks):
        raise ValueError(f"{attribute.name}: patient data stands last, so that one cut removes it")


@attrs.frozen(kw_only=True)
class Table:
    """A table: what its rows hold, and what tells them apart."""

    name: str
    """Its name."""

    doc: str
    """What one row is."""

    columns: tuple[Column, ...] = attrs.field(validator=_safe_first)
    """Its columns, those with patient data last."""

    primary_key: tuple[str, ...]
    """The columns that tell its rows apart; none of them is None in a stored row."""

    owner: tuple[str, ...]
    """The columns that say which kit, order or requisition a row belongs to; the first of the primary key. When the
    object changes, all of its rows are replaced."""

    indexes: tuple[tuple[str, ...], ...] = ()
    """The columns to index, beside the primary key, for the questions that are usually asked."""

    names: tuple[str, ...] = attrs.field(init=False)
    """The names of its columns."""

    safe_names: tuple[str, ...] = attrs.field(init=False)
    """The names of the columns that are filled without ``phi``."""

    _blanks: tuple[None, ...] = attrs.field(init=False, repr=False)

    @names.default
    def _names(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns)

    @safe_names.default
    def _safe_names(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns if not column.is_phi)

    @_blanks.default
    def _no_values(self) -> tuple[None, ...]:
        return (None,) * (len(self.columns) - len(self.safe_names))

    def shown(self, rows: Iterable[Row], *, phi: bool) -> list[Row]:
        """Return rows as they may be written: without ``phi`` every column that is not marked as safe is None.

        Raises:
            ValueError: a row has more or fewer values than the table has columns.
        """
        safe, blanks = len(self.safe_names), self._blanks
        width = safe + len(blanks)
        shown: list[Row] = []
        for row in rows:
            # A value too many would shift patient data into a column that is safe.
            if len(row) != width:
                raise ValueError(f"a row of {self.name} has {len(row)} values for {width} columns")
            shown.append(row if phi else row[:safe] + blanks)
        return shown

    def as_dicts(self, rows: Iterable[Row]) -> list[dict[str, Value]]:
        """Return rows as dicts, by the names of the columns."""
        return [dict(zip(self.names, row, strict=True)) for row in rows]


def safe(name: str, type_: ColumnType, doc: str, *, nullable: bool = True) -> Column:
    """Describe a column that names no patient."""
    return Column(name=name, type=type_, doc=doc, is_phi=False, nullable=nullable)


def key(name: str, type_: ColumnType, doc: str) -> Column:
    """Describe a column of a primary key."""
    return safe(name, type_, doc, nullable=False)


def patient_data(name: str, type_: ColumnType, doc: str) -> Column:
    """Describe a column of patient data."""
    return Column(name=name, type=type_, doc=doc)
