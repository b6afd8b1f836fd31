"""Files for one user's eyes: the only place where such a file is opened, made, replaced or given its mode.

What lies at a path is judged by the opened file, since a path may mean another file a moment later, and no mode is set
by a path. A file is used only where it is a regular one, belongs to the user who runs the program, and has no second
name. One of root's is refused as well: whoever is not root could not make it private, and a file of another user is
refused to root, who would write for that user what the other must not read.
"""

import errno
import logging
import os
import stat
import tempfile
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

__all__ = [
    "PRIVATE",
    "UnfitFileError",
    "create",
    "fault_of",
    "look",
    "make_folder",
    "open_own",
    "read",
    "replace",
    "replace_by_pieces",
    "tighten",
    "warn_of_folder",
]

_log = logging.getLogger("spotdx_async")

PRIVATE = 0o600
_PRIVATE_FOLDER = 0o700
_NOFOLLOW = getattr(os, "O_NOFOLLOW", 0)
# A pipe that lies there must not keep the program waiting for its other end; for a regular file it means nothing.
_CAREFUL = _NOFOLLOW | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0)
# Only to look. Closing a file that was opened for more takes SQLite's locks on it from the whole process.
_PATH = getattr(os, "O_PATH", 0)


class UnfitFileError(OSError):
    """What lies there must not be used; ``strerror`` says why, as the rest of a sentence that begins with the file."""

    def __init__(self, fault: str) -> None:
        super().__init__(errno.EPERM, fault)


def fault_of(about: os.stat_result) -> str | None:
    """Say what is wrong with a file as a place for private data; None where nothing is."""
    mode = about.st_mode
    if stat.S_ISLNK(mode):
        return "is a symbolic link, which is not followed"
    if stat.S_ISDIR(mode):
        return "is a folder"
    if not stat.S_ISREG(mode):
        return "is no regular file"
    if _is_of_another(about):
        return "belongs to another user"
    if about.st_nlink > 1:
        return "has a second name (a hard link), by which others may have it"
    return None


def look(path: str | os.PathLike[str]) -> os.stat_result | None:
    """Look at what lies there without opening it; None where nothing does.

    Raises:
        UnfitFileError: it must not be used.
        OSError: nobody can look.
    """
    try:
        about = _about(path)
    except FileNotFoundError:
        return None
    _check(about)
    return about


def create(path: str | os.PathLike[str], flags: int = os.O_WRONLY) -> int:
    """Make a file that has never been anybody else's to read; give its descriptor.

    Raises:
        FileExistsError: something lies there, be it a link to nowhere.
        OSError: it cannot be made.
    """
    return os.open(path, flags | os.O_CREAT | os.O_EXCL | _CAREFUL, PRIVATE)


def open_own(path: str | os.PathLike[str], flags: int) -> int:
    """Open a file that is there, take it from everybody but its owner, and give its descriptor.

    Args:
        path: where it lies.
        flags: how to open it; with ``os.O_CREAT`` it is made where it is missing.

    Raises:
        UnfitFileError: it must not be used; it is as it was.
        OSError: it cannot be opened.
    """
    try:
        fd = os.open(path, flags | _CAREFUL, PRIVATE)
    except OSError as error:
        if error.errno in {errno.ELOOP, errno.EMLINK}:  # the words of systems for a link that is not followed
            look(path)
        raise
    try:
        about = os.fstat(fd)
        _check(about)
        if hasattr(os, "fchmod") and stat.S_IMODE(about.st_mode) != PRIVATE:
            os.fchmod(fd, PRIVATE)
    except BaseException:
        os.close(fd)
        raise
    return fd


def tighten(path: str | os.PathLike[str]) -> None:
    """Take a file from everybody but its owner; nothing is done where there is none.

    Raises:
        UnfitFileError: it must not be used; it is as it was.
        OSError: it cannot be opened.
    """
    about = look(path)
    if about is not None and stat.S_IMODE(about.st_mode) != PRIVATE:
        # Opened for more than a look only where it must be. For writing where reading is what its mode forbids.
        os.close(open_own(path, os.O_RDONLY if about.st_mode & stat.S_IRUSR else os.O_WRONLY))


