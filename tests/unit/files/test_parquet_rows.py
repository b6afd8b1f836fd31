"""Parquet: types kept, a batch at a time, failed rows as JSON Lines."""

import json
import subprocess
import sys
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from spotdx_async import InvalidInputError
from spotdx_async.files import BadRow, FailedRows, ParquetFile, Reading, Row, open_rows


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "kits.parquet"


def write(path: Path, columns: dict[str, Any], **options: Any) -> Path:
    pq.write_table(pa.table(columns), path, **options)
    return path


def read(path: Path, **options: Any) -> list[Row | BadRow]:
    with open_rows(path, **options) as file:
        return list(file)


def metadata(path: Path, **options: Any) -> list[dict[str, Any]]:
    rows = read(path, **options)
    assert all(isinstance(row, Row) for row in rows), rows
    return [row.metadata for row in rows if isinstance(row, Row)]


def one(path: Path, column: pa.Array) -> Any:
    (found,) = metadata(write(path, {"kit_id": ["SPOT1"], "x": column}), reading=Reading(allows_empty=True))
    return found.get("x", "left out")


@pytest.mark.parametrize(
    ("reading", "said"),
    [
        (Reading(delimiter=";"), "--delimiter is for text"),
        (Reading(encoding="latin-1"), "--encoding is for text"),
        (Reading(sheet="1"), "--sheet is for Excel"),
    ],
)
def test_options_of_other_formats_are_refused(tmp_path: Path, reading: Reading, said: str) -> None:
    pq.write_table(pa.table({"kit_id": ["SPOT1"], "a": ["x"]}), tmp_path / "kits.parquet")

    with pytest.raises(InvalidInputError, match=said):
        open_rows(tmp_path / "kits.parquet", reading=reading)


@pytest.mark.parametrize(
    ("column", "value"),
    [
        (pa.array([True]), True),
        (pa.array([2**63 - 1]), 2**63 - 1),
        (pa.array([2**64 - 1], pa.uint64()), 2**64 - 1),
        (pa.array([1.5]), 1.5),
        (pa.array([1.5], pa.float32()), 1.5),
        (pa.array(["Łódź"]), "Łódź"),
        (pa.array([""]), ""),
        (pa.array([None], pa.string()), "left out"),
        (pa.array([None]), "left out"),
        (pa.array(["A"]).dictionary_encode(), "A"),
        (pa.array([date(2026, 11, 24)]), "2026-11-24"),
        (pa.array([time(12, 30)]), "12:30:00"),
        (pa.array([datetime(2026, 11, 24, 3, 4, 5, 600000)]), "2026-11-24T03:04:05.600"),  # noqa: DTZ001 - no zone
        (pa.array([datetime(2026, 11, 24, 3, tzinfo=UTC)], pa.timestamp("us", "Europe/Oslo")), "2026-11-24T03:00:00Z"),
        (pa.array([datetime(2026, 11, 24, tzinfo=UTC)], pa.timestamp("ns", "UTC")), "2026-11-24T00:00:00Z"),
        (pa.array([1], pa.timestamp("ns")), "1970-01-01T00:00:00.000000001"),
        (pa.array([Decimal("12.50")]), "12.50"),
        (pa.array([Decimal(12)], pa.decimal128(10, 0)), 12),
        (pa.array([[1, None, 2]]), [1, None, 2]),
        (pa.array([[]], pa.list_(pa.int64())), []),
        (pa.array([{"a": 1, "b": [{"c": "x"}]}]), {"a": 1, "b": [{"c": "x"}]}),
        (pa.array([[("k", 1), ("l", 2)]], pa.map_(pa.string(), pa.int64())), {"k": 1, "l": 2}),
    ],
    ids=lambda value: str(value.type) if isinstance(value, pa.Array) else None,
)
def test_types_are_kept(path: Path, column: pa.Array, value: Any) -> None:
    found = one(path, column)

    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("column", "reason"),
    [
        (pa.array([float("nan")]), "NaN"),
        (pa.array([[float("inf")]]), "infinity"),
        (pa.array([b"bytes"]), "of type binary"),
        (pa.array([timedelta(1)]), "of type duration[us]"),
        (pa.array([[(1, "x")]], pa.map_(pa.int64(), pa.string())), "keys are not text"),
    ],
    ids=lambda value: str(value.type) if isinstance(value, pa.Array) else None,
)
def test_what_json_does_not_have_makes_its_row_bad(path: Path, column: pa.Array, reason: str) -> None:
    (bad,) = read(write(path, {"kit_id": ["SPOT1"], "x": column}))

    assert isinstance(bad, BadRow)
    assert reason in bad.reason
    assert "SPOT1" not in bad.reason
    assert bad.number == bad.line == 1


