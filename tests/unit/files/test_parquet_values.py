"""Each value of a Parquet file by itself: its exact form by the type of its column, or its row is bad with the reason.

Every case stands between two usual values of the same column, which it must not change.
"""

import json
from collections.abc import Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from spotdx_async import InvalidInputError
from spotdx_async.files import BadRow, Reading, Row, open_rows
from spotdx_async.files.json_text import parse_object
from spotdx_async.files.parquet_times import date_text, timestamp_text

SECRET = "4611686018427387904"
"""2**62, the value that no reason may show."""
UTC_US = pa.timestamp("us", "UTC")
OSLO_US = pa.timestamp("us", "Europe/Oslo")
PLAIN_NS = pa.timestamp("ns")
TEXT_MAP = pa.map_(pa.string(), pa.int64())
MS = 1000
YEAR_1_US = -62_135_596_800_000_000
LAST_US = 253_402_300_799_999_999

BOOL8 = pa.ExtensionArray.from_storage(pa.bool8(), pa.array([1, 0, 1], pa.int8()))


def raw(values: Sequence[int], stored: pa.DataType, kind: pa.DataType) -> pa.Array:
    return pa.array(values, stored).view(kind)


def text_of(data: bytes) -> pa.Array:
    return pa.array([b"usual", data, b"usual"], pa.binary()).view(pa.string())


def read(path: Path, data: dict[str, Any], **options: Any) -> list[Row | BadRow]:
    pq.write_table(pa.table(data), path)
    with open_rows(path, **options) as file:
        return [*file]


