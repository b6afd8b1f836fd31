"""An input that is checked now and opened again when its turn comes, so that a thousand take no thousand open files."""

import errno
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeAlias

from spotdx_async.errors import InvalidInputError
from spotdx_async.files.row_file import RowFile, RowInput
from spotdx_async.files.rows import BadRow, Format, Row

__all__ = ["AnyInput", "LateInput"]

_Identity: TypeAlias = tuple[int, int, int, int]


class LateInput:
    """The rows of a file on disk, with the interface of ``RowFile``; it is open only while they are read.

    It must be the very file that was checked: one that was replaced or changed meanwhile is not read.
    """

    may_wait = False
    """Whether ``fill`` may have to wait for a writer: a file on disk never keeps its reader waiting."""

    def __init__(self, path: str | os.PathLike[str], reopen: Callable[[], RowInput]) -> None:
        """Open it, keep what is known of it, and close it again.

        Args:
            path: of a regular file.
            reopen: opens and checks it.

        Raises:
            InvalidInputError: as ``reopen``.
        """
        self._path, self._reopen = Path(path), reopen
        self._identity = _identity_of(self._path)
        with reopen() as file:
            self.name: str = file.name
            self.format: Format = file.format
            self.failed_format: Format = file.failed_format
            self.preamble: bytes = file.preamble
            self.size: int | None = file.size
            self.notes: Sequence[str] = file.notes
            self._share_read = file.share_read
        self.overflow: Callable[[int, int, bytes], None] | None = None
        """As that of ``RowFile``."""
        self.at_end: bool = False
        """True once the input has ended, and all its rows were yielded."""
        self._file: RowInput | None = None

    @property
    def share_read(self) -> float | None:
        """The share of the stored file that has been read, 0 to 1; None if its size is not known."""
        return self._share_read if self._file is None else self._file.share_read

    def open(self) -> None:
        """Open it again, unless it is open or was read: ``fill`` and ``rows`` do it too, but this may take seconds.

        Raises:
            OSError: it cannot be opened again, or is not the file that was checked.
        """
        if self._file is not None or self.at_end:
            return
        self._check_unchanged()
        try:
            file = self._reopen()
        except InvalidInputError as error:
            reason = str(error.args[0])
        else:
            self._file = file
            self._check_unchanged()
            if isinstance(file, RowFile):
                file.overflow = self.overflow
            return
        raise OSError(errno.EIO, reason)

    def fill(self) -> None:
        """Read one piece of the input.

        Raises:
            OSError: it cannot be read any further.
        """
        if not self.at_end:
            self._opened().fill()

    def rows(self) -> Iterator[Row | BadRow]:
        """Yield the rows that are complete so far; after the last row of all the file is closed."""
        if self.at_end:
            return
        file = self._opened()
        yield from file.rows()
        if file.at_end:
            self.at_end = True
            self.close()

    def __iter__(self) -> Iterator[Row | BadRow]:
        yield from self.rows()
        while not self.at_end:
            self.fill()
            yield from self.rows()

    def close(self) -> None:
        """Close the input; closing twice does nothing."""
        if self._file is not None:
            self._share_read = self._file.share_read
            self._file.close()
            self._file = None

    def _opened(self) -> RowInput:
        self.open()
        assert self._file is not None  # noqa: S101 - it was just opened; for the type checker
        return self._file

    def _check_unchanged(self) -> None:
        if _identity_of(self._path) != self._identity:
            raise OSError(errno.EIO, f"{self.name} was changed since the run began")


AnyInput: TypeAlias = RowInput | LateInput
"""What is read row by row, whichever way it is opened."""


def _identity_of(path: Path) -> _Identity | None:
    """Return what tells a file from any other, and from itself once it is changed; None if there is none."""
    try:
        about = path.stat()
    except OSError:
        return None
    return about.st_dev, about.st_ino, about.st_size, about.st_mtime_ns
