"""Rows that are objects: flat columns to fields, JSON in two forms, and columns that nobody knows."""

import io
from typing import Any

import pytest

from spotdx_async import InvalidInputError
from spotdx_async.files import BadRow, Row, RowFile
from spotdx_async.files.row_shape import Cell, ObjectShape

SHAPE = ObjectShape(
    "key",
    frozenset({"id"}),
    "order",
    columns={
        "kit_types": Cell(("kit_types",), "list"),
        "zip": Cell(("recipient", "address", "zip")),
        "born": Cell(("recipient", "born"), "date"),
        "consent": Cell(("consent",), "flag"),
    },
    has_metadata=True,
    meanings={"postcode": "zip"},
)


def reading(text: str) -> list[Row | BadRow]:
    return list(RowFile(io.BytesIO(text.encode()), name="rows", shape=SHAPE))


def only(text: str) -> Row:
    (row,) = reading(text)
    assert isinstance(row, Row), row
    return row


@pytest.mark.parametrize(
    ("column", "cell", "content"),
    [
        ("kit_types", "a; b;;a", {"kit_types": ["a", "b", "a"]}),
        ("kit_types", "a, b", {"kit_types": "a, b"}),
        ("kit_types", "a|b", {"kit_types": "a|b"}),
        ("kit_types", "a, b;", {"kit_types": ["a, b"]}),
        ("zip", "02139", {"recipient": {"address": {"zip": "02139"}}}),
        ("born", "1990-01-31T00:00:00", {"recipient": {"born": "1990-01-31"}}),
        ("born", "1990-01-31 00:00:00", {"recipient": {"born": "1990-01-31"}}),
        ("born", "1990-01-31T00:00:01", {"recipient": {"born": "1990-01-31T00:00:01"}}),
        ("consent", "TRUE", {"consent": True}),
        ("consent", "perhaps", {"consent": "perhaps"}),
        ("metadata.site", "north", {"metadata": {"site": "north"}}),
        ("metadata.a.b", "x", {"metadata": {"a.b": "x"}}),
    ],
)
def test_a_cell_goes_to_its_field(column: str, cell: str, content: dict[str, Any]) -> None:
    assert only(f'key,{column}\nP1,"{cell}"\n').content == content


def test_an_empty_cell_leaves_its_field_out_and_a_row_of_nothing_else_is_bad() -> None:
    full, empty = reading("key,zip,kit_types\nP1,,a\nP2,,\n")
    assert isinstance(full, Row)
    assert full.content == {"kit_types": ["a"]}
    assert isinstance(empty, BadRow)
    assert (empty.key, empty.reason) == ("P2", "the row holds nothing but its key")


@pytest.mark.parametrize("row", ['{"key": "P1", "order": {"a": 1}}', '{"key": "P1", "a": 1}'])
def test_json_has_the_object_under_its_name_or_beside_the_key(row: str) -> None:
    found = only(row)
    assert (found.key, found.content) == ("P1", {"a": 1})


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ('{"id": "P1", "order": {}}', "the row has no key: is it id?"),
        ('{"order": {}}', "the row has no key"),
        ('{"key": "P1"}', "the row has no order"),
        ('{"key": "P1", "order": {}, "a": 1}', "the row has keys other than key and order"),
        ('{"key": "P1", "order": []}', "the order is not a JSON object"),
        ('{"key": 1, "order": {}}', "the key is not a string"),
    ],
)
def test_json_of_another_form_is_a_bad_row(row: str, reason: str) -> None:
    (bad,) = reading(row)
    assert isinstance(bad, BadRow)
    assert bad.reason == reason


@pytest.mark.parametrize(
    ("header", "said"),
    [
        ("key,Zip", "no column may be named Zip: pass --map Zip=zip"),
        ("key,postcode", "pass --map postcode=zip"),
        ("key,kit_tipes", "pass --map kit_tipes=kit_types"),
        (
            "key,Kit Types,Zip,site",
            "named Kit Types and Zip: pass --map 'Kit Types=kit_types' --map Zip=zip; no column",
        ),
        ("key,site", "--map site= leaves it out, site=metadata.site keeps it as metadata"),
        ("key,zip,postcode", "no column may be named postcode: --map postcode= leaves it out"),
        (
            "key,Zip_,postcode",
            "no column may be named Zip_: pass --map Zip_=zip; no column may be named postcode: --map p",
        ),
        ("key,metadata.", "no column may be named metadata."),
        ("key,a1,b2,c3,d4,e5,f6", "; and 1 more"),
        ("id,zip", "if id is the key, pass --map id=key"),
        ("key", "there is no column but key: each field of the order needs one"),
    ],
)
def test_a_header_that_cannot_be_used_says_what_is_meant(header: str, said: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        reading(f"{header}\nP1,x\n")
    assert said in str(caught.value)


def test_where_the_first_line_looks_like_values_none_is_shown() -> None:
    with pytest.raises(InvalidInputError) as caught:
        reading("P1,canary@example.org,2025550199\n")
    assert "canary" not in str(caught.value)


def test_a_header_without_the_key_is_told_from_values_by_its_other_names() -> None:
    with pytest.raises(InvalidInputError, match="no column is named key; the columns are: zip, street1"):
        reading("zip,street1\n02139,1 Example Street\n")
    with pytest.raises(InvalidInputError, match="look like values: is the header missing"):
        reading("02139,1 Example Street\n02139,2 Example Street\n")
