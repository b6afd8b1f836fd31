"""Excel workbooks to rows: what each kind of cell becomes, and what makes a row, or the workbook, unreadable."""

import io
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

from spotdx_async.errors import InvalidInputError
from spotdx_async.files import BadRow, ChangedInputError, ExcelFile, Reading, Row, open_rows
from tests.workbooks import DATE, DATE_AND_TIME, DURATION, TIME, Cell, number, workbook

HEADER = ["kit_id", "a", "b"]
ERROR = Cell('t="e"><v>#N/A</v>')
FORMULA = Cell("><f>A1</f>")
COMPUTED = Cell('t="str"><f>A1</f><v>x</v>')


SHEET = "xl/worksheets/sheet1.xml"


def sheet_of(data: bytes, part: str = SHEET) -> str:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return archive.read(part).decode()


def read(folder: Path, data: bytes, **how: Any) -> list[Row | BadRow]:
    path = folder / "kits.xlsx"
    path.write_bytes(data)
    columns = how.pop("columns", None)
    with open_rows(path, columns=columns, reading=Reading(**how)) as file:
        return [*file]


def one(folder: Path, *cells: object, header: list[Any] | None = None, **how: Any) -> Row | BadRow:
    (row,) = read(folder, workbook([header or HEADER, [*cells]]), **how)
    return row


def refusal(folder: Path, data: bytes, **how: Any) -> str:
    with pytest.raises(InvalidInputError) as caught:
        read(folder, data, **how)
    assert caught.value.__cause__ is None
    return str(caught.value)


@pytest.mark.parametrize(
    ("cell", "value"),
    [
        ("x", "x"),
        (" x ", " x "),
        ("123", "123"),
        (123, 123),
        (123.0, 123),
        (-1.5, -1.5),
        (0.1, 0.1),
        (1e15, 1e15),
        (True, True),
        (number(46000, DATE), "2025-12-09"),
        (number(59, DATE), "1900-02-28"),
        (number(61, DATE), "1900-03-01"),
        (number(0, TIME), "00:00:00"),
        (-60, -60),
        (60.5, 60.5),
        (number(46000.5, DATE_AND_TIME), "2025-12-09T12:00:00"),
        (number(0.5208333333333334, TIME), "12:30:00"),
        (COMPUTED, "x"),
    ],
)
def test_a_cell_is_sent_as_what_it_is(tmp_path: Path, cell: object, value: object) -> None:
    row = one(tmp_path, "SPOT1", cell, None)

    assert isinstance(row, Row)
    assert repr(row.metadata) == repr({"a": value})
    with open_rows(tmp_path / "kits.xlsx") as file:
        assert (file.format, file.failed_format, file.preamble, file.notes) == ("xlsx", "jsonl", b"", ())
    (tmp_path / "failed.jsonl").write_bytes(row.source)
    with open_rows(tmp_path / "failed.jsonl") as failed:
        (again,) = failed
    assert isinstance(again, Row)
    assert repr((again.key, again.metadata)) == repr((row.key, row.metadata))


@pytest.mark.parametrize(("cell", "key"), [("SPOT1", "SPOT1"), (123.0, "123"), (0, "0"), ("00123", "00123")])
def test_an_id_is_text_or_the_digits_of_a_whole_number(tmp_path: Path, cell: object, key: str) -> None:
    assert one(tmp_path, cell, "x").key == key


