"""The journal as the run's event loop sees it: rows are taken at once, and written in groups by one thread."""

import asyncio
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial

from attrs import evolve

from spotdx_async._http import clock
from spotdx_async.bulk.journal.file import CHUNK, MOST_BEYOND_LAST, JournalFile
from spotdx_async.bulk.journal.records import Known, Recorded, RowDigests
from spotdx_async.bulk.records import Journal, State
from spotdx_async.errors import JournalError

_GROUP_ROWS = 500
_GROUP_S = 0.1
_MOST_UNRECORDED = 750
"""Below the 1,000 that are promised, to leave room for the rows in flight when it is reached."""
_MOST_KEPT = 1000


class JournalWriter:
    """Records rows in groups: 500 rows, or whatever has come within 100 ms; one group is written at a time.

    Close what you have opened. If the loop ends before that, the thread ends with the interpreter, and the journal is
    as a killed run leaves it.
    """

    def __init__(self, file: JournalFile, thread: ThreadPoolExecutor) -> None:
        self.last_index: int | None = file.last_index
        """The greatest row that earlier sessions have recorded; None where they recorded none."""
        self.had_sessions: bool = file.had_sessions
        """Whether there was a session before this one, which may have sent more than is recorded."""
        self.doubtful_below: int = file.doubtful_below
        """Rows below it that are not recorded may have been sent by a session that was killed."""
        self.may_land: frozenset[bytes] = frozenset(file.may_land.values())
        """Digests of the keys for which earlier sessions have sent a value that may still be executed."""
        self.failure: JournalError | None = None
        """Why nothing more can be written; the run must stop."""
        self.on_failure: Callable[[JournalError], object] = lambda _: None
        """Called once, in the loop, when that happens."""
        self.digests: Callable[[str, bytes], RowDigests] = file.digester.row
        """Computes what the journal keeps of a row, from its key and its content."""
        self._file = file
        self._thread = thread
        self._loop = asyncio.get_running_loop()
        self._waiting: list[Recorded] = []
        # Rows that may still land according to the file, and until when.
        self._landing: deque[tuple[float, int]] = deque()
        self._under_way = 0
        self._is_due = False
        self._timer: asyncio.TimerHandle | None = None
        self._room = asyncio.Event()
        self._room.set()
        # The greatest row in the file, and in the group that is being written.
        self._written_to: int = -1 if file.last_index is None else file.last_index
        self._writing_to = -1
        self._progress = asyncio.Event()
        self._known: dict[int, Known] = {}
        self._looked_up = range(0)
        self._closing: asyncio.Future[None] | None = None

    @classmethod
    async def open(cls, settings: Journal, *, operation: str, server: str) -> "JournalWriter":
        """Create the journal, or open the one that an earlier session of the same run has left.

        Raises:
            JournalError: for one of its reasons; an existing file is left as it was.
        """
        thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="spotdx journal")
        loop = asyncio.get_running_loop()
        opened: list[JournalFile] = []

        def open_it() -> None:
            opened.append(JournalFile.open(settings, operation=operation, server=server))

        try:
            await clock.seen_through(loop.run_in_executor(thread, open_it))
        except BaseException:
            # Cancelled: the journal may be open by now all the same. Closing it is queued on the thread before anything
            # is awaited, so that no further cancellation leaves it open.
            giving_back = loop.run_in_executor(thread, _give_back, opened)
            thread.shutdown(wait=False)
            await clock.seen_through(giving_back)
            raise
        return cls(opened[0], thread)

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

    @property
    def has_room(self) -> bool:
        """Whether another row may be sent: False while so many are unrecorded that a kill would repeat too many."""
        return self._room.is_set()

    async def room(self) -> None:
        """Wait until another row may be sent, or nothing can be written any more."""
        await self._room.wait()

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
            self._commit()
        elif self._timer is None:
            self._timer = clock.call_at(clock.now() + _GROUP_S, self._commit)
        if len(self._waiting) + self._under_way >= _MOST_UNRECORDED:
            self._room.clear()

    async def close(self, ending: str) -> None:
        """Write what is left and how the run ended, and release the journal; ``failure`` says what failed.

        A cancellation waits until it is done. Closing twice does nothing more.
        """
        if self._closing is None:
            self._stop_timer()
            # One job behind the group in progress: it is completed even if the loop is not.
            last = partial(self._file.close, self._waiting, ending, self._landed())
            self._closing = self._loop.run_in_executor(self._thread, last)
            self._closing.add_done_callback(self._on_closed)
            self._thread.shutdown(wait=False)
        with suppress(JournalError):
            await clock.seen_through(self._closing)

    def _commit(self) -> None:
        """Write a group, or arrange for one to be written after the current one."""
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
                self._commit()
            if len(self._waiting) + self._under_way < _MOST_UNRECORDED:
                self._room.set()

    def _on_closed(self, closing: asyncio.Future[None]) -> None:
        self._room.set()
        if (error := closing.exception()) is not None:
            self._fail(error)

    def _fail(self, error: BaseException) -> None:
        if self.failure is not None:
            return
        if not isinstance(error, JournalError):
            error = JournalError(f"{type(error).__name__} was raised while the journal was written", reason="disk")
        self.failure = error
        self._stop_timer()
        self._room.set()
        self._progress.set()
        self.on_failure(error)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def _give_back(opened: list[JournalFile]) -> None:
    for file in opened:
        with suppress(JournalError):
            file.close([], "stopped")
