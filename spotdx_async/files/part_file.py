"""A private file that is written beside its place and put there as a whole at its end; knows no rows."""

import errno
import os
from collections.abc import Iterable
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import TypeAlias

from spotdx_async import private_files
from spotdx_async.errors import InvalidInputError

try:
    import fcntl
except ImportError:  # not on every system
    fcntl = None  # type: ignore[assignment]

_SUFFIX = ".part"
_MOST_TRIES = 100
_COPY_BYTES = 1024 * 1024

Mark: TypeAlias = tuple[int, int, int, int] | None


class PartInUseError(OSError):
    """Another writer, which is alive, has the same place."""


class PartFile:
    """A file at ``PLACE.part`` that takes its place when it is settled; until then nothing at the place is touched.

    One writer has it: it is locked from the beginning, and the kernel gives the lock back however the process ends.
    What a killed writer has left is kept under the next free name, ``PLACE.1`` say. If the part is moved or deleted
    while it is written, or the place is filled by someone else, everything written goes to such a name as well, and
    ``fault`` says so.
    """

    def __init__(self, path: Path, *, is_replacing: bool = False, is_repeat: bool = False) -> None:
        """Check the place and take it, and change nothing there.

        Args:
            path: the place.
            is_replacing: whether a file that is there, and not empty, may be replaced.
            is_repeat: whether all that an earlier writer has left is written again: then nothing of it is kept, and its
                lock is not respected.

        Raises:
            InvalidInputError: no file can be put there, or must be.
            PartInUseError: another writer has it.
            OSError: the part cannot be created, or the folder does not allow it.
        """
        self.path = path
        self.part: Path = part_of(path)
        self.place: Path = self.part
        """Where what was written is."""
        self.kept: Path | None = None
        """Where that is, or will be, what a killed writer has left; None if there was nothing."""
        self.fault: str | None = None
        """Why what was written is under another name; None if it is not."""
        self.size: int = 0
        self._is_replacing = is_replacing
        self._has_leftover = False
        check_place(path, replace=is_replacing)
        self._fd: int | None = self._take(is_repeat=is_repeat)
        try:
            private_files.remove_unfinished(path)  # the part has all that is in it
            self._has_leftover = os.fstat(self._fd).st_size > 0
            # Another writer may have put its file there until we had the lock, and none can from here on.
            self._before = _mark_of(path)
            check_place(path, replace=is_replacing)
            if self._has_leftover:
                self.kept = self._free_name()
        except BaseException:
            self.abandon()
            raise

    @property
    def is_open(self) -> bool:
        """Whether it is neither settled nor abandoned."""
        return self._fd is not None

    def continue_at(self, size: int) -> None:
        """Continue what a killed writer has left after its first bytes, instead of keeping it under another name.

        Args:
            size: how many of these bytes stay.

        Raises:
            OSError: what comes after them cannot be cut off.
        """
        assert self._fd is not None  # noqa: S101 - before anything is written; for the type checker
        os.ftruncate(self._fd, size)
        os.lseek(self._fd, size, os.SEEK_SET)
        self.size, self._has_leftover, self.kept = size, False, None

    def append(self, data: bytes) -> None:
        """Write at the end.

        Raises:
            OSError: it could not be written, as on a full disk; what was written before is there, whole, unless another
                program has written to the part.
        """
        fd = self._ready()
        try:
            _write_all(fd, data)
        except OSError:
            os.ftruncate(fd, self.size)
            os.lseek(fd, self.size, os.SEEK_SET)
            raise
        self.size += len(data)

    def overwrite(self, start: int, data: bytes) -> None:
        """Write over what is there.

        Raises:
            OSError: it may be there in part.
        """
        fd = self._ready()
        try:
            os.lseek(fd, start, os.SEEK_SET)
            _write_all(fd, data)
        finally:
            os.lseek(fd, self.size, os.SEEK_SET)

    def read(self, start: int, size: int) -> bytes:
        """Return what was written.

        Raises:
            OSError: it cannot be read.
        """
        fd = self._ready()
        try:
            os.lseek(fd, start, os.SEEK_SET)
            return _read_all(fd, size)
        finally:
            os.lseek(fd, self.size, os.SEEK_SET)

    def settle(self, pieces: Iterable[bytes] | None = None) -> None:
        """Put it in its place, even if the power fails then, and close it.

        Args:
            pieces: what is put there instead of what was written; None: that.

        Raises:
            OSError: it cannot be put there, and is still open; or it is there, closed, and a power failure may undo
                that. ``place`` says where it is.
        """
        fd = self._ready()
        if pieces is None:
            os.fsync(fd)
            target = self.place if self.fault else self._target()
            self.place.replace(target)
        else:
            with private_files.written_beside(self.path, pieces) as new:
                target = self.place if self.fault else self._target()
                new.replace(target)
        # It is there: whatever fails from here on must not have it put there once more.
        left, self.place = self.place, target
        if left != target:
            with suppress(OSError):
                self._remove(left)
        self._close()
        private_files.sync_folder(self.path.parent)

    def discard(self) -> None:
        """Remove it, and what it was to replace, and close it.

        Raises:
            OSError: that cannot be removed.
        """
        if self._fd is None:
            return
        if self._has_leftover:
            self._set_aside()
        if self._is_replacing and self._before is not None and _mark_of(self.path) == self._before:
            self.path.unlink()
        self._remove(self.place)
        self._close()
        private_files.sync_folder(self.path.parent)

    def abandon(self) -> None:
        """Close it where it is; an empty one is removed. Doing so twice does nothing."""
        if self._fd is None:
            return
        if not self.size and not self._has_leftover:
            with suppress(OSError):
                self._remove(self.place)
        self._close()

    def _take(self, *, is_repeat: bool) -> int:
        for _ in range(_MOST_TRIES):
            if is_repeat and private_files.look(self.part) is not None:
                self.part.unlink()
            fd = private_files.open_own(self.part, os.O_RDWR | os.O_CREAT)
            is_mine = _lock(fd) or is_repeat
            # The writer before may have put it in its place between our opening and locking it.
            if is_mine and _is_at(self.part, fd):
                return fd
            os.close(fd)
            if not is_mine:
                break
        raise PartInUseError(errno.EBUSY, "is being written by another run: wait until that has ended")

    def _ready(self) -> int:
        """Return the descriptor to use, once nothing of a killed writer is in it, and what we wrote has a name.

        Raises:
            OSError: that has no other name, or what we wrote is not all that is there.
        """
        if self._has_leftover:
            self._set_aside()
        fd = self._fd
        assert fd is not None  # noqa: S101 - nothing is written once it is closed; for the type checker
        if not self._is_ours(fd):
            raise OSError(errno.EIO, "another program has written to it")
        if not _is_at(self.place, fd):
            fd = self._rescue(fd)
        return fd

    def _set_aside(self) -> None:
        old = self._fd
        assert old is not None  # noqa: S101 - as above
        if _is_at(self.part, old):
            self.kept = self._free_name()
            self.part.rename(self.kept)
        else:
            self.kept = None  # someone has taken it away
        new = private_files.create(self.part, os.O_RDWR)
        _lock(new)
        self._fd, self._has_leftover = new, False
        os.close(old)

    def _rescue(self, old: int) -> int:
        """Write everything to a new file, since the name of the old one is gone or is another file's."""
        lost, place = self.place, self._free_name()
        new = private_files.create(place, os.O_RDWR)
        try:
            _lock(new)
            os.lseek(old, 0, os.SEEK_SET)
            for start in range(0, self.size, _COPY_BYTES):
                _write_all(new, _read_all(old, min(_COPY_BYTES, self.size - start)))
        except BaseException:
            os.close(new)
            place.unlink()
            raise
        self._fd, self.place = new, place
        self.fault = f"{lost} was moved or deleted during the run"
        os.close(old)
        return new

    def _target(self) -> Path:
        now = _mark_of(self.path)
        if now is None or now == self._before:
            return self.path
        self.fault = f"{self.path} was filled or changed by someone else during the run"
        return self._free_name()

    def _free_name(self) -> Path:
        names = (self.path.with_name(f"{self.path.name}.{number}") for number in count(1))
        return next(name for name in names if not os.path.lexists(name))

    def _remove(self, place: Path) -> None:
        """Remove the part, unless it is another file by now, or another program has written to it."""
        if self._fd is not None and _is_at(place, self._fd) and self._is_ours(self._fd):
            place.unlink()

    def _is_ours(self, fd: int) -> bool:
        return os.fstat(fd).st_size == self.size

    def _close(self) -> None:
        fd, self._fd = self._fd, None
        if fd is not None:
            os.close(fd)


