"""Workers that have nothing to do wait here until they are called."""

import asyncio
from collections import deque

__all__ = ["IdleWorkers"]


class IdleWorkers:
    """Wakes one or all of those who wait; a call with nobody there is lost, so look around before waiting."""

    def __init__(self) -> None:
        self._waiting: deque[asyncio.Future[None]] = deque()

    async def wait(self) -> None:
        """Wait for a call."""
        place = asyncio.get_running_loop().create_future()
        self._waiting.append(place)
        await place

    def call(self) -> None:
        """Wake the one that has waited longest."""
        while self._waiting:
            place = self._waiting.popleft()
            if not place.done():
                place.set_result(None)
                return

    def call_all(self) -> None:
        """Wake all."""
        while self._waiting:
            self.call()
