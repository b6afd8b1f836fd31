"""The results of a run: every row counted, the first failures kept, undone rows written to a file; sets of rows."""

import errno
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spotdx_async import AuthenticationError, NotFoundError, NotSentError, Outcome, ServerError, SpotError
from spotdx_async.bulk.records import STATES, State
from spotdx_async.cli.row_results import InputRow, RowResults, RowSet, Span
from spotdx_async.files import BadRow, FailedRows, Row, open_rows


def outcome(state: State, error: SpotError | None = None) -> Outcome[Any]:
    if state == "skipped" and error is None:
        error = NotSentError("the run stopped before this row")
    return Outcome(index=0, key=None, state=state, error=error)


def input_row(number: int, source: bytes | None = b"SPOT1,x\n") -> InputRow:
    return InputRow("kits.csv", 0, BadRow(number, number + 1, "no reason", source))


def test_every_row_is_counted_and_only_real_failures_as_such() -> None:
    row_results = RowResults()
    for number, state in enumerate([*STATES, "ok"], start=1):
        row_results.record(input_row(number), outcome(state))
    assert row_results.rows == 7
    assert row_results.failures == 3
    assert row_results.counts["ok"] == 2
    assert row_results.bytes_done == 7 * 8


def test_the_states_are_those_that_are_promised() -> None:
    assert STATES == ("ok", "rejected", "failed", "unknown", "superseded", "skipped")


def test_only_the_first_reasons_are_kept() -> None:
    row_results = RowResults()
    for number in range(1, 1001):
        row_results.record(input_row(number), outcome("failed", NotFoundError(f"no {number}", attempts=number)))
    assert row_results.failures == 1000
    assert len(row_results.first_failures) == 20
    assert [group.reason for group in row_results.first_failures[:2]] == ["no 1", "no 2 (2 attempts)"]


def test_rows_of_one_reason_are_one_group_that_shows_the_topmost() -> None:
    row_results = RowResults()
    for number in (5, 3, *range(6, 23)):
        row_results.record(
            input_row(number), outcome("failed", AuthenticationError("401", status=401, attempts=number))
        )
    (group,) = row_results.first_failures
    assert (group.row.row.number, group.reason, group.others) == (3, "401 (3 attempts)", 18)
    assert group.positions == [(0, number) for number in range(5, 16) if number not in {4, 15}]


@pytest.mark.parametrize(
    ("state", "error"),
    [
        ("unknown", ServerError("the server answered", status=500)),
        ("failed", ServerError("the server answered", status=503)),
        ("failed", NotFoundError("the server answered", status=500)),
        ("failed", ServerError("it answered", status=500)),
    ],
)
def test_another_state_class_status_or_message_is_another_reason(state: State, error: SpotError) -> None:
    row_results = RowResults()
    row_results.record(input_row(1), outcome("failed", ServerError("the server answered", status=500)))
    row_results.record(input_row(2), outcome(state, error))
    assert [group.others for group in row_results.first_failures] == [0, 0]


def test_a_reason_without_words_is_named_by_its_kind() -> None:
    row_results = RowResults()
    row_results.record(input_row(1), outcome("failed", SpotError()))
    row_results.record(input_row(2), outcome("failed", NotFoundError()))
    row_results.record(input_row(3), outcome("failed"))
    row_results.record(input_row(4), outcome("failed"))
    assert row_results.first_failures[2].reason == "no reason is known"
    assert row_results.first_failures[2].others == 1
    assert [group.reason for group in row_results.first_failures[:2]] == ["SpotError", "NotFoundError"]


def test_the_topmost_row_that_is_left_is_remembered() -> None:
    row_results = RowResults()
    states: dict[int, State] = {5: "skipped", 3: "skipped", 1: "ok", 2: "failed", 4: "skipped"}
    for number, state in states.items():
        row_results.record(input_row(number), outcome(state))
    assert row_results.left.first == ("kits.csv", 2)
    assert row_results.unsent == 3
    assert [group.row.row.number for group in row_results.first_failures] == [2]


def test_rows_that_are_not_done_are_handed_on_as_they_came(tmp_path: Path) -> None:
    row_results = RowResults(FailedRows(tmp_path / "failed"))
    for number, state in enumerate(STATES):
        row_results.record(input_row(number, f"{state}\n".encode()), outcome(state))
    row_results.close()
    assert (tmp_path / "failed").read_bytes() == b"rejected\nfailed\nunknown\nskipped\n"
    assert len(row_results.unwritten) == 0


def test_a_row_too_long_to_be_kept_is_said_to_be_missing(tmp_path: Path) -> None:
    row_results = RowResults(FailedRows(tmp_path / "failed"))
    row_results.record(input_row(7, None), outcome("rejected"))
    row_results.record(input_row(8), outcome("rejected"))
    assert [span.text for span in row_results.unwritten.spans()] == ["row 7"]
    assert row_results.disk_error is None
    row_results.close()
    assert (tmp_path / "failed").read_bytes() == b"SPOT1,x\n"


