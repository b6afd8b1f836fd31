"""``spotdx kits update FILE.parquet --failed F``: what is sent, what is said, and F mended and fed in again."""

import json
import os
import re
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import pytest_asyncio
from attrs import frozen

from spotdx_async.testing import FakeSpot
from tests.command_line import spotdx

ODD = 2**62
TIMES = pa.timestamp("us", "Europe/Oslo")
PAIRS = pa.map_(pa.string(), pa.int64())


@pytest_asyncio.fixture
async def fake(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[FakeSpot]:
    async with FakeSpot(kits=[f"SPOT{number}" for number in range(3000)]) as server:
        monkeypatch.setenv("SPOTDX_TOKEN", server.token)
        monkeypatch.setenv("SPOTDX_BASE_URL", server.url)
        yield server


def write(path: Path, data: dict[str, Any], **options: Any) -> Path:
    pq.write_table(pa.table(data), path, **options)
    return path


def metadata(fake: FakeSpot, *numbers: int) -> list[Any]:
    return [fake.kits[f"SPOT{number}"].metadata for number in numbers]


def sent(fake: FakeSpot, since: int = 0) -> set[str]:
    """The kits that a request named."""
    return {found[0] for request in [*fake.requests][since:] if (found := re.search(r"SPOT\d+", request.path))}


def times(*values: int) -> pa.Array:
    return pa.array(values, pa.int64()).view(TIMES)


def texts(*values: bytes) -> pa.Array:
    return pa.array(values, pa.binary()).view(pa.string())


@frozen
class Odd:
    """Three values of a column, of which the second is bad."""

    column: pa.Array
    reason: str
    mended: Any
    others: tuple[Any, Any]
    """The first and third as JSON."""


ONE_ODD = {
    "2**62": Odd(
        times(0, ODD, 1),
        "a time outside the years 1 to 9999",
        None,
        ("1970-01-01T00:00:00Z", "1970-01-01T00:00:00.000001Z"),
    ),
    "invalid UTF-8": Odd(texts(b"a", b"secret\xff", b"c"), "text that is not UTF-8", "b", ("a", "c")),
    "NaN": Odd(pa.array([0.5, float("nan"), 1.5]), "NaN or an infinity, which JSON does not have", 7, (0.5, 1.5)),
    "a key twice": Odd(
        pa.array([[], [("k", 1), ("k", 2)], [("k", 3)]], PAIRS),
        "a map in which a key occurs twice",
        {"k": 2},
        ({}, {"k": 3}),
    ),
}


@pytest.mark.parametrize("odd", ONE_ODD.values(), ids=ONE_ODD)
async def test_one_odd_value_rejects_its_row_and_mended_it_is_sent(
    fake: FakeSpot, tmp_path: Path, capsys: pytest.CaptureFixture[str], odd: Odd
) -> None:
    path, failed = tmp_path / "kits.parquet", tmp_path / "failed.jsonl"
    write(path, {"kit_id": ["SPOT1", "SPOT2", "SPOT3"], "x": odd.column, "n": [1, 2, 3]})

    code = await spotdx("kits", "update", path, "--failed", failed)

    assert code == 1
    first, third = odd.others
    assert metadata(fake, 1, 3) == [{"x": first, "n": 1}, {"x": third, "n": 3}]
    assert sent(fake) == {"SPOT1", "SPOT3"}
    err = capsys.readouterr().err
    assert f"row 2: rejected: the column x holds {odd.reason}\n" in err
    assert not any(value in err for value in ("secret", str(ODD), "SPOT2"))
    assert f"not done: 1 row, written to {failed}" in err

    # As it is it is refused again; mended it ends in the truth.
    before = len(fake.requests)
    assert await spotdx("kits", "update", failed) == 1
    assert sent(fake, before) == set()
    line = json.loads(failed.read_text())
    assert line.pop("rejected").keys() == {"x"}
    line["metadata"]["x"] = odd.mended
    failed.write_text(json.dumps(line))
    assert await spotdx("kits", "update", failed) == 0
    assert metadata(fake, 2) == [{"n": 2, "x": odd.mended}]


async def test_a_thousand_rows_are_not_changed_by_one_among_them(fake: FakeSpot, tmp_path: Path) -> None:
    values = [1_700_000_000_000_000_000] * 1000
    values[500] += 1
    path = write(
        tmp_path / "kits.parquet",
        {"kit_id": [f"SPOT{n}" for n in range(1000)], "t": pa.array(values, pa.timestamp("ns"))},
    )

    assert await spotdx("kits", "update", path) == 0

    found = [fake.kits[f"SPOT{n}"].metadata["t"] for n in range(1000)]
    assert found[500] == "2023-11-14T22:13:20.000000001"
    assert {*found[:500], *found[501:]} == {"2023-11-14T22:13:20"}


async def test_a_row_of_nulls_erases_nothing(
    fake: FakeSpot, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, failed = tmp_path / "kits.parquet", tmp_path / "failed.jsonl"
    write(path, {"kit_id": ["SPOT1", "SPOT2"], "batch": ["B", None], "site": pa.array([None, None], pa.string())})
    fake.kits["SPOT2"].metadata["old"] = "kept"

    assert await spotdx("kits", "update", path, "--failed", failed) == 1

    assert metadata(fake, 1, 2) == [{"batch": "B"}, {"old": "kept"}]
    assert "row 2: rejected: the row sets nothing" in capsys.readouterr().err
    assert await spotdx("kits", "update", failed) == 1
    assert metadata(fake, 2) == [{"old": "kept"}]


async def test_an_empty_object_in_a_metadata_column_erases(fake: FakeSpot, tmp_path: Path) -> None:
    path = write(tmp_path / "kits.parquet", {"kit_id": ["SPOT1"], "metadata": ["{}"]})
    fake.kits["SPOT1"].metadata["old"] = "erased"

    assert await spotdx("kits", "update", path) == 0

    assert metadata(fake, 1) == [{}]


async def test_a_map_column_of_a_row_that_failed_is_an_object_in_the_failed_file(
    fake: FakeSpot, tmp_path: Path
) -> None:
    path, failed = tmp_path / "kits.parquet", tmp_path / "failed.jsonl"
    write(path, {"kit_id": ["NOSUCH", " SPOT1"], "metadata": pa.array([[("k", 1)], [("k", 2)]], PAIRS)})

    assert await spotdx("kits", "update", path, "--failed", failed) == 1

    assert [json.loads(line) for line in failed.read_text().splitlines()] == [
        {"kit_id": "NOSUCH", "metadata": {"k": 1}},
        {"kit_id": " SPOT1", "metadata": {"k": 2}},
    ]
    assert sent(fake) == set()


async def test_an_index_of_pandas_is_not_sent_and_that_is_said(
    fake: FakeSpot, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path / "kits.parquet", {"kit_id": ["SPOT1"], "n": [1], "__index_level_0__": [0]})

    assert await spotdx("kits", "update", path) == 0

    assert metadata(fake, 1) == [{"n": 1}]
    assert f"spotdx: {path}: the index column is left out: __index_level_0__" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ({"kit_id": ["SPOT1"], " a": [1]}, "the name of column 2 has whitespace around it"),
        ({"kit_id": ["SPOT1"], "a": [1], "A": [2]}, "the names of columns 2 and 3 differ only in case or spaces"),
        (
            {"kit_id": ["SPOT1"], **{f"c{n}": [1] for n in range(2000)}},
            "there are 2,001 columns, and 2,000 is the most",
        ),
    ],
)
async def test_columns_that_are_a_mistake_are_refused_before_anything_is_sent(
    fake: FakeSpot, tmp_path: Path, capsys: pytest.CaptureFixture[str], data: dict[str, Any], said: str
) -> None:
    assert await spotdx("kits", "update", write(tmp_path / "kits.parquet", data)) == 2

    assert sent(fake) == set()
    assert said in capsys.readouterr().err


