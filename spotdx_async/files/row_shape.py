"""What the rows of a file mean: which column is the id, and where every other one goes; knows no file format."""

import re
from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from shlex import quote
from typing import Any, Literal, TypeAlias

from attrs import field, frozen

from spotdx_async.files.rows import EMPTY_ROW, RowFault, check_key

__all__ = ["KIT_ROWS", "ORDER_ROWS", "Cell", "ObjectShape", "RowShape", "shape_of"]

CellKind: TypeAlias = Literal["text", "list", "date", "flag"]

_FREE = "metadata."
_SHOWN_COLUMNS = 5
_LONGEST_SHOWN = 40
_CLOSE_ENOUGH = 0.8
"""Of names that are compared letter by letter: one letter wrong in five. A choice."""
_MIDNIGHT = re.compile(r"(\d{4}-\d{2}-\d{2})[T ]00:00:00(\.0+)?")
"""How spreadsheets and data frames keep a day."""
_OTHER_SIGNS = re.compile(r"[,|\r\n]")
"""What people put between the items of a list, other than ``;``; one item may hold it, and then ends with ``;``."""
_FLAGS = {"true": True, "false": False}


@frozen
class RowShape:
    """An id and metadata: a column for each metadata key, or one named ``metadata`` that holds them all."""

    id_name: str
    """The name of the column, or JSON key, that holds the id."""
    near_ids: frozenset[str] = frozenset()
    """Headers that probably mean the id, letters and digits alone; its own name in another form is one as well."""
    content_name: str = "metadata"
    """The JSON key that holds everything but the id."""

    @property
    def whole(self) -> str | None:
        """The name of the column that holds everything but the id; None if there can be none."""
        return self.content_name

    def knows(self, name: str) -> bool:  # noqa: ARG002 - as of objects
        """Return whether a column's name can only be a name."""
        return False

    def is_near_id(self, name: str) -> bool:
        """Return whether a column's name probably means the id."""
        letters = _letters(name)
        return letters == _letters(self.id_name) or letters in self.near_ids

    def check_columns(self, keys: Sequence[str | None]) -> None:
        """Check that the columns can make rows.

        Raises:
            RowFault: there is no id, nothing but the id, another column beside ``metadata``, or two keys that differ
                only in case or spaces, of which one is surely a mistake.
        """
        kept = _checked_columns(keys, self.id_name)
        if len(kept) == 1:
            raise RowFault(f"there is no column but {self.id_name}: each metadata key needs one")
        if self.content_name in kept and len(kept) > 2:  # noqa: PLR2004 - the id and metadata
            what = f"a column {self.content_name} holds all metadata"
            raise RowFault(f"{what}, so there must be none but it and {self.id_name}")

    def content_of(self, cells: dict[str, Any], *, allows_empty: bool) -> dict[str, Any]:
        """Return what the cells of a row hold, those that are empty left out.

        Raises:
            RowFault: nothing, and ``allows_empty`` is False.
        """
        if not cells and not allows_empty:
            raise RowFault(EMPTY_ROW)
        return cells

    def read_json(self, value: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        """Return the id and what a JSON row holds beside it.

        Raises:
            RowFault: it has another form.
        """
        for name in (self.id_name, self.content_name):
            if name not in value:
                row = f'{{"{self.id_name}": …, "{self.content_name}": {{…}}}}'
                raise RowFault(f"the key {name} is missing: a row is {row}")
        return self._checked_key(value), self._content_in(value)

    def _checked_key(self, value: dict[str, Any]) -> str:
        key = value[self.id_name]
        if not isinstance(key, str):
            raise RowFault(f"the {self.id_name} is not a string")
        check_key(key, self.id_name)
        return key

    def _content_in(self, value: dict[str, Any]) -> dict[str, Any]:
        if value.keys() != {self.id_name, self.content_name}:
            raise RowFault(f"the row has keys other than {self.id_name} and {self.content_name}")
        content = value[self.content_name]
        if not isinstance(content, dict):
            raise RowFault(f"the {self.content_name} is not a JSON object")
        return content


@frozen
class Cell:
    """Where a column of its own name goes in an object."""

    path: tuple[str, ...]
    kind: CellKind = "text"


@frozen(kw_only=True)
class ObjectShape(RowShape):
    """An id and an object: a column for each field, also of objects within, and one for each metadata key."""

    columns: Mapping[str, Cell] = field(repr=False)
    required: Sequence[str] = ()
    """Columns without which no row can be created."""
    has_metadata: bool = False
    """Whether columns named ``metadata.NAME`` set metadata."""
    meanings: Mapping[str, str] = field(factory=dict, repr=False)
    """Columns by other names that people give them, letters and digits alone."""

    @property
    def whole(self) -> None:
        """None: there is no such column."""
        return

    def knows(self, name: str) -> bool:
        """Return whether a column's name can only be a name: it is one of the object's."""
        return name in self.columns

    def check_columns(self, keys: Sequence[str | None]) -> None:
        """Check that the columns can make rows.

        Raises:
            RowFault: as for rows of metadata, or a column is none of the object's; the reason names it and the one that
                was probably meant. The line surely is a header then, since it names the id. Or columns are missing
                that every row needs, which is told once and not of each row.
        """
        kept = _checked_columns(keys, self.id_name)
        if unknown := [key for key in kept if key != self.id_name and not self._is_known(key)]:
            raise RowFault("; ".join(self._misses(unknown, taken=kept)))
        if missing := [name for name in self.required if name not in kept]:
            names = " or ".join(filter(None, (", ".join(missing[:-1]), missing[-1])))
            raise RowFault(f"no column is named {names}, which each {self.content_name} needs")
        if len(kept) == 1:
            raise RowFault(f"there is no column but {self.id_name}: each field of the {self.content_name} needs one")

    def content_of(self, cells: dict[str, Any], *, allows_empty: bool) -> dict[str, Any]:  # noqa: ARG002 - as others
        """Return the object that the cells make; one of another type stays what it is, for whoever checks the object.

        Raises:
            RowFault: all cells are empty.
        """
        if not cells:
            raise RowFault(f"the row holds nothing but its {self.id_name}")
        content: dict[str, Any] = {}
        for name, value in cells.items():
            if value == "" and name in self.columns:
                continue  # as CSV has an empty cell
            cell = self.columns.get(name) or Cell(("metadata", name.removeprefix(_FREE)))
            place = content
            for step in cell.path[:-1]:
                place = place.setdefault(step, {})
            place[cell.path[-1]] = value if name not in self.columns else _value_of(value, cell.kind)
        return content

    def read_json(self, value: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        """Return the id and the object, which is under its name or beside the id.

        Raises:
            RowFault: it has another form.
        """
        if self.id_name not in value:
            others = {self.content_name, *self.columns}
            near = [name for name in value if self.is_near_id(name) and name not in others]
            raise RowFault(f"the row has no {self.id_name}" + (f": is it {near[0]}?" if len(near) == 1 else ""))
        key = self._checked_key(value)
        if self.content_name in value:
            return key, self._content_in(value)
        content = {name: item for name, item in value.items() if name != self.id_name}
        if not content:
            raise RowFault(f"the row has no {self.content_name}")
        return key, content

    def _is_known(self, name: str) -> bool:
        return name in self.columns or (
            self.has_metadata and name.startswith("metadata.") and len(name) > len("metadata.")
        )

    def _misses(self, unknown: Sequence[str], *, taken: Sequence[str]) -> Iterator[str]:
        """Say of all names at once which ones are probably meant, to be pasted, and of the others what can be done."""
        meant: dict[str, str] = {}
        for name in unknown:
            near = self._near(name)
            if near is not None and near not in taken and near not in meant.values():
                meant[name] = near
        if meant:
            *others, last = (name[:_LONGEST_SHOWN] for name in meant)
            names = f"columns may be named {', '.join(others)} and {last}" if others else f"column may be named {last}"
            maps = (f"--map {quote(f'{name[:_LONGEST_SHOWN]}={near}')}" for name, near in meant.items())
            yield f"no {names}: pass {' '.join(maps)}"
        left = [name[:_LONGEST_SHOWN] for name in unknown if name not in meant]
        for name in left[:_SHOWN_COLUMNS]:
            keeps = f", {quote(f'{name}={_FREE}{name}')} keeps it as metadata" if self.has_metadata else ""
            yield f"no column may be named {name}: --map {quote(f'{name}=')} leaves it out{keeps}"
        if len(left) > _SHOWN_COLUMNS:
            yield f"and {len(left) - _SHOWN_COLUMNS:,} more"

    def _near(self, name: str) -> str | None:
        letters = _letters(name)
        known = {_letters(column): column for column in self.columns} | dict(self.meanings)
        if letters in known:
            return known[letters]
        close = get_close_matches(letters, known, n=1, cutoff=_CLOSE_ENOUGH)
        return known[close[0]] if close else None


def _value_of(value: Any, kind: CellKind) -> Any:
    if not isinstance(value, str):
        return value
    if kind == "list" and _OTHER_SIGNS.search(value) and ";" not in value:
        return value  # whoever checks the object says that it is no list
    if kind == "list":
        return [part.strip() for part in value.split(";") if part.strip()]
    if kind == "flag":
        return _FLAGS.get(value.strip().lower(), value)
    if kind == "date" and (day := _MIDNIGHT.fullmatch(value)):
        return day[1]
    return value


def _letters(name: str) -> str:
    return re.sub(r"[\W_]", "", name).casefold()


def _checked_columns(keys: Sequence[str | None], id_name: str) -> list[str]:
    kept = [key for key in keys if key is not None]
    found: dict[str, int] = {}
    for column, key in enumerate(keys, start=1):
        if key is not None and (first := found.setdefault("".join(key.split()).casefold(), column)) != column:
            raise RowFault(f"the names of columns {first} and {column} differ only in case or spaces")
    if id_name not in kept:
        raise RowFault(f"no column is named {id_name}")
    return kept


_OF_KITS = {"kit", "kits", "kitno", "kitnr", "kitnumber", "kitcode", "kitbarcode", "barcode", "id"}
_OF_ORDERS = {"order", "orders", "orderno", "ordernr", "ordernumber", "ordercode", "id"}
KIT_ROWS = RowShape("kit_id", frozenset(_OF_KITS))
"""Metadata of kits."""
ORDER_ROWS = RowShape("order_id", frozenset(_OF_ORDERS))
"""Metadata of orders."""


def shape_of(id_name: str, shape: RowShape | None) -> RowShape:
    """Return the shape that is given, else that of metadata beside an id of this name."""
    known = {one.id_name: one for one in (KIT_ROWS, ORDER_ROWS)}
    return shape or known.get(id_name) or RowShape(id_name)
