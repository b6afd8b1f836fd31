"""Reads the input row by row, checks and numbers the rows, and compares them with the journal."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Generator, Iterable, Iterator
from typing import Any, ClassVar, Final

from spotdx_async._codec.encoding import Encode
from spotdx_async._http import clock
from spotdx_async._requests.operation import check_id, metadata_json, metadata_of
from spotdx_async.bulk.journal.records import UNREADABLE, Known, RowDigests
from spotdx_async.bulk.journal.writer import JournalWriter
from spotdx_async.bulk.records import InvalidRow, MetadataUpdate, OrderMetadataUpdate, Outcome, Update
from spotdx_async.bulk.row import Effect, Row
from spotdx_async.errors import InvalidInputError, JournalError

_END: Final = object()
"""Marks the end of the input; no exception raised by the input can be mistaken for it."""
_WITH_SOURCE = (MetadataUpdate, OrderMetadataUpdate, InvalidRow)
_RESUME = "resume with the input that the run began with, or begin a new run with a new journal"
_MOST_TO_CLOSE_S = 10.0
"""For an input's ``aclose``: more than a database needs to release a cursor. A choice."""


class Reader:
    """Returns each row of the input, either as a row to send or with its outcome."""

    EFFECT: ClassVar[Effect] = "sets"
    """What executing its rows does."""

    def __init__(
        self,
        updates: Iterable[Any] | AsyncIterable[Any],
        kind: type[Update] | None,
        *,
        allow_any_id: bool = False,
        encode: Encode | None = None,
    ) -> None:
        self.read: int = 0
        """Rows read so far."""
        self.is_read_up: bool = False
        """Whether the input has come to its end."""
        self.error: Exception | None = None
        """What the input raised, or why it is not the journal's input."""
        self.was_cancelled: bool = False
        """Whether it raised that when the run ended, perhaps in response to the cancellation."""
        self.close_error: Exception | None = None
        """What the input raised when it was closed."""
        self.journal: JournalWriter | None = None
        """Set before the first row is read."""
        self.lands_until_s: float = float("-inf")
        """Until when requests of earlier sessions may still be executed; set with the journal."""
        self._updates = updates
        # Asked when the first row is read: the answer may come from the caller's code.
        self._rows: Iterator[Any] | None = None
        self._async_rows: AsyncIterator[Any] | None = None
        self._kind = kind
        self._allow_any_id = allow_any_id
        self._encode = encode
        self._is_closed = False

    async def next(self) -> Row | Outcome[Any] | None:
        """Read the next row; None at the end, which ``is_read_up`` or ``error`` explains."""
        task = asyncio.current_task()
        cancelled_before = await clock.pending_cancellations() if task is not None and task.cancelling() else 0
        try:
            # Looked up first: a row that was taken from the input comes out, whenever the run is cut off.
            known = await self._known()
            item = await self._next_item()
            if item is not _END:
                taken = await self._taken(item, known)
                # Only now: a row that is counted has an outcome, and its own code may raise until here.
                self.read += taken is not None
                return taken
            self._end()
        except asyncio.CancelledError:
            if clock.cancellations() > cancelled_before:
                raise
            # Not meant for us: a task that the input waited for was cancelled, say. That is not the end of the input.
            message = f"the input was cancelled after {self.read} rows, and nobody had cancelled the run"
            self.error = InvalidInputError(message)
        except StopAsyncIteration:  # re-raised, it would silently end the consumer's loop
            self.error = InvalidInputError(
                f"the input raised StopAsyncIteration after {self.read} rows, and not to end"
            )
        except Exception as error:  # noqa: BLE001 - the caller's own; raised again when the rows in progress are done
            self.error = error
            self.was_cancelled = clock.cancellations() > cancelled_before
        return None

    async def close(self) -> None:
        """Close what was opened to read the input, and generators, as soon as nothing more is read.

        A file or a cursor that the caller opened stays open.
        """
        if self._is_closed:
            return
        self._is_closed = True
        source = self._updates
        # Compared with None, not by truth: an iterator may have a length, 0 at its end.
        opened: Any = next((each for each in (self._async_rows, self._rows) if each is not None), source)
        if opened is source and not isinstance(source, (Generator, AsyncGenerator)):
            return
        limit = asyncio.timeout_at(clock.now() + _MOST_TO_CLOSE_S)
        try:
            if hasattr(opened, "aclose"):
                async with limit:
                    await opened.aclose()
            elif hasattr(opened, "close"):
                opened.close()
        except Exception as error:  # noqa: BLE001 - the caller's own; raised again at the end
            is_ours = isinstance(error, TimeoutError) and limit.expired()
            self.close_error = _too_long() if is_ours else error

    async def _known(self) -> Known | None:
        """Return what earlier sessions say of the next row."""
        return None if self.journal is None else await self.journal.known(self.read)

    async def _next_item(self) -> Any:
        if self._rows is not None:
            return next(self._rows, _END)
        if self._async_rows is None:
            if not isinstance(self._updates, AsyncIterable):
                self._rows = iter(self._updates)
                return await self._next_item()
            self._async_rows = aiter(self._updates)
        try:
            # Without a default: with one, Python before 3.13.3 crashes if ``__anext__`` raises before it is awaited.
            return await anext(self._async_rows)
        except StopAsyncIteration:
            return _END

    def _checked(self, item: Any) -> tuple[str, bytes | InvalidInputError]:
        """Return the key of an item and the body to send, or the fault in place of the body."""
        assert self._kind is not None  # noqa: S101 - other kinds of runs have readers of their own; for the type checker
        return checked_row(item, self._kind, allow_any_id=self._allow_any_id, encode=self._encode)

    async def _taken(self, item: object, known: Known | None) -> Row | Outcome[Any] | None:
        """Turn an item into a row: checked once, and written once as the bytes that are digested and sent.

        It waits for nothing; in a coroutine a StopIteration of the caller's own code is no end of the input.
        """
        index, journal = self.read, self.journal
        key, body = self._checked(item)
        source = item.source if isinstance(item, _WITH_SOURCE) else None
        digests: RowDigests | None = None
        if journal is not None:
            digests = journal.digests(key, content_of(body))
            if known is not None and known.content != digests.content:
                self.error = JournalError(
                    f"row {index + 1} of the input is not the one that the journal knows, so nothing more was sent: "
                    f"{_RESUME}",
                    reason="changed input",
                )
                return None
        if isinstance(body, InvalidInputError):
            if journal is not None and digests is not None:
                journal.record(index, "rejected", digests)
            return Outcome(index=index, key=shown_key(key, item), state="rejected", error=body, source=source)
        if known is not None and known.state == "ok":
            return Outcome(index=index, key=key, state="skipped", source=source)
        if known is not None and known.state == "superseded":
            return Outcome(index=index, key=key, state="superseded", source=source)
        row = Row(index, key, body, digests, source, self.EFFECT, key)
        if journal is not None:
            self._note_earlier_sessions(row, known, journal)
        return row

    def _note_earlier_sessions(self, row: Row, known: Known | None, journal: JournalWriter) -> None:
        """Mark a row that an earlier session may have sent, or whose key's earlier value may still land."""
        # Once it may have been executed, no later failure makes it certainly not executed, not even in a later session.
        row.attempt_state.may_be_executed = (
            row.index < journal.doubtful_below if known is None else known.state == "unknown"
        )
        if row.attempt_state.may_be_executed:  # it may still land: the next value of the key waits
            row.lands_until_s = self.lands_until_s
        if row.digests is not None and row.digests.key in journal.may_land:
            row.rests_until_s = self.lands_until_s

    def _end(self) -> None:
        last = self.journal.last_index if self.journal is not None else None
        if last is None or last < self.read:
            self.is_read_up = True
            return
        self.error = JournalError(
            f"the input ends after {self.read} rows, and the journal knows row {last + 1}: {_RESUME}",
            reason="changed input",
        )


