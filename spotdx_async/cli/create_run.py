"""A run that creates: what it is asked to do, what is asked before it, and how its rows are sent or checked."""

import asyncio
import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from typing import Any
from unicodedata import normalize

from attrs import define, evolve, frozen

import spotdx_async
from spotdx_async import report
from spotdx_async.bulk.records import SharedByRowsError, State
from spotdx_async.cli.create import reference_in
from spotdx_async.cli.create_options import CreateOptions
from spotdx_async.cli.create_summary import CreatesEnd, pairs_before, show_duplicates, told_in_report
from spotdx_async.cli.exit_codes import line_of
from spotdx_async.cli.local_run import LocalRun
from spotdx_async.cli.new_objects import CreateKind
from spotdx_async.cli.options import Word
from spotdx_async.cli.output import Streams, counted
from spotdx_async.cli.row_results import InputRow, RowResults, bare_message
from spotdx_async.cli.row_run import RowRequest, is_resumed, open_files, say_kept
from spotdx_async.errors import BulkStopped, InvalidInputError, JournalError, SpotError
from spotdx_async.files import FailedRows, UnreadableRows
from spotdx_async.files.created_file import CreatedFile, RecordedKey
from spotdx_async.files.row_shape import ObjectShape

__all__ = ["CreateRequest", "CreateRun", "Forecast"]

_DIGEST_BYTES = 16
"""Long enough that no two keys ever share a digest."""
_AT_ONCE = 500
_NOTES_OF_STILLNESS = 10
"""Half-second notes without an outcome: longer than a slow answer, and soon enough for a person who waits."""
_LIST_LAG_S = 10.0
"""How much later than a request can land it is looked for, as the SDK says."""


@frozen(kw_only=True)
class CreateRequest(RowRequest):
    """What is created, of which files, where and how."""

    kind: CreateKind
    options: CreateOptions
    only_settles: bool = False
    """Whether it only settles what is in doubt, and sends nothing."""
    takes_any_batch: bool = False
    """Whether it then does so for whatever batch the journal has."""

    @property
    def shape(self) -> ObjectShape:
        """How a row is written."""
        return self.kind.shape

    @property
    def build(self) -> Callable[..., Any]:
        """Returns the row that is sent, for a row's id and content."""
        return self.kind.build


@define
class Forecast:
    """What a run is going to do with its rows, as far as that can be known before."""

    new: int = 0
    """Rows that will be sent."""
    in_doubt: int = 0
    """Rows that may have been sent before: they are looked for, and then sent or not."""
    done: int = 0
    """Rows that were done before."""
    bad: int = 0
    """Rows that cannot be sent."""


