"""``spotdx kits reports``: saves the files of kits' reports in a folder; what is there already is not fetched again."""

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, TypeAlias

from attrs import evolve, field, frozen
from cyclopts import Parameter

from spotdx_async import private_files
from spotdx_async.cli.exit_codes import Exit, naming_server
from spotdx_async.cli.lookups import StopRule, ids_of, in_order
from spotdx_async.cli.options import HIDING, UNLIMITED, AtMost, Flag, Ids, RequestLimits, Shown, Word
from spotdx_async.cli.output import OurScreen, Streams, counted
from spotdx_async.cli.settings import USUAL_SERVER_OF_IDS, OnServerOfIds, Server
from spotdx_async.errors import InvalidInputError, LinkExpiredError, SpotError
from spotdx_async.files.report_names import name_of_report
from spotdx_async.hosts import check_hosts
from spotdx_async.own_loop import run_in_own_loop

if TYPE_CHECKING:
    from spotdx_async import Kit, Report, SpotClient

__all__ = ["FileOptions", "SaveWith", "reports", "save_reports"]

_Kind: TypeAlias = Literal["pdf", "txt"]
_MOST_BYTES = 50 * 1024 * 1024
"""What ``reports.save`` takes at most: a larger file was put there by somebody else, and is not read into memory."""
_BEGINNINGS = {"pdf": b"%PDF-", "txt": b""}


@frozen(kw_only=True)
class FileOptions:
    """Options of ``kits reports``."""

    out: Annotated[Word, Parameter(metavar="FOLDER")]
    """Save the files in this folder, which is made if it is missing."""
    kind: Annotated[Literal["pdf", "txt", "all"], Parameter(show_choices=True)] = "pdf"
    """Which of a report's files."""
    fetches_again: Annotated[Flag, Parameter(name="--force")] = False
    """Fetch again what is in the folder already, and replace it."""
    hosts: Annotated[tuple[str, ...], Parameter(name="--host", metavar="HOST", show_default=False)] = ()
    """Fetch from this host too, written as host or host:port; repeatable. The token is not sent there."""

    @property
    def kinds(self) -> tuple[_Kind, ...]:
        """The kinds of file that are wanted."""
        return ("pdf", "txt") if self.kind == "all" else (self.kind,)


class UnwritableFileError(SpotError):
    """A file cannot be written, as on a full disk: no other can either."""


SaveWith: TypeAlias = Annotated[FileOptions, Parameter(name="*")]


@frozen(kw_only=True)
class _File:
    """One file of a report, and what became of it."""

    kit_id: str
    report_id: str | None
    kind: _Kind
    name: str
    place: int
    """The position of its report among those of the kit."""
    link: str | None = field(repr=False)
    is_lasting: bool = False
    """Whether the name says which report it is: then it is not fetched again."""
    state: Literal["saved", "kept", "missing", "failed"] = "missing"
    size: int | None = None
    sha256: str | None = None
    error: SpotError | None = field(default=None, repr=False)

    @property
    def key(self) -> tuple[int, str | None, _Kind]:
        """What tells it from the kit's other files, in every answer."""
        return self.place, self.report_id, self.kind


def reports(
    ids: Ids,
    /,
    *,
    options: SaveWith,
    limits: AtMost = UNLIMITED,
    view: Shown = HIDING,  # noqa: ARG001 - the app reads it
    server: OnServerOfIds = USUAL_SERVER_OF_IDS,
    streams: OurScreen,
) -> int:
    """Save the files of kits' reports, each named KIT_ID-REPORT_ID.pdf and readable by you alone (mode 0600).

    A file is there whole or not at all. One that is there is not fetched again, since an amendment is a report of its
    own; with --force all are. The paths of the files go to standard output; with --json it is one object a line for
    each file, with its state (saved, kept, missing or failed), path, size and sha256. A link that has expired is
    renewed once.

    Exit codes: 0 all files that the reports have are there; 1 some are not, or the server cannot be asked; 2 wrong
    usage, nothing was sent.

    Example: spotdx kits reports SPOT123456 --out reports
    Example: spotdx kits reports - --out reports --kind all --json --rate 20 < ids.txt

    Args:
        ids: The kits; - is standard input, one id a line.
        options: Which files, and where.
        limits: How fast.
        view: How to show it.
        server: The server.
        streams: Where to write; no argument of the command line.
    """
    return save_reports(ids, options, limits=limits, server=server, streams=streams)


def save_reports(
    words: Sequence[str], options: FileOptions, *, limits: RequestLimits, server: Server, streams: Streams
) -> Exit:
    """Save the files of the reports of kits.

    Args:
        words: the ids, or ``-`` for those of standard input.
        options: which files, and where.
        limits: how fast.
        server: whom to ask.
        streams: where to write.

    Raises:
        InvalidInputError: an option is wrong, or nothing can be written there.
        SpotError: no further kit can be had.
    """
    check_hosts(options.hosts)
    ids, folder = ids_of(words), Path(options.out)
    settings = server.settings(rate=limits.rate, concurrency=limits.concurrency)
    _prepare(folder)
    streams.is_code_the_answer = True

    async def save_all() -> Exit:
        async with settings.client() as spot:
            saving = _Saving(spot, settings.base_url.value, folder, options)
            return await _show(saving, [*dict.fromkeys(ids)], streams, at_once=settings.concurrency.value)

    return run_in_own_loop(save_all())


