"""What a result says: surely a number, a bound, or text; surely low, normal or high, or nothing at all."""

import operator
from typing import Any

import pytest

from spotdx_async import loads
from spotdx_async.models import GenotypeResult, QuantityResult, ReactivityResult, UnknownResult
from spotdx_async.tables.readings import Reading, read


def reading(result: Any, low: Any = None, high: Any = None) -> Reading:
    return read(QuantityResult(result=result, range_minimum=low, range_maximum=high))


@pytest.mark.parametrize(
    ("result", "value", "comparator", "bound"),
    [
        (123, 123.0, None, None),
        (12.5, 12.5, None, None),
        (-3, -3.0, None, None),
        ("12.5", 12.5, None, None),
        (" 12 ", 12.0, None, None),
        ("1e3", 1000.0, None, None),
        (".5", 0.5, None, None),
        ("<10", None, "<", 10.0),
        ("> 200", None, ">", 200.0),
        ("≥5", None, ">=", 5.0),
        (">=5", None, ">=", 5.0),
        ("≤ 0.5", None, "<=", 0.5),
        ("<=.5", None, "<=", 0.5),
        ("< -1", None, "<", -1.0),
        ("1,200", None, None, None),
        ("1,2", None, None, None),
        ("<1,200", None, None, None),
        ("negative", None, None, None),
        ("12 (H)", None, None, None),
        ("<10 mg/dL", None, None, None),
        ("10-20", None, None, None),
        ("1:64", None, None, None),
        ("+5", None, None, None),
        ("5+", None, None, None),
        ("007", None, None, None),
        ("5.", None, None, None),
        ("1_000", None, None, None),
        ("٣", None, None, None),
        ("<", None, None, None),
        ("<<5", None, None, None),
        ("", None, None, None),
        ("nan", None, None, None),
        ("inf", None, None, None),
        ("1e999", None, None, None),
        ("<1e999", None, None, None),
        ("1e-999", None, None, None),
        ("-0.001e-999", None, None, None),
        ("<.1e-999", None, None, None),
        ("0e-999", 0.0, None, None),
        ("-0.0", 0.0, None, None),
        (None, None, None, None),
        (10**400, None, None, None),
        (float("nan"), None, None, None),
        (True, None, None, None),
    ],
)
def test_what_is_not_surely_a_number_is_text(
    result: Any, value: float | None, comparator: str | None, bound: float | None
) -> None:
    assert reading(result)[:3] == (value, comparator, bound)


def test_a_number_that_no_float_can_hold_is_text() -> None:
    assert read(loads(b'{"result_type": "quantity", "result": 1e400}', QuantityResult))[:3] == (None, None, None)


def test_text_is_no_number_where_the_kind_of_result_is_no_amount() -> None:
    others = (UnknownResult(result="12"), ReactivityResult(result="<10"), GenotypeResult(result="12"))

    assert [read(result)[:3] for result in others] == [(None, None, None)] * 3
    assert read(UnknownResult(result=12)).value == 12.0


@pytest.mark.parametrize(
    ("result", "low", "high", "flag"),
    [
        (19.9, 20, 200, "low"),
        (20, 20, 200, "normal"),
        (200, 20, 200, "normal"),
        (200.1, 20, 200, "high"),
        ("201", 20, 200, "high"),
        (50, 40, None, "normal"),
        (30, 40, None, "low"),
        (50, None, 100, "normal"),
        (150, None, 100, "high"),
        (50, None, None, None),
        (50, 200, 20, None),
        (50, "20", 200, None),
        (50, "see note", 200, None),
        (500, "see note", 200, None),
        ("<10", 20, 200, "low"),
        ("<10", 10, 200, "low"),
        ("<=10", 10, 200, None),
        ("<=9", 10, 200, "low"),
        ("<10", 5, 200, None),
        ("<10", None, 200, "normal"),
        ("<10", None, 10, "normal"),
        ("<10", None, 5, None),
        ("<300", 20, 200, None),
        (">300", 20, 200, "high"),
        (">200", 20, 200, "high"),
        (">=200", 20, 200, None),
        (">=201", 20, 200, "high"),
        (">100", 20, 200, None),
        (">60", 60, None, "normal"),
        (">=60", 60, None, "normal"),
        (">50", 60, None, None),
        (">5", 20, 200, None),
        ("Positive ", None, None, "positive"),
        ("negative", 20, 200, "negative"),
        ("not positive", None, None, None),
        ("12 (H)", 20, 200, None),
    ],
)
def test_a_flag_is_given_only_where_it_is_sure(result: Any, low: Any, high: Any, flag: str | None) -> None:
    assert reading(result, low, high).flag == flag


def test_a_finding_is_its_flag() -> None:
    words = ("positive", "NEGATIVE", "reactive", "", None)

    assert [read(ReactivityResult(result=word)).flag for word in words] == ["positive", "negative", None, None, None]
    assert read(GenotypeResult(result="TT")).flag is None


def test_bounds_mean_what_the_amounts_that_they_allow_mean() -> None:
    """Each flag of a bound, against every amount of a grid that the bound allows."""
    grid = [step / 2 for step in range(-2, 13)]
    allowed = {
        "<": operator.lt,
        "<=": operator.le,
        ">": operator.gt,
        ">=": operator.ge,
    }
    for comparator, allows in allowed.items():
        for bound in range(1, 5):
            for low in (None, 1, 2, 3):
                for high in (None, 3, 4):
                    flags = {reading(amount, low, high).flag for amount in grid if allows(amount, bound)}
                    expected = flags.pop() if len(flags) == 1 else None
                    assert reading(f"{comparator}{bound}", low, high).flag == expected, (comparator, bound, low, high)
