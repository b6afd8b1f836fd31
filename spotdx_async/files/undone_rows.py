"""The rows that are not done: which of them a later row has overtaken, and the file that the others are fed in from."""

import hashlib
from array import array

from spotdx_async.files.failed_rows import FailedRows

__all__ = ["UndoneRows"]

_DIGEST_BYTES = 16
"""So many that no two ids are ever taken for one: a row that nobody has overtaken would be lost."""
# A row's number, and beneath it which row of the file it is, from 1; 0: it is not there.
_PLACE_BITS = 40
_PLACE_MASK = (1 << _PLACE_BITS) - 1


class UndoneRows:
    """Keeps the file free of rows that a later one of the same id, which is done, has overtaken.

    Fed in again, such a row would set an older value over a newer one. Memory grows with the rows that are not done,
    and holds digests of their ids.
    """

    def __init__(self, failed: FailedRows | None = None) -> None:
        """Begin.

        Args:
            failed: where rows that are not done go; None: nowhere.
        """
        self._failed = failed
        self._rows: dict[bytes, list[int]] = {}
        # Of each row that the file has taken its number, in the order of their coming; and which were taken back.
        self._written = array("Q")
        self._dropped: set[int] = set()
        self._must_arrange = False

    def add(self, number: int, key: str | None, source: bytes | None) -> bool:
        """Take in a row that is not done, and write it to the file; say whether it is there.

        Args:
            number: it rises with the rows of the input.
            key: the id; None where that is not certain, so that nobody can say what overtakes the row.
            source: the row; None where it cannot be written.

        Raises:
            OSError: the file did not take it.
        """
        place = 0
        try:
            if self._failed is not None and source is not None:
                self._failed.write(source)
                self._written.append(number)
                place = len(self._written)
        finally:
            if key is not None:
                self._keep(_digest(key), number << _PLACE_BITS | place)
        return bool(place)

    def overtaken_by(self, number: int, key: str | None) -> list[int]:
        """Take in a row that is done; give the rows of its id above it, of which nothing is left in the file.

        Args:
            number: of the row.
            key: its id.
        """
        if key is None or not self._rows:
            return []
        mark, done = _digest(key), number << _PLACE_BITS
        rows = self._rows.get(mark, [])
        overtaken = [row for row in rows if row < done]
        if not overtaken:
            return []
        if left := [row for row in rows if row > done]:
            self._rows[mark] = left
        else:
            del self._rows[mark]
        for row in overtaken:
            self._drop((row & _PLACE_MASK) - 1)
        return [row >> _PLACE_BITS for row in overtaken]

    def close(self) -> None:
        """Close the file; its rows stand in the order of the input then.

        Raises:
            OSError: what was written may not have reached the disk, or rows must not be fed in as they stand.
        """
        failed, written = self._failed, self._written
        if failed is None:
            return
        kept = [place for place in range(len(written)) if place not in self._dropped]
        in_order = sorted(kept, key=written.__getitem__)
        if len(kept) < len(written) or in_order != kept:
            try:
                failed.arrange(in_order)
            except OSError:
                if self._must_arrange:
                    raise
                # A blank line stands for what was dropped, and rows of different ids may stand in any order.
        failed.close()

    def _keep(self, mark: bytes, row: int) -> None:
        rows = self._rows.setdefault(mark, [])
        # A bad row ends at once, so it may come before one that stands above it and is under way.
        self._must_arrange |= bool(rows) and rows[-1] > row
        rows.append(row)

    def _drop(self, place: int) -> None:
        if self._failed is None or place < 0:
            return
        self._dropped.add(place)
        try:
            self._failed.drop(place)
        except OSError:
            self._must_arrange = True


def _digest(key: str) -> bytes:
    return hashlib.blake2b(key.encode("utf-8", "surrogatepass"), digest_size=_DIGEST_BYTES).digest()
