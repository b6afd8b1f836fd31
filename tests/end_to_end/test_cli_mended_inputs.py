"""Damaged inputs, and journals that resume with an input that was mended or extended."""

import gzip
import lzma
import os
import random
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import pytest_asyncio

from spotdx_async.cli.row_source import RowSource
from spotdx_async.testing import FakeSpot
from tests.command_line import spotdx

ROWS = 400
ACCEPTING = "--accept-changed-input"


@pytest_asyncio.fixture
async def fake(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[FakeSpot]:
    async with FakeSpot(kits=[f"K{number}" for number in range(ROWS)]) as server:
        monkeypatch.setenv("SPOTDX_TOKEN", server.token)
        monkeypatch.setenv("SPOTDX_BASE_URL", server.url)
        yield server


def csv(numbers: Iterable[int]) -> bytes:
    """Rows that pack badly, so that a part of the packed text is a part of the rows."""
    chance = random.Random(1)
    return b"kit_id,a\n" + b"".join(b"K%d,%s\n" % (n, chance.randbytes(40).hex().encode()) for n in numbers)


def lines(numbers: Iterable[int]) -> bytes:
    return b"".join(b'{"kit_id": "K%d", "metadata": {"a": %d}}\n' % (n, n * 7919) for n in numbers)


def sent(fake: FakeSpot) -> list[int]:
    return sorted(int(entry.kit_id[1:]) for entry in fake.ledger)


WHOLE = csv(range(ROWS))
DAMAGES: list[tuple[str, bytes, str]] = [
    ("gz", gzip.compress(WHOLE)[:-3000], "the gzip data ends in the middle: the file was cut off"),
    ("xz", lzma.compress(WHOLE)[:-3000], "the xz data ends in the middle: the file was cut off"),
    ("gz", gzip.compress(WHOLE) + b"garbage behind it", "or after it: something else follows there"),
]


@pytest.mark.parametrize("case", DAMAGES, ids=["cut gzip", "cut xz", "garbage behind gzip"])
async def test_the_rows_before_the_damage_are_sent_and_a_repaired_file_sends_the_rest(
    fake: FakeSpot, tmp_path: Path, capsys: pytest.CaptureFixture[str], case: tuple[str, bytes, str]
) -> None:
    suffix, data, said = case
    path, journal = tmp_path / f"kits.csv.{suffix}", tmp_path / "run.journal"
    path.write_bytes(data)

    assert await spotdx("kits", "update", path, "--journal", journal) == 3

    before, err = len(fake.ledger), capsys.readouterr().err
    assert sent(fake) == list(range(before))
    assert before > 0
    assert said in err
    assert "the same command would stop there again, so repair the input" in err
    assert f"with the same --journal and {ACCEPTING}, which sends only what is not done" in err
    assert "run the same command again" not in err
    # It does not go on for ever.
    assert await spotdx("kits", "update", path, "--journal", journal) == 2
    assert len(fake.ledger) == before
    # The repaired file, the damaged one, and another way to pack it: what counts is what the rows hold.
    repaired = tmp_path / "repaired.csv"
    repaired.write_bytes(WHOLE)
    capsys.readouterr()
    assert await spotdx("kits", "update", repaired, "--journal", journal) == 2
    assert "was begun with another input" in capsys.readouterr().err
    assert await spotdx("kits", "update", repaired, "--journal", journal, ACCEPTING) == 0
    assert sent(fake) == list(range(ROWS))
    assert f"the run resumes with this input: {before:,} of its 400 rows are done" in capsys.readouterr().err
    assert await spotdx("kits", "update", repaired, "--journal", journal, ACCEPTING) == 0
    assert len(fake.ledger) == ROWS


@pytest.mark.parametrize(("name", "text"), [("kits.csv.gz", WHOLE), ("kits.jsonl.gz", lines(range(ROWS)))])
async def test_a_wrong_checksum_is_known_before_anything_is_sent(
    fake: FakeSpot, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, text: bytes
) -> None:
    packed = bytearray(gzip.compress(text))
    packed[-6] ^= 1
    (tmp_path / name).write_bytes(packed)

    for options in ((), ("--one-line-rows",)):
        assert await spotdx("kits", "update", tmp_path / name, *options) == 2

    assert fake.requests == []
    assert "or after it: rows above may not have the values that they had" in capsys.readouterr().err


async def test_rows_are_known_by_what_they_hold(
    fake: FakeSpot, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, journal = tmp_path / "kits.csv", tmp_path / "run.journal"
    path.write_text("kit_id,a\nK1,x\n K2,y\nK3,z\nNEW,w\n")
    assert await spotdx("kits", "update", path, "--journal", journal) == 1
    assert sent(fake) == [1, 3]

    path.write_text("kit_id,a\nK0,v\nK1,x\nK2,y\nK3,z\nK3,again\n")
    capsys.readouterr()
    assert await spotdx("kits", "update", path, "--journal", journal, ACCEPTING) == 0

    assert sent(fake) == [0, 1, 2, 3, 3]
    assert fake.kits["K3"].metadata == {"a": "again"}
    assert "the run resumes with this input: 2 of its 5 rows are done" in capsys.readouterr().err


async def test_what_the_journal_cannot_tell_is_refused(
    fake: FakeSpot, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, journal = tmp_path / "kits.csv", tmp_path / "run.journal"
    path.write_text("kit_id,a\nK1,x\nK2,y\n")
    assert await spotdx("kits", "update", path, "--journal", journal) == 0
    path.write_text("kit_id,a\nK1,x\nK3,z\n")
    capsys.readouterr()

    assert await spotdx("kits", "update", path, "--journal", journal, ACCEPTING) == 2

    assert sent(fake) == [1, 2]
    err = capsys.readouterr().err
    assert "knows a row that is done, or perhaps done, and is not in this input (it was row 2)" in err
    assert "begin a new run with a new journal" in err


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ((), "--accept-changed-input needs --journal"),
        (("--journal", "folder", "--workers", "1"), "--accept-changed-input is not available with --dask or --workers"),
    ],
)
async def test_where_a_changed_input_cannot_be_accepted_it_says_so(
    fake: FakeSpot, tmp_path: Path, capsys: pytest.CaptureFixture[str], options: tuple[str, ...], said: str
) -> None:
    path = tmp_path / "kits.csv"
    path.write_text("kit_id,a\nK1,x\n")

    assert await spotdx("kits", "update", path, ACCEPTING, *options) == 2

    assert fake.requests == []
    assert said in capsys.readouterr().err


async def test_standard_input_cannot_be_read_twice(
    fake: FakeSpot, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    with piped(["K1"]):
        assert await spotdx("kits", "update", ACCEPTING, "--journal", tmp_path / "run.journal", "-") == 2

    assert fake.requests == []
    assert "--accept-changed-input reads its input twice: pass files" in capsys.readouterr().err


@pytest.mark.parametrize("what", ["damaged", "changed", "stopped"])
async def test_where_the_mended_input_cannot_be_read_the_journal_stays_as_it_was(
    fake: FakeSpot, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    path, journal = tmp_path / "kits.csv.gz", tmp_path / "run.journal"
    path.write_bytes(gzip.compress(WHOLE)[:-3000])
    assert await spotdx("kits", "update", path, "--journal", journal) == 3
    before, recorded = len(fake.ledger), journal.read_bytes()
    path.write_bytes(gzip.compress(WHOLE)[: -1000 if what == "damaged" else None])
    again = RowSource.again
    acts: dict[str, Callable[[], object]] = {
        "damaged": lambda: None,
        "changed": lambda: path.write_bytes(b""),
        "stopped": lambda: pytest.fail("no row is read any more"),
    }

    def acting(self: RowSource, files: object) -> object:
        for number, row in enumerate(again(self, files)):  # type: ignore[arg-type]
            if number == 1:
                acts[what]()
            yield row

    monkeypatch.setattr(RowSource, "again", acting)
    if what == "stopped":
        monkeypatch.setattr("spotdx_async.cli.row_run.StopSignals", stopping_at_once)
    capsys.readouterr()

    code = await spotdx("kits", "update", path, "--journal", journal, ACCEPTING)

    assert (code, len(fake.ledger), journal.read_bytes()) == ({"damaged": 2}.get(what, 3), before, recorded)
    said = {
        "damaged": "the file was cut off; repair all of the input, so that the run can be resumed with it",
        "changed": "it was changed while it was read",
        "stopped": "stopped early by a signal",
    }
    assert said[what] in capsys.readouterr().err


class stopping_at_once:  # noqa: N801 - in place of a class of ours
    """The first signal has come when the run begins: in a thread there are none."""

    def __init__(self, first: Callable[[], object], **_: object) -> None:
        self._first = first

    def __enter__(self) -> None:
        self._first()

    def __exit__(self, *_: object) -> None:
        pass


FIRST = "kit_id,a\nK1,x\n\nK2,y\nK3,z\n"


@pytest.mark.parametrize(
    "case",
    [
        (FIRST.replace("K2", "K5"), (), "(25 bytes); row 2 (line 4) of {path} is the first that differs from the j"),
        ("kit_id,a\nK1,x\n", (), "(14 bytes); it ends after 1 row, and the journal knows more"),
        ("kit_id,a\n", (), "(9 bytes); it ends after 0 rows, and the journal knows more"),
        (FIRST + "K4,w\n", (), "(30 bytes); the rows that it knows are in it unchanged, so others were added or"),
        (FIRST, ("--allow-empty",), "(25 bytes); the rows that it knows are in it unchanged, so others were added or"),
        (FIRST, ("--map", "a=b"), "(25 bytes); row 1 (line 2) of {path} is the first that differs from the journal"),
    ],
)
async def test_it_says_what_differs_from_the_journals_input(
    fake: FakeSpot, tmp_path: Path, capsys: pytest.CaptureFixture[str], case: tuple[str, tuple[str, ...], str]
) -> None:
    text, options, said = case
    path, journal = tmp_path / "kits.csv", tmp_path / "run.journal"
    path.write_text(FIRST)
    assert await spotdx("kits", "update", path, "--journal", journal) == 0
    path.write_text(text)
    capsys.readouterr()

    assert await spotdx("kits", "update", path, "--journal", journal, *options) == 2

    err = capsys.readouterr().err
    assert "was begun with another input: resume with the input that the run began with" in err
    assert f"the input is now {path} {said.format(path=path)}" in err
    assert "if it was mended or extended, --accept-changed-input resumes with it" in err
    assert len(fake.ledger) == 3


@pytest.mark.parametrize(("number", "code"), [(3, 2), (30, 3)])
async def test_a_row_of_standard_input_that_is_another_is_named_by_its_number(
    fake: FakeSpot, tmp_path: Path, capsys: pytest.CaptureFixture[str], number: int, code: int
) -> None:
    journal, new = tmp_path / "run.journal", [f"NEW{row}" for row in range(1, 40)]
    update = ("kits", "update", "-", "--journal", journal, "--concurrency", 1)
    with piped(new):
        assert await spotdx(*update) == 1
    for kit in new:
        fake.kits.add(kit)
    capsys.readouterr()

    with piped([*new[: number - 1], "OTHER", *new[number:]]):
        assert await spotdx(*update) == code

    err = capsys.readouterr().err
    assert (
        f"stopped early: standard input, row {number}: row {number} of the input is not the one that the journal knows"
    ) in err
    assert "begin a new run with a new journal" in err
    assert "run the same command again" not in err
    assert len(fake.ledger) < number
    assert (len(fake.ledger) > 0) == (code == 3)


@contextmanager
def piped(kits: Iterable[str]) -> Iterator[None]:
    """Put rows into standard input."""
    reading, writing = os.pipe()
    os.write(writing, b"kit_id,a\n" + b"".join(b"%s,x\n" % kit.encode() for kit in kits))
    os.close(writing)
    before = os.dup(0)
    os.dup2(reading, 0)
    try:
        yield
    finally:
        os.dup2(before, 0)
        os.close(before)
        os.close(reading)
