from datetime import date
from typing import Any

import pytest

from spotdx_async.testing import bodies
from spotdx_async.testing.bodies import BadBodyError, Check
from spotdx_async.testing.routes import NOT_JSON

NAMED = bodies.fields({"name": bodies.text}, {"inner": bodies.fields({"flag": bodies.boolean})})


def faults_of(check: Check, value: Any) -> list[str]:
    return list(check(value, "x"))


def test_a_body_without_a_fault_is_given_back() -> None:
    body = {"name": "A", "inner": {"flag": True}}

    assert bodies.checked(body, NAMED) is body


def test_every_fault_is_told_with_its_path() -> None:
    with pytest.raises(BadBodyError) as caught:
        bodies.checked({"inner": {"flag": 1, "new": 1}}, NAMED)

    assert caught.value.args == (
        "name: Field is required",
        "inner.flag: Must be true or false",
        "inner.new: Unknown field",
    )


@pytest.mark.parametrize("body", [None, [], "text", {}])
def test_what_is_no_object_lacks_every_field(body: Any) -> None:
    with pytest.raises(BadBodyError, match=r"^name: Field is required$"):
        bodies.checked(body, NAMED)


def test_what_is_no_json_is_told_as_such() -> None:
    with pytest.raises(BadBodyError, match="The body is not JSON"):
        bodies.checked(NOT_JSON, NAMED)


@pytest.mark.parametrize(
    ("check", "good", "bad"),
    [
        (bodies.text, ["A", " a "], ["", " ", 1, None, []]),
        (bodies.array_of(bodies.text), [["A"], ["A", "A"]], [[], "A", None, [1], ["A", ""]]),
        (bodies.boolean, [True, False], [0, "true", None]),
        (bodies.an_object, [{}, {"a": 1}], [[], None, "{}"]),
        (bodies.maybe_null(bodies.text), [None, "A"], ["", 1]),
        (bodies.one_of("M", "F"), ["M", "F"], ["m", "", None, ["M"]]),
        (bodies.fits("[a-z0-9]{2}", "two"), ["a1"], ["a", "a1b", "é1", "a1\n", "٣a", 12]),
        (bodies.email, ["robin@example.com", "a+b@example.org"], ["robin", "@example.com", "robin@", "a b@c", 1]),
        (bodies.day_until(date(2030, 1, 1)), ["2030-01-01", "1900-02-28"], ["2030-01-02", "20290101", "1.1.2029", 1]),
        (NAMED, [{"name": "A"}], ["A", {}, {"name": "A", "inner": None}]),
    ],
)
def test_a_check_lets_the_good_pass_and_finds_the_bad(check: Check, good: list[Any], bad: list[Any]) -> None:
    assert [faults_of(check, value) for value in good] == [[] for _ in good]
    assert all(len(faults_of(check, value)) == 1 for value in bad)


def test_no_fault_names_a_value() -> None:
    checks = (bodies.text, bodies.email, bodies.one_of("M"), bodies.day_until(date(2030, 1, 1)), bodies.boolean)

    assert "canary" not in str([faults_of(check, ["canary"]) for check in checks])
    assert "canary" not in str([faults_of(check, "canary") for check in checks[1:]])
