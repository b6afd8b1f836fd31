"""Key queues: which row goes first, and which wait."""

import gc
import tracemalloc

import pytest

from spotdx_async._http.messages import AttemptState
from spotdx_async._requests.operation import metadata_json
from spotdx_async.bulk.journal.records import RowDigests
from spotdx_async.bulk.row import Row
from spotdx_async.bulk.scheduler import KeyQueues


def row(index: int, key: str = "A") -> Row:
    return Row(index, key, b"{}")


def test_the_first_of_a_key_goes_and_the_others_follow_in_order() -> None:
    key_queues = KeyQueues()
    first, second, third = row(0), row(1), row(2)

    assert [key_queues.enter(each) for each in (first, second, third)] == [True, False, False]

    assert key_queues.leave(first, 0.0) is second
    assert key_queues.leave(second, 0.0) is third
    assert key_queues.leave(third, 0.0) is None
    assert key_queues.enter(row(3))


def test_keys_do_not_wait_for_one_another() -> None:
    key_queues = KeyQueues()

    assert key_queues.enter(row(0, "A"))
    assert key_queues.enter(row(1, "B"))


def test_nothing_is_remembered_of_a_key_whose_rows_have_left() -> None:
    key_queues = KeyQueues()
    for index in range(100):
        each = row(index, f"K{index}")
        key_queues.enter(each)
        key_queues.leave(each, 0.0)

    assert key_queues.last("K1") is None
    assert not key_queues._last


def test_the_next_row_rests_while_the_one_before_may_land() -> None:
    key_queues = KeyQueues()
    first, second = row(0), row(1)
    key_queues.enter(first)
    key_queues.enter(second)
    first.lands_until_s = 60.0

    following = key_queues.leave(first, 5.0)

    assert following is second
    assert second.rests_until_s == 60.0


def test_a_row_that_comes_when_the_one_before_has_left_rests_too_and_once() -> None:
    key_queues = KeyQueues()
    first, second, third = row(0), row(1), row(2)
    key_queues.enter(first)
    first.lands_until_s = 60.0
    key_queues.leave(first, 5.0)

    assert key_queues.enter(second)
    assert second.rests_until_s == 60.0
    key_queues.leave(second, 61.0)
    assert key_queues.enter(third)
    assert third.rests_until_s == float("-inf")


def test_keys_that_rest_no_more_are_forgotten() -> None:
    key_queues = KeyQueues()
    for index in range(10_000):
        each = row(index, f"K{index}")
        key_queues.enter(each)
        each.lands_until_s = index + 60.0
        key_queues.leave(each, float(index))

    assert len(key_queues._rests_until_s) <= 1100


def test_a_row_that_comes_behind_a_held_one_is_held() -> None:
    key_queues = KeyQueues()
    rows = [row(index) for index in range(3)]
    key_queues.enter(rows[0])
    key_queues.enter(rows[1])

    count, size = key_queues.hold(rows[0])
    key_queues.enter(rows[2])

    assert count == 2
    assert size == rows[0].size + rows[1].size
    assert all(each.is_held for each in rows)


def test_those_behind_are_held_until_their_own_turn_and_counted_once() -> None:
    key_queues = KeyQueues()
    rows = [row(index) for index in range(4)]
    for each in rows[:3]:
        key_queues.enter(each)
    key_queues.hold(rows[0])
    rows[0].is_held = False  # its turn has come

    key_queues.enter(rows[3])

    assert [each.is_held for each in rows] == [False, True, True, True]
    assert key_queues.leave(rows[0], 0.0) is rows[1]
    assert key_queues.hold(rows[1]) == (0, 0)


def test_the_size_of_a_row_grows_with_its_body_and_with_those_that_it_has_overtaken() -> None:
    digests = RowDigests(b"content", b"key")
    standing = Row(0, "A", b"0", digests)
    small = standing.size
    standing.become(Row(1, "A", b"0" * 5001, digests))

    assert small + 5000 < standing.size < small + 6000


@pytest.mark.no_cover
def test_held_rows_take_no_more_memory_than_they_say() -> None:
    key_queues = KeyQueues()
    key_queues.enter(row(0))
    key_queues.hold(first := key_queues.last("A") or row(0))
    gc.collect()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for index in range(1, 1001):
            key_queues.enter(Row(index, "A", metadata_json({"n": index})))
        for index in range(1001, 1101):  # of one that is held already
            first.become(Row(index, "A", metadata_json({"n": index})))
        gc.collect()
        taken = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()

    assert taken <= 1000 * row(0).size


def test_a_newer_row_takes_the_place_of_a_waiting_one() -> None:
    key_queues = KeyQueues()
    first, second = row(0), row(1)
    key_queues.enter(first)
    key_queues.enter(second)

    second.become(row(2))

    following = key_queues.leave(first, 0.0)
    assert following is not None
    assert following.index == 2


def test_no_row_shows_its_metadata() -> None:
    shown = repr(Row(0, "SPOT123456", b"canary"))

    assert "canary" not in shown
    assert "SPOT123456" not in shown


def test_a_row_that_takes_anothers_place_carries_its_marks_up_to_a_bound() -> None:
    digests = RowDigests(b"content", b"key")
    standing = Row(0, "A", b"0", digests)
    for index in range(1, 251):
        assert standing.can_be_overtaken
        standing.become(Row(index, "A", b"%d" % index, digests))

    assert not standing.can_be_overtaken
    assert (standing.index, standing.body) == (250, b"250")
    assert [index for index, *_ in standing.overtaken] == list(range(250))


def test_a_row_that_was_taken_up_keeps_its_place() -> None:
    taken_up = row(0)
    taken_up.began_s = 1.0

    assert not taken_up.can_be_overtaken


def test_without_a_journal_nothing_is_kept_of_a_row_that_was_overtaken() -> None:
    standing = row(0)
    standing.become(row(1))

    assert standing.overtaken == []


def test_whether_it_may_be_executed_is_what_its_flight_says() -> None:
    assert not row(0).may_be_executed
    assert Row(0, "A", b"", attempt_state=AttemptState(may_have_arrived=True)).may_be_executed
    assert Row(0, "A", b"", attempt_state=AttemptState(may_be_executed=True)).may_be_executed
