"""Arrow arrays to JSON values, by a converter for each type of the schema; knows no file and no row.

A converter is made once for a column, from its type: no value decides how another is read. pyarrow is passed in.
"""

import math
import struct
from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache, partial
from typing import Any, TypeAlias

from attrs import field, frozen

from spotdx_async.files.parquet_times import date_text, time_text, timestamp_text
from spotdx_async.files.rows import RowFault

__all__ = ["Convert", "Converted", "converter", "is_text", "unregistered_name"]

_MOST_HALF = 65504.0
"""The largest number of 16 bits."""
_MAX_DEPTH = 100
"""Deeper schemas do not occur, and JSON writers and readers have limits of their own: orjson's is 254."""
_SHOWN_BYTES = 64
"""The most bytes of a binary value that are shown in a failed row: nobody mends more by hand."""
_DAY_MS = 24 * 60 * 60 * 1000
_OUT_OF_YEARS = "outside the years 1 to 9999"


@frozen
class Converted:
    """The values of one array as JSON has them, each by itself."""

    values: list[Any] = field(repr=False)
    """One for each value, None for a null. A bad one shows as well as JSON can what the file holds."""
    faults: dict[int, str] = field(factory=dict)
    """Why a value must not be sent, by its position; it completes "the column x holds …", and shows no value."""


Convert: TypeAlias = Callable[[Any], Converted]
"""Converts an Arrow array, which may be a slice."""


def converter(arrow: Any, column: Any, depth: int = 0) -> Convert:
    """Return what converts the arrays of a column, or of a field in it.

    Args:
        arrow: pyarrow.
        column: pyarrow's field.
        depth: how many levels it is nested in.

    Raises:
        RowFault: no value of such a type has a JSON form, because two fields of a struct have one name, or because it
            is nested too deeply.
    """
    if depth > _MAX_DEPTH:
        raise RowFault(f"it is nested deeper than {_MAX_DEPTH} levels")
    types, kind = arrow.types, column.type
    if isinstance(kind, arrow.BaseExtensionType):
        return _extension(arrow, kind, depth)
    if (name := unregistered_name(column)) is not None:
        return partial(_unknown, arrow, name)
    if types.is_dictionary(kind):
        return partial(_dictionary, arrow, converter(arrow, arrow.field("", kind.value_type), depth + 1))
    if types.is_struct(kind):
        return _struct(arrow, kind, depth)
    if types.is_map(kind):
        inner = [converter(arrow, part, depth + 1) for part in (kind.key_field, kind.item_field)]
        return partial(_map, arrow, *inner)
    if types.is_nested(kind) and not types.is_union(kind):  # lists of every kind
        return partial(_list, arrow, converter(arrow, kind.value_field, depth + 1))
    return _scalar(arrow, kind)


def is_text(arrow: Any, kind: Any) -> bool:
    """Return whether values of a type are text."""
    return any(
        is_one(kind) for is_one in (arrow.types.is_string, arrow.types.is_large_string, arrow.types.is_string_view)
    )


def unregistered_name(column: Any) -> str | None:
    """Return the name of a type that pyarrow does not know, and hands on as what it is stored as; usually None."""
    name = (column.metadata or {}).get(b"ARROW:extension:name")
    return None if name is None else name.decode("utf-8", "replace")


def _scalar(arrow: Any, kind: Any) -> Convert:
    types = arrow.types
    if is_text(arrow, kind):
        return partial(_texts, _stored_text(arrow, kind))
    if types.is_boolean(kind) or types.is_integer(kind) or types.is_null(kind):
        return _as_stored
    if types.is_float64(kind):
        return _floats
    if types.is_float32(kind):
        return partial(_single_floats, arrow)
    if types.is_float16(kind):
        return _half_floats
    if types.is_decimal(kind):
        return partial(_decimals, arrow.binary(kind.byte_width), kind.scale)
    if types.is_temporal(kind) and not types.is_duration(kind) and not types.is_interval(kind):
        return _temporal(arrow, kind)
    return partial(_unknown, arrow, str(kind))