GOOD: dict[str, tuple[pa.Array, Any, Any]] = {
    # The values of three rows, what the first and last are as JSON, and what the one between is.
    "nanoseconds": (raw([0, 1, 0], pa.int64(), PLAIN_NS), "1970-01-01T00:00:00", "1970-01-01T00:00:00.000000001"),
    "nanoseconds with a zone": (
        raw([0, 1_700_000_000_123_456_789, 0], pa.int64(), pa.timestamp("ns", "America/New_York")),
        "1970-01-01T00:00:00Z",
        "2023-11-14T22:13:20.123456789Z",
    ),
    "microseconds": (raw([0, 1, 0], pa.int64(), UTC_US), "1970-01-01T00:00:00Z", "1970-01-01T00:00:00.000001Z"),
    "milliseconds": (
        raw([0, 1_500, 0], pa.int64(), pa.timestamp("ms")),
        "1970-01-01T00:00:00",
        "1970-01-01T00:00:01.500",
    ),
    "before 1970": (raw([0, -1, 0], pa.int64(), UTC_US), "1970-01-01T00:00:00Z", "1969-12-31T23:59:59.999999Z"),
    "year 1": (raw([0, YEAR_1_US, 0], pa.int64(), UTC_US), "1970-01-01T00:00:00Z", "0001-01-01T00:00:00Z"),
    "year 1 in a zone east of UTC": (
        raw([0, YEAR_1_US, 0], pa.int64(), OSLO_US),
        "1970-01-01T00:00:00Z",
        "0001-01-01T00:00:00Z",
    ),
    "the end of 9999 in a zone east of UTC": (
        raw([0, LAST_US, 0], pa.int64(), OSLO_US),
        "1970-01-01T00:00:00Z",
        "9999-12-31T23:59:59.999999Z",
    ),
    "a zone that does not exist": (
        raw([0, 0, 0], pa.int64(), pa.timestamp("us", "Mars/Base")),
        "1970-01-01T00:00:00Z",
        "1970-01-01T00:00:00Z",
    ),
    "a leap day": (raw([0, 19_782, 0], pa.int32(), pa.date32()), "1970-01-01", "2024-02-29"),
    "the first day": (raw([0, -719_162, 0], pa.int32(), pa.date32()), "1970-01-01", "0001-01-01"),
    "the last day": (raw([0, 2_932_896, 0], pa.int32(), pa.date32()), "1970-01-01", "9999-12-31"),
    "time of day in ns": (
        raw([0, 86_399_999_999_999, 0], pa.int64(), pa.time64("ns")),
        "00:00:00",
        "23:59:59.999999999",
    ),
    "time of day in ms": (raw([0, 45_000_001, 0], pa.int32(), pa.time32("ms")), "00:00:00", "12:30:00.001"),
    "float32": (pa.array([1.5, 0.1, 1.5], pa.float32()), 1.5, 0.1),
    "large float32": (pa.array([1.5, 1e20, 1.5], pa.float32()), 1.5, 1e20),
    "smallest float32": (pa.array([1.5, 1e-45, 1.5], pa.float32()), 1.5, 1e-45),
    "float16": (pa.array([1.5, 0.1, 1.5], pa.float16()), 1.5, 0.1),
    "largest float16": (pa.array([1.5, 65504.0, 1.5], pa.float16()), 1.5, 65500.0),
    "float64": (pa.array([1.5, 5e-324, 1.5]), 1.5, 5e-324),
    "minus zero": (pa.array([1.5, -0.0, 1.5]), 1.5, -0.0),
    "a small decimal": (
        pa.array([Decimal(1), Decimal("1e-10"), Decimal(1)], pa.decimal128(20, 10)),
        "1.0000000000",
        "0.0000000001",
    ),
    "a negative decimal": (pa.array([Decimal(1), Decimal("-0.05"), Decimal(1)], pa.decimal128(5, 2)), "1.00", "-0.05"),
    "a zero with a scale": (
        pa.array([Decimal(1), Decimal(0), Decimal(1)], pa.decimal128(20, 9)),
        "1.000000000",
        "0.000000000",
    ),
    "a decimal of 76 digits": (
        pa.array([Decimal(1), Decimal("9" * 75 + ".9"), Decimal(1)], pa.decimal256(76, 1)),
        "1.0",
        "9" * 75 + ".9",
    ),
    "a whole decimal": (pa.array([Decimal(1), Decimal(10**37), Decimal(1)], pa.decimal128(38, 0)), 1, 10**37),
    "decimal32": (pa.array([Decimal(1), Decimal("-9.99"), Decimal(1)], pa.decimal32(3, 2)), "1.00", "-9.99"),
    "uint64": (pa.array([1, 2**64 - 1, 1], pa.uint64()), 1, 2**64 - 1),
    "large text": (pa.array(["a", "Łódź", "a"], pa.large_string()), "a", "Łódź"),
    "text view": (pa.array(["a", "Łódź" * 9, "a"], pa.string_view()), "a", "Łódź" * 9),
    "text of a dictionary": (pa.array(["a", "b", "a"]).dictionary_encode(), "a", "b"),
    "UUID": (
        pa.array([b"\0" * 16, bytes(range(16)), b"\0" * 16], pa.uuid()),
        f"{'0' * 8}-0000-0000-0000-{'0' * 12}",
        "00010203-0405-0607-0809-0a0b0c0d0e0f",
    ),
    "JSON text": (pa.array(["1", '{"a": 1}', "1"], pa.json_()), "1", '{"a": 1}'),
    "boolean in a byte": (BOOL8, True, False),
    "empty map": (pa.array([[("k", 1)], [], [("k", 1)]], TEXT_MAP), {"k": 1}, {}),
    "map with a null": (pa.array([[("k", 1)], [("l", None)], [("k", 1)]], TEXT_MAP), {"k": 1}, {"l": None}),
    "map of lists of maps": (
        pa.array([[], [("a", [[("b", 1)], [], None])], []], pa.map_(pa.string(), pa.list_(TEXT_MAP))),
        {},
        {"a": [{"b": 1}, {}, None]},
    ),
    "empty list": (pa.array([[1], [], [1]]), [1], []),
    "list of one length": (pa.array([[1, 2], [3, None], [1, 2]], pa.list_(pa.int32(), 2)), [1, 2], [3, None]),
    "large list": (pa.array([["a"], ["b", "c"], ["a"]], pa.large_list(pa.string())), ["a"], ["b", "c"]),
    "list view": (pa.array([["a"], ["b", "c"], ["a"]], pa.list_view(pa.string())), ["a"], ["b", "c"]),
    "nanoseconds in a list": (
        pa.array([[0], [1, None], [0]], pa.list_(PLAIN_NS)),
        ["1970-01-01T00:00:00"],
        ["1970-01-01T00:00:00.000000001", None],
    ),
    "nanoseconds in a struct": (
        pa.array([{"t": 0}, {"t": 1}, {"t": 0}], pa.struct({"t": PLAIN_NS})),
        {"t": "1970-01-01T00:00:00"},
        {"t": "1970-01-01T00:00:00.000000001"},
    ),
    "dictionary in a list": (
        pa.array([["a"], ["b", "a", None], ["a"]], pa.list_(pa.dictionary(pa.int32(), pa.string()))),
        ["a"],
        ["b", "a", None],
    ),
    "struct of nulls": (pa.array([{"a": 1}, {"a": None}, {"a": 1}]), {"a": 1}, {"a": None}),
}

