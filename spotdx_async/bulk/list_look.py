"""Looks for what is in doubt in a list: one scan for all rows, and one get for each object that is not known."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from itertools import chain
from math import inf
from typing import Final, Generic, TypeAlias, TypeVar

from spotdx_async._http import clock
from spotdx_async._http.runner import Runner
from spotdx_async._requests.list_scan import Row
from spotdx_async._requests.object_search import got_each
from spotdx_async.bulk.controls import MOST_CONTROLS, Controls
from spotdx_async.bulk.create_reader import CreateReader, likeness_digest, mark_digest, reference_digest
from spotdx_async.bulk.create_rows import a
from spotdx_async.bulk.journal.creates_file import KnownCreate, Settled
from spotdx_async.bulk.journal.reading import CODES
from spotdx_async.bulk.list_reading import CLOCKS_S, LATE_S, ListReading, Sight
from spotdx_async.bulk.listed import Listed, nothing_certain, raise_if_down, seconds_of
from spotdx_async.bulk.server_time import ServerTime
from spotdx_async.bulk.settlement import LIST_LAG_S, Absent, Doubt, Finding, Found, Unsettled
from spotdx_async.errors import DecodeError, InvalidInputError, NotFoundError, SpotError

S = TypeVar("S", bound=Row)
T = TypeVar("T")

_Object: TypeAlias = tuple[str, T, float | None]
"""The id of an object, the object, and when it was created."""
_Carried: TypeAlias = Mapping[bytes, list[_Object[T]]]
"""Objects by the digest of the reference that they carry."""

_SIDE_BY_SIDE: Final = 8
_NEARBY_S: Final = 600.0
"""How long before the first row in doubt what was not audited may have begun to be read along. A choice: most first
doubts come sooner, and it is little against the time for which clocks may differ."""


_MOST_OF_EARLIER: Final = 5
"""Objects of earlier sessions that are fetched until one exists. A choice: nobody deletes so many of the newest."""


class ListLook(Generic[S, T]):
    """Looks in a list. It remembers between looks which objects are others' and how far it has read."""

    def __init__(self, listed: Listed[S, T], runner: Runner, reader: CreateReader, server_time: ServerTime) -> None:
        self._listed, self._server_time = listed, server_time
        self._book, self._index = reader.book, reader.index
        self._digester = reader.book.digester
        reader.on_twins = lambda first, others: self.duplicates.extend((first, other) for other in others)
        self.duplicates: list[tuple[str, str]] = []
        self._reading = ListReading(listed.listing, runner, server_time, listed.keep)
        self._controls = Controls(listed, self._digester)
        self._foreign: set[str] = set()
        # Objects that could not be judged by the last look.
        self._unjudged: dict[str, S] = {}
        self._bare: dict[str, S] = {}
        self._unsigned: dict[str, S] = {}
        # Objects that carry a reference, by that, of rows that were not done by then, or not even sent: their answers
        # may name others.
        self._early: dict[bytes, list[str]] = {}
        self._audit_until: float | None = None
        self._began_s = clock.now()
        self._is_theirs = False

    async def settle(self, doubts: Sequence[Doubt]) -> Mapping[Doubt, Finding]:
        """Look once for all of these.

        Raises:
            SpotError: looking failed.
        """
        newest = await self._expect_newest()
        # What was created before the rows in doubt were sent is none of them, and not fetched.
        since = await self._with_unaudited(min(self._began(doubt) for doubt in doubts))
        deep = since if newest is None else min(since, newest)
        sight, rows = await self._look(deep)
        await self._leave_out_other_marks(rows)
        by_reference = {doubt.reference: doubt for doubt in doubts if doubt.reference is not None}
        found: dict[bytes, _Object[T]] = {}

        async def take(carried: _Carried[T]) -> None:
            found.update(await self._ours(carried))

        await self._judge(rows, since, take)
        self._reading.note_judged(sight, since)
        findings: dict[Doubt, Found] = {}
        for reference, (object_id, value, created) in found.items():
            if (doubt := by_reference.get(reference)) is not None:
                findings[doubt] = Found(object_id, value, created)
            else:
                self._early.setdefault(reference, []).append(object_id)
        # An earlier look may have seen the object of a row whose answer was still awaited then.
        known = await self._book.ask(lambda file: file.rows_of(by_reference))
        for reference, row in known.items():
            doubt = by_reference[reference]
            if doubt not in findings and row.state == CODES["ok"] and row.object_id is not None:
                findings[doubt] = Found(row.object_id, await self._value(row.object_id))
        for doubt, bare in (await self._by_mark(doubts)).items():
            if (first := findings.setdefault(doubt, bare).object_id) != bare.object_id:
                self.duplicates.append((first, bare.object_id))
        left = [doubt for doubt in doubts if doubt not in findings]
        if not left:
            return findings
        shown_until = await self._controls.shown_until(sight, deep, is_proven=bool(found))
        verdicts = {doubt: self._verdict(doubt, shown_until) for doubt in left}
        earlier = [doubt for doubt in left if doubt.began is not None]
        if earlier and not await self._is_of_earlier_sessions():
            what = f"no {self._listed.noun} that earlier sessions have created exists: is this another account's token?"
            verdicts |= dict.fromkeys(earlier, Unsettled(nothing_certain(what), may_change=False))
        return {**findings, **verdicts}

    async def look_first(self, since: float) -> None:
        """Note the references of everything that was created since then, and whom objects without one are for.

        Raises:
            InvalidInputError: that is in the future, where nothing can be seen.
            SpotError: the list cannot be read as a whole.
        """
        sight, rows = await self._look(since)
        if sight.now is not None and since > sight.now + CLOCKS_S:
            raise InvalidInputError("look_first is in the future by the server's clock, so nothing was sent")
        if sight.trouble is not None:
            raise sight.trouble

        async def take(carried: _Carried[T]) -> None:
            for reference, objects in carried.items():
                for object_id, _, created in objects:
                    self._index.add_found(reference, object_id, created)

        await self._judge(rows, since, take)
        self._reading.note_judged(sight, since)
        self._note_without_reference()
        if self._unjudged:
            message = (
                f"{len(self._unjudged)} of the {self._listed.noun}s of that time cannot be read, so nothing was sent"
            )
            raise DecodeError(message, outcome="unknown")

    def _note_without_reference(self) -> None:
        for an_id, row in self._bare.items():
            if (mark := self._mark(row)) is not None:
                self._index.add_found(mark, an_id, seconds_of(row.created))
            else:
                self._index.add_bare(self._likeness(row) or b"")
        for row in self._unsigned.values():
            # Others' most likely; or the row's own, whose metadata somebody has replaced.
            if (sign := self._mark(row) or self._likeness(row)) is not None:
                self._index.add_bare(sign)

    async def audit(self, since: float) -> int:
        """Look for objects with the same reference among all that were created since then.

        Returns:
            how many of them could not be judged, or are not listed though they were created.

        Raises:
            SpotError: looking failed.
        """
        left, are_shown = await self._audited(since)
        if not are_shown:
            # The list is late, and may owe twins of what it does show.
            await clock.sleep(LIST_LAG_S, unless=asyncio.Event())
            left, are_shown = await self._audited(since)
        for reference, row in (await self._book.ask(lambda file: file.rows_of(self._early))).items():
            if row.object_id is not None:
                others = self._early.pop(reference)  # so that the next audit finds what is new
                self.duplicates += [(row.object_id, an_id) for an_id in others if row.object_id != an_id]
        return left + (not are_shown)

    async def _audited(self, since: float) -> tuple[int, bool]:
        """Audit once; return how many objects could not be judged, and whether the newest of the run's are listed."""
        await self._expect_newest()
        sight, rows = await self._look(since)
        if self._audit_until is None and sight.now is not None:
            # Others go on: what they create from now on would keep the audit from ever coming to its end.
            self._audit_until = sight.now + CLOCKS_S
        until = inf if self._audit_until is None else self._audit_until
        await self._leave_out_other_marks(rows)
        await self._judge(rows, since, self._ours, until=until)
        self._reading.note_judged(sight, since)
        if sight.trouble is not None:
            raise sight.trouble
        left = sum(self._may_be_ours(an_id, row, since, until) for an_id, row in self._unjudged.items())
        return left, not await self._controls.unseen(sight, since, are_late_s=LATE_S)

    async def _with_unaudited(self, since: float) -> float:
        """Return an earlier time if what the audit is about began shortly before: it need not read all of it again."""
        session = self._server_time.not_later_than(self._began_s) - LATE_S
        unaudited = await self._book.ask(lambda file: file.unaudited_since())
        begins = (session, since if unaudited is None else unaudited)
        return min((each for each in begins if since - _NEARBY_S < each < since), default=since)

    def _began(self, doubt: Doubt) -> float:
        return self._server_time.not_later_than(doubt.began_s) if doubt.began is None else doubt.began

    async def _is_of_earlier_sessions(self) -> bool:
        """Return whether the server knows what earlier sessions have created, if they have: another account does not.

        What this session creates is found whatever the account is, so it proves nothing about their rows.
        """
        if not self._is_theirs:
            earlier = await self._book.ask(lambda file: file.newest(_MOST_OF_EARLIER, of_earlier_sessions=True))
            got = await got_each(self._listed.get, [each.object_id for each in earlier])
            self._is_theirs = not got or not all(isinstance(each, NotFoundError) for each in got)
        return self._is_theirs

    async def _expect_newest(self) -> float | None:
        """Expect of the list what the run has surely created last; return when that was, None if there is nothing."""
        newest = await self._book.ask(lambda file: file.newest(MOST_CONTROLS))
        self._controls.expect(newest)
        return newest[0].created if newest else None

    async def _look(self, since: float) -> tuple[Sight[S], dict[str, S]]:
        """Read the list since then; return what it has shown, and what of it is not known, or was not judged before."""
        sight = await self._reading.read(since)
        own = await self._book.ask(lambda file: file.objects_among(sight.rows))
        dated = {an_id: seconds_of(sight.rows[an_id].created) for an_id in own}
        self._controls.note(dated, whole_since=since if sight.is_whole else None)
        others = {an_id: row for an_id, row in sight.rows.items() if an_id not in own and an_id not in self._foreign}
        return sight, {**self._unjudged, **others}

    async def _leave_out_other_marks(self, rows: Mapping[str, S]) -> None:
        """Note as others' what shows a mark that no row of the run has, so that it is not fetched."""
        marks = {an_id: mark for an_id, row in rows.items() if (mark := self._mark(row)) is not None}
        ours = await self._book.ask(lambda file: file.marks_among(marks.values())) if marks else set()
        self._foreign.update(an_id for an_id, mark in marks.items() if mark not in ours)

    async def _judge(
        self,
        rows: Mapping[str, S],
        since: float,
        take: Callable[[_Carried[T]], Awaitable[object]],
        until: float = inf,
    ) -> None:
        """Fetch the objects that are not known, the oldest first; hand over those that carry a reference.

        That is done a few at a time: where fetching fails, what was judged is not fetched again.
        """
        waiting = [an_id for an_id, row in rows.items() if self._may_be_ours(an_id, row, since, until)]
        waiting.sort(key=lambda an_id: seconds_of(rows[an_id].created) or 0.0)
        while waiting:
            group, waiting = waiting[:_SIDE_BY_SIDE], waiting[_SIDE_BY_SIDE:]
            carried: dict[bytes, list[_Object[T]]] = {}
            results = await got_each(self._listed.get, group)
            raise_if_down(results)
            for an_id, got in zip(group, results, strict=True):
                row = rows[an_id]
                if isinstance(got, SpotError):
                    self._note_unread(an_id, row, got)
                    continue
                self._unjudged.pop(an_id, None)
                evidence = self._listed.evidence_of(got)
                if evidence.is_bare:
                    self._bare[an_id] = row
                elif evidence.reference is None:
                    self._unsigned[an_id] = row
                else:
                    reference = reference_digest(self._digester, evidence.reference)
                    carried.setdefault(reference, []).append((an_id, got, seconds_of(row.created)))
            if carried:
                await take(carried)

    async def _by_mark(self, doubts: Sequence[Doubt]) -> dict[Doubt, Found]:
        """Return what shows no metadata, in this look or an earlier one, and is known by what else identifies it."""
        # Where two rows have one barcode, nobody knows whose it is.
        counts = Counter(doubt.mark for doubt in doubts)
        by_mark = {doubt.mark: doubt for doubt in doubts if doubt.mark is not None and counts[doubt.mark] == 1}
        matches = {an_id: by_mark[mark] for an_id, row in self._bare.items() if (mark := self._mark(row)) in by_mark}
        own = await self._book.ask(lambda file: file.objects_among(matches)) if matches else set()
        found: dict[Doubt, Found] = {}
        for an_id, doubt in matches.items():
            row = self._bare[an_id]
            if an_id in own or not self._may_be(doubt, row, inf):
                continue
            created = seconds_of(row.created)
            self._controls.note({an_id: created})
            if (first := found.get(doubt)) is None:
                found[doubt] = Found(an_id, await self._value(an_id), created)
            else:
                self.duplicates.append((first.object_id, an_id))
        return found

    async def _ours(self, carried: _Carried[T]) -> dict[bytes, _Object[T]]:
        """Return what belongs to rows of the run, and note the duplicates."""
        known = await self._book.ask(lambda file: file.rows_of(carried))
        ours: dict[bytes, _Object[T]] = {}
        for reference, objects in carried.items():
            row = known.get(reference)
            if row is None:
                self._foreign.update(an_id for an_id, _, _ in objects)
                self._early.setdefault(reference, []).extend(an_id for an_id, _, _ in objects)
                continue
            self._controls.note({an_id: created for an_id, _, created in objects})
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
        created = seconds_of(row.created)
        return created is None or since - CLOCKS_S <= created <= until

    def _note_unread(self, an_id: str, row: S, error: SpotError) -> None:
        if isinstance(error, NotFoundError) and an_id in self._unjudged:
            del self._unjudged[an_id]  # it was deleted
            self._foreign.add(an_id)
        else:
            self._unjudged[an_id] = row

    async def _value(self, an_id: str) -> T | None:
        (got,) = await got_each(self._listed.get, [an_id])
        return None if isinstance(got, SpotError) else got

    def _verdict(self, doubt: Doubt, shown_until: float | Unsettled) -> Finding:
        if isinstance(shown_until, Unsettled):
            return shown_until
        lands_until = self._server_time.not_earlier_than(doubt.lands_until_s)
        if lands_until is None or lands_until > shown_until:
            return Unsettled(nothing_certain("the list does not show yet what was created last"))
        noun = self._listed.noun
        for row in self._unjudged.values():
            if self._may_be(doubt, row, lands_until):
                return Unsettled(nothing_certain(f"{a(noun)} that may be it cannot be read"))
        for row in chain(self._bare.values(), self._unsigned.values()):
            if self._may_be(doubt, row, lands_until):
                return Unsettled(nothing_certain(f"{a(noun)} that may be it shows no reference"), may_change=False)
        return Absent()

    def _may_be(self, doubt: Doubt, row: S, lands_until: float) -> bool:
        created = seconds_of(row.created)
        if created is not None and not self._began(doubt) - CLOCKS_S <= created <= lands_until + CLOCKS_S:
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
