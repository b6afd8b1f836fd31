"""Files that readers are known to misread, by name: the exit code, what was sent, and what was said."""

import bz2
import gzip
import io
import json
import lzma
import re
import stat
import sys
import tarfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from attrs import frozen
from cyclopts import CycloptsError

from spotdx_async.cli.app import make_app
from spotdx_async.testing import FakeSpot
from tests.command_line import spotdx
from tests.workbooks import workbook

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

HEADER = "kit_id,a\n"
UTF_8 = b"\xef\xbb\xbf"
ARRAY = json.dumps([{"kit_id": "K1", "metadata": {"a": "é"}}, {"kit_id": "K2", "metadata": {"a": 2}}], indent=2)
ROWS_IN_A_CELL = "".join(f"K{number % 9},old\n" for number in range(60_000))


@frozen
class Case:
    """A file, and what becomes of it."""

    name: str
    data: bytes
    code: int = 0
    sent: tuple[tuple[str, object], ...] = (("K1", {"a": "é"}),)
    said: str = ""
    options: tuple[str, ...] = ()
    suffix: str = ".csv"


def csv(rows: str) -> bytes:
    return (HEADER + rows).encode()


def kit(number: int, value: object) -> tuple[str, object]:
    return f"K{number}", {"a": value}


def tar_of(name: str, data: bytes) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        about = tarfile.TarInfo(name)
        about.size = len(data)
        archive.addfile(about, io.BytesIO(data))
    return packed.getvalue()