BAD: dict[str, tuple[pa.Array, str, Any]] = {
    # The values of three rows, why the one between is bad, and what its line shows of it.
    "2**62": (
        raw([0, 2**62, 0], pa.int64(), UTC_US),
        "a time outside the years 1 to 9999",
        f"{SECRET} us since 1970-01-01T00:00:00Z",
    ),
    "2**62 without a zone": (
        raw([0, 2**62, 0], pa.int64(), pa.timestamp("ms")),
        "a time outside the years 1 to 9999",
        f"{SECRET} ms since 1970-01-01",
    ),
    "infinity": (
        raw([0, 2**63 - 1, 0], pa.int64(), UTC_US),
        "a time outside",
        f"{2**63 - 1} us since 1970-01-01T00:00:00Z",
    ),
    "minus infinity": (
        raw([0, -(2**63), 0], pa.int64(), UTC_US),
        "a time outside",
        f"{-(2**63)} us since 1970-01-01T00:00:00Z",
    ),
    "BC": (
        raw([0, YEAR_1_US - 1, 0], pa.int64(), UTC_US),
        "a time outside",
        f"{YEAR_1_US - 1} us since 1970-01-01T00:00:00Z",
    ),
    "year 10000": (
        raw([0, LAST_US + 1, 0], pa.int64(), OSLO_US),
        "a time outside",
        f"{LAST_US + 1} us since 1970-01-01T00:00:00Z",
    ),
    "a date of infinity": (
        raw([0, 2**31 - 1, 0], pa.int32(), pa.date32()),
        "a date outside the years 1 to 9999",
        f"{2**31 - 1} days since 1970-01-01",
    ),
    "a date BC": (
        raw([0, -719_163, 0], pa.int32(), pa.date32()),
        "a date outside the years 1 to 9999",
        "-719163 days since 1970-01-01",
    ),
    "24 o'clock": (
        raw([0, 86_400 * MS, 0], pa.int32(), pa.time32("ms")),
        "a time of day that is not within a day",
        "86400000 ms since midnight",
    ),
    "a negative time": (
        raw([0, -1, 0], pa.int64(), pa.time64("ns")),
        "a time of day that is not within a day",
        "-1 ns since midnight",
    ),
    "2**62 in a list": (
        pa.ListArray.from_arrays(
            pa.array([0, 1, 3, 4], pa.int32()), raw([0, 0, 2**62, 0], pa.int64(), pa.timestamp("us"))
        ),
        "a time outside",
        ["1970-01-01T00:00:00", f"{SECRET} us since 1970-01-01"],
    ),
    "2**62 in a struct": (
        pa.StructArray.from_arrays([raw([0, 2**62, 0], pa.int64(), pa.timestamp("us"))], ["t"]),
        "a time outside",
        {"t": f"{SECRET} us since 1970-01-01"},
    ),
    "2**62 in a map": (
        pa.MapArray.from_arrays(
            pa.array([0, 1, 2, 3], pa.int32()), pa.array(["k"] * 3), raw([0, 2**62, 0], pa.int64(), pa.timestamp("us"))
        ),
        "a time outside",
        {"k": f"{SECRET} us since 1970-01-01"},
    ),
    "NaN": (pa.array([1.5, float("nan"), 1.5]), "NaN or an infinity", "NaN"),
    "infinity of float32": (pa.array([1.5, float("-inf"), 1.5], pa.float32()), "NaN or an infinity", "-Infinity"),
    "infinity of float16": (pa.array([1.5, float("inf"), 1.5], pa.float16()), "NaN or an infinity", "Infinity"),
    "invalid UTF-8": (text_of(b"a\xffb"), "text that is not UTF-8", "a\\xffb"),
    "a surrogate in UTF-8": (text_of(b"\xed\xa0\x80"), "text that is not UTF-8", "\\xed\\xa0\\x80"),
    "invalid UTF-8 in a dictionary": (text_of(b"a\xffb").dictionary_encode(), "text that is not UTF-8", "a\\xffb"),
    "invalid UTF-8 in a list": (
        pa.ListArray.from_arrays(pa.array([0, 1, 2, 3], pa.int32()), text_of(b"\xff")),
        "text that is not UTF-8",
        ["\\xff"],
    ),
    "invalid UTF-8 in a key": (
        pa.MapArray.from_arrays(pa.array([0, 1, 2, 3], pa.int32()), text_of(b"\xff"), pa.array([1, 2, 1])),
        "text that is not UTF-8",
        {"\\xff": 2},
    ),
    "a key twice": (
        pa.array([[("k", 1)], [("k", 1), ("l", 2), ("k", 3)], [("k", 1)]], TEXT_MAP),
        "a map in which a key occurs twice",
        [["k", 1], ["l", 2], ["k", 3]],
    ),
    "keys that are no text": (
        pa.array([[], [(1, "x")], []], pa.map_(pa.int64(), pa.string())),
        "a map whose keys are not text",
        [[1, "x"]],
    ),
    "bytes": (pa.array([None, b"\0\1", None]), "values of type binary", "0001"),
    "long bytes": (pa.array([None, b"\0" * 1000, None]), "values of type binary", "1,000 bytes"),
    "a duration": (pa.array([None, 5, None], pa.duration("ms")), "values of type duration[ms]", "5 ms"),
}


