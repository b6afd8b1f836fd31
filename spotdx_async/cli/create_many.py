"""Creates of files of rows: told from those of one object, checked, asked about, executed, summed up."""

from collections.abc import Sequence
from contextlib import suppress
from datetime import date
from pathlib import Path

from attrs import evolve, fields

from spotdx_async.cli.create import check_can_ask, is_confirmed
from spotdx_async.cli.create_options import USUAL_CREATE, CreateOptions, SettleOptions
from spotdx_async.cli.create_run import CreateRequest, CreateRun, words_of
from spotdx_async.cli.exit_codes import Exit
from spotdx_async.cli.new_objects import CreateKind
from spotdx_async.cli.options import View, Word, check_path
from spotdx_async.cli.output import Streams
from spotdx_async.cli.places import check_places, row_places
from spotdx_async.cli.row_run import run_and_show
from spotdx_async.cli.settings import Server, Setting, Settings
from spotdx_async.errors import InvalidInputError, JournalError
from spotdx_async.files import ChangedInputError, is_rows

__all__ = ["check_for_one", "create_many", "is_one_object", "settle"]

_CONCURRENCY = 8
"""Each order ships a parcel: fewer are in doubt when a run dies."""
_ANY_BATCH = "any"
"""A name for the batch of a journal, whatever it is; it goes nowhere."""
_BY_DEFAULT = Setting(0).origin
_MEANS_ROWS = ("batch", "journal", "created", "failed", "report", "outcomes", "look_first", "row_format")
_ADVICE = {
    "path": "fix that; if rows were sent before, a journal elsewhere knows nothing of them: pass --look-first with it",
    "corrupt": "restore it from a copy or begin a new one, and pass --look-first either way, since neither knows all",
}
"""What to do where the journal of a run that creates cannot be used, by the error's reason."""
_NAMES = {
    "row_format": "--format",
    "replaces_failed": "--force",
    "column_map": "--map",
    "has_one_line_rows": "--one-line-rows",
    "outage_limit_s": "--outage-limit",
    "waits_for_server": "--wait-for-server",
    "lands_within_s": "--lands-within",
}
"""Options whose name is not that of their field."""


def is_one_object(files: Sequence[Word], options: CreateOptions, id_name: str) -> bool:
    """Return whether the command is to create one object, rather than those of files of rows.

    Raises:
        InvalidInputError: the file holds one object, and an option is for rows.
    """
    if len(files) > 1:
        return False
    kind = None if str(files[0]) == "-" else is_rows(files[0], id_name)
    if kind is None:
        kind = options.is_dry_run or any(getattr(options, name) is not None for name in _MEANS_ROWS)
    if kind:
        return False
    check_for_one(options, f"{files[0]} holds one object, which is created by itself")
    return True


def check_for_one(options: CreateOptions, what: str) -> None:
    """Refuse options of files of rows where there is one object.

    Raises:
        InvalidInputError: one is given; the text begins with ``what``.
    """
    names = (field.name for field in fields(CreateOptions) if field.name != "is_dry_run")
    given = next((name for name in names if getattr(options, name) != getattr(USUAL_CREATE, name)), None)
    if given is not None:
        option = _NAMES.get(given, f"--{given.replace('_', '-')}")
        raise InvalidInputError(f"{what}: {option} is for files of rows")


def create_many(
    kind: CreateKind,
    files: Sequence[Word],
    options: CreateOptions,
    server: Server,
    streams: Streams,
    *,
    view: View,
    yes: bool,
) -> Exit:
    """Check the rows, ask, create what they hold, and show how it ended.

    Raises:
        InvalidInputError: an input, or a file to be written, cannot be used, or nobody can be asked; nothing was sent.
        ConfigError: a setting is wrong, or there is no token.
        JournalError: the journal cannot be used; nothing was sent.
    """
    streams.tells_events = options.progress == "json"
    paths = tuple(map(check_path, files))
    check_places(row_places(paths, options))
    if not options.is_dry_run:
        _check_names(kind, options)
        _check_day(kind, options.look_first)
        if "-" in paths and not yes:
            raise InvalidInputError("standard input holds the rows and cannot answer a question: pass --yes")
        check_can_ask(yes=yes)
    settings = _settings(server, options)
    request = CreateRequest(
        kind=kind, files=paths, options=options, settings=settings, shows_phi=view.show_phi, title="Creating"
    )
    return _carry_out(request, streams, as_json=view.as_json, asks=not yes and not options.is_dry_run)


