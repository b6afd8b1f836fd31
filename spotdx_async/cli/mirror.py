"""``spotdx mirror``: a local copy of kits, orders and requisitions: filled, exported, looked at."""

import asyncio
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self, TypeAlias

import attrs
from attrs import frozen
from cyclopts import App, Parameter, Token

from spotdx_async.cli.exit_codes import Exit, line_of, naming_server, next_step
from spotdx_async.cli.failures import show_error, show_failure
from spotdx_async.cli.options import UNLIMITED, AtMost, Day, Flag, Json, Word
from spotdx_async.cli.output import OurScreen, Streams, counted, duration
from spotdx_async.cli.progress import StopSignals
from spotdx_async.cli.settings import USUAL_SERVER, OnServer, Settings
from spotdx_async.cli.tables import show_fields, show_rows
from spotdx_async.errors import (
    ConfigError,
    DecodeError,
    InvalidInputError,
    NotSentError,
    OutcomeUnknownError,
    RateLimitError,
    ServerError,
    SpotError,
)
from spotdx_async.hosts import check_hosts
from spotdx_async.own_loop import run_in_own_loop

if TYPE_CHECKING:
    from spotdx_async import SpotClient
    from spotdx_async.mirror import Mirror, MirrorState, PullProgress, PullReport

_LINE_EVERY_S = 5.0
_UNITS = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_SPAN = re.compile(r"([0-9]+(?:\.[0-9]+)?)([smhd]?)", re.ASCII)
_PASSING = (DecodeError, NotSentError, OutcomeUnknownError, RateLimitError, ServerError)
_NOUNS = ("kits", "orders", "requisitions")


def _span(_type: Any, tokens: Sequence[Token]) -> float:
    """Read a span of time such as 30s, 5m or 1h; a number alone is seconds."""
    (token,) = tokens
    found = _SPAN.fullmatch(token.value)
    seconds = 0.0 if found is None else float(found[1]) * _UNITS[found[2]]
    if not seconds:
        raise ValueError(f'"{token.value}" is no span of time above 0, such as 30s, 5m or 1h')
    return seconds


FormatOfTables: TypeAlias = Annotated[
    Literal["parquet", "csv", "jsonl", "fhir"], Parameter(name="--format", show_choices=True)
]
Span: TypeAlias = Annotated[float | None, Parameter(converter=_span, metavar="SPAN")]

mirror: App = App(
    name="mirror",
    help="A local copy of kits, orders and requisitions, in an SQLite file.\n\n"
    "Example: spotdx mirror pull spot.db && spotdx mirror export spot.db tables/",
)


@frozen(kw_only=True)
class PullOptions:
    """How a mirror is pulled."""

    since: Day = None
    """For the first pull: begin with the changes of this day, YYYY-MM-DD. Later ones continue from the one before.
    Default: everything."""
    phi: Flag = False
    """Keep patient data as well: names, contacts, addresses, tracking numbers, links to files, metadata. A file keeps
    what it was made with."""
    sweep: Flag = False
    """Get every object again, and count what had changed without the lists showing it; with --reports, also compare
    the files that are there with their digests."""
    every_s: Annotated[Span, Parameter(name="--every")] = None
    """Pull again and again, so much time after each pull, such as 5m; outages are waited out. Ctrl-C or SIGTERM ends
    it, and an output that nobody reads any more."""
    reports: Annotated[Word | None, Parameter(metavar="DIR")] = None
    """Save the PDF of each report in this folder too, which is made if it is missing. They name patients."""
    hosts: Annotated[tuple[str, ...], Parameter(name="--host", metavar="HOST", show_default=False)] = ()
    """Fetch reports from this host too, written as host or host:port; repeatable. The token is not sent there."""
    as_json: Json = False
    """Write what each pull has brought as one JSON object."""


PullWith: TypeAlias = Annotated[PullOptions, Parameter(name="*")]
USUAL_PULL = PullOptions()


@mirror.command
def pull(
    db: Word,
    /,
    *,
    options: PullWith = USUAL_PULL,
    limits: AtMost = UNLIMITED,
    server: OnServer = USUAL_SERVER,
    streams: OurScreen,
) -> int:
    """Bring a mirror up to date with what has changed; the file is made if it is missing.

    An object's rows and the place up to which everything was read change in one transaction: whatever ends the command,
    the same command resumes, and nothing is lost or doubled. Other programs may query the file meanwhile.

    Exit codes: 0 up to date; 1 some objects cannot be read, or files of reports not be saved, and are tried again by
    the next pull; 2 wrong usage, or the file cannot be used; 3 stopped early, and the same command resumes.

    Example: spotdx mirror pull spot.db
    Example: spotdx mirror pull spot.db --since 2026-11-01 --every 5m

    Args:
        db: The file of the mirror (mode 0600).
        options: What to pull.
        limits: How fast.
        server: The server.
        streams: Where to write; no argument of the command line.
    """
    from spotdx_async.mirror import Mirror

    check_hosts(options.hosts)
    settings = server.settings(rate=limits.rate, concurrency=limits.concurrency)
    if options.since is not None and Path(db).exists():
        streams.say(f"--since is for the first pull: {db} exists, and continues from where it is")
    runner = _Puller(Mirror(str(db), phi=options.phi), options, settings, streams)
    return run_in_own_loop(runner.run())