def unusual_type() -> pa.Table:
    period = pa.field(
        "x", pa.int64(), metadata={"ARROW:extension:name": "pandas.period", "ARROW:extension:metadata": "{}"}
    )
    return pa.table([["K1", "K2"], pa.array([7, None])], schema=pa.schema([("kit_id", pa.string()), period]))


@pytest.mark.parametrize(("column", "usual", "value"), GOOD.values(), ids=GOOD)
@pytest.mark.parametrize("sliced", [False, True])
def test_a_value_has_the_form_of_its_type(
    tmp_path: Path, column: pa.Array, usual: Any, value: Any, *, sliced: bool
) -> None:
    ids = ["K1", "K2", "K3"]
    if sliced:  # in memory, a column that begins in the middle of another
        column, ids = pa.concat_arrays([column, column]).slice(2, 3), ["K3", "K1", "K2"]

    rows = read(tmp_path / "kits.parquet", {"kit_id": ids, "x": column})

    found = {row.key: row.metadata["x"] for row in rows if isinstance(row, Row)}
    assert found == {"K1": usual, "K2": value, "K3": usual}
    assert repr(found["K2"]) == repr(value)
    for row in rows:  # as a line it is the same
        assert parse_object((row.source or b"").decode(), "") == {
            "kit_id": row.key,
            "metadata": {"x": found[row.key or ""]},
        }


@pytest.mark.parametrize(("column", "reason", "shown"), BAD.values(), ids=BAD)
def test_a_bad_value_rejects_its_row_alone(tmp_path: Path, column: pa.Array, reason: str, shown: Any) -> None:
    columns = {"kit_id": ["K1", "K2", "K3"], "x": column, "n": [1, 2, 3]}

    first, bad, last = read(tmp_path / "kits.parquet", columns)

    assert isinstance(first, Row)
    assert isinstance(last, Row)
    assert first.metadata.get("x") == last.metadata.get("x")
    assert isinstance(bad, BadRow)
    assert (bad.number, bad.key) == (2, "K2")
    assert bad.reason.startswith(f"the column x holds {reason}")
    assert SECRET not in bad.reason
    line = json.loads(bad.source or b"")
    assert line == {
        "kit_id": "K2",
        "metadata": {"n": 2},
        "rejected": {"x": {"reason": bad.reason.removeprefix("the column x "), "value": shown}},
    }


@pytest.mark.parametrize("column", [column for column, *_ in BAD.values()], ids=BAD)
def test_a_null_where_the_type_can_be_bad_is_a_null(tmp_path: Path, column: pa.Array) -> None:
    (row,) = read(tmp_path / "kits.parquet", {"kit_id": ["K1"], "x": pa.nulls(1, column.type), "n": [1]})

    assert isinstance(row, Row)
    assert row.metadata == {"n": 1}


