"""A file that must stay as it was opened for as long as it is read: its inode, size, time of writing and bytes.

What is read in several passes (a look for broken quotes, a fingerprint, the rows) is the same file in each of them.
"""

import hashlib
import os
import stat
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import ExitStack, closing
from io import SEEK_SET, BufferedReader, FileIO, RawIOBase
from pathlib import Path
from typing import Any, NamedTuple, Self

from spotdx_async._http import clock
from spotdx_async.files.rows import BadRow, ChangedInputError, Row

__all__ = ["DIGEST_NAME", "StoredFile", "WatchedInput", "watched"]

DIGEST_NAME = "blake2b"


class _State(NamedTuple):
    """What tells one state of a file from another."""

    device: int
    inode: int
    size: int
    written_ns: int

    @classmethod
    def of(cls, found: os.stat_result) -> "_State":
        return cls(found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns)


class _Known(NamedTuple):
    """What is known of a file that was opened."""

    opened: _State
    expected: bytes | None
    fault: str | None


class _OwnPlace(RawIOBase):
    """A file that is open already, read from a place of its own: what else reads it does not notice."""

    def __init__(self, number: int, start: int) -> None:
        self._number = number
        self._at = start

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = os.pread(self._number, len(buffer), self._at)
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)

    def seek(self, offset: int, whence: int = SEEK_SET) -> int:
        assert whence == SEEK_SET  # noqa: S101 - all that is asked for here; for the type checker
        self._at = offset
        return offset

    def tell(self) -> int:
        return self._at

    def fileno(self) -> int:
        return self._number


class StoredFile:
    """The bytes of a regular file, unbuffered, and whether it is still what was opened."""

    def __init__(self, path: Path | None, file: FileIO | _OwnPlace) -> None:
        """Take over a file that was just opened for reading, of which nothing was read yet.

        Args:
            path: where it is; None if nobody has said so, as of standard input.
            file: the file.
        """
        self._path = path
        self._file = file
        self._start = file.tell()
        self._opened = _State.of(os.fstat(file.fileno()))
        self._bytes_read = hashlib.new(DIGEST_NAME)
        self._expected: bytes | None = None
        self._fault: str | None = None

    @classmethod
    def open(cls, place: Path | int) -> "StoredFile | FileIO":
        """Open a file; one that is not regular, such as a pipe, comes as it is.

        Args:
            place: its path, or the number of a descriptor, which stays open.

        Raises:
            OSError: it cannot be opened.
        """
        # Unbuffered: a read returns what a pipe holds now instead of waiting for a full buffer.
        file = FileIO(place, "rb", closefd=not isinstance(place, int))
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            return file
        if isinstance(place, Path):
            return cls(place, file)
        return cls(None, file) if hasattr(os, "pread") else file

    def again(self) -> "StoredFile":
        """Return the same file, to be read once more from where this one began.

        Raises:
            ChangedInputError: the file is not what was opened.
            OSError: it cannot be opened.
        """
        if self._path is None:
            return StoredFile(None, _OwnPlace(self._file.fileno(), self._start))
        self.check()
        return StoredFile(self._path, FileIO(self._path, "rb"))

    @property
    def has_path(self) -> bool:
        """Whether it can be opened again, in a later session say."""
        return self._path is not None

    @property
    def size(self) -> int:
        """Its size in bytes, when it was opened."""
        return self._opened.size

    @property
    def age_s(self) -> float:
        """Seconds since it was last written, when it was opened, by this machine's clock; negative if that is off."""
        return clock.wall().timestamp() - self._opened.written_ns / 1e9

    def check(self) -> None:
        """Make sure that the file, and what is at its path, is what was opened.

        Raises:
            ChangedInputError: it is not, or was not at an earlier check.
        """
        if self._fault is None and not self._file.closed:
            self._fault = self._difference(_State.of(os.fstat(self._file.fileno())))
        if self._fault is None:
            self._fault = self._difference_at_path()
        if self._fault is not None:
            raise ChangedInputError(self._fault)

    @property
    def known(self) -> "_Known":
        """What is known of the file, to ``follow`` when it is opened again."""
        return _Known(self._opened, self._expected, self._fault)

    def follow(self, known: "_Known") -> None:
        """Make sure that it is the file that was opened earlier, as it was then, and stays so.

        Raises:
            ChangedInputError: it is not.
        """
        self._opened, self._expected, self._fault = known
        self.check()

    def read(self, size: int = -1) -> bytes:
        """Return the next bytes; empty at the end. Whoever uses them must ``check`` first.

        Raises:
            ChangedInputError: what was read to the end is not what ``digest`` has read.
            OSError: it cannot be read any further.
        """
        piece: bytes = self._file.read(size) or b""
        self._bytes_read.update(piece)
        if not piece and size and self._expected not in {None, self._bytes_read.digest()}:
            self._fault = "it was changed while it was read: other bytes are in it than at first"
            self.check()
        return piece

    def digest(self) -> bytes:
        """Return a digest of all its bytes; from then on, reading to the end makes sure that it has read the same.

        Raises:
            ChangedInputError: the file is not what was opened.
            OSError: it cannot be read.
        """
        with self._opened_again() as again:
            found = hashlib.file_digest(again, DIGEST_NAME).digest()
        self.check()
        self._expected = found
        return found

    def last_bytes(self, count: int) -> bytes:
        """Return what it ends with.

        Raises:
            ChangedInputError: the file is not what was opened.
            OSError: it cannot be read.
        """
        with self._opened_again() as again:
            again.seek(max(0, self.size - count))
            found = again.read(count)
        self.check()
        return found

    def tell(self) -> int:
        """Return how many bytes were read."""
        return self._file.tell()

    def fileno(self) -> int:
        """Return the file descriptor."""
        return self._file.fileno()

    def close(self) -> None:
        """Close the file; closing twice does nothing."""
        self._file.close()

    def _opened_again(self) -> BufferedReader:
        self.check()
        if self._path is None:
            return BufferedReader(_OwnPlace(self._file.fileno(), 0))
        again = self._path.open("rb")
        try:
            self._fault = self._fault or self._difference(_State.of(os.fstat(again.fileno())))
            self.check()
        except BaseException:
            again.close()
            raise
        return again

    def _difference_at_path(self) -> str | None:
        if self._path is None:
            return None
        try:
            return self._difference(_State.of(self._path.stat()))
        except FileNotFoundError:
            return "it was moved or deleted while it was read"
        except OSError as error:
            return f"it can no longer be found ({error.strerror})"

    def _difference(self, now: _State) -> str | None:
        was = self._opened
        if now == was:
            return None
        if (now.device, now.inode) != (was.device, was.inode):
            return "another file has taken its place while it was read"
        if now.size != was.size:
            return f"it was changed while it was read: it had {was.size:,} bytes, and has {now.size:,} now"
        return "it was written to while it was read"


