"""Reads a list again and again: as a whole, and then only what may have changed since. It judges no object."""

from collections.abc import Callable
from datetime import UTC, date, datetime
from heapq import nlargest
from typing import Final, Generic, TypeVar

from attrs import define

from spotdx_async._http.runner import Runner
from spotdx_async._requests.answers import ServerClock
from spotdx_async._requests.list_scan import Row, Scan
from spotdx_async._requests.object_search import A_DAY
from spotdx_async.bulk.server_time import ServerTime
from spotdx_async.bulk.settlement import LIST_LAG_S
from spotdx_async.errors import DecodeError, SpotError
from spotdx_async.pagination import PAGE_SIZE, Listing

S = TypeVar("S", bound=Row)

CLOCKS_S: Final = 600.0
"""How far the clock that dates objects may be from the one that dates answers, as for ``reconcile``."""
LATE_S: Final = 60.0
"""How far before what the last scan has shown last the next one begins, where nobody knows how the clock that dates
objects stands; where that is known, it begins twice a list's lag before the last scan."""
_FIRST_S: Final = datetime(2, 1, 2, tzinfo=UTC).timestamp()
"""Earlier than anything was created, and a day whose neighbours are days too."""
_TOP: Final = 8
"""Of the rows that a scan has shown on top, how many are remembered; the next one must show one of them. A choice: all
of so many may be deleted meanwhile, which costs a scan of the whole."""


@define
class Sight(Generic[S]):
    """What a scan has shown."""

    rows: dict[str, S]
    """What it has listed, by id."""
    now: float | None
    """The server's time when it began, in seconds since 1970."""
    trouble: SpotError | None
    """Why something may be missing; None if nothing is."""
    unread: frozenset[str]
    """The ids of rows that an earlier scan has shown, and that this one did not have to read again."""
    is_whole: bool
    """Whether it went back to the time that was asked for, and not only to where the last one ended."""


class ListReading(Generic[S]):
    """Remembers up to where the list was read, and what was on top."""

    def __init__(self, listing: Listing[S], runner: Runner, server_time: ServerTime, keep: Callable[[S], S]) -> None:
        self._listing, self._runner, self._server_time, self._keep = listing, runner, server_time, keep
        # From when on, and up to which change, the list was read as a whole, and all of it judged.
        self._read_from: float | None = None
        self._read_to: float | None = None
        self._read_at: float | None = None
        self._top: frozenset[str] = frozenset()
        # What was changed last: often many rows at one instant.
        self._latest: tuple[S, ...] = ()

    async def read(self, since: float) -> Sight[S]:
        """Read what was created since then, or has changed since the last scan.

        Args:
            since: by the server's clock, in seconds since 1970.

        Raises:
            SpotError: the list cannot be read.
        """
        whole_s = since - CLOCKS_S
        from_s = self._go_on_from(whole_s)
        sight = await self._scan(since, from_s, is_whole=from_s == whole_s)
        if not sight.is_whole and sight.trouble is None and self._top.isdisjoint(sight.rows.keys() - sight.unread):
            # What was on top is not there any more: the list may show less than it did, and must prove itself anew.
            sight = await self._scan(since, whole_s, is_whole=True)
        return sight

    def note_judged(self, sight: Sight[S], since: float) -> None:
        """Note that all that the scan has shown of the time since then was judged: the next one begins there."""
        if sight.trouble is not None:
            return
        if self._read_from is None or since - CLOCKS_S < self._read_from:
            self._read_from = since - CLOCKS_S
        self._read_at = sight.now
        changes = {an_id: row.updated.timestamp() for an_id, row in sight.rows.items() if row.updated is not None}
        if self._listing.is_newest_change_first and changes:
            self._top = frozenset(nlargest(_TOP, changes, key=changes.__getitem__))
            newest = max(changes.values())
            if self._read_to is None or newest >= self._read_to:
                self._read_to = newest
                self._latest = tuple(sight.rows[an_id] for an_id, change in changes.items() if change == newest)

    def _go_on_from(self, whole_s: float) -> float:
        """Return from when on a scan must read again; ``whole_s`` if that is all."""
        read_from, read_to, read_at = self._read_from, self._read_to, self._read_at
        if read_from is None or read_to is None or read_from > whole_s or not self._server_time.is_steady:
            return whole_s
        from_s = read_to - LATE_S
        if read_at is not None and read_to > read_at:
            from_s = read_at - LATE_S - CLOCKS_S  # something is dated in the future, which says nothing about the rest
        ahead_s = self._server_time.objects_ahead_s
        if ahead_s is not None and read_at is not None:
            from_s = max(from_s, min(read_to, read_at + ahead_s - 2 * LIST_LAG_S))
        return max(whole_s, from_s)

    async def _scan(self, since: float, from_s: float, *, is_whole: bool) -> Sight[S]:
        first_day = (datetime.fromtimestamp(max(min(from_s, since), _FIRST_S), UTC) - A_DAY).date()

        def noting(server: ServerClock | None) -> date:
            if server is not None:
                self._server_time.note(server.now)  # at once: the other pages may take long
            return first_day

        known = self._latest if not is_whole and from_s == self._read_to else ()
        from_moment = datetime.fromtimestamp(max(from_s, _FIRST_S), UTC)
        scan: Scan[S] = await self._listing.scan(
            self._runner,
            noting,
            down_to=known[0].updated if known else from_moment,
            known=known,
            keep=self._keep,
            page_size=PAGE_SIZE,
        )
        rows = {an_id: row for row in scan.rows if (an_id := self._listing.id_of(row))}
        trouble = scan.trouble
        if trouble is None and len(rows) < len(scan.rows):
            trouble = DecodeError("a row of the list has no id, so it cannot be looked up", outcome="done")
        now = None if scan.clock is None else scan.clock.now.timestamp()
        return Sight(rows, now, trouble, scan.unread, is_whole)
