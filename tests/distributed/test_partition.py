"""Splitting: every row once, a kit in one shard, in order, the same shards each time, in flat memory."""

import errno
import stat
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spotdx_async import InvalidInputError, InvalidRow, MetadataUpdate
from spotdx_async.distributed import Shard, Split, partition

Rows = list[tuple[str, dict[str, int]]]


def split(rows: Rows, **options: Any) -> list[Shard]:
    with Split(**options) as found:
        found.read_now(rows)
        return [*found.shards()]


def check(rows: Rows, shards: list[Shard]) -> None:
    homes: dict[str, int] = {}
    numbers = []
    for shard in shards:
        read = [*shard.read()]
        assert len(read) == shard.count
        last: dict[str, int] = {}
        for row in read:
            assert homes.setdefault(row.update.key, shard.number) == shard.number
            assert last.get(row.update.key, -1) < row.index
            last[row.update.key] = row.index
            assert (row.update.key, row.update.metadata) == rows[row.index]
            numbers.append(row.index)
    assert sorted(numbers) == [*range(len(rows))]
    assert [shard.number for shard in shards] == [*range(len(shards))]


@given(
    keys=st.lists(st.one_of(st.sampled_from(["A", "B"]), st.text("ABCDEF", min_size=1, max_size=3)), max_size=300),
    shard_rows=st.integers(1, 50),
)
def test_every_row_is_in_one_shard_with_the_others_of_its_kit_in_order(keys: list[str], shard_rows: int) -> None:
    rows: Rows = [(key, {"n": n}) for n, key in enumerate(keys)]

    shards = split(rows, shard_rows=shard_rows)

    check(rows, shards)
    assert shards == split(rows, shard_rows=shard_rows)
    for shard in shards:
        most = shard_rows + max(1, shard_rows // 4)
        assert shard.count <= most or len({row.update.key for row in shard.read()}) <= 1 + shard_rows // 4


def test_what_does_not_fit_into_memory_makes_the_same_shards(monkeypatch: pytest.MonkeyPatch, rows_of: Any) -> None:
    rows = rows_of(20_000, 3000)
    expected = split(rows, shard_rows=20)
    monkeypatch.setattr(partition, "_CACHE_KIB", 64)
    with Split(shard_rows=20) as found:
        found.read_now(rows)
        (file,) = found._sorter._folder.iterdir()
        size = file.stat().st_size
        shards = [*found.shards()]

    assert size > 500_000
    assert not file.parent.exists()
    assert shards == expected
    check(rows, shards)


def test_what_fits_into_memory_is_written_nowhere(rows_of: Any) -> None:
    with Split() as found:
        found.read_now(rows_of(2000, 300))
        shards = [*found.shards()]
        (file,) = found._sorter._folder.iterdir()

        assert shards
        assert file.stat().st_size == 0


def radix(rows: list[tuple[int, int, bytes]], most: int, byte: int = 0) -> Iterator[list[bytes]]:
    """Sort by one byte after the other where a heap is too large."""
    heaps: dict[int, list[tuple[int, int, bytes]]] = {}
    for row in rows:
        heaps.setdefault(row[0] >> (56 - 8 * byte), []).append(row)
    for _, heap in sorted(heaps.items()):
        if len(heap) <= most or byte == 7:
            yield [line for _, _, line in heap]
        else:
            yield from radix(heap, most, byte + 1)


@given(
    hashes=st.lists(st.one_of(st.integers(0, 5), st.integers(-(1 << 63), (1 << 63) - 1)), min_size=1, max_size=100),
    picks=st.lists(st.integers(0, 99), max_size=300),
    most=st.integers(1, 40),
)
def test_groups_are_those_of_earlier_versions(hashes: list[int], picks: list[int], most: int) -> None:
    rows = [(hashes[pick % len(hashes)], place, b"%d" % place) for place, pick in enumerate(picks)]

    assert [*partition._leaves(iter(sorted(rows)), most)] == [*radix(rows, most)]


def test_a_full_disk_is_told_in_the_system_s_words(monkeypatch: pytest.MonkeyPatch, rows_of: Any) -> None:
    monkeypatch.setattr(partition, "_CACHE_KIB", 64)
    with Split() as found:
        found._sorter._database.execute("PRAGMA max_page_count = 100")

        with pytest.raises(OSError, match="No space left on device") as caught:
            found.read_now(rows_of(20_000, 3000))

    assert caught.value.errno == errno.ENOSPC
    assert not found._sorter._folder.exists()


def test_shards_that_are_taken_after_the_end_are_an_error_and_not_none(rows_of: Any) -> None:
    with Split(shard_rows=100) as found:
        found.read_now(rows_of(5000, 3000))
        shards = found.shards()
        next(shards)

    with pytest.raises(InvalidInputError, match="in its with block"):
        sum(shard.count for shard in shards)


def test_no_shard_is_made_once_the_split_has_ended(rows_of: Any) -> None:
    with Split() as found:
        found.read_now(rows_of(10, 10))
        shards = found.shards()

    with pytest.raises(InvalidInputError, match="in its with block"):
        next(shards)


def test_a_split_may_end_twice(rows_of: Any) -> None:
    found = Split()
    with found:
        found.read_now(rows_of(10, 10))

    found.__exit__()


def test_files_of_rows_are_the_owners_alone_and_go_at_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows_of: Any
) -> None:
    monkeypatch.setattr(partition, "_CACHE_KIB", 64)
    rows = rows_of(5000, 100)
    with Split(shard_rows=50, folder=tmp_path / "it's a run") as found:
        found.read_now(rows)
        (file,) = found._sorter._folder.iterdir()
        modes = {stat.S_IMODE(file.stat().st_mode)}
        shards = [*found.shards()]
        check(rows, shards)
        modes |= {stat.S_IMODE(Path(str(shard.rows)).stat().st_mode) for shard in shards}

    assert modes == {0o600}
    assert stat.S_IMODE((tmp_path / "it's a run").stat().st_mode) == 0o700
    left = sorted(path.name for path in (tmp_path / "it's a run").rglob("*") if path.is_file())
    assert left == ["run.json", "split.json"]


