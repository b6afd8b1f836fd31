"""Permits to have a call in flight: so many at once, the others wait their turn in front of the connection pool."""

from spotdx_async._http.waiters import WaiterQueue

__all__ = ["Permits"]


class Permits:
    """Counts free permits; one that is given back goes to the next who waits. Bound to no loop until somebody waits.

    ``asyncio.Semaphore`` does the same in one class, but only through coroutines: 8.5 kI for a permit that is taken and
    left, and 1.4 here (callgrind; a call with aiohttp alone takes 450).
    """

    def __init__(self, count: int) -> None:
        self.free: int = count
        """Permits that nobody holds; 0 while somebody waits."""
        self._waiters = WaiterQueue[None]()

    def try_take(self) -> bool:
        """Take a permit where one is free; else the caller waits by ``take``."""
        if not self.free:
            return False
        self.free -= 1
        return True

    async def take(self, *, is_bulk: bool = False) -> None:
        """Wait for a permit. A cancelled wait gives back one that it was just granted."""
        if not self.try_take():
            await self._waiters.wait(self._waiters.add(None, is_bulk=is_bulk), self.leave)

    def leave(self) -> None:
        """Give the permit to the one whose turn it is, or free it."""
        waiter = self._waiters.pop()
        if waiter is None:
            self.free += 1
        else:
            waiter.grant()
