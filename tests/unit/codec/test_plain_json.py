"""The standard library in orjson's place: the same values, the same bytes, the same refusals."""

import math
import sys
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from spotdx_async._codec import plain_json
from spotdx_async._codec.json import serialize_any

orjson = pytest.importorskip("orjson", reason="it is what this is compared with")

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=20,
)


def outcome(library: Any, name: str, value: Any, **options: Any) -> Any:
    try:
        found = getattr(library, name)(value, **options)
    except (ValueError, TypeError) as error:
        return "refused", isinstance(error, library.JSONDecodeError)
    return found, type(found)


@given(VALUES)
@example([1e16, 1e-5, 1.234e-5, -1.234e-5, 1e-6, -1.5e-7, 5e-324, -0.0, 1.7976931348623157e308, 0.0001])
@example({"b": 1, "a": {"ä": 2, "z": 3, "\U0001f600": 4, "\uffff": 5}})
def test_the_same_is_written(value: Any) -> None:
    assert plain_json.dumps(value) == orjson.dumps(value)
    assert plain_json.dumps(value, option=plain_json.OPT_SORT_KEYS) == orjson.dumps(value, option=orjson.OPT_SORT_KEYS)


@given(VALUES)
def test_the_same_is_read(value: Any) -> None:
    text = orjson.dumps(value)
    assert plain_json.loads(text) == orjson.loads(text) == value


@given(st.binary(max_size=12) | st.text('[]{}:,"\\u0dD8c1.eE+-nulltrfas ', max_size=14).map(str.encode))
def test_odd_texts_are_read_or_refused_alike(text: bytes) -> None:
    assert outcome(plain_json, "loads", text) == outcome(orjson, "loads", text)


@pytest.mark.parametrize(
    "text",
    [
        *(b"", b" ", b"-0", b"01", b"1.", b".5", b"+1", b"1e5", b"1E+05", b"1e400", b"-1e400", b"1e-400", b"0e999"),
        *(b"NaN", b"Infinity", b"-Infinity", b"[1,]", b'{"a":1,}', b'{"a":1,"a":2}', b"[1] ", b"[1]x", b"\x00"),
        *(b"18446744073709551615", b"18446744073709551616", b"-9223372036854775808", b"-9223372036854775809"),
        *(b"1" + b"0" * 400, b"1" + b"0" * 300, b"0." + b"1" * 400, b"123456789012345678901234567890.5e-10"),
        *(rb'"\ud800"', rb'"\udc00\ud800"', rb'"\ud83d\ude00"', rb'{"\ud800":1}', rb'["a",{"b":["\udfff"]}]'),
        *(b'"\x1f"', b'"\x7f"', b'"\xff"', b'"\xed\xa0\x80"', b"\xef\xbb\xbf1", b'"\t"', rb'"\x"', rb'"\u12"'),
        *(b"'a'", "１".encode(), "[1,\xa02]".encode(), '{"a"\u2028:1}'.encode(), b"\xff\xfe1\x00"),
    ],
)
def test_each_of_these_is_read_or_refused_alike(text: bytes) -> None:
    assert outcome(plain_json, "loads", text) == outcome(orjson, "loads", text)


@pytest.mark.parametrize(
    "value",
    [
        *(2**64, -(2**63) - 1, {1: 2}, {"a": {None: 1}}, "\ud800", {"\ud800": 1}, b"a", {1, 2}, object(), 1j),
        *(math.nan, math.inf, [-math.inf], (1, (2,)), [[[]]], {}, True),
    ],
)
@pytest.mark.parametrize("is_sorted", [True, False])
def test_each_of_these_is_written_or_refused_alike(value: Any, is_sorted: bool) -> None:
    ours, theirs = ({"option": one.OPT_SORT_KEYS} if is_sorted else {} for one in (plain_json, orjson))
    assert outcome(plain_json, "dumps", value, **ours) == outcome(orjson, "dumps", value, **theirs)


@pytest.mark.parametrize("levels", [1, 200, 254, 255, 300])
def test_as_many_levels_are_written(levels: int) -> None:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    assert outcome(plain_json, "dumps", value) == outcome(orjson, "dumps", value)


@pytest.mark.parametrize(
    "text",
    [
        *(
            b"[" * levels + inside + b"]" * levels
            for levels in (1000, 1023)
            for inside in (b"", b"1", b" [ ] ", b'"a"')
        ),
        *(b'{"a":' * 1000 + inside + b"}" * 1000 for inside in (b"1", b"{}", b' { "b" : [1, {}, []] , "c" : null } ')),
        *(
            b"[" * 1000 + inside + b"]" * 1000
            for inside in (b",", b"1,", b"1 2", b'{"a"}', b'{"a":}', b"{1:2}", b"{,}")
        ),
        *(
            b"[" * 1000 + inside + b"]" * 1000
            for inside in (b"NaN", b'"\\ud800"', b"1" * 400, b"1,[2],{}", b"[}", b'"')
        ),
        *(b"[" * 1024 + b"]" * 1024, b"[" * 1025 + b"]" * 1025, b"[" * 1000, b"[" * 1000 + b"]" * 1001),
        *(b"[" * 1000 + b"]" * 1000 + b",", b"[" * 1000 + b"]" * 1000 + b" 1", b"[" * 100_000 + b"]" * 100_000),
    ],
)
def test_deeply_nested_texts_are_read_or_refused_alike(text: bytes) -> None:
    ours, theirs = outcome(plain_json, "loads", text), outcome(orjson, "loads", text)
    assert ours[1] == theirs[1]
    assert serialize_any(ours[0]) == serialize_any(theirs[0])


@pytest.mark.parametrize("levels", [1024, 1025, 3000])
@pytest.mark.parametrize("inside", [b"", b'{"a":[1,{}]},"b"', b"[],[],{}"])
def test_how_deep_a_text_may_be_nested_does_not_depend_on_the_interpreter(levels: int, inside: bytes) -> None:
    text = b"[" * levels + inside + b"]" * levels
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(10_000)  # Python 3.12 and later go so deep without it
    try:
        ours, theirs = outcome(plain_json, "loads", text), outcome(orjson, "loads", text)
    finally:
        sys.setrecursionlimit(before)
    assert ours[1] == theirs[1]


def test_many_brackets_side_by_side_are_not_deep() -> None:
    text = b"[" + b",".join([b'[{"a":[]}]'] * 2_000) + b"]"
    assert plain_json.loads(text) == orjson.loads(text)
