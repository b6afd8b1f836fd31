"""The long test set, ``make chaos``: cases that show once more, and with more dice, what those of each run show."""

import os
from collections.abc import Collection, Iterable
from typing import Any

import pytest

IS_FULL = os.environ.get("SPOTDX_CHAOS") == "full"
ONLY_IN_FULL = pytest.mark.skipif(not IS_FULL, reason="only with SPOTDX_CHAOS=full")


def with_long(short: Collection[Any], every: Iterable[Any]) -> list[Any]:
    """Give every case; those that are not in ``short`` are for the long set alone."""
    cases = [*every]
    assert all(case in cases for case in short), "a case of the normal set that is none of all"
    return [case if case in short else pytest.param(*_values(case), marks=ONLY_IN_FULL) for case in cases]


def _values(case: Any) -> tuple[Any, ...]:
    return case if isinstance(case, tuple) else (case,)
