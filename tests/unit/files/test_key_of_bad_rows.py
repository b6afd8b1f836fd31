"""A bad row tells its id where that is certain, so that nobody sends it again over a newer value of the same id."""

from pathlib import Path

import pytest

from spotdx_async.files import BadRow, open_rows


@pytest.mark.parametrize(
    ("name", "text", "key"),
    [
        ("k.csv", "kit_id,metadata\nSPOT1,7\n", "SPOT1"),
        ("k.csv", "kit_id,metadata\nSPOT1,\n", "SPOT1"),
        ("k.csv", "kit_id,metadata\nSPOT1,{},x\n", None),
        ("k.csv", "kit_id,metadata\n SPOT1,{}\n", None),
        ("k.csv", "kit_id,a\n,x\n", None),
        ("k.jsonl", '{"kit_id": "SPOT1", "metadata": 7}\n', "SPOT1"),
        ("k.jsonl", '{"kit_id": "SPOT1"}\n', "SPOT1"),
        ("k.jsonl", '{"kit_id": "SPOT1", "metadata": {}, "x": 1}\n', "SPOT1"),
        ("k.jsonl", '{"kit_id": "SPOT1", "kit_id": "SPOT2", "metadata": {}}\n', None),
        ("k.jsonl", '{"kit_id": 1, "metadata": {}}\n', None),
        ("k.jsonl", '{"kit_id": "SPOT1", "metadata": {}\n', None),
    ],
)
def test_an_id_is_told_only_where_it_is_certain(tmp_path: Path, name: str, text: str, key: str | None) -> None:
    path = tmp_path / name
    path.write_text(text)
    with open_rows(path) as file:
        (row,) = file
    assert isinstance(row, BadRow)
    assert row.key == key
    assert "SPOT" not in repr(row)


def test_the_same_of_parquet(tmp_path: Path) -> None:
    arrow = pytest.importorskip("pyarrow", reason="the extra parquet is not installed")
    parquet = pytest.importorskip("pyarrow.parquet", reason="the extra parquet is not installed")
    columns = {"kit_id": ["SPOT1", None], "metadata": ["7", "{}"]}
    parquet.write_table(arrow.table(columns), tmp_path / "k.parquet")
    with open_rows(tmp_path / "k.parquet") as file:
        assert [row.key for row in file] == ["SPOT1", None]