async def test_a_pipe_that_is_named_parquet_is_refused_and_not_waited_for(
    fake: FakeSpot, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "pipe.parquet"
    os.mkfifo(path)
    # Were the pipe opened, this would let it go on, to fail the test instead of hanging it.
    rescue = threading.Timer(20, lambda: os.close(os.open(path, os.O_RDWR)))
    rescue.start()

    code = await spotdx("kits", "update", path)

    rescue.cancel()
    assert code == 2
    assert sent(fake) == set()
    assert "pipe.parquet: Parquet can be read only from a file, not from a pipe" in capsys.readouterr().err


async def test_a_folder_that_is_named_parquet_says_what_to_pass(
    fake: FakeSpot, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "part.parquet"
    path.mkdir()

    assert await spotdx("kits", "update", path) == 2

    assert sent(fake) == set()
    assert "part.parquet: this is a folder: pass the files in it" in capsys.readouterr().err


def damaged(path: Path, *, from_row: int) -> Path:
    """A file of three row groups of 1,000 rows, with one bit that is turned in the page of ids of one of them."""
    ids = [f"SPOT{number}" for number in range(3000)]
    options = {"row_group_size": 1000, "write_page_checksum": True, "use_dictionary": False, "compression": "none"}
    write(path, {"kit_id": ids, "n": range(3000)}, **options)
    data = bytearray(path.read_bytes())
    data[data.index(b"SPOT%d" % (from_row + 500)) + 5] ^= 1
    path.write_bytes(data)
    return path


async def test_a_damaged_row_group_ends_the_run_after_the_rows_before_it(
    fake: FakeSpot, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, journal = damaged(tmp_path / "kits.parquet", from_row=1000), tmp_path / "run.journal"

    code = await spotdx("kits", "update", path, "--journal", journal)

    err = capsys.readouterr().err
    assert code == 3
    assert sent(fake) == {f"SPOT{number}" for number in range(1000)}
    assert f"stopped early: {path}: the Parquet data is damaged from row 1,001 on: " in err
    assert "the same command would stop there again, so repair the input" in err
    assert "pass the repaired input with --from-row 1001 and a new --journal" in err
    assert "run the same command again" not in err

    # The same command does nothing more, and says so.
    before = len(fake.requests)
    assert await spotdx("kits", "update", path, "--journal", journal) == 2
    assert sent(fake, before) == set()
    assert "nothing was sent; the same command would stop there again" in capsys.readouterr().err

    repaired = write(path, {"kit_id": [f"SPOT{number}" for number in range(3000)], "n": range(3000)})
    assert await spotdx("kits", "update", repaired, "--from-row", "1001", "--journal", tmp_path / "new.journal") == 0
    assert sent(fake, before) == {f"SPOT{number}" for number in range(1000, 3000)}


async def test_a_file_that_is_damaged_at_its_first_row_sends_nothing(
    fake: FakeSpot, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = damaged(tmp_path / "kits.parquet", from_row=0)

    assert await spotdx("kits", "update", path) == 2

    assert sent(fake) == set()
    assert "the Parquet data is damaged from row 1 on" in capsys.readouterr().err


async def test_workers_send_nothing_of_a_damaged_file(
    fake: FakeSpot, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("distributed", reason="the extra dask is not installed")
    path = damaged(tmp_path / "kits.parquet", from_row=1000)

    assert await spotdx("kits", "update", path, "--workers", "1", "--journal", tmp_path / "nightly") == 2

    assert sent(fake) == set()
    err = capsys.readouterr().err
    assert f"{path}: the Parquet data is damaged from row 1,001 on: " in err
    assert "nothing was sent" in err


@pytest.mark.parametrize("kept", [0.0, 0.3, 0.99])
async def test_a_file_that_was_cut_off_sends_nothing(
    fake: FakeSpot, tmp_path: Path, capsys: pytest.CaptureFixture[str], kept: float
) -> None:
    path = write(tmp_path / "kits.parquet", {"kit_id": [f"SPOT{n}" for n in range(3000)], "n": range(3000)})
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * kept)])

    assert await spotdx("kits", "update", path) == 2

    assert sent(fake) == set()
    assert f"{path}: this Parquet file cannot be read: " in capsys.readouterr().err
