"""The columns of a Parquet file: which metadata key each one sets, what is left out, how each is read."""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from attrs import field, frozen

from spotdx_async.files.csv_header import keys_of_names
from spotdx_async.files.parquet_int96 import BothArrays
from spotdx_async.files.parquet_values import Convert, Converted, converter, is_text, unregistered_name
from spotdx_async.files.row_shape import RowShape
from spotdx_async.files.rows import RowFault

__all__ = ["Column", "Columns", "columns_of"]

# What pandas and Dask call an index that has no name; with a name it is a column like any other.
_INDEX = re.compile(r"__index_level_\d+__|__null_dask_index__")


@frozen
class Column:
    """A column that is read."""

    place: int
    """Which of the file's columns, from 0."""
    key: str
    """The metadata key that it sets, or the name of the id."""
    convert: Convert = field(repr=False)
    """Turns its arrays into JSON values."""
    in_seconds: int | None = None
    """Where a batch has it once more, with INT96 timestamps as seconds; None if it has none of those."""

    def converted(self, batch: Any) -> Converted:
        """Return its values in an Arrow batch."""
        array = batch.column(self.place)
        return self.convert(array if self.in_seconds is None else BothArrays(array, batch.column(self.in_seconds)))


@frozen
class Columns:
    """All columns that are read."""

    id: Column
    others: Sequence[Column]
    """One for each metadata key, or only that of ``metadata``."""
    is_metadata: bool
    """Whether the one other column holds the whole metadata of a row."""
    is_json: bool
    """Whether it holds them as JSON text."""
    left_out: Sequence[str]
    """Names of columns that another program added for itself."""


def columns_of(
    arrow: Any, schema: Any, renamed: Mapping[str, str] | None, shape: RowShape, in_seconds: Sequence[int] = ()
) -> Columns:
    """Return the columns of a file.

    Args:
        arrow: pyarrow.
        schema: pyarrow's schema of the file.
        renamed: the key for each column that has another name; an empty key drops the column.
        shape: what a row holds.
        in_seconds: which columns batches have once more, behind all others, with INT96 timestamps as seconds.

    Raises:
        RowFault: no row can be made of them.
        UnicodeDecodeError: a name is not UTF-8.
    """
    fields = [schema.field(number) for number in range(len(schema))]
    names = [one.name for one in fields]
    left_out = _left_out(names, schema.metadata, renamed)
    id_name, whole = shape.id_name, shape.whole
    used = [name for name in names if name not in left_out]
    key_of_name = dict(zip(used, keys_of_names(used, renamed, shape), strict=True))
    keys = [key_of_name.get(name) for name in names]
    again = {place: len(fields) + number for number, place in enumerate(in_seconds)}
    kept = {
        key: Column(place, key, _convert(arrow, fields[place], key), again.get(place))
        for place, key in enumerate(keys)
        if key is not None
    }
    of_id = kept.pop(id_name)
    _check_id(arrow, fields[of_id.place], id_name)
    is_metadata = whole in kept
    is_json = whole is not None and is_metadata and _is_json(arrow, fields[kept[whole].place])
    return Columns(of_id, [*kept.values()], is_metadata, is_json, left_out)


def _left_out(
    names: Sequence[str], about: Mapping[bytes, bytes] | None, renamed: Mapping[str, str] | None
) -> list[str]:
    """Return the columns that hold a table's index without a name, unless ``--map`` asks for one."""
    of_pandas = _unnamed_indexes((about or {}).get(b"pandas", b"null"))
    return [name for name in names if (_INDEX.fullmatch(name) or name in of_pandas) and name not in (renamed or {})]


def _unnamed_indexes(text: bytes) -> set[str]:
    """Return the columns that pandas says to be an index without a name."""
    try:
        about = json.loads(text)
        indexes = {name for name in about["index_columns"] if isinstance(name, str)}
        return {one["field_name"] for one in about["columns"] if one["name"] is None} & indexes
    except (ValueError, LookupError, TypeError):
        return set()  # another program's form


def _convert(arrow: Any, of_schema: Any, key: str) -> Convert:
    try:
        return converter(arrow, of_schema)
    except RowFault as fault:
        reason = str(fault)
    raise RowFault(f"the column {key} cannot be read: {reason}; leave it out with --map '{of_schema.name}='")


def _check_id(arrow: Any, of_schema: Any, id_name: str) -> None:
    kind = _of_entries(arrow, of_schema.type)
    is_uuid = isinstance(kind, arrow.BaseExtensionType) and kind.extension_name == "arrow.uuid"
    if unregistered_name(of_schema) is not None or not (is_text(arrow, kind) or is_uuid):
        raise RowFault(f"the column {id_name} is of type {kind}: it must be text")


def _is_json(arrow: Any, of_schema: Any) -> bool:
    """Return whether the column ``metadata`` holds JSON text; else it is a struct or a map."""
    kind = _of_entries(arrow, of_schema.type)
    if is_text(arrow, kind) or (isinstance(kind, arrow.BaseExtensionType) and kind.extension_name == "arrow.json"):
        return True
    if arrow.types.is_struct(kind) or arrow.types.is_map(kind):
        return False
    raise RowFault(f"the column metadata is of type {kind}: it must be JSON text, a struct or a map")


def _of_entries(arrow: Any, kind: Any) -> Any:
    return kind.value_type if arrow.types.is_dictionary(kind) else kind
