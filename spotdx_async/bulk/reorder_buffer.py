"""Outcomes on their way to the consumer: as they come, or in the order of the rows."""

from collections import deque
from typing import Generic, TypeVar

from spotdx_async.bulk.records import Outcome
from spotdx_async.bulk.window import Window

__all__ = ["AsTheyCome", "InOrder"]

T = TypeVar("T")

_BARE_SIZE = 512
_FULL_SIZE = 8 * 2**10
"""With a decoded answer, or an error: the documented Kit takes 7.3 KB as objects (tracemalloc)."""
_SIZE_AS_OBJECTS = 4
"""How much metadata take that come back with an answer, over the bytes of their JSON."""


class AsTheyCome(Generic[T]):
    """Outcomes in the order of their coming."""

    def __init__(self) -> None:
        self._ready: deque[Outcome[T]] = deque()

    def put(self, outcome: Outcome[T], _sent_size: int = 0) -> None:
        """Add one."""
        self._ready.append(outcome)

    def take(self) -> Outcome[T] | None:
        """Give the next one, where there is one."""
        return self._ready.popleft() if self._ready else None


class InOrder(Generic[T]):
    """Outcomes in the order of the rows; those that come early wait beside the window."""

    def __init__(self, window: Window) -> None:
        self._window = window
        self._ready: deque[Outcome[T]] = deque()
        self._early: dict[int, tuple[Outcome[T], int]] = {}
        self._next = 0

    def put(self, outcome: Outcome[T], sent_size: int = 0) -> None:
        """Add one.

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

    def take(self) -> Outcome[T] | None:
        """Give the next row's, where it has come."""
        return self._ready.popleft() if self._ready else None

    def _add(self, outcome: Outcome[T]) -> None:
        self._ready.append(outcome)
        self._next += 1
