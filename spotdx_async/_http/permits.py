"""So many calls at once, the others wait their turn: the gate in front of the connections."""

from spotdx_async._http.waiters import WaiterQueue

__all__ = ["Permits"]


class Permits:
    """Counts free places; whoever leaves hands the place to the next who waits. Bound to no loop until one waits.

    ``asyncio.Semaphore`` does the same in one class, but only through coroutines: 8.5 kI for a place that is taken and
    left, and 1.4 here (callgrind; a call with aiohttp alone takes 450).
    """

    def __init__(self, count: int) -> None:
        self.free: int = count
        """Places that nobody has; 0 while somebody waits."""
        self._waiters = WaiterQueue[None]()

    def try_take(self) -> bool:
        """Take a place where one is free; else the caller waits by ``take``."""
        if not self.free:
            return False
        self.free -= 1
        return True

    async def take(self, *, is_bulk: bool = False) -> None:
        """Wait for a place. A cancelled wait gives back a place that it was just handed."""
        if not self.try_take():
            await self._waiters.wait(self._waiters.add(None, is_bulk=is_bulk), self.leave)

    def leave(self) -> None:
        """Give the place to the one whose turn it is, or free it."""
        waiter = self._waiters.pop()
        if waiter is None:
            self.free += 1
        else:
            waiter.grant()
