"""A journal's paths: what may be there, who may read it, and the text of a refusal. Knows nothing of SQLite."""

import errno
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

from spotdx_async import private_files
from spotdx_async.errors import JournalError

_PLAYED_BACK = "-journal"
"""SQLite's rollback journal, which runs in WAL mode never write. Any program that opens the database applies its
content, no matter who wrote it; and it may name any file as its super-journal, which is then deleted. Files called
``-mj`` and digits are read only if it names them."""
_COMPANIONS = ("-wal", "-shm", _PLAYED_BACK)
"""What SQLite looks for beside a journal."""

_ADVICE = {
    "path": "fix that, or name another file",
    "not a journal": "name another file",
    "newer": "upgrade spotdx-async to resume it",
    "another run": "name another file",
    "changed input": "resume with the input that the run began with, or begin a new run with a new journal",
    "in use": "wait until that has ended, or name another file",
    "corrupt": "restore it from a copy, or begin a new run with a new journal, which sends every row again",
    "disk": "fix that, and resume with the same call",
}

_OF_CREATES = {
    "path": "fix that; if rows were sent before, a journal elsewhere knows nothing of them: pass look_first with it",
    "another run": "name the one of this batch; a new one is for a batch of which nothing was sent, or for look_first",
    "in use": "wait until that has ended: with another journal the same rows would be created once more",
    "corrupt": "restore it from a copy or begin a new one, and pass look_first either way, since neither knows all",
}
"""What to do instead where rows create: sent again as new ones, they would create once more."""

_BEING_MADE = "new"
"""A short name: SQLite accepts paths of at most 512 bytes."""
_OF_THE_DISK = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO}

T = TypeVar("T")


def refusal(path: Path, what: str, *, reason: str) -> JournalError:
    """Return the error that says what is wrong with the journal and what to do next.

    Args:
        path: the journal's.
        what: the fault, as the rest of a sentence that begins with the journal.
        reason: one of JournalError's words; it selects the advice.
    """
    return JournalError(f"the journal {path} {what}: {_ADVICE[reason]}", reason=reason)


def of_creates(error: JournalError) -> JournalError:
    """Return a refusal with the advice that is right for a run that creates."""
    text, usual = str(error.args[0]), _ADVICE.get(error.reason, "")
    advice = _OF_CREATES.get(error.reason)
    if advice is None or not usual or not text.endswith(usual):
        return error
    return JournalError(text.removesuffix(usual) + advice, reason=error.reason)


def system_refusal(path: Path, error: OSError) -> JournalError:
    """Return the error for one of the operating system's."""
    why = error.strerror or type(error).__name__
    if isinstance(error, private_files.UnfitFileError):
        return refusal(path, why, reason="path")
    if error.errno in _OF_THE_DISK:
        return refusal(path, f"cannot be written ({why})", reason="disk")
    return refusal(path, f"cannot be opened ({why})", reason="path")


def absolute(path: str | os.PathLike[str]) -> Path:
    """Return the path as SQLite must get it: ``:memory:`` and ``file:`` would have a special meaning.

    Raises:
        JournalError: it cannot be a path, or the current folder, which it is in, does not exist any more.
    """
    name = os.fsdecode(path)
    if "\0" in name:
        raise refusal(Path(name.replace("\0", "?")), "has NUL in its path", reason="path")
    try:
        return Path(name).absolute()
    except FileNotFoundError:  # the current folder was deleted
        trouble = refusal(Path(name), "is in a folder that does not exist", reason="path")
    raise trouble


def is_at(path: Path, file: os.stat_result) -> bool:
    """Return whether this file is the one at the path."""
    try:
        return os.path.samestat(path.lstat(), file)
    except FileNotFoundError:
        return False


def beside(path: Path, suffix: str) -> Path:
    """Return the path of a file that belongs to the journal and is next to it."""
    return path.with_name(f"{path.name}{suffix}")


def look(path: Path) -> os.stat_result | None:
    """Return what is known of the file at a path; None if there is none.

    Raises:
        JournalError: something else is there, or a folder is missing, so that no journal can be there.
    """
    try:
        found = private_files.look(path)
    except OSError as error:
        trouble = system_refusal(path, error)
    else:
        if found is not None or path.parent.is_dir():
            return found
        trouble = refusal(path, "is in a folder that does not exist", reason="path")
    raise trouble


def check_companions(path: Path) -> None:
    """Make sure that the files SQLite looks for beside the journal are its owner's; nothing is changed.

    Raises:
        JournalError: a foreign file has one of those names.
    """
    for suffix in _COMPANIONS:
        found = _for_companion(path, suffix, private_files.look)
        if suffix == _PLAYED_BACK and found is not None and found.st_size:
            what = f"a file that is not empty has the same name with {suffix}"
            raise _refusal_of_rollback(path, what, "move it away")


