"""What Arrow's values take as Python's: an empty list of four bytes there is one of 56 here, and has a place."""

import sys
from typing import Any

__all__ = ["value_bytes"]

_OF_A_PLACE = 8
_OF_A_LIST = sys.getsizeof([]) + 2 * _OF_A_PLACE
"""With what it takes in advance for more items."""
_OF_A_TEXT = sys.getsizeof("é")
"""What a text takes beside its bytes."""
_OF_A_VALUE = 64
"""Of a number, a date, a time."""
_OF_A_DECIMAL = 128
_TEXTS = {"string", "large_string", "string_view", "binary", "large_binary", "binary_view"}
_OF_AN_ENTRY = sys.getsizeof((None, None)) + 104
"""Of a map, which comes as pairs and becomes a dict."""


def value_bytes(arrow: Any, array: Any) -> int:
    """Give the bytes that an array of Arrow's takes as Python's values, at the most or nearly so.

    Args:
        arrow: pyarrow, with ``pyarrow.compute`` imported where there are dictionaries.
        array: it may be a part of a longer one.
    """
    if isinstance(array, arrow.ExtensionArray):
        return value_bytes(arrow, array.storage)
    present: int = len(array) - array.null_count
    needed = len(array) * _OF_A_PLACE
    if arrow.types.is_struct(array.type):
        fields = [array.field(number) for number in range(array.type.num_fields)]
        needed += present * sys.getsizeof(dict.fromkeys(range(len(fields))))
        return needed + sum(value_bytes(arrow, field) for field in fields)
    if arrow.types.is_nested(array.type):  # a map, and lists of every kind
        first, count = _items_of(array)
        is_map = arrow.types.is_map(array.type)
        needed += present * _OF_A_LIST + (count * _OF_AN_ENTRY if is_map else 0)
        parts = (array.keys, array.items) if is_map else (array.values,)
        return needed + sum(value_bytes(arrow, part.slice(first, count)) for part in parts)
    return needed + present * _of_a_value(arrow, array.type) + _text_bytes(arrow, array)


def _of_a_value(arrow: Any, kind: Any) -> int:
    """Give what one of them takes beside its place and its text."""
    if arrow.types.is_null(kind):
        return 0
    if arrow.types.is_decimal(kind):
        return _OF_A_DECIMAL
    return _OF_A_TEXT if _is_text(kind) or arrow.types.is_dictionary(kind) else _OF_A_VALUE


def _items_of(array: Any) -> tuple[int, int]:
    """Tell where in what all lists hold the items of these begin, and how many they are."""
    size = getattr(array.type, "list_size", None)
    if size is not None:
        return array.offset * size, len(array) * size
    if not len(array):
        return 0, 0
    offsets = array.offsets
    first = offsets[0].as_py()
    return first, offsets[-1].as_py() - first


def _text_bytes(arrow: Any, array: Any) -> int:
    """Give the bytes of texts; of a dictionary's as often as one points to each."""
    found: int = 0
    if _is_text(array.type):
        found = array.nbytes
    elif arrow.types.is_dictionary(array.type) and _is_text(array.type.value_type):
        lengths = arrow.compute.binary_length(array.dictionary)
        found = arrow.compute.sum(lengths.take(array.indices)).as_py() or 0
    return found


def _is_text(kind: Any) -> bool:
    name = str(kind)
    return name in _TEXTS or name.startswith("fixed_size_binary")
