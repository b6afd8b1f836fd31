"""JSON text to values and back: exactness, refusals, and that no text of the input gets into an error."""

import copy
import enum
import json
import math
import pickle
import sys
from collections import OrderedDict, namedtuple
from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from types import MappingProxyType
from typing import Any
from uuid import UUID

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from spotdx_async._codec.encoding import encoded
from spotdx_async._codec.json import (
    HugeNumber,
    NotJsonError,
    NotSerializableError,
    check_serializable,
    is_surely_whole,
    parse,
    parse_exact,
    parse_with_constants,
    serialize,
    serialize_scalar,
)

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(2**60, 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner),
)
Point = namedtuple("Point", "x y")  # noqa: PYI024 - the plain kind is what callers have


class Colour(enum.StrEnum):
    RED = "red"


class Mixed(str, enum.Enum):  # noqa: UP042 - its str() is not its value, which is the point
    RED = "red"


class Level(enum.IntEnum):
    LOW = 1


class Text(str):
    __slots__ = ()


class LastOfEach(dict[str, Any]):
    """Holds lists and shows their last items, as Django's QueryDict does."""

    def items(self) -> Any:
        return [(name, value[-1]) for name, value in super().items()]


class Real(float):
    __slots__ = ()


def nested(depth: int, inner: Any = 1) -> Any:
    for _ in range(depth):
        inner = [inner]
    return inner


@pytest.mark.no_cover
@given(VALUES)
def test_what_is_written_is_read_back_exactly(value: Any) -> None:
    assert parse_exact(serialize(value)) == value


@pytest.mark.no_cover
@given(VALUES)
def test_what_is_written_is_what_the_standard_library_reads(value: Any) -> None:
    assert json.loads(serialize(value)) == value


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, b"null"),
        ({"b": 1, "a": [True, 2.5, "x"]}, b'{"b":1,"a":[true,2.5,"x"]}'),
        ("J\u00fcrgen \U0001f9ea", '"J\u00fcrgen \U0001f9ea"'.encode()),
        ((1, (2,)), b"[1,[2]]"),
        (Point(1, 2), b"[1,2]"),
        (OrderedDict(z=1, a=2), b'{"z":1,"a":2}'),
        ({"c": Colour.RED, "m": Mixed.RED, "l": Level.LOW}, b'{"c":"red","m":"red","l":1}'),
        ({Text("k"): Text("v")}, b'{"k":"v"}'),
        (Real(1.5), b"1.5"),
        (2**64, b"18446744073709551616"),
        ({"n": -(2**70), "t": "\u00e9"}, '{"n":-1180591620717411303424,"t":"\u00e9"}'.encode()),
        ("", b'""'),
        ({"": {}}, b'{"":{}}'),
    ],
)
def test_a_value_is_written_compactly_as_utf8(value: Any, text: bytes) -> None:
    assert serialize(value) == text


@pytest.mark.parametrize(
    ("value", "path", "why"),
    [
        (math.nan, "", "NaN or infinite"),
        ({"a": math.inf}, ".a", "NaN or infinite"),
        ({"a": [0, {"b": -math.inf}]}, ".a[1].b", "NaN or infinite"),
        ({"a": (0, Real("nan"))}, ".a[1]", "NaN or infinite"),
        ({1: "canary"}, "", "key of type int"),
        ({"a": {None: "canary"}}, ".a", "key of type NoneType"),
        ({b"canary": 1}, "", "key of type bytes"),
        ({"a b": math.nan}, "[…]", "NaN"),
        ({"canary": {"x": [object()]}}, ".canary.x[0]", "of type object"),
        (b"canary", "", "of type bytes"),
        ({"a": date(2024, 1, 1)}, ".a", "of type date"),
        ({"a": datetime(2024, 1, 1, tzinfo=UTC)}, ".a", "of type datetime"),
        (UUID(int=5), "", "of type UUID"),
        (Decimal(1), "", "of type Decimal"),
        ({1, 2}, "", "of type set"),
        (MappingProxyType({}), "", "of type mappingproxy"),
        (1j, "", "of type complex"),
        ("canary\ud800", "", "not valid Unicode"),
        ({"canary\ud800": 1}, "[…]", "not valid Unicode"),
        ({"a": ["\udfff"]}, ".a[0]", "not valid Unicode"),
    ],
)
@pytest.mark.parametrize("refuse", [serialize, check_serializable])
def test_what_json_does_not_have_is_refused_with_its_place(refuse: Any, value: Any, path: str, why: str) -> None:
    with pytest.raises(NotSerializableError) as caught:
        refuse(value)

    assert caught.value.path == path
    assert why in caught.value.why
    assert why in str(caught.value)
    assert "canary\ud800" not in repr(caught.value)
    assert caught.value.__context__ is None


