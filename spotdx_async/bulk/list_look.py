"""Looks for what is in doubt in a list: one scan for all rows, and one get for each object that is not known.

"Not there" counts only if the same scan shows that it can see: it has the newest objects that the run has surely
created, and one of them came back with its reference.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, date, datetime
from itertools import chain
from math import inf
from types import MappingProxyType
from typing import Final, Generic, TypeAlias, TypeVar

from spotdx_async._http import clock
from spotdx_async._http.runner import Runner
from spotdx_async._requests.answers import ServerClock
from spotdx_async._requests.list_scan import Row, Scan
from spotdx_async._requests.object_search import A_DAY, got_each
from spotdx_async.bulk.create_reader import CreateReader, likeness_digest, mark_digest, reference_digest
from spotdx_async.bulk.create_rows import a
from spotdx_async.bulk.journal.creates_file import Created, KnownCreate, Settled
from spotdx_async.bulk.journal.reading import CODES
from spotdx_async.bulk.listed import OF_ONE_OBJECT, Listed, Sight, raise_if_down
from spotdx_async.bulk.server_time import ServerTime
from spotdx_async.bulk.settlement import LIST_LAG_S, Absent, Doubt, Finding, Found, Unsettled
from spotdx_async.errors import DecodeError, InvalidInputError, NotFoundError, SpotError
from spotdx_async.pagination import PAGE_SIZE

S = TypeVar("S", bound=Row)
T = TypeVar("T")

_Object: TypeAlias = tuple[str, T, float | None]
"""The id of an object, the object, and when it was created."""
_Carried: TypeAlias = Mapping[bytes, list[_Object[T]]]
"""Objects by the digest of the reference that they carry."""

_SIDE_BY_SIDE: Final = 8
_FIRST_S: Final = datetime(2, 1, 2, tzinfo=UTC).timestamp()
"""Earlier than anything was created, and a day whose neighbours are days too."""
_CONTROLS: Final = 50
"""Of the newest objects that the run has created, how many a scan must show. A choice: more than are created within the
seconds for which a list may be late at ten a second; those before them are seen with them."""
_MOST_CHECKED: Final = 3
"""Of them, how many are fetched to see whether the reference comes back; one that does is enough."""
_CLOCKS_S: Final = 600.0
"""How far the clock that dates objects may be from the one that dates answers, as for ``reconcile``."""
_LATE_S: Final = 60.0
"""How far before what the last scan has shown last the next one begins, where nobody knows how the clock that dates
objects stands; where that is known, it begins twice a list's lag before the last scan."""
_NEARBY_S: Final = 600.0
"""How long before the first row in doubt a session may have begun to be read along. A choice: most first doubts come
sooner, and it is little against the time for which clocks may differ."""


