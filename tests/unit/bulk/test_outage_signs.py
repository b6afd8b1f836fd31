"""What tells an outage from failures by chance, result by result."""

import pytest

from spotdx_async.bulk.outage_signs import OutageSigns


def made(results: str, *, rows: int = 1000) -> OutageSigns:
    """Signs that have seen these results: ``b`` bad, ``g`` good, ``f`` forget; each of another row, of so many."""
    signs = OutageSigns()
    for place, result in enumerate(results):
        if result == "b":
            signs.note_bad(place % rows)
        elif result == "g":
            signs.note_good()
        else:
            signs.forget()
    return signs


HALF = "bg" * 100


@pytest.mark.parametrize(
    ("results", "rows", "is_doubtful", "are_enough"),
    [
        ("", 9, False, False),
        ("b", 1, False, False),
        ("bbbbb", 1, False, False),
        ("bbbbbb", 1, True, False),
        ("bb", 2, True, False),
        ("bbbb", 9, True, False),
        ("bbbbb", 9, True, True),
        ("bbbbbg", 9, False, False),
        ("bbbbbf", 9, False, False),
        ("bbbgbb", 9, True, False),
    ],
)
def test_two_rows_or_six_failures_make_doubt_and_five_rows_in_a_row_are_no_fault_of_theirs(
    results: str, rows: int, *, is_doubtful: bool, are_enough: bool
) -> None:
    signs = made(results, rows=rows)

    assert (signs.is_doubtful, signs.has_enough_rows) == (is_doubtful, are_enough)


@pytest.mark.parametrize(
    ("results", "rows", "older", "is_outage"),
    [
        ("b" * 4, 9, 0, False),
        ("b" * 100, 4, 0, False),  # of four rows, however often
        ("b" * 5, 9, 0, True),
        ("g" * 500 + "b" * 5, 1000, 0, True),
        ("b" * 5, 9, 20, False),  # those that are on their way may be served
        ("b" * 30, 99, 20, True),
        (HALF + "b" * 20, 1000, 0, False),  # half of them fail anyway
        (HALF + "b" * 40, 1000, 0, True),
        (HALF + "b" * 40, 1000, 60, False),  # fewer than usual, should those be served
        (HALF + "f" + "b" * 20, 1000, 0, False),  # a new row of failures, and no new share
    ],
)
def test_an_outage_is_a_row_of_failures_that_chance_does_not_make(
    results: str, rows: int, older: int, *, is_outage: bool
) -> None:
    assert made(results, rows=rows).is_outage(older) is is_outage


@pytest.mark.parametrize(
    ("results", "most"),
    [("", 0), ("g" * 100, 0), ("b" * 50, 0), ("bgggg" * 60, 8), (HALF, 19), ("bbbbg" * 60, 19)],
)
def test_as_many_failures_of_a_row_are_likely_as_others_have(results: str, most: int) -> None:
    signs = made(results)

    likely = [count for count in range(1, 40) if signs.makes_likely(count)]

    assert len(likely) == pytest.approx(most, abs=1)
    assert likely == list(range(1, len(likely) + 1))
