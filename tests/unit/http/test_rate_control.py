"""The pace that is learned: when it is cut, when and how fast it grows, and that it stays between floor and ceiling."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spotdx_async._http.rate_control import LearnedPace
from spotdx_async.config import AdaptiveRateLimit


class Drive:
    """A pace with the time that goes by, in steps of a tenth of a second."""

    def __init__(self, start: float = 100.0, *, floor: float = 0.5, ceiling: float | None = None) -> None:
        self.pace = LearnedPace(AdaptiveRateLimit(start, floor=floor, ceiling=ceiling))
        self.now = 1000.0

    def busy(self, seconds: float, *, held: float = 1.0) -> float:
        """Let calls wait for that share of the time; give the growth."""
        before = self.pace.rate
        for _ in range(round(seconds * 10)):
            self.now += 0.1
            self.pace.grow(self.now, 0.1 * held)
        return self.pace.rate / before

    def throttle(self, *, rtt_s: float = 0.01) -> bool:
        return self.pace.cut(self.now, self.now - rtt_s)

    def pause(self, seconds: float) -> None:
        self.pace.pause(self.now, self.now + seconds)
        self.now += seconds


@pytest.fixture
def learned() -> Drive:
    """A pace of 100 a second that has met its first 429 at that rate, and knows it."""
    drive = Drive(100 / 0.9)
    drive.throttle()
    return drive


# Cuts


def test_it_starts_at_start() -> None:
    pace = LearnedPace(AdaptiveRateLimit(40))

    assert (pace.rate, pace.interval_s, pace.burst) == (40, 1 / 40, 4)


def test_a_429_cuts_by_a_tenth() -> None:
    drive = Drive(50)

    assert drive.throttle()

    assert drive.pace.rate == pytest.approx(45)
    assert drive.pace.interval_s == pytest.approx(1 / 45)


def test_a_hundred_answers_of_one_round_trip_cut_once() -> None:
    drive = Drive(50)
    sent = [drive.now + number / 500 for number in range(100)]

    cuts = [drive.pace.cut(sent_s + 0.2, sent_s) for sent_s in sent]

    assert cuts.count(True) == 1
    assert drive.pace.rate == pytest.approx(45)


def test_the_next_round_trip_cuts_again() -> None:
    drive = Drive(50)
    for number in range(5):
        sent_s = drive.now + 0.3 * number
        assert drive.pace.cut(sent_s + 0.2, sent_s)
        assert not drive.pace.cut(sent_s + 0.25, sent_s + 0.05)

    assert drive.pace.rate == pytest.approx(50 * 0.9**5)


def test_a_rate_more_than_twice_too_fast_is_halved_once_two_pauses_show_it() -> None:
    drive = Drive(500)
    rates = []
    for _ in range(3):
        drive.throttle()
        rates.append(drive.pace.rate)
        drive.pause(1)
        drive.busy(0.1)

    assert rates[1] == pytest.approx(rates[0] * 0.9)
    assert rates[2] == pytest.approx(rates[1] * 0.5)


def test_without_pauses_it_is_never_halved() -> None:
    drive = Drive(500)
    for _ in range(10):
        drive.busy(0.1, held=0.1)
        before = drive.pace.rate
        drive.throttle()
        assert drive.pace.rate == pytest.approx(before * 0.9)


# Growth


def test_before_the_first_429_it_doubles_in_a_second_and_a_half() -> None:
    drive = Drive(1)
    drive.busy(1)

    assert drive.busy(3) == pytest.approx(4)


def test_it_grows_by_two_percent_a_second(learned: Drive) -> None:
    learned.busy(1)

    assert learned.busy(2) == pytest.approx(math.exp(0.04))


def test_a_slow_client_grows_by_a_tenth_in_160_calls() -> None:
    drive = Drive(5)
    drive.throttle()
    drive.busy(1)
    before, calls = drive.pace.rate, 0.0
    while drive.pace.rate < before * 1.05:
        drive.busy(0.1)
        calls += 0.1 * drive.pace.rate

    assert calls == pytest.approx(160 * math.log(1.05) / 0.1, rel=0.05)


def test_what_a_halving_took_comes_back_twice_as_fast() -> None:
    drive = Drive(10)
    for _ in range(3):
        drive.throttle()
        drive.pause(1)
        drive.busy(0.5)
    rate = drive.pace.rate

    assert rate < 10 * 0.9**2 * 0.51
    drive.busy(1)
    before = drive.pace.rate
    assert drive.busy(2) == pytest.approx(math.exp(2 * 2 * 0.1 * before / 160), rel=0.001)


def test_well_beyond_the_rate_of_the_last_429_it_grows_faster_and_faster(learned: Drive) -> None:
    growth = [learned.busy(5) for _ in range(4)]

    assert growth[0] == pytest.approx(math.exp(0.1), rel=0.02)
    assert growth == sorted(growth)
    assert growth[-1] > 2
    assert learned.busy(1) <= math.exp(0.25) + 1e-9


def test_a_429_well_beyond_takes_back_the_growth_of_two_seconds_before_it_cuts(learned: Drive) -> None:
    learned.busy(20)  # fast by now: 25 % a second
    two_seconds = learned.busy(2)
    before = learned.pace.rate
    learned.throttle()

    assert two_seconds == pytest.approx(math.exp(0.5))
    assert learned.pace.rate == pytest.approx(before / two_seconds * 0.9)


def test_a_429_takes_back_no_more_than_was_grown_beyond_the_known_rate(learned: Drive) -> None:
    known = learned.pace.rate / 0.9
    while learned.pace.rate < known * 1.02:
        learned.busy(0.1)
    learned.throttle()

    assert learned.pace.rate == pytest.approx(known * 0.9)


def test_a_429_below_the_known_rate_takes_nothing_back(learned: Drive) -> None:
    learned.busy(2)
    before = learned.pace.rate
    learned.throttle()

    assert learned.pace.rate == pytest.approx(before * 0.9)


def test_a_429_while_nothing_is_known_takes_nothing_back() -> None:
    drive = Drive(1)
    drive.busy(5)
    before = drive.pace.rate
    drive.throttle()

    assert drive.pace.rate == pytest.approx(before * 0.9)


def test_the_429_after_a_growth_that_was_taken_back_only_cuts(learned: Drive) -> None:
    learned.busy(22)
    learned.throttle()
    before = learned.pace.rate
    learned.now += 1
    learned.throttle()

    assert learned.pace.rate == pytest.approx(before * 0.9)


def test_nobody_waiting_nothing_grows(learned: Drive) -> None:
    assert learned.busy(3600, held=0) == 1
    assert Drive(10).busy(3600, held=0) == 1


@pytest.mark.parametrize("held", [0.05, 0.2, 0.3])
def test_who_is_held_back_now_and_then_does_not_make_it_creep_up(learned: Drive, held: float) -> None:
    assert learned.busy(3600, held=held) == 1


@pytest.mark.parametrize("held", [0.5, 0.9])
def test_who_is_held_back_most_of_the_time_makes_it_grow(learned: Drive, held: float) -> None:
    assert learned.busy(10, held=held) > 1.05


def test_after_a_long_idle_time_the_first_wait_brings_no_leap(learned: Drive) -> None:
    learned.now += 86400
    learned.busy(0.3)

    assert learned.pace.rate == pytest.approx(100)


def test_one_long_wait_counts_two_seconds_at_most(learned: Drive) -> None:
    learned.busy(1)
    before = learned.pace.rate
    learned.now += 600
    learned.pace.grow(learned.now, 600)

    assert learned.pace.rate / before <= math.exp(0.04) + 1e-9


@pytest.mark.parametrize(("pause_s", "hold_s"), [(1, 1), (1.5, 1.5), (60, 2)])
def test_after_a_pause_it_holds_as_long_again_and_two_seconds_at_most(
    learned: Drive, pause_s: float, hold_s: float
) -> None:
    learned.pause(pause_s)

    assert learned.busy(hold_s - 0.2) == 1
    assert learned.busy(2) > 1


def test_after_a_pause_it_passes_the_known_rate_slowly_so_that_pauses_stay_rare(learned: Drive) -> None:
    known = learned.pace.rate
    learned.now += 1
    learned.throttle()
    learned.pause(1)
    passed_s = 0.0
    while learned.pace.rate < known:
        learned.busy(0.1)
        passed_s += 0.1

    hold_s, hurry_s, near_s = 1, math.log(0.96 / 0.9) / 0.02, 12  # near: for the last 4 %, twelve times the pause
    assert passed_s == pytest.approx(hold_s + hurry_s + near_s, abs=0.5)


# Bounds


def test_it_never_leaves_floor_and_ceiling() -> None:
    drive = Drive(10, floor=8, ceiling=12)

    drive.busy(60)
    assert drive.pace.rate == 12
    for _ in range(20):
        drive.now += 1
        drive.throttle()
    assert drive.pace.rate == 8
    drive.busy(600)
    assert drive.pace.rate == 12


def test_the_clock_of_another_loop_changes_nothing(learned: Drive) -> None:
    learned.pause(1)
    learned.pace.move(-learned.now)
    learned.now = 0.0

    assert not learned.pace.cut(0.1, -5)
    assert learned.busy(0.9) == 1
    assert learned.busy(2) > 1


STEPS = st.lists(
    st.tuples(st.sampled_from(["busy", "idle", "throttle", "pause"]), st.floats(0.01, 30)), min_size=1, max_size=60
)


@given(start=st.floats(0.5, 1e6), steps=STEPS)
def test_whatever_happens_the_numbers_stay_in_range(start: float, steps: list[tuple[str, float]]) -> None:
    drive = Drive(start, floor=0.5, ceiling=1e6)
    for what, seconds in steps:
        if what == "pause":
            drive.pause(seconds)
            continue
        drive.now += seconds
        if what == "throttle":
            drive.throttle(rtt_s=seconds / 2)
        else:
            drive.pace.grow(drive.now, seconds if what == "busy" else 0.0)

        assert 0.5 <= drive.pace.rate <= 1e6
        assert drive.pace.interval_s == pytest.approx(1 / drive.pace.rate)
        assert 1 <= drive.pace.burst <= 10
