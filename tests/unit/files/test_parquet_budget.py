"""Parquet files that are small on disk and large in memory: read in little, or refused before any row is read."""

import io
import json
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spotdx_async import InvalidInputError
from spotdx_async.files import BadRow, ParquetFile, Row, open_rows, parquet_budget
from spotdx_async.files.parquet_budget import value_bytes
from spotdx_async.files.parquet_pages import DamagedPageError, longest_text, pages_of
from spotdx_async.files.parquet_values import converter

MIB = 1024 * 1024
LONG = "a" * 890_000
MOST_MB = 80
"""The budget, and what rows take as Python's values; a quarter of a gigabyte to two and a half without it."""
MEASURE = """
import json, sys
from pathlib import Path
import pyarrow.parquet
from spotdx_async.files import open_rows

def memory_mb(which):
    found = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(which))
    return int(found.split()[1]) / 1024

Path("/proc/self/clear_refs").write_text("5")
before_mb = memory_mb("VmRSS")
with open_rows(sys.argv[1]) as file:
    found = {"rows": sum(1 for _ in file)}
print(json.dumps({**found, "memory_mb": memory_mb("VmHWM") - before_mb}))
"""
needs_proc = pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="only Linux tells the peak")


def one_text(rows: int) -> pa.Array:
    return pa.DictionaryArray.from_arrays(pa.array([0] * rows, pa.int32()), pa.array([LONG]))


def write(path: Path, columns: dict[str, Any], **options: Any) -> Path:
    usual = {"compression": "zstd", "write_statistics": False, "store_schema": False}
    pq.write_table(pa.table(columns), path, **{**usual, **options})
    return path


def measured(path: Path) -> dict[str, Any]:
    """Read the file in a process of its own, and tell its rows and its peak of memory."""
    command = [sys.executable, "-c", MEASURE, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)  # noqa: S603 - ours
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def nested(values: int) -> pa.Array:
    return pa.ListArray.from_arrays(pa.array([0, values], pa.int32()), pa.nulls(values, pa.int64()))


IDS = ["SPOT1"] * 300
READ: dict[str, Callable[[Path], Path]] = {
    "a text that all rows point to": lambda path: write(path, {"kit_id": IDS, "x": one_text(300)}),
    "the same in pages of version 2": lambda path: write(
        path, {"kit_id": IDS, "x": one_text(300)}, data_page_version="2.0"
    ),
    "the same kept as a dictionary": lambda path: write(path, {"kit_id": IDS, "x": one_text(300)}, store_schema=True),
    "texts that repeat the one before": lambda path: write(
        path,
        {"kit_id": IDS, "x": [LONG] * 300},
        use_dictionary=False,
        column_encoding={"x": "DELTA_BYTE_ARRAY", "kit_id": "PLAIN"},
    ),
    "long values of one length": lambda path: write(
        path, {"kit_id": IDS, "x": pa.array([b"a" * 800_000] * 300, pa.binary(800_000))}
    ),
}
REFUSED: dict[str, tuple[Callable[[Path], Path], str]] = {
    "one large value": (lambda path: write(path, {"kit_id": ["SPOT1"], "x": ["a" * 100 * MIB]}), "x"),
    "a list of nulls": (lambda path: write(path, {"kit_id": ["SPOT1"], "x": nested(50_000_000)}), "x.list.element"),
    "a dictionary": (
        lambda path: write(
            path,
            {"kit_id": ["SPOT1"] * 90, "x": [f"{number}{'a' * MIB}" for number in range(90)]},
            dictionary_pagesize_limit=200 * MIB,
        ),
        "x",
    ),
    "the second row group": (
        lambda path: write(path, {"kit_id": ["SPOT1"] * 2, "x": ["a", "a" * 100 * MIB]}, row_group_size=1),
        "x",
    ),
}


def lists_of(items: pa.Array) -> pa.Array:
    """One row with all of them, and two with none."""
    count = len(items)
    return pa.ListArray.from_arrays(pa.array([0, count, count, count], pa.int32()), items)


def empty_lists(count: int) -> pa.Array:
    return pa.ListArray.from_arrays(pa.array([0] * (count + 1), pa.int32()), pa.array([], pa.int32()))


