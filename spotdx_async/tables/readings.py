"""What the value of a result says, by rules: a number, a bound or text, and whether it is low, normal or high.

What is not surely a number is text, and what is not surely low, normal or high has no flag.
"""

import math
import re
from typing import Any, Literal, NamedTuple, TypeAlias

from spotdx_async.models import QuantityResult, Result

Comparator: TypeAlias = Literal["<", "<=", ">", ">="]
Flag: TypeAlias = Literal["low", "normal", "high", "positive", "negative"]

# A number as JSON writes it, or one that begins with its point. "1,200" is 1200 to some readers and 1.2 to others,
# "007" and "+5" are codes as often as amounts.
_AMOUNT = re.compile(
    r"\s*(?P<comparator><=|>=|[<>≤≥])?\s*"
    r"(?P<number>-?(?:(?:0|[1-9][0-9]*)(?:\.[0-9]+)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)\s*"
)
_IS_NOT_ZERO = re.compile(r"[-0.]*[1-9]")
_COMPARATORS: dict[str, Comparator] = {"<": "<", "<=": "<=", "≤": "<=", ">": ">", ">=": ">=", "≥": ">="}
_FINDINGS: dict[str, Flag] = {"positive": "positive", "negative": "negative"}


class Reading(NamedTuple):
    """What a result says."""

    value: float | None
    """The amount, where it is surely a number; None for a bound."""

    comparator: Comparator | None
    """How the amount compares with the bound; None where the amount is no bound."""

    bound: float | None
    """The number of ``"<10"``."""

    low: float | None
    """The low end of the reference range, where it is a number."""

    high: float | None
    """The high end of the reference range, where it is a number."""

    flag: Flag | None
    """What can surely be said of it."""


def read(result: Result) -> Reading:
    """Return what a result says.

    Text is only read as a number where the kind of result is an amount.
    """
    raw = result.result
    comparator, amount = None, number(raw)
    if isinstance(raw, str) and isinstance(result, QuantityResult):
        comparator, amount = read_amount(raw)
    low, high = number(result.range_minimum), number(result.range_maximum)
    flag: Flag | None = None
    if isinstance(raw, str):
        flag = _FINDINGS.get(raw.strip().lower())
    if amount is not None and _is_range(result, low, high):
        flag = _flag(comparator, amount, low, high)
    if comparator is None:
        return Reading(amount, None, None, low, high, flag)
    return Reading(None, comparator, amount, low, high, flag)


def number(value: Any) -> float | None:
    """Return a number as a float; None for what is no number, true and false included, or has no finite float."""
    kind = type(value)
    if kind is float:
        return float(value) if math.isfinite(value) else None
    if kind is int:
        try:
            return float(value)
        except OverflowError:
            return None
    return None


def read_amount(text: str) -> tuple[Comparator | None, float | None]:
    """Read an amount such as ``"12.5"`` or ``"<10"``; two times None for text that is not surely one."""
    found = _AMOUNT.fullmatch(text)
    amount = None if found is None else number(float(found["number"]))
    # "1e-400" is above 0, and no float is so near to it.
    if found is None or amount is None or (not amount and _IS_NOT_ZERO.match(found["number"])):
        return None, None
    return _COMPARATORS.get(found["comparator"]), amount


def _is_range(result: Result, low: float | None, high: float | None) -> bool:
    """Return whether both ends of the range are understood, and one is there; one without a number may be anything."""
    if (low is None) != (result.range_minimum is None) or (high is None) != (result.range_maximum is None):
        return False
    return low is None or high is None or low <= high


def _flag(comparator: Comparator | None, amount: float, low: float | None, high: float | None) -> Flag | None:
    """Return where the amount lies, if every amount that it may stand for lies there. The ends belong to the range."""
    if low is not None and (amount < low or (comparator == "<" and amount == low)) and comparator not in (">", ">="):
        return "low"
    if high is not None and (amount > high or (comparator == ">" and amount == high)) and comparator not in ("<", "<="):
        return "high"
    # Without an end, nothing is too low, or too high.
    is_above = low is None or (amount >= low and comparator not in ("<", "<="))
    is_below = high is None or (amount <= high and comparator not in (">", ">="))
    return "normal" if is_above and is_below and (low is not None or high is not None) else None