def begun_part(
    path: Path, *, inputs: Iterable[str | os.PathLike[str]] = (), replace: bool, is_repeat: bool = False
) -> PartFile:
    """Check that a file can be put at a place, and may be, and begin it.

    Args:
        path: the place.
        inputs: files that it must not be.
        replace: whether a file that is there, and not empty, may be replaced.
        is_repeat: as for ``PartFile``.

    Raises:
        InvalidInputError: it cannot, or must not.
    """
    try:
        is_input = path.exists() and any(Path(it).exists() and path.samefile(it) for it in inputs)
        if is_input and not path.is_symlink():
            raise InvalidInputError(f"{path} is the input itself")
        part = PartFile(path, is_replacing=replace, is_repeat=is_repeat)
    except PartInUseError as error:
        reason = f"{error.strerror}, or name another file"
    except private_files.UnfitFileError as error:  # of the part: that of the file itself is said by the check
        reason = f"cannot be written, since {path.name}{_SUFFIX} {error.strerror}: move that away"
    except OSError as error:
        reason = f"cannot be written: {error.strerror}"
    else:
        private_files.warn_of_folder(path)
        return part
    raise InvalidInputError(f"{path} {reason}")


def check_place(path: Path, *, replace: bool) -> None:
    """Check that a file can be put at a place, and may be.

    Args:
        path: the place.
        replace: whether a file that is there, and not empty, may be replaced.

    Raises:
        InvalidInputError: it cannot, or must not.
        OSError: the folder does not allow it.
    """
    if not path.parent.is_dir():
        raise InvalidInputError(f"{path} cannot be written: there is no such folder")
    try:
        about = private_files.look(path)
    except private_files.UnfitFileError as error:
        raise InvalidInputError(f"{path} {error.strerror}: name another file") from None
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise PermissionError(errno.EACCES, "permission denied")
    if about is None:
        return
    if private_files.is_mounted(path):
        reason = "is mounted by itself, so it cannot be replaced: mount its folder instead"
        raise InvalidInputError(f"{path} {reason}")
    if about.st_size and not replace:
        raise InvalidInputError(f"{path} exists and is not empty: give another name, or --force to replace it")


