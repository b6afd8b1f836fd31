"""What is packed is read as if it were not."""

import bz2
import gzip
import io
import lzma
import random
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spotdx_async.files import DamagedInputError, open_rows
from spotdx_async.files.rows import Row
from spotdx_async.files.unpacking import PACKINGS, UnpackedStream, packing_of

HEADER = b"kit_id,a\n"
GZIP = PACKINGS[0]


class Drip(io.BytesIO):
    """A stream that gives a few bytes at a time."""

    def __init__(self, data: bytes, most: int) -> None:
        super().__init__(data)
        self._most = most

    def read(self, size: int | None = -1) -> bytes:
        return super().read(self._most if size is None or size < 0 else min(size, self._most))


def unpacked(data: bytes, *, drip: int = 10**6, most: int = 1000) -> bytes:
    stream = UnpackedStream(Drip(data, drip), GZIP)
    pieces = []
    while piece := stream.read(most):
        assert len(piece) <= most
        pieces.append(piece)
    assert stream.read(most) == b""
    return b"".join(pieces)


@given(
    parts=st.lists(st.binary(max_size=300), min_size=1, max_size=4),
    padding=st.integers(0, 700),
    drip=st.integers(1, 50),
    most=st.integers(1, 400),
)
def test_members_come_out_one_after_the_other_however_they_come_in(
    parts: list[bytes], padding: int, drip: int, most: int
) -> None:
    packed = b"".join(gzip.compress(part) for part in parts) + bytes(padding)

    assert unpacked(packed, drip=drip, most=most) == b"".join(parts)


@pytest.mark.parametrize("cut", [1, 5, 50, 500])
def test_a_cut_stream_gives_what_came_and_says_that_it_was_cut(cut: int) -> None:
    whole = random.Random(1).randbytes(5000)
    stream = UnpackedStream(io.BytesIO(gzip.compress(whole)[:-cut]), GZIP)
    got = b""
    with pytest.raises(DamagedInputError, match="cut off"):
        while piece := stream.read(100):
            got += piece
    assert whole.startswith(got)
    assert len(got) >= 5000 - cut


def test_a_damaged_stream_says_so() -> None:
    packed = bytearray(gzip.compress(random.Random(1).randbytes(5000)))
    packed[-6] ^= 0xFF

    with pytest.raises(DamagedInputError, match=r"damaged at byte .* rows above may not have the values") as caught:
        unpacked(bytes(packed))
    assert caught.value.__context__ is None
    assert not caught.value.are_earlier_rows_sound


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress])
def test_what_follows_packed_data_and_is_none_is_damage(pack: Callable[[bytes], bytes]) -> None:
    data = pack(b"abc")
    packing = packing_of(data)
    assert packing is not None
    stream = UnpackedStream(io.BytesIO(data + b"something else"), packing)
    assert stream.read(100) == b"abc"
    with pytest.raises(DamagedInputError, match=f"at byte {len(data) + 1} or after it: something else") as caught:
        stream.read(100)
    assert caught.value.are_earlier_rows_sound


@pytest.mark.parametrize("name", ["kits.csv.gz", "kits.csv", "kits"])
def test_packed_rows_are_found_by_their_first_bytes(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(gzip.compress(HEADER + b"SPOT1,x\nSPOT2,y\n"))

    with open_rows(path) as file:
        rows = list(file)

    assert [(row.number, row.key, row.source) for row in rows if isinstance(row, Row)] == [
        (1, "SPOT1", b"SPOT1,x\n"),
        (2, "SPOT2", b"SPOT2,y\n"),
    ]
    assert (file.format, file.failed_format, file.preamble, file.size, file.share_read) == (
        "csv",
        "csv",
        HEADER,
        None,
        1,
    )


def test_the_suffix_below_gz_tells_the_format(tmp_path: Path) -> None:
    path = tmp_path / "kits.jsonl.gz"
    path.write_bytes(gzip.compress(b'  {"kit_id": "SPOT1", "metadata": {}}\n'))

    with open_rows(path) as file:
        assert file.format == "jsonl"
        assert len(list(file)) == 1


@pytest.mark.no_cover
def test_rows_before_the_damage_are_given(tmp_path: Path) -> None:
    path = tmp_path / "kits.csv.gz"
    text = HEADER + b"".join(b"SPOT%d,%d\n" % (n, n * 7919) for n in range(50_000))
    path.write_bytes(gzip.compress(text)[:-1000])

    rows = []
    with open_rows(path) as file, pytest.raises(DamagedInputError, match="cut off"):
        for row in file:
            rows.append(row)  # noqa: PERF402 - those before the error count

    assert len(rows) > 40_000
    assert all(isinstance(row, Row) for row in rows)


@pytest.mark.no_cover
def test_a_bomb_costs_no_memory(tmp_path: Path) -> None:
    path = tmp_path / "kits.csv.gz"
    with gzip.open(path, "wb", compresslevel=9) as packed:
        packed.write(HEADER)
        for _ in range(2):
            packed.write((b"SPOT1," + b"x" * 993 + b"\n") * 10_000)
    tracemalloc.start()
    try:
        with open_rows(path) as file:
            count = sum(1 for row in file if row.number % 10_000 == 0)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert path.stat().st_size < 40_000
    assert count == 2
    assert peak < 4 * 1024 * 1024