class CreateRun(LocalRun):
    """Sends, or checks, the rows from this process."""

    _request: CreateRequest
    _options: CreateOptions

    def __init__(self, request: CreateRequest, streams: Streams) -> None:
        """Open everything.

        Raises:
            InvalidInputError: an input, an option, or a file to be written cannot be used.
            ChangedInputError: an input was changed meanwhile.
            ConfigError: a setting is wrong, or there is no token.
            JournalError: the journal is no journal of this batch, or in use.
        """
        self._created: CreatedFile | None = None
        self._seen: dict[bytes, tuple[int, int]] = {}
        self._still = self._done = self._left_in_doubt = 0
        super().__init__(request, streams)
        try:
            self._created = self._created_file()
        except BaseException:
            self._opened.close()
            raise
        if self._created is not None:
            self._opened.callback(self._created.abandon)
            say_kept([self._created], streams)

    def forecast(self) -> Forecast:
        """Read all rows once, from the same files, opened again, and return what will become of them.

        Raises:
            InvalidInputError: an input is damaged.
            ChangedInputError: one is no longer the file that was opened.
            JournalError: the journal cannot be used by this run.
        """
        found, keys = Forecast(), list[str]()
        with ExitStack() as stack:
            for row in self._source.again(open_files(self._request, stack)):
                if isinstance(row, spotdx_async.InvalidRow) or self._fault_of(row) is not None:
                    found.bad += 1
                    continue
                keys.append(row.key)
                if len(keys) >= _AT_ONCE:
                    self._add(found, keys)
            self._add(found, keys)
        return found

    def _add(self, found: Forecast, keys: list[str]) -> None:
        for _, state, _ in self._recorded(keys):
            if state == "ok":
                found.done += 1
            elif state == "unknown":
                found.in_doubt += 1
            else:
                found.new += 1
        keys.clear()

    def _created_file(self) -> CreatedFile | None:
        """Begin the file that ``--created`` names; a dry run writes none.

        Raises:
            InvalidInputError: it cannot be written, or must not.
            JournalError: the journal that is to be resumed cannot be used.
        """
        options = self._options
        if options.created is None or options.is_dry_run:
            return None
        recorded = self._recorded if is_resumed(self._request) else None
        return CreatedFile(options.created, replace=options.replaces_failed, recorded=recorded)

    def _recorded(self, keys: Iterable[str]) -> Iterator[RecordedKey]:
        """Yield what the journal says of each key."""
        options, send = self._options, self._request.kind.send_of(self._client)
        yield from self._settling(send((), batch=options.batch, journal=options.journal)).recorded(keys)

    def _judge(self, work: asyncio.Task[None]) -> None:
        stopped = self._stopped
        error = None if work.cancelled() else work.exception()
        is_of_look = isinstance(error, SpotError) and not isinstance(error, (InvalidInputError, BulkStopped))
        if self._options.look_first is None or not is_of_look:
            super()._judge(work)
        elif isinstance(error, SpotError):
            since = f"what was created since {self._options.look_first}"
            self._stopped = f"{since} cannot be read as a whole, so nothing was sent: {line_of(error)}"
        if self._left_in_doubt and self._request.kind.can_look:
            self._stopped = self._stopped or stopped  # nobody has looked for them yet, which the same command does

    async def _work(self) -> None:
        # Known before the run has the journal, which nobody else may read then.
        journal = self._options.journal
        in_doubt = 0 if journal is None or not is_resumed(self._request) else _rows_in(journal, "unknown")
        if in_doubt and self._request.kind.can_look and not self._options.is_dry_run:
            rows = f"{counted(in_doubt, 'row')} of an earlier session {'is' if in_doubt == 1 else 'are'} in doubt"
            others = "" if self._request.only_settles else "; the other rows go on meanwhile"
            why = f"looked up in {self._wait_in_words}, when none can still be executed"
            self._streams.note(f"{rows}: {'it is' if in_doubt == 1 else 'they are'} {why}{others}")
        if (day := self._options.look_first) is not None and not self._options.is_dry_run:
            waits = f"a row that is not found waits for {self._wait_in_words} and another look before it is sent"
            self._streams.note(f"reading what was created since {day}; {waits}")
        await super()._work()

    def _note(self, progress: spotdx_async.Progress) -> None:
        super()._note(progress)
        self._still = self._still + 1 if progress.done == self._done and not progress.is_paused else 0
        self._done = progress.done
        is_first_look = self._options.look_first is not None and not self._row_results.counts["ok"]
        if self._still != _NOTES_OF_STILLNESS or not self._source.is_read_up or is_first_look:
            return
        if self._is_all_recorded:
            what = "all rows are done; those that were sent again are checked for duplicates"
            self._streams.note(f"{what}, {self._wait_in_words} after the last was sent")
        else:
            rows = counted(self._source.yielded - self._row_results.rows, "row")
            self._streams.note(f"{rows} left: what got no answer is looked up {self._wait_in_words} after it was sent")

    @property
    def _wait_in_words(self) -> str:
        return f"{self._request.lands_within_s + _LIST_LAG_S:.0f} s"

    def _new_results(self, failed: FailedRows | None, unreadable: UnreadableRows | None) -> RowResults:
        return RowResults(failed, unreadable, show_phi=self._request.shows_phi, sets_values=False)

    def _others(self) -> Sequence[Word | None]:
        return (self._options.created,)

    def _facts(self) -> dict[str, str | float | bool | None]:
        return {**super()._facts(), "look_first": self._options.look_first is not None}

    def _new_run(self) -> spotdx_async.BulkRun[Any]:
        options, kind = self._options, self._request.kind
        more: dict[str, Any] = {} if options.look_first is None else {"look_first": options.look_first}
        run = kind.send_of(self._client)(
            self._source, batch=options.batch, journal=options.journal, **more, **self._run_options()
        )
        return self._settling(run)

    def _settling(self, run: spotdx_async.BulkRun[Any]) -> spotdx_async.BulkRun[Any]:
        if self._request.only_settles:
            run.only_settle(any_batch=self._request.takes_any_batch)
        return run

    def _check(self, row: Any) -> None:
        self._request.kind.check(row, allow_any_id=self._request.settings.allow_any_id)
        place: InputRow = row.source
        new = getattr(row, row.NEW) if hasattr(row, "NEW") else None
        own = reference_in(getattr(new, "metadata", None))
        for what, text in (("key", normalize("NFC", row.key)), ("reference in its metadata", own)):
            if text is not None:
                self._note_first(what, text, place)

    def _note_first(self, what: str, text: str, place: InputRow) -> None:
        """Note which row has a key or a reference.

        Raises:
            InvalidInputError: an earlier one has it.
        """
        name = f"{what} {text}".encode("utf-8", "surrogatepass")
        digest = hashlib.blake2b(name, digest_size=_DIGEST_BYTES).digest()
        first = self._seen.setdefault(digest, place.position)
        if first != place.position:
            raise _shared(self._source.words_of(*first), what)

    def _fault_of(self, row: Any) -> InvalidInputError | None:
        try:
            self._check(row)
        except InvalidInputError as error:
            return error
        return None

    def _record(self, outcome: spotdx_async.Outcome[Any]) -> None:
        outcome = self._placed(outcome)
        super()._record(outcome)
        row: InputRow = outcome.source
        if self._options.is_dry_run and outcome.error is not None:
            # At once, and each: whoever mends the file needs them all, and memory stays flat.
            place = f"{row.file} {row.text}" if self._source.has_many_files else row.text
            self._streams.say(f"{place}: {bare_message(outcome.error)}")
        key = row.row.key
        if outcome.state == "unknown" and self._stopped is not None:
            self._left_in_doubt += 1
        if self._created is None or key is None:
            return
        if outcome.is_done or outcome.object_id is not None:
            self._created.add(key, outcome.object_id, "ok")
        elif outcome.state in {"failed", "unknown"}:
            self._created.add(key, None, outcome.state)

    def _placed(self, outcome: spotdx_async.Outcome[Any]) -> spotdx_async.Outcome[Any]:
        """Name another row that the outcome is about by its place in the files, not by its number in the run."""
        error = outcome.error
        if self._options.is_dry_run or not isinstance(error, SharedByRowsError):
            return outcome
        return evolve(outcome, error=_shared(self._source.place_of(error.first), error.what))

    def _finish(self) -> dict[str, Any]:
        duplicates = () if self._run is None else self._run.duplicates
        show_duplicates(duplicates, self._streams)  # first: a kill may come while files take their places
        written = super()._finish()
        if self._created is not None:
            if not self._source.is_read_up or self._row_results.unsent:
                self._add_recorded(self._created)
            self._created.close()
        run, kind = self._run, self._request.kind
        error = None if run is None else run.audit_error
        return {
            **written,
            "creates": CreatesEnd(
                kind=kind,
                only_settles=self._request.only_settles,
                duplicates=duplicates,
                duplicates_before=pairs_before(None if self._options.is_dry_run else self._options.journal, duplicates),
                audit_error=None if error is None else bare_message(error),
                created=self._created,
                has_failed_file=self._options.failed is not None,
                lacking=self._lacking(),
                doubts_elsewhere=self._doubts_elsewhere(),
            ),
        }

    def _complete(self, run_stats: report.RunStory) -> None:
        super()._complete(run_stats)
        if self._run is not None:
            is_whole = self._stopped is None
            run_stats.creates = told_in_report(self._request.kind, self._run, self._options.journal, is_whole=is_whole)

    def _add_recorded(self, created: CreatedFile) -> None:
        """Write what the journal knows of rows that this session has not come to."""
        if "-" in self._request.files:
            return
        try:
            with ExitStack() as stack:
                rows = self._source.again(open_files(self._request, stack))
                keys = (row.source.row.key for row in rows)
                for key, state, object_id in self._recorded(key for key in keys if key and not created.has(key)):
                    if state is not None and state != "rejected":
                        created.add(key, object_id, state)
        except (OSError, InvalidInputError, JournalError) as error:
            self._streams.say(f"{created.path} may lack rows of earlier sessions: {error}")

    def _doubts_elsewhere(self) -> int:
        """Return how many rows are in doubt that this input, read to its end, does not hold."""
        journal = self._options.journal
        if journal is None or self._options.is_dry_run or self._stopped is not None or not self._is_all_recorded:
            return 0
        return max(0, _rows_in(journal, "unknown") - self._row_results.counts["unknown"])

    def _lacking(self) -> int:
        """Return how many rows are done that the file of what was created does not have."""
        created, journal = self._created, self._options.journal
        is_unread = "-" in self._request.files and not self._source.is_read_up
        if created is None or created.error is not None or journal is None or is_unread:
            return 0
        return max(0, _rows_in(journal, "ok") - created.done)


def _shared(where: str, what: str) -> InvalidInputError:
    return InvalidInputError(f"{where} has the same {what}, which must be unique in the batch; nothing was sent")


def _rows_in(journal: Word, state: State) -> int:
    """Return how many rows a journal has in a state; 0 where it cannot be read."""
    try:
        return spotdx_async.read_journal(journal).by_state[state]
    except JournalError:
        return 0


def words_of(found: Forecast, kind: CreateKind) -> str:
    """Return what is going to happen, as the part of a question before the server's name."""
    parts = [kind.says(found.new + found.in_doubt)]
    if found.in_doubt:
        parts.append(f"{found.in_doubt:,} of them may have been {kind.done} before, which is found out first")
    if found.done:
        parts.append(f"{counted(found.done, 'row')} {'was' if found.done == 1 else 'were'} {kind.done} before")
    if found.bad:
        parts.append(f"{counted(found.bad, 'row')} cannot be sent")
    return "; ".join(parts)