def test_after_a_full_disk_nothing_is_lost_from_the_account(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    failed = FailedRows(tmp_path / "failed")
    row_results = RowResults(failed)
    row_results.record(input_row(1), outcome("failed"))

    def full(_source: bytes) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(failed, "write", full)
    for number in (2, 3):
        row_results.record(input_row(number), outcome("failed"))
    row_results.close()
    assert row_results.disk_error is not None
    assert [span.text for span in row_results.unwritten.spans()] == ["rows 2-3"]
    assert row_results.left.first == ("kits.csv", 1)
    assert row_results.failures == 3


def test_a_file_that_cannot_be_finished_is_not_trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    failed = FailedRows(tmp_path / "failed")
    row_results = RowResults(failed)

    def broken() -> None:
        raise OSError(errno.EIO, "Input/output error")

    for number in (9, 4, 5):
        row_results.record(input_row(number), outcome("failed"))
    monkeypatch.setattr(failed, "close", broken)
    row_results.close()
    assert row_results.disk_error is not None
    assert [span.text for span in row_results.unwritten.spans()] == ["rows 4-5", "row 9"]
    assert row_results.left.first == ("kits.csv", 4)
    assert RowResults().left.first is None
    RowResults().close()


def row(number: int, key: str | None) -> InputRow:
    text = f"{key},{number}\n".encode()
    if key is None:
        return InputRow("kits.csv", 0, BadRow(number, number + 1, "no reason", text))
    return InputRow("kits.csv", 0, Row(number, number + 1, key, {}, text))


def test_a_row_that_a_later_done_row_of_its_id_has_overtaken_is_in_no_file_and_not_left(tmp_path: Path) -> None:
    row_results = RowResults(FailedRows(tmp_path / "failed", preamble=b"kit_id,n\n"))
    row_results.record(row(1, "A"), outcome("failed"))
    row_results.record(row(2, "B"), outcome("unknown"))
    row_results.record(row(4, "A"), outcome("rejected"))
    row_results.record(row(3, "A"), outcome("ok"))
    row_results.record(row(5, "B"), outcome("superseded"))
    row_results.close()
    assert (tmp_path / "failed").read_bytes() == b"kit_id,n\nA,4\n"
    assert [span.text for span in row_results.overtaken.spans()] == ["rows 1-2"]
    assert row_results.left.first == ("kits.csv", 4)
    assert row_results.failures == 3


def test_failed_rows_stand_in_the_order_of_the_input_and_two_of_an_id_stay(tmp_path: Path) -> None:
    row_results = RowResults(FailedRows(tmp_path / "failed", preamble=b"kit_id,n"))
    row_results.record(row(4, "A"), outcome("rejected"))
    row_results.record(row(3, None), outcome("rejected"))
    row_results.record(row(1, "A"), outcome("failed"))
    row_results.record(row(2, "B"), outcome("ok"))
    row_results.close()
    assert (tmp_path / "failed").read_bytes() == b"kit_id,n\nA,1\nNone,3\nA,4\n"
    assert not row_results.overtaken


def test_where_all_rows_are_overtaken_there_is_no_file(tmp_path: Path) -> None:
    row_results = RowResults(FailedRows(tmp_path / "failed", preamble=b"kit_id,n\n"))
    row_results.record(row(1, "A"), outcome("failed"))
    row_results.record(row(2, "A"), outcome("ok"))
    row_results.close()
    assert not (tmp_path / "failed").exists()
    assert row_results.failed is not None
    assert row_results.failed.count == 0


def test_a_row_is_out_of_the_file_as_soon_as_it_is_overtaken(tmp_path: Path) -> None:
    row_results = RowResults(FailedRows(tmp_path / "failed.csv", preamble=b"kit_id,n\n"))
    for number, key in enumerate("ABC", start=1):
        row_results.record(row(number, key), outcome("failed"))
    row_results.record(row(4, "B"), outcome("ok"))
    row_results.record(row(5, "D"), outcome("failed"))
    with open_rows(tmp_path / "failed.csv.part") as file:  # as a killed run leaves it
        assert [found.key for found in file] == ["A", "C", "D"]


def test_a_full_disk_names_no_row_that_is_overtaken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    failed = FailedRows(tmp_path / "failed")

    def full(_source: bytes) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(failed, "write", full)
    row_results = RowResults(failed)
    row_results.record(row(1, "A"), outcome("failed"))
    row_results.record(row(2, "B"), outcome("failed"))
    row_results.record(row(3, "A"), outcome("ok"))
    row_results.close()
    assert [span.text for span in row_results.unwritten.spans()] == ["row 2"]
    assert [span.text for span in row_results.overtaken.spans()] == ["row 1"]


@pytest.mark.parametrize("is_in_order", [True, False])
def test_a_file_that_cannot_be_made_anew_is_trusted_where_its_order_does_no_harm(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_in_order: bool
) -> None:
    failed = FailedRows(tmp_path / "failed.csv", preamble=b"kit_id,n\n")

    def full(_rows: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(failed, "arrange", full)
    row_results = RowResults(failed)
    rows = [row(1, "A"), row(2, "B"), row(3, "A")]
    for each in rows if is_in_order else reversed(rows):
        row_results.record(each, outcome("failed"))
    row_results.record(row(4, "B"), outcome("ok"))
    row_results.close()
    named = [span.text for span in row_results.unwritten.spans()]
    assert (row_results.disk_error is None, named) == ((True, []) if is_in_order else (False, ["row 1", "row 3"]))
    assert failed.place == tmp_path / ("failed.csv" if is_in_order else "failed.csv.part")
    with open_rows(failed.place) as file:
        assert sorted(found.source or b"" for found in file) == [b"A,1\n", b"A,3\n"]


def test_a_row_that_cannot_be_taken_out_of_the_file_is_none_to_trust(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    failed = FailedRows(tmp_path / "failed.csv", preamble=b"kit_id,n\n")

    def broken(_row: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(failed, "drop", broken)
    monkeypatch.setattr(failed, "arrange", broken)
    row_results = RowResults(failed)
    row_results.record(row(1, "A"), outcome("failed"))
    row_results.record(row(2, "B"), outcome("failed"))
    row_results.record(row(3, "A"), outcome("ok"))
    row_results.close()
    assert row_results.disk_error is not None
    assert [span.text for span in row_results.unwritten.spans()] == ["row 2"]


def test_rows_of_two_files_keep_apart(tmp_path: Path) -> None:
    row_results = RowResults(FailedRows(tmp_path / "failed"))
    first, second = (InputRow(name, at, Row(1, 1, "A", {}, b"A\n")) for at, name in enumerate(("a.csv", "b.csv")))
    row_results.record(first, outcome("failed"))
    row_results.record(second, outcome("ok"))
    row_results.close()
    assert [(span.file, span.text) for span in row_results.overtaken.spans()] == [("a.csv", "row 1")]


def test_a_row_shows_no_value() -> None:
    row = Row(3, 4, "SPOT1", {"name": "Alice"}, b"SPOT1,Alice\n")
    assert "Alice" not in repr(InputRow("kits.csv", 0, row))
    assert InputRow("kits.csv", 0, row).text == "row 3 (line 4)"


def test_very_many_rows_of_one_id_are_overtaken_by_one(tmp_path: Path) -> None:
    row_results = RowResults(FailedRows(tmp_path / "failed"))
    for number in range(1, 20_001):
        row_results.add_undone(row(number, "A"))
    row_results.add_done(row(60_000, "A"))
    row_results.close()
    assert [span.text for span in row_results.overtaken.spans()] == ["rows 1-20000"]
    assert not (tmp_path / "failed").exists()


ROWS = st.lists(st.tuples(st.integers(0, 2), st.integers(1, 60)))


def made(rows: list[tuple[int, int]]) -> RowSet:
    found = RowSet()
    for index, number in rows:
        found.add(index, f"{index}.csv", number)
    return found


def members(rows: RowSet) -> list[tuple[str, int]]:
    return [(span.file, number) for span in rows.spans() for number in range(span.first, span.last + 1)]


@given(ROWS, ROWS)
def test_spans_name_each_row_once_and_in_order(rows: list[tuple[int, int]], more: list[tuple[int, int]]) -> None:
    found = made(rows)
    found.take(made(more))

    assert members(found) == [(f"{index}.csv", number) for index, number in sorted({*rows, *more})]
    assert len(found) == len({*rows, *more})


def test_rows_that_follow_one_another_are_one_span() -> None:
    spans = [*made([(0, 3), (0, 1), (0, 2), (0, 5), (1, 6)]).spans()]

    assert spans == [Span("0.csv", 1, 3), Span("0.csv", 5, 5), Span("1.csv", 6, 6)]
    assert [span.text for span in spans] == ["rows 1-3", "row 5", "row 6"]


def test_a_row_takes_a_bit() -> None:
    found = made([(0, number) for number in range(1, 80_000)])

    assert sys.getsizeof(found._bits[0]) < 12_000


@given(ROWS, ROWS)
def test_rows_that_are_taken_out_are_gone(rows: list[tuple[int, int]], gone: list[tuple[int, int]]) -> None:
    found = made(rows)
    names = [found.remove(index, number) for index, number in gone]

    left = sorted({*rows} - {*gone})
    assert members(found) == [(f"{index}.csv", number) for index, number in left]
    assert len(found) == len(left)
    assert found.first == next(iter(members(found)), None)
    assert sum(name is not None for name in names) == len({*rows} & {*gone})
    assert found.remove(9, 1) is None