def test_a_type_that_pyarrow_does_not_know_is_not_taken_for_what_it_is_stored_as(tmp_path: Path) -> None:
    path = tmp_path / "kits.parquet"
    pq.write_table(unusual_type(), path)

    with open_rows(path, reading=Reading(allows_empty=True)) as file:
        bad, null = file

    assert isinstance(bad, BadRow)
    assert bad.reason == "the column x holds values of type pandas.period, which JSON does not have"
    assert isinstance(null, Row)


def test_a_bad_value_that_is_behind_a_null_is_not_there(tmp_path: Path) -> None:
    """Arrow may hold anything where a list or struct is null."""
    times = raw([2**62, 0], pa.int64(), pa.timestamp("us"))
    struct = pa.StructArray.from_arrays([times], ["t"], mask=pa.array([True, False]))

    first, second = read(tmp_path / "kits.parquet", {"kit_id": ["K1", "K2"], "x": struct, "n": [1, 2]})

    assert isinstance(first, Row)
    assert first.metadata == {"n": 1}
    assert isinstance(second, Row)
    assert second.metadata == {"x": {"t": "1970-01-01T00:00:00"}, "n": 2}


def test_all_bad_columns_of_a_row_are_in_its_line(tmp_path: Path) -> None:
    columns = {"kit_id": ["K1"], "a": [float("nan")], "b": pa.array([b"\0"]), "c": ["x"]}

    (bad,) = read(tmp_path / "kits.parquet", columns)

    assert isinstance(bad, BadRow)
    assert bad.reason == "the column a holds NaN or an infinity, which JSON does not have"
    line = json.loads(bad.source or b"")
    assert line["metadata"] == {"c": "x"}
    assert {name: about["value"] for name, about in line["rejected"].items()} == {"a": "NaN", "b": "00"}


def test_an_id_that_is_not_utf_8_is_bad_and_told_to_nobody(tmp_path: Path) -> None:
    _, bad, _ = read(tmp_path / "kits.parquet", {"kit_id": text_of(b"K\xff"), "n": [1, 2, 3]})

    assert isinstance(bad, BadRow)
    assert (bad.reason, bad.key) == ("the column kit_id holds text that is not UTF-8", None)
    line = json.loads(bad.source or b"")
    assert (line["kit_id"], line["metadata"]) == (None, {"n": 2})
    assert line["rejected"]["kit_id"]["value"] == "K\\xff"


@pytest.mark.parametrize(
    "kind", [pa.string(), pa.large_string(), pa.string_view(), pa.dictionary(pa.int32(), pa.string())], ids=str
)
def test_ids_may_be_any_text(tmp_path: Path, kind: pa.DataType) -> None:
    rows = read(tmp_path / "kits.parquet", {"kit_id": pa.array(["K1", "K2"]).cast(kind), "n": [1, 2]})

    assert [(type(row), row.key) for row in rows] == [(Row, "K1"), (Row, "K2")]


def test_ids_may_be_uuids(tmp_path: Path) -> None:
    (row,) = read(tmp_path / "kits.parquet", {"kit_id": pa.array([bytes(range(16))], pa.uuid()), "n": [1]})

    assert row.key == "00010203-0405-0607-0809-0a0b0c0d0e0f"


def test_a_row_of_nulls_is_bad_unless_it_is_allowed(tmp_path: Path) -> None:
    path, columns = tmp_path / "kits.parquet", {"kit_id": ["K1", "K2"], "a": [None, 1], "b": [None, None]}

    bad, row = read(path, columns)

    assert isinstance(bad, BadRow)
    assert bad.reason.startswith("the row sets nothing")
    assert "--allow-empty" in bad.reason
    assert isinstance(row, Row)
    # Fed in again as it is it must not be sent either.
    assert json.loads(bad.source or b"") == {"kit_id": "K1", "metadata": None}
    allowed, _ = read(path, columns, reading=Reading(allows_empty=True))
    assert isinstance(allowed, Row)
    assert (allowed.metadata, json.loads(allowed.source)) == ({}, {"kit_id": "K1", "metadata": {}})


