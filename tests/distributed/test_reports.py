"""Reports: the sum does not depend on the order, and every row is counted once."""

import pickle
import random
from typing import get_args

from hypothesis import given
from hypothesis import strategies as st

from spotdx_async.bulk.records import State
from spotdx_async.distributed import RowTrouble, RunReport, Shard, ShardReport, merge
from spotdx_async.distributed.shard import mark_of, unread

STATES: tuple[State, ...] = get_args(State)


def report_of(number: int, ok: int, failed: int) -> ShardReport:
    counts = {**dict.fromkeys(STATES, 0), "ok": ok, "failed": failed}
    troubles = tuple(RowTrouble(number + 100 * n, "failed", "no") for n in range(min(failed, 20)))
    return ShardReport(shard=number, counts=counts, attempts=ok + failed, elapsed_s=number / 7, troubles=troubles)


@given(sizes=st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50)), max_size=8), seed=st.integers(0, 99))
def test_the_sum_is_the_same_in_any_order(sizes: list[tuple[int, int]], seed: int) -> None:
    reports = [report_of(number, ok, failed) for number, (ok, failed) in enumerate(sizes)]
    other = [*reports]
    random.Random(seed).shuffle(other)

    assert merge(reports) == merge(other)
    assert merge(reports).rows == sum(map(sum, sizes))
    assert len(merge(reports).troubles) <= 20


def test_a_report_can_be_pickled_and_shows_no_indexes() -> None:
    report = ShardReport(shard=1, counts=dict.fromkeys(STATES, 1), undone=(70_001,))

    assert pickle.loads(pickle.dumps(report)) == report
    assert "70001" not in repr(report)


def test_a_run_is_done_only_when_every_row_is() -> None:
    assert RunReport().is_done
    assert merge([report_of(0, 5, 0)]).is_done
    assert not merge([report_of(0, 5, 1)]).is_done
    before = ShardReport(shard=1, counts={**dict.fromkeys(STATES, 0), "skipped": 3}, done_before=3)
    assert merge([before]).is_done


def test_a_shard_of_which_nothing_is_known_is_reported_whole() -> None:
    text = b'7\t["A",{}]\n9\t["B",{}]\n'
    shard = Shard(number=3, count=2, rows=text, mark=mark_of(text))

    lost = unread(shard, "its worker was lost", state="unknown")
    left = unread(shard, "the run was stopped")

    assert (lost.counts["unknown"], lost.undone, len(lost.troubles)) == (2, (7, 9), 2)
    assert (left.counts["skipped"], left.undone, left.troubles) == (2, (7, 9), ())
    run = merge([lost, left])
    assert (run.rows, run.unfinished, run.stopped) == (4, [3, 3], "its worker was lost")
