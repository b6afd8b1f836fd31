"""The desk: who has which shard, what was cut off, and when to stop."""

from spotdx_async import RateLimit
from spotdx_async.bulk.records import State
from spotdx_async.distributed.coordinator import Desk
from spotdx_async.distributed.progress import Pace


def test_a_shard_of_a_lost_worker_is_a_repeat_for_the_next_one() -> None:
    desk = Desk(None)
    assert not desk.begin(1, "a").is_repeat
    assert not desk.begin(2, "b").is_repeat

    assert desk.lose("a") == [1]

    assert desk.begin(1, "b").is_repeat
    assert not desk.begin(3, "b").is_repeat


def test_a_shard_that_is_begun_twice_is_a_repeat_and_the_first_worker_is_to_stop() -> None:
    desk = Desk(None)
    desk.begin(1, "a")

    assert desk.begin(1, "b").is_repeat
    assert desk.beat(1, "a", {"ok": 7})
    assert not desk.beat(1, "b", {"ok": 3})
    desk.end(1, "a", {"ok": 9})
    assert desk.look() == {1: {"ok": 3}}


def test_a_shard_that_has_ended_is_not_lost_with_its_worker() -> None:
    desk = Desk(None)
    desk.begin(1, "a")
    desk.end(1, "a", {"ok": 9})

    assert desk.lose("a") == []
    assert desk.look() == {1: {"ok": 9}}
    assert desk.look(forget=[1]) == {}


def test_all_are_told_to_stop() -> None:
    desk = Desk(None)
    desk.begin(1, "a")
    desk.is_stopped = True

    assert desk.beat(1, "a", {})
    assert desk.begin(2, "a").is_stopped


def test_leases_are_given_and_paused_where_there_is_a_limit() -> None:
    desk = Desk(RateLimit(10))
    assert len(desk.take(0, 100).slots_s) == 6
    desk.pause(0, 60)
    assert desk.take(1, 100).slots_s == ()

    free = Desk(None)
    free.pause(0, 60)
    assert free.take(1, 5).slots_s == ()


def test_the_pace_is_that_of_the_last_seconds() -> None:
    pace = Pace(0)
    none: dict[State, int] = {"ok": 0, "failed": 0}
    assert pace.progress(0, none, (), None).rate == 0
    known = pace.progress(5, {**none, "ok": 100}, [{"ok": 20}, {"failed": 5}], 250)

    assert (known.done, known.rate, known.eta_s, known.total) == (125, 25, 5, 250)
    assert known.by_state == {"ok": 120, "failed": 5}
    assert pace.progress(6, {**none, "ok": 100}, (), None).eta_s is None
