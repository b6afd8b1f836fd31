"""Which results are current: those that no newer report of the same object repeats by name."""

from datetime import UTC, datetime
from itertools import permutations

import pytest

from spotdx_async.models import Kit, QuantityResult, Report, Requisition, Result, Sample, UnknownResult
from spotdx_async.tables import Value, result_rows


def report(number: int, *names: str | None, day: int | None = None, is_amendment: bool | None = False) -> Report:
    results: tuple[Result, ...] = tuple(QuantityResult(name=name, result=number) for name in names)
    resulted = None if day is None else datetime(2024, 1, day, tzinfo=UTC)
    return Report(report_id=str(number), results=results, date_resulted=resulted, is_amendment=is_amendment)


def current(*reports: Report | None) -> list[tuple[Value, Value]]:
    return told(result_rows(Kit(kit_id="SPOT1", sample=Sample(reports=reports))))


def told(rows: list[dict[str, Value]]) -> list[tuple[Value, Value]]:
    return [(row["report_id"], row["name"]) for row in rows if row["is_current"]]


def test_the_only_report_is_current_even_where_it_repeats_a_name() -> None:
    assert current(report(1, "HDL", "HDL")) == [("1", "HDL"), ("1", "HDL")]
    assert current(None, report(1, "HDL"), None) == [("1", "HDL")]


@pytest.mark.parametrize(
    ("older", "newer"),
    [
        (report(1, "HDL", day=1), report(2, "HDL", day=2)),
        (report(1, "HDL", day=1, is_amendment=True), report(2, "HDL", day=2)),
        (report(1, "HDL", day=1), report(2, "HDL", day=1, is_amendment=True)),
        (report(1, "HDL", day=1), report(2, "HDL", is_amendment=True)),
        (report(1, "HDL"), report(2, "HDL", day=1)),
        (report(1, "HDL", is_amendment=None), report(2, "HDL", is_amendment=True)),
    ],
    ids=["later", "later than an amendment", "amendment", "amendment without a date", "with a date", "without dates"],
)
def test_the_newest_report_is_current_wherever_it_stands(older: Report, newer: Report) -> None:
    assert current(older, newer) == current(newer, older) == [("2", "HDL")]


def test_of_reports_of_one_age_the_last_is_current() -> None:
    assert current(report(1, "HDL", day=1), report(2, "HDL", day=1)) == [("2", "HDL")]
    assert current(report(1, "HDL"), None, report(2, "HDL")) == [("2", "HDL")]


def test_a_result_that_no_newer_report_repeats_stays_current() -> None:
    reports = (report(1, "HDL", "LDL", day=1), report(2, "HDL", day=2), report(3, "TSH", day=3))

    for order in permutations(reports):
        assert sorted(current(*order), key=str) == [("1", "LDL"), ("2", "HDL"), ("3", "TSH")]


def test_results_without_a_name_replace_nothing() -> None:
    unnamed = Report(report_id="3", results=(UnknownResult(name={"of": 1}),))

    assert current(report(1, None, day=1), report(2, None, day=2), unnamed) == [("1", None), ("2", None), ("3", None)]


def test_reports_of_a_requisition_follow_the_same_rule() -> None:
    requisition = Requisition(reports=(report(1, "HDL", day=1), report(2, "HDL", day=2)))

    assert told(result_rows(requisition)) == [("2", "HDL")]