class _Puller:
    """Pulls once, or again and again until a signal."""

    def __init__(self, mirror: "Mirror", options: PullOptions, settings: Settings, streams: Streams) -> None:
        self._mirror = mirror
        self._options = options
        self._settings = settings
        self._streams = streams
        self._is_stopped = self._has_failed = self._has_pulled = False
        self._at_work: asyncio.Task[Any] | None = None
        self._brought = 0

    async def run(self) -> Exit:
        """Return the exit code."""
        async with self._settings.client() as spot:
            with StopSignals(first=self._stop, second=self._stop):
                code = await self._pull(spot)
                while (every_s := self._options.every_s) is not None and not self._is_over():
                    await self._finished(asyncio.sleep(every_s))
                    if not self._is_over():
                        code = await self._pull(spot)
        if self._options.every_s is not None and self._is_stopped:
            self._streams.note("stopped: the mirror is whole, and the same command resumes")
            return Exit.OK
        if self._options.every_s is not None and self._streams.is_unread:
            self._streams.note("stopped, since nobody reads the output any more: the same command resumes")
            return Exit.OK
        return code

    def _is_over(self) -> bool:
        return self._is_stopped or self._has_failed or self._streams.is_unread

    def _stop(self) -> None:
        self._is_stopped = True
        if self._at_work is not None:
            self._at_work.cancel()

    async def _finished(self, job: Any) -> bool:
        """Wait for something; return False if a signal has ended it."""
        self._at_work = asyncio.ensure_future(job)
        try:
            await self._at_work
        except asyncio.CancelledError:
            if not self._is_stopped:
                raise
            return False
        return True

    async def _pull(self, spot: "SpotClient") -> Exit:
        display = _Display(self._streams)
        options = self._options
        self._brought = 0
        try:
            with display, naming_server(self._settings.base_url.value):
                job = self._mirror.pull(
                    spot,
                    since=options.since,
                    sweep=options.sweep,
                    concurrency=self._settings.concurrency.value,
                    reports=None if options.reports is None else str(options.reports),
                    hosts=options.hosts,
                    progress=lambda progress: self._note(progress, display),
                )
                if not await self._finished(job):
                    return self._stopped()
        except SpotError as error:
            if not self._goes_on(error):
                raise
            return Exit.STOPPED
        assert self._at_work is not None  # noqa: S101 - it has ended; for the type checker
        report: PullReport = self._at_work.result()
        self._has_pulled = True
        self._show(report)
        return Exit.FAILED if report.unread or report.files_failed else Exit.OK

    def _stopped(self) -> Exit:
        if self._options.every_s is None:
            text, advice = f"stopped after {counted(self._brought, 'object')}", "the same command resumes"
            if self._streams.as_json:
                show_failure(self._streams, "Interrupted", text, hint=advice, exit_code=Exit.STOPPED)
            else:
                self._streams.say(f"{text}: {advice}")
        return Exit.STOPPED

    def _goes_on(self, error: SpotError) -> bool:
        """Tell an error after which the same command, or the next pull of this one, resumes; others are not told."""
        is_of_file = isinstance(error, (ConfigError, InvalidInputError))
        # Room is made on a disk, and another pull, such as a sweep, ends. At first it is one that nobody thought of.
        reason = getattr(error, "reason", None) if is_of_file else None
        is_passing = reason == "disk" or (reason == "in use" and self._has_pulled)
        if is_of_file and not is_passing:
            return False
        every_s = self._options.every_s
        self._has_failed = every_s is None or not (is_passing or isinstance(error, _PASSING))
        after = "the same command resumes" if self._has_failed else f"pulling again in {duration(every_s or 0.0)}"
        if self._streams.as_json:
            hint = "; ".join(filter(None, (next_step(error), after)))
            show_error(error, self._streams, exit_code=Exit.STOPPED, hint=hint)
        else:
            self._streams.say(f"{line_of(error)}; what was pulled is kept, and {after}")
        return True

    def _note(self, progress: "PullProgress", display: "_Display") -> None:
        display.show(progress)
        self._brought = display.objects

    def _show(self, report: "PullReport") -> None:
        options, streams = self._options, self._streams
        if options.as_json:
            streams.write_json(_figures(report), is_line=options.every_s is not None)
            return
        parts = [counted(getattr(report, noun).delivered, noun.removesuffix("s")) for noun in _NOUNS]
        text = f"{self._mirror.path}: {', '.join(parts)} in {duration(report.elapsed_s)}"
        if options.every_s is not None:  # in a log of days, when something came is what is looked for
            text = f"{datetime.now().astimezone():%Y-%m-%d %H:%M:%S %Z} {text}"
        if options.reports is not None:
            text += f"; {counted(report.files, 'file')} saved"
        if report.is_sweep:
            untold = sum(getattr(report, noun).untold for noun in _NOUNS)
            text += f"; {counted(untold, 'change')} that the lists had not shown"
        streams.tell(text)
        if report.files_failed:
            streams.say(
                f"{counted(report.files_failed, 'file')} could not be saved: the next pull tries them again; -v and "
                "--log-file say why"
            )
        if report.unread:
            streams.say(
                f"{counted(report.unread, 'object')} could not be read: the next pull tries them again; -v and "
                "--log-file say why"
            )


