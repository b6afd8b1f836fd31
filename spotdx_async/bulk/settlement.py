"""Settles what is in doubt: rows that may have been executed, and whose answer did not come.

A row is looked for when its request cannot be executed any more, by one look for all such rows. Found: it is done.
Not found, by a look that has shown that it can see: it was not executed, and may be sent again. Else it is parked.
"""

import asyncio
import sys
from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol, TypeAlias

from attrs import define, field, frozen

from spotdx_async._http import clock
from spotdx_async._http.retry import may_pass
from spotdx_async.bulk.create_rows import CreateRow
from spotdx_async.errors import (
    AuthenticationError,
    DecodeError,
    NotSentError,
    PermissionDeniedError,
    SpotError,
    StatusError,
)

LIST_LAG_S: Final = 10.0
"""How much later a list may show what was done: a choice, above the few seconds of a replica or a cache."""
_SHARE: Final = 0.5
"""Of the landing window, for which the first row that is due waits for others, so that one look does for all."""
_AGAIN_S: Final = 10.0
"""Until the first look after one that was not certain; each further one waits twice as long."""
_BUSY_AGAIN_S: Final = 30.0
"""The same while the run still creates: what it creates shows what a look can see."""
_MOST_LOOKS: Final = 4
"""At a row when nothing else is left to do; with the waits between them, more than a minute."""
_MOST_AUDIT_S: Final = 300.0
"""For which an audit that fails is tried again. A choice: the rows have their outcomes, and the caller waits."""


@define(eq=False)
class Doubt:
    """A row that may have been executed."""

    key: bytes = field(repr=False)
    """The digest of its key."""
    reference: bytes | None = field(repr=False)
    """The digest of the reference that it was sent with."""
    mark: bytes | None = field(repr=False)
    """The digest of what else identifies it."""
    began: float | None
    """When it was sent at the earliest, by the server's clock, in seconds since 1970; None: see ``began_s``."""
    lands_until_s: float
    """Until when it may be executed, on the loop's clock."""
    began_s: float = clock.NEVER_S
    """The same on the loop's clock, of a row of this session: the server's may not have been known then."""
    row: CreateRow | None = None
    """The row, once it was read."""
    look_at_s: float = 0.0
    """When to look for it."""
    was_sent_before: bool = False
    """Whether an earlier request of it was taken for lost, and the last one is not the only that may be executed."""
    looks: int = 0
    """How often nothing certain was seen while nothing else was left to do."""


@frozen
class Found:
    """It was executed."""

    object_id: str
    value: Any = field(default=None, repr=False)
    created: float | None = None
    """When, by the server's clock."""


@frozen
class Absent:
    """It was not executed, and will not be."""


@frozen
class Unsettled:
    """Neither is certain."""

    why: SpotError
    may_change: bool = True
    """Whether a later look may show more, though the run does nothing else."""


Finding: TypeAlias = Found | Absent | Unsettled


@frozen
class Unaudited:
    """What was not audited yet."""

    since: float
    """When the first of it was sent at the earliest, by the server's clock."""
    look_at_s: float
    """Before when it may still be executed once more, on the loop's clock."""


class Look(Protocol):
    """Looks at the server for rows in doubt."""

    duplicates: list[tuple[str, str]]
    """The ids of objects with the same reference, in pairs."""

    async def settle(self, doubts: Sequence[Doubt]) -> Mapping[Doubt, Finding]:
        """Look once for all of these; the rows in doubt that are missing in the answer are not settled either.

        Raises:
            SpotError: looking failed.
        """
        ...

    async def look_first(self, since: float) -> None:
        """Note which objects were created since then, by the server's clock, before anything is sent.

        Raises:
            InvalidInputError: that is in the future.
            SpotError: that cannot be seen as a whole.
        """
        ...

    async def audit(self, since: float) -> int:
        """Look for objects with the same reference among all that were created since then, by the server's clock.

        Returns:
            how many of them could not be judged, or are not listed yet; the next call looks at them again.

        Raises:
            SpotError: looking failed.
        """
        ...