@pytest.mark.parametrize(
    ("cells", "reason"),
    [
        ((1.5, "x"), "the column kit_id holds neither text nor a whole number of up to fifteen digits"),
        ((-1, "x"), "neither text nor a whole number"),
        ((1e15, "x"), "neither text nor a whole number"),
        ((True, "x"), "neither text nor a whole number"),
        ((number(46000, DATE), "x"), "neither text nor a whole number"),
        ((None, "x"), "the kit_id is empty"),
        ((" SPOT1", "x"), "the kit_id has whitespace around it"),
        (("SPOT1", ERROR), "the column a holds an error, such as #N/A"),
        (("SPOT1", FORMULA), "the column a holds a formula without its value"),
        (("SPOT1", number(1.5, DURATION)), "the column a holds a duration, which JSON does not have"),
        (("SPOT1", Cell("><v>NaN</v>")), "the column a holds NaN"),
        (("SPOT1", number(-0.25, TIME)), "the column a holds a number that is no day or time, such as a negative one"),
        (("SPOT1", number(-1, DATE)), "the column a holds a number that is no day or time"),
        (("SPOT1", number(60, DATE)), "the column a holds a number that is no day or time"),
        (("SPOT1", number(60.75, DATE_AND_TIME)), "the column a holds a number that is no day or time"),
        (("SPOT1", number(4006381333931, DURATION)), "holds a number that is far beyond all of them"),
        (("SPOT1", number(-4006381333931, DATE)), "holds a number that is far beyond all of them"),
        (("SPOT1", None), "the row sets nothing"),
        (("SPOT1", "x", None, "y"), "the row has a cell beyond the last column that has a name"),
    ],
)
def test_what_a_row_cannot_say_rejects_it_and_no_other(tmp_path: Path, cells: tuple[object, ...], reason: str) -> None:
    bad, good = read(tmp_path, workbook([HEADER, [*cells], ["SPOT2", "y"]]))

    assert isinstance(bad, BadRow)
    assert reason in bad.reason
    assert (bad.number, bad.line, good.number, good.line) == (1, 2, 2, 3)
    assert isinstance(good, Row)
    (tmp_path / "failed.jsonl").write_bytes(bad.source or b"")
    with open_rows(tmp_path / "failed.jsonl") as failed:
        assert [type(row) for row in failed] == [BadRow]  # until a person has mended it


def test_an_empty_row_is_sent_on_purpose_alone(tmp_path: Path) -> None:
    assert isinstance(row := one(tmp_path, "SPOT1", None, allows_empty=True), Row)
    assert row.metadata == {}


def test_empty_rows_are_no_rows_and_lines_are_those_of_the_sheet(tmp_path: Path) -> None:
    rows = read(tmp_path, workbook([HEADER, ["K1", "x"], [], [None, None], ["K2", "y"]], top=4))

    assert [(row.number, row.line, row.key) for row in rows] == [(1, 5, "K1"), (2, 8, "K2")]


def test_many_rows_come_some_at_a_time(tmp_path: Path) -> None:
    rows = read(tmp_path, workbook([HEADER, *([f"K{n}", n] for n in range(1200))]))

    assert [(row.number, row.key) for row in rows] == [(n + 1, f"K{n}") for n in range(1200)]


def test_merged_cells_reject_the_rows_that_they_touch(tmp_path: Path) -> None:
    rows: list[list[object]] = [[*HEADER], *([f"K{n}", n] for n in range(6))]

    found = read(tmp_path, workbook(rows, merged=["B3:B4", "A6:B6", "F2:G9"]))

    assert [isinstance(row, Row) for row in found] == [True, False, False, True, False, True]
    assert "the row has merged cells" in str(found[1])


def test_a_column_that_is_left_out_rejects_nothing(tmp_path: Path) -> None:
    assert isinstance(one(tmp_path, "SPOT1", ERROR, "y", columns={"a": ""}), Row)


def test_metadata_is_json_text(tmp_path: Path) -> None:
    header = ["kit_id", "metadata"]
    assert isinstance(row := one(tmp_path, "SPOT1", '{"a": [1]}', header=header), Row)
    assert row.metadata == {"a": [1]}
    for cell in ("", 1, "[1]"):
        assert isinstance(one(tmp_path, "SPOT1", cell, header=header), BadRow)


