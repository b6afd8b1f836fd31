"""Rows that did not go through, written exactly as they came, so that they can be fed in again."""

import errno
import os
from array import array
from collections.abc import Iterable, Iterator
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
        """Rows that are in it."""
        self._preamble = preamble
        self._fd: int | None = None
        self._size = 0
        # Where each row that was written begins, in the order of their coming.
        self._starts = array("Q")
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
        head = b"" if self._size else _with_line_end(self._preamble)
        row = _with_line_end(source)
        self._append(self._fd, head + row)
        self._starts.append(self._size - len(row))
        self.count += 1

    def drop(self, row: int) -> None:
        """Take a row out again, once, before the file is closed: a blank line stands in its place.

        Args:
            row: which of those that were written, from 0.

        Raises:
            OSError: it is still there.
        """
        fd = self._fd
        assert fd is not None  # noqa: S101 - a row was written, and it is not closed; for the type checker
        start, end = self._span(row)
        try:
            os.lseek(fd, start, os.SEEK_SET)
            _write_all(fd, b"\n" * (end - start))
        finally:
            os.lseek(fd, self._size, os.SEEK_SET)
        self.count -= 1

    def arrange(self, rows: Iterable[int]) -> None:
        """Leave these rows alone, in this order, and close the file; it is gone where there are none.

        Args:
            rows: each by which of those that were written it is, from 0.

        Raises:
            OSError: it cannot be made anew; it is as it was, and still open.
        """
        fd = self._fd
        if fd is None:
            return
        if self.count:
            try:
                private_files.replace_by_pieces(self.path, self._pieces(fd, rows))
            finally:
                os.lseek(fd, self._size, os.SEEK_SET)
        else:
            self.path.unlink(missing_ok=True)
        self._fd = None
        os.close(fd)

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

    def _span(self, row: int) -> tuple[int, int]:
        is_last = row + 1 == len(self._starts)
        return self._starts[row], self._size if is_last else self._starts[row + 1]

    def _pieces(self, fd: int, rows: Iterable[int]) -> Iterator[bytes]:
        yield _with_line_end(self._preamble)
        for row in rows:
            start, end = self._span(row)
            os.lseek(fd, start, os.SEEK_SET)
            yield _read_all(fd, end - start)

    def _open(self) -> int:
        try:
            return private_files.create(self.path, os.O_RDWR)
        except FileExistsError:
            fd = private_files.open_own(self.path, os.O_RDWR)
        if os.fstat(fd).st_size:
            os.close(fd)
            raise FileExistsError(errno.EEXIST, "it has been filled by someone else")
        return fd

    def _append(self, fd: int, data: bytes) -> None:
        try:
            _write_all(fd, data)
        except OSError:
            os.ftruncate(fd, self._size)  # half a row would spoil the file for being fed in again
            os.lseek(fd, self._size, os.SEEK_SET)
            raise
        self._size += len(data)


def _is(path: Path, given: str | os.PathLike[str]) -> bool:
    return path.exists() and path.samefile(given)


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


def _with_line_end(data: bytes) -> bytes:
    return data if not data or data.endswith((b"\n", b"\r")) else data + b"\n"
