"""Who waits for a permit or a slot, and who is next: single calls before the rows of bulk runs, each in their order.

Every tenth turn is a bulk row's where one waits, so that a bulk run is slowed by single calls and never stopped. It
knows neither what is waited for nor when that comes.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Iterator

__all__ = ["WaiterQueue"]

_BULK_TURN = 10
"""One turn in so many is a bulk row's: a tenth of the rate is enough for a run to go on, and hardly slows a call."""
_NO_BOUND = float("inf")


class WaiterQueue:
    """Futures in the order of their turns; adding, removing and taking the next one cost the same however many wait."""

    def __init__(self) -> None:
        # Each waiter with the latest time at which it still wants its turn.
        self._single: OrderedDict[asyncio.Future[None], float] = OrderedDict()
        self._bulk: OrderedDict[asyncio.Future[None], float] = OrderedDict()
        # Turns of single calls since a bulk row had one.
        self._passed_over = 0

    def __len__(self) -> int:
        return len(self._single) + len(self._bulk)

    def __iter__(self) -> Iterator[tuple[asyncio.Future[None], float]]:
        """Give the waiters in the order of their turns, each with the latest time at which it wants one."""
        single, bulk = iter(self._single.items()), iter(self._bulk.items())
        passed_over, left = self._passed_over, len(self._bulk)
        for call in single:
            if left and passed_over >= _BULK_TURN - 1:
                yield next(bulk)
                passed_over, left = 0, left - 1
            yield call
            passed_over += 1
        yield from bulk

    def add(self, waiter: "asyncio.Future[None]", *, is_bulk: bool = False, latest_s: float = _NO_BOUND) -> None:
        """Queue a waiter behind those of its class."""
        (self._bulk if is_bulk else self._single)[waiter] = latest_s

    def discard(self, waiter: "asyncio.Future[None]") -> bool:
        """Remove a waiter; whether it was still queued."""
        return self._single.pop(waiter, None) is not None or self._bulk.pop(waiter, None) is not None

    def pop(self) -> "asyncio.Future[None] | None":
        """Remove and give the waiter whose turn it is; None where nobody waits. One that is done has given up."""
        while self._single or self._bulk:
            is_bulk = bool(self._bulk) and (not self._single or self._passed_over >= _BULK_TURN - 1)
            waiter, _ = (self._bulk if is_bulk else self._single).popitem(last=False)
            if not waiter.done():
                self._passed_over = 0 if is_bulk else min(self._passed_over + 1, _BULK_TURN)
                return waiter
        return None

    def before(self, *, is_bulk: bool) -> int:
        """How many have their turn before one that came now."""
        if is_bulk:
            return len(self)
        turns = (self._passed_over + len(self._single)) // (_BULK_TURN - 1)
        return len(self._single) + min(len(self._bulk), turns)

    def clear(self) -> None:
        """Forget everybody: their loop is gone."""
        self._single.clear()
        self._bulk.clear()
