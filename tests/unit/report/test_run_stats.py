"""What the statistics of a run keep, and what they must not."""

import tracemalloc
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spotdx_async.bulk.records import STATES, Outcome, Progress
from spotdx_async.errors import (
    BadRequestError,
    DecodeError,
    InvalidInputError,
    NotSentError,
    OutcomeUnknownError,
    SpotError,
)
from spotdx_async.report import RunStory
from spotdx_async.report.run_stats import MOST_PERIODS, MOST_SHOWN, Period, Reason


def ok_row(**about: Any) -> Outcome[None]:
    return Outcome(index=0, key="SPOT1", state="ok", **about)


def note(run_stats: RunStory, now_s: float, *, throttled: int = 0, is_paused: bool = False) -> None:
    progress = Progress(
        done=0,
        by_state={},
        rate=0,
        eta_s=None,
        throttled=throttled,
        is_paused=is_paused,
        elapsed_s=now_s,
        total=None,
    )
    run_stats.note(progress, now_s)


def reasons_of(*errors: SpotError) -> list[tuple[Reason, int]]:
    run_stats = RunStory({}, 0.0)
    for error in errors:
        run_stats.add(Outcome(index=0, key=None, state="failed", error=error), 0.0)
    return run_stats.reasons.groups()


@given(st.lists(st.sampled_from(STATES)))
def test_every_outcome_is_counted_once(states: list[Any]) -> None:
    run_stats = RunStory({}, 0.0)
    for place, state in enumerate(states):
        run_stats.add(Outcome(index=place, key=None, state=state, attempts=2), float(place))

    assert run_stats.counts == {state: states.count(state) for state in STATES}
    assert run_stats.rows == len(states)
    assert run_stats.attempts == 2 * len(states)
    spans = run_stats.timeline.spans(float(len(states)))
    assert sum(span.ok for span in spans) == states.count("ok")
    assert sum(span.before for span in spans) == run_stats.done_before
    assert sum(span.rows for span in spans) == len(states)


def test_only_ok_rows_that_were_measured_are_timed() -> None:
    run_stats = RunStory({}, 0.0)
    run_stats.add(ok_row(request_s=0.2, elapsed_s=0.5), 1.0)
    run_stats.add(ok_row(), 1.0)
    run_stats.add(Outcome(index=0, key=None, state="failed", request_s=9.0, elapsed_s=9.0), 1.0)

    assert (run_stats.server_times.count, run_stats.server_times.max_s) == (1, 0.2)
    assert (run_stats.row_times.count, run_stats.row_times.max_s) == (1, 0.5)


def test_429s_are_counted_when_they_are_reported() -> None:
    run_stats = RunStory({}, 100.0)
    note(run_stats, 101.0, throttled=3)
    note(run_stats, 102.0, throttled=3)
    note(run_stats, 110.0, throttled=10)
    run_stats.finish(111.0)

    told = {span.start_s: span.throttled for span in run_stats.timeline.spans(run_stats.elapsed_s) if span.throttled}
    assert told == {1.0: 3, 10.0: 7}
    assert run_stats.throttled == 10


def test_retries_are_counted_when_their_row_has_its_outcome() -> None:
    run_stats = RunStory({}, 0.0)
    run_stats.add(ok_row(attempts=1), 1.0)
    run_stats.add(ok_row(attempts=3), 2.0)
    run_stats.add(Outcome(index=0, key=None, state="rejected"), 3.0)
    run_stats.finish(4.0)

    assert {span.start_s: span.retries for span in run_stats.timeline.spans(4.0) if span.retries} == {2.0: 2}


def test_an_outage_lasts_from_the_pause_to_its_end_or_the_runs() -> None:
    run_stats = RunStory({}, 100.0)
    for now_s, is_paused in ((101, False), (102, True), (103, True), (105, False), (120, True)):
        note(run_stats, now_s, is_paused=is_paused)
    run_stats.finish(130.0, "a reason")

    assert run_stats.outages.periods == [Period(2.0, 5.0), Period(20.0, 30.0)]
    assert (run_stats.outages.count, run_stats.outages.total_s) == (2, 13.0)
    assert (run_stats.elapsed_s, run_stats.stopped) == (30.0, "a reason")


