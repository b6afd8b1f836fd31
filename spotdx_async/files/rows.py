"""A row of a file, good or bad, and the columns that make one; knows no file format."""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Literal, TypeAlias
from unicodedata import category

from attrs import field, frozen

from spotdx_async.errors import InvalidInputError

__all__ = [
    "EMPTY_ROW",
    "MAX_COLUMNS",
    "MAX_ROW_BYTES",
    "USUAL_READING",
    "BadRow",
    "ChangedInputError",
    "DamagedInputError",
    "Format",
    "Reading",
    "Row",
    "RowFault",
    "check_key",
    "check_names",
    "invisible_in",
    "key_of",
    "parse_map",
    "rename_columns",
]

MAX_ROW_BYTES = 16 * 1024 * 1024
"""The longest row that is kept, and the most that one may take up as Python values."""
MAX_COLUMNS = 2000
"""The most columns of a file: more are a table turned on its side, or a delimiter that was taken for text."""
EMPTY_ROW = "the row sets nothing: all but its id is empty (--allow-empty sends it, which erases what is set)"
"""Why a row without a value is refused, unless it says ``{}`` itself."""

Format: TypeAlias = Literal["csv", "jsonl", "parquet", "xlsx"]


# Default_Ignorable_Code_Point of Unicode beyond category Cf, and the blank pattern of Braille.
_IGNORABLE = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0000-\U000e0fff]"
)


class RowFault(Exception):  # noqa: N818 - used within this folder only; it never escapes
    """A row cannot be read; the text is the reason, and shows no value of the row."""


class DamagedInputError(OSError):
    """The input is damaged from some place on: the rows before it are good, and the same file will never go on.

    The text says where and why, and shows no value.
    """

    are_earlier_rows_sound: bool = True
    """Whether the rows before it are surely as they were written: not where a checksum of theirs is wrong."""


class ChangedInputError(OSError):
    """The input is no longer the file that was opened: it was written to, replaced, moved or deleted meanwhile.

    Rows that came before are those of the file as it was; none comes after. The text says what changed.
    """


@frozen(kw_only=True)
class Reading:
    """How text is read as rows."""

    delimiter: str | None = None
    """What separates the cells of CSV. None: what the header shows, if that is one of ``, ; tab |``, else a comma."""
    encoding: str | None = None
    """Of text. None: what its first bytes tell, else UTF-8."""
    allows_empty: bool = False
    """Whether a row of CSV or Parquet that sets no key is a row that sets ``{}``."""
    max_cell_bytes: int = MAX_ROW_BYTES
    """The longest cell of CSV."""
    sheet: str | None = None
    """Which sheet of a workbook: its name, or its number from 1. None: the first that is visible."""
    is_one_line: bool = False
    """Whether no cell of CSV holds a line break, so that each line is a row and a broken quote spoils no other."""


USUAL_READING = Reading()
"""As text is read if nothing else is said."""


@frozen
class Row:
    """A data row that could be read."""

    number: int
    """The row as a person would count it: 1 is the first data row; a CSV header and blank lines do not count."""
    line: int
    """The line of the file on which the row begins; 1 is the first."""
    key: str = field(repr=False)
    """The id of a kit or order, or the key of something new, as written in the row: never empty, no whitespace around
    it."""
    content: dict[str, Any] = field(repr=False)
    """The metadata to set, or the object to create. From CSV columns every value is a string, and an empty cell leaves
    its key out."""
    source: bytes = field(repr=False)
    """The row exactly as it came, with its line end if it had one."""

    @property
    def metadata(self) -> dict[str, Any]:
        """The content, where that is metadata to set."""
        return self.content


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
    """The row exactly as it came; None if it was too long to keep."""
    key: str | None = field(default=None, repr=False)
    """The id of a kit or order; None if the row does not tell it for certain."""
    last_line: int | None = None
    """The line on which it ends; None: the same."""
    is_readable: bool = field(default=True, kw_only=True)
    """Whether its cells can be told. If not, its text must not stand beside other rows: it could change them."""


def check_key(key: str, id_name: str) -> None:
    """Refuse an id that a person must look at; the server's own rules for ids are not checked here.

    Raises:
        RowFault: it is empty, holds an invisible character, or has whitespace around it, which is never stripped on a
            guess.
    """
    if not key:
        raise RowFault(f"the {id_name} is empty")
    if not key.strip():
        raise RowFault(f"the {id_name} is blank")
    if key != key.strip():
        raise RowFault(f"the {id_name} has whitespace around it")
    if not key.isascii() and (found := invisible_in(key)) is not None:
        raise RowFault(f"the {id_name} holds the invisible character U+{ord(found):04X}")


def key_of(values: Mapping[str, Any], id_name: str) -> str | None:
    """Return the id of a bad row, or None if it has none that is certain."""
    key = values.get(id_name)
    if not isinstance(key, str) or not key or key != key.strip():
        return None
    return key if key.isascii() or invisible_in(key) is None else None


def invisible_in(text: str) -> str | None:
    """Return the first character that nobody sees: of no width, or blank without being whitespace."""
    return next((sign for sign in text if category(sign) in {"Cf", "Zl", "Zp"} or _IGNORABLE.match(sign)), None)


def parse_map(texts: Iterable[str], *, id_name: str = "kit_id") -> dict[str, str]:
    """Parse ``COLUMN=KEY`` texts, as ``--map`` takes them: the last equals sign splits, an empty key drops the column.

    Raises:
        InvalidInputError: a text has another form, or names a column twice.
    """
    columns: dict[str, str] = {}
    for text in texts:
        column, sign, key = text.rpartition("=")
        if not sign or not column:
            example = f"--map 'Number={id_name}'"
            raise InvalidInputError(f"--map takes COLUMN=KEY, such as {example}; COLUMN= leaves it out")
        if column in columns:
            raise InvalidInputError(f"--map names the column {column} twice")
        columns[column] = key
    return columns


def rename_columns(names: Sequence[str], columns: Mapping[str, str] | None) -> list[str | None]:
    """Return the key of each column, None for one that is left out; unmapped columns keep their name.

    Raises:
        RowFault: the map names a column that does not exist, or two columns end up with the same key.
    """
    if not columns:
        return list(names)
    if missing := [column for column in columns if column not in names]:
        raise RowFault(f"--map names a column that does not exist: {missing[0]}")
    keys = [columns.get(name, name) or None for name in names]
    kept = [key for key in keys if key is not None]
    if twice := [key for key in kept if kept.count(key) > 1]:
        raise RowFault(f"two columns have the key {twice[0]}: use --map to give one of them another key")
    return keys


def check_names(names: Sequence[str], mapped: Collection[str] | None = None) -> None:
    """Check the names of columns as the file has them.

    Those that the user has named may have whitespace around them. No reason shows a name: in a CSV file without a
    header the first row is patient data.

    Raises:
        RowFault: one is empty, has whitespace around it or is that of an earlier column; or there are too many.
    """
    if len(names) > MAX_COLUMNS:
        raise RowFault(f"there are {len(names):,} columns, and {MAX_COLUMNS:,} is the most")
    found: dict[str, int] = {}
    for column, name in enumerate(names, start=1):
        if not name.strip():
            raise RowFault(f"column {column} has no name")
        if name != name.strip() and name not in (mapped or ()):
            raise RowFault(
                f"the name of column {column} has whitespace around it: remove that, or name it with --map as it is"
            )
        if found.setdefault(name, column) != column:
            raise RowFault(f"column {column} has the name of column {found[name]}")
