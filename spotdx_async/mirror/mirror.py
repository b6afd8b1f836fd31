"""A mirror as its user sees it: pulled up to date, exported, looked at."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing, asynccontextmanager, suppress
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any, Protocol, TypeVar, cast

from attrs import asdict, evolve

from spotdx_async._http import clock
from spotdx_async._observe.scrub import Prepared, scrubs_traceback, scrubs_traceback_of_call
from spotdx_async._requests.arguments import day_of
from spotdx_async.changes.feed import Changes
from spotdx_async.changes.records import Batch
from spotdx_async.config import check_count
from spotdx_async.errors import InvalidInputError, NotFoundError
from spotdx_async.fhir import Codes
from spotdx_async.hosts import check_hosts
from spotdx_async.mirror.export import ExportFormat, export_tables
from spotdx_async.mirror.fhir_files import export_fhir
from spotdx_async.mirror.known_files import KnownFiles
from spotdx_async.mirror.records import MirrorError, MirrorState, NounPull, PullProgress, PullReport
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


class Mirror:
    r"""A local copy of kits, orders and requisitions as tables: an SQLite file for SQL, notebooks and exports.

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

    Text is kept as it came, but for halves of surrogate pairs, which no UTF-8 can hold: those are kept as JSON escapes
    them (``\ud800``).
    """

    def __init__(self, path: str | os.PathLike[str], *, phi: bool = False) -> None:
        self.path: Path = Path(path)
        self.phi: bool = phi

    def __repr__(self) -> str:
        return f"<Mirror at {self.path}>"

    @scrubs_traceback_of_call
    def pull(
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
    ) -> Prepared[PullReport]:
        """Bring the file up to date with what has changed, and return what that has brought.

        Args:
            spot: the client.
            since: for the first pull of a mirror: the first day of changes to bring. None: everything.
            sweep: get every object again, and count what had changed without the list showing it. With ``reports`` also
                compare the files that are there with their digests.
            nouns: which of ``kits``, ``orders`` and ``requisitions`` to pull.
            concurrency: objects got at once, within the client's limits.
            reports: a folder for the PDF of each report, mode 0600; made if it is missing. Those that are there, whole,
                are not fetched again. They name patients, whatever ``phi`` says. None: no files.
            hosts: where links to files may lead besides the client's own server and ``app.spotkits.com``.
            progress: a plain function, called after each batch that was written.

        Raises:
            InvalidInputError: an argument is wrong.
            MirrorError: the file cannot be used: its reason says why, such as another pull that has it.
            SpotError: as the error tree says. What was committed is there: the same call resumes.
        """
        if since is not None and day_of(since) is None:
            raise InvalidInputError("since must be a date, or text in the form YYYY-MM-DD")
        if not nouns or not set(nouns) <= set(NOUNS):
            raise InvalidInputError(f"nouns must be some of {', '.join(NOUNS)}")
        check_count("concurrency", concurrency, error=InvalidInputError)
        options = {"since": since, "concurrency": concurrency}
        return partial(
            self._pull,
            spot,
            tuple(nouns),
            options,
            is_sweep=sweep,
            folder=None if reports is None else Path(reports),
            hosts=check_hosts(hosts),
            progress=progress,
        )

    async def _pull(
        self,
        spot: Pulled,
        nouns: Sequence[str],
        options: Mapping[str, Any],
        *,
        is_sweep: bool,
        folder: Path | None,
        hosts: tuple[str, ...],
        progress: Callable[[PullProgress], object] | None,
    ) -> PullReport:
        began_s = clock.now()
        async with self._opened() as (file, run):
            files = None if folder is None else ReportFiles(KnownFiles(file), run, folder, hosts, compares=is_sweep)
            if files is not None:
                files.prepare()  # what is wrong with the folder is not found out after hours
            pull = await run(partial(file.begin, is_sweep=is_sweep))
            brought: dict[str, NounPull] = {}
            for noun in await run(partial(file.filled_first, nouns)):
                puller = _NounPuller(file, run, noun, pull, is_sweep=is_sweep, progress=progress)
                brought[noun] = await puller.pull(spot, options)
            if files is not None:
                await files.save(cast("Any", spot))
            await run(partial(file.end, pull))
        return PullReport(
            kits=brought.get("kits", NounPull()),
            orders=brought.get("orders", NounPull()),
            requisitions=brought.get("requisitions", NounPull()),
            files=0 if files is None else files.saved,
            files_failed=0 if files is None else files.failed,
            elapsed_s=clock.now() - began_s,
            is_sweep=is_sweep,
        )

    @scrubs_traceback
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
        rows, however they came; only ``pulls`` tells when that was. Memory does not grow with the number of rows.

        Args:
            folder: made if it is missing; files of the same names are replaced.
            format: ``parquet`` (needs the extra ``parquet``), ``csv``, ``jsonl``; or ``fhir``: FHIR R4 resources of
                kits and requisitions, one file of NDJSON for each type (``Observation.ndjson``).
            tables: some of ``TABLES``, ``pulls`` or ``current_results``; None: all but the last.
            since: only rows of objects that changed on this day (in UTC) or later, or of which that is not known, and
                pulls that began then. None: all.
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
        file = MirrorFile.open(self.path, for_pull=False)
        try:
            if format != "fhir":
                return export_tables(file, Path(folder), format, tables=tables, since=day)
            if tables is not None:
                raise InvalidInputError("FHIR resources are not made by table: leave tables out")
            return export_fhir(file, Path(folder), codes=codes, since=day)
        finally:
            file.close()

    @scrubs_traceback
    def state(self) -> MirrorState:
        """Return what the mirror holds: rows by table, statuses counted, the last pull; it blocks while it counts.

        Raises:
            MirrorError: the mirror cannot be read.
        """
        file = MirrorFile.open(self.path, for_pull=False)
        try:
            return file.state()
        finally:
            file.close()

    @asynccontextmanager
    async def _opened(self) -> AsyncIterator[tuple[MirrorFile, Run]]:
        """Open the file for a pull, in a thread of its own; it is closed however the block is left."""
        loop = clock.running_loop()
        thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="spotdx mirror")
        opened: list[MirrorFile] = []

        async def run(job: Callable[[], T]) -> T:
            return await clock.seen_through(loop.run_in_executor(thread, job))

        def close() -> None:
            for file in opened:
                file.close()

        try:
            await run(lambda: opened.append(MirrorFile.open(self.path, phi=self.phi, for_pull=True)))
            yield opened[0], run
        finally:
            # In the same thread, so behind an opening that goes on although the wait for it was cancelled.
            closing = loop.run_in_executor(thread, close)
            try:
                await clock.seen_through(closing)
            finally:
                thread.shutdown(wait=closing.done())  # the loop is not held up by what takes longer than patience


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
        self._lost = 0

    async def pull(self, spot: Pulled, options: Mapping[str, Any]) -> NounPull:
        """Make one pass, and write what it brings."""
        cursor = await self._run(partial(self._file.cursor, self._noun))
        try:
            await self._make_pass(spot, cursor, options if cursor is None else {**options, "since": None})
        except InvalidInputError as error:
            if cursor is None or isinstance(error, MirrorError):
                raise
            why = str(error).partition(":")[0]
        else:
            return self._so_far
        message = f"{self._file.path} cannot be brought up to date by this client ({why}): name another file"
        raise MirrorError(message, reason="account")

    async def _make_pass(self, spot: Pulled, cursor: str | None, options: Mapping[str, Any]) -> None:
        feed: Changes[Any] = getattr(spot, self._noun).changes(cursor, **options)
        feed.sweep = self._is_sweep
        writing: asyncio.Task[None] | None = None
        try:
            async with aclosing(aiter(feed)) as batches:  # type: ignore[type-var]  # an async generator
                async for batch in batches:
                    if writing is not None:
                        await writing
                    writing = asyncio.create_task(self._write(batch, feed))
            if writing is not None:
                await clock.seen_through(writing)
        except BaseException:
            if writing is not None:
                with suppress(Exception):  # what ends the pass is told, above all a cancellation
                    await clock.seen_through(writing)
            raise
        await self._run(partial(self._file.count, self._noun, self._pull, self._more(feed)))

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
        unread = () if batch is None else batch.unread
        # The others are tried again, and counted as long as they are owed.
        self._lost += sum(
            each.object_id is None or (isinstance(each.error, NotFoundError) and not feed.owes(each.object_id))
            for each in unread
        )
        self._so_far = NounPull(
            delivered=before.delivered + (0 if batch is None else len(batch.items)),
            lists=counts.lists,
            gets=counts.gets,
            unread=self._lost + feed.owed,
            untold=before.untold,
        )
        return NounPull(**{name: value - getattr(before, name) for name, value in asdict(self._so_far).items()})