def checked_row(
    item: Any, kind: type[Update], *, allow_any_id: bool, encode: Encode | None = None
) -> tuple[str, bytes | InvalidInputError]:
    """Return an item's key and the body to send, or the fault in place of the body; a bad key becomes "".

    Later changes to the item have no effect.
    """
    key = ""
    try:
        if isinstance(item, kind):
            an_id, metadata = item.key, item.metadata
        elif isinstance(item, InvalidInputError):
            return key, item
        elif isinstance(item, InvalidRow):
            return key, item.error
        elif isinstance(item, (tuple, list)) and len(item) == 2:  # noqa: PLR2004 - a pair
            an_id, metadata = item
        else:
            row = f"{kind.__name__}({kind.ID_NAME}, metadata)"
            return key, InvalidInputError(f"a row must be {row} or a pair of both, not {type(item).__name__}")
        key = check_id(kind.ID_NAME, an_id, allow_any_id=allow_any_id)
        return key, metadata_json(metadata, encode=encode)
    except InvalidInputError as raised:
        fault = raised.with_traceback(None)  # the frames hold the row
    return key, fault


def shown_key(key: str, item: object) -> str | None:
    """Return the key that the outcome of a bad row shows: the row's own, whatever is wrong with it; None without."""
    shown = key or getattr(item, "key", None)
    return shown if isinstance(shown, str) else None


def content_of(body: bytes | InvalidInputError) -> bytes:
    """Return what a journal digests beside the key of a row that was checked."""
    return metadata_of(body) if isinstance(body, bytes) else UNREADABLE


def _too_long() -> TimeoutError:
    return TimeoutError(
        f"the bulk run could not close its input: aclose took longer than {_MOST_TO_CLOSE_S:g} s and was cut off; "
        "every row that was read has its outcome, so look at what the input held open"
    )