class Host(Protocol):
    """The run, as its settlement sees it."""

    def is_at_rest(self) -> bool:
        """Return whether nothing is left to do but to settle what is in doubt."""
        ...

    def may_read_more(self) -> bool:
        """Return whether the input has not come to its end, so that a row of an earlier session may still come."""
        ...

    def has_ended(self) -> bool:
        """Return whether every row has its outcome."""
        ...

    def settled(self, doubt: Doubt, finding: Finding) -> None:
        """Take what was found; Unsettled means that the row is parked."""
        ...

    async def unaudited(self) -> Unaudited | None:
        """Return what this session and earlier ones have sent and not audited; None if that is nothing."""
        ...

    def audited(self, began_s: float) -> None:
        """Take that all of it was audited, by a look that began at this moment of the loop's clock."""
        ...


class Settlement:
    """Keeps the rows in doubt, and looks for them when it is time."""

    def __init__(
        self, look: Look, host: Host, *, lands_within_s: float, outage_limit_s: float, only_settles: bool = False
    ) -> None:
        """Start with nothing in doubt.

        Args:
            look: looks at the server.
            host: the run.
            lands_within_s: how long a request may be on its way.
            outage_limit_s: for how long looking may fail before rows are parked.
            only_settles: whether the run sends nothing, so that nothing can be executed twice because of it.
        """
        self._look, self._host, self._only_settles = look, host, only_settles
        self._lands_within_s, self._outage_limit_s = lands_within_s, outage_limit_s
        self._doubts: dict[bytes, Doubt] = {}
        self._news = asyncio.Event()
        self._failing_since_s: float | None = None
        self._failures = self._refusals = 0
        self.audit_after_s: float = clock.NEVER_S
        """Before when a row that was sent again may still be executed twice, on the loop's clock."""
        self.resolved: dict[bytes, Finding] = {}
        """What became of rows of earlier sessions that were settled before they were read."""
        self.audit_error: SpotError | None = None
        """Why the run could not be audited; None if it was, or had no need to."""

    def add(self, doubt: Doubt) -> None:
        """Take a row that is in doubt."""
        doubt.look_at_s = doubt.lands_until_s + LIST_LAG_S
        was_idle = not self._doubts
        self._doubts[doubt.key] = doubt
        if was_idle:
            self._news.set()

    def doubt_of(self, key: bytes) -> Doubt | None:
        """Return the doubt about a row, if it is not settled."""
        return self._doubts.get(key)

    def note_end(self) -> None:
        """Look whether the run has ended: rows have their outcomes."""
        self._news.set()

    async def run(self) -> None:
        """Settle until the run has ended and nothing is in doubt, then audit it."""
        while self._doubts or not self._host.has_ended():
            self._news.clear()
            if not self._doubts:
                await self._news.wait()
                continue
            first_s = min(each.look_at_s for each in self._doubts.values())
            await self._sleep_until(first_s)
            last_s = max(each.look_at_s for each in self._doubts.values())
            await self._sleep_until(min(last_s, first_s + _SHARE * self._lands_within_s))
            now_s = clock.now()
            due = [each for each in self._doubts.values() if each.look_at_s <= now_s + clock.INSTANT_S]
            if due:
                await self._look_for(due)
        await self._audit()

    async def _sleep_until(self, moment_s: float) -> None:
        never = asyncio.Event()
        if (wait_s := moment_s - clock.now()) > 0:
            await clock.sleep(wait_s, unless=never)

    async def _look_for(self, due: Sequence[Doubt]) -> None:
        was_at_rest = self._host.is_at_rest()
        try:
            findings = await self._look.settle(due)
        except SpotError as error:
            self._note_failure(due, error.with_traceback(None))
            return
        self._failing_since_s, self._failures, self._refusals = None, 0, 0
        for doubt in due:
            finding = findings.get(doubt)
            if finding is None:
                doubt.look_at_s = clock.now() + _AGAIN_S
            elif not isinstance(finding, Unsettled):
                self._end(doubt, finding)
            elif not was_at_rest or (doubt.row is None and self._host.may_read_more()):
                doubt.look_at_s = clock.now() + _BUSY_AGAIN_S
            else:
                doubt.looks += 1
                if doubt.looks >= _MOST_LOOKS or not finding.may_change:
                    self._end(doubt, finding)
                else:
                    doubt.look_at_s = clock.now() + _AGAIN_S * 2.0 ** (doubt.looks - 1)

    def _note_failure(self, due: Sequence[Doubt], error: SpotError) -> None:
        now_s = clock.now()
        if self._failing_since_s is None:
            self._failing_since_s = now_s
        self._failures += 1
        self._refusals = 0 if may_pass(error) else self._refusals + 1
        is_refused = self._refusals >= _most_refusals(error)
        if is_refused or now_s - self._failing_since_s >= self._outage_limit_s:
            for doubt in due:
                self._end(doubt, Unsettled(error, may_change=False))
            return
        pause_s = min(_BUSY_AGAIN_S, 2.0 ** (self._failures - 1))
        for doubt in due:
            doubt.look_at_s = now_s + pause_s

    def _end(self, doubt: Doubt, finding: Finding) -> None:
        del self._doubts[doubt.key]
        if doubt.was_sent_before or isinstance(finding, Absent):
            # By then it would have been executed even if that took twice as long as was assumed.
            self.audit_after_s = max(self.audit_after_s, doubt.lands_until_s + self._lands_within_s + LIST_LAG_S)
        if doubt.row is None:
            self.resolved[doubt.key] = finding
        self._host.settled(doubt, finding)

    async def _audit(self) -> None:
        try:
            unaudited = await self._host.unaudited()
        except SpotError as error:  # the journal cannot be read, which stops the run by itself
            self.audit_error = error.with_traceback(None)
            return
        if unaudited is None:
            return
        try:
            await self._see_to_audit(unaudited)
        except asyncio.CancelledError:
            self.audit_error = self.audit_error or NotSentError("the run was stopped first", reason="stopped")
            raise

    async def _see_to_audit(self, unaudited: Unaudited) -> None:
        look_at_s = max(self.audit_after_s, unaudited.look_at_s)
        if not self._only_settles:
            await self._sleep_until(look_at_s)
        failures, least_left, failing_since_s, pairs = 0, sys.maxsize, clock.NEVER_S, 0
        while True:
            began_s = clock.now()
            left = await self._tried_audit(unaudited.since)
            if left == 0 and len(self._look.duplicates) > pairs:
                # Something repeats requests, and what it has done last may be what the list does not show yet.
                pairs = len(self._look.duplicates)
                await self._sleep_until(clock.now() + LIST_LAG_S)
                continue
            if left == 0:
                if clock.now() >= look_at_s - clock.INSTANT_S:
                    self._host.audited(began_s)
                return
            if left is not None and left < least_left:
                failures, least_left = 0, left
            if not failures:
                failing_since_s = clock.now()
            failures += 1
            # Somebody else's object may be unreadable for good.
            has_taken_s = sys.maxsize if left is not None else clock.now() - failing_since_s
            is_in_vain = failures > _MOST_LOOKS and has_taken_s >= min(self._outage_limit_s, _MOST_AUDIT_S)
            if is_in_vain or not self._may_audit_again(failures):
                return
            await self._sleep_until(clock.now() + min(_BUSY_AGAIN_S, 2.0 ** (failures - 1)))

    async def _tried_audit(self, since: float) -> int | None:
        """Audit once, and note what went wrong; return how many objects are left, None if looking failed."""
        try:
            left = await self._look.audit(since)
        except SpotError as error:
            self.audit_error = error.with_traceback(None)
            return None
        message = f"objects that may be duplicates ({left}) cannot be read, or are not listed yet"
        self.audit_error = DecodeError(message, outcome="unknown") if left else None
        return left

    def _may_audit_again(self, failures: int) -> bool:
        error = self.audit_error
        return error is None or may_pass(error) or failures < _most_refusals(error)


def _most_refusals(error: SpotError) -> int:
    """Return how many looks may be refused, one after another, before the next would certainly be as well."""
    # A 400, 404, 413 or 414 for a list that was there before may be a proxy's, in the midst of a deployment, say.
    is_of_proxy = isinstance(error, StatusError) and not isinstance(error, (AuthenticationError, PermissionDeniedError))
    return _MOST_LOOKS if is_of_proxy else 1
