"""The intake: reads the input a row at a time, numbers the rows, and knows what the journal says of them."""

from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator, Mapping
from typing import Any

from spotdx_async._pipeline import jsontext
from spotdx_async._pipeline.operation import check_id
from spotdx_async.bulk.journal import RowDigests
from spotdx_async.bulk.journal_writer import JournalWriter
from spotdx_async.bulk.lanes import Row
from spotdx_async.bulk.records import Outcome, Update
from spotdx_async.errors import InvalidInputError, JournalError

__all__ = ["Intake", "check_updates"]

_UNREADABLE = b"\0"
"""Stands for the content of a row that cannot be written as JSON."""

_RESUME = "resume with the input that the run began with, or begin a new run with a new journal"


class Intake:
    """Gives each row of the input either as a row to send or with its outcome."""

    def __init__(
        self, updates: Iterable[Any] | AsyncIterable[Any], kind: type[Update], journal: JournalWriter | None
    ) -> None:
        self.read: int = 0
        """Rows read so far."""
        self.is_read_up: bool = False
        """Whether the input has come to its end."""
        self.error: Exception | None = None
        """What the input raised, or why it is not the journal's."""
        self._updates = updates
        # Asked of the updates when the first row is read: it may be the caller's code that answers.
        self._rows: Iterator[Any] | None = None
        self._async_rows: AsyncIterator[Any] | None = None
        self._kind = kind
        self._journal = journal

    async def next(self) -> Row | Outcome[Any] | None:
        """Read on; None at the end, which ``is_read_up`` or ``error`` explains."""
        try:
            item = await self._next_item()
        except StopAsyncIteration:
            self._end()
            return None
        except Exception as error:  # noqa: BLE001 - the caller's own; raised again when the rows under way are done
            self.error = error
            return None
        index = self.read
        update = _as_update(item, self._kind)
        if self._journal is not None:
            return await self._compared(index, update, item, self._journal)
        self.read += 1
        return (
            _rejected(index, item, update) if isinstance(update, InvalidInputError) else Row(index, update, update.key)
        )

    async def _next_item(self) -> Any:
        if self._rows is not None:
            for item in self._rows:
                return item
            raise StopAsyncIteration
        if self._async_rows is None:
            if not isinstance(self._updates, AsyncIterable):
                self._rows = iter(self._updates)
                return await self._next_item()
            self._async_rows = aiter(self._updates)
        return await anext(self._async_rows)

    async def _compared(
        self, index: int, update: Update | InvalidInputError, item: object, journal: JournalWriter
    ) -> Row | Outcome[Any] | None:
        """Compare a row with what an earlier session has recorded of it."""
        known = await journal.known(index)
        digests = _digests(update, journal)
        if known is not None and known.content != digests.content:
            self.error = JournalError(
                f"row {index} of the input is not the one that the journal knows, so nothing more was sent: {_RESUME}",
                reason="changed input",
            )
            return None
        self.read += 1
        if isinstance(update, InvalidInputError):
            outcome = _rejected(index, item, update)
            journal.record(index, "rejected", digests)
            return outcome
        if known is not None and known.state == "ok":
            return Outcome(index=index, key=update.key, state="skipped")
        if known is not None and known.state == "superseded":
            return Outcome(index=index, key=update.key, state="superseded")
        return Row(index, update, update.key, digests)

    def _end(self) -> None:
        last = self._journal.last_index if self._journal is not None else None
        if last is None or last < self.read:
            self.is_read_up = True
            return
        self.error = JournalError(
            f"the input ends after {self.read} rows, and the journal knows row {last}: {_RESUME}",
            reason="changed input",
        )


def _as_update(item: Any, kind: type[Update]) -> Update | InvalidInputError:
    """The row as an update, or what is wrong with it."""
    if isinstance(item, InvalidInputError):
        return item
    if isinstance(item, kind):
        update = item
    elif isinstance(item, (tuple, list)) and len(item) == 2:  # noqa: PLR2004 - a pair
        update = kind(*item)
    else:
        row = f"{kind.__name__}({kind.ID_NAME}, metadata)"
        return InvalidInputError(f"a row must be {row} or a pair of both, not {type(item).__name__}")
    try:
        check_id(kind.ID_NAME, update.key)
    except InvalidInputError as raised:
        fault = raised
    else:
        return update
    return fault.with_traceback(None)  # its frames hold the row


def _rejected(index: int, item: object, error: InvalidInputError) -> Outcome[Any]:
    key = getattr(item, "key", None)
    return Outcome(index=index, key=key if isinstance(key, str) else None, state="rejected", error=error)


def _digests(update: Update | InvalidInputError, journal: JournalWriter) -> RowDigests:
    if isinstance(update, InvalidInputError):
        return journal.digests("", _UNREADABLE)
    try:
        content = jsontext.serialize(update.metadata if isinstance(update.metadata, dict) else dict(update.metadata))
    except (jsontext.NotSerializableError, TypeError, ValueError):
        content = _UNREADABLE
    return journal.digests(update.key, content)


def check_updates(updates: object) -> None:
    """Refuse what can be iterated but holds no rows, before a run begins.

    Raises:
        InvalidInputError: a mapping, a text, or nothing that can be iterated.
    """
    if isinstance(updates, Mapping):
        raise InvalidInputError("updates is a mapping: give its .items()")
    if isinstance(updates, (str, bytes)) or not isinstance(updates, (Iterable, AsyncIterable)):
        raise InvalidInputError(f"updates must be an iterable or async iterable of rows, not {type(updates).__name__}")
