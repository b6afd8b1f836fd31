"""A session of a run that creates: its journal, its look at what was there before, its engine, its audit."""

from collections.abc import Callable
from datetime import UTC, date, datetime, time
from typing import Any, TypeAlias, TypeVar, cast

from attrs import field, frozen

from spotdx_async._observe.dispatch import CallObservation
from spotdx_async.bulk.create_engine import CreateEngine
from spotdx_async.bulk.create_reader import CreateReader
from spotdx_async.bulk.create_rows import Creation
from spotdx_async.bulk.engine import Engine
from spotdx_async.bulk.journal.creates_writer import CreatesWriter
from spotdx_async.bulk.options import Job
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
        return CreateReader(self._inputs.updates, self._job.creation)

    @property
    def _job(self) -> CreateJob:
        return cast("CreateJob", self._inputs.job)

    async def _open(self) -> None:
        job, reader = self._job, cast("CreateReader", self._reader)
        reader.book = await CreatesWriter.open(
            self._inputs.journal,
            operation=job.operation,
            server=job.server,
            batch=job.batch or "",
        )
        try:
            if job.new_look is None:
                return
            self._look = job.new_look(reader, job.server_time)
            if job.look_first is not None:
                since = datetime.combine(job.look_first, time(), UTC).timestamp()
                await self._look.look_first(since)
                reader.looked_since = since
        except BaseException:
            await reader.book.close("stopped")
            raise

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
            only_settles=job.only_settles,
        )

    async def _close(self, *, is_complete: bool) -> None:
        await cast("CreateReader", self._reader).book.close("complete" if is_complete else "stopped")