THREE = ["SPOT1", "SPOT2", "SPOT3"]
SMALL_FILES: dict[str, Callable[[Path], Path]] = {
    "empty lists in a list": lambda path: write(path, {"kit_id": THREE, "x": lists_of(empty_lists(3_000_000))}),
    "empty texts in a list": lambda path: write(path, {"kit_id": THREE, "x": lists_of(pa.array([""] * 3_000_000))}),
    "structs of nulls in a list": lambda path: write(
        path,
        {"kit_id": THREE, "x": lists_of(pa.StructArray.from_arrays([pa.nulls(500_000, pa.string())] * 4, [*"abcd"]))},
    ),
    "a map": lambda path: write(
        path,
        {
            "kit_id": THREE,
            "metadata": pa.MapArray.from_arrays(
                pa.array([0, 300_000, 300_000, 300_000], pa.int32()),
                pa.array([f"{number}" for number in range(300_000)]),
                pa.array([""] * 300_000),
            ),
        },
    ),
    "a long JSON text that all rows point to": lambda path: write(
        path,
        {
            "kit_id": ["SPOT1"] * 12,
            "metadata": pa.DictionaryArray.from_arrays(
                pa.array([0] * 12, pa.int32()), pa.array(['{"a":[' + "{}," * 700_000 + "1]}"])
            ),
        },
    ),
}
"""What takes eight bytes for each value in Arrow's form, and up to 232 as Python's."""


@pytest.mark.no_cover
@needs_proc
@pytest.mark.parametrize("made", SMALL_FILES.values(), ids=SMALL_FILES)
def test_values_that_are_small_in_arrow_and_large_in_python_make_a_bad_row(
    tmp_path: Path, made: Callable[[Path], Path]
) -> None:
    path = made(tmp_path / "kits.parquet")

    found = measured(path)

    assert found["memory_mb"] <= MOST_MB
    with open_rows(path) as file:
        first, second, *_ = file
    assert isinstance(first, BadRow)
    reasons = ("the row is longer than 16 MiB", "the metadata holds more values than fit into 16 MiB")
    assert first.reason in reasons
    if found["rows"] == 3 and "x" in pq.read_schema(path).names:
        assert isinstance(second, Row)
        assert second.metadata == {"x": []}


@pytest.mark.no_cover
def test_lists_that_fit_are_read_whole_however_they_are_cut(tmp_path: Path) -> None:
    """Rows of some MB each as Python's values: a batch of them is converted few rows at a time."""
    path = write(tmp_path / "kits.parquet", {"kit_id": IDS[:20], "x": pa.array([[[]] * 20_000 + [[7]]] * 20)})

    with open_rows(path) as file:
        rows = [*file]

    assert len(rows) == 20
    assert all(isinstance(row, Row) and row.metadata == {"x": [[]] * 20_000 + [[7]]} for row in rows)


def size_of(value: Any, seen: set[int]) -> int:
    if id(value) in seen:
        return 0
    seen.add(id(value))
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, (list, tuple)) else ()
    return sys.getsizeof(value) + sum(size_of(part, seen) for part in parts)


VALUES = {
    "numbers": pa.array(range(1000, 1700)),
    "decimals": pa.array([Decimal(number) / 8 for number in range(700)]),
    "times": pa.array([datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=number) for number in range(700)]),
    "texts": pa.array([f"text {number}" for number in range(700)]),
    "bytes of one length": pa.array([b"%08d" % number for number in range(700)], pa.binary(8)),
    "texts of a dictionary": pa.array([f"{number % 7}" * 50 for number in range(700)]).dictionary_encode(),
    "lists": pa.array([[[], [f"{number}"]] for number in range(700)]),
    "lists of one length": pa.array([[number + 1000, 5000 + number] for number in range(700)], pa.list_(pa.int32(), 2)),
    "maps": pa.array([[(f"k{number}", f"{number}")] * 3 for number in range(700)], pa.map_(pa.string(), pa.string())),
    "structs": pa.array([{f"{key}": None for key in range(12)} for _ in range(700)]),
    "lists, some missing": pa.array([None, [1.5]] * 350),
    "dates": pa.array(range(700), pa.int32()).cast(pa.date32()),
    "nanoseconds": pa.array([10**18 + number for number in range(700)], pa.timestamp("ns", "UTC")),
    "long decimals": pa.array([Decimal(-(10**75) - number).scaleb(-9) for number in range(700)], pa.decimal256(76, 9)),
    "text views": pa.array([f"{'long' * (number % 9)} {number}" for number in range(700)], pa.string_view()),
    "list views": pa.array([[f"{number}"] * (number % 3) for number in range(700)], pa.list_view(pa.string())),
    "UUIDs": pa.array([b"%016d" % number for number in range(700)], pa.uuid()),
}