def _as_stored(array: Any) -> Converted:
    return Converted(array.to_pylist())


def _floats(array: Any) -> Converted:
    return _finite(array.to_pylist())


def _single_floats(arrow: Any, array: Any) -> Converted:
    # Arrow writes the shortest digits that make the same number of 32 bits again: 0.1, not 0.10000000149011612.
    texts = array.cast(arrow.string()).to_pylist()
    return _finite([None if text is None else float(text) for text in texts])


def _half_floats(array: Any) -> Converted:
    return _finite([None if value is None else _shortest_half(value) for value in array.to_pylist()])


@lru_cache(maxsize=4096)
def _shortest_half(value: float) -> float:
    if not math.isfinite(value):
        return value
    shorter = (float(f"{value:.{digits}g}") for digits in range(1, 6))
    return next((one for one in shorter if abs(one) <= _MOST_HALF and _half(one) == value), value)


def _half(value: float) -> float:
    found: float = struct.unpack("<e", struct.pack("<e", value))[0]
    return found


def _finite(values: list[float | None]) -> Converted:
    odd = [place for place, value in enumerate(values) if value is not None and not math.isfinite(value)]
    found: list[Any] = list(values) if odd else values
    for place in odd:
        value = values[place]
        found[place] = "NaN" if value != value else "Infinity" if value == math.inf else "-Infinity"  # noqa: PLR0124
    return Converted(found, dict.fromkeys(odd, "NaN or an infinity, which JSON does not have"))


def _decimals(stored: Any, scale: int, array: Any) -> Converted:
    """Convert to text with all digits of the scale, never an exponent; to integers if the type has no fraction."""
    numbers = [
        None if value is None else int.from_bytes(value, "little", signed=True)
        for value in array.view(stored).to_pylist()
    ]
    if scale <= 0:
        return Converted([None if number is None else number * 10**-scale for number in numbers])
    return Converted([None if number is None else _plain(number, scale) for number in numbers])


def _plain(number: int, scale: int) -> str:
    digits = f"{abs(number):0{scale + 1}}"
    return f"{'-' if number < 0 else ''}{digits[:-scale]}.{digits[-scale:]}"


def _temporal(arrow: Any, kind: Any) -> Convert:
    types = arrow.types
    if types.is_date32(kind):
        return partial(_integers, arrow.int32(), date_text, f"a date {_OUT_OF_YEARS}", "days since 1970-01-01")
    if types.is_date64(kind):
        reason = f"a date {_OUT_OF_YEARS}, or a part of a day"
        return partial(_integers, arrow.int64(), _date_of_millis, reason, "ms since 1970-01-01")
    if types.is_time(kind):
        stored = arrow.int32() if types.is_time32(kind) else arrow.int64()
        reason = "a time of day that is not within a day"
        return partial(_integers, stored, time_text(kind.unit), reason, f"{kind.unit} since midnight")
    text = timestamp_text(kind.unit, "" if kind.tz is None else "Z")
    where = "1970-01-01" if kind.tz is None else "1970-01-01T00:00:00Z"
    return partial(_integers, arrow.int64(), text, f"a time {_OUT_OF_YEARS}", f"{kind.unit} since {where}")


def _date_of_millis(value: int) -> str | None:
    days, rest = divmod(value, _DAY_MS)
    return None if rest else date_text(days)


def _integers(stored: Any, text: Callable[[int], str | None], reason: str, unit: str, array: Any) -> Converted:
    """Convert what is stored as integers; a value without a text is bad for the reason."""
    numbers = array.view(stored).to_pylist()
    values = [None if number is None else text(number) for number in numbers]
    faults: dict[int, str] = {}
    if values.count(None) != array.null_count:
        for place, number in enumerate(numbers):
            if number is not None and values[place] is None:
                values[place], faults[place] = f"{number} {unit}", reason
    return Converted(values, faults)