class WatchedInput(ABC):
    """What all inputs of rows share: each is perhaps a stored file, which must stay as it was opened."""

    stored_file: StoredFile | None = None
    """None if it is no regular file, such as a pipe: of that nothing is known."""

    _at_end: bool = False

    def check_unchanged(self) -> None:
        """Make sure that the file is still the one that was opened; of a pipe nothing is known.

        Raises:
            ChangedInputError: it is not.
        """
        if self.stored_file is not None:
            self.stored_file.check()

    def digest(self) -> bytes | None:
        """Return a digest of the whole file as it is stored; None if it can be read only once.

        Raises:
            ChangedInputError: the file is no longer the one that was opened.
            OSError: it cannot be read.
        """
        return self.stored_file.digest() if self.stored_file is not None and self.stored_file.has_path else None

    @property
    def at_end(self) -> bool:
        """Whether the input has ended."""
        return self._at_end

    @abstractmethod
    def fill(self) -> None:
        """Read one piece of the input.

        Raises:
            OSError: it cannot be read any further.
        """

    @abstractmethod
    def rows(self) -> Iterator[Row | BadRow]:
        """Yield the rows that are complete so far."""

    def __iter__(self) -> Iterator[Row | BadRow]:
        yield from self.rows()
        while not self.at_end:
            self.fill()
            yield from self.rows()

    @abstractmethod
    def close(self) -> None:
        """Close the input; closing twice does nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def watched(path: Path, opens: ExitStack) -> StoredFile | None:
    """Open a file beside what reads it by its path, until the stack is closed; None if it is not regular.

    Raises:
        OSError: it cannot be opened.
    """
    file = opens.enter_context(closing(StoredFile.open(path)))
    return file if isinstance(file, StoredFile) else None
