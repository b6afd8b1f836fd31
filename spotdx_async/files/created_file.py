"""What was created, key by key, over all sessions of a run: CSV, private, whole at the end; knows no run."""

import codecs
import csv
import hashlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from itertools import chain
from pathlib import Path
from typing import TypeAlias
from unicodedata import normalize

from spotdx_async import private_files
from spotdx_async.errors import InvalidInputError, JournalError
from spotdx_async.files.outcome_file import csv_line
from spotdx_async.files.part_file import begun_part, part_of

__all__ = ["CreatedFile", "Recorded", "RecordedKey"]

Line: TypeAlias = tuple[str, str | None, str]
"""A key, the id of what was created, and a state."""
RecordedKey: TypeAlias = tuple[str, str | None, str | None]
"""A key, and what a journal says of it: a state, and the id of what was created; None where nothing was sent that
counts."""
Recorded: TypeAlias = Callable[[Iterable[str]], Iterable[RecordedKey]]
"""Returns what a journal says of keys, one by one and in their order."""

_HEADER = ["key", "id", "state"]
_FINAL = "ok"
_IN_DOUBT = "unknown"
_STATES = frozenset({_FINAL, "failed", _IN_DOUBT})
_DIGEST_BYTES = 16
"""Long enough that no two keys ever share a digest: a line would be lost."""
_COPY_BYTES = 1024 * 1024
_STRANGE: Line = ("", None, _FINAL)
"""Stands for what is no line of such a file: no journal knows it."""


class CreatedFile:
    """A file with a line for each key, written beside its place as outcomes come, and put there once all have come.

    A resumed run continues the part that a killed session has left, and takes over keys that only the file at its place
    has. What it says of them is the journal's word, since the state of a row may be another by now. A part, or a file,
    with an id that the journal does not know is another run's: the part is kept under another name, and the file is not
    replaced unless that is asked for. Writing never raises: the first error ends it, and is kept. Memory holds a digest
    of each key.
    """

    def __init__(self, path: str | Path, *, replace: bool = False, recorded: Recorded | None = None) -> None:
        """Check that it can be written, and begin it; what is at its place stays there until ``close``.

        Args:
            path: its place.
            replace: whether a file at the place may be replaced, whosever it is and whatever it holds.
            recorded: asks the journal of a run that is resumed; None for one that is not.

        Raises:
            InvalidInputError: it cannot be written, or must not.
            JournalError: the journal cannot be read.
        """
        self.path: Path = Path(path)
        self.count: int = 0
        """Lines below the header."""
        self.done: int = 0
        """Those of them that say what was created."""
        self.error: OSError | None = None
        """Why it is incomplete; None if it is not."""
        self._recorded = recorded
        # Digests of the keys that have a line, and whether that is one of the part that was continued.
        self._known: dict[bytes, bool] = {}
        self._continued = 0
        """Bytes of the part that were there before."""
        self._has_stale_lines = False
        """Whether lines among them must not stay."""
        self._is_ours = recorded is not None and self._has_known_lines(replace=replace)
        self._part = begun_part(self.path, replace=replace or self._is_ours)
        try:
            if recorded is not None and self._part.kept is not None:
                self._continue()
        except BaseException:
            self._part.abandon()
            raise

    @property
    def place(self) -> Path:
        """Where what was written is: under another name if it is incomplete, or its place was taken meanwhile."""
        return self._part.place

    @property
    def fault(self) -> str | None:
        """Why it is complete under another name; None if it is not."""
        return self._part.fault

    @property
    def kept(self) -> Path | None:
        """Where the lines of another run are kept that was killed and left ``PATH.part``; None: there are none."""
        return self._part.kept

    def has(self, key: str) -> bool:
        """Return whether there is a line of this key."""
        return _digest(key) in self._known

    def add(self, key: str, object_id: str | None, state: str) -> None:
        """Write a line, unless there is one of this key, or an earlier one could not be written."""
        digest = _digest(key)
        if digest not in self._known:
            self._known[digest] = False
            self._append([key, object_id or "", state])
            if self.error is None:
                self.count += 1
                self.done += state == _FINAL

    def close(self) -> None:
        """Take over what earlier sessions say of other keys, and put it in its place; incomplete it stays beside it."""
        try:
            if not self._part.size and self.error is None:
                self._part.append(csv_line(_HEADER))
            if self._recorded is not None:
                self._take_over()
            if self.error is None:
                self._part.settle(self._pieces() if self._has_stale_lines else None)
        except OSError as error:
            self.error = self.error or error
        self._part.abandon()

    def abandon(self) -> None:
        """Leave what was written beside the place, as a kill does."""
        self._part.abandon()

    def _append(self, values: list[str]) -> None:
        if self.error is None:
            try:
                # Not before: a command that is refused meanwhile leaves no file.
                head = b"" if self._part.size else csv_line(_HEADER)
                self._part.append(head + csv_line(values))
            except OSError as error:
                self.error = error

    def _has_known_lines(self, *, replace: bool) -> bool:
        """Return whether what is at its place is a file of the journal's run, or nothing.

        Raises:
            InvalidInputError: it is another one, which may not be replaced.
            JournalError: the journal cannot be read.
        """
        try:
            private_files.look(self.path)  # opening a pipe would wait for its other end
            is_ours = all(map(_is_known, self._judged(_lines_in(self.path, must_be_whole=True))))
        except OSError:
            return False  # what it may be is said where the part is begun
        if not is_ours and not replace:
            what = "it holds something other than the keys, ids and states of earlier sessions"
            advice = "give another name, or --force to replace it"
            raise InvalidInputError(f"{self.path} exists and is not empty: {advice}; {what}")
        return is_ours

    def _continue(self) -> None:
        """Continue the part that a killed session of the same run has left."""
        left = part_of(self.path)
        end = _end_of_last_line(left)
        has_stale_lines = end > 0 and not _has_own_header(left)
        known: dict[bytes, bool] = {}
        for judged in self._judged(_lines_in(left, end)):
            if not _is_known(judged):
                return
            (key, _, state), now, _ = judged
            digest = _digest(key)
            if state == now == _FINAL and digest not in known:
                known[digest] = True
            else:
                has_stale_lines = True
        self._part.continue_at(end)
        self._known, self._continued = known, end
        self.count = self.done = len(known)
        self._has_stale_lines = has_stale_lines

    def _take_over(self) -> None:
        """Write what the journal says of keys that only earlier sessions have had."""
        try:
            for (key, _, _), state, object_id in self._judged(self._lines_of_others()):
                if state in _STATES:
                    self.add(key, object_id, state)
        except JournalError:
            for line in self._lines_of_others():  # what they have said is better than nothing
                self.add(*line)

    def _lines_of_others(self) -> Iterator[Line]:
        stale = _lines(self._chunks(0, self._continued)) if self._has_stale_lines else ()
        at_place = _lines_in(self.path) if self._is_ours else ()
        return (line for line in chain(stale, at_place) if not self.has(line[0]))

    def _judged(self, lines: Iterable[Line]) -> Iterator[tuple[Line, str | None, str | None]]:
        """Yield each line with the state and the id that the journal has."""
        asked: deque[Line] = deque()

        def keys() -> Iterator[str]:
            for line in lines:
                asked.append(line)
                yield line[0]

        assert self._recorded is not None  # noqa: S101 - for the type checker
        for _, state, object_id in self._recorded(keys()):
            yield asked.popleft(), state, object_id

    def _pieces(self) -> Iterator[bytes]:
        """Yield what was written, without the lines of killed sessions that were not the last word."""
        yield csv_line(_HEADER)
        for key, object_id, state in _lines(self._chunks(0, self._continued)):
            digest = _digest(key)
            if state == _FINAL and self._known.get(digest):
                self._known[digest] = False
                yield csv_line([key, object_id or "", state])
        yield from self._chunks(self._continued, self._part.size)

    def _chunks(self, start: int, end: int) -> Iterator[bytes]:
        for position in range(start, end, _COPY_BYTES):
            yield self._part.read(position, min(_COPY_BYTES, end - position))


