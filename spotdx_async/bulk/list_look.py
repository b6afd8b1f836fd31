"""Looks for what is in doubt in a list: one scan for all rows, and one get for each object that is not known.

"Not there" counts only if the same scan shows that it can see: it has the newest objects that the run has surely
created, and one of them came back with its reference.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Final, Generic, TypeVar

from attrs import define, field, frozen

from spotdx_async._http.runner import Runner
from spotdx_async._requests.object_search import A_DAY, Row, Scan, got_each
from spotdx_async.bulk.create_reader import CreateReader, likeness_digest, mark_digest, reference_digest
from spotdx_async.bulk.create_rows import a
from spotdx_async.bulk.journal.creates_file import Created, KnownCreate, Settled
from spotdx_async.bulk.journal.reading import CODES
from spotdx_async.bulk.server_time import ServerTime
from spotdx_async.bulk.settlement import Absent, Doubt, Finding, Found, Unsettled
from spotdx_async.errors import (
    BadRequestError,
    DecodeError,
    InvalidInputError,
    NotFoundError,
    PermissionDeniedError,
    SpotError,
)
from spotdx_async.pagination import PAGE_SIZE, Listing

S = TypeVar("S", bound=Row)
T = TypeVar("T")

_SIDE_BY_SIDE: Final = 8
_CONTROLS: Final = 50
"""Of the newest objects that the run has created, how many a scan must show. A choice: more than are created within the
seconds for which a list may be late at ten a second; those before them are seen with them."""
_MOST_CHECKED: Final = 3
"""Of them, how many are fetched to see whether the reference comes back; one that does is enough."""
_CLOCKS_S: Final = 600.0
"""How far the clock that dates objects may be from the one that dates answers, as for ``reconcile``."""
_LATE_S: Final = 60.0
"""How far before the newest row of the last scan the next one begins: more than a list may be late."""
_OF_ONE_OBJECT = (BadRequestError, DecodeError, InvalidInputError, NotFoundError, PermissionDeniedError)


@frozen
class Evidence:
    """What an object shows of its origin."""

    reference: str | None = field(default=None, repr=False)
    """The reference in its metadata; None without one."""
    is_bare: bool = False
    """Whether it shows no metadata at all."""


@frozen(kw_only=True)
class Listed(Generic[S, T]):
    """How objects of one kind are listed, got and recognised."""

    noun: str
    listing: Listing[S]
    get: Callable[[str], Awaitable[T]]
    keep: Callable[[S], S]
    """Returns what is needed of a row."""
    evidence_of: Callable[[T], Evidence]
    likeness_of: Callable[[S], str | None]
    """Returns what the rows for one person have in common; None if the row does not tell."""
    mark_of: Callable[[S], str | None] = lambda _row: None
    """Returns what else identifies a row, such as a barcode; None if it shows none."""


@define
class _Sight(Generic[S]):
    """What the list has shown by now."""

    rows: dict[str, S]
    """Objects that are not the run's own, as far as it knows, and were not judged."""
    visible: frozenset[str]
    """The ids that this scan has shown."""
    now: float | None
    """The server's time when it began, in seconds since 1970."""
    trouble: SpotError | None