@pytest.mark.parametrize("array", VALUES.values(), ids=VALUES)
def test_what_values_take_in_python_is_told_before_they_are_made(array: pa.Array) -> None:
    """Of a part of an array too, which shares the memory of the whole."""
    # Texts of a dictionary are shared as Python values, but not as the lines of the rows.
    plain = array.dictionary_decode() if pa.types.is_dictionary(array.type) else array
    convert = converter(pa, pa.field("x", plain.type))
    for part, of_plain in ((array, plain), (array.slice(300, 200), plain.slice(300, 200))):
        # The list of them all, which is no value, has a place for each.
        taken = size_of([*convert(of_plain).values], set()) - sys.getsizeof([]) - 8
        assert taken <= value_bytes(pa, part) <= 2.5 * taken
    assert value_bytes(pa, array.slice(0, 0)) == 0


@pytest.mark.no_cover
def test_many_columns_are_refused_before_they_are_read(tmp_path: Path) -> None:
    columns = {"kit_id": ["SPOT1"], **{f"c{number}": [1] for number in range(10_000)}}
    path = write(tmp_path / "kits.parquet", columns)

    with pytest.raises(InvalidInputError, match=r"its 10,001 columns would take \d+ MiB to read, and 64 MiB"):
        open_rows(path)


def test_a_footer_that_is_too_long_is_refused_before_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / "kits.parquet", {"kit_id": ["SPOT1"], "x": ["a"]}).read_bytes()
    file = tmp_path / "long.parquet"
    file.write_bytes(path[:-8] + b"\0" * 6 * MIB + (6 * MIB).to_bytes(4, "little") + b"PAR1")
    monkeypatch.setattr(pq, "ParquetFile", lambda *_, **__: pytest.fail("the footer was read"))

    with pytest.raises(InvalidInputError, match="columns and row groups would take 78 MiB to read, and 64 MiB"):
        open_rows(file)


@pytest.mark.no_cover
@needs_proc
@pytest.mark.parametrize("made", READ.values(), ids=READ)
def test_what_is_small_on_disk_is_small_in_memory(tmp_path: Path, made: Callable[[Path], Path]) -> None:
    path = made(tmp_path / "kits.parquet")
    assert path.stat().st_size < 20_000

    found = measured(path)

    assert found["rows"] == 300
    assert found["memory_mb"] <= MOST_MB


