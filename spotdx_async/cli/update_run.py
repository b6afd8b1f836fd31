"""One run of ``kits update``: rows from files into the client, outcomes into counts and the failed-rows file."""

import asyncio
import os
import signal
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from spotdx_async import BulkStopped, InvalidInputError, MetadataUpdate, SpotClient, SpotError
from spotdx_async.cli.progress import Progress, open_progress
from spotdx_async.cli.summary import Summary
from spotdx_async.files import BadRow, FailedRows, Format, Row, RowFile, open_rows

__all__ = ["UpdateRun"]

_GRACE_S = 10.0


class UpdateRun:
    """Opens its inputs when made, so that unusable ones end the command before anything is sent; a context manager."""

    def __init__(
        self, paths: Sequence[str], *, row_format: Format | None, failed_path: Path | None, concurrency: int
    ) -> None:
        self._closing = ExitStack()
        self._concurrency = concurrency
        try:
            self._files = [self._closing.enter_context(open_rows(path, row_format=row_format)) for path in paths]
            self._failed = None if failed_path is None else self._open_failed(failed_path, paths)
        except BaseException:
            self._closing.close()
            raise
        self._waiting: dict[int, tuple[RowFile, Row | BadRow]] = {}
        self._read = 0
        self._stopping = asyncio.Event()
        self.summary = Summary(failed_path=failed_path)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing.close()

    async def check(self) -> Summary:
        """Check every row, and send nothing."""
        with open_progress(self.summary, self._files) as progress:
            async for update in self._updates():
                error = update if isinstance(update, InvalidInputError) else _fault_of(update)
                self._settle(self._read - 1, "ok" if error is None else "rejected", error)
                progress.tick()
        return self.summary

    async def send(self, client: SpotClient) -> Summary:
        """Send every row, until the end or a stop."""
        sending = asyncio.current_task()
        assert sending is not None  # noqa: S101 - a coroutine runs in a task; for the type checker
        with open_progress(self.summary, self._files) as progress, self._signals(sending):
            async with client:
                try:
                    await self._consume(client, progress)
                except BulkStopped as stopped:
                    self.summary.stopped = str(stopped)
                except OSError as error:
                    self.summary.stopped = f"the input cannot be read any further: {error.strerror}"
                except asyncio.CancelledError:
                    if not self._stopping.is_set():
                        raise
                    sending.uncancel()
                self.summary.requests = client.stats.attempts
        if self._stopping.is_set() and not self.summary.stopped:
            self.summary.stopped = "stopped by a signal"
        for index in list(self._waiting):  # after a stop that did not wait: nobody knows what became of these
            self._settle(index, "unknown", None)
        self.summary.read = self._read
        return self.summary

    async def _consume(self, client: SpotClient, progress: Progress) -> None:
        outcomes = client.kits.update_metadata_many(self._updates(), concurrency=self._concurrency, decode=False)
        async for outcome in outcomes:
            self._settle(outcome.index, outcome.state, outcome.error)
            progress.tick()

    async def _updates(self) -> AsyncIterator[Any]:
        """Give the rows as bulk wants them; their index is their place here."""
        for file in self._files:
            async for row in self._rows(file):
                self._waiting[self._read] = (file, row)
                self._read += 1
                if isinstance(row, BadRow):
                    yield InvalidInputError(row.reason)
                else:
                    yield MetadataUpdate(row.kit_id, row.metadata)

    async def _rows(self, file: RowFile) -> AsyncIterator[Row | BadRow]:
        while not self._stopping.is_set():
            for row in file.rows():
                yield row
                if self._stopping.is_set():
                    return
            if file.at_end:
                return
            if file.size is None:
                await self._until_readable(file.fileno())
            if not self._stopping.is_set():
                file.fill()

    async def _until_readable(self, fd: int) -> None:
        """Wait for a pipe or a terminal without holding up the requests under way; also ends with a stop."""
        loop, is_readable = asyncio.get_running_loop(), asyncio.Event()
        try:
            loop.add_reader(fd, is_readable.set)
        except OSError:
            return  # of a kind that cannot be waited for, such as /dev/null: it never makes anybody wait
        waits = [asyncio.ensure_future(event.wait()) for event in (is_readable, self._stopping)]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            loop.remove_reader(fd)
            for wait in waits:
                wait.cancel()

    def _settle(self, index: int, state: str, error: SpotError | None) -> None:
        file, row = self._waiting.pop(index)
        self.summary.count(state)
        if state == "ok":
            return
        reason = "" if error is None else str(error.args[0])
        self.summary.note(file.name, row.number, row.line, state, reason)
        if self._failed is None:
            return
        if row.source is None:
            self.summary.note_lost(row.number, "it is too long to be kept")
            return
        try:
            self._failed.write(row.source)
        except OSError as broken:
            self.summary.note_lost(row.number, broken.strerror or "the file cannot be written")

    @contextmanager
    def _signals(self, sending: "asyncio.Task[Any]") -> Iterator[None]:
        """Stop reading at the first signal, and at once at the second or when the grace is over."""
        loop = asyncio.get_running_loop()
        seen: Counter[str] = Counter()

        def stop() -> None:
            seen["signals"] += 1
            self._stopping.set()
            if seen["signals"] == 1:
                loop.call_later(_GRACE_S, sending.cancel)
            else:
                sending.cancel()

        kinds = (signal.SIGINT, signal.SIGTERM)
        for kind in kinds:
            loop.add_signal_handler(kind, stop)
        try:
            yield
        finally:
            for kind in kinds:
                loop.remove_signal_handler(kind)

    def _open_failed(self, path: Path, inputs: Sequence[str]) -> FailedRows:
        preambles = {file.preamble for file in self._files}
        if len(preambles) > 1 or len({file.format for file in self._files}) > 1:
            raise InvalidInputError("--failed needs files of one format with the same header: run them one by one")
        files = [os.fspath(given) for given in inputs if given != "-"]
        return self._closing.enter_context(FailedRows(path, preamble=preambles.pop(), inputs=files))


def _fault_of(update: MetadataUpdate) -> InvalidInputError | None:
    try:
        update.check()
    except InvalidInputError as error:
        return error
    return None
