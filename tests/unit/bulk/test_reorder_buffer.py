"""Outcomes on their way to the consumer."""

from typing import Any

from spotdx_async import NotFoundError, Outcome
from spotdx_async.bulk.outcomes import AsTheyCome, InOrder, Window


class BesideWindow(Window):
    """Remembers what stands beside it."""

    def __init__(self) -> None:
        super().__init__(8)
        self.rows = self.bytes = 0

    def put_beside(self, rows: int, size: int) -> None:
        self.rows, self.bytes = self.rows + rows, self.bytes + size

    def take_back(self, rows: int, size: int) -> None:
        self.rows, self.bytes = self.rows - rows, self.bytes - size


def outcome(index: int, **more: Any) -> Outcome[Any]:
    return Outcome(index=index, key="SPOTX", state="ok", **more)


def taken(buffer: InOrder[Any] | AsTheyCome[Any]) -> list[int]:
    found = []
    while (each := buffer.take()) is not None:
        found.append(each.index)
    return found


def test_outcomes_come_in_the_order_of_their_rows() -> None:
    buffer: InOrder[Any] = InOrder(BesideWindow())
    for index in (2, 1, 4):
        buffer.put(outcome(index))
    assert taken(buffer) == []

    buffer.put(outcome(0))
    assert taken(buffer) == [0, 1, 2]

    buffer.put(outcome(3))
    assert taken(buffer) == [3, 4]


def test_outcomes_come_as_they_come() -> None:
    buffer: AsTheyCome[Any] = AsTheyCome(Window(8))
    for index in (2, 0, 1):
        buffer.put(outcome(index))

    assert taken(buffer) == [2, 0, 1]


def test_all_that_is_left_is_taken_at_once() -> None:
    for buffer in (AsTheyCome[Any](Window(8)), InOrder[Any](Window(8))):
        for index in (0, 1, 2):
            buffer.put(outcome(index))
        buffer.take()

        assert [each.index for each in buffer.take_all()] == [1, 2]
        assert (buffer.take_all(), buffer.take()) == ([], None)


def test_what_has_come_too_early_is_taken_with_the_rest() -> None:
    buffer = InOrder[Any](Window(8))
    for index in (0, 3, 2):
        buffer.put(outcome(index))

    assert [each.index for each in buffer.take_all()] == [0, 2, 3]
    assert buffer.take_all() == []


def test_those_that_are_early_stand_beside_the_window_until_their_turn() -> None:
    window = BesideWindow()
    buffer: InOrder[Any] = InOrder(window)
    for index in (1, 2, 4):
        buffer.put(outcome(index))
    assert window.rows == 3

    buffer.put(outcome(0))

    assert window.rows == 1
    buffer.put(outcome(3))
    assert (window.rows, window.bytes) == (0, 0)


def test_answers_and_errors_weigh_more_and_so_do_metadata_that_come_back() -> None:
    sizes = []
    error = NotFoundError("not known", status=404)
    for more, sent_size in (({}, 0), ({}, 9000), ({"value": object()}, 30), ({"error": error}, 30)):
        window = BesideWindow()
        InOrder[Any](window).put(outcome(1, **more), sent_size)
        sizes.append(window.bytes)
    window = BesideWindow()
    InOrder[Any](window).put(outcome(1, value=object()), 100_000)

    assert sizes[0] == sizes[1] < 1000
    assert 7000 < sizes[2] == sizes[3] < 10_000
    assert window.bytes > 400_000
