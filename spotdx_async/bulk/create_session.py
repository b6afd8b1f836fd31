"""A session of a run that creates: its journal, its look at what was there before, its engine, its audit."""

import asyncio
from collections.abc import Callable
from datetime import date
from typing import Any, TypeAlias, TypeVar, cast

from attrs import field, frozen

from spotdx_async._observe.dispatch import CallObservation
from spotdx_async.bulk.create_engine import CreateEngine
from spotdx_async.bulk.create_reader import CreateReader
from spotdx_async.bulk.create_rows import Creation
from spotdx_async.bulk.engine import Engine
from spotdx_async.bulk.first_look import FirstLook
from spotdx_async.bulk.journal.batch_index import BatchIndex
from spotdx_async.bulk.journal.creates_file import Left, LooksFirst, Twins
from spotdx_async.bulk.journal.creates_writer import CreatesWriter
from spotdx_async.bulk.options import Job
from spotdx_async.bulk.read_first import Ask
from spotdx_async.bulk.reader import Reader
from spotdx_async.bulk.server_time import ServerTime
from spotdx_async.bulk.session import Session
from spotdx_async.bulk.settlement import Look
from spotdx_async.errors import SpotError

T = TypeVar("T")

NewLook: TypeAlias = Callable[[CreateReader, ServerTime], Look]
"""Makes what looks at the server, for a run with its journal, its index and the server's time."""


@frozen(kw_only=True)
class CreateJob(Job):
    """What a run that creates does with its rows."""

    creation: Creation[Any]
    server_time: ServerTime
    ask: Ask
    """Reads something, to find out whether the server is back."""
    new_look: NewLook | None = field(default=None)
    """None if there is no way to look for what is in doubt."""
    look_first: date | None = None


class CreateSession(Session[T]):
    """A session of a run that creates."""

    @property
    def duplicates(self) -> tuple[tuple[str, str], ...]:
        """The ids of objects with the same reference, in pairs."""
        look = self._look
        return () if look is None else tuple(dict.fromkeys(look.duplicates))

    @property
    def audit_error(self) -> SpotError | None:
        """Why duplicates could not be looked for at the end."""
        engine = self._engine
        settlement = engine.settlement if isinstance(engine, CreateEngine) else None
        return None if settlement is None else settlement.audit_error

    def _new_reader(self) -> Reader:
        self._look: Look | None = None
        self._looking: asyncio.Future[None] | None = None
        return CreateReader(self._inputs.updates, self._job.creation, is_of_batch=not self._job.takes_any_batch)

    @property
    def _job(self) -> CreateJob:
        return cast("CreateJob", self._inputs.job)

    async def _open(self) -> None:
        job, reader = self._job, cast("CreateReader", self._reader)
        reader.index = BatchIndex()  # not with the reader: a run that never gets here closes nothing
        try:
            reader.book = await CreatesWriter.open(
                self._inputs.journal,
                operation=job.operation,
                server=job.server,
                batch=None if job.takes_any_batch else job.batch or "",
            )
        except BaseException:
            reader.index.close()
            raise
        try:
            if job.new_look is None:
                return
            self._look = job.new_look(reader, job.server_time)
            if (day := self._first_day()) is not None:
                reader.book.record(LooksFirst(day.isoformat()))
                first_look = FirstLook(
                    self._look,
                    day,
                    lands_within_s=job.lands_within_s,
                    outage_limit_s=self._inputs.options.outage_limit_s,
                )
                await self._look_before(first_look)
                reader.first_look = first_look
        except BaseException:
            await self._close(is_complete=False)
            raise

    def _first_day(self) -> date | None:
        """Return from when on to look; a session that was told to, and was cut off, has not come to all rows."""
        job, earlier = self._job, cast("CreateReader", self._reader).book.looks_first
        if job.look_first is None and earlier is not None and not job.only_settles:
            return date.fromisoformat(earlier)
        return job.look_first

    async def _look_before(self, first_look: FirstLook) -> None:
        """Look before the engine is there to be stopped: whoever ends the run meanwhile does not wait for that."""
        if self._is_stopped:
            return
        looking = self._looking = asyncio.ensure_future(first_look.look())
        try:
            await asyncio.wait([looking])
        finally:
            looking.cancel()
        if not looking.cancelled():
            looking.result()

    def stop(self) -> None:
        """Read and send nothing more; requests that were handed to a connection are finished."""
        super().stop()
        if self._looking is not None:
            self._looking.cancel()

    def _end(self, cause: SpotError | None) -> None:
        super()._end(cause)
        if self._looking is not None:
            self._looking.cancel()

    def _new_engine(self, observation: CallObservation | None) -> Engine[T]:
        job = self._job
        return CreateEngine(
            cast("CreateReader", self._reader),
            job.send,
            self._inputs.options,
            observation,
            self._news.set,
            creation=job.creation,
            look=self._look,
            server_time=job.server_time,
            ask=job.ask,
            only_settles=job.only_settles,
        )

    async def _close(self, *, is_complete: bool) -> None:
        reader = cast("CreateReader", self._reader)
        reader.index.close()  # rows that were read are looked up in it until the last one is sent
        if is_complete and isinstance(self._engine, CreateEngine):
            reader.book.record(Left(self._engine.left_undone))
            if not self._engine.left_undone:
                reader.book.record(LooksFirst(None))
        if twins := self.duplicates:  # whoever is killed before telling of them finds them there
            reader.book.record_at_end(Twins(twins))
        await reader.book.close("complete" if is_complete else "stopped")