def test_a_metadata_column_holds_json_text_a_struct_or_a_map(path: Path) -> None:
    kit_id = {"kit_id": ["SPOT1"]}
    assert metadata(write(path, {**kit_id, "metadata": ['{"n": 12345678901234567890123, "x": null}']})) == [
        {"n": 12345678901234567890123, "x": None}
    ]
    assert metadata(write(path, {**kit_id, "metadata": [{"n": 1, "x": None}]})) == [{"n": 1, "x": None}]
    map_column = pa.array([[("a", "b")]], pa.map_(pa.string(), pa.string()))
    assert metadata(write(path, {**kit_id, "metadata": map_column})) == [{"a": "b"}]


def test_bad_ids_and_metadata_are_told_by_row(path: Path) -> None:
    rows = read(
        write(
            path,
            {"kit_id": ["SPOT1", None, "", " x", "SPOT2", "SPOT3"], "metadata": ["{}", "{}", "{}", "{}", "[", None]},
        )
    )

    assert [type(row) for row in rows] == [Row, BadRow, BadRow, BadRow, BadRow, BadRow]
    reasons = [row.reason for row in rows if isinstance(row, BadRow)]
    assert reasons[0] == "the kit_id is empty"
    assert "broken JSON" in reasons[3]
    assert "the metadata is empty" in reasons[4]


def test_failed_rows_are_json_lines_that_can_be_fed_in_again(path: Path, tmp_path: Path) -> None:
    write(path, {"kit_id": ["SPOT1", "SPOT2", "SPOT3"], "n": [1, None, 3], "t": ["Łódź", "x", None]})
    with open_rows(path) as file, FailedRows(tmp_path / "failed.jsonl", preamble=file.preamble) as failed:
        assert (file.format, file.failed_format, file.size) == ("parquet", "jsonl", None)
        rows = list(file)
        for row in rows:
            assert row.source is not None
            failed.write(row.source)

    again = read(tmp_path / "failed.jsonl")

    assert [(row.key, row.metadata) for row in again if isinstance(row, Row)] == [
        (row.key, row.metadata) for row in rows if isinstance(row, Row)
    ]


def test_a_bad_row_is_kept_as_well_as_json_can(path: Path) -> None:
    write(path, {"kit_id": [" x", "SPOT2"], "n": pa.array([1.0, float("nan")])})

    blank, not_json = read(path)

    assert json.loads(blank.source or b"") == {"kit_id": " x", "metadata": {"n": 1.0}}
    assert json.loads(not_json.source or b"") == {
        "kit_id": "SPOT2",
        "metadata": {},
        "rejected": {"n": {"reason": "holds NaN or an infinity, which JSON does not have", "value": "NaN"}},
    }


@pytest.mark.parametrize(
    ("columns", "reason"),
    [
        ({"kit_id": [1], "a": ["x"]}, "of type int64: it must be text"),
        ({"kit": ["SPOT1"], "a": ["x"]}, "no column is named kit_id"),
        ({"kit_id": ["SPOT1"]}, "there is no column but kit_id"),
        ({"kit_id": ["SPOT1"], "metadata": ["{}"], "a": ["x"]}, "there must be none but it and kit_id"),
    ],
)
def test_columns_that_make_no_rows_are_refused(path: Path, columns: dict[str, Any], reason: str) -> None:
    write(path, columns)

    with pytest.raises(InvalidInputError, match=reason):
        open_rows(path)


