"""Rows that did not go through, written exactly as they came so that they can be fed in again.

Only rows whose cells can be told belong here: any other text could change what the rows beside it say.

``FailedRows`` is the file; ``UndoneRows`` keeps it free of rows that a later row of the same id has overtaken.
"""

import hashlib
import os
from array import array
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Self

from spotdx_async.files.part_file import begun_part

__all__ = ["FailedRows", "UndoneRows"]

_DIGEST_BYTES = 16
"""Long enough that no two ids ever share a digest: a row that was never overtaken would be lost."""
# A row's number in the upper bits; in the lower ones its position in the file, from 1, or 0 if it is not there.
_POSITION_BITS = 40
_POSITION_MASK = (1 << _POSITION_BITS) - 1


class FailedRows:
    """A file of failed rows, readable by its owner alone (mode 0600 from its first instant).

    It is written as ``PATH.part``, and takes its place when it is closed; until then an existing file is as it was.
    Nothing is buffered: what ``write`` has accepted is in the file. An existing file is replaced only if it is empty,
    or if that is asked for. Symbolic links are not followed.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        preamble: bytes = b"",
        inputs: Iterable[str | os.PathLike[str]] = (),
        replace: bool = False,
        is_repeat: bool = False,
    ) -> None:
        """Check that the file can be written, and take its place: no other ``FailedRows`` gets it until it is closed.

        Args:
            path: where it is to be.
            preamble: what comes before the first row, such as the CSV header; with or without its line end.
            inputs: files that it must not be.
            replace: replace an existing file of that name at the end, or remove it if there are no rows then.
            is_repeat: whether all rows that an earlier try has left, also unfinished, are tried again, so that none of
                them is kept.

        Raises:
            InvalidInputError: the file cannot be created, or must not be written.
        """
        self.path: Path = Path(path)
        self.count: int = 0
        """How many rows it holds."""
        self._preamble = preamble
        # Where each row that was written begins, in the order of writing.
        self._starts = array("Q")
        self._file = begun_part(self.path, inputs=inputs, replace=replace, is_repeat=is_repeat)

    @property
    def place(self) -> Path:
        """Where the rows are: ``path`` once it is closed, unless ``fault`` says otherwise; ``PATH.part`` before."""
        return self._file.place

    @property
    def fault(self) -> str | None:
        """What another program did to the file meanwhile, so that the rows are under another name; None: nothing."""
        return self._file.fault

    @property
    def is_open(self) -> bool:
        """Whether it is neither in its place nor abandoned."""
        return self._file.is_open

    @property
    def kept(self) -> Path | None:
        """Where the rows are kept that a run which was killed has left in ``PATH.part``; None: there are none."""
        return self._file.kept

    def write(self, source: bytes) -> None:
        """Add one row.

        Raises:
            OSError: the row could not be written, as on a full disk; the file still holds every row before it, whole.
        """
        row = _with_line_end(source)
        self.append(row)
        self._starts.append(self._file.size - len(row))
        self.count += 1

    def append(self, text: bytes) -> None:
        """Add text that is no row, or a piece of one, as it is.

        Raises:
            OSError: as ``write``.
        """
        head = b"" if self._file.size else _with_line_end(self._preamble)
        self._file.append(head + text)

    def drop(self, row: int) -> None:
        """Take out a row, once, before the file is closed: a blank line takes its place.

        Args:
            row: its position among those that were written, from 0.

        Raises:
            OSError: it is still there.
        """
        start, end = self._span(row)
        self._file.overwrite(start, b"\n" * (end - start))
        self.count -= 1

    def arrange(self, rows: Iterable[int]) -> None:
        """Keep only these rows, in this order, and close the file; there is none if none are left.

        Args:
            rows: the position of each among those that were written, from 0.

        Raises:
            OSError: it cannot be rewritten: it is unchanged, and ``is_open``; or it was, and a power failure may undo
                that.
        """
        if not self._file.is_open:
            return
        if self.count:
            self._file.settle(self._pieces(rows))
        else:
            self._file.discard()

    def close(self) -> None:
        """Put the file in its place, if there is anything in it, and close it; closing twice does nothing.

        Raises:
            OSError: what was written may not have reached the disk; ``place`` says where it is.
        """
        if not self._file.is_open:
            return
        try:
            if self._file.size:
                self._file.settle()
            else:
                self._file.discard()
        finally:
            self._file.abandon()

    def abandon(self) -> None:
        """Close it without putting it in its place: what was written is left in ``PATH.part``."""
        self._file.abandon()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _span(self, row: int) -> tuple[int, int]:
        is_last = row + 1 == len(self._starts)
        return self._starts[row], self._file.size if is_last else self._starts[row + 1]

    def _pieces(self, rows: Iterable[int]) -> Iterator[bytes]:
        yield _with_line_end(self._preamble)
        for row in rows:
            start, end = self._span(row)
            yield self._file.read(start, end - start)


class UndoneRows:
    """Keeps the file free of rows that a later row of the same id, which is done, has overtaken.

    Fed in again, such a row would overwrite a newer value with an older one. Memory grows with the rows that are not
    done, and holds digests of their ids.
    """

    def __init__(self, failed: FailedRows | None = None) -> None:
        """Write rows that are not done to ``failed``; None: nowhere."""
        self._failed = failed
        self._rows: dict[bytes, list[int]] = {}
        # The number of each row in the file, in the order of writing; and the positions of those that were dropped.
        self._written = array("Q")
        self._dropped: set[int] = set()
        self._must_arrange = False

    def add(self, number: int, key: str | None, source: bytes | None) -> bool:
        """Record a row that is not done, and write it to the file; return whether it is there.

        Args:
            number: it rises with the rows of the input.
            key: the id; None if it is not certain, so that nothing can be said to overtake the row.
            source: the row; None if it cannot be written.

        Raises:
            OSError: it could not be written to the file.
        """
        position = 0
        try:
            if self._failed is not None and source is not None:
                self._failed.write(source)
                self._written.append(number)
                position = len(self._written)
        finally:
            if key is not None:
                rows = self._rows.setdefault(_digest(key), [])
                row = number << _POSITION_BITS | position
                # A bad row ends at once, so it may come before a row that precedes it and is still in flight.
                self._must_arrange |= bool(rows) and rows[-1] > row
                rows.append(row)
        return bool(position)

    def overtaken_by(self, number: int, key: str | None) -> list[int]:
        """Record a row that is done; return the earlier rows of its id, none of which is left in the file.

        Args:
            number: of the row.
            key: its id.
        """
        if key is None or not self._rows:
            return []
        digest, done = _digest(key), number << _POSITION_BITS
        rows = self._rows.get(digest, [])
        overtaken = [row for row in rows if row < done]
        if not overtaken:
            return []
        if left := [row for row in rows if row > done]:
            self._rows[digest] = left
        else:
            del self._rows[digest]
        for row in overtaken:
            self._drop((row & _POSITION_MASK) - 1)
        return [row >> _POSITION_BITS for row in overtaken]

    def close(self) -> None:
        """Close the file, with its rows in the order of the input.

        Raises:
            OSError: what was written may not have reached the disk, or the rows must not be fed in as they are.
        """
        failed, written = self._failed, self._written
        if failed is None:
            return
        kept = [position for position in range(len(written)) if position not in self._dropped]
        in_order = sorted(kept, key=written.__getitem__)
        if len(kept) < len(written) or in_order != kept:
            try:
                failed.arrange(in_order)
            except OSError:
                if self._must_arrange or not failed.is_open:
                    failed.abandon()
                    raise
                # Harmless: a dropped row is a blank line, and rows of different ids may come in any order.
        failed.close()

    def abandon(self) -> None:
        """Close the file without putting it in its place."""
        if self._failed is not None:
            self._failed.abandon()

    def _drop(self, position: int) -> None:
        if self._failed is None or position < 0:
            return
        self._dropped.add(position)
        try:
            self._failed.drop(position)
        except OSError:
            self._must_arrange = True


def _digest(key: str) -> bytes:
    return hashlib.blake2b(key.encode("utf-8", "surrogatepass"), digest_size=_DIGEST_BYTES).digest()


def _with_line_end(data: bytes) -> bytes:
    return data if not data or data.endswith((b"\n", b"\r")) else data + b"\n"
