"""Waiting in turn: a queue with two classes, and the permits for calls in flight, which it hands out.

Single calls go before the rows of bulk runs, and each class in order of arrival. It knows nothing but asyncio.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Final, Generic, TypeVar

D = TypeVar("D")

_LEFT_BEFORE_MORE: Final = 100
"""Permits that are left before one that was taken out of use is tried again. A choice: where it still is one too many,
that costs one call in a hundred an attempt that fails within this process."""

_SINGLES_IN_A_ROW: Final = 9
"""Single calls that go while a row waits. A choice: calls lose a tenth of the pace; runs never stall."""


class Waiter(Generic[D]):
    """A waiter, and the data needed to decide about its grant."""

    __slots__ = ("_future", "data", "is_bulk")

    def __init__(self, data: D, future: "asyncio.Future[None]", *, is_bulk: bool) -> None:
        self.data: D = data
        self.is_bulk: bool = is_bulk
        self._future = future

    @property
    def is_done(self) -> bool:
        """Whether it was granted, failed or cancelled, although it may not have noticed yet."""
        return self._future.done()

    def grant(self) -> None:
        """End its wait: it gets what it waited for."""
        self._future.set_result(None)

    def fail(self, error: BaseException) -> None:
        """End its wait with an error; each waiter needs its own, since tracebacks accumulate on it."""
        self._future.set_exception(error)


class WaiterQueue(Generic[D]):
    """Waiters for one thing in one event loop; bound to no loop until somebody waits.

    A waiter is added, and then awaits ``wait``. The code that hands out takes the next one with ``pop``, and must
    ``grant`` or ``fail`` it before control returns to the loop. A cancelled wait leaves the queue at once, and gives
    back what it was just granted.
    """

    def __init__(self) -> None:
        # Ordered, and cheap to remove from the middle.
        self._singles: OrderedDict[Waiter[D], None] = OrderedDict()
        self._rows: OrderedDict[Waiter[D], None] = OrderedDict()
        self._singles_since_row = 0

    def __len__(self) -> int:
        return len(self._singles) + len(self._rows)

    def __iter__(self) -> Iterator[Waiter[D]]:
        """Iterate in the order in which they will be granted if none comes or goes."""
        singles, rows, in_a_row = iter(self._singles), iter(self._rows), self._singles_since_row
        single, row = next(singles, None), next(rows, None)
        while single is not None or row is not None:
            if row is not None and (single is None or in_a_row >= _SINGLES_IN_A_ROW):
                yield row
                row, in_a_row = next(rows, None), 0
            elif single is not None:
                yield single
                single, in_a_row = next(singles, None), in_a_row + (row is not None)

    def add(self, data: D, *, is_bulk: bool = False) -> Waiter[D]:
        """Add a waiter behind the others of its class; it must await ``wait`` next."""
        waiter = Waiter(data, asyncio.get_running_loop().create_future(), is_bulk=is_bulk)
        self._of_class(waiter)[waiter] = None
        return waiter

    async def wait(self, waiter: Waiter[D], give_back: Callable[[], object]) -> None:
        """Wait until the waiter is granted.

        Args:
            waiter: one that was added before.
            give_back: called if the wait ends otherwise although it had just been granted.

        Raises:
            BaseException: the one that the waiter was failed with.
        """
        future = waiter._future  # noqa: SLF001 - the two are one
        try:
            await future
        except BaseException:  # cancelled, or its coroutine is closed: neither may leak the grant
            self.discard(waiter)
            if future.done() and not future.cancelled() and future.exception() is None:
                give_back()
            raise

    def pop(self) -> Waiter[D] | None:
        """Remove and return the next one; None if there is none."""
        while self._singles or self._rows:
            rows_turn = not self._singles or (self._rows and self._singles_since_row >= _SINGLES_IN_A_ROW)
            waiter, _ = (self._rows if rows_turn else self._singles).popitem(last=False)
            if waiter.is_done:
                continue  # cancelled a moment ago: does not count as a grant
            self._singles_since_row = self._singles_since_row + 1 if self._rows and not rows_turn else 0
            return waiter
        return None

    def discard(self, waiter: Waiter[D]) -> bool:
        """Remove one from anywhere in the queue; return whether it was there."""
        kept = self._of_class(waiter)
        if waiter not in kept:
            return False
        del kept[waiter]
        return True

    def before_next(self, *, is_bulk: bool = False) -> int:
        """Return how many of the current waiters would be granted before one that arrives now."""
        singles, rows = len(self._singles), len(self._rows)
        if is_bulk:
            return rows + min(singles, _SINGLES_IN_A_ROW - self._singles_since_row + _SINGLES_IN_A_ROW * rows)
        return singles + min(rows, (self._singles_since_row + singles) // _SINGLES_IN_A_ROW)

    def fail_all(self, make_error: Callable[[], BaseException]) -> int:
        """Remove everybody, each failed with its own error; return how many there were."""
        count = 0
        while (waiter := self.pop()) is not None:
            waiter.fail(make_error())
            count += 1
        return count

    def clear(self) -> None:
        """Forget everybody silently: their loop is gone."""
        self._singles.clear()
        self._rows.clear()

    def _of_class(self, waiter: Waiter[D]) -> "OrderedDict[Waiter[D], None]":
        return self._rows if waiter.is_bulk else self._singles


class Permits:
    """Permits to have a call in flight: so many at once; the others wait their turn before the connection pool.

    A permit that is given back goes to the next waiter. ``asyncio.Semaphore`` does the same, but only through
    coroutines: 8.5 kI for taking and leaving a permit, 1.4 here (callgrind; a call with aiohttp alone takes 450).
    """

    def __init__(self, count: int) -> None:
        self.free: int = count
        """Permits that are free; 0 while a call waits for one."""
        self._count = count
        self._retired = self._left_since = 0
        self._waiters = WaiterQueue[None]()

    def try_take(self) -> bool:
        """Take a permit if one is free; otherwise the caller waits with ``take``."""
        if not self.free:
            return False
        self.free -= 1
        return True

    async def take(self, *, is_bulk: bool = False) -> None:
        """Wait for a permit. A cancelled wait gives back one that it was just granted."""
        if not self.try_take():
            await self._waiters.wait(self._waiters.add(None, is_bulk=is_bulk), self.leave)

    def leave(self) -> None:
        """Pass the permit on to the next waiter, or free it."""
        waiter = self._waiters.pop()
        if waiter is None:
            self.free += 1
        else:
            waiter.grant()
        if self._retired:
            self._left_since += 1
            if self._left_since >= _LEFT_BEFORE_MORE:
                self._left_since = 0
                self._retired -= 1
                self.leave()

    def retire(self) -> bool:
        """Take the caller's permit out of use, since it was one too many; False if no other call holds one.

        It comes back once a hundred permits have been left, in case what was missing is there again.
        """
        if self._count - self._retired - self.free <= 1:
            return False
        self._retired += 1
        self._left_since = 0
        return True
