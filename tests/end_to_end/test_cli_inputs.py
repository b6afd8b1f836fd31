"""``spotdx kits update`` on Parquet, on packed files and with renamed columns."""

import gzip
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import pytest_asyncio

from spotdx_async.testing import FakeSpot
from tests.command_line import spotdx


@pytest_asyncio.fixture
async def fake(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[FakeSpot]:
    async with FakeSpot(kits=[f"SPOT{number}" for number in range(50)]) as server:
        monkeypatch.setenv("SPOTDX_TOKEN", server.token)
        monkeypatch.setenv("SPOTDX_BASE_URL", server.url)
        yield server


async def test_parquet_keeps_its_types_and_failed_rows_can_be_fed_in_again(fake: FakeSpot, tmp_path: Path) -> None:
    path, failed = tmp_path / "kits.parquet", tmp_path / "failed.jsonl"
    columns = {"Kit": [f"SPOT{n}" for n in range(51)], "n": list(range(51)), "note": ["x"] * 51}
    pq.write_table(pa.table(columns), path)

    code = await spotdx("kits", "update", path, "--map", "Kit=kit_id", "--map", "note=", "--failed", failed)

    assert code == 1
    assert fake.kits["SPOT7"].metadata == {"n": 7}
    assert json.loads(failed.read_text()) == {"kit_id": "SPOT50", "metadata": {"n": 50}}
    fake.kits.add("SPOT50")
    assert await spotdx("kits", "update", failed) == 0
    assert fake.kits["SPOT50"].metadata == {"n": 50}


async def test_a_packed_file_is_sent_and_its_failed_rows_are_unpacked(fake: FakeSpot, tmp_path: Path) -> None:
    path, failed = tmp_path / "kits.csv.gz", tmp_path / "failed.csv"
    path.write_bytes(gzip.compress(b"kit_id,a\n" + b"".join(b"SPOT%d,%d\n" % (n, n) for n in range(51))))

    assert await spotdx("kits", "update", path, "--failed", failed) == 1

    assert fake.kits["SPOT7"].metadata == {"a": "7"}
    assert failed.read_bytes() == b"kit_id,a\nSPOT50,50\n"


async def test_a_packed_file_that_was_cut_off_stops_the_run_after_its_rows(
    fake: FakeSpot, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "kits.csv.gz"
    path.write_bytes(gzip.compress(b"kit_id,a\n" + b"".join(b"SPOT%d,%d\n" % (n, n) for n in range(50)))[:-8])

    assert await spotdx("kits", "update", path) == 3

    assert "cut off" in capsys.readouterr().err
    assert fake.kits["SPOT49"].metadata == {"a": "49"}