@pytest.mark.parametrize(
    ("rows", "merged", "said"),
    [
        (
            [["Kit ID", "a"], ["K1", "x"]],
            (),
            "no column is named kit_id; the columns are: Kit ID, a; if Kit ID is the id, pass --map 'Kit ID=kit_id'",
        ),
        ([["K1", "Alice", "7"]], (), "the names of the 3 columns look like values: is the header missing?"),
        ([["kit_id", "a", "a"]], (), "column 3 has the name of column 2"),
        ([["kit_id", None, "a"]], (), "column 2 has no name"),
        ([["kit_id", "a", 5]], (), "the name of column 3 is not text: format its cell as text"),
        ([["kit_id", " a"]], (), "the name of column 2 has whitespace around it"),
        ([["kit_id"]], (), "there is no column but kit_id: each metadata key needs one"),
        ([HEADER, ["K1", "x"]], ("B1:C1",), "it has merged cells, errors or formulas: one row of text"),
        ([["kit_id", "a", ERROR]], (), "it has merged cells, errors or formulas"),
        ([HEADER, ["Kit ID", "Stage"], ["K1", "x"]], (), "row 2 is a second header: one row must name the columns"),
        ([], (), "the sheet is empty: its first row must be a header with kit_id"),
    ],
)
def test_one_row_of_text_names_the_columns(
    tmp_path: Path, rows: list[list[object]], merged: tuple[str, ...], said: str
) -> None:
    assert said in refusal(tmp_path, workbook(rows, merged=merged))


def test_the_first_visible_sheet_is_read_or_the_one_that_is_named(tmp_path: Path) -> None:
    sheets = [[HEADER, [f"K{n}", "x"]] for n in range(4)]
    data = workbook(*sheets, names=["Notes", "Kits", "3", "Last"], hidden=[0])

    assert read(tmp_path, data)[0].key == "K1"
    for sheet, key in (("1", "K0"), ("Last", "K3"), ("3", "K2"), ("4", "K3")):
        assert read(tmp_path, data, sheet=sheet)[0].key == key
    for sheet in ("5", "0", "kits", "²"):
        assert "--sheet names none of its sheets: pass" in (said := refusal(tmp_path, data, sheet=sheet))
        assert said.endswith("its sheets are number 1 to 4")
    with open_rows(tmp_path / "kits.xlsx") as file:
        assert [*file.notes] == ["sheet 2 of 4 is read: --sheet takes another, by name or number"]
    cover = refusal(tmp_path, workbook([["Report"]], [HEADER, ["K1", "x"]]))
    assert "the columns are: Report (sheet 1 of 2 is read; --sheet takes another)" in cover
    assert "no sheet of cells is visible" in refusal(tmp_path, workbook([HEADER], hidden=[0]))


FAR = '<row r="1"><c r="A1"><v>1</v></c></row><row r="1048576"><c r="XFD1048576"><v>1</v></c></row>'
SHEET = "xl/worksheets/sheet1.xml"
MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "it is damaged"),
        (b"PK\x03\x04rest", "it is damaged"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1rest", "this workbook has a password, or is an old one (.xls)"),
        (workbook([HEADER])[:-30], "it is damaged"),
        (workbook([HEADER], more={"xl/workbook.xml": "<workbook"}), "its part xl/workbook.xml is missing or damaged"),
        (workbook([HEADER], more={"xl/workbook.xml": "<workbook/>"}), "its list of sheets is damaged"),
        (workbook([HEADER], more={SHEET: "<worksheet>"}), f"its part {SHEET} is missing or damaged"),
        (workbook([HEADER], before='<!DOCTYPE x [<!ENTITY a "b">]>'), "it has a document type of its own"),
        (
            workbook([HEADER], more={SHEET: f'<worksheet xmlns="{MAIN}"><sheetData>{FAR}</sheetData></worksheet>'}),
            "the sheet spans 1,048,576 rows and 16,384 columns, too many to be read",
        ),
        (
            workbook([HEADER], more={SHEET: f'<worksheet xmlns="{MAIN}"><c r="A0A"/></worksheet>'}),
            f"its part {SHEET} is missing or damaged",
        ),
    ],
)
def test_a_workbook_that_cannot_be_read_is_refused(tmp_path: Path, data: bytes, said: str) -> None:
    assert said in refusal(tmp_path, data)


def test_a_workbook_that_is_small_on_disk_alone_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("spotdx_async.files.excel_parts._MAX_UNPACKED_BYTES", 2**20)
    data = workbook([HEADER], more={"xl/media/a.png": "\0" * 2**20})

    assert len(data) < 2**14
    assert "takes more than 1 MiB unpacked" in refusal(tmp_path, data)


def test_a_wrong_checksum_is_damage(tmp_path: Path) -> None:
    data = bytearray(workbook([HEADER, ["K1", "x"]]))
    data[data.index(b"PK\x01\x02") - 5] ^= 1

    assert "a part of it is damaged" in refusal(tmp_path, bytes(data))