@pytest.mark.parametrize("more", [1, 2**70])
def test_an_object_that_shows_something_else_is_written_and_checked_as_what_it_holds(more: int) -> None:
    assert json.loads(serialize([LastOfEach(a=["x", "y"]), more])) == [{"a": ["x", "y"]}, more]
    for fault in (math.nan, date.min, {1: 2}, "\ud800"):
        with pytest.raises(NotSerializableError, match=r"^\[0\]\.a\[0\]"):
            serialize([LastOfEach(a=[fault, "y"]), more])
    assert encoded(LastOfEach(a=[date.min, "y"]), str) == {"a": ["0001-01-01", "y"]}


def test_a_value_that_holds_itself_is_refused() -> None:
    loop: list[Any] = []
    loop.append({"again": loop})

    with pytest.raises(NotSerializableError, match="nested deeper"):
        serialize(loop)


def test_nesting_up_to_the_limit_is_written_and_read() -> None:
    assert parse_exact(serialize(nested(200))) == nested(200)
    with pytest.raises(NotSerializableError, match="nested deeper"):
        serialize(nested(202))


def test_nesting_up_to_the_limit_with_a_long_integer_is_written_and_read() -> None:
    assert parse_exact(serialize(nested(200, 2**80))) == nested(200, 2**80)


def test_an_integer_of_thousands_of_digits_is_refused_and_not_raised_as_something_foreign() -> None:
    with pytest.raises(NotSerializableError, match="no JSON form") as caught:
        serialize({"n": 10**5000})

    assert caught.value.__context__ is None


def test_a_long_path_is_cut() -> None:
    value: Any = math.nan
    for _ in range(100):
        value = {"name": value}

    with pytest.raises(NotSerializableError) as caught:
        serialize(value)

    assert len(caught.value.path) == 81
    assert caught.value.path.endswith("…")


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b" ",
        b"canary",
        b"<html>canary</html>",
        b"{",
        b'{"canary": 1,}',
        b"{'canary': 1}",
        b'"canary',
        b"[1] canary",
        b"NaN",
        b'{"canary": NaN}',
        b"Infinity",
        b"-Infinity",
        b"01",
        b"\xff\xfe",
        b'"\xff"',
        b'"a\nb"',
        b'"\x00"',
        b"[" * 200_000,
        b"[" * 2000 + b"]" * 2000,
    ],
    ids=lambda text: repr(text[:20]),
)
@pytest.mark.parametrize("read", [parse, parse_exact])
def test_what_is_no_json_is_refused_unseen(read: Any, text: bytes) -> None:
    with pytest.raises(NotJsonError) as caught:
        read(text)

    assert str(caught.value) == "not JSON"
    assert caught.value.__context__ is None
    assert caught.value.__cause__ is None


@pytest.mark.parametrize("text", [b"1e400", b'"\\ud800"', b"\xef\xbb\xbf{}", b"1" * 400])
def test_the_fast_reading_refuses_some_that_is_json(text: bytes) -> None:
    with pytest.raises(NotJsonError):
        parse(text)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (b'"\\ud800"', "\ud800"),
        (b'{"\\udfff": ["\\ud83d\\ude00"]}', {"\udfff": ["\U0001f600"]}),
        (b"\xef\xbb\xbf{}", {}),
        (b"\xef\xbb\xbf[18446744073709551616]", [2**64]),
        (b"1" * 400, int("1" * 400)),
    ],
)
def test_all_that_is_json_is_read(text: bytes, value: Any) -> None:
    assert parse_exact(text) == value


@pytest.mark.parametrize(
    "text", [b"\xef\xbb\xbf\xef\xbb\xbf{}", b"\xff\xfe{\x00}\x00", b"{}\xef\xbb\xbf", b"\xef\xbb\xbf"]
)
def test_no_other_mark_and_no_other_encoding_is_read(text: bytes) -> None:
    with pytest.raises(NotJsonError):
        parse_exact(text)


@pytest.mark.parametrize("literal", ["1e400", "-1e400", "2.5E+999999999", "1" * 5000, "-" + "7" * 9000])
def test_a_number_that_no_float_holds_keeps_its_text(literal: str) -> None:
    number = parse_exact(literal.encode())

    assert isinstance(number, HugeNumber)
    assert math.isinf(number)
    assert (number < 0) is literal.startswith("-")
    assert pickle.loads(pickle.dumps(number)) == copy.deepcopy(number) == number
    assert serialize_scalar(number) == literal.encode()


def test_two_such_numbers_are_told_apart() -> None:
    assert HugeNumber("1e400") != HugeNumber("1e500")
    assert HugeNumber("1e400") == math.inf
    assert len({HugeNumber("1e400"), HugeNumber("1e400")}) == 1


