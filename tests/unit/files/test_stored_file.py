"""A file is read only as long as it is the one that was opened."""

import gzip
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from spotdx_async._http import clock
from spotdx_async.errors import InvalidInputError
from spotdx_async.files import BadRow, ChangedInputError, Row, RowFile, fingerprint, open_rows
from spotdx_async.files.stored_file import StoredFile

HEADER = b"kit_id,a\n"
ROWS = HEADER + b"".join(b"SPOT%d,%s\n" % (number, b"x" * 1000) for number in range(400))
LINES = b"".join(b'{"kit_id": "SPOT%d", "metadata": {"a": "%s"}}\n' % (number, b"x" * 1000) for number in range(400))
OLD_S = 1_700_000_000


def written(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    os.utime(path, (OLD_S, OLD_S))
    return path


def rewrite(path: Path) -> None:
    with path.open("r+b") as file:
        file.write(b"K")


def append(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"SPOTX,1\n")


def replace(path: Path) -> None:
    other = path.with_name("other")
    written(other, path.read_bytes())
    other.replace(path)


def parquet(path: Path) -> Path:
    arrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    table = arrow.table({"kit_id": [f"SPOT{number}" for number in range(5000)], "a": list(range(5000))})
    parquet.write_table(table, path, row_group_size=1000)
    os.utime(path, (OLD_S, OLD_S))
    return path


CHANGES = [
    (rewrite, "it was written to while it was read"),
    (append, "bytes, and has"),
    (replace, "another file has taken its place while it was read"),
    (Path.unlink, "it was moved or deleted while it was read"),
]
FILES: list[Callable[[Path], Path]] = [
    lambda folder: written(folder / "kits.csv", ROWS),
    lambda folder: written(folder / "kits.csv.gz", gzip.compress(ROWS)),
    lambda folder: written(folder / "kits.jsonl", LINES),
    lambda folder: parquet(folder / "kits.parquet"),
]


@pytest.mark.parametrize(("change", "said"), CHANGES, ids=[change.__name__ for change, _ in CHANGES])
@pytest.mark.parametrize("make", FILES, ids=["csv", "gzip", "jsonl", "parquet"])
def test_no_row_comes_after_a_change(
    tmp_path: Path, make: Callable[[Path], Path], change: Callable[[Path], None], said: str
) -> None:
    path = make(tmp_path)
    with open_rows(path) as file:
        file.fill()
        before = len([*file.rows()])
        change(path)

        for again in (file.fill, lambda: [*file.rows()], file.digest, file.check_unchanged):
            with pytest.raises(ChangedInputError) as caught:
                again()
            assert said in str(caught.value)

    assert before > 0


@pytest.mark.parametrize("make", FILES, ids=["csv", "gzip", "jsonl", "parquet"])
def test_a_file_that_stays_as_it_is_is_read_to_its_end(tmp_path: Path, make: Callable[[Path], Path]) -> None:
    path = make(tmp_path)
    with open_rows(path) as file:
        mark = fingerprint([path], inputs=[file])
        assert len([*file]) >= 400
        file.check_unchanged()
    assert mark == fingerprint([path])


def test_a_change_between_opening_and_the_fingerprint_is_told(tmp_path: Path) -> None:
    path = written(tmp_path / "kits.csv", ROWS)
    with open_rows(path) as file:
        append(path)

        with pytest.raises(ChangedInputError, match=r"kits\.csv: it was changed"):
            fingerprint([path], inputs=[file])


def test_a_change_while_the_fingerprint_is_taken_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path / "kits.csv", ROWS)
    opened_again = StoredFile._opened_again

    def changed(self: StoredFile) -> object:
        again = opened_again(self)
        append(path)
        return again

    with open_rows(path) as file:
        monkeypatch.setattr(StoredFile, "_opened_again", changed)
        with pytest.raises(ChangedInputError):
            fingerprint([path], inputs=[file])


def test_a_change_while_quotes_are_looked_at_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path / "kits.csv", ROWS)
    read, reads = StoredFile.read, []

    def changed(self: StoredFile, size: int) -> bytes:
        reads.append(size)
        if len(reads) == 3:
            append(path)
        return read(self, size)

    monkeypatch.setattr(StoredFile, "read", changed)
    with pytest.raises(ChangedInputError, match=r"kits\.csv: it was changed"):
        open_rows(path)


def test_bytes_that_change_without_a_trace_are_told_at_the_end(tmp_path: Path) -> None:
    path = written(tmp_path / "kits.csv", ROWS)
    with open_rows(path) as file:
        fingerprint([path], inputs=[file])
        with path.open("r+b") as changed:
            changed.seek(-2, os.SEEK_END)
            changed.write(b"y")
        os.utime(path, (OLD_S, OLD_S))

        with pytest.raises(ChangedInputError, match="other bytes are in it than at first"):
            list(file)


def test_a_file_that_grows_while_it_is_unpacked_is_changed_and_not_damaged(tmp_path: Path) -> None:
    packed = gzip.compress(ROWS)
    path = written(tmp_path / "kits.jsonl.gz", gzip.compress(LINES)[:-100])
    with open_rows(path) as file:
        with path.open("ab") as more:
            more.write(packed[-100:])

        with pytest.raises(ChangedInputError):
            list(file)


