"""What the writers of both kinds of journals share: a thread of their own, one failure, one timer, one closing."""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, Generic, Protocol, Self, TypeVar

from spotdx_async._http import clock
from spotdx_async.errors import JournalError

GROUP_S = 0.1
"""How long rows that have ended wait for others, so that one sync does for all."""


class Closable(Protocol):
    """An open journal's file, as far as it is the same in both formats."""

    def close(self, entries: Sequence[Any], ending: str) -> None:
        """Record the last rows and how the run ended, leave a single file, and release it."""
        ...


F = TypeVar("F", bound=Closable)


class GroupWriter(Generic[F]):
    """Writes a journal in groups, one after another. Close what you have opened.

    If the loop ends before that, the thread ends with the interpreter, and the journal is as a killed run leaves it.
    """

    def __init__(self, file: F, thread: ThreadPoolExecutor) -> None:
        self.failure: JournalError | None = None
        """Why nothing more can be written; the run must stop."""
        self.on_failure: Callable[[JournalError], object] = lambda _: None
        """Called once, in the loop, when that happens."""
        self._file, self._thread = file, thread
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._room = asyncio.Event()
        self._room.set()
        self._closing: asyncio.Future[None] | None = None

    @classmethod
    async def _opened(cls, open_file: Callable[[], F], make: Callable[[F, ThreadPoolExecutor], Self]) -> Self:
        """Open the file in the thread that is to write it, and make its writer."""
        thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="spotdx journal")
        loop = asyncio.get_running_loop()
        opened: list[F] = []
        try:
            await clock.seen_through(loop.run_in_executor(thread, lambda: opened.append(open_file())))
            return make(opened[0], thread)
        except BaseException:
            # Cancelled: the journal may be open by now all the same. Closing it is queued on the thread before anything
            # is awaited, so that no further cancellation leaves it open.
            giving_back = loop.run_in_executor(thread, _give_back, opened)
            thread.shutdown(wait=False)
            await clock.seen_through(giving_back)
            raise

    @property
    def has_room(self) -> bool:
        """Whether the run may go on: False while so many rows are unrecorded that a kill would cost too much."""
        return self._room.is_set()

    async def room(self) -> None:
        """Wait until that is so, or nothing can be written any more."""
        await self._room.wait()

    async def close(self, ending: str) -> None:
        """Write what is left and how the run ended, and release the journal; ``failure`` says what failed.

        A cancellation waits until it is done. Closing twice does nothing more.
        """
        if self._closing is None:
            self._stop_timer()
            # One job behind the group in progress: it is completed even if the loop is not.
            self._closing = self._loop.run_in_executor(self._thread, self._last_job(ending))
            self._closing.add_done_callback(self._on_closed)
            self._thread.shutdown(wait=False)
            self._release_waiters()
        with suppress(JournalError):
            await clock.seen_through(self._closing)

    def _last_job(self, ending: str) -> Callable[[], None]:
        """Return what writes the rest and closes the file."""
        raise NotImplementedError

    def _write(self) -> None:
        """Write a group, or arrange for one to be written after the current one."""
        raise NotImplementedError

    def _release_waiters(self) -> None:
        """Let nobody wait any more for what will not be written."""

    def _write_soon(self) -> None:
        """Write a group when others have had time to join it."""
        if self._timer is None:
            self._timer = clock.call_at(clock.now() + GROUP_S, self._write)

    def _on_closed(self, closing: asyncio.Future[None]) -> None:
        self._room.set()
        if (error := closing.exception()) is not None:
            self._fail(error)

    def _fail(self, error: BaseException) -> None:
        if self.failure is not None:
            return
        if not isinstance(error, JournalError):
            error = JournalError(f"{type(error).__name__} was raised while the journal was written", reason="disk")
        self.failure = self._refusal(error)
        self._stop_timer()
        self._room.set()
        # First, so that whoever is let go finds the run stopped.
        self.on_failure(self.failure)
        self._release_waiters()

    def _refusal(self, error: JournalError) -> JournalError:
        """Return the failure as this kind of run tells it."""
        return error

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def _give_back(opened: Sequence[Closable]) -> None:
    for file in opened:
        with suppress(JournalError):
            file.close([], "stopped")