class ListLook(Generic[S, T]):
    """Looks in a list. It remembers between looks which objects are others' and how far it has read."""

    def __init__(self, listed: Listed[S, T], runner: Runner, reader: CreateReader, server_time: ServerTime) -> None:
        self._listed, self._runner, self._server_time = listed, runner, server_time
        self._book, self._index = reader.book, reader.index
        self._digester = reader.book.digester
        self.duplicates: list[tuple[str, str]] = []
        self._foreign: set[str] = set()
        # Objects that could not be judged by the last look, and the controls that it did not show.
        self._unjudged: dict[str, S] = {}
        self._bare: dict[str, S] = {}
        self._unseen: dict[str, Created] = {}
        self._shown: set[str] = set()
        # From when on, and up to which change, the list was read as a whole.
        self._read_from: float | None = None
        self._read_to: float | None = None

    async def settle(self, doubts: Sequence[Doubt]) -> Mapping[Doubt, Finding]:
        """Look once for all of these.

        Raises:
            SpotError: looking failed.
        """
        controls = await self._book.ask(lambda file: file.newest(_CONTROLS))
        since = min(doubt.began for doubt in doubts)
        if controls:
            since = min(since, controls[0].created)
        sight = await self._scan(since)
        by_reference = {doubt.reference: doubt for doubt in doubts if doubt.reference is not None}
        by_mark = {doubt.mark: doubt for doubt in doubts if doubt.mark is not None}
        found = await self._judge(sight, since, by_mark)
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
            shown_until = await self._shown_until(sight, controls, since, is_proven=bool(found))
            findings.update({doubt: self._verdict(doubt, shown_until) for doubt in left})
        return findings

    async def look_first(self, since: float) -> None:
        """Note the references of everything that was created since then, and whom objects without metadata are for.

        Raises:
            SpotError: the list cannot be read as a whole.
        """
        sight = await self._scan(since)
        if sight.trouble is not None:
            raise sight.trouble
        for reference, (object_id, _, _) in (await self._judge(sight, since, {}, is_first=True)).items():
            self._index.add_found(reference, object_id)
        for row in self._bare.values():
            if (likeness := self._likeness(row)) is not None:
                self._index.add_bare(likeness)
        if self._unjudged:
            message = (
                f"{len(self._unjudged)} of the {self._listed.noun}s of that time cannot be read, so nothing was sent"
            )
            raise DecodeError(message, outcome="unknown")

    async def audit(self, since: float) -> None:
        """Look for objects with the same reference among all that were created since then.

        Raises:
            SpotError: looking failed.
        """
        sight = await self._scan(since)
        await self._judge(sight, since, {})
        if sight.trouble is not None:
            raise sight.trouble

    async def _scan(self, since: float) -> _Sight[S]:
        """Read the list since then, or since what was read before."""
        from_s = since - _CLOCKS_S
        if self._read_from is not None and self._read_to is not None and self._read_from <= from_s:
            from_s = max(from_s, self._read_to - _LATE_S)
        first_day = (datetime.fromtimestamp(min(from_s, since), UTC) - A_DAY).date()
        down_to = datetime.fromtimestamp(from_s, UTC)
        scan: Scan[S] = await self._listed.listing.scan(
            self._runner,
            lambda _clock: max(first_day, date(2, 1, 1)),
            down_to=down_to,
            keep=self._listed.keep,
            page_size=PAGE_SIZE,
        )
        now = None
        if scan.clock is not None:
            self._server_time.note(scan.clock.now)
            now = scan.clock.now.timestamp()
        id_of = self._listed.listing.id_of
        named = {an_id: row for row in scan.rows if (an_id := id_of(row))}
        trouble = scan.trouble
        if trouble is None and len(named) < len(scan.rows):
            trouble = DecodeError("a row of the list has no id, so it cannot be looked up", outcome="done")
        if trouble is None:
            if self._read_from is None or since - _CLOCKS_S < self._read_from:
                self._read_from = since - _CLOCKS_S
            changes = [row.updated.timestamp() for row in scan.rows if row.updated is not None]
            if self._listed.listing.is_newest_change_first and changes:
                self._read_to = max(changes) if self._read_to is None else max(self._read_to, *changes)
        own = await self._book.ask(lambda file: file.objects_among(named))
        rows = {
            **self._unjudged,
            **{an_id: row for an_id, row in named.items() if an_id not in own and an_id not in self._foreign},
        }
        return _Sight(rows, frozenset(named), now, trouble)

    async def _judge(
        self, sight: _Sight[S], since: float, by_mark: Mapping[bytes, Doubt], *, is_first: bool = False
    ) -> dict[bytes, tuple[str, T, float | None]]:
        """Fetch the objects that are not known; return those with a reference of the run that was not known before."""
        waiting = [an_id for an_id, row in sight.rows.items() if self._may_be_ours(an_id, row, since, by_mark)]
        carried: dict[bytes, list[tuple[str, T, float | None]]] = {}
        while waiting:
            group, waiting = waiting[:_SIDE_BY_SIDE], waiting[_SIDE_BY_SIDE:]
            for an_id, got in zip(group, await got_each(self._listed.get, group), strict=True):
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
                    self._foreign.add(an_id)
                else:
                    reference = reference_digest(self._digester, evidence.reference)
                    carried.setdefault(reference, []).append((an_id, got, _seconds(row.created)))
        if is_first:
            return {reference: objects[0] for reference, objects in carried.items()}
        return await self._ours(carried)

    async def _ours(
        self, carried: Mapping[bytes, list[tuple[str, T, float | None]]]
    ) -> dict[bytes, tuple[str, T, float | None]]:
        """Return what belongs to rows of the run, and note the duplicates."""
        known = await self._book.ask(lambda file: file.rows_of(carried))
        ours: dict[bytes, tuple[str, T, float | None]] = {}
        for reference, objects in carried.items():
            row = known.get(reference)
            if row is None:
                self._foreign.update(an_id for an_id, _, _ in objects)
                continue
            objects.sort(key=lambda each: (each[2] is None, each[2]))
            first = row.object_id if row.state == CODES["ok"] else None
            if first is None:
                first = objects[0][0]
                ours[reference] = objects[0]
                self._note_late(row, objects[0])
            self.duplicates += [(first, an_id) for an_id, _, _ in objects if an_id != first]
            self._foreign.update(an_id for an_id, _, _ in objects)
        return ours

    def _note_late(self, row: KnownCreate, found: tuple[str, T, float | None]) -> None:
        """Record an object of a row that nobody looked for any more, so that it is never sent again."""
        an_id, _, created = found
        self._book.record(Settled(row.key, CODES["ok"], an_id, created))

    def _may_be_ours(self, an_id: str, row: S, since: float, by_mark: Mapping[bytes, Doubt]) -> bool:
        if an_id in self._bare:
            return False
        created = _seconds(row.created)
        if created is not None and created < since - _CLOCKS_S:
            return False
        mark = self._mark(row)
        return mark is None or mark in by_mark or not by_mark

    def _note_unread(self, an_id: str, row: S, error: SpotError) -> None:
        if not isinstance(error, _OF_ONE_OBJECT):
            raise error.with_traceback(None)
        if isinstance(error, NotFoundError) and an_id in self._unjudged:
            del self._unjudged[an_id]  # it was deleted
            self._foreign.add(an_id)
        else:
            self._unjudged[an_id] = row

    async def _value(self, an_id: str) -> T | None:
        (got,) = await got_each(self._listed.get, [an_id])
        return None if isinstance(got, SpotError) else got

    async def _shown_until(
        self, sight: _Sight[S], controls: Sequence[Created], since: float, *, is_proven: bool
    ) -> float | Unsettled:
        """Return up to when the scan has surely shown what was created, by the server's clock; or why nobody knows."""
        if sight.trouble is not None:
            return Unsettled(sight.trouble)
        if sight.now is None:
            what = "the answers have no Date, so nobody knows what is older than the rows in doubt"
            return Unsettled(_error(what), may_change=False)
        self._shown |= sight.visible.intersection(each.object_id for each in (*controls, *self._unseen.values()))
        expected = {each.object_id: each for each in controls if each.created >= since} | self._unseen
        unseen = {an_id: each for an_id, each in expected.items() if an_id not in self._shown}
        self._unseen = await self._still_there(unseen)
        if not is_proven and not await self._come_back([each for each in controls if each.object_id in self._shown]):
            what = f"no {self._listed.noun} that the run has surely created came back in the list with its reference"
            return Unsettled(_error(f"{what}, so nobody knows what the list leaves out"), may_change=bool(self._unseen))
        return min((each.created for each in self._unseen.values()), default=sight.now)

    async def _still_there(self, unseen: Mapping[str, Created]) -> dict[str, Created]:
        """Return those that exist, though the list does not show them: a deleted one proves nothing."""
        if not unseen:
            return {}
        oldest = sorted(unseen.values(), key=lambda each: each.created)[:_SIDE_BY_SIDE]
        ids = [each.object_id for each in oldest]
        results = await got_each(self._listed.get, ids)
        gone = {an_id for an_id, got in zip(ids, results, strict=True) if isinstance(got, NotFoundError)}
        return {an_id: each for an_id, each in unseen.items() if an_id not in gone}

    async def _come_back(self, seen: Sequence[Created]) -> bool:
        """Return whether one of them shows its reference."""
        for control in [each for each in seen if each.reference is not None][:_MOST_CHECKED]:
            (got,) = await got_each(self._listed.get, [control.object_id])
            if isinstance(got, SpotError):
                if not isinstance(got, _OF_ONE_OBJECT):
                    raise got.with_traceback(None)
                continue
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
        for an_id, row in self._bare.items():
            if self._may_be(doubt, row, lands_until):
                return Unsettled(_error(f"{a(noun)} that may be it shows no metadata ({an_id})"), may_change=False)
        return Absent()

    def _may_be(self, doubt: Doubt, row: S, lands_until: float) -> bool:
        created = _seconds(row.created)
        if created is not None and not doubt.began - _CLOCKS_S <= created <= lands_until + _CLOCKS_S:
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


def evidence_of(metadata: Mapping[str, object] | None, key: str) -> Evidence:
    """Return what an object's metadata show, by the key of references."""
    if metadata is None:
        return Evidence(is_bare=True)
    reference = metadata.get(key)
    return Evidence(reference if isinstance(reference, str) else None)