@pytest.mark.parametrize(
    "column",
    [
        pa.array(["{}"]),
        pa.array([[]], TEXT_MAP),
        pa.array(["{}"], pa.json_()),
        pa.array(["{}"], pa.string_view()),
        pa.array(["{}"]).dictionary_encode(),
    ],
    ids=lambda column: str(column.type),
)
def test_an_empty_object_in_a_metadata_column_is_meant(tmp_path: Path, column: pa.Array) -> None:
    (row,) = read(tmp_path / "kits.parquet", {"kit_id": ["K1"], "metadata": column})

    assert isinstance(row, Row)
    assert (row.metadata, json.loads(row.source)) == ({}, {"kit_id": "K1", "metadata": {}})


def test_a_bad_metadata_column_keeps_all_of_it_beside_the_row(tmp_path: Path) -> None:
    column = pa.array([[("k", 1), ("k", 2)]], TEXT_MAP)

    (bad,) = read(tmp_path / "kits.parquet", {"kit_id": ["K1"], "metadata": column})

    assert json.loads(bad.source or b"") == {
        "kit_id": "K1",
        "metadata": None,
        "rejected": {"metadata": {"reason": "holds a map in which a key occurs twice", "value": [["k", 1], ["k", 2]]}},
    }


def test_json_text_is_written_again_as_it_was(tmp_path: Path) -> None:
    text = '{"n":\r\n  1.10, "big": 12345678901234567890123, "s": "\\ud800"}'

    (row,) = read(tmp_path / "kits.parquet", {"kit_id": ["K1"], "metadata": [text]})

    assert (
        row.source == b'{"kit_id": "K1", "metadata": {"n":    1.10, "big": 12345678901234567890123, "s": "\\ud800"}}\n'
    )


@pytest.mark.parametrize(
    ("table", "reason"),
    [
        (pa.table([["K1"], [1]], names=["kit_id", ""]), "column 2 has no name"),
        (pa.table([["K1"], [1]], names=["kit_id", " a"]), "the name of column 2 has whitespace around it"),
        (pa.table([["K1"], [1]], names=["kit_id ", "a"]), "the name of column 1 has whitespace around it"),
        (pa.table([["K1"], [1], [2]], names=["kit_id", "a", "a"]), "column 3 has the name of column 2"),
        (
            pa.table([["K1"], [1], [2]], names=["kit_id", "Cohort", "cohort"]),
            "columns 2 and 3 differ only in case or spaces",
        ),
        (
            pa.table([["K1"], [1], [2]], names=["kit_id", "Kit_ID", "a"]),
            "columns 1 and 2 differ only in case or spaces",
        ),
        (
            pa.table([["K1"], [1], [2]], names=["kit_id", "my note", "mynote"]),
            "columns 2 and 3 differ only in case or spaces",
        ),
        (
            pa.table([["K1"], [1]], names=["kit_id", "metadata"]),
            "the column metadata is of type int64: it must be JSON text, a",
        ),
        (
            pa.table({"kit_id": ["K1"], "x": pa.StructArray.from_arrays([pa.array([1]), pa.array([2])], ["a", "a"])}),
            "the column x cannot be read: two of its fields have the name a; leave it out with --map 'x='",
        ),
        (
            pa.table({"kit_id": ["K1"], **{f"c{n}": [n] for n in range(2000)}}),
            "there are 2,001 columns, and 2,000 is the most",
        ),
    ],
)
def test_columns_are_held_to_the_rules_of_a_csv_header(tmp_path: Path, table: pa.Table, reason: str) -> None:
    pq.write_table(table, tmp_path / "kits.parquet")

    with pytest.raises(InvalidInputError) as caught:
        open_rows(tmp_path / "kits.parquet")
    assert reason in str(caught.value)


@pytest.mark.parametrize("place", ["schema", "footer"])
def test_a_column_whose_name_is_not_utf_8_is_refused(tmp_path: Path, place: str) -> None:
    path = tmp_path / "kits.parquet"
    pq.write_table(pa.table({"kit_id": ["K1"], "odd_name": [1]}), path, store_schema=False)
    before, name, after = path.read_bytes().rpartition(b"odd_name")
    if place == "schema":
        head, first, tail = before.rpartition(b"odd_name")
        before = head + first.replace(b"_", b"\xff") + tail
    path.write_bytes(before + name.replace(b"_", b"\xff") + after)

    with pytest.raises(InvalidInputError, match="the name of a column is not UTF-8"):
        open_rows(path)


