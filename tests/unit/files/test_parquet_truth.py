"""Random Parquet files whose truth is known, with bad values in them, damaged at random: what is read is the truth.

The truth is made by Python's own means, from values that hypothesis draws; the file from the same values by pyarrow.
``SPOTDX_CHAOS=full`` draws many more.
"""

import io
import json
import math
import struct
from collections.abc import Callable
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from attrs import evolve, frozen
from hypothesis import HealthCheck, given, reject, settings
from hypothesis import strategies as st

from spotdx_async import InvalidInputError
from spotdx_async.files import BadRow, Row, RowFile, open_rows
from spotdx_async.files.parquet_pages import pages_of
from tests.long_set import IS_FULL

EXAMPLES = settings(
    max_examples=2000 if IS_FULL else 60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)
EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - zones are added by name
MICRO = timedelta(microseconds=1)
UNITS = {"s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1}
BAD = object()
"""The truth of a value that JSON does not have."""


@frozen
class Kind:
    """A type: how its values are drawn, each with its truth, and how Arrow takes them."""

    arrow: pa.DataType
    pairs: st.SearchStrategy[tuple[Any, Any]]
    """What is stored, and what must be read: a JSON value, or BAD."""
    stored: pa.DataType | None = None
    """The type of what is stored, if Arrow takes it in another way."""

    def array(self, values: list[Any]) -> pa.Array:
        if self.stored is None:
            return pa.array(values, self.arrow)
        if isinstance(self.arrow, pa.BaseExtensionType):
            return pa.ExtensionArray.from_storage(self.arrow, pa.array(values, self.stored))
        return pa.array(values, self.stored).view(self.arrow)


def fraction(nanos: int) -> str:
    text = f"{nanos:09}"
    while text.endswith("000"):
        text = text[:-3]
    return f".{text}" if text else ""


def moment(nanos: int, suffix: str) -> Any:
    micros, rest = divmod(nanos, 1000)
    try:
        found = EPOCH + timedelta(microseconds=micros)
    except OverflowError:
        return BAD
    return f"{found.replace(microsecond=0).isoformat()}{fraction(found.microsecond * 1000 + rest)}{suffix}"


def day(days: int) -> Any:
    try:
        return (date(1970, 1, 1) + timedelta(days=days)).isoformat()
    except OverflowError:
        return BAD


def clock(nanos: int) -> Any:
    if not 0 <= nanos < 86_400 * 10**9:
        return BAD
    return (EPOCH + timedelta(seconds=nanos // 10**9)).time().isoformat() + fraction(nanos % 10**9)


def paired(values: st.SearchStrategy[Any], truth: Callable[[Any], Any]) -> st.SearchStrategy[tuple[Any, Any]]:
    return values.map(lambda value: (value, truth(value)))


def whole(bits: int) -> st.SearchStrategy[int]:
    return st.integers(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)


def same(value: Any) -> Any:
    return value


def finite(value: float) -> Any:
    return value if math.isfinite(value) else BAD


def single(value: float) -> Any:
    """The truth of 32 bits: the shortest decimal that is that number again, found by trying."""
    if not math.isfinite(value):
        return BAD
    shorter = (float(f"{value:.{digits}g}") for digits in range(1, 10))
    return (
        next(one for one in shorter if math.isclose(one, value, rel_tol=1e-6) and as_single(one) == value)
        if value
        else value
    )


def as_single(value: float) -> float:
    try:
        found: float = struct.unpack("f", struct.pack("f", value))[0]
    except OverflowError:
        return math.inf
    return found


def utf_8(data: bytes) -> Any:
    try:
        return data.decode()
    except UnicodeDecodeError:
        return BAD


def plain(value: Decimal) -> str:
    sign, digits, exponent = value.as_tuple()
    assert isinstance(exponent, int)
    text = "".join(map(str, digits)).rjust(1 - exponent, "0")
    return f"{'-' * sign}{text[:exponent]}.{text[exponent:]}"


def decimals(precision: int, scale: int) -> st.SearchStrategy[tuple[Any, Any]]:
    most = 10**precision - 1
    numbers = st.integers(-most, most)
    if not scale:
        return numbers.map(lambda number: (Decimal(number), number))
    return numbers.map(lambda number: number_with_scale(number, scale))


def number_with_scale(number: int, scale: int) -> tuple[Decimal, str]:
    value = Decimal((number < 0, tuple(map(int, str(abs(number)))), -scale))
    return value, plain(value)


TIMES = st.one_of(
    st.integers(-62_135_596_800, 253_402_300_799), st.sampled_from([0, -1, -62_135_596_801, 253_402_300_800])
)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
BYTES = st.one_of(TEXT.map(str.encode), st.binary(max_size=4))


def stamps(unit: str, zone: str | None) -> Kind:
    each = UNITS[unit]
    fits = st.builds(
        lambda second, part: second * (10**9 // each) + part % (10**9 // each), TIMES, st.integers(0, 10**9)
    )
    # Parquet has no seconds: they are stored as milliseconds.
    most = 2**63 // (1000 if unit == "s" else 1)
    values = st.one_of(fits, whole(64)).filter(lambda value: -most < value < most)
    pairs = paired(values, lambda value: moment(value * each, "Z" if zone else ""))
    return Kind(pa.timestamp(unit, zone), pairs, pa.int64())


def clocks(unit: str) -> Kind:
    kind, stored = (pa.time32, pa.int32()) if unit in {"s", "ms"} else (pa.time64, pa.int64())
    most = 86_400 * 10**9 // UNITS[unit]
    values = st.one_of(st.integers(0, most - 1), st.integers(-2, most + 2))
    return Kind(kind(unit), paired(values, lambda value: clock(value * UNITS[unit])), stored)


DAYS = st.one_of(st.integers(-719_170, 2_932_900), whole(32))
UUIDS = st.uuids().map(lambda value: (value.bytes, str(value)))
SCALARS = st.one_of(
    st.sampled_from([
        Kind(pa.bool_(), paired(st.booleans(), same)),
        *(Kind(kind, paired(whole(kind.bit_width), same)) for kind in (pa.int8(), pa.int16(), pa.int32(), pa.int64())),
        Kind(pa.uint64(), paired(st.integers(0, 2**64 - 1), same)),
        Kind(pa.float64(), paired(st.floats(), finite)),
        Kind(pa.float32(), paired(st.floats(width=32), single)),
        Kind(pa.string(), paired(BYTES, utf_8), pa.binary()),
        Kind(pa.large_string(), paired(BYTES, utf_8), pa.large_binary()),
        Kind(pa.string_view(), paired(BYTES, utf_8), pa.binary_view()),
        Kind(pa.date32(), paired(DAYS, day), pa.int32()),
        Kind(pa.binary(), paired(st.binary(max_size=3), lambda _: BAD)),
        Kind(pa.duration("us"), paired(whole(64), lambda _: BAD), pa.int64()),
        Kind(pa.uuid(), UUIDS, pa.binary(16)),
        *(Kind(pa.decimal128(digits, scale), decimals(digits, scale)) for digits, scale in ((38, 0), (38, 38), (5, 2))),
        Kind(pa.decimal256(76, 9), decimals(76, 9)),
    ]),
    st.builds(stamps, st.sampled_from([*UNITS]), st.sampled_from([None, "UTC", "Europe/Oslo", "Asia/Kathmandu"])),
    st.builds(clocks, st.sampled_from([*UNITS])),
)  # fmt: skip


@frozen
class Drawn:
    """A column: its array, and the truth of each value."""

    array: pa.Array
    truths: list[Any]


@st.composite
def columns(draw: Callable[[Any], Any], rows: int, depth: int = 2) -> Drawn:
    shapes = ["scalar", "scalar", *(["list", "struct", "map"] if depth else [])]
    shape = draw(st.sampled_from(shapes))
    is_null = draw(st.lists(st.booleans(), min_size=rows, max_size=rows)) if draw(st.booleans()) else [False] * rows
    if shape == "scalar":
        kind: Kind = draw(SCALARS)
        pairs = [None if null else draw(kind.pairs) for null in is_null]
        array = kind.array([None if pair is None else pair[0] for pair in pairs])
        if kind.arrow == pa.string() and draw(st.booleans()):
            array = array.dictionary_encode()
        return Drawn(array, [None if pair is None else pair[1] for pair in pairs])
    if shape == "struct":
        parts = [draw(columns(rows, depth - 1)) for _ in range(draw(st.integers(1, 3)))]
        names = [f"f{number}" for number in range(len(parts))]
        array = pa.StructArray.from_arrays([part.array for part in parts], names, mask=pa.array(is_null, pa.bool_()))
        together = [
            dict(zip(names, values, strict=True)) for values in zip(*(part.truths for part in parts), strict=True)
        ]
        return Drawn(
            array, [None if null else whole_or_bad(value) for null, value in zip(is_null, together, strict=True)]
        )
    sizes = [0 if null else draw(st.integers(0, 3)) for null in is_null]
    ends = [sum(sizes[:number]) for number in range(rows + 1)]
    offsets = pa.array([None if null else end for null, end in zip([*is_null, False], ends, strict=True)], pa.int32())
    items: Drawn = draw(columns(ends[-1], depth - 1))
    spans = [None if null else slice(*ends[row : row + 2]) for row, null in enumerate(is_null)]
    if shape == "list":
        array = pa.ListArray.from_arrays(offsets, items.array)
        return Drawn(array, [None if span is None else whole_or_bad(items.truths[span]) for span in spans])
    keys = draw(st.lists(st.sampled_from("abcdef"), min_size=ends[-1], max_size=ends[-1]))
    array = pa.MapArray.from_arrays(offsets, pa.array(keys, pa.string()), items.array)
    return Drawn(array, [None if span is None else map_truth(keys[span], items.truths[span]) for span in spans])


def whole_or_bad(value: Any) -> Any:
    parts = value.values() if isinstance(value, dict) else value
    return BAD if any(part is BAD for part in parts) else value


def map_truth(keys: list[str], values: list[Any]) -> Any:
    found = dict(zip(keys, values, strict=True))
    return whole_or_bad(found) if len(found) == len(keys) else BAD


@frozen
class File:
    """A file and what must be read from it: of each row the metadata, or BAD."""

    data: bytes
    truth: dict[str, Any]
    order: list[str]


@st.composite
def files(draw: Callable[[Any], Any]) -> File:
    rows = draw(st.integers(1, 12))
    drawn = [draw(columns(rows)) for _ in range(draw(st.integers(1, 3)))]
    ids = [f"K{number}" for number in range(rows)]
    names = [f"c{number}" for number in range(len(drawn))]
    truth: dict[str, Any] = {}
    for row, key in enumerate(ids):
        values = {name: column.truths[row] for name, column in zip(names, drawn, strict=True)}
        known = {name: value for name, value in values.items() if value is not None}
        truth[key] = BAD if not known else whole_or_bad(known)
    table = pa.table([pa.array(ids), *(column.array for column in drawn)], names=["kit_id", *names])
    has_views = "string_view" in str(table.schema)  # which pyarrow does not cut into row groups or pages
    sink = io.BytesIO()
    try:
        pq.write_table(
            table,
            sink,
            row_group_size=rows if has_views else draw(st.integers(1, rows)),
            compression=draw(st.sampled_from(["none", "snappy", "zstd", "gzip"])),
            use_dictionary=draw(st.booleans()),
            data_page_version=draw(st.sampled_from(["1.0", "2.0"])),
            store_schema=True,
            write_page_checksum=True,
            data_page_size=1024 * 1024 if has_views else draw(st.sampled_from([200, 1024 * 1024])),
        )
    except pa.ArrowNotImplementedError:
        reject()  # what pyarrow cannot write, such as views in some lists, is no file to be read
    return File(sink.getvalue(), truth, ids)


def key_at(number: int) -> str:
    return f"K{number - 1}"


def check_rows(rows: list[Row | BadRow], file: File) -> None:
    """Each row is the truth, or reported by its number and without a value where the truth is bad."""
    for number, row in enumerate(rows, start=1):
        truth = file.truth[key_at(number)]
        assert row.number == number
        if truth is BAD:
            assert isinstance(row, BadRow), row
            assert row.reason.startswith(("the column c", "the row sets nothing"))
            assert row.key == key_at(number)
        else:
            assert isinstance(row, Row), row
            assert (row.key, row.metadata) == (key_at(number), truth)
            assert repr(row.metadata) == repr(truth)


def read_as_lines(rows: list[Row | BadRow]) -> list[Row | BadRow]:
    data = b"".join(row.source or b"" for row in rows)
    return [*RowFile(io.BytesIO(data or b"\n"), name="failed", row_format="jsonl")]


def mended(line: bytes, truth: Any) -> bytes:
    """What a person makes of a bad row: the right value put in, what was rejected taken out."""
    row = json.loads(line)
    row.pop("rejected", None)
    row["metadata"] = truth
    return json.dumps(row).encode() + b"\n"


@EXAMPLES
@given(file=files())
def test_what_is_read_is_the_truth_or_is_reported(tmp_path: Path, file: File) -> None:
    path = tmp_path / "kits.parquet"
    path.write_bytes(file.data)

    with open_rows(path) as opened:
        rows = [*opened]

    assert len(rows) == len(file.truth)
    check_rows(rows, file)
    # As lines of the failed file the good ones are the same, and none of the bad ones is taken before it is mended.
    again = read_as_lines(rows)
    for row, line in zip(rows, again, strict=True):
        assert isinstance(line, type(row))
        assert row.key == line.key
        if isinstance(row, Row) and isinstance(line, Row):
            assert repr(line.metadata) == repr(row.metadata)
    repaired = [
        evolve(row, source=mended(row.source or b"", {"mended": row.number})) for row in rows if isinstance(row, BadRow)
    ]
    assert all(isinstance(row, Row) and row.metadata for row in read_as_lines([*repaired]))


@st.composite
def damages(draw: Callable[[Any], Any], file: File) -> bytes:
    """Turn a bit in a page (they have checksums), cut the file off, or put something behind it."""
    data = bytearray(file.data)
    how: str = draw(st.sampled_from(["bit", "bits", "cut", "more", "zeros"]))
    if how == "cut":
        kept: int = draw(st.integers(0, len(data) - 1))
        return bytes(data[:kept])
    if how == "more":
        more: bytes = draw(st.binary(min_size=1, max_size=20))
        return bytes(data) + more
    pages = [*page_bodies(file.data)]
    start, size = draw(st.sampled_from(pages))
    if how == "zeros":
        data[start : start + size] = bytes(size)
    for _ in range(1 if how == "bit" else 5):
        data[start + draw(st.integers(0, size - 1))] ^= 1 << draw(st.integers(0, 7))
    return bytes(data)


def page_bodies(data: bytes) -> list[tuple[int, int]]:
    about = pq.ParquetFile(io.BytesIO(data)).metadata
    found = []
    for group in range(about.num_row_groups):
        for number in range(about.num_columns):
            chunk = about.row_group(group).column(number)
            start = chunk.dictionary_page_offset or chunk.data_page_offset
            pages = pages_of(io.BytesIO(data), start=start, size=chunk.total_compressed_size, values=chunk.num_values)
            found += [(page.place, page.packed_bytes) for page in pages if page.packed_bytes]
    return found


@EXAMPLES
@given(data=st.data())
def test_of_a_damaged_file_the_rows_before_the_damage_are_the_truth(tmp_path: Path, data: st.DataObject) -> None:
    file = data.draw(files())
    path = tmp_path / "kits.parquet"
    path.write_bytes(damaged := data.draw(damages(file)))
    rows: list[Row | BadRow] = []
    end = None

    try:
        with open_rows(path) as opened:
            for row in opened:
                rows.append(row)  # noqa: PERF402 - those before the error count
    except (InvalidInputError, OSError) as error:
        end = error

    check_rows(rows, file)
    if damaged != file.data:
        assert end is not None or len(rows) == len(file.truth)
    if isinstance(end, InvalidInputError):
        assert not rows
    assert end is None or not any(secret in str(end) for secret in file.truth)
