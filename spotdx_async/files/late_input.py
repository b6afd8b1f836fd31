"""An input that is checked now and opened again when its turn comes, so that a thousand take no thousand open files."""

import errno
from collections.abc import Callable, Iterator, Sequence
from typing import TypeAlias

from spotdx_async.errors import InvalidInputError
from spotdx_async.files.opening import RowInput
from spotdx_async.files.row_file import RowFile
from spotdx_async.files.rows import BadRow, Format, Row
from spotdx_async.files.stored_file import StoredFile, WatchedInput

__all__ = ["AnyInput", "LateInput"]


class LateInput(WatchedInput):
    """The rows of a file on disk, with the interface of ``RowFile``; it is open only while they are read.

    It must be the very file that was checked: one that was replaced or changed meanwhile is not read.
    """

    may_wait = False
    """Whether ``fill`` may have to wait for a writer: a file on disk never keeps its reader waiting."""

    def __init__(self, reopen: Callable[[], RowInput]) -> None:
        """Open it, keep what is known of it, and close it again.

        Args:
            reopen: opens and checks a regular file.

        Raises:
            InvalidInputError: as ``reopen``.
            ChangedInputError: the same.
        """
        self._reopen = reopen
        with reopen() as file:
            self.name: str = file.name
            self.format: Format = file.format
            self.failed_format: Format = file.failed_format
            self.preamble: bytes = file.preamble
            self.size: int | None = file.size
            self.notes: Sequence[str] = file.notes
            self._share_read = file.share_read
            self.stored_file: StoredFile | None = file.stored_file
        self.overflow: Callable[[int, int, bytes], None] | None = None
        """As that of ``RowFile``."""
        self._file: RowInput | None = None

    @property
    def share_read(self) -> float | None:
        """The share of the stored file that has been read, 0 to 1; None if its size is not known."""
        return self._share_read if self._file is None else self._file.share_read

    def open(self) -> None:
        """Open it again, unless it is open or was read: ``fill`` and ``rows`` do it too, but this may take seconds.

        Raises:
            ChangedInputError: it is not the file that was checked.
            OSError: it cannot be opened again.
        """
        if self._file is not None or self.at_end:
            return
        try:
            file = self._reopen()
        except InvalidInputError as error:
            self.check_unchanged()  # a change explains it
            reason = str(error)
        else:
            self._file = file
            if self.stored_file is not None and file.stored_file is not None:
                file.stored_file.follow(self.stored_file.known)
            if isinstance(file, RowFile):
                file.overflow = self.overflow
            return
        raise OSError(errno.EIO, reason)

    def check_unchanged(self) -> None:
        """Make sure that the file is still the one that was checked.

        Raises:
            ChangedInputError: it is not.
        """
        if self._file is not None:
            self._file.check_unchanged()
        else:
            super().check_unchanged()

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
            self._at_end = True
            self.close()

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


AnyInput: TypeAlias = RowInput | LateInput
"""What is read row by row, whichever way it is opened."""