class _Saving:
    """Saves the files of one kit after another."""

    def __init__(self, spot: "SpotClient", base_url: str, folder: Path, options: FileOptions) -> None:
        self._spot = spot
        self._base_url = base_url
        self.folder = folder
        self._options = options

    async def files_of(self, kit_id: str) -> list[_File]:
        """Save the files of a kit, and return what became of each.

        Links that have expired meanwhile are renewed by one get of the kit, and tried once more.

        Raises:
            SpotError: the kit cannot be had.
        """
        saved = [await self._saved(file) for file in await self._links_of(kit_id)]
        if any(isinstance(file.error, LinkExpiredError) for file in saved):
            renewed = {file.key: file for file in await self._links_of(kit_id)}
            for number, file in enumerate(saved):
                if isinstance(file.error, LinkExpiredError) and file.key in renewed:
                    saved[number] = await self._saved(renewed[file.key])
        return saved

    async def _links_of(self, kit_id: str) -> list["_File"]:
        with naming_server(self._base_url):
            kit = await self._spot.kits.get(kit_id)
        return [*_files_in(kit, kit_id, self._options.kinds)]

    async def _saved(self, file: _File) -> _File:
        path = self.folder / file.name
        if file.link is None:
            return file
        if file.is_lasting and not self._options.fetches_again and (kept := _kept(path, file.kind)) is not None:
            return evolve(file, state="kept", size=len(kept), sha256=hashlib.sha256(kept).hexdigest())
        try:
            saved = await self._spot.reports.save(file.link, path, kind=file.kind, hosts=self._options.hosts)
        except SpotError as error:
            return evolve(file, state="failed", error=error)
        except OSError as error:
            fault = UnwritableFileError(f"{path} cannot be written: {error.strerror}")
            return evolve(file, state="failed", error=fault)
        return evolve(file, state="saved", size=saved.size, sha256=saved.sha256)


async def _show(saving: _Saving, ids: Sequence[str], streams: Streams, *, at_once: int) -> Exit:
    is_one, counts = len(ids) == 1, Counter[str]()
    stop = StopRule("kit", "done", streams, of_all=(UnwritableFileError,), is_named=not is_one)
    async with aclosing(in_order(saving.files_of, ids, at_once=at_once)) as found:
        left = len(ids) + 1
        async for kit_id, files in found:
            left -= 1
            if isinstance(files, SpotError):
                if is_one:
                    raise files
                counts["failed"] += 1
                stop.failed(kit_id, files, left=left)
                continue
            counts["no report"] += not files
            for file in files:
                counts[file.state] += 1
                _show_file(file, saving.folder, streams, is_named=not is_one)
                if file.error is None:
                    stop.succeeded()
                else:
                    stop.failed(kit_id, file.error, left=left)
    streams.note(_summary(counts))
    return Exit.FAILED if counts["failed"] else Exit.OK


def _show_file(file: _File, folder: Path, streams: Streams, *, is_named: bool) -> None:
    is_there = file.state in {"saved", "kept"}
    path = str(folder / file.name) if is_there else None
    if streams.as_json:
        about = {"kit_id": file.kit_id, "report_id": file.report_id, "kind": file.kind, "state": file.state}
        streams.write_json({**about, "path": path, "size": file.size, "sha256": file.sha256}, is_line=True)
    elif path is not None:
        streams.tell(path)
    elif file.state == "missing":
        of_kit = f"{file.kit_id}: " if is_named else ""
        streams.note(f"{of_kit}the report {file.report_id or 'without an id'} has no {file.kind}")


def _summary(counts: Counter[str]) -> str:
    parts = [f"{counted(counts['saved'], 'file')} saved"]
    parts += [f"{counted(counts['kept'], 'file')} already there"] if counts["kept"] else []
    parts += [f"{counts['failed']:,} failed"] if counts["failed"] else []
    parts += [f"{counted(counts['no report'], 'kit')} without a report"] if counts["no report"] else []
    return ", ".join(parts)


def _prepare(folder: Path) -> None:
    """Make the folder, and say if others can put files of theirs there.

    Raises:
        InvalidInputError: it cannot be made.
    """
    try:
        private_files.make_folder(folder)
    except OSError as error:
        reason = "is a file" if isinstance(error, FileExistsError) else f"cannot be made: {error.strerror}"
    else:
        private_files.warn_of_folder(folder / "any")
        return
    raise InvalidInputError(f"--out: {folder} {reason}")


def _files_in(kit: "Kit", kit_id: str, kinds: Sequence[_Kind]) -> Iterator[_File]:
    reports = [(place, one) for place, one in enumerate(kit.sample.reports if kit.sample else ()) if one is not None]
    times = Counter(one.report_id for _, one in reports)
    for place, report in reports:
        is_lasting = bool(report.report_id) and times[report.report_id] == 1
        for kind in kinds:
            name = name_of_report(kit_id, report.report_id if is_lasting else None, place)
            yield _File(
                kit_id=kit_id,
                report_id=report.report_id,
                kind=kind,
                name=f"{name}.{kind}",
                place=place,
                link=_link_of(report, kind),
                is_lasting=is_lasting,
            )


def _link_of(report: "Report", kind: _Kind) -> str | None:
    return (report.pdf if kind == "pdf" else report.txt) or None


def _kept(path: Path, kind: _Kind) -> bytes | None:
    """Return a file that an earlier run has saved; what it leaves is whole, so one with a right beginning is."""
    try:
        if not (about := private_files.look(path)) or not 0 < about.st_size <= _MOST_BYTES:
            return None
        data = private_files.read(path)
    except OSError:
        return None  # saving says what is wrong with it
    return data if data.startswith(_BEGINNINGS[kind]) else None
