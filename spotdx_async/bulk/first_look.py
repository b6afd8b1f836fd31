"""The look before a run whose journal is lost: what its lost sessions have created is not created again."""

import asyncio

from spotdx_async._http import clock
from spotdx_async.bulk.settlement import LIST_LAG_S, Look


class FirstLook:
    """Looks before anything is sent, and once more before the first row that was not found is.

    The process that had the journal may have been killed a moment ago, and its last requests be still on their way.
    Where every row is found at once, nobody waits for that.
    """

    def __init__(self, look: Look, since: float, *, lands_within_s: float) -> None:
        """Keep what it looks with.

        Args:
            look: looks at the server.
            since: from when on, in seconds since 1970.
            lands_within_s: how long a request may be on its way.
        """
        self.since = since
        """From when on objects are looked at, in seconds since 1970."""
        self._look = look
        self._again_at_s = clock.now() + lands_within_s + LIST_LAG_S
        self._is_over = False
        self._turn = asyncio.Lock()

    async def look(self) -> None:
        """Look at once.

        Raises:
            SpotError: what was created since cannot be seen as a whole.
        """
        await self._look.look_first(self.since)

    async def again(self) -> None:
        """Look once more when nothing can be on its way any more; nothing happens if that was done.

        Raises:
            SpotError: as for ``look``.
        """
        async with self._turn:
            if self._is_over:
                return
            if (wait_s := self._again_at_s - clock.now()) > 0:
                await clock.sleep(wait_s, unless=asyncio.Event())
            await self._look.look_first(self.since)
            self._is_over = True
