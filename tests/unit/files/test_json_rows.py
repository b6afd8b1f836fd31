"""JSON Lines in: each fault, the numbering, and that what goes in comes out equal."""

import io
import json
import time
from typing import Any

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from spotdx_async.files import BadRow, Row, RowFile
from spotdx_async.files.json_text import parse_object
from spotdx_async.files.rows import MAX_ROW_BYTES, RowFault

TOO_LONG = BadRow(1, 1, "the row is longer than 16,777,216 bytes", None, None, 1, is_readable=False)
GOOD = b'{"kit_id": "SPOT2", "metadata": {}}\n'


def reading(data: bytes) -> list[Row | BadRow]:
    return list(RowFile(io.BytesIO(data), name="the input", row_format="jsonl"))


def bad(line: bytes) -> str:
    """The reason of a bad line, which must keep its bytes and leave the next line alone."""
    first, second = reading(line + b"\n" + GOOD)
    assert isinstance(first, BadRow)
    assert first.source == line + b"\n"
    assert isinstance(second, Row)
    return first.reason


def row(metadata: str) -> bytes:
    return b'{"kit_id": "SPOT1", "metadata": ' + metadata.encode() + b"}"


def nested(levels: int) -> str:
    return '{"a": [' * (levels // 2) + "]}" * (levels // 2)


def test_levels_are_taken_to_a_depth_that_no_python_changes() -> None:
    text = row(nested(254)[:-2] + ", 1" * 1000 + "]}")
    (read,) = reading(text)
    assert isinstance(read, Row)
    assert parse_object(text.decode(), "the row") == json.loads(text)


def test_a_row_is_an_object_of_kit_id_and_metadata() -> None:
    line = b'{"metadata": {"a": [1, null, {"b": "\\u00e9"}]}, "kit_id": "SPOT1"}\r\n'
    assert reading(line) == [Row(1, 1, "SPOT1", {"a": [1, None, {"b": "é"}]}, line)]


def test_integers_of_any_length_stay_exact() -> None:
    (read,) = reading(row('{"n": 123456789012345678901234567890}'))
    assert isinstance(read, Row)
    assert read.metadata == {"n": 123456789012345678901234567890}


def test_blank_lines_are_skipped_and_the_line_is_told_beside_the_row() -> None:
    rows = reading(b"\n" + GOOD + b" \t\r\n\n" + GOOD)
    assert [(read.number, read.line) for read in rows] == [(1, 2), (2, 5)]


def test_the_last_line_needs_no_end() -> None:
    assert [read.source for read in reading(GOOD + GOOD.rstrip())] == [GOOD, GOOD.rstrip()]


def test_a_byte_order_mark_is_accepted_and_repeated_before_failed_rows() -> None:
    file = RowFile(io.BytesIO(b"\xef\xbb\xbf" + GOOD), name="x", row_format="jsonl")
    assert file.preamble == b"\xef\xbb\xbf"
    assert [read.source for read in file] == [GOOD]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b'{"kit_id": "SPOT1"', "the row is broken JSON (Expecting ',' delimiter, character 19)"),
        (b"SPOT1", "the row is broken JSON (Expecting value, character 1)"),
        (GOOD.strip() + GOOD.strip(), "the row is broken JSON (Extra data, character 36)"),
        (b'["SPOT1", {}]', "the row is not a JSON object"),
        (b"null", "the row is not a JSON object"),
        (b'{"metadata": {}}', "the key kit_id is missing"),
        (b'{"kit_id": "SPOT1"}', "the key metadata is missing"),
        (b'{"kit_id": "SPOT1", "metadata": {}, "x": 1}', "the row has keys other than kit_id and metadata"),
        (b'{"kit_id": "SPOT1", "kit_id": "SPOT3", "metadata": {}}', "an object names a key twice"),
        (b'{"kit_id": 7, "metadata": {}}', "the kit_id is not a string"),
        (b'{"kit_id": "", "metadata": {}}', "the kit_id is empty"),
        (b'{"kit_id": " ", "metadata": {}}', "the kit_id is blank"),
        (b'{"kit_id": "SPOT1\\n", "metadata": {}}', "the kit_id has whitespace around it"),
        (row("[1]"), "the metadata is not a JSON object"),
        (row("null"), "the metadata is not a JSON object"),
        (row('{"a": {"b": 1, "b": 1}}'), "an object names a key twice"),
        (row('{"a": NaN}'), "NaN and Infinity are not JSON"),
        (row('{"a": -Infinity}'), "NaN and Infinity are not JSON"),
        (row('{"a": 1e999}'), "a number is too large"),
        (row('{"a": ' + "9" * 5000 + "}"), "the row holds a number with too many digits"),
        (row('{"a": ' + "[" * 100_000), "the row is nested too deeply"),
        (row(nested(256)), "the row is nested too deeply"),
        (row(nested(5_000)), "the row is nested too deeply"),
        (b'{"kit_id": "caf\xe9", "metadata": {}}', "the text is not UTF-8"),
        (b'{"kit_id": "SPOT\0", "metadata": {}}', "the text holds a NUL byte"),
        (b"\xef\xbb\xbf" + GOOD.strip(), "the row is broken JSON"),
    ],
)
def test_a_bad_line_is_reported_and_the_next_one_still_goes(line: bytes, reason: str) -> None:
    # A good line in front, so that a byte order mark stands in the middle of the file.
    first, second, third = reading(GOOD + line + b"\n" + GOOD)
    assert isinstance(second, BadRow)
    assert second.reason.startswith(reason)
    assert (second.number, second.line, second.source) == (2, 2, line + b"\n")
    assert isinstance(first, Row)
    assert isinstance(third, Row)