class Companions:
    """Our own files at every name that SQLite opens beside the journal, held for the life of a run.

    SQLite opens them by path, and by then another user who can create files in the folder, as in /tmp, may have put
    theirs there. Nobody can if ours are there already: they are created only if nothing is there, and cannot be
    replaced. SQLite treats an empty WAL as a new one, and an empty rollback journal as none.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._held: dict[Path, os.stat_result] = {}

    @classmethod
    def hold(cls, path: Path) -> "Companions":
        """Create those that are missing.

        Raises:
            JournalError: a foreign file has one of those names; it is left as it was.
            OSError: one cannot be created.
        """
        companions = cls(path)
        try:
            for suffix in _COMPANIONS:
                companions._hold(suffix)
            check_companions(path)
        except BaseException:
            companions.release()
            raise
        return companions

    def release(self) -> None:
        """Remove those that are unchanged since they were made; SQLite has removed the others, or needs them."""
        while self._held:
            place, made = self._held.popitem()
            with suppress(OSError):
                found = place.lstat()
                if os.path.samestat(found, made) and not found.st_size:
                    place.unlink()

    def _hold(self, suffix: str) -> None:
        place = beside(self._path, suffix)
        found = _for_companion(self._path, suffix, private_files.look)
        if found is not None and suffix == _PLAYED_BACK and stat.S_IMODE(found.st_mode) != private_files.PRIVATE:
            # A run was killed, and somebody may have opened the file since, who could keep writing into it.
            place.unlink()
            found = None
        if found is None:
            _for_companion(self._path, suffix, make_private)
            self._held[place] = place.lstat()
        elif suffix == _PLAYED_BACK:
            self._held[place] = found


def tighten(path: Path) -> None:
    """Deny everybody but the owner access to the journal and to the files that SQLite keeps beside it.

    Raises:
        JournalError: a foreign file has one of those names; it is left as it was.
        OSError: the journal's mode cannot be set.
    """
    private_files.tighten(path)
    for suffix in _COMPANIONS:
        _for_companion(path, suffix, private_files.tighten)


@contextmanager
def private_folder(path: Path) -> Iterator[Path]:
    """Yield the path of a new file, in a folder beside the journal in which nobody else can create any.

    Raises:
        JournalError: something that no run left is in place of the folder; it is left as it was.
        OSError: it cannot be created.
    """
    folder = beside(path, "-being-made")
    _for_companion(path, "-being-made", _clear)
    folder.mkdir(mode=0o700)
    try:
        yield folder / _BEING_MADE
    finally:
        with suppress(OSError):
            _clear(folder)


def clear_half_made(path: Path) -> None:
    """Remove that folder beside a journal that is in its place, if it is empty: a run was killed in between."""
    folder = beside(path, "-being-made")
    with suppress(OSError):
        if stat.S_ISDIR(folder.lstat().st_mode):
            private_files.make_folder(folder, must_be_ours=True)
            folder.rmdir()


def make_private(path: Path) -> None:
    """Create an empty file that nobody else could ever read."""
    os.close(private_files.create(path, os.O_RDWR))


def settle(new: Path, path: Path) -> None:
    """Move a new file into place, so that it is there whole or not at all, even if the power fails."""
    new.rename(path)
    private_files.sync_folder(path.parent)


def _for_companion(path: Path, suffix: str, act: Callable[[Path], T]) -> T:
    place = beside(path, suffix)
    try:
        return act(place)
    except OSError as error:
        found = f"the file of the same name with {suffix} {_fault_of(error)}{_owner_of(place)}"
        if error.errno in _OF_THE_DISK:
            trouble = system_refusal(path, error)
        elif suffix == _PLAYED_BACK:
            trouble = _refusal_of_rollback(path, found, "have it removed")
        else:
            trouble = refusal(path, f"cannot be used, since {found}", reason="path")
    raise trouble


def _refusal_of_rollback(path: Path, found: str, advice: str) -> JournalError:
    what = f"the journal {path} cannot be used, since {found}, and SQLite would write into the journal what that says"
    return JournalError(f"{what}: {advice}, or name a file in a folder of your own", reason="path")


def _fault_of(error: OSError) -> str:
    why = error.strerror or type(error).__name__
    return why if isinstance(error, private_files.UnfitFileError) else f"cannot be opened ({why})"


def _owner_of(place: Path) -> str:
    with suppress(OSError):
        owner = place.lstat().st_uid
        if hasattr(os, "geteuid") and owner != os.geteuid():
            return f" (number {owner})"
    return ""


def _clear(folder: Path) -> None:
    """Remove what a killed run has left of a journal that it was creating: a folder, or files of an earlier version."""
    with suppress(FileNotFoundError):
        if stat.S_ISDIR(folder.lstat().st_mode):
            private_files.make_folder(folder, must_be_ours=True)
            ours = [beside(folder / _BEING_MADE, suffix) for suffix in ("", *_COMPANIONS)]
            if set(folder.iterdir()) - set(ours):
                raise OSError(errno.ENOTEMPTY, os.strerror(errno.ENOTEMPTY))
            for leftover in ours:
                leftover.unlink(missing_ok=True)
            folder.rmdir()
            return
    for suffix in ("", "-wal", "-shm"):
        leftover = beside(folder, suffix)
        if private_files.look(leftover) is not None:
            leftover.unlink()