@pytest.mark.parametrize("value", [{"a": HugeNumber("1e400")}, ["\ud800"], {"\ud800": 1}])
def test_what_is_only_read_is_not_sent(value: Any) -> None:
    with pytest.raises(NotSerializableError):
        serialize(value)


@pytest.mark.parametrize("value", [math.nan, math.inf, object()])
def test_a_scalar_without_a_json_form_is_refused(value: Any) -> None:
    with pytest.raises(NotSerializableError):
        serialize_scalar(value)


def test_constants_are_read_where_they_are_asked_for() -> None:
    nan, infinite, huge = parse_with_constants(b"[NaN, -Infinity, 1e400]")

    assert math.isnan(nan)
    assert (infinite, type(infinite), type(huge)) == (-math.inf, float, HugeNumber)


@pytest.mark.parametrize(
    "number", [2**53 + 1, 2**63, 2**64 - 1, 2**64, -(2**63), -(2**63) - 1, 10**25 + 1, 10**300 + 1]
)
def test_an_integer_of_any_length_is_read_exactly(number: int) -> None:
    found = parse_exact(b'{"a": [%d]}' % number)["a"][0]

    assert type(found) is int
    assert found == number


def test_the_fast_reading_makes_a_float_of_an_integer_beyond_64_bits() -> None:
    assert parse(b"18446744073709551616") == float(2**64)
    assert type(parse(b"18446744073709551616")) is float


def test_digits_inside_a_text_or_a_fraction_stay_what_they_are() -> None:
    text = b'{"barcode": "12345678901234567890123", "x": 0.12345678901234567890123, "n": null}'

    assert parse_exact(text) == {"barcode": "12345678901234567890123", "x": 0.12345678901234567890123, "n": None}


def test_nesting_between_the_limits_of_the_two_readers_falls_back_to_the_fast_reading() -> None:
    deep = b"[" * 1020 + b"12345678901234567890123" + b"]" * 1020

    value = parse_exact(deep)

    assert isinstance(value, list)


def test_the_last_of_two_equal_keys_counts_in_both_readings() -> None:
    assert parse(b'{"a": 1, "a": 2}') == {"a": 2}
    assert parse_exact(b'{"a": 1, "a": 12345678901234567890123}') == {"a": 12345678901234567890123}


def test_a_mapping_that_is_no_dict_is_named_by_its_type() -> None:
    class Own(Mapping[str, int]):
        def __getitem__(self, key: str) -> int:
            raise KeyError(key)

        def __iter__(self) -> Any:
            return iter(())

        def __len__(self) -> int:
            return 0

    with pytest.raises(NotSerializableError, match="of type Own"):
        check_serializable({"inner": Own()})


BRACES = st.text('{}[],:. a"\\', max_size=6)
OBJECTS = st.dictionaries(
    BRACES,
    st.recursive(
        BRACES | st.integers(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(BRACES, inner, max_size=3),
        max_leaves=8,
    ),
    max_size=4,
)


@pytest.mark.no_cover
@given(OBJECTS, st.sampled_from([(",", ":"), (", ", ": ")]), st.sampled_from([None, 1]))
@example({"a": {"b": "}", "c": {}}}, (",", ":"), None)
@example({"a": {"b": "},", "c": {}}}, (",", ":"), None)
@example({"a": [{"},": {}}]}, (",", ":"), None)
@example({"a": [{"b": ""}, {"": {"}": ""}}]}, (", ", ": "), None)
def test_no_text_that_was_cut_is_surely_whole(value: dict[str, Any], separators: Any, indent: int | None) -> None:
    text = json.dumps(value, separators=separators, indent=indent).encode()

    assert [text[:end] for end in range(len(text)) if is_surely_whole(text[:end])] == []


@pytest.mark.no_cover
@given(
    st.dictionaries(
        st.from_regex(r"[a-z_]+", fullmatch=True),
        st.from_regex(r"[a-zA-Z0-9:./ -]*[a-z0-9]", fullmatch=True) | st.none(),
    ),
    st.sampled_from([(",", ":"), (", ", ": ")]),
)
def test_a_whole_text_without_anything_odd_needs_no_reading(value: dict[str, Any], separators: Any) -> None:
    whole = {"kit_id": "K1", "events": [value, {}], **value, "x": value}
    text = json.dumps(whole, separators=separators).encode()

    assert is_surely_whole(text)


@pytest.mark.parametrize("read", [parse, parse_exact, parse_with_constants])
def test_what_is_nested_too_deeply_is_refused_whatever_the_interpreter_can_read(read: Any) -> None:
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(10_000)  # Python 3.12 and later go so deep without it
    try:
        with pytest.raises(NotJsonError):
            read(b"[" * 2_000 + b"]" * 2_000)
    finally:
        sys.setrecursionlimit(before)
