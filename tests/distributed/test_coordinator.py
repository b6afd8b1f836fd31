"""The coordinator: who has which shard, which workers were cut off, and when to stop."""

from spotdx_async import RateLimit
from spotdx_async.bulk.records import State
from spotdx_async.distributed.coordinator import Coordinator, DistributedProgress


def test_a_shard_of_a_lost_worker_is_a_repeat_for_the_next_one() -> None:
    coordinator = Coordinator(None)
    assert not coordinator.begin(1, "a").is_repeat
    assert not coordinator.begin(2, "b").is_repeat

    assert coordinator.lose("a") == [1]

    assert coordinator.begin(1, "b").is_repeat
    assert not coordinator.begin(3, "b").is_repeat


def test_a_shard_that_is_begun_twice_is_a_repeat_and_the_first_worker_is_to_stop() -> None:
    coordinator = Coordinator(None)
    coordinator.begin(1, "a")

    assert coordinator.begin(1, "b").is_repeat
    assert coordinator.beat(1, "a", {"ok": 7})
    assert not coordinator.beat(1, "b", {"ok": 3})
    coordinator.end(1, "a", {"ok": 9})
    assert coordinator.look() == {1: {"ok": 3}}


def test_a_shard_that_has_ended_is_not_lost_with_its_worker() -> None:
    coordinator = Coordinator(None)
    coordinator.begin(1, "a")
    coordinator.end(1, "a", {"ok": 9})

    assert coordinator.lose("a") == []
    assert coordinator.look() == {1: {"ok": 9}}
    assert coordinator.look(forget=[1]) == {}


def test_all_are_told_to_stop() -> None:
    coordinator = Coordinator(None)
    coordinator.begin(1, "a")
    coordinator.is_stopped = True

    assert coordinator.beat(1, "a", {})
    assert coordinator.begin(2, "a").is_stopped


def test_blocks_of_slots_are_given_and_paused_where_there_is_a_limit() -> None:
    coordinator = Coordinator(RateLimit(10))
    assert len(coordinator.take(0, 100).slots_s) == 6
    coordinator.pause(0, 60)
    assert coordinator.take(1, 100).slots_s == ()

    free = Coordinator(None)
    free.pause(0, 60)
    assert free.take(1, 5).slots_s == ()


def test_the_throughput_is_that_of_the_last_seconds() -> None:
    pace = DistributedProgress(0)
    none: dict[State, int] = {"ok": 0, "failed": 0}
    assert pace.progress(0, none, (), None).rate == 0
    known = pace.progress(5, {**none, "ok": 100}, [{"ok": 20}, {"failed": 5}], 250)

    assert (known.done, known.rate, known.eta_s, known.total) == (125, 25, 5, 250)
    assert known.by_state == {"ok": 120, "failed": 5}
    assert pace.progress(6, {**none, "ok": 100}, (), None).eta_s is None
