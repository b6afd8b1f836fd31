"""Whose fault a row's failures are, by how the first tries of other rows end."""

import pytest

from spotdx_async.bulk.outage_signs import FirstTries, Seen


def noted(count: int, one_in: int, *, tries: FirstTries | None = None) -> FirstTries:
    tries = tries or FirstTries()
    for row in range(count):
        tries.note(is_bad=row % one_in == one_in - 1)
    return tries


@pytest.mark.parametrize(("one_in", "least", "most"), [(10**9, 1, 1), (20, 6, 8), (5, 11, 15), (2, 27, 32)])
def test_the_more_rows_fail_the_more_failures_are_chance(one_in: int, least: int, most: int) -> None:
    tries = noted(4000, one_in)

    too_many = next(count for count in range(1, 100) if not tries.explain([0.0] * count, tries.seen))

    assert least <= too_many <= most


def test_failures_from_before_anything_was_known_are_judged_by_what_came_since() -> None:
    tries = noted(1, 1)
    since = tries.seen
    assert not tries.explain([0.0] * 4, since)
    assert not tries.is_enough(since)

    noted(40, 3, tries=tries)

    assert tries.is_enough(since)
    assert tries.explain([0.0] * 4, since)


def test_what_fails_since_counts_though_nothing_did_for_long_before() -> None:
    tries = noted(4000, 10**9)
    tries.note(is_bad=True)
    since = tries.seen

    noted(20, 3, tries=tries)

    assert tries.explain([0.0] * 6, since)


def test_failures_of_an_overload_that_is_over_stay_chance() -> None:
    tries = noted(400, 2)
    then = [tries.failing] * 4

    noted(4000, 10**9, tries=tries)

    assert tries.explain(then, tries.seen)
    assert not tries.explain([0.0] * 4, tries.seen)


def test_where_no_other_or_one_other_fails_four_failures_are_the_row_s_own_fault() -> None:
    tries = noted(1, 1)
    since = tries.seen
    noted(40, 40, tries=tries)

    assert tries.is_enough(since)
    assert not tries.explain([0.0] * 4, since)
    assert not FirstTries().is_enough(Seen())


def noted_in_turn(results: str) -> FirstTries:
    tries = FirstTries()
    for result in results:
        tries.note(is_bad=result == "b")
    return tries


@pytest.mark.parametrize(
    ("before", "outage", "after"),
    [("", "bbbbb", ""), ("ggg", "b", ""), ("bgbgg", "bbbbbb", "bbg"), ("gbgbg", "", "b"), ("g", "bbb", "gbbg")],
)
def test_the_failures_with_which_an_outage_began_leave_no_trace(before: str, outage: str, after: str) -> None:
    tries = noted_in_turn(before + outage)

    tries.leave_out_failures()
    tries.leave_out_failures()  # a second pause, with nothing between

    for result in after:
        tries.note(is_bad=result == "b")
    like = noted_in_turn(before + after)
    assert (tries.seen, tries.failing) == (like.seen, like.failing)


def test_failures_in_a_row_that_end_by_an_answer_stay() -> None:
    tries = noted_in_turn("bbbbbg")

    tries.leave_out_failures()

    assert tries.seen == Seen(count=6, bad=5)
