"""Opening an input: what it is taken for, and how it is refused."""

import codecs
import io
import os
import subprocess
import sys
import threading
from encodings.aliases import aliases
from pathlib import Path

import pytest

from spotdx_async.errors import InvalidInputError
from spotdx_async.files import BadRow, Format, Row, RowFile, open_rows
from spotdx_async.files.lines import LineBuffer
from spotdx_async.files.recognition import check_encoding
from spotdx_async.files.rows import Reading

CSV = b"kit_id,a\nSPOT1,x\n"
JSONL = b'{"kit_id": "SPOT1", "metadata": {"a": "x"}}\n'

READ_STDIN = """
import os
from spotdx_async.files import open_rows
with open_rows("-") as file:
    print(file.name, file.size, [row.number for row in file])
os.fstat(0)
"""


def refusal(data: bytes, row_format: Format | None = None) -> str:
    with pytest.raises(InvalidInputError) as caught:
        RowFile(io.BytesIO(data), name="kits", row_format=row_format)
    return str(caught.value)


@pytest.mark.parametrize(("name", "data"), [("k.csv", CSV), ("k.CSV", CSV), ("k.jsonl", JSONL), ("k.ndjson", JSONL)])
def test_the_suffix_tells_the_format(tmp_path: Path, name: str, data: bytes) -> None:
    (tmp_path / name).write_bytes(data)
    with open_rows(tmp_path / name) as file:
        (row,) = file
    assert isinstance(row, Row)
    assert row.metadata == {"a": "x"}
    assert file.name == str(tmp_path / name)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (CSV, "csv"),
        (JSONL, "jsonl"),
        (b"\xef\xbb\xbf" + JSONL, "jsonl"),
        (b"\n " + JSONL, "jsonl"),
        (b"\n" + CSV, "csv"),
    ],
)
def test_the_first_character_tells_the_format_where_the_suffix_does_not(
    tmp_path: Path, data: bytes, expected: str
) -> None:
    (tmp_path / "rows.txt").write_bytes(data)
    with open_rows(tmp_path / "rows.txt") as file:
        assert file.format == expected
        assert len(list(file)) == 1


def test_a_given_format_is_stronger_than_the_suffix(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_bytes(JSONL)
    with open_rows(tmp_path / "rows.csv", row_format="jsonl") as file:
        assert len(list(file)) == 1


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"PK\x03\x04\0\0rest", "a zip archive: unpack it"),
        (b"PK\x03\x04\0\0[Content_Types].xml", "an Excel workbook: pass it as a file named .xlsx"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1rest", "an old Excel workbook (.xls)"),
        (b"7z\xbc\xaf\x27\x1crest", "a 7-Zip archive"),
        (b"%PDF-1.7", "a PDF"),
        (b"<!DOCTYPE html><html>", "a page of HTML"),
        (b'\n<?xml version="1.0"?>', "HTML or XML"),
        (b"PAR1rest", "Parquet"),
        (b"", "the file is empty"),
    ],
)
@pytest.mark.parametrize("row_format", [None, "csv", "jsonl"])
def test_what_is_no_rows_is_refused_by_its_name(data: bytes, what: str, row_format: Format | None) -> None:
    assert what in refusal(data, row_format)


@pytest.mark.parametrize(
    "data",
    [b"{\n", b'{"rows": [\n', b'\n{"kit_id": "SPOT1",\n', b"\xef\xbb\xbf{\r\n"],
    ids=["an object", "an array in it", "a row", "with a mark"],
)
def test_an_object_over_several_lines_is_refused_and_not_taken_for_broken_rows(data: bytes) -> None:
    said = refusal(data + b'  "metadata": {}\n}\n')

    assert said.startswith("kits: one JSON object is spread over several lines: write each row on one line")


@pytest.mark.parametrize("first", [b'{"kit_id": "SPOT0",', b'{"kit_id": "SPO', b"{}x", b"{"])
def test_a_first_row_that_is_broken_is_a_bad_row_where_rows_follow(first: bytes) -> None:
    with RowFile(io.BytesIO(first + b"\n" + JSONL), name="kits") as file:
        bad, good = file

    assert isinstance(bad, BadRow)
    assert isinstance(good, Row)


@pytest.mark.parametrize("encoding", sorted(set(aliases.values())))
@pytest.mark.parametrize("data", [CSV, JSONL, b"", b"\0\xff\xfe" * 9, CSV.decode().encode("utf-16-be")[:-1]])
def test_no_encoding_of_any_text_ends_in_anything_but_rows_or_a_refusal(encoding: str, data: bytes) -> None:
    try:
        encoding = check_encoding(encoding)
        with RowFile(io.BytesIO(data), name="kits", reading=Reading(encoding=encoding)) as file:
            rows = [*file]
    except InvalidInputError:
        return
    assert all(isinstance(row, BadRow) or (row.key, row.metadata) == ("SPOT1", {"a": "x"}) for row in rows)


