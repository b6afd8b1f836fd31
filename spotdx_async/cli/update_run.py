"""One run of ``kits update``: opens what it needs, sends or checks every row, and accounts for it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack
from types import TracebackType
from typing import Any, Self

from attrs import field, frozen

import spotdx_async
from spotdx_async.cli.account import Account
from spotdx_async.cli.exits import Exit, line_of, token_from_environment
from spotdx_async.cli.progress import Pace, Standing, display_for, keep_showing
from spotdx_async.cli.row_source import RowSource
from spotdx_async.cli.screen import Screen
from spotdx_async.cli.stop_signals import StopSignals
from spotdx_async.errors import BulkStopped, InvalidInputError
from spotdx_async.files import FailedRows, Format, RowFile, open_rows

__all__ = ["Ending", "UpdateOptions", "UpdateRun"]


@frozen(kw_only=True)
class UpdateOptions:
    """What a run of ``kits update`` is asked to do."""

    files: tuple[str, ...]
    """Paths; ``-`` is standard input."""
    row_format: Format | None = None
    """None: told by the file."""
    from_row: int = 1
    """The first row of the first file to send."""
    failed: str | None = None
    """Where rows that are not done are written."""
    replaces_failed: bool = False
    """Whether an existing file of failed rows is replaced."""
    is_dry_run: bool = False
    """Whether rows are only checked."""
    rate: float | None = None
    """Requests a second; None: no limit."""
    concurrency: int = 64
    """Requests in flight at once."""
    timeout_s: float = 30.0
    """One attempt, in seconds."""
    base_url: str | None = None
    """None: from the environment, else production."""
    token: str | None = field(default=None, repr=False)
    """For a server of our own; None: from the environment."""
    grace_s: float = 10.0
    """How long rows under way may take to finish after the first signal to stop."""


@frozen(kw_only=True)
class Ending:
    """How a run ended."""

    account: Account
    is_dry_run: bool
    elapsed_s: float
    stopped: str | None
    """Why it stopped early; None where it did not."""
    next_row: tuple[str, int] | None
    """The file and row at which to go on after an early stop; None where all was read."""
    has_many_files: bool

    @property
    def exit(self) -> Exit:
        """The exit code."""
        if self.stopped is not None:
            return Exit.STOPPED
        if self.account.troubles or self.account.unwritten or self.account.disk_error:
            return Exit.FAILED
        return Exit.OK


class UpdateRun:
    """Opens the inputs and settings at once, so that whatever is unusable is refused before anything is sent."""

    def __init__(self, options: UpdateOptions, screen: Screen) -> None:
        """Open everything.

        Raises:
            InvalidInputError: an input, or the place of the failed rows, cannot be used.
            ConfigError: a setting is wrong, or there is no token.
        """
        self._options = options
        self._screen = screen
        with ExitStack() as stack:
            files = _open_files(options, stack)
            self._client = _client(options)
            self._source = RowSource(files, from_row=options.from_row)
            self._account = Account(_failed_rows(options, files))
            self._opened = stack.pop_all()
        self._stopped: str | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._opened.close()

    async def run(self) -> Ending:
        """Send, or check, every row, unless something stops the run; always gives the account."""
        started_s = asyncio.get_running_loop().time()
        async with self._client:
            await self._run_to_an_end(started_s)
        for index in [*self._source.open_rows]:
            # Cut off while under way: perhaps sent. To set the value once more is safe.
            error = spotdx_async.OutcomeUnknownError("cut off while it was under way")
            self._account.settle(self._source.take_outcome(index), "unknown", error)
        self._account.close()
        return Ending(
            account=self._account,
            is_dry_run=self._options.is_dry_run,
            elapsed_s=asyncio.get_running_loop().time() - started_s,
            stopped=self._stopped,
            next_row=None if self._source.is_read_up else self._source.next_unread,
            has_many_files=self._source.has_many_files,
        )

    async def _run_to_an_end(self, started_s: float) -> None:
        display = display_for(self._screen, "Checking" if self._options.is_dry_run else "Updating")
        look = self._look(Pace(started_s))
        consumer = asyncio.create_task(self._consume())
        showing = asyncio.create_task(keep_showing(display, look))
        try:
            with StopSignals(first=lambda: self._wind_down(consumer), second=lambda: _cancel(consumer)):
                await asyncio.wait({consumer})
        finally:
            showing.cancel()
            consumer.cancel()
            await asyncio.wait({consumer, showing})
            display.close(look(asyncio.get_running_loop().time()))
        self._judge(consumer)

    async def _consume(self) -> None:
        async for outcome in self._outcomes():
            self._account.settle(self._source.take_outcome(outcome.index), outcome.state, outcome.error)
            if self._account.disk_error is not None:
                self._source.stop()

    def _outcomes(self) -> AsyncIterator[Any]:
        if self._options.is_dry_run:
            return _checked(self._source)
        concurrency = self._options.concurrency
        return self._client.kits.update_metadata_many(self._source, concurrency=concurrency, decode=False)

    def _wind_down(self, consumer: asyncio.Task[None]) -> None:
        self._stopped = "stopped by a signal"
        self._source.stop()
        asyncio.get_running_loop().call_later(self._options.grace_s, consumer.cancel)
        grace = f"{self._options.grace_s:.0f} s"
        self._screen.say(f"stopping: what is under way is given {grace} to finish; the same again stops at once")

    def _judge(self, consumer: asyncio.Task[None]) -> None:
        """Find out why the run ended; an error that nobody foresaw goes on."""
        error = None if consumer.cancelled() else consumer.exception()
        if isinstance(error, BulkStopped):
            self._stopped = line_of(error.cause) if error.cause else line_of(error)
        elif isinstance(error, OSError):
            self._stopped = f"the input cannot be read any further ({error.strerror})"
        elif error is not None:
            raise error
        elif self._account.disk_error is not None:
            self._stopped = f"the failed rows cannot be written any further ({self._account.disk_error.strerror})"
        elif self._source.is_read_up and not self._source.open_rows:
            self._stopped = None  # a signal that came too late to leave anything undone

    def _look(self, pace: Pace) -> Callable[[float], Standing]:
        def look(now_s: float) -> Standing:
            account, source = self._account, self._source
            done, size = account.bytes_done + source.passed_bytes, source.size
            share = min(1.0, done / size) if size else None
            if source.is_read_up and not source.open_rows and size is not None:
                share = 1.0  # headers and blank lines are no rows
            return pace.standing(now_s, rows=account.rows, failures=account.troubles, share=share)

        return look


def _cancel(task: asyncio.Task[None]) -> None:
    task.cancel()


async def _checked(source: RowSource) -> AsyncIterator[spotdx_async.Outcome[Any]]:
    """Check each row as sending would, and send nothing."""
    index = 0
    async for item in source:
        error = item if isinstance(item, InvalidInputError) else None
        if not isinstance(item, InvalidInputError):
            try:
                item.check()
            except InvalidInputError as raised:
                error = raised
        yield spotdx_async.Outcome(index=index, key=None, state="rejected" if error else "ok", error=error)
        index += 1


def _open_files(options: UpdateOptions, stack: ExitStack) -> list[RowFile]:
    if options.files.count("-") > 1:
        raise InvalidInputError("standard input (-) can be read only once")
    if options.from_row < 1:
        raise InvalidInputError("--from-row counts from 1")
    return [stack.enter_context(open_rows(path, row_format=options.row_format)) for path in options.files]


def _client(options: UpdateOptions) -> spotdx_async.SpotClient:
    # A dry run sends nothing and needs no token; the other settings are checked all the same.
    token = "none" if options.is_dry_run else options.token or token_from_environment()
    return spotdx_async.SpotClient(
        token,
        base_url=options.base_url,
        timeout_s=options.timeout_s,
        concurrency=options.concurrency,
        rate_limit=None if options.rate is None else spotdx_async.RateLimit(options.rate),
    )


def _failed_rows(options: UpdateOptions, files: list[RowFile]) -> FailedRows | None:
    if options.failed is None:
        return None
    if len({(file.format, file.preamble) for file in files}) > 1:
        raise InvalidInputError("--failed needs inputs of one format with the same header; give them one by one")
    preamble = files[0].preamble
    return FailedRows(options.failed, preamble=preamble, inputs=options.files, replace=options.replaces_failed)