def test_of_very_many_outages_the_closest_are_joined() -> None:
    run_stats = RunStory({}, 0.0)
    for n in range(3 * MOST_PERIODS):
        note(run_stats, 10.0 * n, is_paused=True)
        note(run_stats, 10.0 * n + 2, is_paused=False)

    assert len(run_stats.outages.periods) == MOST_PERIODS
    assert run_stats.outages.periods == sorted(run_stats.outages.periods, key=lambda period: period.start_s)
    assert (run_stats.outages.count, run_stats.outages.total_s) == (3 * MOST_PERIODS, 6.0 * MOST_PERIODS)


def test_an_unfinished_run_is_about_as_long_as_its_last_record() -> None:
    run_stats = RunStory({}, 0.0)
    run_stats.add(ok_row(), 59.0)

    assert run_stats.elapsed_s == pytest.approx(59.0, abs=0.2)


def test_rows_with_the_same_reason_are_one_group() -> None:
    assert reasons_of(
        BadRequestError("the server answered 400", status=400, details=("Anna",)),
        BadRequestError("the server answered 400", status=400, details=("Berta",)),
        OutcomeUnknownError("no answer", reason="timeout", attempts=3, elapsed_s=1.5),
        OutcomeUnknownError("no answer", reason="timeout", attempts=4, elapsed_s=9.5),
        NotSentError("no route", reason="connect"),
    ) == [
        (Reason("failed", "BadRequestError", 400, None, "the server answered 400"), 2),
        (Reason("failed", "OutcomeUnknownError", None, "timeout", "no answer"), 2),
        (Reason("failed", "NotSentError", None, "connect", "no route"), 1),
    ]


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (InvalidInputError("row 17 (line 18): the row has 3 cells"), "row N (line N): the row has N cells"),
        (InvalidInputError("metadata.anna has a key"), "metadata.… has a key"),
        (InvalidInputError("metadata.a[…][3] is NaN"), "metadata.… is NaN"),
        (InvalidInputError("metadata.long_name… is NaN"), "metadata.… is NaN"),
        (InvalidInputError("metadata must be a mapping"), "metadata must be a mapping"),
        (DecodeError("sample.reports[12] should be a text"), "sample.reports[N] should be a text"),
        (NotSentError("outage_limit_s (600 s)"), "outage_limit_s (600 s)"),
        (NotSentError("x" * 999), "x" * 300 + "…"),
        (NotSentError(), ""),
    ],
)
def test_a_message_is_shown_without_what_differs_or_may_name_someone(error: SpotError, text: str) -> None:
    ((reason, _),) = reasons_of(error)

    assert reason.text == text


def test_rare_reasons_beyond_fifty_are_counted_together_and_none_is_lost() -> None:
    errors = [NotSentError(f"reason {n}") for n in range(2000) for _ in range(1 + (n == 400))]

    groups = reasons_of(*errors)

    assert groups[0] == (Reason("failed", "NotSentError", None, "connect", "reason 400"), 2)
    assert len(groups) == MOST_SHOWN + 1
    assert groups[-1] == (Reason("failed"), 2001 - MOST_SHOWN - 1)


@pytest.mark.parametrize("rows", [20_000])
def test_memory_does_not_grow_with_the_rows(rows: int) -> None:
    run_stats = RunStory({}, 0.0)
    tracemalloc.start()
    try:
        for n in range(rows):
            run_stats.add(ok_row(elapsed_s=0.1 + n % 100, request_s=0.01 + n % 50 / 10), n / 10)
            run_stats.add(Outcome(index=n, key=str(n), state="failed", error=NotSentError(f"reason {n}")), n / 10)
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert held < 4_000_000
