"""Rows of another noun: the same reading, the id under another name, and messages that say that name."""

import io
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from spotdx_async import InvalidInputError
from spotdx_async.files import BadRow, Row, RowFile, open_rows, parse_map


def reading(data: bytes) -> list[Row | BadRow]:
    return list(RowFile(io.BytesIO(data), name="orders", id_name="order_id"))


@pytest.mark.parametrize(
    "data",
    [
        b"order_id,kit_id\nO1,SPOT1\n",
        b'order_id,metadata\nO1,"{""kit_id"": ""SPOT1""}"\n',
        b'{"order_id": "O1", "metadata": {"kit_id": "SPOT1"}}\n',
    ],
)
def test_the_id_stands_under_its_name_and_that_of_another_noun_is_metadata(data: bytes) -> None:
    (row,) = reading(data)

    assert isinstance(row, Row)
    assert (row.key, row.metadata) == ("O1", {"kit_id": "SPOT1"})


def test_parquet_too_has_the_id_under_its_name(tmp_path: Path) -> None:
    path = tmp_path / "orders.parquet"
    pq.write_table(pa.table({"order_id": ["O1", None], "n": [1, 2]}), path)

    with open_rows(path, id_name="order_id") as file:
        good, bad = file

    assert isinstance(good, Row)
    assert isinstance(bad, BadRow)
    assert (good.key, good.source) == ("O1", b'{"order_id": "O1", "metadata": {"n": 1}}\n')
    assert (bad.reason, bad.source) == ("the order_id is empty", b'{"order_id": null, "metadata": {"n": 2}}\n')


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (b'{"kit_id": "O1", "metadata": {}}', 'the key order_id is missing: a row is {"order_id": …, "metadata": {…}}'),
        (b'{"order_id": "O1"}', 'the key metadata is missing: a row is {"order_id": …, "metadata": {…}}'),
        (b'{"order_id": "O1", "metadata": {}, "kit_id": "SPOT1"}', "the row has keys other than order_id and metadata"),
        (b'{"order_id": 1, "metadata": {}}', "the order_id is not a string"),
        (b'{"order_id": " O1", "metadata": {}}', "the order_id has whitespace around it"),
        (b'{"order_id": " ", "metadata": {}}', "the order_id is blank"),
        (b"order_id,a\n,x\n", "the order_id is empty"),
    ],
)
def test_a_bad_row_is_told_in_the_words_of_its_noun(row: bytes, reason: str) -> None:
    (bad,) = reading(row)

    assert isinstance(bad, BadRow)
    assert bad.reason == reason


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (
            b"kit_id,a\nSPOT1,x\n",
            "no column is named order_id; kit_id is for spotdx kits update; the columns are: kit_id, a (separated by",
        ),
        (b"order_id\nO1\n", "there is no column but order_id: each metadata key needs one"),
        (b"order_id,metadata,a\n", "so there must be none but it and order_id"),
        (b"\n", "its first line must be a header with order_id"),
    ],
)
def test_a_header_of_another_noun_is_refused(data: bytes, reason: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        reading(data)
    assert reason in str(caught.value)


@pytest.mark.parametrize(
    ("column", "values", "reason"),
    [
        ("kit_id", ["SPOT1"], "the columns are: kit_id, n; --map 'COLUMN=order_id'"),
        ("order_id", [1], "the column order_id is of type int64"),
    ],
)
def test_parquet_of_another_noun_is_refused(tmp_path: Path, column: str, values: list[object], reason: str) -> None:
    path = tmp_path / "orders.parquet"
    pq.write_table(pa.table({column: values, "n": [1]}), path)

    with pytest.raises(InvalidInputError) as caught:
        open_rows(path, id_name="order_id")
    assert reason in str(caught.value)


def test_a_map_that_is_none_is_refused_in_the_words_of_its_noun() -> None:
    with pytest.raises(InvalidInputError, match="--map 'Number=order_id'"):
        parse_map(["order_id"], id_name="order_id")
