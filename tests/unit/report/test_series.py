"""Counts that never change and percentiles that are right, however durations and moments lie."""

import math
from itertools import accumulate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spotdx_async.report.series import MOST_SPANS, NO_CELL, Histogram, Timeline

durations = st.floats(min_value=1e-5, max_value=3e5)
moments = st.lists(st.floats(min_value=0, max_value=1e7), min_size=1, max_size=60)


def nearest_rank(values: list[float], percent: float) -> float:
    rank = max(1, math.ceil(len(values) * percent / 100))
    return sorted(values)[rank - 1]


@given(st.lists(durations, min_size=1), st.sampled_from([1, 50, 90, 95, 99, 100]))
def test_a_percentile_is_right_to_one_percent(values: list[float], percent: int) -> None:
    histogram = Histogram()
    for value in values:
        histogram.add(value)

    assert histogram.percentile(percent) == pytest.approx(nearest_rank(values, percent), rel=0.01)
    assert (histogram.count, histogram.max_s) == (len(values), max(values))


def test_a_duration_out_of_all_bounds_is_counted_at_the_edge() -> None:
    histogram = Histogram()

    cells = [histogram.add(value) for value in (1e-9, 1e9, 0.0, -1.0)]

    assert cells[2:] == [NO_CELL, NO_CELL]
    assert histogram.count == 2
    assert histogram.percentile(50) == pytest.approx(1e-5, rel=0.01)


def test_without_durations_there_is_no_percentile() -> None:
    assert Histogram().percentile(50) is None
    timeline = Timeline(0.0)
    timeline.add(0.0, is_ok=False)
    assert timeline.spans(0.1)[0].p50_s is None


@given(st.lists(durations, min_size=1), st.lists(durations, min_size=2, max_size=40, unique=True).map(sorted))
def test_each_duration_is_in_one_bin(values: list[float], edges: list[float]) -> None:
    histogram = Histogram()
    for value in values:
        histogram.add(value)

    counts = histogram.bins(edges)

    assert sum(counts) == len(values)
    assert min(counts) >= 0
    assert histogram.min_s == pytest.approx(min(values), rel=0.021)
    # An edge is right to one cell, 2 %.
    for edge, up_to in zip(edges[1:-1], accumulate(counts), strict=False):
        assert sum(value < edge / 1.021 for value in values) <= up_to <= sum(value < edge * 1.021 for value in values)


def test_a_cell_that_an_edge_divides_is_shared_out() -> None:
    histogram = Histogram()
    for n in range(1000):
        histogram.add(0.1 + n / 10_000)

    counts = histogram.bins([0.1 + n / 200 for n in range(21)])

    assert sum(counts) == 1000
    assert max(counts) - min(counts) <= 12


def test_without_durations_bins_are_empty() -> None:
    assert Histogram().min_s == 0.0
    assert Histogram().bins([0.0, 1.0, 2.0]) == [0, 0]


@given(moments, st.integers(min_value=1, max_value=MOST_SPANS))
def test_totals_never_change_when_spans_are_joined(at: list[float], most: int) -> None:
    timeline, histogram = Timeline(1000.0), Histogram()
    for place, now_s in enumerate(at):
        timeline.add(1000.0 + now_s, is_ok=place % 3 > 0, cell=histogram.add(0.1))
        timeline.add_throttled(1000.0 + now_s, place)
        timeline.add_retries(1000.0 + now_s, 2 * place)

    spans = timeline.spans(max(at), most)

    assert len(spans) <= most
    assert sum(span.other for span in spans) == len(range(0, len(at), 3))
    assert sum(span.ok + span.other for span in spans) == len(at)
    assert sum(span.throttled for span in spans) == sum(range(len(at)))
    assert sum(span.retries for span in spans) == 2 * sum(range(len(at)))
    assert all((span.p50_s is not None) == (span.ok > 0) for span in spans)
    assert [span.p95_s for span in spans if span.ok] == pytest.approx(
        [0.1] * sum(span.ok > 0 for span in spans), rel=0.04
    )


def test_429s_and_retries_that_make_the_spans_wider_are_kept() -> None:
    timeline = Timeline(0.0)
    timeline.add(74.9, is_ok=True)
    timeline.add_throttled(75.0, 3)
    timeline.add_retries(150.0, 5)

    spans = timeline.spans(150.0)

    assert timeline.width_s == 0.5
    assert {span.start_s: span.throttled for span in spans if span.throttled} == {75.0: 3}
    assert {span.start_s: span.retries for span in spans if span.retries} == {150.0: 5}


@given(moments)
def test_each_row_is_in_the_span_of_its_moment(at: list[float]) -> None:
    timeline = Timeline(0.0)
    for now_s in at:
        timeline.add(now_s, is_ok=True)

    spans = timeline.spans(timeline.length_s)

    for span in spans:
        assert span.ok == sum(span.start_s <= now_s < span.start_s + span.width_s for now_s in at)


def test_a_clock_that_goes_back_counts_as_the_start() -> None:
    timeline = Timeline(100.0)

    timeline.add(90.0, is_ok=True)

    assert [span.ok for span in timeline.spans(1.0)] == [1, 0, 0, 0, 0, 0, 0, 0, 0]


def test_a_run_over_days_keeps_to_few_spans() -> None:
    timeline = Timeline(0.0)
    for hour in range(24 * 30):
        timeline.add(hour * 3600.0, is_ok=True)

    assert timeline.length_s <= MOST_SPANS * timeline.width_s
    assert timeline.width_s < 2 * 24 * 30 * 3600 / MOST_SPANS * 2


def test_a_coarse_percentile_is_right_to_four_percent() -> None:
    timeline, histogram = Timeline(0.0), Histogram()
    values = [0.01 * 1.01**n for n in range(500)]
    for value in values:
        timeline.add(0.0, is_ok=True, cell=histogram.add(value))

    (span,) = timeline.spans(0.1)

    assert span.p50_s == pytest.approx(nearest_rank(values, 50), rel=0.042)
    assert span.p95_s == pytest.approx(nearest_rank(values, 95), rel=0.042)