class ListLook(Generic[S, T]):
    """Looks in a list. It remembers between looks which objects are others' and how far it has read."""

    def __init__(self, listed: Listed[S, T], runner: Runner, reader: CreateReader, server_time: ServerTime) -> None:
        self._listed, self._runner, self._server_time = listed, runner, server_time
        self._book, self._index = reader.book, reader.index
        self._digester = reader.book.digester
        reader.on_twins = lambda first, others: self.duplicates.extend((first, other) for other in others)
        self.duplicates: list[tuple[str, str]] = []
        self._foreign: set[str] = set()
        # Objects that could not be judged by the last look, and the controls that it did not show.
        self._unjudged: dict[str, S] = {}
        self._bare: dict[str, S] = {}
        self._unsigned: dict[str, S] = {}
        self._unseen: dict[str, Created] = {}
        # Of the run's own objects: those that the list has shown lately, and those that were deleted.
        self._shown: set[str] = set()
        self._gone: set[str] = set()
        # From when on, and up to which change, the list was read as a whole, and all of it judged.
        self._read_from: float | None = None
        self._read_to: float | None = None
        self._read_at: float | None = None
        self._audit_until: float | None = None
        self._began_s = clock.now()

    async def settle(self, doubts: Sequence[Doubt]) -> Mapping[Doubt, Finding]:
        """Look once for all of these.

        Raises:
            SpotError: looking failed.
        """
        controls = await self._book.ask(lambda file: file.newest(_CONTROLS))
        # What was created before the rows in doubt were sent is none of them, and not fetched.
        since = self._with_session(min(self._began(doubt) for doubt in doubts))
        deep = min(since, controls[0].created) if controls else since
        self._shown &= {each.object_id for each in controls} | self._unseen.keys()
        sight = await self._scan(deep)
        by_reference = {doubt.reference: doubt for doubt in doubts if doubt.reference is not None}
        by_mark = {doubt.mark: doubt for doubt in doubts if doubt.mark is not None}
        found: dict[bytes, _Object[T]] = {}

        async def take(carried: _Carried[T]) -> None:
            found.update(await self._ours(carried))

        await self._judge(sight, since, take, by_mark)
        self._note_read(sight, since)
        findings: dict[Doubt, Finding] = {}
        for reference, (object_id, value, created) in found.items():
            if (doubt := by_reference.get(reference)) is not None:
                findings[doubt] = Found(object_id, value, created)
        # An earlier look may have seen the object of a row whose answer was still awaited then.
        known = await self._book.ask(lambda file: file.rows_of(by_reference))
        for reference, row in known.items():
            doubt = by_reference[reference]
            if doubt not in findings and row.state == CODES["ok"] and row.object_id is not None:
                findings[doubt] = Found(row.object_id, await self._value(row.object_id))
        left = [doubt for doubt in doubts if doubt not in findings]
        if left:
            shown_until = await self._shown_until(sight, controls, deep, is_proven=bool(found))
            findings.update({doubt: self._verdict(doubt, shown_until) for doubt in left})
        return findings

    async def look_first(self, since: float) -> None:
        """Note the references of everything that was created since then, and whom objects without metadata are for.

        Raises:
            InvalidInputError: that is in the future, where nothing can be seen.
            SpotError: the list cannot be read as a whole.
        """
        sight = await self._scan(since)
        if sight.now is not None and since > sight.now + _CLOCKS_S:
            raise InvalidInputError("look_first is in the future by the server's clock, so nothing was sent")
        if sight.trouble is not None:
            raise sight.trouble

        async def take(carried: _Carried[T]) -> None:
            for reference, objects in carried.items():
                for object_id, _, created in objects:
                    self._index.add_found(reference, object_id, created)

        await self._judge(sight, since, take)
        self._note_read(sight, since)
        for row in self._bare.values():
            if (likeness := self._likeness(row)) is not None:
                self._index.add_bare(likeness)
        if self._unjudged:
            message = (
                f"{len(self._unjudged)} of the {self._listed.noun}s of that time cannot be read, so nothing was sent"
            )
            raise DecodeError(message, outcome="unknown")

    async def audit(self, since: float) -> int:
        """Look for objects with the same reference among all that were created since then.

        Returns:
            how many of them could not be judged.

        Raises:
            SpotError: looking failed.
        """
        sight = await self._scan(since)
        if self._audit_until is None and sight.now is not None:
            # Others go on: what they create from now on would keep the audit from ever coming to its end.
            self._audit_until = sight.now + _CLOCKS_S
        until = inf if self._audit_until is None else self._audit_until
        await self._judge(sight, since, self._ours, until=until)
        self._note_read(sight, since)
        if sight.trouble is not None:
            raise sight.trouble
        return sum(self._may_be_ours(an_id, row, since, until) for an_id, row in self._unjudged.items())

    def _with_session(self, since: float) -> float:
        """Return an earlier time if the session began shortly before: the audit then need not read all of it again."""
        session = self._server_time.not_later_than(self._began_s) - _LATE_S
        return session if since - _NEARBY_S < session < since else since

    def _began(self, doubt: Doubt) -> float:
        return self._server_time.not_later_than(doubt.began_s) if doubt.began is None else doubt.began

    async def _scan(self, since: float) -> Sight[S]:
        """Read the list since then, or since what was read before."""
        from_s = since - _CLOCKS_S
        if self._read_from is not None and self._read_to is not None and self._read_from <= from_s:
            from_s = max(from_s, self._read_to - _LATE_S)
            ahead_s = self._server_time.objects_ahead_s
            if ahead_s is not None and self._read_at is not None:
                from_s = max(from_s, min(self._read_to, self._read_at + ahead_s - 2 * LIST_LAG_S))
        first_day = (datetime.fromtimestamp(max(min(from_s, since), _FIRST_S), UTC) - A_DAY).date()
        down_to = datetime.fromtimestamp(max(from_s, _FIRST_S), UTC)

        def noting(server: ServerClock | None) -> date:
            if server is not None:
                self._server_time.note(server.now)  # at once: the other pages may take long
            return first_day

        scan: Scan[S] = await self._listed.listing.scan(
            self._runner,
            noting,
            down_to=down_to,
            keep=self._listed.keep,
            page_size=PAGE_SIZE,
        )
        now = None if scan.clock is None else scan.clock.now.timestamp()
        id_of = self._listed.listing.id_of
        named = {an_id: row for row in scan.rows if (an_id := id_of(row))}
        trouble = scan.trouble
        if trouble is None and len(named) < len(scan.rows):
            trouble = DecodeError("a row of the list has no id, so it cannot be looked up", outcome="done")
        changes = [row.updated.timestamp() for row in scan.rows if row.updated is not None]
        newest = max(changes, default=None) if self._listed.listing.is_newest_change_first else None
        own = await self._book.ask(lambda file: file.objects_among(named))
        self._shown |= own
        rows = {
            **self._unjudged,
            **{an_id: row for an_id, row in named.items() if an_id not in own and an_id not in self._foreign},
        }
        return Sight(rows, newest, now, trouble)

    def _note_read(self, sight: Sight[S], since: float) -> None:
        """Note that all that the scan has shown of the time since then was judged: the next one begins there."""
        if sight.trouble is not None:
            return
        if self._read_from is None or since - _CLOCKS_S < self._read_from:
            self._read_from = since - _CLOCKS_S
        self._read_at = sight.now
        if sight.newest_change is not None:
            self._read_to = max(self._read_to or sight.newest_change, sight.newest_change)

    async def _judge(
        self,
        sight: Sight[S],
        since: float,
        take: Callable[[_Carried[T]], Awaitable[object]],
        by_mark: Mapping[bytes, Doubt] = MappingProxyType({}),
        until: float = inf,
    ) -> None:
        """Fetch the objects that are not known, the oldest first; hand over those that carry a reference.

        That is done a few at a time: where fetching fails, what was judged is not fetched again.
        """
        marks = {an_id: mark for an_id, row in sight.rows.items() if (mark := self._mark(row)) is not None}
        ours = await self._book.ask(lambda file: file.marks_among(marks.values())) if marks else set()
        self._foreign.update(an_id for an_id, mark in marks.items() if mark not in ours)
        waiting = [an_id for an_id, row in sight.rows.items() if self._may_be_ours(an_id, row, since, until)]
        waiting.sort(key=lambda an_id: _seconds(sight.rows[an_id].created) or 0.0)
        while waiting:
            group, waiting = waiting[:_SIDE_BY_SIDE], waiting[_SIDE_BY_SIDE:]
            carried: dict[bytes, list[_Object[T]]] = {}
            results = await got_each(self._listed.get, group)
            raise_if_down(results)
            for an_id, got in zip(group, results, strict=True):
                row = sight.rows[an_id]
                if isinstance(got, SpotError):
                    self._note_unread(an_id, row, got)
                    continue
                self._unjudged.pop(an_id, None)
                evidence = self._listed.evidence_of(got)
                if evidence.is_bare:
                    self._bare[an_id] = row
                    mark = self._mark(row)
                    doubt = None if mark is None else by_mark.get(mark)
                    if doubt is not None and doubt.reference is not None:
                        carried.setdefault(doubt.reference, []).append((an_id, got, _seconds(row.created)))
                elif evidence.reference is None:
                    self._unsigned[an_id] = row
                else:
                    reference = reference_digest(self._digester, evidence.reference)
                    carried.setdefault(reference, []).append((an_id, got, _seconds(row.created)))
            if carried:
                await take(carried)

    async def _ours(self, carried: _Carried[T]) -> dict[bytes, _Object[T]]:
        """Return what belongs to rows of the run, and note the duplicates."""
        known = await self._book.ask(lambda file: file.rows_of(carried))
        ours: dict[bytes, _Object[T]] = {}
        for reference, objects in carried.items():
            row = known.get(reference)
            if row is None:
                self._foreign.update(an_id for an_id, _, _ in objects)
                continue
            self._shown.update(an_id for an_id, _, _ in objects)
            first = row.object_id if row.state == CODES["ok"] else None
            if first is None:
                first = objects[0][0]
                ours[reference] = objects[0]
                self._note_late(row, objects[0])
            self.duplicates += [(first, an_id) for an_id, _, _ in objects if an_id != first]
            self._foreign.update(an_id for an_id, _, _ in objects)
        return ours

    def _note_late(self, row: KnownCreate, found: _Object[T]) -> None:
        """Record an object of a row that nobody looked for any more, so that it is never sent again."""
        an_id, _, created = found
        self._book.record(Settled(row.key, CODES["ok"], an_id, created))

    def _may_be_ours(self, an_id: str, row: S, since: float, until: float) -> bool:
        if an_id in self._bare or an_id in self._unsigned or an_id in self._foreign:
            return False
        created = _seconds(row.created)
        return created is None or since - _CLOCKS_S <= created <= until

    def _note_unread(self, an_id: str, row: S, error: SpotError) -> None:
        if isinstance(error, NotFoundError) and an_id in self._unjudged:
            del self._unjudged[an_id]  # it was deleted
            self._foreign.add(an_id)
        else:
            self._unjudged[an_id] = row

    async def _value(self, an_id: str) -> T | None:
        (got,) = await got_each(self._listed.get, [an_id])
        return None if isinstance(got, SpotError) else got

    async def _shown_until(
        self, sight: Sight[S], controls: Sequence[Created], since: float, *, is_proven: bool
    ) -> float | Unsettled:
        """Return up to when the scan has surely shown what was created, by the server's clock; or why nobody knows."""
        if sight.trouble is not None:
            return Unsettled(sight.trouble)
        if sight.now is None:
            what = "the answers have no Date, so nobody knows what is older than the rows in doubt"
            return Unsettled(_error(what), may_change=False)
        expected = {each.object_id: each for each in controls if each.created >= since} | self._unseen
        self._unseen = {an_id: each for an_id, each in expected.items() if an_id not in self._shown | self._gone}
        await self._leave_out_deleted(sight.now)
        if not is_proven and not await self._come_back([each for each in controls if each.object_id in self._shown]):
            what = f"no {self._listed.noun} that the run has surely created came back in the list with its reference"
            return Unsettled(_error(f"{what}, so nobody knows what the list leaves out"), may_change=bool(self._unseen))
        return min((each.created for each in self._unseen.values()), default=sight.now)

    async def _leave_out_deleted(self, now: float) -> None:
        """Expect what does not exist any more no longer: a deleted object proves nothing.

        The oldest one that does exist decides, so nobody looks further. What is so young that the list may be late may
        be missing for the same reason where it is fetched.
        """
        waiting = sorted(self._unseen.values(), key=lambda each: each.created)
        waiting = [each for each in waiting if each.created < now - _LATE_S]
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

    def _verdict(self, doubt: Doubt, shown_until: float | Unsettled) -> Finding:
        if isinstance(shown_until, Unsettled):
            return shown_until
        lands_until = self._server_time.at(doubt.lands_until_s)
        if lands_until is None or lands_until > shown_until:
            return Unsettled(_error("the list does not show yet what was created last"))
        noun = self._listed.noun
        for an_id, row in self._unjudged.items():
            if self._may_be(doubt, row, lands_until):
                return Unsettled(_error(f"{a(noun)} that may be it cannot be read ({an_id})"))
        for an_id, row in chain(self._bare.items(), self._unsigned.items()):
            if self._may_be(doubt, row, lands_until):
                return Unsettled(_error(f"{a(noun)} that may be it shows no reference ({an_id})"), may_change=False)
        return Absent()

    def _may_be(self, doubt: Doubt, row: S, lands_until: float) -> bool:
        created = _seconds(row.created)
        if created is not None and not self._began(doubt) - _CLOCKS_S <= created <= lands_until + _CLOCKS_S:
            return False
        mark = self._mark(row)
        if mark is not None and doubt.mark is not None:
            return mark == doubt.mark
        likeness, wanted = self._likeness(row), None if doubt.row is None else doubt.row.likeness
        return likeness is None or wanted is None or likeness == wanted

    def _mark(self, row: S) -> bytes | None:
        mark = self._listed.mark_of(row)
        return None if mark is None else mark_digest(self._digester, mark)

    def _likeness(self, row: S) -> bytes | None:
        likeness = self._listed.likeness_of(row)
        return None if likeness is None else likeness_digest(self._digester, likeness)


def _seconds(moment: datetime | None) -> float | None:
    return None if moment is None else moment.timestamp()


def _error(message: str) -> SpotError:
    return DecodeError(message, outcome="done")
