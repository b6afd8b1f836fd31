"""Ticks are round and inside their axis, and no value makes a scale fail or show NaN."""

import math

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from spotdx_async.report.scales import bins, linear, logarithmic, time_unit

amounts = st.floats(min_value=0, max_value=1e200, allow_nan=False)
durations = st.floats(min_value=1e-5, max_value=1e6)


def is_round(value: float, factors: tuple[float, ...] = (1, 2, 5)) -> bool:
    scaled = value / 10 ** math.floor(math.log10(value) + 1e-9)
    return any(math.isclose(scaled, factor, rel_tol=1e-6) for factor in (*factors, 10))


@given(amounts, st.integers(1, 20))
@example(0.0, 5)
@example(5e-324, 5)
@example(1.0, 1)
def test_a_linear_scale_has_few_round_ticks_and_holds_its_values(high: float, most: int) -> None:
    scale = linear(high, most)

    steps = [after - before for before, after in zip(scale.ticks, scale.ticks[1:], strict=False)]
    assert scale.low == scale.ticks[0] == 0
    assert scale.high == scale.ticks[-1] >= high * (1 - 1e-6)
    assert 1 <= len(steps) <= most + 1
    assert steps == pytest.approx([steps[0]] * len(steps))
    assert is_round(steps[0])
    assert scale.share(0) == 0
    assert 0 <= scale.share(high) <= 1


@pytest.mark.parametrize(
    ("high", "most", "ticks"),
    [
        (0, 4, (0, 0.5, 1)),
        (1, 4, (0, 0.5, 1)),
        (7, 4, (0, 2, 4, 6, 8)),
        (0.3, 3, (0, 0.1, 0.2, 0.3)),
        (99, 5, (0, 20, 40, 60, 80, 100)),
        (1_234_567, 4, (0, 500_000, 1_000_000, 1_500_000)),
    ],
)
def test_ticks_are_what_a_person_would_write(high: float, most: int, ticks: tuple[float, ...]) -> None:
    assert linear(high, most).ticks == ticks


def test_counts_have_no_ticks_between_whole_numbers() -> None:
    assert linear(1, 5, least_step=1).ticks == (0, 1)
    assert linear(0, 5, least_step=1).ticks == (0, 1)


def test_an_axis_may_end_where_its_values_do() -> None:
    scale = linear(133.0, 7, is_rounded=False)

    assert scale.high == 133.0
    assert [*scale.ticks] == [0, 20, 40, 60, 80, 100, 120]
    assert scale.share(133.0) == 1


def test_an_axis_may_begin_above_zero() -> None:
    scale = linear(0.106, 8, low=0.092)

    assert scale.low == 0.092
    assert scale.ticks == (0.092, 0.094, 0.096, 0.098, 0.1, 0.102, 0.104, 0.106)


def test_equal_values_have_an_axis_all_the_same() -> None:
    scale = linear(1e12, 5, low=1e12)

    assert scale.high > scale.low
    assert math.isfinite(scale.share(1e12))


@pytest.mark.parametrize("bound", [math.nan, math.inf, -math.inf])
def test_a_bound_that_is_not_finite_is_refused(bound: float) -> None:
    with pytest.raises(ValueError, match="finite"):
        linear(bound, 5)
    with pytest.raises(ValueError, match="finite"):
        bins(0.1, bound)


@given(durations, durations, st.integers(2, 12))
def test_a_logarithmic_scale_holds_its_values_between_round_ends(one: float, other: float, most: int) -> None:
    low, high = sorted((one, other))

    scale = logarithmic(low, high, most)

    assert scale.low <= low * (1 + 1e-6)
    assert scale.high >= high * (1 - 1e-6)
    assert is_round(scale.low)
    assert is_round(scale.high)
    assert all(is_round(tick) for tick in scale.ticks)
    assert len(scale.ticks) <= most
    shares = [scale.share(value) for value in (low, high)]
    assert 0 <= shares[0] <= shares[1] <= 1


def test_a_logarithmic_scale_goes_by_multiples() -> None:
    scale = logarithmic(1, 100, 8)

    assert [*scale.ticks] == [1, 2, 5, 10, 20, 50, 100]
    assert [scale.share(value) for value in (0, 1, 10, 100, 1000)] == [0, 0, 0.5, 1, 1]
    assert logarithmic(1, 1e6, 8).ticks == (1, 10, 100, 1e3, 1e4, 1e5, 1e6)


@pytest.mark.parametrize("low", [0, -1, math.nan])
def test_multiples_of_nothing_are_refused(low: float) -> None:
    with pytest.raises(ValueError, match="0 < low"):
        logarithmic(low, 1, 5)
    with pytest.raises(ValueError, match="0 < low"):
        bins(low, 1)


@given(durations, durations)
@example(0.1, 0.1)
@example(1e-5, 1e6)
def test_bins_have_round_edges_and_hold_their_values(one: float, other: float) -> None:
    low, high = sorted((one, other))

    edges = bins(low, high)

    widths = [after - before for before, after in zip(edges.ticks, edges.ticks[1:], strict=False)]
    assert edges.low <= low * (1 + 1e-6)
    assert edges.high >= high * (1 - 1e-6)
    assert 6 <= len(widths) <= 52
    assert min(widths) > 0
    if edges.is_log:
        assert all(is_round(edge, (1, 1.25, 1.6, 2, 2.5, 3.2, 4, 5, 6.3, 8)) for edge in edges.ticks)
    else:
        assert widths == pytest.approx([widths[0]] * len(widths))
        assert is_round(widths[0])


def test_bins_of_one_value_stand_around_it() -> None:
    assert bins(0.1, 0.1).ticks == (0.094, 0.096, 0.098, 0.1, 0.102, 0.104, 0.106)


def test_another_unit_moves_no_share() -> None:
    scale = linear(10, 5)

    assert scale.times(60).ticks == (0, 120, 240, 360, 480, 600)
    assert scale.times(60).share(300) == scale.share(5)


@pytest.mark.parametrize(("elapsed_s", "unit"), [(0, "seconds"), (100, "seconds"), (1000, "minutes"), (1e5, "hours")])
def test_the_time_has_a_unit_that_suits_the_run(elapsed_s: float, unit: str) -> None:
    assert time_unit(elapsed_s)[0] == unit
