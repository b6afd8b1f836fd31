"""The lock of a journal: a file beside it that one run holds, and that keeps some disk space in reserve.

It belongs to the open file and not to the process: a forked child shares it and would keep it after its parent's death,
so every child closes its copies as it begins. POSIX locks are not inherited, but are lost as
soon as the process closes the file anywhere, and checking whether a journal is in use would do that.
"""

import os
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from io import FileIO
from pathlib import Path
from threading import RLock
from weakref import WeakSet

from spotdx_async import file_locks, private_files
from spotdx_async.bulk.journal.paths import beside, is_at, refusal, system_refusal

_MARK = b"the lock of a spotdx-async journal\n"
_BALLAST_BYTES = 256 * 1024
"""Space on a full disk for the last group of rows, and for moving the WAL into the single file."""
_MOST_TRIES = 100


class JournalLock:
    """Held for the life of a run; the kernel releases it when the process dies, however it dies, forked or not."""

    def __init__(self, journal: Path, file: FileIO) -> None:
        self._journal = journal
        self._file = file

    @classmethod
    def take(cls, journal: Path) -> "JournalLock":
        """Take the journal's lock, without waiting for it.

        Raises:
            JournalError: another run has it, or the file beside the journal cannot be made.
        """
        if not file_locks.can_lock():
            what = "cannot be locked, since this system has no file locks, so a run cannot have a journal here"
            raise refusal(journal, what, reason="path")
        for _ in range(_MOST_TRIES):
            file = _open(journal)
            is_mine = _try_lock(file)
            # The previous run may have removed the file between our opening and locking it: there is another one then.
            if is_mine and is_at(beside(journal, "-lock"), os.fstat(file.fileno())):
                return cls(journal, file)
            # If a shared lock is available, somebody is only checking whether the journal is in use.
            is_busy = not is_mine and not _try_lock(file, shared=True)
            file.close()
            if is_busy:
                break
        raise refusal(journal, "is in use by another run", reason="in use")

    @property
    def is_held(self) -> bool:
        """Whether it is still ours: not once it is released, nor in a forked child."""
        return not self._file.closed

    def fill(self) -> None:
        """Take the reserve from the disk.

        Raises:
            JournalError: the disk has no room for it.
        """
        # Random bytes, since some file systems store nothing at all for zeros.
        rest = memoryview(_MARK + os.urandom(_BALLAST_BYTES - len(_MARK)))
        try:
            self._file.seek(0)
            while rest:
                rest = rest[self._file.write(rest) :]
            os.fsync(self._file.fileno())
        except OSError as error:
            trouble = refusal(self._journal, f"has no room on its disk ({error.strerror})", reason="disk")
        else:
            return
        self.free()
        raise trouble

    def free(self) -> None:
        """Return the reserve to the disk, for the journal to use."""
        if self._file.closed:
            return  # in a forked child: the lock is its parent's
        with suppress(OSError):
            self._file.truncate(0)
            os.fsync(self._file.fileno())

    def release(self) -> None:
        """Release the journal and remove the lock file."""
        if self._file.closed:
            return
        place = beside(self._journal, "-lock")
        with suppress(OSError):
            if is_at(place, os.fstat(self._file.fileno())):
                place.unlink()
        self._file.close()
        if os.name == "nt":  # no open file can be removed there: neither ours until now, nor one of the next run
            with suppress(OSError):
                place.unlink()


def is_locked(journal: Path) -> bool:
    """Return whether a run has the journal at this moment."""
    if not file_locks.can_lock():
        return False
    try:
        file = _open_files().open(beside(journal, "-lock"), "r" if file_locks.are_shared() else "r+", _open_to_look)
    except OSError:
        return False
    with file:
        # Another user's lock says nothing about our journal.
        return private_files.fault_of(os.fstat(file.fileno())) is None and not _try_lock(file, shared=True)


class _OpenFiles:
    """The lock files that this process has open; a forked child closes its copies before it does anything else."""

    def __init__(self) -> None:
        self._files: WeakSet[FileIO] = WeakSet()
        # Held while the process forks, so that no child comes between opening a file and recording it here. Reentrant:
        # a signal handler that forks may interrupt an opening.
        self._guard = RLock()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(
                before=self._guard.acquire, after_in_parent=self._guard.release, after_in_child=self._close_copies
            )

    def open(self, path: Path, mode: str, opener: Callable[[str, int], int]) -> FileIO:
        with self._guard:
            file = FileIO(path, mode, opener=opener)
            self._files.add(file)
        return file

    def _close_copies(self) -> None:
        for file in list(self._files):
            with suppress(OSError):
                file.close()
        self._files.clear()
        self._guard.release()


@cache
def _open_files() -> _OpenFiles:
    return _OpenFiles()


def _open(journal: Path) -> FileIO:
    try:
        file = _open_files().open(beside(journal, "-lock"), "r+", _open_private)
    except private_files.UnfitFileError as error:
        what = f"cannot be locked, since the file of the same name with -lock {error.strerror}"
        trouble = refusal(journal, what, reason="path")
    except OSError as error:
        trouble = system_refusal(journal, error)
    else:
        if _is_ours(file):
            return file
        file.close()
        trouble = refusal(journal, "cannot be locked, since another file has the same name with -lock", reason="path")
    raise trouble


def _open_private(path: str, _: int) -> int:
    # Python opens with O_CLOEXEC, so programs that are started do not inherit it.
    return private_files.open_own(path, os.O_RDWR | os.O_CREAT)


def _open_to_look(path: str, _: int) -> int:
    how = os.O_RDONLY if file_locks.are_shared() else os.O_RDWR
    # Opening a pipe in its place must not block.
    return os.open(path, how | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))


def _is_ours(file: FileIO) -> bool:
    """Return whether it may be overwritten."""
    return _MARK.startswith(file.read(len(_MARK)))


def _try_lock(file: FileIO, *, shared: bool = False) -> bool:
    try:
        return file_locks.try_lock(file.fileno(), shared=shared)
    except OSError:
        file.close()
        raise
