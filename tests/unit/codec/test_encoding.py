"""A caller's function for values that JSON lacks: asked for those alone, and trusted in nothing."""

import json
import math
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import Enum, IntEnum
from types import MappingProxyType
from typing import Any
from uuid import UUID

import pytest

from spotdx_async._codec.encoding import check_encode, encoded
from spotdx_async._codec.json import NotSerializableError, serialize
from spotdx_async.errors import ConfigError
from spotdx_async.models import KitStatus

SECRET = "canary"


class Colour(Enum):
    RED = SECRET


class Level(IntEnum):
    HIGH = 3


def text_of(value: Any) -> object:
    return value.value if isinstance(value, Enum) else str(value)


def fault_of(tree: Any, encode: Any) -> NotSerializableError:
    with pytest.raises(NotSerializableError) as caught:
        serialize(encoded(tree, encode))
    assert SECRET not in str(caught.value)
    assert caught.value.__cause__ is None
    return caught.value


def test_every_value_that_json_lacks_is_asked_for_wherever_it_is() -> None:
    an_id = UUID("12345678-1234-5678-1234-567812345678")
    tree = {
        "when": datetime(2026, 1, 31, tzinfo=UTC),
        "deep": [{"price": Decimal("1.10")}, (date(2026, 1, 31), an_id)],
        "colour": Colour.RED,
        "proxy": MappingProxyType({"a": 1}),
    }

    assert json.loads(serialize(encoded(tree, text_of))) == {
        "when": "2026-01-31 00:00:00+00:00",
        "deep": [{"price": "1.10"}, ["2026-01-31", str(an_id)]],
        "colour": SECRET,
        "proxy": "{'a': 1}",
    }
    assert tree["colour"] is Colour.RED


def test_what_json_has_is_never_asked_for() -> None:
    tree = {"a": [1, 2.5, "x", None, True, (1, 2)], "status": KitStatus.DELIVERED, "level": Level.HIGH, "ä": 2**70}
    asked: list[object] = []

    def noted(value: object) -> str:
        asked.append(value)
        return ""

    assert encoded(tree, noted) is tree
    assert serialize(encoded({**tree, "more": b""}, noted)) == serialize({**tree, "more": ""})
    assert asked == [b""]


@pytest.mark.parametrize(
    ("tree", "fault"),
    [
        ({"a": math.nan}, "a is NaN or infinite, which JSON does not have"),
        ({"when": date.min, "a": [math.inf]}, "a[0] is NaN or infinite, which JSON does not have"),
        ({"when": date.min, 1: "x"}, "the value has a key of type int; JSON keys are strings"),
        ({"when": date.min, "a": "\ud800"}, "a holds text that is not valid Unicode"),
    ],
)
def test_the_other_faults_stay_what_they_are(tree: Any, fault: str) -> None:
    assert str(fault_of(tree, str)).removeprefix(".") == fault


def raising(_value: object) -> object:
    raise TypeError(SECRET)


async def waiting(_value: object) -> object:
    return SECRET


@pytest.mark.parametrize(
    ("encode", "fault"),
    [
        (raising, "raised TypeError"),
        (lambda value: value, "returned a value that is of type date, which JSON does not have: pass its isoformat()"),
        (lambda _: math.nan, "returned a value that is NaN or infinite, which JSON does not have"),
        (lambda _: {"b": [Colour.RED]}, "returned a value that at .b[0] is of type Colour, which JSON does not have: "),
        (lambda _: {1: SECRET}, "returned a value that has a key of type int; JSON keys are strings"),
        (lambda value: waiting(value), "returned something to be awaited: it must be a plain function"),  # noqa: PLW0108
    ],
)
def test_a_function_that_fails_is_told_by_the_place_of_the_value(encode: Any, fault: str) -> None:
    told = str(fault_of({"a": [{"when": date(2026, 1, 31)}]}, encode))

    assert told.startswith(".a[0].when is of type date, for which encode ")
    assert fault in told


def test_a_function_may_change_what_it_finds() -> None:
    def meddling(_value: object) -> str:
        of_dict[f"more{len(of_dict)}"] = None
        of_list.append(date.min)
        return SECRET

    of_list: list[Any] = [date.min]
    of_dict: dict[str, Any] = {"when": date.min, "all": of_list, "last": date.min}

    assert encoded(of_dict, meddling) == {"when": SECRET, "all": [SECRET, SECRET], "last": SECRET}


def test_what_a_program_is_ended_with_is_no_fault_of_a_value() -> None:
    def interrupted(_value: object) -> object:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        encoded({"when": date.min}, interrupted)


def test_a_value_that_contains_itself_ends() -> None:
    endless: list[Any] = [date.min]
    endless += [endless, endless]

    assert str(fault_of({"b": 1, "a": endless}, str)) == ".a is nested deeper than 200 levels"


async def test_only_a_plain_function_is_taken() -> None:
    class Encoder:
        async def __call__(self, _value: object) -> object:
            return None

    for wrong in (5, "str", waiting, Encoder()):
        with pytest.raises(ConfigError, match="encode must be a plain function"):
            check_encode(wrong)
    for right in (None, str, text_of, json.dumps):
        assert check_encode(right) is right
