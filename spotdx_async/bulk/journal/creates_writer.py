"""The journal of a run that creates, as its event loop sees it: what is about to be sent waits until it is synced.

Rows that are about to be sent while a group is being written share the next sync.
"""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, TypeVar

from spotdx_async.bulk.journal.creates_file import CreatesFile, Entry, KnownCreate, LookUp, TemporaryCreates
from spotdx_async.bulk.journal.group_writer import GroupWriter
from spotdx_async.bulk.journal.paths import of_creates
from spotdx_async.bulk.journal.records import Digester
from spotdx_async.bulk.records import Journal
from spotdx_async.errors import JournalError

T = TypeVar("T")

_MOST_WAITING = 1000


class CreatesWriter(GroupWriter[CreatesFile]):
    """Records rows in groups: a kill within 100 ms of a row's end leaves it in doubt."""

    def __init__(self, file: CreatesFile, thread: ThreadPoolExecutor, look_up: LookUp | None) -> None:
        super().__init__(file, thread)
        self.digester: Digester = file.digester
        """Computes the digests of rows."""
        self.in_doubt: tuple[KnownCreate, ...] = file.in_doubt
        """Rows of earlier sessions that may have been executed."""
        self.audit_after: float | None = file.audit_after
        """Until when something may be executed twice that earlier sessions have sent again, by the server's clock.
        """
        self.looks_first: str | None = file.looks_first
        """From which day on an earlier session has looked at what was there before it."""
        self._look_up = look_up
        self._waiting: list[Entry] = []
        self._at_end: list[Entry] = []
        self._intended: list[asyncio.Future[bool]] = []
        self._is_writing = False

    @classmethod
    async def open(cls, settings: Journal | None, *, operation: str, server: str, batch: str | None) -> "CreatesWriter":
        """Create the journal, or open the one that an earlier session of the same batch has left.

        Args:
            settings: where it is; None for a run that cannot be resumed.
            operation: what the run does.
            server: with which server.
            batch: the name of the batch; a journal belongs to one. None: that of any.

        Raises:
            JournalError: for one of its reasons; an existing file is left as it was.
        """

        def open_it() -> CreatesFile:
            if settings is None:
                return TemporaryCreates()
            place = Journal(settings.path, fingerprint=batch)
            return _refused(lambda: CreatesFile.open(place, operation=operation, server=server))

        return await cls._opened(open_it, lambda file, thread: cls(file, thread, _refused(file.look_up)))

    def known(self, key: bytes) -> KnownCreate | None:
        """Return what earlier sessions, and groups that were written, say of a row.

        It reads one row by its key, without leaving the loop's thread: nothing waits, so no row that was taken from the
        input can get lost meanwhile.

        Raises:
            JournalError: the journal cannot be read any more.
        """
        return None if self._look_up is None else self._look_up.known(key)

    def with_reference(self, reference: bytes) -> KnownCreate | None:
        """Return the same of the row with a reference.

        Raises:
            JournalError: the journal cannot be read any more.
        """
        return None if self._look_up is None else self._look_up.with_reference(reference)

    def with_object(self, object_id: str) -> KnownCreate | None:
        """Return the same of the row that has created an object.

        Raises:
            JournalError: the journal cannot be read any more.
        """
        return None if self._look_up is None else self._look_up.with_object(object_id)

    @property
    def can_resume(self) -> bool:
        """Whether it outlasts this process."""
        return self._look_up is not None

    def may_read(self, index: int) -> bool:  # noqa: ARG002 - as other journals are asked
        """Return True: rows are known by their keys, whatever their numbers."""
        return True

    async def wait_to_read(self, index: int) -> None:
        """Do nothing: see ``may_read``."""

    async def intend(self, entry: Entry) -> bool:
        """Record a row that is about to be sent; return, once it is synced, whether it may be."""
        (written,) = self.intend_all([entry])
        return await written

    def intend_all(self, entries: Sequence[Entry]) -> list[asyncio.Future[bool]]:
        """Record rows that are about to be sent; each result tells, once all are synced, whether its row may be."""
        written: list[asyncio.Future[bool]] = [self._loop.create_future() for _ in entries]
        if self.failure is not None or self._closing is not None:
            _resolve([*written], may_go=False)
            return written
        self._waiting += entries
        self._intended += written
        self._write_next()
        return written

    def record(self, entry: Entry) -> None:
        """Accept a row that has ended; it is written with its group. Never waits."""
        if self._closing is not None:
            return
        self._waiting.append(entry)
        if self.failure is not None:
            return  # rows sent before the run could stop get a last chance when the journal is closed
        if not self._is_writing:
            self._write_soon()
        if len(self._waiting) >= _MOST_WAITING:
            self._room.clear()
            self._write_next()

    def record_at_end(self, entry: Entry) -> None:
        """Accept what is to be written together with the end of the run, so that a kill before that undoes it."""
        self._at_end.append(entry)

    async def ask(self, query: Callable[[CreatesFile], T]) -> T:
        """Run a query in the journal's thread, behind what was recorded before.

        Raises:
            JournalError: the journal cannot be read any more.
        """
        if self.failure is not None:
            raise self.failure.with_traceback(None)  # what waits gets its last chance when the journal is closed
        if self._waiting:
            self._begin_to_write()
        try:
            return await self._loop.run_in_executor(self._thread, self._file.asked, query)
        except JournalError as error:
            self._fail(error)
            raise

    def _last_job(self, ending: str) -> Callable[[], None]:
        if self._look_up is not None:
            self._look_up.close()  # first: whoever closes last leaves the single file, and that must hold the lock
        return partial(self._file.close, [*self._waiting, *self._at_end], ending)

    def _write_next(self) -> None:
        """Write a group as soon as the current one is written."""
        if not self._is_writing:
            self._write()

    def _write(self) -> None:
        self._stop_timer()
        if not (self._is_writing or self.failure is not None or self._closing is not None):
            self._begin_to_write()

    def _begin_to_write(self) -> None:
        self._stop_timer()
        entries, self._waiting = self._waiting, []
        intended, self._intended = self._intended, []
        self._is_writing = True
        writing = self._loop.run_in_executor(self._thread, self._file.write, entries)
        writing.add_done_callback(lambda done: self._on_written(done, intended))

    def _on_written(self, writing: "asyncio.Future[Any]", intended: list[asyncio.Future[bool]]) -> None:
        self._is_writing = False
        if (error := writing.exception()) is not None:
            self._fail(error)
        _resolve(intended, may_go=error is None)
        if error is None and self._closing is None:
            self._room.set()
            if self._intended or len(self._waiting) >= _MOST_WAITING:
                self._write()
            elif self._waiting:
                self._write_soon()

    def _release_waiters(self) -> None:
        _resolve(self._intended, may_go=False)

    def _refusal(self, error: JournalError) -> JournalError:
        return of_creates(error)


def _resolve(waiting: list[asyncio.Future[bool]], *, may_go: bool) -> None:
    for each in waiting:
        if not each.done():
            each.set_result(may_go)
    waiting.clear()


def _refused(act: Callable[[], T]) -> T:
    """Do something, with a refusal as runs that create tell it."""
    try:
        return act()
    except JournalError as error:
        refused = of_creates(error)
    raise refused
