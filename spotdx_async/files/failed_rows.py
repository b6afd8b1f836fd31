"""Rows that did not go through, written exactly as they came, so that they can be fed in again."""

import errno
import os
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Self

from spotdx_async import private_files
from spotdx_async.errors import InvalidInputError

__all__ = ["FailedRows"]


class FailedRows:
    """A file of failed rows, readable by its owner alone (mode 0600 from its first instant).

    It is made when the first row is written, and nothing waits in memory: what ``write`` has taken is in the file. An
    existing file is used only while it is empty, or replaced where that is asked for. No symbolic link is followed.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        preamble: bytes = b"",
        inputs: Iterable[str | os.PathLike[str]] = (),
        replace: bool = False,
    ) -> None:
        """Check that the file can be made.

        Args:
            path: where it is to be.
            preamble: what stands before the first row, such as the CSV header; with its line end or without.
            inputs: files that it must not be.
            replace: remove an existing file of that name, now.

        Raises:
            InvalidInputError: the file cannot be made, or must not be written.
        """
        self.path: Path = Path(path)
        self.count: int = 0
        """Rows written so far."""
        self._preamble = preamble
        self._fd: int | None = None
        self._size = 0
        try:
            self._check(inputs, replace=replace)
        except OSError as error:
            reason = f"cannot be written: {error.strerror}"
        else:
            private_files.warn_of_folder(self.path)
            return
        raise InvalidInputError(f"{self.path} {reason}")

    def write(self, source: bytes) -> None:
        """Add one row.

        Raises:
            OSError: the row could not be written, as on a full disk; the file still holds every row before it, whole.
        """
        if self._fd is None:
            self._fd = self._open()
        start = b"" if self._size else _with_line_end(self._preamble)
        self._append(self._fd, start + _with_line_end(source))
        self.count += 1

    def close(self) -> None:
        """Close the file; closing twice does nothing.

        Raises:
            OSError: what was written may not have reached the disk.
        """
        fd, self._fd = self._fd, None
        if fd is None:
            return
        try:
            os.fsync(fd)
        finally:
            os.close(fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _check(self, inputs: Iterable[str | os.PathLike[str]], *, replace: bool) -> None:
        folder = self.path.parent
        if not folder.is_dir():
            raise InvalidInputError(f"{self.path} cannot be written: there is no such folder")
        is_input = any(Path(given).exists() and _is(self.path, given) for given in inputs)
        if is_input and not self.path.is_symlink():
            raise InvalidInputError(f"{self.path} is the input itself")
        try:
            about = private_files.look(self.path)
        except private_files.UnfitFileError as error:
            raise InvalidInputError(f"{self.path} {error.strerror}: name another file") from None
        if about is None:
            if os.access(folder, os.W_OK | os.X_OK):
                return
            raise PermissionError(errno.EACCES, "permission denied")
        if replace:
            self.path.unlink()
        elif about.st_size:
            raise InvalidInputError(f"{self.path} exists and is not empty: give another name, or --force to replace it")

    def _open(self) -> int:
        try:
            return private_files.create(self.path)
        except FileExistsError:
            fd = private_files.open_own(self.path, os.O_WRONLY)
        if os.fstat(fd).st_size:
            os.close(fd)
            raise FileExistsError(errno.EEXIST, "it has been filled by someone else")
        return fd

    def _append(self, fd: int, data: bytes) -> None:
        try:
            written = 0
            while written < len(data):
                written += os.write(fd, data[written:])
        except OSError:
            os.ftruncate(fd, self._size)  # half a row would spoil the file for being fed in again
            os.lseek(fd, self._size, os.SEEK_SET)
            raise
        self._size += len(data)


def _is(path: Path, given: str | os.PathLike[str]) -> bool:
    return path.exists() and path.samefile(given)


def _with_line_end(data: bytes) -> bytes:
    return data if not data or data.endswith((b"\n", b"\r")) else data + b"\n"
