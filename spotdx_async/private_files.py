"""Private files: the only place where such a file is opened, created, replaced or given its mode.

A file is judged once it is open, and no mode is set by path, since a path may name another file a moment later. A file
is used only if it is a regular file, belongs to the user running the program, and has no second name. Root's files are
refused to other users, who could not make them private; and other users' files to root, who would write there what
those users must not read.
"""

import errno
import logging
import os
import re
import stat
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

try:
    import fcntl
except ImportError:  # not on every system
    fcntl = None  # type: ignore[assignment]

_log = logging.getLogger("spotdx_async")

PRIVATE = 0o600
_PRIVATE_FOLDER = 0o700
_MOST_OF_A_NAME = 100
"""Bytes of a file's name in that of its unfinished copy, which has to stay below the 255 that file systems take."""
_SUFFIX_BESIDE = ".part"
_MOUNTS = Path("/proc/self/mountinfo")
_CANNOT_SYNC = {errno.EINVAL, errno.ENOTSUP}
_NOFOLLOW = getattr(os, "O_NOFOLLOW", 0)
# Opening a pipe must not block until its other end is opened; for regular files O_NONBLOCK means nothing.
_CAREFUL = sum(getattr(os, name, 0) for name in ("O_NOFOLLOW", "O_NONBLOCK", "O_CLOEXEC", "O_BINARY"))
# Only to look: closing a descriptor opened for more drops all of SQLite's locks on the file in this process.
_PATH = getattr(os, "O_PATH", 0)


class UnfitFileError(OSError):
    """The file must not be used; ``strerror`` says why, as the rest of a sentence that begins with its name."""

    def __init__(self, fault: str) -> None:
        super().__init__(errno.EPERM, fault)


def fault_of(about: os.stat_result) -> str | None:
    """Return what makes a file unfit for private data, or None."""
    mode = about.st_mode
    if stat.S_ISLNK(mode):
        return "is a symbolic link, which is not followed"
    if stat.S_ISDIR(mode):
        return "is a folder"
    if not stat.S_ISREG(mode):
        return "is not a regular file"
    if _is_of_another(about):
        return "belongs to another user"
    if about.st_nlink > 1:
        return "has a second name (a hard link), through which others may reach it"
    return None


def look(path: str | os.PathLike[str]) -> os.stat_result | None:
    """Return the status of a file without opening it; None if it does not exist.

    Raises:
        UnfitFileError: it must not be used.
        OSError: its status cannot be read.
    """
    try:
        about = _about(path)
    except FileNotFoundError:
        return None
    _check(about)
    return about


def is_mounted(path: str | os.PathLike[str]) -> bool:
    """Return whether a file is mounted by itself, as containers can do it: such a file can never be replaced.

    Only Linux says so; elsewhere it is False.
    """
    escaped = os.fsencode(os.path.realpath(path))
    for character in b"\\ \t\n":
        escaped = escaped.replace(bytes([character]), b"\\%03o" % character)
    try:
        mounts = _MOUNTS.read_bytes()
    except OSError:
        return False
    return any(fields[4:5] == [escaped] for fields in map(bytes.split, mounts.splitlines()))


def create(path: str | os.PathLike[str], flags: int = os.O_WRONLY) -> int:
    """Create a file that nobody else was ever able to read; return its descriptor.

    Raises:
        FileExistsError: the path exists, even if only as a dangling link.
        OSError: it cannot be created.
    """
    fd = os.open(path, flags | os.O_CREAT | os.O_EXCL | _CAREFUL, PRIVATE)
    _give_back(fd)
    return fd


def open_own(path: str | os.PathLike[str], flags: int) -> int:
    """Open a file, make it private to its owner, and return its descriptor.

    Args:
        path: the file.
        flags: how to open it; with ``os.O_CREAT`` it is created if it is missing.

    Raises:
        UnfitFileError: it must not be used; it is unchanged.
        OSError: it cannot be opened.
    """
    try:
        fd = os.open(path, flags | _CAREFUL, PRIVATE)
    except OSError as error:
        if error.errno in {errno.ELOOP, errno.EMLINK}:  # how systems report a link that is not followed
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
    """Make a file private to its owner, if it exists.

    Raises:
        UnfitFileError: it must not be used; it is unchanged.
        OSError: it cannot be opened.
    """
    about = look(path)
    if about is not None and stat.S_IMODE(about.st_mode) != PRIVATE:
        # Opened only if its mode must change; for writing if its mode forbids reading.
        os.close(open_own(path, os.O_RDONLY if about.st_mode & stat.S_IRUSR else os.O_WRONLY))


def read(path: str | os.PathLike[str]) -> bytes:
    """Read a whole private file.

    Raises:
        UnfitFileError: it must not be used.
        OSError: it cannot be read.
    """
    with open(open_own(path, os.O_RDONLY), "rb") as file:
        return file.read()


def replace(path: str | os.PathLike[str], data: bytes | Iterable[bytes]) -> None:
    """Write a private file as a whole, replacing an existing one, or leave everything as it was.

    Once it returns, the file is there even if the power fails.

    Args:
        path: the file.
        data: its content; in pieces, so that it need not be in memory as a whole.

    Raises:
        UnfitFileError: the existing file must not be replaced.
        OSError: it cannot be written.
    """
    look(path)
    place = Path(path)
    with written_beside(place, data) as new:
        new.replace(place)
    sync_folder(place.parent)


@contextmanager
def written_beside(path: str | os.PathLike[str], data: bytes | Iterable[bytes]) -> Iterator[Path]:
    """Yield a private file of a name that nobody else uses, in the folder of another, so that it can take its place.

    What it holds is on the disk. It is gone if that place was not taken by the end; a killed writer leaves it, and the
    next one removes it.

    Args:
        path: the other file.
        data: as for ``replace``.

    Raises:
        OSError: it cannot be written; nothing is left of it.
    """
    new = NewFile(path)
    try:
        new.write([data] if isinstance(data, bytes) else data)
        new.sync()
        yield new.part
        new.close()
    except BaseException:
        new.discard()
        raise