SKIPPED = b"\x50\x2a\x4d\x18\4\0\0\0note"
LONG_DISTANCES = b"\x28\xb5\x2f\xfd\0\x90\x49\0\0kit_id,a\n"
"""A frame of zstd that asks for a window of 256 MiB."""
LARGE_XZ = b"\xfd7zXZ\0\0\1i\"\xde6\2\0!\1#\0\0\0\xe7'\x10d"
"""The head of a stream of xz that asks for a dictionary of 768 MiB."""
MULTI_LINE = 'K1,"see:\nK2,old\nK3,old\n" \nK4,right\n'
CASES = [
    # Quotes
    Case(
        "a long cell of lines that look like rows",
        csv(f'K1,"{ROWS_IN_A_CELL}"\nK2,x\n'),
        sent=(kit(1, ROWS_IN_A_CELL), kit(2, "x")),
    ),
    Case(
        "a cell longer than --max-cell",
        csv(f'K1,"{ROWS_IN_A_CELL}"\nK2,x\n'),
        1,
        (kit(2, "x"),),
        "row 1 (lines 2-60002): rejected: a cell is longer than 102,400 bytes",
        ("--max-cell", "100KiB"),
    ),
    Case(
        "text behind a quote that closes a cell of lines",
        csv(MULTI_LINE),
        1,
        (),
        "row 1 (lines 2-6): rejected: text follows a closing quote, on line 5",
    ),
    Case(
        "the same where each line is a row",
        csv(MULTI_LINE),
        1,
        (kit(2, "old"), kit(3, "old"), kit(4, "right")),
        "row 1 (line 2): rejected: a quote opens and is never closed",
        ("--one-line-rows",),
    ),
    Case(
        "a quote that is never closed",
        csv('K1,x\nK2,"y\nK3,z\n'),
        1,
        (kit(1, "x"),),
        "row 2 (lines 3-4): rejected: a quote opens and is never closed, on line 3",
    ),
    Case(
        "a closing quote that is lost, and the next one in its place",
        csv('K0,z\nK1,"x\nK2,"\nK3,old\n"\nK4,y\n'),
        1,
        (kit(0, "z"),),
        "row 2 (lines 3-7): rejected: a quote opens and is never closed, on line 6: the wrong quote may be",
    ),
    Case(
        "an inch",
        csv('K1,x\nK2,5" y\nK3,z\n'),
        1,
        (kit(1, "x"),),
        "row 2 (lines 3-4): rejected: a quote stands inside a cell that is not quoted, on line 3",
    ),
    Case(
        "an inch where each line is a row",
        csv('K1,x\nK2,5" y\nK3,z\n'),
        1,
        (kit(1, "x"), kit(3, "z")),
        "row 2 (line 3): rejected",
        ("--one-line-rows",),
    ),
    # Rows that mean something else
    Case("a row that sets nothing", csv("K1,é\nK2,\n"), 1, said="row 2 (line 3): rejected: the row sets nothing"),
    Case("a row that sets nothing, on purpose", csv("K2,\n"), sent=(("K2", {}),), options=("--allow-empty",)),
    Case("metadata of {}", b"kit_id,metadata\nK2,{}\n", sent=(("K2", {}),)),
    Case(
        "two files joined",
        csv("K1,é\nkit_id,a\nK2,x\n"),
        1,
        (kit(1, "é"), kit(2, "x")),
        "row 2 (line 3): rejected: the row is the header once more",
    ),
    Case(
        "two files of other columns joined",
        csv("K1,é\na,kit_id\nx,K2\n"),
        1,
        said="row 2 (lines 3-4): rejected: another header is here",
    ),
    Case(
        "an id with a character of no width",
        csv("K1,é\nK\u200b2,x\n"),
        1,
        said="row 2 (line 3): rejected: the kit_id holds the invisible character U+200B",
    ),
    # Numbers
    Case(
        "a number of too many digits",
        b'{"kit_id": "K1", "metadata": {"a": 12345678901234567890.123}}',
        1,
        (),
        "a number has more digits, or is smaller, than a double can hold",
        suffix=".jsonl",
    ),
    Case(
        "a number that is too small",
        b'{"kit_id": "K1", "metadata": {"a": 1e-400}}',
        1,
        (),
        "than a double can hold",
        suffix=".jsonl",
    ),
    Case(
        "a number beyond Decimal's exponents",
        b'{"kit_id": "K1", "metadata": {"a": 1e-99999999999999999999}}',
        1,
        (),
        "than a double can hold",
        suffix=".jsonl",
    ),
    Case(
        "a number that is too large",
        b'{"kit_id": "K1", "metadata": {"a": 1e400}}',
        1,
        (),
        "a number is too large",
        suffix=".jsonl",
    ),
    Case("minus zero", b'{"kit_id": "K1", "metadata": {"a": -0}}', 1, (), "a number is -0", suffix=".jsonl"),
    Case(
        "numbers that are sent as they are",
        b'{"kit_id": "K1", "metadata": {"a": [0.1, 1.50, 1e22, -0.0, 123456789012345678901, 0e999]}}',
        sent=(kit(1, [0.1, 1.5, 1e22, -0.0, 123456789012345678901, 0.0]),),
        suffix=".jsonl",
    ),
    # Options that are not what they look like
    *(
        Case(f"{' '.join(words)}", csv("K1,é\n"), 2, (), "is not a whole number", words)
        for words in (("--from-row", "1.5"), ("--concurrency", "2.5"), ("--workers", "1.5"))
    ),
    Case("--max-cell of no size", csv("K1,é\n"), 2, (), "--max-cell takes a size", ("--max-cell", "big")),
    Case("--delimiter of two signs", csv("K1,é\n"), 2, (), "--delimiter takes one character", ("--delimiter", ";;")),
    Case("--encoding of no text", csv("K1,é\n"), 2, (), "--encoding is unknown", ("--encoding", "hex")),
    Case("--encoding of no name", csv("K1,é\n"), 2, (), "--encoding is unknown", ("--encoding", "nonsense")),
    # Encodings
    *(
        Case(f"{name} with a mark", "\ufeffkit_id,a\nK1,é\n".encode(name))
        for name in ("utf-8", "utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be")
    ),
    *(
        Case(f"{name} without a mark", csv("K1,é\n").decode().encode(name))
        for name in ("utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be")
    ),
    Case(
        "JSON Lines of UTF-16", '\ufeff{"kit_id": "K1", "metadata": {"a": "é"}}\n'.encode("utf-16-le"), suffix=".jsonl"
    ),
    Case(
        "UTF-16 cut in a character",
        csv("K1,é\nK2,x").decode().encode("utf-16-le")[:-1],
        1,
        said="the text is not utf-16-le",
    ),
    Case(
        "Latin-1",
        csv("K1,é\n").decode().encode("latin-1"),
        1,
        (),
        "the text is not UTF-8: save it as UTF-8, or pass --encoding, such as latin-1",
    ),
    Case("Latin-1, told", csv("K1,é\n").decode().encode("latin-1"), options=("--encoding", "latin-1")),
    Case(
        "--encoding of something else",
        csv("K1,é\n"),
        2,
        (),
        "the text is ASCII or UTF-8, not utf-16: leave out --encoding",
        ("--encoding", "utf-16"),
    ),
    Case(
        "--encoding utf-16 without a mark",
        (HEADER + "K1,é\n").encode("utf-16-le"),
        options=("--encoding", "utf-16"),
    ),
    Case("a mark against --encoding", UTF_8 + csv("K1,é\n"), options=("--encoding", "latin-1")),
    *(
        Case(
            f"{name} without a mark, told",
            csv("K1,é\n").decode().encode(f"{name}-{order}"),
            options=("--encoding", name),
        )
        for name in ("utf-16", "UTF-32")
        for order in ("le", "be")
    ),
    Case(
        "an encoding whose reader gives up",
        csv("K1,x\n") + b"\xa2\xab" * 8 + b"\x1b$(" * 8,
        2,
        (),
        "the text is not",
        ("--encoding", "iso2022_jp_3"),
    ),
    Case(
        "two files joined, the second without a header",
        UTF_8 + b"a,kit_id\n\xc3\xa9,K1\n" + UTF_8 + b"old,K2\nnew,K3\n",
        1,
        (kit(1, "é"), kit(3, "new")),
        "row 2 (line 3): rejected: the row begins with a byte order mark",
    ),
    # Delimiters
    *(Case(f"separated by {sign!r}", csv("K1,é\n").replace(b",", sign.encode())) for sign in ";\t|"),
    Case("separated by a caret, told", csv("K1,é\n").replace(b",", b"^"), options=("--delimiter", "^")),
    Case("sep=", b"sep=;\n" + csv("K1,é\n").replace(b",", b";")),
    Case(
        "sep= against --delimiter",
        b"sep=;\nkit_id;a\nK1;x\n",
        2,
        (),
        "names the semicolon as the delimiter, and --delimiter another",
        ("--delimiter", "|"),
    ),
    Case(
        "two signs in the header",
        b"kit_id;a,b\nK1;x\n",
        2,
        (),
        "the columns are: kit_id;a, b (separated by commas; --delimiter names another separator)",
    ),
    Case(
        "--delimiter for JSON",
        b'{"kit_id": "K1", "metadata": {}}',
        2,
        (),
        "--delimiter is for CSV",
        ("--delimiter", ";"),
        ".jsonl",
    ),
    # Headers
    Case(
        "more columns than a table has",
        (",".join(["kit_id", *(f"c{number}" for number in range(2000))]) + "\nK1\n").encode(),
        2,
        (),
        "there are 2,001 columns, and 2,000 is the most",
    ),
    Case("--from-row past the end", csv("K1,é\n"), 2, (), "--from-row 2 is past the end", ("--from-row", "2")),
    *(
        Case(f"{name} for kit_id", f"{name},a\nK1,x\n".encode(), 2, (), said)
        for name, said in (
            ("Kit ID", "if Kit ID is the id, pass --map 'Kit ID=kit_id'"),
            ("kit-id", "pass --map kit-id=kit_id"),
            ("Barcode", "pass --map Barcode=kit_id"),
        )
    ),
    *(
        Case(f"a name with {what} around it, mapped", data.encode(), options=("--map", text))
        for what, data, text in (
            ("a space", "kit_id ,a\nK1,é\n", "kit_id =kit_id"),
            ("a no-break space", "kit_id\u00a0,a\nK1,é\n", "kit_id\u00a0=kit_id"),
            ("a space to be left out", "kit_id,a, b\nK1,é,x\n", " b="),
        )
    ),
    Case(
        "no header",
        b"K1,Alice\nK2,Bob\n",
        2,
        (),
        "the names of the 2 columns (separated by commas; --delimiter names another separator) look like values",
    ),
    # JSON in an array
    Case("an array over many lines", ARRAY.encode(), sent=(kit(1, "é"), kit(2, 2)), suffix=".json"),
    Case("an array behind a mark", UTF_8 + ARRAY.encode(), sent=(kit(1, "é"), kit(2, 2)), suffix=".json"),
    Case("an array named .jsonl", ARRAY.encode(), sent=(kit(1, "é"), kit(2, 2)), suffix=".jsonl"),
    Case(
        "an array that was cut off",
        ARRAY.encode()[:-2],
        1,
        (kit(1, "é"), kit(2, 2)),
        "the array is not closed: the file was cut off",
        suffix=".json",
    ),
    Case(
        "an array with a value that is no JSON",
        b'[{"kit_id": "K1", "metadata": {"a": 1}},\n{"kit_id": "K2,\n"metadata": {}},{"kit_id": "K3", "metadata": {}}]',
        1,
        (kit(1, 1),),
        "row 2 (lines 2-3): rejected: the row is broken JSON",
        suffix=".json",
    ),
    Case(
        "an object over many lines",
        b'{\n  "kit_id": "K1",\n  "metadata": {"a": 1}\n}\n',
        2,
        (),
        "one JSON object is spread over several lines: write each row on one line, or all rows in one array",
        suffix=".json",
    ),
    Case("JSON named .csv", ARRAY.encode(), 2, (), "this looks like JSON: pass --format jsonl"),
    # Packed, or no text at all
    Case("gzip", gzip.compress(csv("K1,é\n")), suffix=".csv.gz"),
    Case("bzip2", bz2.compress(csv("K1,é\n")), suffix=".csv.bz2"),
    Case("xz", lzma.compress(csv("K1,é\n")), suffix=".csv.xz"),
    Case(
        "xz of UTF-16 without a name that tells it",
        lzma.compress(HEADER.encode("utf-16-le") + "K1,é\n".encode("utf-16-le")),
        suffix="",
    ),
    Case(
        "xz that was cut off",
        lzma.compress(csv("K1,é\n"))[:-8],
        2,
        (),
        said="the xz data ends in the middle: the file was cut off",
    ),
    Case("zstd", zstd.compress(csv("K1,é\n")), suffix=".csv.zst"),
    Case(
        "zstd in two frames, by its first bytes", zstd.compress(csv("K1")) + zstd.compress(",é\n".encode()), suffix=""
    ),
    Case("zstd that was cut off", zstd.compress(csv("K1,é\n"))[:-4], 2, (), "the zstd data ends in the middle"),
    Case("zstd that is none", b"\x28\xb5\x2f\xfdrest", 2, (), "the zstd data "),
    *(
        Case(f"zstd {where} a frame that is skipped", data, sent=(kit(1, "é"), kit(2, "x")), suffix=suffix)
        for where, data, suffix in (
            ("behind", SKIPPED + zstd.compress(csv("K1,é\nK2,x\n")), ".csv.zst"),
            ("by its first bytes behind", SKIPPED + zstd.compress(csv("K1,é\nK2,x\n")), ""),
            ("with", zstd.compress(csv("K1,é\n")) + SKIPPED + zstd.compress(b"K2,x\n"), ".csv.zst"),
        )
    ),
    Case("zstd for long distances", LONG_DISTANCES, 2, (), "asks for more than 128 MiB of memory: unpack it"),
    Case(
        "zstd for long distances behind rows",
        zstd.compress(csv("K1,é\n")) + LONG_DISTANCES,
        2,
        (),
        said="the zstd data was packed for long distances",
    ),
    Case(
        "zstd with a dictionary",
        zstd.compress(csv("K1,x\n"), zstd_dict=zstd.train_dict([b"kit_id,a\n%d" % n for n in range(500)], 2000)),
        2,
        (),
        "was packed with a dictionary, which is not in the file",
    ),
    Case("xz with a large dictionary", LARGE_XZ, 2, (), "the xz data asks for more than 256 MiB of memory: unpack it"),
    Case("packed twice", gzip.compress(bz2.compress(csv("K1,x\n"))), 2, (), "this is packed twice", suffix=".csv.gz"),
    Case("a packed tar", gzip.compress(tar_of("kits.csv", csv("K1,x\n"))), 2, (), "this is a tar archive: unpack it"),
    *(
        Case(name, start + b"rest of it\n" * 30, 2, (), said)
        for name, start, said in (
            ("lzma", b"\x5d\0\0\x80\0", "this is data packed with lzma"),
            ("RTF", b"{\\rtf1\\ansi", "this is a document of a word processor"),
            ("Git LFS", b"version https://git-lfs.github.com/spec/v1\n", "only the pointer that Git LFS keeps"),
        )
    ),
    *(
        Case(f"packed {what}", gzip.compress(b"x"), 2, (), f"{what} is read only unpacked", suffix=suffix)
        for what, suffix in (("Parquet", ".parquet.gz"), ("Excel", ".xlsx.gz"))
    ),
    Case("zip", b"PK\x03\x04\x14\0\0\0\x08\0rest", 2, (), "this is a zip archive: unpack it"),
    Case(
        "xlsx",
        b"PK\x03\x04\x14\0\6\0\x08\0[Content_Types].xml",
        2,
        (),
        "this is an Excel workbook: pass it as a file named .xlsx, or pass the file's name and --format xlsx",
    ),
    *(
        Case(f"a workbook {suffix}", b"PK\x03\x04rest", 2, (), "only .xlsx is read: save it as such", suffix=suffix)
        for suffix in (".xlsb", ".ods", ".Numbers")
    ),
    *(
        Case(
            f"{option} for a workbook",
            workbook([["kit_id", "a"], ["K1", "é"]]),
            2,
            (),
            f"{option} is for text, and this is not: leave it out",
            (option, value),
            ".xlsx",
        )
        for option, value in (("--delimiter", ";"), ("--encoding", "latin-1"))
    ),
    Case("--sheet for CSV", csv("K1,é\n"), 2, (), "--sheet is for Excel workbooks (.xlsx)", ("--sheet", "1")),
    Case("a workbook", workbook([["kit_id", "a"], ["K1", "é"]]), suffix=".xlsx"),
    Case(
        "a workbook of two sheets",
        workbook([["x"]], [["kit_id", "a"], ["K1", "é"]]),
        options=("--sheet", "2"),
        suffix=".xlsx",
    ),
    Case(
        "a workbook that was cut off",
        workbook([["kit_id", "a"], ["K1", "x"]])[:-9],
        2,
        (),
        "this workbook cannot be read: it is damaged",
        suffix=".xlsx",
    ),
    Case(
        "xls",
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1rest",
        2,
        (),
        "this is an old Excel workbook (.xls): save it as CSV UTF-8",
    ),
]