def test_two_thousand_columns_are_read(tmp_path: Path) -> None:
    (row,) = read(tmp_path / "kits.parquet", {"kit_id": ["K1"], **{f"c{n}": [n] for n in range(1999)}})

    assert isinstance(row, Row)
    assert len(row.metadata) == 1999


def test_names_that_differ_only_in_case_can_be_told_apart_by_the_map(tmp_path: Path) -> None:
    columns = {"kit_id": ["K1"], "Cohort": [1], "cohort": [2]}

    (row,) = read(tmp_path / "kits.parquet", columns, columns={"Cohort": "old_cohort"})

    assert isinstance(row, Row)
    assert row.metadata == {"old_cohort": 1, "cohort": 2}


def test_a_struct_that_cannot_be_read_can_be_left_out(tmp_path: Path) -> None:
    struct = pa.StructArray.from_arrays([pa.array([1]), pa.array([2])], ["a", "a"])

    (row,) = read(tmp_path / "kits.parquet", {"kit_id": ["K1"], "x": struct, "n": [1]}, columns={"x": ""})

    assert isinstance(row, Row)
    assert row.metadata == {"n": 1}


INDEXES = {
    "index_columns": ["__index_level_0__", "site", "row"],
    "columns": [
        {"name": "site", "field_name": "site"},
        {"name": None, "field_name": "__index_level_0__"},
        {"name": None, "field_name": "row"},
        {"name": None, "field_name": "n"},
    ],
}


def test_an_index_without_a_name_is_left_out_with_a_note(tmp_path: Path) -> None:
    path = tmp_path / "kits.parquet"
    table = pa.table({"kit_id": ["K1"], "n": [1], "site": ["Oslo"], "__index_level_0__": [7], "row": [8]})
    pq.write_table(table.replace_schema_metadata({"pandas": json.dumps(INDEXES)}), path)

    with open_rows(path) as file:
        (row,) = file
        assert file.notes == ["the index columns are left out: __index_level_0__, row (--map sends them)"]
    assert isinstance(row, Row)
    assert row.metadata == {"n": 1, "site": "Oslo"}


@pytest.mark.parametrize("name", ["__index_level_0__", "__index_level_12__", "__null_dask_index__"])
@pytest.mark.parametrize("about", [None, {b"pandas": b"{"}, {b"pandas": b'{"index_columns": [{"kind": "range"}]}'}])
def test_an_index_is_known_by_its_name_too(tmp_path: Path, name: str, about: dict[bytes, bytes] | None) -> None:
    path = tmp_path / "kits.parquet"
    pq.write_table(pa.table({"kit_id": ["K1"], "metadata": ["{}"], name: [7]}).replace_schema_metadata(about), path)

    with open_rows(path) as file:
        (row,) = file
        assert file.notes == [f"the index column is left out: {name} (--map '{name}=KEY' sends it)"]
    assert isinstance(row, Row)


def test_an_index_that_the_map_asks_for_is_sent(tmp_path: Path) -> None:
    columns = {"__index_level_0__": ["K1"], "n": [1]}

    (row,) = read(tmp_path / "kits.parquet", columns, columns={"__index_level_0__": "kit_id"})

    assert (row.key, isinstance(row, Row)) == ("K1", True)


def test_each_value_is_told_by_the_schema_and_not_by_its_neighbours(tmp_path: Path) -> None:
    """A thousand rows in one slice, one of them odd: the others are what they are without it."""
    seconds = [1_700_000_000 * 10**9 + number * 10**9 for number in range(1000)]
    odd = [*seconds]
    odd[500] += 1
    ids = [f"K{number}" for number in range(1000)]

    plain = read(tmp_path / "a.parquet", {"kit_id": ids, "t": raw(seconds, pa.int64(), PLAIN_NS)})
    with_odd = read(tmp_path / "b.parquet", {"kit_id": ids, "t": raw(odd, pa.int64(), PLAIN_NS)})

    assert [row.number for row, other in zip(plain, with_odd, strict=True) if row != other] == [501]
    assert isinstance(plain[0], Row)
    assert plain[0].metadata == {"t": "2023-11-14T22:13:20"}


