"""CSV files of which the truth is known, damaged at random: every row comes out as it was meant, or is reported.

A damage that makes another well-formed file of one (a letter changed, an opening quote lost) no reader can see. Those
here leave a trace: a quote too many, a closing quote lost, a file cut off in a cell, a cell lost or gained, a byte
that is no text. The cells are full of lines that look like rows.
"""

import random
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from attrs import frozen

from spotdx_async.files import BadRow, FailedRows, Reading, Row, RowFile, UnreadableRows, open_rows
from tests.long_set import IS_FULL

FILES = 100_000 if IS_FULL else 2_000
CHUNKS = 20
SIGNS = (",", ";", "\t", "|")
ENDS = ("\n", "\r\n")
WORDS = (
    "x",
    "é",
    '"',
    '""',
    '","',
    "\n",
    "\r\n",
    "\nKX,old,old\n",
    '\n"KX","old","old"\n',
    ",",
    ";",
    "\t",
    "|",
    " ",
    "",
)


@frozen
class File:
    """A file, and what it means."""

    sign: str
    end: str
    records: tuple[bytes, ...]
    """The header first."""
    truth: dict[str, tuple[str, str]]
    """The cells of each id."""


def made(dice: random.Random) -> File:
    sign, end = dice.choice(SIGNS), dice.choice(ENDS)
    quotes_all = dice.random() < 0.4

    def cell(text: str) -> str:
        if quotes_all or any(part in text for part in (sign, '"', "\n", "\r")) or dice.random() < 0.1:
            return '"' + text.replace('"', '""') + '"'
        return text

    truth = {}
    records = [sign.join(map(cell, ("kit_id", "a", "b"))) + end]
    for number in range(dice.randint(1, 12)):
        cells = ["".join(dice.choices(WORDS, k=dice.randint(0, 5))) for _ in range(2)]
        cells[dice.randint(0, 1)] += "!"  # so that a row sets something
        truth[f"K{number}"] = (cells[0], cells[1])
        records.append(sign.join(map(cell, (f"K{number}", *cells))) + end)
    return File(sign, end, tuple(record.encode() for record in records), truth)


def damaged(dice: random.Random, file: File) -> tuple[bytes, set[str]]:
    """Damage the file; return it, with the ids of the rows that are no longer what they were.

    One quote at most: two wrong ones can make a file of other rows that is in order.
    """
    records = list(file.records)
    quote_at = dice.randrange(1, len(records)) if dice.random() < 0.8 else None
    hit = set()
    for at in dice.sample(range(1, len(records)), dice.randint(0, min(3, len(records) - 1))):
        if at != quote_at:
            records[at] = with_other_cells(dice, records[at], file)
            hit.add(f"K{at - 1}")
    if quote_at is not None:
        records[quote_at] = with_other_quotes(dice, records[quote_at], file.end.encode())
        hit.add(f"K{quote_at - 1}")
    data, last = b"".join(records), records[-1]
    cut = dice.randrange(len(last))
    if quote_at is None and last[:cut].count(b'"') % 2 and dice.random() < 0.5:
        return data[: len(data) - len(last) + cut], hit | {f"K{len(records) - 2}"}
    return data, hit


def with_other_cells(dice: random.Random, record: bytes, file: File) -> bytes:
    body, end, sign = record.removesuffix(file.end.encode()), file.end.encode(), file.sign.encode()
    match dice.randrange(4):
        case 0:
            return body + sign + b"x" + end
        case 1:
            return b"KX" + end
        case 2:
            return (body[:-1] + b'\xff"' if body.endswith(b'"') else body + b"\xff") + end
        case _:
            return (body[:-1] + b'\0"' if body.endswith(b'"') else body + b"\0") + end


def with_other_quotes(dice: random.Random, record: bytes, end: bytes) -> bytes:
    body = record.removesuffix(end)
    if body.endswith(b'"') and dice.random() < 0.4:
        return body[:-1] + end  # not closed
    at = dice.randint(1, len(body))
    return body[:at] + b'"' + body[at:] + end


def opened(data: bytes, piece: int) -> RowFile:
    class Drip(BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            return super().read(piece if size is None or size < 0 else min(size, piece))

    how: dict[str, Any] = {"name": "kits", "row_format": "csv", "reading": Reading(allows_empty=True)}
    file = RowFile(Drip(data), **how)
    if (doubt := RowFile(Drip(data), **how).survey()) is not None:
        file.distrust(doubt)
    return file


def cells_of(row: Row) -> tuple[str, str]:
    return row.metadata.get("a", ""), row.metadata.get("b", "")


def check(seed: int) -> None:
    dice = random.Random(seed)
    file = made(dice)
    data, hit = damaged(dice, file)
    rows = list(opened(data, dice.choice((1, 7, 64, 10**6))))
    sent = {row.key: cells_of(row) for row in rows if isinstance(row, Row)}
    assert sent.items() <= file.truth.items(), seed
    assert not sent.keys() & hit, seed
    lost = b"".join(row.source or b"" for row in rows if isinstance(row, BadRow))
    for at, record in enumerate(file.records[1:]):
        assert f"K{at}" in sent or f"K{at}" in hit or record in lost, seed
    # No byte is in no row: there are no blank lines outside of cells.
    assert file.records[0] + b"".join(row.source or b"" for row in rows) == data, seed
    if not hit:
        assert sent == file.truth, seed


def feed_back(seed: int, folder: Path) -> None:
    """Play the runs of a person who corrects what is rejected, while the server refuses some rows for a time."""
    dice = random.Random(seed)
    file = made(dice)
    data, hit = damaged(dice, file)
    done: dict[str, tuple[str, str]] = {}
    path = folder / "kits.csv"
    path.write_bytes(data)
    for session in range(3):
        failed, unreadable = FailedRows(folder / f"failed-{session}.csv", preamble=file.records[0]), None
        unreadable = UnreadableRows(failed.path)
        again = []
        with open_rows(path, reading=Reading(allows_empty=True)) as read:
            for row in read:
                if isinstance(row, Row) and (session or dice.random() < 0.7):
                    done[row.key] = cells_of(row)
                elif isinstance(row, BadRow) and not row.is_readable:
                    assert unreadable.add("kits", row)
                else:
                    failed.write(row.source or b"")
                    again.append(about(row))
        failed.close()
        unreadable.close()
        if failed.path.exists():
            with open_rows(failed.path, reading=Reading(allows_empty=True)) as read:
                assert [about(row) for row in read] == again, seed
        # The person corrects both files: what is missing stands there as it was meant.
        path = folder / f"corrected-{session}.csv"
        left = [record for at, record in enumerate(file.records[1:]) if f"K{at}" not in done]
        path.write_bytes(b"".join([file.records[0], *left]))
    assert done == file.truth, seed
    assert hit <= done.keys()


def about(row: Row | BadRow) -> tuple[object, ...]:
    return (row.key, cells_of(row)) if isinstance(row, Row) else (row.key, row.reason)


@pytest.mark.no_cover
@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_what_is_sent_is_the_truth_or_it_is_reported(chunk: int) -> None:
    for seed in range(chunk, FILES, CHUNKS):
        check(seed)


@pytest.mark.no_cover
def test_failed_files_fed_back_until_nothing_is_left_end_in_the_truth(tmp_path: Path) -> None:
    for seed in range(FILES // 40):
        folder = tmp_path / str(seed)
        folder.mkdir()
        feed_back(seed, folder)
