"""Looks for activations in doubt: each by getting its kit, which says whether it is registered, and to whom."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final

from spotdx_async._requests.answers import ServerClock
from spotdx_async._requests.object_search import got_each
from spotdx_async.bulk.create_rows import CreateRow
from spotdx_async.bulk.listed import OF_ONE_OBJECT, nothing_certain
from spotdx_async.bulk.server_time import ServerTime
from spotdx_async.bulk.settlement import Absent, Doubt, Finding, Found, Unsettled
from spotdx_async.errors import SpotError
from spotdx_async.models import Kit

_SIDE_BY_SIDE: Final = 8


class KitLook:
    """Looks at kits. A row that is not in the input any more cannot be judged: nobody knows whose patient it was."""

    def __init__(
        self,
        get: Callable[[str], Awaitable[tuple[Kit, ServerClock | None, bool]]],
        judge: Callable[[Kit, Mapping[str, Any]], bool | None],
        server_time: ServerTime,
    ) -> None:
        """Keep what it looks with.

        Args:
            get: gets a kit, the server's clock, and whether the answer comes from a cache.
            judge: returns whether the kit is registered to the patient of an activation; None if it does not tell.
            server_time: learns the server's time.
        """
        self._get, self._judge, self._server_time = get, judge, server_time
        self.duplicates: list[tuple[str, str]] = []

    async def settle(self, doubts: Sequence[Doubt]) -> Mapping[Doubt, Finding]:
        """Get the kit of each.

        Raises:
            SpotError: looking failed.
        """
        findings: dict[Doubt, Finding] = {}
        waiting = []
        for doubt in doubts:
            if doubt.row is None:
                # While the input is being read the run looks again in any case.
                findings[doubt] = Unsettled(nothing_certain("the row is not in the input"), may_change=False)
            else:
                waiting.append((doubt, doubt.row))
        while waiting:
            group, waiting = waiting[:_SIDE_BY_SIDE], waiting[_SIDE_BY_SIDE:]
            for (doubt, row), got in zip(group, await got_each(self._get, [row.key for _, row in group]), strict=True):
                findings[doubt] = self._unread(got) if isinstance(got, SpotError) else self._finding(*got, row)
        return findings

    async def look_first(self, since: float) -> None:
        """Do nothing: an activation has no day."""

    async def audit(self, since: float) -> int:  # noqa: ARG002 - as other looks are asked
        """Do nothing, and leave nothing out: a kit is registered once."""
        return 0

    def _finding(self, kit: Kit, server: ServerClock | None, is_cached: bool, row: CreateRow) -> Finding:
        verdict = self._judge(kit, row.target.clue.subject)
        if verdict:
            return Found(row.key)
        if verdict is None:
            return Unsettled(nothing_certain("the kit does not tell whether it is registered to this patient"))
        if row.is_other and kit.registered_to is not None:
            # Nobody knows any more for whom that session would have registered it.
            return Unsettled(
                nothing_certain("the kit is registered, and not to the patient whom this row names now"),
                may_change=False,
            )
        if is_cached or server is None:
            return Unsettled(
                nothing_certain("the answer has no Date or came from a cache, so it may be old"), may_change=is_cached
            )
        self._server_time.note(server.now)
        return Absent()

    @staticmethod
    def _unread(error: SpotError) -> Unsettled:
        if not isinstance(error, OF_ONE_OBJECT):
            raise error.with_traceback(None)
        return Unsettled(error)
