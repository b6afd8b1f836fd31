"""Text that cannot be told from rows, kept beside the failed rows with its line numbers, so that it is never lost."""

import os
from collections.abc import Iterable
from pathlib import Path

from spotdx_async.files.failed_rows import FailedRows
from spotdx_async.files.rows import BadRow

__all__ = ["UnreadableRows"]

_SUFFIX = ".unreadable"


class UnreadableRows:
    """A file named after that of the failed rows, as private as that.

    It is for a person: each text stands under a line that says where it came from and what is wrong with it. Among the
    failed rows such a text could change what its neighbours say.
    """

    def __init__(
        self,
        failed: str | os.PathLike[str],
        *,
        inputs: Iterable[str | os.PathLike[str]] = (),
        replace: bool = False,
    ) -> None:
        """Check that the file can be written.

        Args:
            failed: the file of failed rows.
            inputs: files that it must not be.
            replace: replace an existing file of that name at the end.

        Raises:
            InvalidInputError: the file cannot be created, or must not be written.
        """
        self._file = FailedRows(unreadable_of(failed), inputs=inputs, replace=replace)
        self.count: int = 0
        """How many rows it holds."""
        self._begun: tuple[str, int] | None = None
        self._error: OSError | None = None

    @property
    def path(self) -> Path:
        """Where it is to be."""
        return self._file.path

    @property
    def place(self) -> Path:
        """Where it is, as ``FailedRows.place``."""
        return self._file.place

    @property
    def fault(self) -> str | None:
        """What another program did to the file meanwhile, as ``FailedRows.fault``."""
        return self._file.fault

    @property
    def kept(self) -> Path | None:
        """Where the text is kept of a run that was killed, as ``FailedRows.kept``."""
        return self._file.kept

    def begin(self, file: str, line: int, piece: bytes) -> None:
        """Write a piece of a row that is too long to keep; ``add`` ends it, and raises what fails here.

        Args:
            file: the name of the input.
            line: on which the row begins.
            piece: the next of its text.
        """
        if self._error is not None:
            return
        try:
            if self._begun != (file, line):
                self._begun = (file, line)
                self._file.append(f"# {_in_one_line(file)}, from line {line}:\n".encode())
            self._file.append(piece)
        except OSError as error:
            self._error = error

    def add(self, file: str, row: BadRow) -> bool:
        """Write a row, or end the one that was begun; return whether its text is there.

        Raises:
            OSError: it could not be written, as on a full disk.
        """
        if self._error is not None:
            raise self._error
        last, name = row.last_line or row.line, _in_one_line(file)
        if row.source is not None:
            self._file.write(f"# {name}, {_lines(row.line, last)}: {row.reason}\n".encode() + row.source)
        elif self._begun == (file, row.line):
            self._file.write(f"\n# {name}, that was {_lines(row.line, last)}: {row.reason}\n".encode())
        else:
            return False
        self.count += 1
        return True

    def close(self) -> None:
        """Put the file in its place, if there is anything in it, and close it; closing twice does nothing.

        Raises:
            OSError: what was written may not have reached the disk.
        """
        self._file.close()

    def abandon(self) -> None:
        """Close it without putting it in its place."""
        self._file.abandon()


def unreadable_of(failed: str | os.PathLike[str]) -> Path:
    """Return the path of the file that belongs to a file of failed rows."""
    return Path(f"{os.fspath(failed)}{_SUFFIX}")


def _lines(first: int, last: int) -> str:
    return f"line {first}" if first == last else f"lines {first}-{last}"


def _in_one_line(name: str) -> str:
    """Return the name of a file as text that cannot be taken for rows: it may hold any byte, line breaks too."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in name)
