"""Where a journal lies: what may be in its place, who may read it, and how a refusal reads. Knows nothing of SQLite."""

import errno
import os
from collections.abc import Callable
from pathlib import Path

from spotdx_async import private_files
from spotdx_async.errors import JournalError

__all__ = [
    "absolute",
    "beside",
    "check_companions",
    "look",
    "make_private",
    "refusal",
    "settle",
    "system_refusal",
    "tighten",
]

_COMPANIONS = ("-wal", "-shm")
"""What SQLite keeps beside a journal."""

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
    if isinstance(error, private_files.UnfitFileError):
        return refusal(path, why, reason="path")
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
    try:
        found = private_files.look(path)
    except OSError as error:
        trouble = system_refusal(path, error)
    else:
        if found is not None or path.parent.is_dir():
            return found
        trouble = refusal(path, "lies in a folder that does not exist", reason="path")
    raise trouble


def check_companions(path: Path) -> None:
    """Make sure that what SQLite keeps beside the journal is its owner's; nothing is changed.

    Raises:
        JournalError: another file lies in such a place.
    """
    for suffix in _COMPANIONS:
        _for_companion(path, suffix, private_files.look)


def tighten(path: Path) -> None:
    """Take the journal and what SQLite keeps beside it from everybody but the owner.

    Raises:
        JournalError: another file lies in such a place; it is as it was.
        OSError: the journal's mode cannot be set.
    """
    private_files.tighten(path)
    for suffix in _COMPANIONS:
        _for_companion(path, suffix, private_files.tighten)


def make_private(path: Path) -> None:
    """Make an empty file that has never been anybody else's to read."""
    os.close(private_files.create(path, os.O_RDWR))


def settle(new: Path, path: Path) -> None:
    """Put a new file in its place, so that it is there whole or not at all, even when the power fails."""
    new.rename(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _for_companion(path: Path, suffix: str, act: Callable[[Path], object]) -> None:
    try:
        act(beside(path, suffix))
    except OSError as error:
        what = f"cannot be used, since what lies at the same path with {suffix} {_fault_of(error)}"
        trouble = refusal(path, what, reason="path")
    else:
        return
    raise trouble


def _fault_of(error: OSError) -> str:
    why = error.strerror or type(error).__name__
    return why if isinstance(error, private_files.UnfitFileError) else f"cannot be opened ({why})"
