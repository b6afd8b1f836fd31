"""What proves that a list can be seen: the newest objects that the run has surely created are in it.

"Not there" counts only up to the oldest of them that is missing, and only if one came back with its reference.
"""

from collections.abc import Mapping, Sequence
from typing import Final, Generic, TypeVar

from spotdx_async._requests.list_scan import Row
from spotdx_async._requests.object_search import got_each
from spotdx_async.bulk.create_reader import reference_digest
from spotdx_async.bulk.journal.creates_file import Created
from spotdx_async.bulk.journal.records import Digester
from spotdx_async.bulk.list_reading import CLOCKS_S, LATE_S, Sight
from spotdx_async.bulk.listed import OF_ONE_OBJECT, Listed, nothing_certain
from spotdx_async.bulk.settlement import Unsettled
from spotdx_async.errors import NotFoundError, SpotError

S = TypeVar("S", bound=Row)
T = TypeVar("T")

MOST_CONTROLS: Final = 50
"""Of the newest objects that the run has created, how many a scan must show. A choice: more than are created within the
seconds for which a list may be late at ten a second; those before them are seen with them."""
_MOST_CHECKED: Final = 3
"""Of them, how many are fetched to see whether the reference comes back; one that does is enough."""
_SIDE_BY_SIDE: Final = 8


class Controls(Generic[S, T]):
    """Knows which objects of the run the list has shown, which it still owes, and which were deleted."""

    def __init__(self, listed: Listed[S, T], digester: Digester) -> None:
        self._listed, self._digester = listed, digester
        self._newest: Sequence[Created] = ()
        # Of the run's own objects: those that the list has shown lately, and when they were created by its own dates.
        self._shown: dict[str, float | None] = {}
        self._unseen: dict[str, Created] = {}
        self._gone: set[str] = set()

    def expect(self, newest: Sequence[Created]) -> None:
        """Take the newest objects that the run has surely created, before the list is read."""
        self._newest = newest
        wanted = {each.object_id for each in newest} | self._unseen.keys()
        self._shown = {an_id: dated for an_id, dated in self._shown.items() if an_id in wanted}

    def note(self, own: Mapping[str, float | None], *, whole_since: float | None = None) -> None:
        """Note which objects of the run a scan has shown.

        Args:
            own: when each was created, by the list, in seconds since 1970.
            whole_since: from when on the scan must have shown all of them, so that no earlier one counts.
        """
        if whole_since is not None:
            self._shown = {
                an_id: dated for an_id, dated in self._shown.items() if dated is not None and dated < whole_since
            }
        self._shown |= own

    async def unseen(self, sight: Sight[S], since: float, *, are_late_s: float) -> bool:
        """Return whether the list still owes objects of the run.

        Args:
            sight: what the list has shown.
            since: those from before then need not be there.
            are_late_s: how young an object may be that is not there either where it is fetched, as behind a copy of the
                data that is late; an older one was deleted, and so was one that a younger one has overtaken.
        """
        expected = {each.object_id: each for each in self._newest if each.created >= since} | self._unseen
        self._unseen = {
            an_id: each for an_id, each in expected.items() if an_id not in self._shown and an_id not in self._gone
        }
        if self._unseen and sight.now is not None:
            overtaken = max((each.created for each in self._newest if each.object_id in self._shown), default=0.0)
            await self._leave_out_deleted(sight.now - LATE_S, max(overtaken, sight.now - are_late_s))
        return bool(self._unseen)

    async def shown_until(self, sight: Sight[S], since: float, *, is_proven: bool) -> float | Unsettled:
        """Return up to when the list has surely shown what was created, by the server's clock; or why nobody knows.

        Args:
            sight: what the list has shown.
            since: from when on everything must be there.
            is_proven: whether another object of the run came back with its reference.
        """
        if sight.trouble is not None:
            return Unsettled(sight.trouble)
        if sight.now is None:
            what = "the answers have no Date, so nobody knows what is older than the rows in doubt"
            return Unsettled(nothing_certain(what), may_change=False)
        owes = await self.unseen(sight, since, are_late_s=CLOCKS_S)
        seen = [each for each in self._newest if each.object_id in self._shown]
        if seen and all(self._is_dated_otherwise(each) for each in seen):
            what = (
                f"the list dates {self._listed.noun}s more than {CLOCKS_S / 60:.0f} minutes from when they were created"
            )
            return Unsettled(
                nothing_certain(f"{what}, so nobody knows which are those of the rows in doubt"), may_change=False
            )
        if not is_proven and not await self._come_back(seen):
            what = f"no {self._listed.noun} that the run has surely created came back in the list with its reference"
            return Unsettled(nothing_certain(f"{what}, so nobody knows what the list leaves out"), may_change=owes)
        return min((each.created for each in self._unseen.values()), default=sight.now)

    def _is_dated_otherwise(self, control: Created) -> bool:
        dated = self._shown[control.object_id]
        return dated is not None and abs(dated - control.created) > CLOCKS_S

    async def _leave_out_deleted(self, *until: float) -> None:
        """Expect what does not exist any more no longer: a deleted object proves nothing.

        The oldest one that does exist decides, so nobody looks further.
        """
        waiting = sorted(self._unseen.values(), key=lambda each: each.created)
        waiting = [each for each in waiting if each.created < min(until)]
        are_gone = True
        while waiting and are_gone:
            group, waiting = [each.object_id for each in waiting[:_SIDE_BY_SIDE]], waiting[_SIDE_BY_SIDE:]
            for an_id, got in zip(group, await got_each(self._listed.get, group), strict=True):
                if isinstance(got, NotFoundError):
                    del self._unseen[an_id]
                    self._gone.add(an_id)
                else:
                    are_gone = False

    async def _come_back(self, seen: Sequence[Created]) -> bool:
        """Return whether one of them shows its reference."""
        checked = 0
        for control in seen:
            if control.reference is None or checked == _MOST_CHECKED:
                continue
            (got,) = await got_each(self._listed.get, [control.object_id])
            if isinstance(got, SpotError):
                if not isinstance(got, OF_ONE_OBJECT):
                    raise got.with_traceback(None)
                continue  # a deleted one proves nothing
            checked += 1
            shown = self._listed.evidence_of(got).reference
            if shown is not None and reference_digest(self._digester, shown) == control.reference:
                return True
        return False
