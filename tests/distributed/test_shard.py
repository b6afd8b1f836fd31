"""Shards: their hash never changes, they hold rows exactly, and no text shows one."""

import pickle
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spotdx_async import InvalidInputError, MetadataUpdate, OrderMetadataUpdate
from spotdx_async._codec import json
from spotdx_async.bulk.records import Update
from spotdx_async.distributed import Shard, shard_hash
from spotdx_async.distributed.shard import mark_of, row_line


def shard_of(*rows: Update, **changes: Any) -> Shard:
    text = b"".join(row_line(index * 3, row) for index, row in enumerate(rows))
    return Shard(**{"number": 4, "count": len(rows), "rows": text, "mark": mark_of(text), **changes})


@pytest.mark.parametrize(
    ("key", "number"),
    [
        ("SPOT123456", 0xA1E9A56A65F07607),
        ("SPOT123457", 0xC9119285FA477439),
        ("a kit with blanks", 0xE99F0D04BE6639CE),
        ("é", 0x8187E46756242F8D),
    ],
)
def test_a_key_has_the_same_hash_for_ever(key: str, number: int) -> None:
    assert shard_hash(key) == number


@pytest.mark.parametrize(
    "metadata", [{}, {"n": 10**30}, {"x": 0.1, "y": None}, {"line\nend": "tab\t\r\u2028"}, {"é": [1, {"deep": ["🧪"]}]}]
)
def test_rows_come_out_as_they_went_in(metadata: dict[str, Any]) -> None:
    rows = [MetadataUpdate("SPOT123456", metadata), MetadataUpdate("\u2028 ", {"n": 1})]

    found = [*shard_of(*rows).read()]

    assert [(row.index, row.update) for row in found] == [(0, rows[0]), (3, rows[1])]
    assert [*shard_of(*rows).indexes()] == [0, 3]


TEXTS = st.text('aé"\\\n\t🧪', max_size=4)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)


@given(key=st.text('Aé" \x7f\u2028🧪', min_size=1), metadata=st.dictionaries(st.text(max_size=3), VALUES, max_size=4))
def test_a_line_never_changes_so_that_folders_of_earlier_versions_go_on(key: str, metadata: dict[str, Any]) -> None:
    try:
        line = row_line(7, MetadataUpdate(key, metadata))
    except InvalidInputError:
        return  # the id, or a text that is no Unicode
    assert line == b"7\t%b\n" % json.serialize([key, metadata])


def test_a_row_is_checked_once_when_it_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    checked: list[Any] = []
    check = json.check_serializable

    def noted(value: Any) -> None:
        checked.append(value)
        check(value)

    monkeypatch.setattr(json, "check_serializable", noted)

    row_line(0, MetadataUpdate("K", {"n": 1}))

    assert [type(value) for value in checked if not isinstance(value, str)] == [dict]


def test_rows_of_orders_come_out_as_such() -> None:
    (row,) = shard_of(OrderMetadataUpdate("O1", {"n": 1}), noun="orders").read()

    assert row.update == OrderMetadataUpdate("O1", {"n": 1})


def test_no_text_shows_a_row() -> None:
    shard = shard_of(MetadataUpdate("SPOTCANARY", {"name": "Canary"}))

    assert "CANARY" not in f"{shard} {shard!r} {[*shard.read()]!r}".upper()


def test_a_shard_can_be_pickled() -> None:
    shard = shard_of(MetadataUpdate("SPOT123456", {"n": 1}), journal="j", failed="f")

    assert pickle.loads(pickle.dumps(shard)) == shard


def test_rows_in_a_file_are_read_only_if_they_are_the_right_ones(tmp_path: Path) -> None:
    row = MetadataUpdate("SPOT123456", {"n": 1})
    place = tmp_path / "rows"
    place.write_bytes(row_line(0, row))
    shard = shard_of(row, rows=str(place))
    assert next(shard.read()).update == row

    place.write_bytes(row_line(0, row) * 2)
    with pytest.raises(InvalidInputError, match="rows of shard 4 are not those"):
        next(shard.read())
    place.unlink()
    with pytest.raises(InvalidInputError, match="rows of shard 4 cannot be read"):
        next(shard.read())


@pytest.mark.parametrize("update", [MetadataUpdate("", {}), MetadataUpdate("K", {"n": float("nan")})])
def test_a_bad_row_gets_no_line(update: MetadataUpdate) -> None:
    with pytest.raises(InvalidInputError):
        row_line(0, update)