@pytest_asyncio.fixture
async def fake(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[FakeSpot]:
    async with FakeSpot(kits=[f"K{number}" for number in range(10)]) as server:
        monkeypatch.setenv("SPOTDX_TOKEN", server.token)
        monkeypatch.setenv("SPOTDX_BASE_URL", server.url)
        yield server


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
async def test_each_file_by_its_name(
    fake: FakeSpot, tmp_path: Path, capsys: pytest.CaptureFixture[str], case: Case
) -> None:
    path = tmp_path / f"kits{case.suffix}"
    path.write_bytes(case.data)

    code = await spotdx("kits", "update", path, *case.options)

    said = capsys.readouterr().err
    assert (code, case.said in said) == (case.code, True), said
    assert {(entry.kit_id, repr(entry.metadata)) for entry in fake.ledger} == {
        (key, repr(value)) for key, value in case.sent
    }
    assert "Alice" not in said


@pytest.mark.parametrize("command", [("kits", "list", "--limit", "1.5"), ("sandbox", "--port", "80.6")])
async def test_a_number_with_a_fraction_is_not_rounded(
    fake: FakeSpot, capsys: pytest.CaptureFixture[str], command: tuple[str, ...]
) -> None:
    assert await spotdx(*command) == 2
    assert "is not a whole number" in capsys.readouterr().err
    assert fake.requests == []


@pytest.mark.parametrize("value", ["1_5", "١٢", " 5", "1e", "0x5", ""])
@pytest.mark.parametrize(
    "command",
    [
        ("kits", "update", "k.csv", "--rate"),
        ("kits", "update", "k.csv", "--outage-limit"),
        ("kits", "update", "k.csv", "--lands-within"),
        ("kits", "types", "--timeout"),
        ("kits", "get", "K1", "--rate"),
        ("config", "--lands-within"),
        ("sandbox", "--latency"),
    ],
)
def test_a_number_is_read_as_it_is_written(command: tuple[str, ...], value: str) -> None:
    with pytest.raises(CycloptsError, match=re.escape(f'"{value}" is not a number')):
        make_app().parse_args([*command, value], print_error=False, exit_on_error=False)


@pytest.mark.usefixtures("fake")
async def test_failed_rows_next_to_each_other_keep_their_meaning(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second, failed = tmp_path / "first.csv", tmp_path / "second.csv", tmp_path / "failed.csv"
    first.write_bytes(csv('K1,"x\nNOPE,y\n'))
    second.write_bytes(csv('NOPE,"a\nb"\nK3,"w"\nK2,z"\n'))

    assert await spotdx("kits", "update", first, second, "--failed", failed) == 1

    assert failed.read_text() == HEADER + 'NOPE,"a\nb"\n'
    unreadable = tmp_path / "failed.csv.unreadable"
    assert stat.S_IMODE(unreadable.stat().st_mode) == 0o600
    texts = unreadable.read_text()
    assert f"# {first}, lines 2-3: a quote opens and is never closed, on line 2" in texts
    assert texts.count("\n# ") == 1
    assert 'K1,"x\nNOPE,y\n' in texts
    assert texts.endswith('K2,z"\n')
    assert f"the text of 2 rows that cannot be read is in {unreadable} with its line numbers" in capsys.readouterr().err
    assert await spotdx("kits", "update", failed, "--failed", failed, "--force") == 2  # it is the input itself
    assert await spotdx("kits", "update", first, "--failed", failed) == 2  # it holds rows
    failed.unlink()
    capsys.readouterr()
    assert await spotdx("kits", "update", first, "--failed", failed) == 2
    assert f"{unreadable} exists and is not empty" in capsys.readouterr().err


@pytest.mark.usefixtures("fake")
async def test_no_name_of_a_file_ends_a_run_or_looks_like_a_row(tmp_path: Path) -> None:
    path, failed = tmp_path / "a\nK9,\udcff\x1b[2J.csv", tmp_path / "failed\udcfe.csv"
    path.write_bytes(csv('K1,x\nK2,"y\nK3,z\n'))

    assert await spotdx("kits", "update", path, "--failed", failed) == 1

    (head, *rest) = (tmp_path / "failed\udcfe.csv.unreadable").read_text().splitlines()
    assert head.startswith(f"# {tmp_path}/a\\nK9,\\udcff\\x1b[2J.csv, lines 3-4: a quote opens")
    assert rest == ['K2,"y', "K3,z"]


async def test_failed_rows_of_another_encoding_and_delimiter_are_read_again_as_they_are(
    fake: FakeSpot, tmp_path: Path
) -> None:
    path, failed = tmp_path / "kits.csv", tmp_path / "failed.csv"
    path.write_bytes("kit_id^a;b\nNEW^é\n".encode("latin-1"))
    how = ("--delimiter", "^", "--encoding", "latin-1")

    assert await spotdx("kits", "update", path, *how, "--failed", failed) == 1

    assert failed.read_bytes() == UTF_8 + "sep=^\nkit_id^a;b\nNEW^é\n".encode()
    fake.kits.add("NEW")
    assert await spotdx("kits", "update", failed) == 0
    assert await spotdx("kits", "update", failed, *how) == 0
    assert fake.kits["NEW"].metadata == {"a;b": "é"}


@pytest.mark.skipif(sys.version_info >= (3, 14), reason="the standard library has zstd")
async def test_without_the_extra_it_says_what_to_install_for_zstd(
    fake: FakeSpot, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "kits.csv.zst").write_bytes(zstd.compress(csv("K1,x\n")))
    monkeypatch.setitem(sys.modules, "backports", None)

    assert await spotdx("kits", "update", tmp_path / "kits.csv.zst") == 2

    assert "packed with zstd: install the extra, pip install 'spotdx-async[zstd]', or un" in capsys.readouterr().err
    assert fake.requests == []


async def test_a_row_too_long_to_keep_that_is_skipped_is_not_kept(fake: FakeSpot, tmp_path: Path) -> None:
    path, failed = tmp_path / "kits.csv", tmp_path / "failed.csv"
    path.write_bytes(csv(f'K1,"{"x" * 2**21}"\nK2,y\nK3,"{"z" * 2**21}"\n'))
    how = ("--max-cell", "1KiB", "--failed", failed)

    assert await spotdx("kits", "update", path, "--from-row", "2", *how) == 1

    texts = (tmp_path / "failed.csv.unreadable").read_text()
    assert ("x" in texts.replace(str(tmp_path), ""), texts.count("z") >= 2**21) == (False, True)
    assert fake.kits["K2"].metadata == {"a": "y"}
