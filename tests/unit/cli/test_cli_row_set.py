"""A set of rows: each once, named in few words from the top, small however many there are."""

import sys

from hypothesis import given
from hypothesis import strategies as st

from spotdx_async.cli.row_set import RowSet, Span

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
