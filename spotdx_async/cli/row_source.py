"""The rows of one or more files as one asynchronous stream that can be stopped; knows no server."""

import asyncio
from bisect import bisect_right
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Iterator, Sequence
from contextlib import aclosing
from typing import Any

from spotdx_async.bulk.records import InvalidRow, MetadataUpdate
from spotdx_async.cli.output import counted
from spotdx_async.cli.row_results import InputRow
from spotdx_async.errors import InvalidInputError
from spotdx_async.files import BadRow, ChangedInputError, DamagedInputError, Row, RowFile
from spotdx_async.files.late_input import AnyInput, LateInput

__all__ = ["RowSource"]


class RowSource:
    """Feeds rows to a bulk run, each with its ``InputRow`` as its ``source``.

    Waiting for input, as from a pipe, does not block the event loop.
    """

    def __init__(
        self, files: Sequence[AnyInput], *, from_row: int = 1, build: Callable[..., Any] = MetadataUpdate
    ) -> None:
        """Read the files one after another.

        Args:
            files: opened files.
            from_row: the first row of the first file to yield; those before it are skipped.
            build: returns what is sent for a row's id and content, with its ``source``; raises InvalidInputError.
        """
        self.yielded: int = 0
        """Rows that were yielded so far."""
        self.passed_bytes: int = 0
        """The size of the rows that were skipped."""
        self.is_read_up: bool = False
        """True once the last row has been yielded."""
        self.on_change: Callable[[], object] = lambda: None
        """Called once a file is no longer the one that was opened, before the error is raised."""
        self._files = files
        self._from_row = from_row
        self._build = build
        self._next = (0, from_row)
        self._passed = 0
        self._begun: list[int] = [0]
        self._is_stopped = False
        self._news = asyncio.Event()

    @property
    def size(self) -> int | None:
        """Bytes of all rows together, headers included; None if that is not known."""
        sizes = [file.size for file in self._files]
        return None if None in sizes else sum(size for size in sizes if size is not None)

    @property
    def share_read(self) -> float | None:
        """How much of the files has been read, each with the same weight; None if that is not known."""
        shares = [file.share_read for file in self._files]
        return None if None in shares else sum(share for share in shares if share is not None) / len(shares)

    @property
    def has_many_files(self) -> bool:
        """Whether a row number alone does not identify a row."""
        return len(self._files) > 1

    @property
    def next_unread(self) -> tuple[str, int] | None:
        """The file and the number of the next row to read; None once all were read."""
        if self.is_read_up:
            return None
        index, number = self._next
        return self._files[index].name, number

    def place_of(self, index: int) -> str:
        """Return where a row stands, in words.

        Args:
            index: how many rows were yielded before it.
        """
        file_index = bisect_right(self._begun, index) - 1
        first = 1 if file_index else self._from_row
        return self.words_of(file_index, first + index - self._begun[file_index])

    def words_of(self, file_index: int, number: int) -> str:
        """Return in words which row of which file it is."""
        return f"{self._files[file_index].name} row {number:,}" if self.has_many_files else f"row {number:,}"

    def stop(self) -> None:
        """Yield no further row, and wake whatever waits for input."""
        self._is_stopped = True
        self._news.set()

    def again(self, files: Iterable[AnyInput]) -> Iterator[Any]:
        """Yield all rows once more, from the same files, opened again.

        Raises:
            ChangedInputError: one is no longer the file that was opened first; the text names it.
            DamagedInputError: one is damaged; the text names it.
            OSError: one cannot be read to its end.
        """
        self.check_unchanged()  # each of the new ones watches itself from here on
        for file_index, file in enumerate(files):
            try:
                for row in file:
                    if file_index or row.number >= self._from_row:
                        yield self._item(InputRow(file.name, file_index, row))
            except (ChangedInputError, DamagedInputError) as error:
                named = type(error)(f"{file.name}: {error}")
            else:
                continue
            raise named

    def check_unchanged(self) -> None:
        """Make sure that all files are still those that were opened.

        Raises:
            ChangedInputError: one is not; the text names it.
        """
        for file in self._files:
            try:
                file.check_unchanged()
            except ChangedInputError as error:
                reason = str(error)
            else:
                continue
            raise ChangedInputError(f"{file.name}: {reason}")

    async def __aiter__(self) -> AsyncIterator[Any]:
        for file_index, file in enumerate(self._files):
            try:
                async with aclosing(self._rows_of(file)) as rows:
                    async for row in rows:
                        self._next = (file_index, row.number + 1)
                        self.yielded += 1
                        yield self._item(InputRow(file.name, file_index, row))
            except ChangedInputError:
                self.on_change()
                raise
            if self._is_stopped:
                return
            if file_index == 0 and self.yielded == 0:
                self._check_start(file.name)
            if file_index + 1 < len(self._files):
                self._next = (file_index + 1, 1)
                self._begun.append(self.yielded)
        self.is_read_up = True

    def _check_start(self, name: str) -> None:
        """Refuse to begin behind the end of the first file, of which no row was yielded.

        Raises:
            InvalidInputError: it does; right behind it there may be another file.
        """
        if self._from_row > 1 and self._from_row > self._passed + self.has_many_files:
            rows = counted(self._passed, "row")
            raise InvalidInputError(f"--from-row {self._from_row:,} is past the end of {name}, which has {rows}")

    def _item(self, source: InputRow) -> Any:
        row = source.row
        if isinstance(row, BadRow):
            return InvalidRow(InvalidInputError(row.reason), source=source)
        try:
            return self._build(row.key, row.content, source=source)
        except InvalidInputError as error:
            return InvalidRow(error.with_traceback(None), source=source)  # the frames hold the row

    async def _rows_of(self, file: AnyInput) -> AsyncGenerator[Row | BadRow, None]:
        if isinstance(file, LateInput):
            await asyncio.to_thread(file.open)  # a long file is looked through once more
        while True:
            for row in file.rows():
                if self._is_stopped:
                    return
                if file is self._files[0] and row.number < self._from_row:
                    self._passed += 1
                    self.passed_bytes += len(row.source or b"")
                else:
                    yield row
            if file.at_end or self._is_stopped:
                return
            await self._wait_for_input(file)
            if not self._is_stopped:
                file.fill()

    async def _wait_for_input(self, file: AnyInput) -> None:
        if not file.may_wait or not isinstance(file, RowFile):
            await asyncio.sleep(0)  # such a file never keeps its reader waiting; let other tasks run
            return
        loop = asyncio.get_running_loop()
        if not self._is_stopped:
            self._news.clear()
        try:
            loop.add_reader(file.fileno(), self._news.set)
        except (OSError, NotImplementedError):
            return  # cannot be waited for, such as /dev/null: reading it does not block either
        try:
            await self._news.wait()
        finally:
            loop.remove_reader(file.fileno())
