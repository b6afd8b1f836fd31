"""Rows of files as a stream that can be stopped; each carries where it stands."""

import asyncio
import io
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import pytest

from spotdx_async import InvalidRow, MetadataUpdate
from spotdx_async.cli.row_source import RowSource
from spotdx_async.errors import InvalidInputError
from spotdx_async.files import RowFile

CSV = b"kit_id,a\nSPOT1,x\nSPOT2\nSPOT3,z\n"


def file(data: bytes, name: str = "kits.csv") -> RowFile:
    return RowFile(io.BytesIO(data), name=name)


@pytest.fixture
def pipe() -> Iterator[tuple[RowFile, BinaryIO]]:
    reading, writing = os.pipe()
    with os.fdopen(writing, "wb", buffering=0) as feed:
        feed.write(b"kit_id,a\nSPOT1,x\n")
        with RowFile(os.fdopen(reading, "rb", buffering=0), name="a pipe") as rows:
            yield rows, feed


async def test_rows_come_as_updates_and_bad_rows_as_their_errors() -> None:
    source = RowSource([file(CSV)])
    first, second, third = [item async for item in source]
    assert (first, third) == (MetadataUpdate("SPOT1", {"a": "x"}), MetadataUpdate("SPOT3", {"a": "z"}))
    assert isinstance(second, InvalidRow)
    assert str(second.error) == "the row has 1 cell, the header 2"
    assert source.is_read_up


async def test_each_row_carries_where_it_stands_and_what_it_was_in_the_file() -> None:
    source = RowSource([file(CSV)])
    rows = await _all(source)
    assert [row.source.text for row in rows] == ["row 1 (line 2)", "row 2 (line 3)", "row 3 (line 4)"]
    assert [row.source.row.source for row in rows] == CSV.splitlines(keepends=True)[1:]
    assert source.yielded == 3


async def test_several_files_are_one_stream_and_each_counts_its_rows() -> None:
    source = RowSource([file(CSV, "a.csv"), file(b'{"kit_id": "SPOT4", "metadata": {}}', "b.jsonl")])
    last = (await _all(source))[3].source
    assert (last.file, last.text, last.position) == ("b.jsonl", "row 1", (1, 1))
    assert source.has_many_files


async def test_rows_before_the_first_one_wanted_are_passed_over() -> None:
    source = RowSource([file(CSV, "a.csv"), file(CSV, "b.csv")], from_row=3)
    rows = await _all(source)
    assert (len(rows), source.yielded) == (1 + 3, 1 + 3)
    assert rows[0].source.row.number == 3
    assert source.passed_bytes == len(b"SPOT1,x\nSPOT2\n")


async def test_a_stopped_source_knows_where_to_go_on() -> None:
    source = RowSource([file(CSV, "a.csv"), file(CSV, "b.csv")])
    taken = 0
    assert source.next_unread == ("a.csv", 1)
    async for _ in source:
        taken += 1
        if taken == 4:
            source.stop()
    assert (taken, source.is_read_up, source.next_unread) == (4, False, ("b.csv", 2))


async def test_only_the_first_file_has_rows_that_are_passed_over() -> None:
    source = RowSource([file(CSV), file(CSV)], from_row=4)
    assert len(await _all(source)) == 3


@pytest.mark.parametrize(("files", "from_row"), [(1, 4), (1, 99), (2, 5), (2, 99)])
async def test_nothing_is_read_where_the_first_row_is_past_the_end(files: int, from_row: int) -> None:
    source = RowSource([file(CSV, "a.csv")] * files, from_row=from_row)
    with pytest.raises(InvalidInputError, match=f"--from-row {from_row} is past the end of a.csv, which has 3 rows"):
        await _all(source)
    assert source.yielded == 0


async def test_a_source_stopped_before_it_began_gives_nothing() -> None:
    source = RowSource([file(CSV)])
    source.stop()
    assert [item async for item in source] == []
    assert source.next_unread == ("kits.csv", 1)


async def test_waiting_for_a_pipe_leaves_the_loop_free(pipe: tuple[RowFile, BinaryIO]) -> None:
    rows, feed = pipe
    source = RowSource([rows])
    stream = aiter(source)
    assert source.size is None
    assert await anext(stream) == MetadataUpdate("SPOT1", {"a": "x"})
    waiting = asyncio.ensure_future(anext(stream))
    for _ in range(5):
        await asyncio.sleep(0)
    assert not waiting.done()
    feed.write(b"SPOT2,y\n")
    assert await asyncio.wait_for(waiting, 5) == MetadataUpdate("SPOT2", {"a": "y"})
    feed.close()
    with pytest.raises(StopAsyncIteration):
        await asyncio.wait_for(anext(stream), 5)


async def test_stopping_wakes_what_waits_for_a_pipe(pipe: tuple[RowFile, BinaryIO]) -> None:
    source = RowSource([pipe[0]])
    reading = asyncio.ensure_future(_all(source))
    while source.next_unread == (pipe[0].name, 1):
        await asyncio.sleep(0)
    source.stop()
    assert len(await asyncio.wait_for(reading, 5)) == 1
    assert not source.is_read_up


async def test_what_cannot_be_waited_for_is_simply_read() -> None:
    source = RowSource([file(CSV + b"SPOT4,w\n" * 50_000)])
    assert source.size is None
    assert len(await _all(source)) == 50_003


async def test_the_size_of_regular_files_is_known(tmp_path: Path) -> None:
    (tmp_path / "kits.csv").write_bytes(CSV)
    with RowFile((tmp_path / "kits.csv").open("rb"), name="kits.csv") as rows:
        source = RowSource([rows, rows])
        assert source.size == 2 * len(CSV)
        assert len(await _all(RowSource([rows]))) == 3


async def _all(source: RowSource) -> list[Any]:
    return [item async for item in source]
