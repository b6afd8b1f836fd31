"""The look before a run whose journal is lost: what its lost sessions have created is not created again."""

import asyncio
from datetime import UTC, date, datetime, time, timedelta
from typing import Final

from spotdx_async._http import clock
from spotdx_async._http.retry import may_pass
from spotdx_async.bulk.settlement import LIST_LAG_S, Look
from spotdx_async.errors import DecodeError, SpotError

_EARLIEST: Final = timedelta(hours=14)
"""By how much a day begins earlier than in UTC where it begins first: whoever names the day need not think in UTC."""
_FIRST_DAY: Final = date(2, 1, 1)
"""Earlier than anything was created, with room for what is read before it."""
_MOST_LOOKS: Final = 5
"""At objects that cannot be read, within half a minute: one may be unreadable for good."""
_MOST_S: Final = 300.0
"""For which a server that fails is asked again. A choice, as for an audit: nothing was sent, and the caller waits."""
_MOST_PAUSE_S: Final = 30.0


class FirstLook:
    """Looks before anything is sent, and once more before the first row that was not found is.

    The process that had the journal may have been killed a moment ago, and its last requests be still on their way.
    Where every row is found at once, nobody waits for that.
    """

    def __init__(self, look: Look, day: date, *, lands_within_s: float, outage_limit_s: float) -> None:
        """Keep what it looks with.

        Args:
            look: looks at the server.
            day: the first day, in any time zone, of which objects are looked at.
            lands_within_s: how long a request may be on its way.
            outage_limit_s: the longest that a server that fails is asked again.
        """
        began = datetime.combine(max(day, _FIRST_DAY), time(), UTC) - _EARLIEST
        self.since: float = began.timestamp()
        """From when on objects are looked at, in seconds since 1970."""
        self._look, self._most_s = look, min(outage_limit_s, _MOST_S)
        self._again_at_s = clock.now() + lands_within_s + LIST_LAG_S
        self._is_over = False
        self._turn = asyncio.Lock()

    async def look(self) -> None:
        """Look at once.

        Raises:
            SpotError: what was created since cannot be seen as a whole.
        """
        failures, began_s = 0, clock.now()
        while True:
            try:
                await self._look.look_first(self.since)
            except SpotError as error:
                failures += 1
                is_over = failures >= _MOST_LOOKS and (
                    isinstance(error, DecodeError) or clock.now() - began_s >= self._most_s
                )
                if is_over or not may_pass(error):
                    raise
            else:
                return
            await _sleep(min(_MOST_PAUSE_S, 2.0 ** (failures - 1)))

    async def again(self) -> None:
        """Look once more when nothing can be on its way any more; nothing happens if that was done.

        Raises:
            SpotError: as for ``look``.
        """
        async with self._turn:
            if self._is_over:
                return
            if (wait_s := self._again_at_s - clock.now()) > 0:
                await _sleep(wait_s)
            await self.look()
            self._is_over = True


async def _sleep(seconds: float) -> None:
    await clock.sleep(seconds, unless=asyncio.Event())
