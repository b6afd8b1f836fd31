"""The journal as the run's event loop sees it: rows are taken at once, and written in groups by one thread."""

import asyncio
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from attrs import evolve

from spotdx_async._http import clock
from spotdx_async.bulk.journal.file import CHUNK, MOST_BEYOND_LAST, JournalFile
from spotdx_async.bulk.journal.group_writer import GroupWriter
from spotdx_async.bulk.journal.records import Known, Recorded, RowDigests
from spotdx_async.bulk.records import Journal, State
from spotdx_async.errors import JournalError

_GROUP_ROWS = 500
_MOST_UNRECORDED = 750
"""Below the 1,000 that are promised, to leave room for the rows in flight when it is reached."""
_MOST_KEPT = 1000


class JournalWriter(GroupWriter[JournalFile]):
    """Records rows in groups: 500 rows, or whatever has come within 100 ms; one group is written at a time."""

    def __init__(self, file: JournalFile, thread: ThreadPoolExecutor) -> None:
        super().__init__(file, thread)
        self.last_index: int | None = file.last_index
        """The greatest row that earlier sessions have recorded; None where they recorded none."""
        self.had_sessions: bool = file.had_sessions
        """Whether there was a session before this one, which may have sent more than is recorded."""
        self.doubtful_below: int = file.doubtful_below
        """Rows below it that are not recorded may have been sent by a session that was killed."""
        self.may_land: frozenset[bytes] = frozenset(file.may_land.values())
        """Digests of the keys for which earlier sessions have sent a value that may still be executed."""
        self.digests: Callable[[str, bytes], RowDigests] = file.digester.row
        """Computes what the journal keeps of a row, from its key and its content."""
        self._waiting: list[Recorded] = []
        # Rows that may still land according to the file, and until when.
        self._landing: deque[tuple[float, int]] = deque()
        self._under_way = 0
        self._is_due = False
        # The greatest row in the file, and in the group that is being written.
        self._written_to: int = -1 if file.last_index is None else file.last_index
        self._writing_to = -1
        self._progress = asyncio.Event()
        self._known: dict[int, Known] = {}
        self._looked_up = range(0)

    @classmethod
    async def open(cls, settings: Journal, *, operation: str, server: str) -> "JournalWriter":
        """Create the journal, or open the one that an earlier session of the same run has left.

        Raises:
            JournalError: for one of its reasons; an existing file is left as it was.
        """
        return await cls._opened(lambda: JournalFile.open(settings, operation=operation, server=server), cls)

    async def known(self, index: int) -> Known | None:
        """Return what earlier sessions have recorded about a row; ask in rising order.

        Raises:
            JournalError: the journal cannot be read any more.
        """
        if self.last_index is None or index > self.last_index:
            return None
        if index not in self._looked_up:
            try:
                self._known = await self._loop.run_in_executor(self._thread, self._file.known, index)
            except JournalError as error:
                self._fail(error)
                raise
            self._looked_up = range(index, index + CHUNK)
        return self._known.get(index)

    def may_read(self, index: int) -> bool:
        """Return whether a row may be read: no further ahead of the writing than the session after a kill doubts."""
        return index < self._written_to + MOST_BEYOND_LAST or self.failure is not None

    async def wait_to_read(self, index: int) -> None:
        """Wait until the row may be read, or nothing can be written any more."""
        while not self.may_read(index):
            self._progress.clear()
            await self._progress.wait()

    def forget_landed_at(self, until_s: float) -> None:
        """Set until when, on the loop's clock, writes of earlier sessions may still be executed."""
        self._landing.extend((until_s, row) for row in self._file.may_land)

    def record(self, index: int, state: State, digests: RowDigests, *, lands_until_s: float = clock.NEVER_S) -> None:
        """Accept a row that has ended; it is written with its group. Never waits.

        Args:
            index: its number.
            state: how it ended.
            digests: the row's.
            lands_until_s: until when an attempt of it may still be executed, on the loop's clock.
        """
        if self._closing is not None:
            return
        if state == "ok" and lands_until_s > clock.NEVER_S and lands_until_s > clock.now():
            digests = evolve(digests, may_land=True)
            self._landing.append((lands_until_s, index))
        waiting = self._waiting
        if self.failure is None or len(waiting) < _MOST_KEPT:
            waiting.append((index, state, digests))
        if self.failure is not None:
            return  # rows sent before the run could stop get a last chance when the journal is closed
        if len(waiting) >= _GROUP_ROWS:
            self._write()
        else:
            self._write_soon()
        if len(self._waiting) + self._under_way >= _MOST_UNRECORDED:
            self._room.clear()

    def _last_job(self, ending: str) -> Callable[[], None]:
        return partial(self._file.close, self._waiting, ending, self._landed())

    def _write(self) -> None:
        self._stop_timer()
        self._is_due = True
        if self._under_way:
            return
        group, self._waiting = self._waiting[:_MOST_KEPT], self._waiting[_MOST_KEPT:]
        self._is_due = bool(self._waiting)
        self._under_way = len(group)
        self._writing_to = max((row for row, _, _ in group), default=-1)
        writing = self._loop.run_in_executor(self._thread, self._file.write, group, None, self._landed())
        writing.add_done_callback(self._on_written)

    def _landed(self) -> list[int]:
        """Return the rows that cannot land any more, by the loop's clock: no other can be trusted."""
        landed, now_s = [], clock.now()
        while self._landing and self._landing[0][0] <= now_s:
            landed.append(self._landing.popleft()[1])
        return landed

    def _on_written(self, writing: asyncio.Future[None]) -> None:
        self._under_way = 0
        if (error := writing.exception()) is not None:
            self._fail(error)
        elif self._closing is None:
            self._written_to = max(self._written_to, self._writing_to)
            self._progress.set()
            if self._is_due:
                self._write()
            if len(self._waiting) + self._under_way < _MOST_UNRECORDED:
                self._room.set()

    def _release_waiters(self) -> None:
        self._progress.set()
