"""Columns under other names, and the mark of a whole input."""

from pathlib import Path
from typing import Any

import pytest

from spotdx_async import InvalidInputError
from spotdx_async.files import Row, fingerprint, open_rows, parse_map

HEADER = "Kit number,Cohort (text),note\n"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    place = tmp_path / "kits.csv"
    place.write_text(HEADER + "SPOT1,A,x\nSPOT2,,y\n")
    return place


def test_a_map_is_read_from_texts() -> None:
    assert parse_map(["Kit number=kit_id", "a=b=c", "note="]) == {"Kit number": "kit_id", "a=b": "c", "note": ""}


@pytest.mark.parametrize("texts", [["kit_id"], ["=kit_id"], [""], ["a=b", "a=c"]])
def test_a_text_that_is_no_map_is_refused(texts: list[str]) -> None:
    with pytest.raises(InvalidInputError, match="--map"):
        parse_map(texts)


def test_columns_are_taken_for_other_keys_or_left_out(path: Path) -> None:
    with open_rows(path, columns={"Kit number": "kit_id", "Cohort (text)": "cohort", "note": ""}) as file:
        rows = [(row.key, row.metadata) for row in file if isinstance(row, Row)]
        assert file.preamble == HEADER.encode()

    assert rows == [("SPOT1", {"cohort": "A"})]  # nothing is left of the other, so it is rejected


def test_a_column_that_the_map_does_not_name_keeps_its_name(path: Path) -> None:
    with open_rows(path, columns={"Kit number": "kit_id"}) as file:
        (first, _) = file

    assert isinstance(first, Row)
    assert first.metadata == {"Cohort (text)": "A", "note": "x"}


def test_a_column_can_hold_the_metadata_as_json(tmp_path: Path) -> None:
    path = tmp_path / "kits.csv"
    path.write_text('id,json\nSPOT1,"{""n"": 1}"\n')

    with open_rows(path, columns={"id": "kit_id", "json": "metadata"}) as file:
        (row,) = file

    assert isinstance(row, Row)
    assert row.metadata == {"n": 1}


@pytest.mark.parametrize(
    ("columns", "reason"),
    [
        ({"Kit number": "kit_id", "nowhere": "x"}, "does not exist: nowhere"),
        ({"Kit number": "kit_id", "note": "kit_id"}, "two columns have the key kit_id"),
        ({"Kit number": "kit_id", "note": "Cohort (text)"}, "two columns have the key"),
        ({"note": "kit"}, "no column is named kit_id"),
        ({"Kit number": "kit_id", "Cohort (text)": "", "note": ""}, "there is no column but kit_id"),
        ({"Kit number": ""}, "no column is named kit_id"),
    ],
)
def test_a_map_that_does_not_fit_is_refused(path: Path, columns: dict[str, str], reason: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        open_rows(path, columns=columns)
    assert reason in str(caught.value)


def test_json_lines_take_no_map(tmp_path: Path) -> None:
    path = tmp_path / "kits.jsonl"
    path.write_text('{"kit_id": "SPOT1", "metadata": {}}\n')

    with pytest.raises(InvalidInputError, match="--map is for columns, and JSON has none"):
        open_rows(path, columns={"a": "b"})


def test_the_same_input_read_in_the_same_way_has_the_same_mark(path: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.csv"
    copy.write_bytes(path.read_bytes())

    assert fingerprint([path]) == fingerprint([str(copy)])


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({}, {"row_format": "csv"}),
        ({}, {"columns": {"a": "b"}}),
        ({"columns": {"a": "b"}}, {"columns": {"a": "c"}}),
        ({}, {"extra": "from row 5"}),
    ],
)
def test_another_reading_has_another_mark(path: Path, one: Any, other: Any) -> None:
    assert fingerprint([path], **one) != fingerprint([path], **other)


def test_other_bytes_or_another_order_have_another_mark(path: Path, tmp_path: Path) -> None:
    second = tmp_path / "second.csv"
    second.write_bytes(path.read_bytes() + b"\n")
    marks = {fingerprint(paths) for paths in ([path], [second], [path, second], [second, path], [path, path])}

    assert len(marks) == 5
    assert None not in marks


def test_the_mark_stays_from_version_to_version_so_that_journals_go_on(path: Path) -> None:
    mark = fingerprint([path], columns={"Kit number": "kit_id"}, extra="from row 1")

    assert mark == "c5ae77c41d7688e9ea033563d039bd64"


def test_what_can_be_read_only_once_has_no_mark(path: Path) -> None:
    assert fingerprint(["-"]) is None
    assert fingerprint([path, "-"]) is None
    assert fingerprint(["/dev/null"]) is None