@pytest.mark.parametrize(
    ("name", "data", "age_s"),
    [
        ("kits.csv", HEADER + b"SPOT1,x", 2),
        ("kits.csv", HEADER + b"SPOT1,x\n", -2),
        ("kits.csv", b"kit_id,a\rSPOT1,x\r", -2),
        ("kits.csv", HEADER + b"SPOT1,x", -60),
        ("kits.csv", "kit_id,a\nSPOT1,x".encode("utf-16"), 2),
        ("kits.csv", "kit_id,a\nSPOT1,x\n".encode("utf-16"), -2),
        ("kits.jsonl", b'{"kit_id": "SPOT1", "metadata": {}}', 2),
        ("kits.json", b'[{"kit_id": "SPOT1", "metadata": {}}]', -2),
        ("kits.csv.gz", gzip.compress(HEADER + b"SPOT1,x", mtime=0), -2),
    ],
)
def test_a_last_line_that_may_be_written_still_is_noted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, data: bytes, age_s: int
) -> None:
    path = written(tmp_path / name, data)
    monkeypatch.setattr(clock, "wall", lambda: datetime.fromtimestamp(OLD_S + abs(age_s), UTC))

    with open_rows(path) as file:
        assert len(file.notes) == (age_s > 0)  # below 0: nothing is said
        assert all("it was written 2 s ago, and its last line has no line end: if" in note for note in file.notes)


def test_a_pipe_by_its_name_is_not_watched(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    reading = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    writing = os.open(path, os.O_WRONLY)
    try:
        os.write(writing, HEADER + b"SPOT1,x\n")
        file = open_rows(path, row_format="csv")
        assert isinstance(file, RowFile)
        os.close(writing)
        writing = -1
        with file:
            assert stat.S_ISFIFO(os.fstat(file.fileno()).st_mode)
            path.unlink()
            assert len([*file]) == 1
            assert file.digest() is None
    finally:
        os.close(reading)
        if writing >= 0:
            os.close(writing)


def test_a_parquet_file_that_is_gone_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="No such file or directory"):
        open_rows(tmp_path / "kits.parquet")


@contextmanager
def redirected(path: Path, skipped: int = 0) -> Iterator[None]:
    """Make a file the standard input, as ``< PATH`` does; of which another program has read so many bytes."""
    kept = os.dup(0)
    with path.open("rb", buffering=0) as given:
        given.read(skipped)
        os.dup2(given.fileno(), 0)
    try:
        yield
    finally:
        os.dup2(kept, 0)
        os.close(kept)


@pytest.mark.parametrize(("change", "said"), CHANGES[:2], ids=["rewrite", "append"])
@pytest.mark.parametrize("make", FILES[:3], ids=["csv", "gzip", "jsonl"])
def test_a_redirected_file_is_watched_too(
    tmp_path: Path, make: Callable[[Path], Path], change: Callable[[Path], None], said: str
) -> None:
    path = make(tmp_path)
    with redirected(path), open_rows("-") as file:
        file.fill()
        assert [*file.rows()]
        change(path)
        with pytest.raises(ChangedInputError, match=said):
            list(file)
    os.fstat(0)  # it is not ours to close


@pytest.mark.parametrize("change", [replace, Path.unlink])
def test_a_redirected_file_may_lose_its_name(tmp_path: Path, change: Callable[[Path], None]) -> None:
    path = written(tmp_path / "kits.csv", ROWS)
    with redirected(path), open_rows("-") as file:
        change(path)
        assert len([*file]) == 400
        assert file.digest() is None


@pytest.mark.parametrize("skipped", [b"", b"what is before the rows\n"])
@pytest.mark.parametrize("is_packed", [False, True])
def test_a_redirected_file_is_looked_through_for_broken_quotes(tmp_path: Path, skipped: bytes, is_packed: bool) -> None:
    data = HEADER + b'SPOT1,x\nSPOT2,"a,b"\nSPOT3,"c\nSPOT4,old",d"\nSPOT5,y\n'
    path = written(tmp_path / "kits", skipped + (gzip.compress(data) if is_packed else data))
    with redirected(path, len(skipped)), open_rows("-") as file:
        found = [*file]
    assert [row.key for row in found if isinstance(row, Row)] == ["SPOT1"]
    assert isinstance(found[-1], BadRow)
    assert (found[-1].line, found[-1].last_line) == (3, 6)


def test_a_wrong_checksum_of_a_redirected_file_is_known_before_its_rows(tmp_path: Path) -> None:
    packed = bytearray(gzip.compress(ROWS))
    packed[-6] ^= 1
    with redirected(written(tmp_path / "kits.gz", bytes(packed))), pytest.raises(InvalidInputError, match="is damaged"):
        open_rows("-")


def test_a_redirected_file_that_may_be_written_still_is_noted(tmp_path: Path) -> None:
    path = tmp_path / "kits.csv"
    path.write_bytes(ROWS[:-1])
    with redirected(path), open_rows("-") as file:
        assert "its last line has no line end" in file.notes[0]