def test_no_reason_shows_a_value() -> None:
    reasons = [
        bad(b'{"kit_id": "SPOT1", "metadata": {"Alice": "Alice"'),
        bad(b'{"kit_id": "SPOT1", "metadata": "Alice"}'),
        bad(b'{"Alice": 1, "kit_id": "Alice ", "metadata": {}}'),
        bad(row('{"Alice": 1, "Alice": 2}')),
    ]
    assert not any("Alice" in reason or "SPOT" in reason for reason in reasons)


def test_a_line_beyond_all_bounds_is_reported_and_not_kept() -> None:
    first, second = reading(row('{"a": "' + "x" * MAX_ROW_BYTES + '"}') + b"\n" + GOOD)
    assert first == TOO_LONG
    assert isinstance(second, Row)


def test_a_line_beyond_all_bounds_at_the_end_is_reported() -> None:
    assert reading(GOOD + b"x" * (MAX_ROW_BYTES + 1))[1:] == [evolve(TOO_LONG, number=2, line=2, last_line=2)]


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
# Format characters and the fillers of Hangul and Braille are refused in ids, since nobody sees them.
SEEN = st.characters(
    exclude_categories=("Cf", "Cn", "Cs", "Mn", "Zl", "Zp"), exclude_characters="\u115f\u1160\u2800\u3164\uffa0"
)
IDS = st.text(SEEN, min_size=1).filter(lambda kit_id: kit_id == kit_id.strip())


@pytest.mark.no_cover
@given(st.lists(st.tuples(IDS, st.dictionaries(st.text(), VALUES, max_size=3)), min_size=1, max_size=4), st.booleans())
def test_what_the_standard_library_writes_reads_back_equal(
    rows: list[tuple[str, dict[str, Any]]], ensure_ascii: bool
) -> None:
    lines = [json.dumps({"kit_id": kit_id, "metadata": about}, ensure_ascii=ensure_ascii) for kit_id, about in rows]
    data = "\n".join(lines).encode()
    assert [(read.key, read.metadata) for read in reading(data) if isinstance(read, Row)] == rows


@given(st.binary(max_size=80))
def test_no_byte_of_any_input_vanishes_except_blank_lines(data: bytes) -> None:
    got = reading(b"{}\n" + data)
    kept = b"".join(read.source or b"" for read in got)
    assert b"".join(kept.split()) == b"".join((b"{}\n" + data).split())
    assert [read.number for read in got] == list(range(1, len(got) + 1))


@pytest.mark.parametrize(
    ("text", "is_refused"),
    [
        ('{"a":[' + "{}," * 300_000 + "1]}", True),
        ('{"a":[' + "[]," * 300_000 + "1]}", True),
        ("{" + ",".join(f'"{number}":1' for number in range(120_000)) + "}", True),
        ('{"a":"' + "{}," * 300_000 + '"}', False),
        ('{"a":"' + '\\"{},' * 300_000 + '"}', False),
        ('{"a":[' + "1," * 100_000 + "1]}", False),
    ],
    ids=["objects", "lists", "keys", "signs in a text", "signs in a text of quotes", "numbers"],
)
def test_an_object_that_is_large_as_values_is_refused_before_it_is_read(text: str, *, is_refused: bool) -> None:
    """Three letters are a dict of 64 bytes and its place; those in texts are not counted."""
    if not is_refused:
        assert parse_object(text, "the row") == json.loads(text)
        return
    with pytest.raises(RowFault, match="the row holds more values than fit into 16 MiB"):
        parse_object(text, "the row")


@pytest.mark.parametrize(
    "text", ['{"' + '\\"' * 1_000_000, '{"a":' + '"{' * 1_000_000, '{"a":"' + "," * 2_000_000 + "\\"]
)
def test_looking_for_texts_in_what_is_no_json_takes_no_longer_than_it_is_long(text: str) -> None:
    before = time.process_time()

    with pytest.raises(RowFault):
        parse_object(text, "the row")

    assert time.process_time() - before < 5  # for ever, where each quote would be tried to the end
