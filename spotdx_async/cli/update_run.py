"""A bulk update of metadata: what it is asked to do, and the run that sends or checks its rows from this process."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from attrs import frozen

import spotdx_async
from spotdx_async.bulk.records import UPDATES, Noun, Update
from spotdx_async.cli.changed_input import StoppedError, accept, what_differs
from spotdx_async.cli.local_run import LocalRun
from spotdx_async.cli.reading import facts_of_reading
from spotdx_async.cli.row_options import USUAL_UPDATE, UpdateOptions
from spotdx_async.cli.row_run import RowRequest
from spotdx_async.errors import InvalidInputError, JournalError
from spotdx_async.files import fingerprint
from spotdx_async.files.late_input import AnyInput
from spotdx_async.files.row_shape import RowShape, shape_of

__all__ = ["LocalUpdate", "UpdateRequest"]


@frozen(kw_only=True)
class UpdateRequest(RowRequest):
    """What is updated, from which files, where and how."""

    noun: Noun
    options: UpdateOptions = USUAL_UPDATE

    @property
    def shape(self) -> RowShape:
        """How a row is written."""
        return shape_of(UPDATES[self.noun].ID_NAME, None)

    @property
    def build(self) -> Callable[..., Update]:
        """Returns the update of a row's id and content."""
        return UPDATES[self.noun]

    @property
    def is_for_cluster(self) -> bool:
        """Whether workers send the rows; a dry run sends none."""
        options = self.options
        return (options.dask is not None or options.workers is not None) and not options.is_dry_run


class LocalUpdate(LocalRun):
    """Sends, or checks, the rows from this process."""

    _request: UpdateRequest
    _options: UpdateOptions

    def _prepare(self) -> None:
        super()._prepare()
        self._journal = _journal_of(self._request, self._files)

    def _facts(self) -> dict[str, str | float | bool | None]:
        return {**super()._facts(), "coalesce": self._options.coalesces}

    async def _work(self) -> None:
        begun = self._begin()
        if self._options.accepts_changed_input and not await self._accept_changed_input():
            return
        try:
            await self._take_up(begun)
        except JournalError as error:
            if error.reason != "changed input" or self._source.yielded or self._run is None:
                raise
            refusal = str(error)
        else:
            return
        differs = await asyncio.to_thread(what_differs, self._run, self._request, self._source)
        raise JournalError(f"{refusal}; {differs}", reason="changed input")

    def _new_run(self) -> spotdx_async.BulkRun[Any]:
        spot, noun = self._client, self._request.noun
        # Any: the class of the rows depends on the noun, which no type expresses.
        many: Any = spot.kits.update_metadata_many if noun == "kits" else spot.orders.update_metadata_many
        run: spotdx_async.BulkRun[Any] = many(
            self._source,
            # The summary shows no answer, and building one takes a third of the CPU time.
            decode=False,
            journal=self._journal,
            coalesce=self._options.coalesces,
            **self._run_options(),
        )
        return run

    def _check(self, row: Any) -> None:
        row.check(allow_any_id=self._request.settings.allow_any_id)

    async def _accept_changed_input(self) -> bool:
        """Let the journal resume with this input; return False if a signal came meanwhile, so that nothing was changed.

        Raises:
            JournalError: it cannot be resumed with this input; nothing was sent.
            InvalidInputError: an input cannot be read to its end.
            ChangedInputError: an input is no longer the file that was opened.
        """
        if self._run is None:
            return True  # a dry run
        try:
            line = await asyncio.to_thread(accept, self._run, self._request, self._source, lambda: self._stopped)
        except StoppedError:
            return False
        if line is not None:
            self._streams.say(line)
        return True


def _journal_of(request: UpdateRequest, files: Sequence[AnyInput]) -> spotdx_async.Journal | None:
    """Return the journal with the fingerprint of the input that it belongs to; a dry run records nothing.

    Raises:
        InvalidInputError: an input cannot be read.
        ChangedInputError: an input is no longer the file that was opened.
    """
    options = request.options
    if options.accepts_changed_input and options.journal is None:
        raise InvalidInputError("--accept-changed-input needs --journal: it is for a journal of an earlier session")
    if options.accepts_changed_input and "-" in request.files:
        raise InvalidInputError("--accept-changed-input reads its input twice: pass files, not standard input")
    if options.journal is None or options.is_dry_run:
        return None
    # The noun is not in the fingerprint: the journal itself knows its operation.
    mark = fingerprint(
        request.files,
        row_format=options.row_format,
        columns=request.columns,
        extra=f"from row {options.from_row}{facts_of_reading(options)}",
        inputs=files,
    )
    return spotdx_async.Journal(options.journal, fingerprint=mark)
