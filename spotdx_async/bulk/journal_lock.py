"""The lock of a journal: a file beside it that one run holds, and that keeps some of the disk in reserve."""

import errno
import os
import stat
from contextlib import suppress
from io import FileIO
from pathlib import Path

from spotdx_async.bulk.journal_place import PRIVATE, beside, refusal, system_refusal

try:
    import fcntl
except ImportError:  # not on Windows
    fcntl = None  # type: ignore[assignment]

__all__ = ["JournalLock", "is_locked"]

_MARK = b"the lock of a spotdx-async journal\n"
_BALLAST_BYTES = 256 * 1024
_MOST_TRIES = 100


class JournalLock:
    """Held for the life of a run; the kernel lets it go when the process dies, however it dies."""

    def __init__(self, journal: Path, file: FileIO) -> None:
        self._journal = journal
        self._file = file

    @classmethod
    def take(cls, journal: Path) -> "JournalLock":
        """Take the journal's lock, without waiting for it.

        Raises:
            JournalError: another run has it, or the file beside the journal cannot be made.
        """
        if not _can_lock():
            what = "cannot be locked, since this system has no flock, so a run cannot have a journal here"
            raise refusal(journal, what, reason="path")
        for _ in range(_MOST_TRIES):
            file = _open(journal)
            is_mine = _try_lock(file)
            # The run before may have removed the file between our opening and locking it: there is another one then.
            if is_mine and _is_at(beside(journal, "-lock"), file):
                return cls(journal, file)
            # Where a shared lock can be had, somebody has only looked whether the journal is in use.
            is_busy = not is_mine and not _try_lock(file, shared=True)
            file.close()
            if is_busy:
                break
        raise refusal(journal, "is in use by another run", reason="in use")

    def fill(self) -> None:
        """Take the reserve from the disk.

        Raises:
            JournalError: the disk has no room for it.
        """
        # Random, since a file system may keep nothing at all of zeros.
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
        """Give the reserve back to the disk, for the journal to use."""
        with suppress(OSError):
            self._file.truncate(0)
            os.fsync(self._file.fileno())

    def release(self) -> None:
        """Let others have the journal; the file goes."""
        if self._file.closed:
            return
        with suppress(OSError):
            place = beside(self._journal, "-lock")
            if _is_at(place, self._file):
                place.unlink()
        self._file.close()


def is_locked(journal: Path) -> bool:
    """Whether a run has the journal at this moment."""
    if not _can_lock():
        return False
    try:
        file = FileIO(beside(journal, "-lock"), opener=lambda path, _: os.open(path, os.O_RDONLY | os.O_NOFOLLOW))
    except OSError:
        return False
    with file:
        return not _try_lock(file, shared=True)


def _can_lock() -> bool:
    return fcntl is not None


def _open(journal: Path) -> FileIO:
    try:
        file = FileIO(beside(journal, "-lock"), "r+", opener=_open_private)
    except OSError as error:
        trouble = system_refusal(journal, error)
    else:
        if _is_ours(file):
            return file
        file.close()
        trouble = refusal(
            journal, "cannot be locked, since another file lies at the same path with -lock", reason="path"
        )
    raise trouble


def _open_private(path: str, _: int) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, PRIVATE)


def _is_ours(file: FileIO) -> bool:
    """Whether it may be overwritten."""
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        return False
    return _MARK.startswith(file.read(len(_MARK)))


def _try_lock(file: FileIO, *, shared: bool = False) -> bool:
    try:
        fcntl.flock(file.fileno(), (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno not in {errno.EWOULDBLOCK, errno.EACCES}:
            file.close()
            raise
        return False
    return True


def _is_at(path: Path, file: FileIO) -> bool:
    try:
        return os.path.samestat(path.lstat(), os.fstat(file.fileno()))
    except FileNotFoundError:
        return False
