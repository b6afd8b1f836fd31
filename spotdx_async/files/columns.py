"""Columns under other names: what ``--map`` asks for."""

from collections.abc import Iterable, Mapping, Sequence

from spotdx_async.errors import InvalidInputError
from spotdx_async.files.rows import RowFault

__all__ = ["check_keys", "parse_map", "renamed"]


def parse_map(texts: Iterable[str], *, id_name: str = "kit_id") -> dict[str, str]:
    """Read ``COLUMN=KEY`` texts; the last equals sign splits, and an empty key leaves the column out.

    Raises:
        InvalidInputError: a text is of another form, or names a column twice.
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


def renamed(names: Sequence[str], columns: Mapping[str, str] | None) -> list[str | None]:
    """Give each column its key, None for one that is left out; columns that the map does not name keep their name.

    Raises:
        RowFault: the map names a column that is not there, or two columns come to have one key.
    """
    if not columns:
        return list(names)
    if missing := [column for column in columns if column not in names]:
        raise RowFault(f"--map names a column that is not there: {missing[0]}")
    keys = [columns.get(name, name) or None for name in names]
    kept = [key for key in keys if key is not None]
    if twice := [key for key in kept if kept.count(key) > 1]:
        raise RowFault(f"two columns have the key {twice[0]}: give --map another key for one of them")
    return keys


def check_keys(keys: Sequence[str | None], id_name: str, *, hint: str) -> None:
    """Check that the columns can make rows.

    Raises:
        RowFault: there is no id (the reason ends with ``hint``), nothing beside it, or something beside ``metadata``.
    """
    kept = [key for key in keys if key is not None]
    if id_name not in kept:
        raise RowFault(f"no column is named {id_name}{hint}")
    if len(kept) == 1:
        raise RowFault(f"beside {id_name} there must be columns for the metadata")
    if "metadata" in kept and len(kept) > 2:  # noqa: PLR2004 - the id and metadata
        raise RowFault(f"beside {id_name} and metadata no other column may stand")
