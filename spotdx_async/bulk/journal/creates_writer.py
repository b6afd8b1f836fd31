"""The journal of a run that creates, as its event loop sees it: what is about to be sent waits until it is synced.

Rows that are about to be sent while a group is being written share the next sync.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, TypeVar

from spotdx_async._http import clock
from spotdx_async.bulk.journal.creates_file import CreatesFile, Entry, KnownCreate, LookUp, TemporaryCreates
from spotdx_async.bulk.journal.paths import of_creates
from spotdx_async.bulk.journal.records import Digester
from spotdx_async.bulk.records import Journal
from spotdx_async.errors import JournalError

T = TypeVar("T")

_GROUP_S = 0.1
"""How long rows that have ended wait for others, as in other journals: a kill within it leaves them in doubt."""
_MOST_WAITING = 1000


class CreatesWriter:
    """Records rows in groups, one group after another, in a thread of its own. Close what you have opened."""

    def __init__(self, file: CreatesFile, thread: ThreadPoolExecutor, look_up: LookUp | None) -> None:
        self.digester: Digester = file.digester
        """Computes the digests of rows."""
        self.in_doubt: tuple[KnownCreate, ...] = file.in_doubt
        """Rows of earlier sessions that may have been executed."""
        self.failure: JournalError | None = None
        """Why nothing more can be written; the run must stop."""
        self.on_failure: Callable[[JournalError], object] = lambda _: None
        """Called once, in the loop, when that happens."""
        self.audit_after: float | None = file.audit_after
        """Until when something may be executed twice that earlier sessions have sent again, by the server's clock.
        """
        self._file, self._thread, self._look_up = file, thread, look_up
        self._loop = asyncio.get_running_loop()
        self._waiting: list[Entry] = []
        self._intended: list[asyncio.Future[bool]] = []
        self._is_writing = False
        self._timer: asyncio.TimerHandle | None = None
        self._room = asyncio.Event()
        self._room.set()
        self._closing: asyncio.Future[None] | None = None

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
        thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="spotdx journal")
        loop = asyncio.get_running_loop()
        opened: list[CreatesFile] = []

        def open_it() -> None:
            if settings is None:
                opened.append(TemporaryCreates())
                return
            place = Journal(settings.path, fingerprint=batch)
            try:
                opened.append(CreatesFile.open(place, operation=operation, server=server))
            except JournalError as error:
                refused = of_creates(error)
            else:
                return
            raise refused

        try:
            await clock.seen_through(loop.run_in_executor(thread, open_it))
            return cls(opened[0], thread, opened[0].look_up())
        except BaseException:
            # Cancelled: the journal may be open by now all the same.
            giving_back = loop.run_in_executor(thread, _give_back, opened)
            thread.shutdown(wait=False)
            await clock.seen_through(giving_back)
            raise

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

    @property
    def can_resume(self) -> bool:
        """Whether it outlasts this process."""
        return self._look_up is not None

    @property
    def has_room(self) -> bool:
        """Whether another row may be read: False while too many wait to be written."""
        return self._room.is_set()

    async def room(self) -> None:
        """Wait until another row may be read, or nothing can be written any more."""
        await self._room.wait()

    def may_read(self, index: int) -> bool:  # noqa: ARG002 - as other journals are asked
        """Return True: rows are known by their keys, whatever their numbers."""
        return True

    async def wait_to_read(self, index: int) -> None:
        """Do nothing: see ``may_read``."""

    async def intend(self, entry: Entry) -> bool:
        """Record a row that is about to be sent; return, once it is synced, whether it may be."""
        if self.failure is not None or self._closing is not None:
            return False
        written: asyncio.Future[bool] = self._loop.create_future()
        self._waiting.append(entry)
        self._intended.append(written)
        self._write_soon()
        return await written

    def record(self, entry: Entry) -> None:
        """Accept a row that has ended; it is written with its group. Never waits."""
        if self._closing is not None:
            return
        self._waiting.append(entry)
        if self.failure is not None:
            return  # rows sent before the run could stop get a last chance when the journal is closed
        if self._timer is None and not self._is_writing:
            self._timer = clock.call_at(clock.now() + _GROUP_S, self._write)
        if len(self._waiting) >= _MOST_WAITING:
            self._room.clear()
            self._write_soon()

    async def ask(self, query: Callable[[CreatesFile], T]) -> T:
        """Run a query in the journal's thread, behind what was recorded before.

        Raises:
            JournalError: the journal cannot be read any more.
        """
        entries, self._waiting = self._waiting, []
        intended, self._intended = self._intended, []
        self._stop_timer()
        if entries or intended:
            self._begin_to_write(entries, intended)
        return await self._loop.run_in_executor(self._thread, query, self._file)

    async def close(self, ending: str) -> None:
        """Write what is left and how the run ended, and release the journal; ``failure`` says what failed.

        A cancellation waits until it is done. Closing twice does nothing more.
        """
        if self._closing is None:
            self._stop_timer()
            if self._look_up is not None:
                self._look_up.close()  # first: whoever closes last leaves the single file, and that must hold the lock
            self._closing = self._loop.run_in_executor(self._thread, self._file.close, self._waiting, ending)
            self._closing.add_done_callback(self._on_closed)
            self._thread.shutdown(wait=False)
            _resolve(self._intended, may_go=False)
        with suppress(JournalError):
            await clock.seen_through(self._closing)

    def _write_soon(self) -> None:
        if not self._is_writing:
            self._write()

    def _write(self) -> None:
        self._stop_timer()
        if self._is_writing or self.failure is not None or self._closing is not None:
            return
        entries, self._waiting = self._waiting, []
        intended, self._intended = self._intended, []
        self._begin_to_write(entries, intended)

    def _begin_to_write(self, entries: list[Entry], intended: list[asyncio.Future[bool]]) -> None:
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
            elif self._waiting and self._timer is None:
                self._timer = clock.call_at(clock.now() + _GROUP_S, self._write)

    def _on_closed(self, closing: asyncio.Future[None]) -> None:
        self._room.set()
        if (error := closing.exception()) is not None:
            self._fail(error)

    def _fail(self, error: BaseException) -> None:
        if self.failure is not None:
            return
        if not isinstance(error, JournalError):
            error = JournalError(f"{type(error).__name__} was raised while the journal was written", reason="disk")
        self.failure = error = of_creates(error)
        self._stop_timer()
        self.on_failure(error)
        self._room.set()
        _resolve(self._intended, may_go=False)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def _resolve(waiting: list[asyncio.Future[bool]], *, may_go: bool) -> None:
    for each in waiting:
        if not each.done():
            each.set_result(may_go)
    waiting.clear()


def _give_back(opened: list[CreatesFile]) -> None:
    for file in opened:
        with suppress(JournalError):
            file.close([], "stopped")