def test_two_columns_of_one_name_are_refused(path: Path) -> None:
    table = pa.table([pa.array(["SPOT1"]), pa.array(["x"]), pa.array(["y"])], names=["kit_id", "a", "a"])
    pq.write_table(table, path)

    with pytest.raises(InvalidInputError, match="column 3 has the name of column 2"):
        open_rows(path)


def test_columns_can_have_other_names(path: Path) -> None:
    write(path, {"Kit": ["SPOT1"], "Cohort": ["A"], "note": ["x"]})

    assert metadata(path, columns={"Kit": "kit_id", "Cohort": "cohort", "note": ""}) == [{"cohort": "A"}]


@pytest.mark.parametrize("content", [b"PAR1", b"PAR1" + b"x" * 100 + b"PAR1", b"kit_id,a\n"])
def test_what_is_no_parquet_is_refused(path: Path, content: bytes) -> None:
    path.write_bytes(content)

    with pytest.raises(InvalidInputError, match="Parquet file cannot be read"):
        open_rows(path)


def test_a_missing_file_is_said_in_the_system_s_words(path: Path) -> None:
    with pytest.raises(InvalidInputError, match="No such file"):
        open_rows(path)


def test_damage_in_the_middle_ends_the_reading_after_the_rows_before(path: Path) -> None:
    write(path, {"kit_id": [f"SPOT{n}" for n in range(20_000)], "n": list(range(20_000))}, row_group_size=2000)
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 2000] = b"\xff" * 2000
    path.write_bytes(content)

    rows = []
    with open_rows(path) as file, pytest.raises(OSError, match="damaged"):
        for row in file:
            rows.append(row)  # noqa: PERF402 - those before the error count

    assert 2000 <= len(rows) < 20_000


def test_rows_that_pyarrow_does_not_return_are_not_passed_over(path: Path) -> None:
    """It returns none of a row group in which a column begins with a page without values, as its writer can make it."""
    write(path, {"kit_id": ["SPOT1"], "x": pa.array([[1]])}, data_page_size=1)

    with open_rows(path) as file, pytest.raises(OSError, match=r"row 1 on: row group 1 does not have as many rows as"):
        list(file)


def test_it_is_found_by_its_first_bytes_and_read_lazily(tmp_path: Path) -> None:
    path = write(tmp_path / "kits", {"kit_id": [f"SPOT{n}" for n in range(5000)], "n": list(range(5000))})

    with open_rows(path) as file:
        assert isinstance(file, ParquetFile)
        file.fill()
        assert len(list(file.rows())) == 1000
        assert file.share_read == 0.2


READS_ALL = """
import resource, sys
from spotdx_async.files import open_rows
with open_rows(sys.argv[1]) as file:
    first = next(iter(file))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    count = 1 + sum(1 for _ in file)
print(count, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024)
"""


def test_memory_is_that_of_a_batch(path: Path) -> None:
    rows = 200_000
    ids = pa.array([f"SPOT{n:08}" for n in range(rows)])
    notes = pa.array([f"{n:0100}" for n in range(rows)])
    write(path, {"kit_id": ids, "note": notes}, row_group_size=20_000, compression="none", use_dictionary=False)

    done = subprocess.run(  # noqa: S603 - our own program
        [sys.executable, "-c", READS_ALL, str(path)], check=True, capture_output=True, text=True, timeout=120
    )

    count, grown_mb = done.stdout.split()
    assert int(count) == rows - 999  # what stood behind the first in its batch went with its iterator
    assert float(grown_mb) < 12


def test_without_pyarrow_the_extra_is_named(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(path, {"kit_id": ["SPOT1"], "a": ["x"]})
    monkeypatch.setitem(sys.modules, "pyarrow", None)

    with pytest.raises(InvalidInputError, match=r"spotdx-async\[parquet\]"):
        open_rows(path)


def test_nothing_of_it_is_imported_before_it_is_needed() -> None:
    code = "import sys, spotdx_async.files; sys.exit('pyarrow' in sys.modules)"

    done = subprocess.run([sys.executable, "-c", code], check=False, timeout=60)  # noqa: S603 - our own program
    assert done.returncode == 0