def read(path: str | os.PathLike[str]) -> bytes:
    """Read a whole private file.

    Raises:
        UnfitFileError: it must not be used.
        OSError: it cannot be read.
    """
    with open(open_own(path, os.O_RDONLY), "rb") as file:
        return file.read()


def replace(path: str | os.PathLike[str], data: bytes) -> None:
    """Write a whole private file in the place of what is there, or leave that as it was.

    Raises:
        UnfitFileError: what is there must not be replaced.
        OSError: it cannot be written.
    """
    replace_by_pieces(path, [data])


def replace_by_pieces(path: str | os.PathLike[str], pieces: Iterable[bytes]) -> None:
    """Do the same with what comes in pieces, so that it need not be in memory as a whole.

    Raises:
        UnfitFileError: as ``replace``.
        OSError: the same.
    """
    look(path)
    place = Path(path)
    fd, new = tempfile.mkstemp(prefix=f".{place.name[:100]}.", suffix=".part", dir=place.parent)
    try:
        with open(fd, "wb") as file:  # noqa: PTH123 - an open descriptor
            file.writelines(pieces)
            file.flush()
            os.fsync(fd)
        os.replace(new, place)  # noqa: PTH105 - the name is a string here
    except BaseException:
        with suppress(OSError):
            os.unlink(new)  # noqa: PTH108 - the same
        raise


def make_folder(path: str | os.PathLike[str], *, must_be_ours: bool = False) -> None:
    """Make a folder for its owner alone, with those above it; one that is there stays as it is.

    Args:
        path: where it is to be.
        must_be_ours: refuse one that another user has made, or a link to one.

    Raises:
        UnfitFileError: what is there must not be used.
        OSError: it cannot be made.
    """
    place = Path(path)
    for above in reversed(place.parents):  # mkdir's own `parents` makes them as the umask says
        if not above.exists():
            above.mkdir(mode=_PRIVATE_FOLDER, exist_ok=True)
    place.mkdir(mode=_PRIVATE_FOLDER, exist_ok=True)
    if must_be_ours:
        about = place.lstat()
        if not stat.S_ISDIR(about.st_mode):
            raise UnfitFileError("is a symbolic link, which is not followed")
        if _is_of_another(about):
            raise UnfitFileError("belongs to another user")


def warn_of_folder(path: str | os.PathLike[str]) -> None:
    """Tell, at WARNING, where others can put files of theirs in the place of this one, by the folder's mode."""
    folder = Path(path).absolute().parent
    try:
        about = folder.stat()
    except OSError:
        return  # whoever writes there will hear of it
    if hasattr(os, "geteuid") and _is_open_to_others(about):
        text = "other users can replace files in %s: take the right from them (chmod go-w), or name another folder"
        _log.warning(text, folder, extra={"spotdx_event": "folder"})


def _is_open_to_others(about: os.stat_result) -> bool:
    if about.st_uid not in {0, os.geteuid()}:
        return True
    if about.st_mode & stat.S_ISVTX:
        return False  # a file can be replaced by its owner alone, and by the folder's
    if about.st_mode & stat.S_IWOTH:
        return True
    # Many systems give each user a group of the same number, of which nobody else is.
    is_own_group = about.st_gid == os.getegid() == os.geteuid()
    return bool(about.st_mode & stat.S_IWGRP) and not is_own_group


def _about(path: str | os.PathLike[str]) -> os.stat_result:
    if not _PATH:
        return os.lstat(path)
    fd = os.open(path, _PATH | _NOFOLLOW | os.O_CLOEXEC)
    try:
        return os.fstat(fd)
    finally:
        os.close(fd)


def _check(about: os.stat_result) -> None:
    if (fault := fault_of(about)) is not None:
        raise UnfitFileError(fault)


def _is_of_another(about: os.stat_result) -> bool:
    return hasattr(os, "geteuid") and about.st_uid != os.geteuid()
