"""Counts, pace and time to go."""

import attrs
import pytest

from spotdx_async.bulk.stats import RunCounts


def test_nothing_is_known_at_the_start() -> None:
    progress = RunCounts(5.0, None).progress(5.0, is_paused=False)

    assert (progress.done, progress.rate, progress.eta_s, progress.total, progress.elapsed_s) == (0, 0, None, None, 0)
    assert set(progress.by_state) == {"ok", "rejected", "failed", "unknown", "superseded", "skipped"}


def test_rows_are_counted_by_state() -> None:
    run_counts = RunCounts(0.0, 10)
    for state in ("ok", "ok", "failed", "skipped"):
        run_counts.by_state[state] += 1

    progress = run_counts.progress(2.0, is_paused=True)

    assert progress.done == sum(progress.by_state.values()) == 4
    assert (progress.by_state["ok"], progress.by_state["failed"], progress.by_state["skipped"]) == (2, 1, 1)
    assert (progress.is_paused, progress.gate_open) == (True, False)
    assert progress.rate == 2
    assert progress.eta_s == 3


def test_the_rate_is_that_of_the_last_ten_seconds() -> None:
    run_counts = RunCounts(0.0, 10_000)
    for second in range(1, 101):
        for _ in range(10 if second > 80 else 1):
            run_counts.by_state["ok"] += 1
        run_counts.progress(float(second), is_paused=False)

    progress = run_counts.progress(100.0, is_paused=False)

    assert progress.rate == pytest.approx(10, rel=0.1)
    assert progress.eta_s == pytest.approx((10_000 - 280) / 10, rel=0.1)


def test_a_record_cannot_be_changed() -> None:
    progress = RunCounts(0.0, None).progress(1.0, is_paused=False)

    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        progress.done = 5  # type: ignore[misc]  # what is tested
    with pytest.raises(TypeError):
        progress.by_state["ok"] = 5  # type: ignore[index]  # what is tested
