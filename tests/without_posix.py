"""Makes this Python look like one on Windows, as far as the package could notice; imported before it, in a new process.

What is hidden: the modules and functions of POSIX, signals beside SIGINT and SIGTERM, and signal handlers of loops.
There is an ``msvcrt`` whose ``locking`` keeps to the real one's rules: a lock covers bytes from the file's position on,
excludes everybody else, in this process too, and ends when the file is closed.
"""

import asyncio
import fcntl
import os
import select
import signal
import sqlite3  # noqa: F401 - this and what follows takes what it needs of POSIX before that is hidden
import struct
import subprocess  # noqa: F401
import sys
import tempfile  # noqa: F401
from types import ModuleType

import aiohttp  # noqa: F401

MODULES = ("fcntl", "grp", "pty", "pwd", "resource", "syslog", "termios", "tty", "uvloop")
OF_OS = (
    *("O_CLOEXEC", "O_DIRECTORY", "O_NOFOLLOW", "O_NONBLOCK", "O_PATH", "chown", "fchmod", "fchown", "fork", "forkpty"),
    *(
        "getegid",
        "geteuid",
        "getgid",
        "getpgid",
        "getuid",
        "killpg",
        "posix_fadvise",
        "posix_fallocate",
        "pread",
        "pwrite",
    ),
    *("register_at_fork", "setsid", "statvfs", "sysconf", "uname", "wait3", "wait4", "waitid"),
)
OF_SELECT = ("epoll", "poll")
OF_SIGNAL = ("SIGALRM", "SIGHUP", "SIGKILL", "SIGPIPE", "SIGQUIT", "SIGUSR1", "SIGUSR2", "SIGWINCH")
OF_SIGNAL_TOO = ("pthread_kill", "pthread_sigmask", "setitimer", "siginterrupt", "sigwait")

LK_UNLCK, LK_NBLCK = 0, 2
_F_OFD_SETLK, _WRITING, _NOTHING = 37, 1, 2


def locking(fd: int, mode: int, nbytes: int) -> None:
    """Lock bytes as Windows does: with locks of the open file."""
    kind = _NOTHING if mode == LK_UNLCK else _WRITING
    region = struct.pack("@hhqqi4x", kind, os.SEEK_CUR, 0, nbytes, 0)
    try:
        fcntl.fcntl(fd, _F_OFD_SETLK, region)
    except BlockingIOError:
        raise PermissionError(13, "Permission denied") from None


def hide() -> None:
    """Hide it all."""
    msvcrt = ModuleType("msvcrt")
    vars(msvcrt).update(locking=locking, LK_UNLCK=LK_UNLCK, LK_NBLCK=LK_NBLCK)
    sys.modules["msvcrt"] = msvcrt
    for name in MODULES:
        sys.modules[name] = None  # type: ignore[assignment]  # as an import finds it that is not there
    for names, module in ((OF_OS, os), (OF_SELECT, select), (OF_SIGNAL + OF_SIGNAL_TOO, signal)):
        for name in names:
            if hasattr(module, name):
                delattr(module, name)
    for name in ("add_signal_handler", "remove_signal_handler"):
        setattr(asyncio.SelectorEventLoop, name, _refuse)


def _refuse(*_: object) -> None:
    raise NotImplementedError
