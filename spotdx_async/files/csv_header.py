"""The header of CSV: which sign separates the cells, which column is which, and what to say where that fails."""

import re
from collections.abc import Mapping, Sequence
from shlex import quote

from spotdx_async.errors import InvalidInputError
from spotdx_async.files.row_shape import RowShape
from spotdx_async.files.rows import RowFault, check_names, invisible_in, rename_columns

__all__ = [
    "DELIMITERS",
    "check_delimiter",
    "delimiter_of_header",
    "delimiter_of_mark",
    "keys_of_names",
    "separators",
    "sign_name",
]

DELIMITERS = ",;\t|"
"""What is recognised without being told."""
_SIGN_NAMES = {",": "comma", ";": "semicolon", "\t": "tab", "|": "vertical bar"}
_SIGN_PLURALS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "vertical bars"}
_NAMED_DELIMITERS = {"tab": "\t", "\\t": "\t", "comma": ",", "semicolon": ";", "pipe": "|"}
_MARK = re.compile(r'"?sep=([^"\w\s]|\t)"?[\r\n]*', re.IGNORECASE)
_QUOTED = re.compile(r'"[^"]*+"')
_SHOWN_COLUMNS = 20
_LONGEST_SHOWN = 40
_COMMANDS = {"kit_id": "spotdx kits update", "order_id": "spotdx orders update"}
_HAS_VALUE = re.compile(r"[\d@]")


def check_delimiter(text: str) -> str:
    """Return the one character that ``--delimiter`` means.

    Raises:
        InvalidInputError: it is none that can separate cells.
    """
    sign = _NAMED_DELIMITERS.get(text.lower(), text)
    is_sign = len(sign) == 1 and sign.isascii() and not sign.isalnum() and sign not in '" '
    if is_sign and (sign.isprintable() or sign == "\t"):
        return sign
    raise InvalidInputError("--delimiter takes one character, such as ';' or '|', or the word tab")


def delimiter_of_mark(text: str) -> str | None:
    """Return the delimiter that a line such as ``sep=;`` names, as spreadsheets write it; else None."""
    mark = _MARK.fullmatch(text)
    return None if mark is None else mark[1]


def delimiter_of_header(text: str) -> str:
    """Return the delimiter: the one that the header shows, if it is exactly one, else the comma."""
    outside = _QUOTED.sub("", text)
    shown = [sign for sign in DELIMITERS if sign in outside]
    return shown[0] if len(shown) == 1 else ","


def sign_name(delimiter: str) -> str:
    """Return the delimiter in words."""
    return _SIGN_NAMES.get(delimiter, f"character {delimiter}")


def separators(delimiter: str) -> str:
    """Return what separates the cells, as a remark behind their names or number."""
    return f" (separated by {_SIGN_PLURALS.get(delimiter, delimiter)}; --delimiter names another separator)"


def keys_of_names(
    names: Sequence[str], columns: Mapping[str, str] | None, shape: RowShape, *, remark: str = ""
) -> list[str | None]:
    """Check column names, and return their keys, None for a column that is left out.

    Args:
        names: as the file has them.
        columns: the key for each column that has another name.
        shape: what a row holds.
        remark: what a reader must know of the names that are listed, such as what was taken to separate them.

    Raises:
        RowFault: they cannot make rows. The reason names columns only where they surely are names: in a file without a
            header, and in one that was made from such a file, they are patient data.
    """
    id_name = shape.id_name
    if id_name not in names and id_name not in (columns or {}).values():
        _check_near_names(names, shape)
        raise RowFault(_missing_id(names, shape, remark))
    check_names(names, columns)
    keys = rename_columns(names, columns)
    shape.check_columns(keys)
    return keys


def _check_near_names(names: Sequence[str], shape: RowShape) -> None:
    """Refuse a name that looks like the id's and is not: what differs cannot be seen, nor be typed behind ``--map``."""
    for column, name in enumerate(names, start=1):
        if not shape.is_near_id(name):
            continue
        if (found := invisible_in(name)) is not None:
            raise RowFault(f"the name of column {column} holds the invisible character U+{ord(found):04X}: remove it")
        if name != name.strip():
            raise RowFault(
                f"the name of column {column} has whitespace around it: remove that, or name it with --map as it is"
            )


def _missing_id(names: Sequence[str], shape: RowShape, remark: str) -> str:
    id_name = shape.id_name
    if not any(map(str.strip, names)):
        return "it is blank"
    fault = f"no column is named {id_name}"
    fault += "".join(f"; {other} is for {command}" for other, command in _COMMANDS.items() if other in names)
    near = [name for name in names if shape.is_near_id(name)]
    if not near and any(map(_HAS_VALUE.search, names)) and not any(map(shape.knows, names)):
        look = f"the names of the {len(names):,} columns{remark} look like values"
        if len(names) == 1:
            look = f"the name of the only column{remark} looks like a value"
        return f"{fault}; {look}: is the header missing?"
    shown = ", ".join(map(_shown, names[:_SHOWN_COLUMNS]))
    more = ", …" if len(names) > _SHOWN_COLUMNS else ""
    fault += f"; the columns are: {shown}{more}{remark}"
    thing = "key" if id_name == "key" else "id"
    if len(near) == 1:
        return f"{fault}; if {near[0].strip()} is the {thing}, pass --map {quote(f'{near[0]}={id_name}')}"
    return f"{fault}; --map 'COLUMN={id_name}' says which one is the {thing}"


def _shown(name: str) -> str:
    name = name.strip()[:_LONGEST_SHOWN]
    return f'"{name}"' if "," in name else name
