"""How many requests of a run are on their way at once: fewer where load makes them fail, all where it does not."""

import random
from collections.abc import Callable

import pytest

from spotdx_async.bulk.adaptive_concurrency import AdaptiveConcurrency

ROUND_TRIP_S = 0.05


class Rounds:
    """A run that sends as many requests as it may, waits for all, and sends again."""

    def __init__(self, most: int = 64, round_trip_s: float = ROUND_TRIP_S) -> None:
        self.adaptive = AdaptiveConcurrency(most)
        self.round_trip_s = round_trip_s
        self.now = 0.0
        self.limits: list[int] = []
        self.good = self.sent = 0

    def go(self, seconds: float, fails: Callable[[int, int], bool], *, busy: int | None = None) -> "Rounds":
        """Go on for so long.

        Args:
            seconds: how long.
            fails: whether the request with this place among so many fails.
            busy: requests at once that the run comes to by itself, as under a rate limit.
        """
        end_s = self.now + seconds
        while self.now < end_s:
            began_s, count = self.now, min(self.adaptive.limit, busy or self.adaptive.limit)
            self.now += self.round_trip_s
            for place in range(count):
                is_bad = fails(place, count)
                self.sent += 1
                self.good += not is_bad
                self.adaptive.note(is_bad=is_bad, began_s=began_s, sent=(), now=self.now)
            self.limits.append(self.adaptive.limit)
        return self


def by_chance(share: float, seed: int = 4) -> Callable[[int, int], bool]:
    dice = random.Random(seed)
    return lambda _place, _count: dice.random() < share


def beyond(capacity: int) -> Callable[[int, int], bool]:
    return lambda place, _count: place >= capacity


@pytest.mark.parametrize("share", [0.0, 0.05, 0.1, 0.2, 0.4, 0.6])
def test_failures_that_do_not_depend_on_load_cost_little_concurrency(share: float) -> None:
    rounds = Rounds().go(60, by_chance(share))

    assert sum(rounds.limits) / len(rounds.limits) >= 0.95 * 64


@pytest.mark.parametrize("share", [0.05, 0.1, 0.2, 0.3, 0.4])
@pytest.mark.parametrize("most", [2, 3, 4, 5, 6, 8, 12])
def test_the_same_holds_where_few_are_sent_at_once_to_a_slow_server(most: int, share: float) -> None:
    """Results come slowly, a cut takes away much at once, and chance shows in the few."""
    for seed in range(12):
        rounds = Rounds(most, round_trip_s=0.2).go(200 / most, by_chance(share, seed))

        assert sum(rounds.limits) / len(rounds.limits) >= 0.82 * most


@pytest.mark.parametrize("round_trip_s", [0.02, 0.2])
@pytest.mark.parametrize(("most", "capacity"), [(2, 1), (4, 3), (6, 2), (6, 4), (8, 2), (64, 8)])
def test_few_at_once_are_cut_too_where_load_makes_them_fail(most: int, capacity: int, round_trip_s: float) -> None:
    rounds = Rounds(most, round_trip_s).go(40, beyond(capacity))
    rounds.good = rounds.sent = 0
    begun = len(rounds.limits)

    rounds.go(60, beyond(capacity))

    limits = rounds.limits[begun:]
    assert rounds.good >= 0.9 * capacity * len(limits)
    assert rounds.sent <= (1.6 if capacity > 1 else 1.9) * rounds.good


@pytest.mark.parametrize("capacity", [4, 16, 40])
def test_an_overloaded_server_is_asked_for_what_it_can_do(capacity: int) -> None:
    rounds = Rounds().go(20, beyond(capacity))
    rounds.good = rounds.sent = 0
    begun = len(rounds.limits)

    rounds.go(60, beyond(capacity))

    limits = rounds.limits[begun:]
    assert max(limits) <= 1.5 * capacity + 5
    assert rounds.good >= 0.75 * capacity * len(limits)
    assert rounds.sent <= 1.3 * rounds.good


def test_under_a_rate_limit_what_is_on_its_way_counts_not_what_might_be() -> None:
    rounds = Rounds().go(1.1, beyond(6), busy=12)

    assert rounds.adaptive.limit in {5, 6}


def test_a_server_that_can_do_more_again_gets_more() -> None:
    rounds = Rounds().go(20, beyond(8))
    assert rounds.adaptive.limit <= 17

    rounds.go(20, beyond(1000))

    assert rounds.adaptive.limit == 64


def test_what_is_left_of_an_overload_does_not_keep_it_low() -> None:
    dice = random.Random(2)
    rounds = Rounds().go(20, lambda place, _: place >= 8 or dice.random() < 0.2)

    rounds.go(60, by_chance(0.2))

    assert rounds.adaptive.limit == 64


@pytest.mark.parametrize("most", [1, 2, 3])
def test_it_never_falls_below_one(most: int) -> None:
    rounds = Rounds(most).go(300, by_chance(0.5))

    assert min(rounds.limits) >= 1
    assert rounds.adaptive.limit == most


def test_few_results_decide_nothing() -> None:
    adaptive = AdaptiveConcurrency(64)

    shares = [adaptive.note(is_bad=True, began_s=n, sent=(), now=n + 0.1) for n in range(19)]

    assert set(shares) == {None}
    assert adaptive.limit == 64


def test_results_from_before_an_outage_say_nothing_after_it() -> None:
    adaptive = AdaptiveConcurrency(64)
    adaptive.restart(100)

    for n in range(1000):
        adaptive.note(is_bad=True, began_s=99, sent=(), now=100 + n / 100)

    assert adaptive.limit == 64


def test_a_trial_that_an_outage_cuts_off_is_taken_back() -> None:
    rounds = Rounds().go(1.05, by_chance(0.4))
    assert rounds.adaptive.limit < 40

    rounds.adaptive.restart(rounds.now)

    assert rounds.adaptive.limit == 64


def test_where_nothing_comes_through_less_would_be_no_help() -> None:
    rounds = Rounds().go(20, by_chance(1.0))

    assert set(rounds.limits) == {64}


@pytest.mark.parametrize(("unanswered", "is_judged"), [(0, True), (2, True), (3, False), (40, False)])
def test_a_period_is_judged_when_nearly_all_that_began_in_it_are_answered(unanswered: int, *, is_judged: bool) -> None:
    """As where failures come back sooner than answers."""
    adaptive = AdaptiveConcurrency(64)
    sent = [0.5] * unanswered
    for _ in range(40):
        assert adaptive.note(is_bad=True, began_s=0.0, sent=sent, now=0.5) is None

    share = adaptive.note(is_bad=False, began_s=0.5, sent=[*sent, 1.1, 1.2, 1.3], now=1.0)

    assert share == (pytest.approx(40 / 41) if is_judged else None)
    assert adaptive.note(is_bad=False, began_s=0.6, sent=(), now=3.0) == (None if is_judged else pytest.approx(40 / 42))