def _stored_text(arrow: Any, kind: Any) -> Any:
    """Return the type of the bytes of texts."""
    if arrow.types.is_string_view(kind):
        return arrow.binary_view()
    return arrow.large_binary() if arrow.types.is_large_string(kind) else arrow.binary()


def _texts(stored: Any, array: Any) -> Converted:
    try:
        return Converted(array.to_pylist())
    except ValueError:
        pass  # one of them is not UTF-8; which one is found below, outside of the error that quotes it
    values: list[Any] = []
    faults: dict[int, str] = {}
    for place, data in enumerate(array.view(stored).to_pylist()):
        text = None if data is None else data.decode("utf-8", "backslashreplace")
        if text is not None and text.encode() != data:
            faults[place] = "text that is not UTF-8"
        values.append(text)
    return Converted(values, faults)


def _dictionary(arrow: Any, convert: Convert, array: Any) -> Converted:
    """Convert the entries that are pointed to, each once."""
    indices = array.indices.to_pylist()
    used = sorted({index for index in indices if index is not None})
    entries = convert(array.dictionary.take(arrow.array(used, arrow.int64())))
    places = {index: place for place, index in enumerate(used)}
    pointed = [None if index is None else places[index] for index in indices]
    values = [None if place is None else entries.values[place] for place in pointed]
    if not entries.faults:
        return Converted(values)
    faults = {row: entries.faults[place] for row, place in enumerate(pointed) if place in entries.faults}
    return Converted(values, faults)


def _struct(arrow: Any, kind: Any, depth: int) -> Convert:
    fields = [kind.field(number) for number in range(kind.num_fields)]
    names = [one.name for one in fields]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise RowFault(f"two of its fields have the name {twice}")
    return partial(_structs, arrow, names, [converter(arrow, one, depth + 1) for one in fields])


def _structs(arrow: Any, names: Sequence[str], converts: Sequence[Convert], array: Any) -> Converted:
    fields = [convert(array.field(number)) for number, convert in enumerate(converts)]
    values: list[Any] = [
        dict(zip(names, parts, strict=True)) for parts in zip(*(one.values for one in fields), strict=True)
    ]
    is_there = _validity(arrow, array)
    if is_there is not None:
        values = [value if there else None for value, there in zip(values, is_there, strict=True)]
    faults: dict[int, str] = {}
    for one in fields:
        faults.update((place, why) for place, why in one.faults.items() if values[place] is not None)
    return Converted(values, faults)


def _list(arrow: Any, convert: Convert, array: Any) -> Converted:
    spans = _spans(arrow, array)
    first, last = _reach(spans)
    items = convert(array.values.slice(first, last - first))
    values: list[Any] = [None if span is None else items.values[span[0] - first : span[1] - first] for span in spans]
    return Converted(values, _faults_within(items.faults, spans, first))


def _map(arrow: Any, convert_key: Convert, convert_item: Convert, array: Any) -> Converted:
    spans = _spans(arrow, array)
    first, last = _reach(spans)
    keys = convert_key(array.keys.slice(first, last - first))
    items = convert_item(array.items.slice(first, last - first))
    faults = _faults_within({**items.faults, **keys.faults}, spans, first)
    values: list[Any] = []
    for row, span in enumerate(spans):
        if span is None:
            values.append(None)
            continue
        part = slice(span[0] - first, span[1] - first)
        names, of_names = keys.values[part], items.values[part]
        if not all(isinstance(name, str) for name in names):
            faults[row] = "a map whose keys are not text"
        elif len(value := dict(zip(names, of_names, strict=True))) == len(names):
            values.append(value)
            continue
        else:
            faults[row] = "a map in which a key occurs twice"
        # Shown as pairs: as an object it would lack some of them.
        values.append([[*pair] for pair in zip(names, of_names, strict=True)])
    return Converted(values, faults)


