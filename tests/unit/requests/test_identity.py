"""Whether metadata that comes back is what was sent: a vendor's tidying up passes, every other value does not."""

import json
from typing import Any
from unicodedata import normalize

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from spotdx_async._codec.json import parse_exact
from spotdx_async._requests.identity import is_what_was_sent

NUMBERS = st.integers(-(10**20), 10**20) | st.floats(allow_nan=False, allow_infinity=False)
TEXTS = st.text(max_size=8)
PLAIN = st.none() | st.booleans() | NUMBERS | TEXTS
VALUES = st.recursive(
    PLAIN, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4), max_leaves=12
)
METADATA = st.dictionaries(TEXTS, VALUES, max_size=4)


def as_sent(metadata: Any) -> bytes:
    return json.dumps({"metadata": metadata}).encode()


def compare(sent: Any, came: Any) -> bool:
    """Compare as an answer is: both have been JSON."""
    return is_what_was_sent(as_sent(sent), parse_exact(json.dumps(came).encode()))


def tidied(draw: st.DrawFn, value: Any) -> Any:
    """Change a value as a vendor may."""
    if isinstance(value, dict):
        kept = [(key, item) for key, item in value.items() if item is not None or draw(st.booleans())]
        changed = {key: tidied(draw, item) for key, item in draw(st.permutations(kept))}
        return {**draw(st.dictionaries(TEXTS.filter(lambda key: key not in value), PLAIN, max_size=2)), **changed}
    if isinstance(value, list):
        return [tidied(draw, item) for item in value if item is not None or draw(st.booleans())]
    if isinstance(value, bool):
        return draw(st.sampled_from([value, str(value), str(value).lower()]))
    if isinstance(value, int):
        return draw(
            st.sampled_from([value, str(value), f" {value}.0 ", *([float(value)] if abs(value) < 2**53 else [])])
        )
    if isinstance(value, float):
        return draw(st.sampled_from([value, repr(value)]))
    if isinstance(value, str):
        return draw(st.sampled_from([value, value.strip(), f"\t{value} ", normalize("NFD", value)]))
    return value


@st.composite
def sent_and_tidied(draw: st.DrawFn) -> tuple[Any, Any]:
    sent = draw(METADATA)
    return sent, tidied(draw, sent)


@given(sent_and_tidied())
def test_what_was_sent_is_known_again_however_it_was_tidied_up(pair: tuple[Any, Any]) -> None:
    assert compare(*pair)


def canonical(value: Any) -> Any:
    """Write a plain value so that two are the same where one may be made of the other by tidying up."""
    if value is None or isinstance(value, bool):
        return str(value).lower() if value is not None else None
    if isinstance(value, str):
        text = normalize("NFC", value).strip()
        try:
            return f"{float(text) + 0.0:.20g}" if "_" not in text else text
        except ValueError:
            return text.lower()
    return f"{float(value) + 0.0:.20g}"  # of zeros there is one


@given(METADATA, TEXTS, PLAIN, PLAIN)
@example({}, "a", "old", "new")
@example({}, "a", None, "old")
@example({}, "a", "new", None)
@example({}, "a", "a long text", "a long")
@example({}, "a", 0, "")
@example({}, "a", "", None)
def test_any_other_value_is_seen(rest: dict[str, Any], key: str, sent: Any, came: Any) -> None:
    assume(canonical(sent) != canonical(came))

    assert not compare({**rest, key: sent}, {**rest, key: came})
    assert not compare({"in": {**rest, key: sent}}, {"in": {**rest, key: came}})
    assert not compare({"in": [rest, sent]}, {"in": [rest, came]})


@given(METADATA, TEXTS, VALUES)
def test_a_value_that_is_missing_is_seen_unless_it_is_null(rest: dict[str, Any], key: str, value: Any) -> None:
    shown = {name: item for name, item in rest.items() if name != key}

    assert compare({**shown, key: value}, shown) is (value is None)


@pytest.mark.parametrize(
    ("sent", "came"),
    [
        (1, True),
        (True, 1),
        ("true", True),
        (0, False),
        (1, [1]),
        ([1], 1),
        ({}, []),
        ([], {}),
        ({"a": 1}, '{"a": 1}'),
        ([1, 2], [2, 1]),
        ([1, 2], [1]),
        ([1], [1, 2]),
        ("007", 7),
        (7, "007x"),
        (7, "seven"),
        (1000, "1_000"),
        (0, "NaN"),
        (9007199254740993, 9007199254740992),
        (9007199254740993, "9007199254740992"),
        (1.5, 1.5000001),
        (7, "7e99999999999999999999"),
        ("Ab", "ab"),
        ("a  b", "a b"),
    ],
)
def test_what_is_no_tidying_up_is_another_value(sent: Any, came: Any) -> None:
    assert not compare({"a": sent}, {"a": came})


@pytest.mark.parametrize(
    ("sent", "came"),
    [
        (b"5", b'"5"'),
        (b'"5"', b"5"),
        (b'"1.5"', b"1.5"),
        (b"1", b"1.0"),
        (b"1.0", b"1"),
        (b"1e2", b"100"),
        (b"0.1", b"0.10"),
        (b"-0.0", b"0"),
        (b"123456789012345678901234567890", b'"123456789012345678901234567890"'),
        (b"1e400", b"1e400"),
        (b"1e400", b'"1e400"'),
        (b"[1, null, 2]", b"[1, 2]"),
        (b'{"b": null}', b"{}"),
    ],
)
def test_what_is_tidied_up_is_the_same(sent: bytes, came: bytes) -> None:
    assert is_what_was_sent(b'{"metadata":{"a":%b}}' % sent, parse_exact(b'{"a": %b}' % came))


def test_what_is_nested_as_deep_as_can_be_sent_is_compared() -> None:
    def nested(value: str, levels: int = 190) -> Any:
        inner: Any = value
        for level in range(levels):
            inner = [inner] if level % 2 else {"a": inner}
        return {"a": inner}

    assert compare(nested("x"), nested("x"))
    assert not compare(nested("x"), nested("y"))
