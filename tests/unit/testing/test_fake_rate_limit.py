import pytest
from hypothesis import given
from hypothesis import strategies as st

from spotdx_async.testing.rate_limit import Bucket


def test_a_full_bucket_gives_its_burst_and_then_says_when_to_come_back() -> None:
    bucket = Bucket(0.5, burst=3)

    assert [bucket.take(0.0) for _ in range(5)] == [0, 0, 0, 2, 2]


def test_the_wait_that_it_names_is_enough() -> None:
    bucket = Bucket(0.3, burst=1)
    bucket.take(10.0)

    wait_s = bucket.take(10.5)

    assert wait_s == 3
    assert bucket.take(10.5 + wait_s) == 0


def test_less_than_a_second_is_rounded_up_to_one() -> None:
    bucket = Bucket(100, burst=1)
    bucket.take(0.0)

    assert bucket.take(0.0) == 1


def test_the_burst_is_one_seconds_worth_where_it_is_not_given() -> None:
    assert Bucket(7.9).burst == 7
    assert Bucket(0.2).burst == 1


def test_a_long_pause_does_not_fill_it_over_the_brim() -> None:
    bucket = Bucket(10, burst=2)
    bucket.take(0.0)

    assert [bucket.take(1000.0) == 0 for _ in range(3)] == [True, True, False]


@given(
    rate=st.integers(1, 500),
    burst=st.integers(1, 20),
    gaps=st.lists(st.floats(0, 0.2), min_size=1, max_size=200),
)
def test_no_window_holds_more_than_rate_times_its_length_and_the_burst(
    rate: int, burst: int, gaps: list[float]
) -> None:
    bucket, now_s, granted = Bucket(rate, burst), 0.0, []
    for gap in gaps:
        now_s += gap
        if bucket.take(now_s) == 0:
            granted.append(now_s)

    for first, start in enumerate(granted):
        for count, end in enumerate(granted[first:], start=1):
            assert count <= (end - start) * rate + burst + 1e-6


@pytest.mark.parametrize("rate", [0, -1, float("nan"), float("inf")])
def test_a_rate_that_is_none_is_refused(rate: float) -> None:
    with pytest.raises(ValueError, match="above 0"):
        Bucket(rate)


def test_a_burst_below_one_is_refused() -> None:
    with pytest.raises(ValueError, match="burst must be 1 or more"):
        Bucket(1, burst=0)
