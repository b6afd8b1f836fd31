"""The window: rows that were read and whose outcomes nobody has taken; those come out as they come, or in order."""

import asyncio
from collections import deque
from typing import Generic, TypeVar

from spotdx_async._http import clock
from spotdx_async.bulk.records import Outcome

__all__ = ["AsTheyCome", "InOrder", "Window"]

T = TypeVar("T")

_MOST_BESIDE = 16 * 2**20
"""Bytes. Some 15,000 small rows: where one row in twenty holds the next for a minute, a run keeps 5,000 a second."""
_BARE_SIZE = 512
_FULL_SIZE = 8 * 2**10
"""With a decoded answer, or an error: the documented Kit takes 7.3 KB as objects (tracemalloc)."""
_SIZE_AS_OBJECTS = 4
"""How much metadata take that come back with an answer, over the bytes of their JSON."""


class Window:
    """Keeps the reader from reading too far ahead of the consumer.

    What can do nothing but wait for another row is read past, so that it slows only those who wait for the same: it
    stands beside the window, as long as all such rows together take few bytes. Rows beyond that count like any other.
    So what a run keeps is bounded in bytes, and a slow consumer slows it as long as there are outcomes to take.
    """

    def __init__(self, size: int) -> None:
        """Start with nothing read.

        Args:
            size: rows that may be read and not taken, beside those that can only wait.
        """
        self._size = size
        self._low = max(1, size * 3 // 4)
        self._rows = 0
        self._beside = 0
        self._bytes_beside = 0
        self._without_pause = 0
        self._room = asyncio.Event()

    @property
    def size(self) -> int:
        """Rows that may be read and not taken, beside those that can only wait."""
        return self._size

    @property
    def has_room(self) -> bool:
        """Whether another row may be read at once."""
        return self._without_pause < self._size and self._inside() < self._size

    async def room(self) -> None:
        """Wait until another row may be read; other tasks get a turn, however much room there is."""
        self._without_pause = 0
        if self._inside() < self._size:
            await clock.turn()
        while self._inside() >= self._size:
            self._room.clear()
            await self._room.wait()

    def enter(self) -> None:
        """Count a row that was read."""
        self._rows += 1
        self._without_pause += 1

    def leave(self) -> None:
        """Count a row whose outcome was taken."""
        self._rows -= 1
        self._call_reader()

    def put_beside(self, rows: int, size: int) -> None:
        """Count rows as ones that can only wait.

        Args:
            rows: how many; 0 where one that stands there already has grown.
            size: bytes that they take in all.
        """
        self._beside += rows
        self._bytes_beside += size
        self._call_reader()

    def take_back(self, rows: int, size: int) -> None:
        """Count rows like any others again, with the numbers that ``put_beside`` got."""
        self._beside -= rows
        self._bytes_beside -= size

    def _inside(self) -> int:
        beside, size = self._beside, self._bytes_beside
        if size > _MOST_BESIDE:
            beside = beside * _MOST_BESIDE // size  # as many as fit there, taken as equally large
        return self._rows - beside

    def _call_reader(self) -> None:
        if self._inside() <= self._low:
            self._room.set()


class AsTheyCome(Generic[T]):
    """Outcomes in the order in which they come."""

    def __init__(self, window: Window) -> None:
        """Start with none; taking an outcome makes room in the window."""
        self._window = window
        self._ready: deque[Outcome[T]] = deque()

    def put(self, outcome: Outcome[T], sent_size: int = 0) -> None:  # noqa: ARG002 - nothing waits for another here
        """Add an outcome."""
        self._ready.append(outcome)

    def take(self) -> Outcome[T] | None:
        """Return the next outcome, and make room for another row; None where there is none."""
        if not self._ready:
            return None
        self._window.leave()
        return self._ready.popleft()

    def take_all(self) -> list[Outcome[T]]:
        """Return all that have come, once nothing more is read."""
        outcomes = [*self._ready]
        self._ready.clear()
        return outcomes


class InOrder(AsTheyCome[T]):
    """Outcomes in the order of the rows: those that come early wait beside the window."""

    def __init__(self, window: Window) -> None:
        """Start with row 0."""
        super().__init__(window)
        self._early: dict[int, tuple[Outcome[T], int]] = {}
        self._next = 0

    def put(self, outcome: Outcome[T], sent_size: int = 0) -> None:
        """Add an outcome.

        Args:
            outcome: of a row, in any order.
            sent_size: bytes of metadata that were sent for it.
        """
        if outcome.index != self._next:
            size = _BARE_SIZE
            if outcome.value is not None or outcome.error is not None:
                size = _FULL_SIZE + _SIZE_AS_OBJECTS * sent_size
            self._early[outcome.index] = outcome, size
            self._window.put_beside(1, size)
            return
        self._add(outcome)
        while (early := self._early.pop(self._next, None)) is not None:
            outcome, size = early
            self._window.take_back(1, size)
            self._add(outcome)

    def _add(self, outcome: Outcome[T]) -> None:
        self._ready.append(outcome)
        self._next += 1
