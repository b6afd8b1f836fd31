"""What reading gives: one item for each data row of a file, good or bad."""

from collections.abc import Mapping
from typing import Any, Literal, TypeAlias

from attrs import field, frozen

__all__ = ["MOST_ROW_BYTES", "BadRow", "Format", "Row", "RowFault", "check_key", "key_in"]

MOST_ROW_BYTES = 16 * 1024 * 1024
"""The longest row that is kept, and what one may take as Python's values."""

Format: TypeAlias = Literal["csv", "jsonl", "parquet"]


class RowFault(Exception):  # noqa: N818 - a word used inside this folder only; it never escapes
    """A row cannot be read; its text is the reason, made of no value of the row."""


@frozen
class Row:
    """A data row that could be read."""

    number: int
    """The row as a person would count it: 1 is the first data row; a CSV header and blank lines do not count."""
    line: int
    """The line of the file on which the row begins; 1 is the first."""
    key: str = field(repr=False)
    """The id of a kit or order, as it stands in the row: never empty, and without blanks around it."""
    metadata: dict[str, Any] = field(repr=False)
    """What to set; from CSV columns all values are strings, and an empty cell has left its key out."""
    source: bytes = field(repr=False)
    """The row exactly as it came, with its line end where it had one."""


@frozen
class BadRow:
    """A data row that could not be read, and why."""

    number: int
    """As in ``Row``: bad rows count too."""
    line: int
    """As in ``Row``."""
    reason: str
    """What is wrong, in words that show no value of the row."""
    source: bytes | None = field(repr=False)
    """The row exactly as it came; None where it was too long to be kept."""
    key: str | None = field(default=None, repr=False)
    """The id of a kit or order; None where the row does not tell it for certain."""


def check_key(key: str, id_name: str) -> None:
    """Refuse an id that a person must look at; the server's own rules for ids are not checked here.

    Raises:
        RowFault: it is empty, or has blanks around it, which are never cut off by guess.
    """
    if not key:
        raise RowFault(f"the {id_name} is empty")
    if not key.strip():
        raise RowFault(f"the {id_name} is blank")
    if key != key.strip():
        raise RowFault(f"the {id_name} has blanks around it")


def key_in(values: Mapping[str, Any], id_name: str) -> str | None:
    """Give the id that a bad row has all the same; None where it has none that is certain."""
    key = values.get(id_name)
    return key if isinstance(key, str) and key and key == key.strip() else None