def test_without_the_extra_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "python_calamine", None)

    said = refusal(tmp_path, workbook([HEADER]))
    assert "kits.xlsx: this is an Excel workbook (.xlsx): to read it install the extra, pip install" in said


def test_a_workbook_that_changes_is_told(tmp_path: Path) -> None:
    path = tmp_path / "kits.xlsx"
    path.write_bytes(workbook([HEADER, ["K1", "x"]]))
    with open_rows(path) as file:
        assert isinstance(file, ExcelFile)
        assert file.digest() is not None
        path.write_bytes(b"")
        for act in (file.fill, lambda: [*file.rows()], file.digest):
            with pytest.raises(ChangedInputError):
                act()


def test_a_workbook_is_read_from_a_file(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="Excel can be read only from a file, not from a pipe"):
        open_rows("-", row_format="xlsx")
    with pytest.raises(InvalidInputError, match="No such file"):
        open_rows(tmp_path / "kits.xlsx")


def test_day_60_is_one_like_others_where_days_count_from_1904(tmp_path: Path) -> None:
    since_1904 = sheet_of(workbook([HEADER, ["SPOT1", "x"]]), "xl/workbook.xml")
    since_1904 = since_1904.replace("<sheets>", '<workbookPr date1904="1"/><sheets>')

    data = workbook([HEADER, ["SPOT1", number(60, DATE), None]], more={"xl/workbook.xml": since_1904})
    (row,) = read(tmp_path, data)

    assert isinstance(row, Row)
    assert row.metadata == {"a": "1904-03-01"}


def test_what_nobody_sees_is_read_and_told(tmp_path: Path) -> None:
    text = sheet_of(workbook([HEADER, ["SPOT1", "x", 1], ["SPOT2", "y", 2], ["SPOT3", "z", 3]]))
    hidden = text.replace('<row r="3"', '<row r="3" hidden="1"').replace(
        "</sheetData>", '<row r="9" hidden="1"/></sheetData>'
    )
    hidden = hidden.replace("<sheetData>", '<cols><col min="3" max="16384" hidden="true"/></cols><sheetData>')
    (tmp_path / "kits.xlsx").write_bytes(workbook([], more={SHEET: hidden}))

    with open_rows(tmp_path / "kits.xlsx") as file:
        assert file.notes == [
            "a row that is hidden, by a filter say, is read too",
            "the hidden column b is read too: --map 'b=' leaves it out",
        ]
        assert [row.key for row in file] == ["SPOT1", "SPOT2", "SPOT3"]


@pytest.mark.parametrize(
    ("row", "first", "second"), [(2, "A2", "B2"), (1, "A1", "B1"), (3, "A3", "A3"), (3, "B3", "A3")]
)
def test_a_workbook_in_which_a_cell_may_be_there_twice_is_refused(
    tmp_path: Path, row: int, first: str, second: str
) -> None:
    text = sheet_of(workbook([HEADER, ["SPOT1", "x"], ["SPOT2", "y"]]))
    for old, new in (('<row r="3"', f'<row r="{row}"'), ('r="A3"', f'r="{first}"'), ('r="B3"', f'r="{second}"')):
        text = text.replace(old, new)

    assert "its cells are not in order: open it in Excel" in refusal(tmp_path, workbook([], more={SHEET: text}))


def test_one_row_element_for_each_cell_is_one_row(tmp_path: Path) -> None:
    text = sheet_of(workbook([HEADER, ["SPOT1", "x", "y"]])).replace('<c r="B2"', '</row><row r="2"><c r="B2"')

    (row,) = read(tmp_path, workbook([], more={SHEET: text}))

    assert isinstance(row, Row)
    assert row.metadata == {"a": "x", "b": "y"}


def test_a_name_with_spaces_around_it_can_be_mapped(tmp_path: Path) -> None:
    data = workbook([["kit_id ", " a", "b"], ["SPOT1", "x", "y"]])

    (row,) = read(tmp_path, data, columns={"kit_id ": "kit_id", " a": ""})

    assert isinstance(row, Row)
    assert (row.key, row.metadata) == ("SPOT1", {"b": "y"})
