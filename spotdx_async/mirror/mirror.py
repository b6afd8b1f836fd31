"""A mirror as its user sees it: pulled up to date, exported, looked at."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing, asynccontextmanager
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any, Protocol, TypeVar

from attrs import evolve

from spotdx_async._http import clock
from spotdx_async._requests.validation import day_of
from spotdx_async.changes.feed import Changes
from spotdx_async.changes.records import Batch
from spotdx_async.errors import InvalidInputError
from spotdx_async.fhir import Codes
from spotdx_async.mirror.export import ExportFormat, export_tables
from spotdx_async.mirror.fhir_files import export_fhir
from spotdx_async.mirror.records import MirrorState, NounPull, PullProgress, PullReport
from spotdx_async.mirror.report_files import ReportFiles, Run
from spotdx_async.mirror.store import MirrorFile

__all__ = ["Mirror"]

T = TypeVar("T")

NOUNS = ("kits", "orders", "requisitions")
_PURPOSE = "spotdx_async mirror: pseudonyms of patients"


class Pulled(Protocol):
    """A client as a pull uses it: its nouns have ``changes``."""

    @property
    def kits(self) -> Any:
        """Kits."""
        ...

    @property
    def orders(self) -> Any:
        """Orders."""
        ...

    @property
    def requisitions(self) -> Any:
        """Requisitions."""
        ...

    @property
    def reports(self) -> Any:
        """The files of reports."""
        ...


class Mirror:
    """A local copy of kits, orders and requisitions as tables: an SQLite file for SQL, notebooks and exports.

    ``pull`` makes the file and brings it up to date. The rows of an object and the cursor change in one transaction, so
    a kill at any instant loses and doubles nothing, and the same call resumes. Other programs may read the file
    meanwhile. Its tables and columns are those of ``spotdx_async.tables.TABLES``, with instants as text in UTC
    (``2026-11-29T10:00:00.000000Z``), and also:

    - ``current_results``: the rows of ``results`` that no newer report has replaced, by our inference;
    - ``pulls``: one row for each pull: ``began``, ``ended`` (null if it was not completed), and what it has brought.

    Nothing is opened before a method is called, and nothing stays open after it.

    Args:
        path: the file; made with mode 0600. Files named ``-wal``, ``-shm`` and ``-lock`` may stand beside it.
        phi: whether patient data is kept: names, contacts, birth dates, addresses, tracking numbers, links to files,
            comments, metadata and unknown fields. Without it a mirror does not even have columns for them, and
            ``patient_id`` is a pseudonym: the same for the same patient in every mirror that was made with the same
            token, and worth nothing to whoever has neither the token nor the file. Results, statuses and times are kept
            in both. A file keeps what it was made with.
    """

    def __init__(self, path: str | os.PathLike[str], *, phi: bool = False) -> None:
        self.path: Path = Path(path)
        self.phi: bool = phi

    def __repr__(self) -> str:
        return f"<Mirror at {self.path}>"

    async def pull(
        self,
        spot: Pulled,
        *,
        since: date | str | None = None,
        sweep: bool = False,
        nouns: Sequence[str] = NOUNS,
        concurrency: int = 16,
        reports: str | os.PathLike[str] | None = None,
        hosts: Sequence[str] = (),
        progress: Callable[[PullProgress], object] | None = None,
    ) -> PullReport:
        """Bring the file up to date with what has changed, and return what that has brought.

        Args:
            spot: the client.
            since: for the first pull of a mirror: the first day of changes to bring. None: everything.
            sweep: get every object again, and count what had changed without the list showing it.
            nouns: which of ``kits``, ``orders`` and ``requisitions`` to pull.
            concurrency: objects got at once, within the client's limits.
            reports: a folder for the PDF of each report, mode 0600; made if it is missing. Those that are there, whole,
                are not fetched again. They name patients, whatever ``phi`` says. None: no files.
            hosts: where links to files may lead besides the client's own server and ``app.spotkits.com``.
            progress: a plain function, called after each batch that was written.

        Raises:
            InvalidInputError: an argument is wrong, or the file belongs to another account or server.
            MirrorError: the file cannot be used; another pull may have it.
            SpotError: as the error tree says. What was committed is there: the same call resumes.
        """
        if since is not None and day_of(since) is None:
            raise InvalidInputError("since must be a date, or text in the form YYYY-MM-DD")
        if not nouns or not set(nouns) <= set(NOUNS):
            raise InvalidInputError(f"nouns must be some of {', '.join(NOUNS)}")
        began_s = clock.now()
        async with self._opened() as (file, run):
            pull = await run(partial(file.begin, is_sweep=sweep))
            brought: dict[str, NounPull] = {}
            for noun in nouns:
                puller = _NounPuller(file, run, noun, pull, is_sweep=sweep, progress=progress)
                brought[noun] = await puller.pull(spot, since=since, concurrency=concurrency)
            files = None if reports is None else ReportFiles(file, run, Path(reports), tuple(hosts))
            if files is not None:
                await files.save(spot)
            await run(partial(file.end, pull))
        return PullReport(
            kits=brought.get("kits", NounPull()),
            orders=brought.get("orders", NounPull()),
            requisitions=brought.get("requisitions", NounPull()),
            files=0 if files is None else files.saved,
            files_failed=0 if files is None else files.failed,
            elapsed_s=clock.now() - began_s,
            is_sweep=sweep,
        )

    def export(
        self,
        folder: str | os.PathLike[str],
        format: ExportFormat = "parquet",  # noqa: A002 - as promised
        *,
        tables: Sequence[str] | None = None,
        since: date | str | None = None,
        codes: Codes | None = None,
    ) -> dict[str, Path]:
        """Write tables to files of a folder, one each, as of one moment; it blocks while it writes.

        Each file is written whole or not at all, with mode 0600, in the order of its key: the same bytes for the same
        rows. Memory does not grow with the number of rows.

        Args:
            folder: made if it is missing; files of the same names are replaced.
            format: ``parquet`` (needs the extra ``parquet``), ``csv``, ``jsonl``; or ``fhir``: FHIR R4 resources of
                kits and requisitions, one file of NDJSON for each type (``Observation.ndjson``).
            tables: some of ``TABLES``, or ``current_results``; None: all of ``TABLES``.
            since: only rows of objects that changed on this day (in UTC) or later. None: all.
            codes: for ``fhir``: the codings of names and units, as ``spotdx_async.fhir.bundle`` takes them.

        Returns:
            The path of each file, by table or resource type.

        Raises:
            InvalidInputError: an argument is wrong, or a file cannot be written.
            MirrorError: the mirror cannot be read.
        """
        day = day_of(since)
        if since is not None and day is None:
            raise InvalidInputError("since must be a date, or text in the form YYYY-MM-DD")
        file = MirrorFile.open(self.path, phi=None, for_pull=False)
        try:
            if format != "fhir":
                return export_tables(file, Path(folder), format, tables=tables, since=day)
            if tables is not None:
                raise InvalidInputError("FHIR resources are not made by table: leave tables out")
            return export_fhir(file, Path(folder), codes=codes, since=day)
        finally:
            file.close()

    def state(self) -> MirrorState:
        """Return what the mirror holds: rows by table, statuses counted, the last pull; it blocks while it counts.

        Raises:
            MirrorError: the mirror cannot be read.
        """
        file = MirrorFile.open(self.path, phi=None, for_pull=False)
        try:
            return file.state()
        finally:
            file.close()

    @asynccontextmanager
    async def _opened(self) -> AsyncIterator[tuple[MirrorFile, Run]]:
        """Open the file for a pull, in a thread of its own; it is closed however the block is left."""
        loop = clock.running_loop()
        with ThreadPoolExecutor(max_workers=1, thread_name_prefix="spotdx mirror") as thread:

            async def run(job: Callable[[], T]) -> T:
                return await clock.seen_through(loop.run_in_executor(thread, job))

            opening = loop.run_in_executor(thread, partial(MirrorFile.open, self.path, phi=self.phi, for_pull=True))
            try:
                file = await clock.seen_through(opening)
            except asyncio.CancelledError:
                if opening.done() and not opening.cancelled() and opening.exception() is None:
                    opening.result().close()
                raise
            try:
                yield file, run
            finally:
                await run(file.close)


class _NounPuller:
    """Pulls the objects of one kind; while a batch is written, the next is fetched."""

    def __init__(
        self,
        file: MirrorFile,
        run: Run,
        noun: str,
        pull: int,
        *,
        is_sweep: bool,
        progress: Callable[[PullProgress], object] | None,
    ) -> None:
        self._file = file
        self._run = run
        self._noun = noun
        self._pull = pull
        self._is_sweep = is_sweep
        self._progress = progress
        self._so_far = NounPull()

    async def pull(self, spot: Pulled, *, since: date | str | None, concurrency: int) -> NounPull:
        """Make one pass, and write what it brings."""
        cursor = await self._run(partial(self._file.cursor, self._noun))
        feed: Changes[Any] = getattr(spot, self._noun).changes(
            cursor, since=since if cursor is None else None, concurrency=concurrency
        )
        feed.sweep = self._is_sweep
        writing: asyncio.Task[None] | None = None
        try:
            async with aclosing(aiter(feed)) as batches:  # type: ignore[type-var]  # an async generator
                async for batch in batches:
                    if writing is not None:
                        await writing
                    writing = asyncio.create_task(self._write(batch, feed))
        finally:
            if writing is not None:
                await clock.seen_through(writing)
        more = self._more(feed)
        await self._run(partial(self._file.count, self._noun, self._pull, more))
        return self._so_far

    async def _write(self, batch: Batch[Any], feed: Changes[Any]) -> None:
        if self._file.needs_key:
            await self._run(lambda: self._file.set_key(feed.derived_key(_PURPOSE)))
        more = self._more(feed, batch)
        write = partial(self._file.write, self._noun, batch, self._pull, more, is_sweep=self._is_sweep)
        untold = await self._run(write)
        self._so_far = evolve(self._so_far, untold=self._so_far.untold + untold)
        if self._progress is not None:
            self._progress(PullProgress(noun=self._noun, so_far=self._so_far))

    def _more(self, feed: Changes[Any], batch: Batch[Any] | None = None) -> NounPull:
        """Return what the pass has done since the last time, and count it."""
        before, counts = self._so_far, feed.counts
        more = NounPull(
            delivered=0 if batch is None else len(batch.items),
            unread=0 if batch is None else len(batch.unread),
            lists=counts.lists - before.lists,
            gets=counts.gets - before.gets,
        )
        self._so_far = evolve(
            before,
            delivered=before.delivered + more.delivered,
            unread=before.unread + more.unread,
            lists=counts.lists,
            gets=counts.gets,
        )
        return more
