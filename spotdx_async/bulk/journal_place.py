"""Where a journal lies: what may be in its place, who may read it, and how a refusal reads. Knows nothing of SQLite."""

import errno
import os
import stat
from contextlib import suppress
from pathlib import Path

from spotdx_async.errors import JournalError

__all__ = ["PRIVATE", "absolute", "beside", "look", "make_private", "refusal", "settle", "system_refusal", "tighten"]

PRIVATE = 0o600
# Windows knows neither: there is no journal there, since there is no lock.
_NEW_FILE_FLAGS = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0)

_ADVICE = {
    "path": "name another file, or mend that",
    "not a journal": "name another file",
    "newer": "upgrade spotdx-async to go on with it",
    "another run": "name another file",
    "changed input": "resume with the input that the run began with, or begin a new run with a new journal",
    "in use": "wait until that has ended, or name another file",
    "corrupt": "restore it from a copy, or begin a new run with a new journal, which sends every row again",
    "disk": "mend that, and resume with the same call",
}


def refusal(path: Path, what: str, *, reason: str) -> JournalError:
    """Give the error that says what is wrong with the journal and what to do next.

    Args:
        path: the journal's.
        what: what is wrong, as the rest of a sentence that begins with the journal.
        reason: one of JournalError's words; the advice is chosen by it.
    """
    return JournalError(f"the journal {path} {what}: {_ADVICE[reason]}", reason=reason)


def system_refusal(path: Path, error: OSError) -> JournalError:
    """Give the error that stands for one of the operating system's."""
    why = error.strerror or type(error).__name__
    if error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO}:
        return refusal(path, f"cannot be written ({why})", reason="disk")
    return refusal(path, f"cannot be opened ({why})", reason="path")


def absolute(path: str | os.PathLike[str]) -> Path:
    """Give the path as SQLite must get it: ``:memory:`` and ``file:`` would have a meaning of their own.

    Raises:
        JournalError: it cannot be a path.
    """
    name = os.fsdecode(path)
    if "\0" in name:
        raise refusal(Path(name.replace("\0", "?")), "has NUL in its path", reason="path")
    return Path(name).absolute()


def beside(path: Path, suffix: str) -> Path:
    """Give the path of what belongs to the journal and lies beside it."""
    return path.with_name(f"{path.name}{suffix}")


def look(path: Path) -> os.stat_result | None:
    """Look at what lies there; None where nothing does.

    Raises:
        JournalError: something lies there, or is missing on the way, so that no journal can.
    """
    found, trouble = None, None
    try:
        found = path.lstat()
    except FileNotFoundError:
        if not path.parent.is_dir():
            trouble = refusal(path, "lies in a folder that does not exist", reason="path")
    except OSError as error:
        trouble = system_refusal(path, error)
    else:
        if not stat.S_ISREG(found.st_mode):
            trouble = refusal(path, _kind(found.st_mode), reason="path")
    if trouble is not None:
        raise trouble
    return found


def tighten(path: Path) -> None:
    """Take the journal and what SQLite keeps beside it from everybody but the owner."""
    for file in (path, beside(path, "-wal"), beside(path, "-shm")):
        with suppress(FileNotFoundError):
            if stat.S_IMODE(file.lstat().st_mode) != PRIVATE:
                file.chmod(PRIVATE)


def make_private(path: Path) -> None:
    """Make an empty file that has never been anybody else's to read."""
    os.close(os.open(path, _NEW_FILE_FLAGS, PRIVATE))


def settle(new: Path, path: Path) -> None:
    """Put a new file in its place, so that it is there whole or not at all, even when the power fails."""
    new.rename(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _kind(mode: int) -> str:
    if stat.S_ISLNK(mode):
        return "is a symbolic link, which is not followed"
    return "is a folder" if stat.S_ISDIR(mode) else "is no regular file"
