"""The clock of a test in virtual time: how much has passed, the time of day that goes with it, and more of it."""

import asyncio
from datetime import UTC, datetime, timedelta

__all__ = ["VirtualClock"]


class VirtualClock:
    """The clock of a loop with virtual time. The fixture ``spot_clock``.

    Args:
        loop: whose time it tells, in this package's tests a ``VirtualTimeLoop``.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._began_s = loop.time()
        self._began = datetime.now(UTC)

    @property
    def elapsed_s(self) -> float:
        """Virtual seconds since the clock was made: with the fixture, about since the test began."""
        return self._loop.time() - self._began_s

    def wall(self) -> datetime:
        """The time of day, aware, UTC: the machine's when the clock was made, moved on by the virtual seconds since.

        ``fake_spot`` goes by it in virtual time; a fake of your own may: ``FakeSpot(wall=spot_clock.wall)``.
        """
        return self._began + timedelta(seconds=self.elapsed_s)

    async def advance(self, seconds: float) -> None:
        """Let virtual time pass, and all happen that is due meanwhile.

        Raises:
            ValueError: time does not go back.
        """
        if not seconds >= 0:
            raise ValueError("seconds must be 0 or more: time does not go back")
        await asyncio.sleep(seconds)

    def __repr__(self) -> str:
        return f"<VirtualClock: {self.elapsed_s:g} virtual seconds>"