DAY_NS = 86_400 * 10**9
INT96: dict[str, tuple[int, str | None]] = {
    "1970": (0, "1970-01-01T00:00:00"),
    "a nanosecond": (1, "1970-01-01T00:00:00.000000001"),
    "before 1970": (-1, "1969-12-31T23:59:59.999999999"),
    "the last day": (2_932_896 * DAY_NS + 1, "9999-12-31T00:00:00.000000001"),
    "the first day": (-719_162 * DAY_NS, "0001-01-01T00:00:00"),
    "BC": (-719_163 * DAY_NS, None),
    "far away": (2**31 * DAY_NS, None),
}
"""Nanoseconds since 1970, many of which 64 bits do not hold."""


def int96(path: Path, values: Sequence[int], **columns: Any) -> Path:
    """Write each value as INT96, in a column, a list and a struct; pyarrow alone cannot, so its bytes are put in."""
    count = len(values)
    stand_ins = [1_000_000_000 * (number + 1) for number in range(count)]
    times = pa.array(stand_ins, pa.timestamp("ns"))
    data = {
        "kit_id": [f"K{number}" for number in range(count)],
        "t": times,
        "list": pa.ListArray.from_arrays(pa.array(range(count + 1), pa.int32()), times),
        "struct": pa.StructArray.from_arrays([times], ["t"]),
        **columns,
    }
    options: Any = {"use_dictionary": False, "compression": "none", "write_statistics": False}
    pq.write_table(pa.table(data), path, use_deprecated_int96_timestamps=True, **options)
    stored = path.read_bytes()
    for stand_in, value in zip(stand_ins, values, strict=True):
        assert stored.count(_int96(stand_in)) == 3
        stored = stored.replace(_int96(stand_in), _int96(value))
    path.write_bytes(stored)
    return path


def _int96(nanos: int) -> bytes:
    days, rest = divmod(nanos, DAY_NS)
    return rest.to_bytes(8, "little") + (2_440_588 + days & 0xFFFFFFFF).to_bytes(4, "little")


def test_timestamps_of_int96_are_exact_in_all_years(tmp_path: Path) -> None:
    """pyarrow's 64 bits of nanoseconds wrap around: the last day of 9999 was sent as one in 1816."""
    path = int96(tmp_path / "kits.parquet", [value for value, _ in INT96.values()], n=[*range(len(INT96))])

    with open_rows(path) as file:
        rows = [*file]

    for row, (_, text) in zip(rows, INT96.values(), strict=True):
        if text is None:
            assert isinstance(row, BadRow)
            assert row.reason == "the column t holds a time outside the years 1 to 9999"
        else:
            assert isinstance(row, Row)
            assert row.metadata == {"t": text, "list": [text], "struct": {"t": text}, "n": row.number - 1}


def test_int96_is_read_in_many_batches_and_beside_other_types(tmp_path: Path) -> None:
    path, count = tmp_path / "kits.parquet", 5000
    times = pa.array([None if number % 7 == 0 else number * 10**9 + 1 for number in range(count)], pa.timestamp("ns"))
    unlike = pa.array([{"t": None, "s": "a"}] * count, pa.struct({"t": pa.timestamp("ns"), "s": pa.string()}))
    data = {
        "kit_id": [f"K{n}" for n in range(count)],
        "a.b": times,
        "a": unlike,
        "u": pa.array([7] * count, pa.time64("ns")),
    }
    pq.write_table(pa.table(data), path, use_deprecated_int96_timestamps=True, row_group_size=1700)

    with open_rows(path) as file:
        rows = [*file]

    assert all(isinstance(row, Row) for row in rows)
    for number, row in enumerate(rows):
        assert isinstance(row, Row)
        told = {} if number % 7 == 0 else {"a.b": timestamp_text("ns", "")(number * 10**9 + 1)}
        assert row.metadata == {**told, "a": {"t": None, "s": "a"}, "u": "00:00:00.000000007"}


def test_dates_are_those_of_the_calendar() -> None:
    for day in (date(1, 1, 1), date(1600, 2, 29), date(1969, 12, 31), date(2026, 11, 29), date(9999, 12, 31)):
        assert date_text((day - date(1970, 1, 1)).days) == day.isoformat()
    moment = datetime(2026, 11, 29, 23, 59, 58, 1000, tzinfo=UTC)
    micros = (moment - datetime(1970, 1, 1, tzinfo=UTC)) // (moment.resolution)
    assert timestamp_text("us", "Z")(micros) == "2026-11-29T23:59:58.001Z"