def test_a_kit_with_more_rows_than_a_shard_stays_in_one(rows_of: Any) -> None:
    rows = [("SPOT000001", {"n": n}) for n in range(500)] + rows_of(100, 50)

    shards = split(rows, shard_rows=50)

    check(rows, shards)
    assert max(shard.count for shard in shards) >= 500


@pytest.mark.parametrize(("count", "least", "most"), [(100, 1, 1), (5000, 4, 5), (40_000, 30, 40)])
def test_without_a_number_shards_have_1000_rows_or_more(rows_of: Any, count: int, least: int, most: int) -> None:
    shards = split(rows_of(count, count))

    assert least <= len(shards) <= most
    assert all(1000 <= shard.count <= 2000 for shard in shards[:-1])


async def test_an_async_input_makes_the_same_shards(rows_of: Any) -> None:
    rows = rows_of(1000, 100)

    async def given_rows() -> AsyncIterator[MetadataUpdate]:
        for key, metadata in rows:
            yield MetadataUpdate(key, metadata)

    with Split(shard_rows=100) as one, Split(shard_rows=100) as other:
        await one.read(given_rows())
        await other.read(rows)
        assert [*one.shards()] == [*other.shards()] == split(rows, shard_rows=100)


def test_bad_rows_are_counted_and_named_without_their_values() -> None:
    with Split() as found:
        cut = InvalidRow(InvalidInputError("cut"))
        found.read_now([("K", {}), ("", {}), InvalidInputError("no such cell"), ("K", {"name": {1}}), 5, cut])
        report = found.rejected

    assert report.counts["rejected"] == report.rows == 5
    assert report.undone == (1, 2, 3, 4, 5)
    assert [trouble.reason for trouble in report.troubles][1::3] == ["no such cell", "cut"]
    assert found.rows == 6


def test_a_folder_is_for_one_input(tmp_path: Path, rows_of: Any) -> None:
    split(rows_of(100, 10), folder=tmp_path)
    split(rows_of(100, 10), folder=tmp_path)

    for rows, options in [(rows_of(101, 10), {}), (rows_of(100, 10), {"shard_rows": 7})]:
        with pytest.raises(InvalidInputError, match="begun with another input"):
            split(rows, folder=tmp_path, **options)
    (tmp_path / "run.json").write_text("{")
    with pytest.raises(InvalidInputError, match="begun with another input"):
        split(rows_of(100, 10), folder=tmp_path)


@pytest.mark.parametrize("options", [{"shard_rows": 0}, {"shard_rows": 8001}, {"shard_rows": True}, {"noun": "tests"}])
def test_wrong_options_are_refused(options: Any) -> None:
    with pytest.raises(InvalidInputError):
        Split(**options)


def test_a_folder_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(InvalidInputError, match="cannot be used"):
        Split(folder=tmp_path / "file" / "run")


def test_a_folder_whose_name_is_no_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="its name is not UTF-8: name another folder"):
        Split(folder=tmp_path / "j\udcff")
    assert not list(tmp_path.iterdir())
