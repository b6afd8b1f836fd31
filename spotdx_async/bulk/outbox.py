"""Outcomes on their way to the consumer: as they come, or in the order of the rows."""

from collections import deque
from typing import Generic, TypeVar

from spotdx_async.bulk.records import Outcome

__all__ = ["AsTheyCome", "InOrder"]

T = TypeVar("T")


class AsTheyCome(Generic[T]):
    """Outcomes in the order of their coming."""

    def __init__(self) -> None:
        self._ready: deque[Outcome[T]] = deque()

    def put(self, outcome: Outcome[T]) -> None:
        """Add one."""
        self._ready.append(outcome)

    def take(self) -> Outcome[T] | None:
        """Give the next one, where there is one."""
        return self._ready.popleft() if self._ready else None


class InOrder(Generic[T]):
    """Outcomes in the order of the rows; those that come early wait."""

    def __init__(self) -> None:
        self._ready: dict[int, Outcome[T]] = {}
        self._next = 0

    def put(self, outcome: Outcome[T]) -> None:
        """Add one."""
        self._ready[outcome.index] = outcome

    def take(self) -> Outcome[T] | None:
        """Give the next row's, where it has come."""
        outcome = self._ready.pop(self._next, None)
        self._next += outcome is not None
        return outcome
