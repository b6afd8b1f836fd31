"""The files of the reports that a mirror has: saved in a folder, and known by their digests."""

import errno
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any, Protocol, TypeAlias, TypeVar

from attrs import define

from spotdx_async import private_files
from spotdx_async._http.logs import log_unsaved
from spotdx_async._http.retry import may_pass
from spotdx_async._requests.object_search import got_each
from spotdx_async.bulk.listed import OF_ONE_OBJECT
from spotdx_async.errors import InvalidInputError, LinkExpiredError, NotSentError, SpotError
from spotdx_async.files.report_names import name_of_report
from spotdx_async.mirror.known_files import KnownFiles, WaitingReport
from spotdx_async.mirror.records import MirrorError
from spotdx_async.models import Report

__all__ = ["ReportFiles"]

T = TypeVar("T")
_Key: TypeAlias = tuple[str, str]
"""A source, and the id of an object of it."""

_OBJECTS_AT_ONCE = 100
_SIDE_BY_SIDE = 8
_MOST_IN_VAIN = 16
"""So many files in a row that cannot be had may be an outage: then the server is asked for something else. A choice."""


class Saving(Protocol):
    """A client as saving uses it."""

    @property
    def kits(self) -> Any:
        """Kits."""
        ...

    @property
    def requisitions(self) -> Any:
        """Requisitions."""
        ...

    @property
    def reports(self) -> Any:
        """The files of reports."""
        ...


class Run(Protocol):
    """Does something in the mirror's thread."""

    async def __call__(self, job: Callable[[], T]) -> T:
        """Return what it returns."""
        ...


@define
class ReportFiles:
    """Saves the PDF of each report that the mirror has, once.

    A file that the mirror knows, and that is there with its length, is not fetched again. For each object with others
    it is got anew, so that its links are fresh.
    """

    known: KnownFiles
    run: Run
    folder: Path
    hosts: Sequence[str]
    compares: bool = False
    """Whether the bytes of files that are there are compared with their digests."""
    saved: int = 0
    failed: int = 0
    _in_vain: int = 0
    """Failures that may pass, one after the other."""
    _is_over: bool = False

    async def save(self, spot: Saving) -> None:
        """Save all that are missing.

        Raises:
            MirrorError: the folder or the disk does not take them.
            SpotError: a request failed that every further one would meet.
        """
        self.prepare()
        await self.run(partial(self.known.forget_missing, self.folder, compares=self.compares))
        after: _Key = ("", "")
        while waiting := await self.run(partial(self.known.waiting, after, _OBJECTS_AT_ONCE)):
            by_object = {key: list(of_one) for key, of_one in groupby(waiting, key=_key_of)}
            for result in await got_each(partial(self._save_of, spot, by_object), [*by_object], at_once=_SIDE_BY_SIDE):
                if isinstance(result, SpotError):
                    raise result.with_traceback(None)
            after = _key_of(waiting[-1])

    async def _save_of(self, spot: Saving, by_object: Mapping[_Key, Sequence[WaitingReport]], key: _Key) -> None:
        if self._is_over:
            return
        try:
            await self._save_each(spot, key, by_object[key])
        except SpotError:
            self._is_over = True
            raise

    async def _save_each(self, spot: Saving, key: _Key, waiting: Sequence[WaitingReport]) -> None:
        source, an_id = key
        try:
            found = await (spot.kits if source == "kit" else spot.requisitions).get(an_id)
        except SpotError as error:
            await self._count_or_raise(spot, error, len(waiting), self.folder)
            return
        reports = found.reports if source == "requisition" else found.sample.reports if found.sample else ()
        for one in waiting:
            await self._save_one(spot, one, reports[one.seq] if one.seq < len(reports) else None, reports)

    async def _save_one(
        self, spot: Saving, waiting: WaitingReport, report: Report | None, reports: Iterable[Report | None]
    ) -> None:
        if report is None or not report.pdf:
            await self.run(partial(self.known.note, waiting, None, None, None))
            return
        is_lasting = bool(report.report_id) and [one and one.report_id for one in reports].count(report.report_id) == 1
        name = f"{name_of_report(waiting.source_id, report.report_id if is_lasting else None, waiting.seq)}.pdf"
        try:
            saved = await spot.reports.save(report, self.folder / name, hosts=self.hosts)
        except SpotError as error:
            await self._count_or_raise(spot, error, 1, self.folder / name)
            return
        except OSError as error:
            fault = f"{self.folder / name} cannot be written: {error.strerror}"
        else:
            await self.run(partial(self.known.note, waiting, name, saved.size, saved.sha256))
            self.saved += 1
            self._in_vain = 0
            return
        raise MirrorError(fault, reason="disk")

    async def _count_or_raise(self, spot: Saving, error: SpotError, count: int, place: Path) -> None:
        """Count what cannot be saved now, and is tried again by the next pull; raise what others would meet too."""
        if not isinstance(error, (*OF_ONE_OBJECT, LinkExpiredError)) and not may_pass(error):
            raise error.with_traceback(None)
        # Refused before it was sent: for what its link is, or because no file can be put there.
        if isinstance(error, InvalidInputError) and not os.access(self.folder, os.W_OK | os.X_OK):
            raise MirrorError(f"{self.folder} cannot be written any more: no further file can be saved", reason="disk")
        self._in_vain += may_pass(error)
        if self._in_vain >= _MOST_IN_VAIN and may_pass(error):
            if isinstance(error, NotSentError) or not await _is_up(spot):
                raise error.with_traceback(None)
            self._in_vain = 0
        log_unsaved(error, place=place)
        self.failed += count

    def prepare(self) -> None:
        """Make the folder if it is missing, and check that files can be put there.

        Raises:
            InvalidInputError: they cannot.
        """
        try:
            private_files.make_folder(self.folder)
            if not os.access(self.folder, os.W_OK | os.X_OK):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        except OSError as error:
            fault = f"{self.folder} cannot be used as the folder of reports: {error.strerror}"
        else:
            private_files.warn_of_folder(self.folder / "any")
            return
        raise InvalidInputError(fault)


async def _is_up(spot: Saving) -> bool:
    try:
        await spot.kits.types()
    except SpotError:
        return False
    return True


def _key_of(waiting: WaitingReport) -> _Key:
    return waiting.source, waiting.source_id
