"""Locks of open files that the system releases when a process dies: ``flock``, and on Windows a locked byte.

Knows nothing of what is locked. Both kinds belong to the open file, not to the process: opening the same file once more
and closing that loses nothing.
"""

import errno
import os
from contextlib import suppress
from typing import Any

_fcntl: Any = None
_msvcrt: Any = None
with suppress(ImportError):  # not on Windows
    import fcntl as _fcntl
with suppress(ImportError):  # on Windows only: where neither is, as in WebAssembly, nothing is locked
    import msvcrt as _msvcrt

__all__ = ["are_shared", "can_lock", "try_lock"]

_PLACE = 1 << 30
"""Of the byte that is locked: behind all content, since what is locked on Windows can be neither read nor written."""
_TAKEN = frozenset({errno.EWOULDBLOCK, errno.EACCES, errno.EDEADLK, getattr(errno, "EDEADLOCK", errno.EDEADLK)})


def can_lock() -> bool:
    """Return whether the system has such locks."""
    return _fcntl is not None or _msvcrt is not None


def are_shared() -> bool:
    """Return whether locks can be shared; else a shared one keeps others out, and needs a file open to write."""
    return _fcntl is not None


def try_lock(fd: int, *, shared: bool = False) -> bool:
    """Lock an open file without waiting; return False if another one has it. Closing the file releases the lock.

    Raises:
        OSError: its file system has no locks.
    """
    try:
        if _fcntl is not None:
            _fcntl.flock(fd, (_fcntl.LOCK_SH if shared else _fcntl.LOCK_EX) | _fcntl.LOCK_NB)
        else:
            _lock_byte(fd)
    except OSError as error:
        if error.errno not in _TAKEN:
            raise
        return False
    return True


def _lock_byte(fd: int) -> None:
    before = os.lseek(fd, 0, os.SEEK_CUR)
    os.lseek(fd, _PLACE, os.SEEK_SET)  # where msvcrt locks
    try:
        _msvcrt.locking(fd, _msvcrt.LK_NBLCK, 1)
    finally:
        os.lseek(fd, before, os.SEEK_SET)