def settle(
    kind: CreateKind, files: Sequence[Word], options: SettleOptions, server: Server, streams: Streams, *, as_json: bool
) -> Exit:
    """Look for the rows that are in doubt, send nothing, and show what was found.

    Raises:
        InvalidInputError: an input, or a file to be written, cannot be used.
        ConfigError: a setting is wrong, or there is no token.
        JournalError: there is no such journal, or it cannot be used.
    """
    if not Path(options.journal).exists():
        raise InvalidInputError(f"{options.journal} does not exist: there is nothing to settle without the journal")
    given = {field.name: getattr(options, field.name) for field in fields(SettleOptions)}
    wanted = CreateOptions(**{**given, "batch": options.batch or _ANY_BATCH})
    paths = tuple(map(check_path, files))
    check_places(row_places(paths, wanted))
    request = CreateRequest(
        kind=kind,
        files=paths,
        options=wanted,
        settings=_settings(server, wanted),
        title="Settling",
        only_settles=True,
        takes_any_batch=options.batch is None,
    )
    return _carry_out(request, streams, as_json=as_json, asks=False)


def _check_names(kind: CreateKind, options: CreateOptions) -> None:
    if options.journal is None or (options.batch is None and kind.has_reference):
        both = "--batch NAME and --journal PATH" if kind.has_reference else "--journal PATH"
        needs = "are" if kind.has_reference else "is"
        why = "the journal records what was sent before it is sent, so that the same command never does it twice"
        names = "; references are made of the batch and each row's key" if kind.has_reference else ""
        raise InvalidInputError(f"{both} {needs} needed for files of rows: {why}{names}; nothing was sent")
    if options.batch is None and kind.noun == "patients":
        raise InvalidInputError("--batch NAME is needed for files of rows: the journal belongs to it; nothing was sent")


def _check_day(kind: CreateKind, text: str | None) -> None:
    if text is None:
        return
    if not kind.has_reference:
        raise InvalidInputError(
            f"--look-first is for orders and requisitions: no reference tells which {kind.noun} were {kind.done} before"
        )
    try:
        if date.fromisoformat(text).isoformat() == text:  # Python also reads 20230131 and 2023-W05-2
            return
    except ValueError:
        pass
    raise InvalidInputError("--look-first must be a date, YYYY-MM-DD; nothing was sent")


def _settings(server: Server, options: CreateOptions) -> Settings:
    settings = server.settings(rate=options.rate, concurrency=options.concurrency)
    if settings.concurrency.origin == _BY_DEFAULT:
        return evolve(settings, concurrency=Setting(_CONCURRENCY))
    return settings


def _carry_out(request: CreateRequest, streams: Streams, *, as_json: bool, asks: bool) -> Exit:
    run: CreateRun | None = None
    try:
        with suppress(KeyboardInterrupt):  # noqa: SIM117 - or else mypy takes the run for made
            with CreateRun(request, streams) as run:
                if asks:
                    found = run.forecast()
                    question = f"{words_of(found, request.kind)}. Continue, on {request.settings.name}?"
                    if found.new + found.in_doubt and not is_confirmed(question, streams, yes=False):
                        return Exit.STOPPED
                run_and_show(run, streams, as_json=as_json)
    except JournalError as error:
        refused: InvalidInputError = _of_creates(error)
    except ChangedInputError as error:
        streams.say(f"{error}; nothing was sent: run the same command again once nothing writes to that file any more")
        return Exit.STOPPED
    except InvalidInputError as error:
        if "look_first" not in str(error.args[0]):
            raise
        refused = InvalidInputError(_in_words(error))
    else:
        if run is not None and run.result is not None:
            return run.result.exit
        # A signal before the run handles them, so nothing was sent.
        streams.say("stopped: you may run the same command again, which sends nothing twice")
        return Exit.STOPPED
    raise refused


def _of_creates(error: JournalError) -> JournalError:
    """Return the refusal of a journal, without the advice for updates, to which sending again does no harm."""
    text = _in_words(error)
    if error.reason in _ADVICE and "--look-first" not in text:
        text = f"{text.rpartition(': ')[0]}: {_ADVICE[error.reason]}"
    return JournalError(text, reason=error.reason)


def _in_words(error: InvalidInputError) -> str:
    """Return what is wrong, with the names that options have here."""
    return str(error.args[0]).replace("look_first", "--look-first")