class _Display:
    """Says how far a pull is: a live line on a terminal, plain lines elsewhere."""

    def __init__(self, streams: Streams) -> None:
        self._streams = streams
        is_live = streams.err.is_live and not streams.is_quiet
        self._status = streams.err.console.status("pulling") if is_live else None
        self._said_s = 0.0
        self._done: dict[str, int] = {}

    @property
    def objects(self) -> int:
        """Objects that were written so far."""
        return sum(self._done.values())

    def __enter__(self) -> Self:
        self._said_s = asyncio.get_running_loop().time()
        if self._status is not None:
            self._status.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._status is not None:
            self._status.stop()

    def show(self, progress: "PullProgress") -> None:
        """Show where the pull stands now."""
        self._done[progress.noun] = progress.so_far.delivered
        text = ", ".join(counted(count, noun.removesuffix("s")) for noun, count in self._done.items())
        now_s = asyncio.get_running_loop().time()
        if self._status is not None:
            self._status.update(text)
        elif now_s - self._said_s >= _LINE_EVERY_S:
            self._said_s = now_s
            self._streams.note(text)


def _figures(report: "PullReport") -> dict[str, Any]:
    return {
        **{noun: attrs.asdict(getattr(report, noun)) for noun in _NOUNS},
        "unread": report.unread,
        "files": report.files,
        "files_failed": report.files_failed,
        "is_sweep": report.is_sweep,
        "elapsed_s": round(report.elapsed_s, 3),
    }


@mirror.command
def export(
    db: Word,
    folder: Word,
    /,
    *,
    form: Annotated[
        Literal["parquet", "csv", "jsonl", "fhir"], Parameter(name="--format", show_choices=True)
    ] = "parquet",
    tables: Annotated[str | None, Parameter(metavar="NAMES")] = None,
    since: Day = None,
    as_json: Json = False,
    streams: OurScreen,
) -> int:
    """Write the tables of a mirror to files, one each; what a pull writes meanwhile is not in them.

    Each file is whole or is not there, is private (mode 0600), and has the same bytes for the same rows. Files of the
    same names are replaced.

    Example: spotdx mirror export spot.db tables/
    Example: spotdx mirror export spot.db tables/ --format csv --tables results,kits --since 2026-11-01
    Example: spotdx mirror export spot.db fhir/ --format fhir    # Observation.ndjson and the like

    Args:
        db: The file of the mirror.
        folder: Where to write; made if it is missing.
        form: The format; fhir writes resources of FHIR R4, a file for each type.
        tables: Only these tables, separated by commas; current_results is one too. Default: all but that one.
        since: Only rows of objects that changed on this day (in UTC), YYYY-MM-DD, or later.
        as_json: Write the path of each file as one JSON object.
        streams: Where to write; no argument of the command line.
    """
    from spotdx_async.mirror import Mirror

    names = None if tables is None else [name.strip() for name in tables.split(",") if name.strip()]
    paths = Mirror(str(db)).export(str(folder), form, tables=names, since=since)
    if as_json:
        streams.write_json({name: str(path) for name, path in paths.items()})
    else:
        show_rows(streams, ("table", "file"), [(name, str(path)) for name, path in paths.items()])
    return Exit.OK


@mirror.command
def show(db: Word, /, *, as_json: Json = False, streams: OurScreen) -> int:
    """Show what a mirror holds: rows by table, statuses, the last pull.

    Example: spotdx mirror show spot.db

    Args:
        db: The file of the mirror.
        as_json: Write one JSON object.
        streams: Where to write; no argument of the command line.
    """
    from spotdx_async.mirror import Mirror

    state = Mirror(str(db)).state()
    if as_json:
        streams.write_json(
            {**attrs.asdict(state), "last_pull": None if state.last_pull is None else _written(state.last_pull)}
        )
        return Exit.OK
    show_fields(_in_words(state), streams)
    return Exit.OK


def _in_words(state: "MirrorState") -> dict[str, str]:
    is_as_of = "up to date with that pull"
    if state.unread:
        is_as_of += f", but for {counted(state.unread, 'object')} that could not be read"
    last = "none was completed" if state.last_pull is None else _written(state.last_pull)
    fields = {
        "patient data": "kept" if state.phi else "left out",
        "last complete pull": last,
        "state": is_as_of if state.is_complete else "a pull is under way, or was stopped",
        **{f"rows of {name}": f"{count:,}" for name, count in state.rows.items()},
    }
    for table, counts in state.statuses.items():
        for status, count in counts.items():
            fields[f"{table} {status or 'without a status'}"] = f"{count:,}"
    return fields


def _written(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