@pytest.mark.parametrize(("made", "column"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_read_in_the_budget_is_refused_before_a_row_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, made: Callable[[Path], Path], column: str
) -> None:
    path = made(tmp_path / "kits.parquet")
    monkeypatch.setattr(pq.ParquetFile, "iter_batches", lambda *_, **__: pytest.fail("rows were read"))

    with pytest.raises(InvalidInputError) as caught:
        open_rows(path)

    text = str(caught.value)
    assert f"MiB to unpack, most of it for the column {column}, and 64 MiB is the most" in text
    assert ("row group 2 would" if "second" in str(made) else "row group") in text
    assert "write the file with smaller row groups and pages" in text


def test_a_row_that_is_too_long_is_a_bad_one_and_the_others_are_read(tmp_path: Path) -> None:
    texts = ["a", "b" * 17 * MIB, "c"]
    path = write(tmp_path / "kits.parquet", {"kit_id": ["SPOT1"] * 3, "x": texts})

    with open_rows(path) as file:
        first, second, third = file

    assert isinstance(first, Row)
    assert isinstance(second, BadRow)
    assert (second.number, second.reason, second.source) == (2, "the row is longer than 16 MiB", None)
    assert isinstance(third, Row)
    assert third.metadata == {"x": "c"}


@pytest.mark.no_cover
def test_usual_files_are_read_in_large_batches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Texts of their own in each row, few texts in all rows, numbers, and maps: 1,000 rows at once."""
    count = 8_000
    columns = {
        "kit_id": [f"SPOT{number:06}" for number in range(count)],
        **{f"text{one}": [f"a text of its own, {one} {number}" for number in range(count)] for one in range(12)},
        "cohort": ["A", "B"] * (count // 2),
        "n": range(count),
        "more": pa.array(
            [[("k", str(number)), ("l", "x")] for number in range(count)], pa.map_(pa.string(), pa.string())
        ),
    }
    asked: list[int] = []
    read = pq.ParquetFile.iter_batches

    def noted(self: Any, batch_size: int, **options: Any) -> Any:
        asked.append(batch_size)
        return read(self, batch_size, **options)

    monkeypatch.setattr(pq.ParquetFile, "iter_batches", noted)
    for options in ({}, {"compression": "snappy"}, {"compression": "lz4"}, {"data_page_version": "2.0"}):
        path = write(tmp_path / "kits.parquet", columns, row_group_size=4_000, **options)
        with open_rows(path) as file:
            assert sum(isinstance(row, Row) for row in file) == count

    assert asked == [1000] * 8


@pytest.mark.parametrize("compression", ["none", "snappy", "gzip", "brotli", "zstd", "lz4"])
@pytest.mark.parametrize("version", ["1.0", "2.0"])
@pytest.mark.parametrize("use_dictionary", [True, False])
def test_headers_tell_what_stands_in_the_file(
    tmp_path: Path, compression: str, version: str, *, use_dictionary: bool
) -> None:
    texts = [f"{'x' * (number % 97)}{number}" for number in range(50_000)]
    path = write(
        tmp_path / "kits.parquet",
        {"kit_id": texts},
        compression=compression,
        data_page_version=version,
        use_dictionary=use_dictionary,
        data_page_size=20_000,
    )
    chunk = pq.ParquetFile(path).metadata.row_group(0).column(0)
    start = chunk.dictionary_page_offset or chunk.data_page_offset
    with path.open("rb") as file:
        pages = [*pages_of(file, start=start, size=chunk.total_compressed_size, values=chunk.num_values)]

    assert sum(page.values for page in pages if not page.is_dictionary) == 50_000
    assert [page.is_dictionary for page in pages].count(True) == use_dictionary
    assert pages[-1].place + pages[-1].packed_bytes == start + chunk.total_compressed_size
    unpacked = sum(page.unpacked_bytes for page in pages)
    assert unpacked <= chunk.total_uncompressed_size <= unpacked + 200 * len(pages)
    if compression == "none":
        assert all(page.packed_bytes == page.unpacked_bytes for page in pages)


def test_a_footer_that_says_little_deceives_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The sizes that the footer gives are not asked."""
    path = write(tmp_path / "kits.parquet", {"kit_id": ["SPOT1"], "x": ["a" * 100 * MIB]})
    asked: set[str] = set()

    class Modest:
        """A column's entry in the footer that says it unpacks to nothing."""

        def __init__(self, chunk: Any) -> None:
            self._chunk = chunk

        def __getattr__(self, name: str) -> Any:
            asked.add(name)
            return 1 if name == "total_uncompressed_size" else getattr(self._chunk, name)

    column = parquet_budget._column
    monkeypatch.setattr(parquet_budget, "_column", lambda file, chunk, *rest: column(file, Modest(chunk), *rest))

    with pytest.raises(InvalidInputError, match="64 MiB is the most"):
        open_rows(path)
    assert "total_uncompressed_size" not in asked


@given(st.binary(max_size=200))
def test_no_bytes_in_a_headers_place_do_more_than_be_refused(data: bytes) -> None:
    try:
        pages = [*pages_of(io.BytesIO(data), start=0, size=len(data), values=10)]
    except DamagedPageError:
        return
    assert all(page.unpacked_bytes >= 0 and page.values >= 0 for page in pages)


def test_a_page_without_a_header_is_damage(tmp_path: Path) -> None:
    path = write(tmp_path / "kits.parquet", {"kit_id": ["SPOT1"] * 10, "x": ["a"] * 10})
    data = bytearray(path.read_bytes())
    data[4:12] = b"\xff" * 8
    path.write_bytes(data)

    with pytest.raises(InvalidInputError, match="row group 1 has a page that cannot be read"):
        open_rows(path)


def test_the_longest_text_of_a_dictionary_is_found() -> None:
    entries = b"".join(len(text).to_bytes(4, "little") + text for text in (b"a", b"", b"abc", b"ab"))

    assert longest_text(entries) == 3
    assert longest_text(b"") == 0
    assert longest_text(b"\xff\xff\xff\xff") == 0xFFFFFFFF  # cut to the page's size by who asks


def test_a_file_without_rows_has_no_batches(tmp_path: Path) -> None:
    path = write(tmp_path / "kits.parquet", {"kit_id": pa.array([], pa.string()), "x": pa.array([], pa.string())})

    with ParquetFile(path) as file:
        assert [*file] == []