def part_of(path: Path) -> Path:
    """Return where a file is written before it takes its place."""
    return path.with_name(path.name + _SUFFIX)


def _mark_of(path: Path) -> Mark:
    """Return what tells a file from any other, and from itself once it is changed; None if there is nothing."""
    try:
        about = path.lstat()
    except FileNotFoundError:
        return None
    return about.st_dev, about.st_ino, about.st_size, about.st_mtime_ns


def _is_at(path: Path, fd: int) -> bool:
    try:
        return os.path.samestat(path.lstat(), os.fstat(fd))
    except (FileNotFoundError, NotADirectoryError):
        return False


def _can_lock() -> bool:
    return fcntl is not None


def _lock(fd: int) -> bool:
    if not _can_lock():
        return True
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        # A file system without locks: what others do is noticed by the file's identity all the same.
        return error.errno not in {errno.EWOULDBLOCK, errno.EACCES}
    return True


def _write_all(fd: int, data: bytes) -> None:
    written = 0
    while written < len(data):
        written += os.write(fd, data[written:])


def _read_all(fd: int, size: int) -> bytes:
    data = b""
    while len(data) < size:
        piece = os.read(fd, size - len(data))
        if not piece:
            raise OSError(errno.EIO, "it has been cut off by someone else")
        data += piece
    return data