def _is_known(judged: tuple[Line, str | None, str | None]) -> bool:
    """Return whether a line is of the journal's run: one that says what was created must have its id there."""
    (_, object_id, state), now, known_id = judged
    # A kill can come after the line was written, and before the journal was.
    return state != _FINAL or now == _IN_DOUBT or (now == _FINAL and known_id == object_id)


def _has_own_header(path: Path) -> bool:
    """Return whether a file begins as it was written, and not as a spreadsheet has saved it."""
    with path.open("rb") as file:
        return file.readline() == csv_line(_HEADER)


def _lines_in(path: Path, size: int | None = None, *, must_be_whole: bool = False) -> Iterator[Line]:
    """Yield the whole lines of a file, or of its first bytes; none if it is not there.

    A file that is not of this form has one line that no journal knows; with ``must_be_whole`` other lines are such too.
    """
    with suppress(FileNotFoundError), path.open("rb") as file:
        left = path.stat().st_size if size is None else size
        chunks = iter(lambda: file.read(min(_COPY_BYTES, left - file.tell())), b"")
        yield from _lines(chunks, must_be_whole=must_be_whole)


def _lines(chunks: Iterable[bytes], *, must_be_whole: bool = False) -> Iterator[Line]:
    rows = csv.reader(_texts(chunks))
    try:
        if (header := next(rows, None)) is not None and header != _HEADER:
            yield _STRANGE
            return
        for row in rows:
            # A kill can cut the last line anywhere: a state that was cut is none.
            if len(row) == len(_HEADER) and row[-1] in _STATES:
                yield row[0], row[1] or None, row[2]
            elif must_be_whole:
                yield _STRANGE
    except csv.Error:
        yield _STRANGE


def _texts(chunks: Iterable[bytes]) -> Iterator[str]:
    # A spreadsheet that saves such a file puts a byte order mark in front.
    pieces = iter(chunks)
    rest = next(pieces, b"").removeprefix(codecs.BOM_UTF8)
    for chunk in chain((b"",), pieces):
        *whole, rest = (rest + chunk).split(b"\n")
        yield from (f"{text.decode(errors='replace')}\n" for text in whole)
    if rest:
        yield rest.decode(errors="replace")


def _end_of_last_line(path: Path) -> int:
    """Return how many bytes are whole lines; a cell may hold line breaks within its quotes."""
    position = end = quotes = 0
    with path.open("rb") as file:
        for text in file:
            position += len(text)
            quotes += text.count(b'"')
            if text.endswith(b"\n") and quotes % 2 == 0:
                end = position
    return end


def _digest(key: str) -> bytes:
    # As a run knows it: the same in every form of Unicode.
    name = normalize("NFC", key).encode("utf-8", "surrogatepass")
    return hashlib.blake2b(name, digest_size=_DIGEST_BYTES).digest()