class NewFile:
    """A private file that is written a piece at a time, under a name that nobody else uses, beside its place."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """Create it; nothing is changed at the place before ``put_in_place``.

        Raises:
            OSError: it cannot be created.
        """
        self.path: Path = Path(path)
        remove_unfinished(path)
        fd, part = _new_beside(self.path)
        self.part: Path = part
        """Where it is until then."""
        self._file = open(fd, "wb")  # noqa: PTH123, SIM115 - an open descriptor, for as long as the object lives
        try:
            _give_back(fd)
        except BaseException:
            self.discard()
            raise

    def write(self, pieces: Iterable[bytes]) -> None:
        """Write at the end.

        Raises:
            OSError: it cannot be written.
        """
        self._file.writelines(pieces)

    def sync(self) -> None:
        """Have the disk keep what was written.

        Raises:
            OSError: it cannot be written, as on a full disk.
        """
        self._file.flush()
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """Close it where it is; closing twice does nothing.

        Raises:
            OSError: what was written last cannot be written.
        """
        self._file.close()

    def put_in_place(self) -> None:
        """Put it in its place, where it replaces another file, and close it. ``sync_folder`` makes that last.

        Raises:
            UnfitFileError: the existing file must not be replaced.
            OSError: it cannot be put there.
        """
        self._file.flush()
        look(self.path)
        self.part.replace(self.path)  # before it is closed: without its lock it would look like a killed writer's
        self.close()

    def discard(self) -> None:
        """Close it and remove it, unless it is in its place; whatever fails is ignored, since nobody needs it."""
        with suppress(OSError):
            self._file.close()
        with suppress(OSError):
            self.part.unlink()


def remove_unfinished(path: str | os.PathLike[str]) -> None:
    """Remove what killed writers have left beside a file before it could take its place: nobody would find it there."""
    place = Path(path)
    named = re.compile(rf"{re.escape(_prefix_beside(place))}[a-z0-9_]{{8}}{re.escape(_SUFFIX_BESIDE)}")
    with suppress(OSError):
        for name in os.listdir(place.parent):  # noqa: PTH208 - one string a file, however many there are
            if named.fullmatch(name):
                _remove_unless_written(place.with_name(name))


def sync_folder(path: str | os.PathLike[str]) -> None:
    """Have the disk keep the names of the files in a folder, so that a file just created or renamed survives a crash.

    As in SQLite, nothing is done where it must not be read, or its file system syncs no folders (CIFS, some of FUSE).

    Raises:
        OSError: the disk has failed.
    """
    try:
        fd = os.open(path, os.O_RDONLY)
    except PermissionError:
        return
    try:
        os.fsync(fd)
    except OSError as error:
        if error.errno not in _CANNOT_SYNC:
            raise
    finally:
        os.close(fd)


def make_folder(path: str | os.PathLike[str], *, must_be_ours: bool = False) -> None:
    """Create a folder, and those above it, for its owner alone; existing folders stay as they are.

    With ``must_be_ours`` an existing folder of another user, or a link, is refused.

    Raises:
        UnfitFileError: the existing folder must not be used.
        OSError: it cannot be created.
    """
    place = Path(path)
    for above in reversed(place.parents):  # mkdir's own `parents` creates them with the mode of the umask
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
    """Log a WARNING if the mode of the folder lets other users put files of theirs in place of this one."""
    folder = Path(path).absolute().parent
    try:
        about = folder.stat()
    except OSError:
        return  # writing there will fail and say why
    if hasattr(os, "geteuid") and _is_open_to_others(about):
        text = "other users can replace files in %s: revoke their write access (chmod go-w), or use another folder"
        _log.warning(text, folder, extra={"spotdx_event": "folder"})


def _is_open_to_others(about: os.stat_result) -> bool:
    if about.st_uid not in {0, os.geteuid()}:
        return True
    if about.st_mode & stat.S_ISVTX:
        return False  # only the owners of a file and of the folder can replace it
    if about.st_mode & stat.S_IWOTH:
        return True
    # Many systems give each user a private group with the number of the user.
    is_own_group = about.st_gid == os.getegid() == os.geteuid()
    return bool(about.st_mode & stat.S_IWGRP) and not is_own_group


def _prefix_beside(place: Path) -> str:
    return f".{os.fsencode(place.name)[:_MOST_OF_A_NAME].decode(errors='ignore')}."


def _new_beside(place: Path) -> tuple[int, Path]:
    """Create a file beside another and lock it, so that nobody takes it for a killed writer's."""
    while True:
        fd, name = tempfile.mkstemp(prefix=_prefix_beside(place), suffix=_SUFFIX_BESIDE, dir=place.parent)
        new = Path(name)
        with suppress(OSError):  # a file system without locks: there nobody removes anything
            if _can_lock():
                fcntl.flock(fd, fcntl.LOCK_EX)
        if new.exists():
            return fd, new
        os.close(fd)  # somebody came between creating and locking it


def _can_lock() -> bool:
    return fcntl is not None


def _remove_unless_written(unfinished: Path) -> None:
    if not _can_lock():
        return
    with suppress(OSError):
        fd = open_own(unfinished, os.O_RDWR)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            unfinished.unlink()
        finally:
            os.close(fd)


def _give_back(fd: int) -> None:
    """Give the owner of a new file what the umask has taken from him."""
    if hasattr(os, "fchmod") and os.fstat(fd).st_mode & PRIVATE != PRIVATE:
        os.fchmod(fd, PRIVATE)


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
