"""What was created, key by key, over all sessions of a run: CSV, private, whole at the end; knows no run."""

import csv
import hashlib
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import chain
from pathlib import Path
from typing import TextIO
from unicodedata import normalize

from spotdx_async.errors import InvalidInputError
from spotdx_async.files.outcome_file import csv_line
from spotdx_async.files.part_file import begun_part

__all__ = ["CreatedFile"]

_HEADER = ["key", "id", "state"]
_FINAL = "ok"
_STATES = frozenset({_FINAL, "failed", "unknown"})
_DIGEST_BYTES = 16
"""Long enough that no two keys ever share a digest: a line would be lost."""


class CreatedFile:
    """A file with a line for each key, written beside its place as outcomes come, and put there once all have come.

    It takes over what the file at its place, and the part that a killed session has left, say of other keys. Writing
    never raises: the first error ends it, and is kept. Memory holds a digest of each key.
    """

    def __init__(self, path: str | Path, *, replace: bool = False, is_resumed: bool = False) -> None:
        """Check that it can be written, and begin it; what is at its place stays there until ``close``.

        Args:
            path: its place.
            replace: whether a file at the place may be replaced, whatever it is.
            is_resumed: whether what earlier sessions have written is taken over.

        Raises:
            InvalidInputError: it cannot be written, or must not.
        """
        self.path: Path = Path(path)
        self.count: int = 0
        """Lines below the header."""
        self.done: int = 0
        """Those of them that say what was created."""
        self.error: OSError | None = None
        """Why it is incomplete; None if it is not."""
        self._is_resumed = is_resumed
        self._known: set[bytes] = set()
        self._of_killed: list[tuple[str, str | None, str]] = []
        """Lines of a killed session whose state may be another by now."""
        if is_resumed and not replace and not _is_such_a_file(self.path):
            what = "exists, and holds something other than the keys, ids and states of earlier sessions"
            raise InvalidInputError(f"{self.path} {what}: give another name, or --force to replace it")
        self._part = begun_part(self.path, replace=replace or is_resumed)

    @property
    def place(self) -> Path:
        """Where what was written is: under another name if it is incomplete, or its place was taken meanwhile."""
        return self._part.place

    @property
    def fault(self) -> str | None:
        """Why it is complete under another name; None if it is not."""
        return self._part.fault

    def has(self, key: str) -> bool:
        """Return whether there is a line of this key."""
        return _digest(key) in self._known

    def add(self, key: str, object_id: str | None, state: str) -> None:
        """Write a line, unless there is one of this key, or an earlier one could not be written."""
        digest = _digest(key)
        if digest not in self._known:
            self._known.add(digest)
            self._append([key, object_id or "", state])
            self._count(state)

    def close(self) -> None:
        """Take over what earlier sessions say of other keys, and put it in its place; incomplete it stays beside it."""
        try:
            if not self._part.size and self.error is None:
                self._begin()
            if self._is_resumed:
                for line in chain(self._of_killed, _lines(self.path)):
                    self.add(*line)
            if self.error is None:
                self._part.settle()
        except OSError as error:
            self.error = self.error or error
        self._part.abandon()

    def abandon(self) -> None:
        """Leave what was written beside the place, as a kill does."""
        self._part.abandon()

    def _count(self, state: str) -> None:
        if self.error is None:
            self.count += 1
            self.done += state == _FINAL

    def _append(self, values: list[str]) -> None:
        if self.error is None:
            try:
                # Not before: a command that is refused meanwhile leaves what a killed session wrote where it is.
                if not self._part.size:
                    self._begin()
                self._part.append(csv_line(values))
            except OSError as error:
                self.error = error

    def _begin(self) -> None:
        """Write the header, and take over what a killed session wrote, at once: this one may be killed too."""
        self._part.append(csv_line(_HEADER))
        left = self._part.kept
        if left is None or not self._is_resumed:
            return
        for key, object_id, state in _lines(left):
            digest = _digest(key)
            if state != _FINAL:
                self._of_killed.append((key, object_id, state))
            elif digest not in self._known:
                self._known.add(digest)
                self._part.append(csv_line([key, object_id or "", state]))
                self._count(state)
        left.unlink(missing_ok=True)


def _lines(path: Path) -> Iterator[tuple[str, str | None, str]]:
    """Yield the whole lines of such a file; none of another one."""
    with suppress(FileNotFoundError, csv.Error), _opened(path) as file:
        rows = csv.reader(file)
        if next(rows, None) == _HEADER:
            # A kill can cut the last line anywhere: a state that was cut is none.
            yield from ((row[0], row[1] or None, row[2]) for row in rows if _is_whole(row))


def _is_such_a_file(path: Path) -> bool:
    """Return whether nothing is lost if only the lines of a file are taken over: it has a header and whole lines."""
    if not path.is_file():
        return True  # what it may be is checked elsewhere
    try:
        with _opened(path) as file:
            rows = csv.reader(file)
            header = next(rows, None)
            return header is None or (header == _HEADER and all(map(_is_whole, rows)))
    except csv.Error:
        return False
    except OSError:
        return True  # as above


def _opened(path: Path) -> TextIO:
    # A spreadsheet that saves such a file puts a byte order mark in front.
    return path.open(encoding="utf-8-sig", errors="replace", newline="")


def _is_whole(row: Sequence[str]) -> bool:
    return len(row) == len(_HEADER) and row[-1] in _STATES


def _digest(key: str) -> bytes:
    # As a run knows it: the same in every form of Unicode.
    name = normalize("NFC", key).encode("utf-8", "surrogatepass")
    return hashlib.blake2b(name, digest_size=_DIGEST_BYTES).digest()