def _spans(arrow: Any, array: Any) -> list[tuple[int, int] | None]:
    """Return where the items of each list begin and end among those of the whole array; None for a null."""
    size = getattr(array.type, "list_size", None)
    starts: Iterable[int]
    ends: Iterable[int]
    if size is not None:
        starts = range(array.offset * size, (array.offset + len(array)) * size, size) if size else [0] * len(array)
        ends = (start + size for start in starts)
    elif hasattr(array, "sizes"):
        starts = array.offsets.to_pylist()
        ends = map(sum, zip(starts, array.sizes.to_pylist(), strict=True))
    else:
        offsets = array.offsets.to_pylist() or [0]
        starts, ends = offsets[:-1], offsets[1:]
    is_there = _validity(arrow, array)
    if is_there is None:
        return [*zip(starts, ends, strict=True)]
    return [(start, end) if there else None for start, end, there in zip(starts, ends, is_there, strict=True)]


def _reach(spans: Sequence[tuple[int, int] | None]) -> tuple[int, int]:
    known = [span for span in spans if span is not None]
    return (min(start for start, _ in known), max(end for _, end in known)) if known else (0, 0)


def _faults_within(faults: dict[int, str], spans: Sequence[tuple[int, int] | None], first: int) -> dict[int, str]:
    """Return the faults of the lists, from those of their items."""
    if not faults:
        return {}
    bad = sorted(faults)
    found: dict[int, str] = {}
    for row, span in enumerate(spans):
        place = 0 if span is None else bisect_right(bad, span[0] - first - 1)
        if span is not None and place < len(bad) and bad[place] < span[1] - first:
            found[row] = faults[bad[place]]
    return found


def _validity(arrow: Any, array: Any) -> list[bool] | None:
    """Return which values are there; None if all are."""
    if not array.null_count:
        return None
    bits = [None, array.buffers()[0]]
    found: list[bool] = arrow.Array.from_buffers(arrow.bool_(), len(array), bits, offset=array.offset).to_pylist()
    return found


def _extension(arrow: Any, kind: Any, depth: int) -> Convert:
    stored = arrow.field("", kind.storage_type)
    name = kind.extension_name
    if name == "arrow.uuid":
        return _uuids
    if name == "arrow.bool8":
        return _booleans_of_bytes
    if name == "arrow.json":
        convert = converter(arrow, stored, depth + 1)
        return lambda array: convert(array.storage)
    return partial(_unknown, arrow, name)


def _booleans_of_bytes(array: Any) -> Converted:
    return Converted([None if value is None else value != 0 for value in array.storage.to_pylist()])


def _uuids(array: Any) -> Converted:
    return Converted([None if value is None else _uuid(value.hex()) for value in array.storage.to_pylist()])


def _uuid(digits: str) -> str:
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def _unknown(arrow: Any, name: str, array: Any) -> Converted:
    """Convert what has no JSON form: each value is bad, a null is not."""
    stored = getattr(array, "storage", array)
    is_there = _validity(arrow, stored)
    there = [place for place in range(len(stored)) if is_there is None or is_there[place]]
    values: list[Any] = [None] * len(stored)
    for place in there:
        values[place] = _shown(arrow, stored, place)
    return Converted(values, dict.fromkeys(there, f"values of type {name}, which JSON does not have"))


def _shown(arrow: Any, array: Any, place: int) -> str:
    kind, types = array.type, arrow.types
    if types.is_duration(kind):
        return f"{array.view(arrow.int64())[place].as_py()} {kind.unit}"
    if any(is_one(kind) for is_one in (types.is_binary, types.is_large_binary, types.is_binary_view)) or (
        types.is_fixed_size_binary(kind)
    ):
        data = array[place].as_py()
        return data.hex() if len(data) <= _SHOWN_BYTES else f"{len(data):,} bytes"
    return str(array[place].as_py()) if types.is_integer(kind) else str(kind)