@pytest.mark.parametrize(
    ("encoding", "stored"),
    [
        ("utf-16", "utf-16-le"),
        ("utf-16", "utf-16-be"),
        ("UTF16", "utf-16"),
        ("utf-32", "utf-32-le"),
        ("utf-32", "utf-32-be"),
        ("utf-16-be", "utf-16-be"),
        ("cp037", "cp037"),
        ("shift_jis", "shift_jis"),
    ],
)
def test_a_given_encoding_reads_what_is_stored_in_it(encoding: str, stored: str) -> None:
    with RowFile(io.BytesIO(CSV.decode().encode(stored)), name="kits", reading=Reading(encoding=encoding)) as file:
        (row,) = file

    assert isinstance(row, Row)
    assert row.metadata == {"a": "x"}


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32", "utf-16-le", "utf-32-be", "cp037", "cp500"])
@pytest.mark.parametrize("header", ["kit_id,a", "SPOT1,Größe", '{"kit_id": "SPOT1"'])
def test_text_that_is_not_in_the_given_encoding_is_refused_and_none_of_it_is_shown(encoding: str, header: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        RowFile(io.BytesIO(f"{header}\n".encode()), name="kits", reading=Reading(encoding=encoding))

    name = codecs.lookup(encoding).name
    assert str(caught.value) == f"kits: the text is ASCII or UTF-8, not {name}: leave out --encoding"


def test_what_cannot_be_opened_is_refused_with_the_reason(tmp_path: Path) -> None:
    for place, reason in [(tmp_path, "Is a directory"), (tmp_path / "missing.csv", "No such file or directory")]:
        with pytest.raises(InvalidInputError, match=reason):
            open_rows(place)


def test_an_input_that_breaks_while_its_start_is_read_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    class Broken(io.BytesIO):
        def read(self, *_: object) -> bytes:
            raise OSError(5, "Input/output error")

    monkeypatch.setattr("spotdx_async.files.opening.StoredFile.open", lambda _place: Broken())
    with pytest.raises(InvalidInputError, match="Input/output error"):
        open_rows(tmp_path / "kits.csv")


def test_rows_of_a_pipe_come_before_the_pipe_ends() -> None:
    reading, writing = os.pipe()
    try:
        os.write(writing, CSV + b"SPOT2,")
        with RowFile(os.fdopen(reading, "rb", buffering=0), name="a pipe", row_format="csv") as file:
            assert file.size is None
            assert file.fileno() == reading
            assert [row.number for row in file.rows()] == [1]
            os.write(writing, b"y\nSPOT3,z")
            file.fill()
            assert [row.number for row in file.rows()] == [2]
            os.close(writing)
            writing = -1
            file.fill()
            assert [row.number for row in file.rows()] == [3]
            assert file.at_end
    finally:
        if writing >= 0:
            os.close(writing)


def test_a_header_that_comes_byte_by_byte_is_waited_for() -> None:
    reading, writing = os.pipe()

    def write() -> None:
        for byte in CSV:
            os.write(writing, bytes([byte]))
        os.close(writing)

    thread = threading.Thread(target=write)
    thread.start()
    with RowFile(os.fdopen(reading, "rb", buffering=0), name="a pipe") as file:
        assert [row.source for row in file] == [b"SPOT1,x\n"]
    thread.join()


def test_a_dash_is_standard_input_which_stays_open(tmp_path: Path) -> None:
    command = [sys.executable, "-c", READ_STDIN]
    (tmp_path / "rows.csv").write_bytes(CSV)
    piped = subprocess.run(command, input=CSV, capture_output=True, check=True)  # noqa: S603 - our own interpreter
    with (tmp_path / "rows.csv").open("rb") as rows:
        redirected = subprocess.run(command, stdin=rows, capture_output=True, check=True)  # noqa: S603 - the same
    assert piped.stdout == b"standard input None [1]\n"
    assert redirected.stdout == b"standard input 17 [1]\n"


def test_a_file_may_be_closed_twice(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_bytes(CSV)
    file = open_rows(tmp_path / "rows.csv")
    file.close()
    file.close()


def test_a_long_line_comes_in_parts_and_its_end_is_found() -> None:
    lines = LineBuffer("csv", longest=10)
    for piece in (b"a\r", b"b" * 8, b"c" * 8, b"\r", b"\n", b"d\r", b"\n", b""):
        lines.feed(piece)
    taken = list(iter(lines.take, None))
    assert taken == [
        (1, b"a\r", True),
        (2, b"b" * 8 + b"c" * 7, False),
        (2, b"c\r\n", True),
        (3, b"d\r\n", True),
    ]


def test_feeding_the_end_twice_changes_nothing() -> None:
    lines = LineBuffer("jsonl")
    for piece in (b"a", b"", b""):
        lines.feed(piece)
    assert len(list(iter(lines.take, None))) == 1
