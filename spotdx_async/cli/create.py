"""What every create shares: read from a file, confirmed, sent at most once, looked up if its outcome is unknown."""

import shlex
import sys
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, date, datetime
from functools import partial
from typing import Any, TypeVar
from uuid import uuid4

from attrs import frozen

from spotdx_async import (
    NewOrder,
    NewPatient,
    NewRequisition,
    OutcomeUnknownError,
    Reconciliation,
    SpotClient,
    check_new,
    loads,
)
from spotdx_async.cli.answers import plain, show_object
from spotdx_async.cli.create_options import EarlierAttempt
from spotdx_async.cli.exit_codes import Exit, exit_of, line_of, naming_server
from spotdx_async.cli.failures import show_error, show_failure
from spotdx_async.cli.new_objects import REFERENCE_KEY, unknown_fields
from spotdx_async.cli.options import View, Word, check_path
from spotdx_async.cli.output import Streams
from spotdx_async.cli.places import check_places, input_place, standard_outputs
from spotdx_async.cli.settings import Server, Settings
from spotdx_async.cli.standard_streams import is_terminal
from spotdx_async.errors import DecodeError, InvalidInputError, SpotError, StatusError
from spotdx_async.files import name_of, read_object
from spotdx_async.models import Model
from spotdx_async.own_loop import run_in_own_loop

M = TypeVar("M", NewOrder, NewPatient, NewRequisition)

_NAMED_FIELDS = 10


def read_to_send(word: Word, type_: type[M], *, yes: bool, to_activate: bool = False) -> M:
    """Read an object in the API's own form from a file, or from standard input for ``-``.

    Raises:
        InvalidInputError: it comes from standard input, which then cannot answer the question that ``yes`` skips; or
            the file cannot be read, is not of that form, has fields that the API does not have, or holds what cannot
            be sent. The message says where, and shows no value.
    """
    path = check_path(word)
    if path == "-" and not yes:
        raise InvalidInputError("standard input holds the object and cannot answer a question: pass --yes")
    check_places([input_place(path), *standard_outputs()])
    data = _read(path, to_activate=to_activate)
    try:
        model = loads(data, type_)
    except DecodeError as error:
        reason = str(error.args[0])
    else:
        unknown = list(unknown_fields(model))
        if not unknown:
            check_new(model, to_activate=to_activate)
            return model
        # The server would silently drop such a field: a misspelt street2, say.
        more = f" and {len(unknown) - _NAMED_FIELDS:,} more" if len(unknown) > _NAMED_FIELDS else ""
        reason = f"unknown fields: {', '.join(unknown[:_NAMED_FIELDS])}{more}"
    raise InvalidInputError(f"{name_of(path)}: {reason}")


def _read(path: str, *, to_activate: bool) -> bytes:
    """Return what a file of one object holds.

    Raises:
        InvalidInputError: it is no JSON. Standard input, whose name tells nothing, may hold rows.
    """
    try:
        return read_object(path)
    except InvalidInputError as error:
        if path != "-" or to_activate:
            raise
        text = str(error.args[0])
    raise InvalidInputError(f"{text}; rows need --batch NAME and --journal PATH")


def check_can_ask(*, yes: bool) -> None:
    """Refuse a command that cannot ask and has not been answered.

    Raises:
        InvalidInputError: there is no terminal to ask on; nothing was sent.
    """
    # Both: an answer read from a pipe was not meant for this question, and a question in a file is never seen.
    if not yes and not (is_terminal(sys.stdin) and is_terminal(sys.stderr)):
        raise InvalidInputError("cannot ask for confirmation, since this is not a terminal: pass --yes to skip it")


def is_confirmed(question: str, streams: Streams, *, yes: bool) -> bool:
    """Ask on the terminal, unless ``--yes`` has answered; anything but a clear yes is a no, and is reported as one.

    Raises:
        InvalidInputError: there is no terminal to ask on; nothing was sent.
    """
    if yes:
        return True
    check_can_ask(yes=yes)
    streams.ask(f"{question} [y/N] ")
    try:
        answer = sys.stdin.readline()
    except (OSError, UnicodeDecodeError):
        answer = ""
    except KeyboardInterrupt:
        streams.err.write()
        raise
    if answer.strip().lower() in {"y", "yes"}:
        return True
    if not answer.endswith("\n"):
        streams.err.write()  # the end of the input leaves the cursor after the question
    if streams.as_json:
        show_failure(streams, "NotConfirmed", "nothing was sent", hint="--yes confirms", exit_code=Exit.STOPPED)
    else:
        streams.say("nothing was sent")
    return False


async def _no_way_to_look(_spot: SpotClient) -> Reconciliation[Any]:
    return Reconciliation(state="unknown")


@frozen(kw_only=True)
class ConfirmedAction:
    """Something that is done at most once."""

    question: str
    """What will happen, without patient data; the server is added."""
    do: Callable[[SpotClient], Awaitable[Model]]
    look: Callable[[SpotClient, OutcomeUnknownError | DecodeError], Awaitable[Reconciliation[Any]]] | None
    """Finds out whether it was done after all; None if the API has no way to."""
    advice: str
    """What a person should do if it stays unknown."""
    is_done: Callable[[Any], bool] = lambda _answer: True
    """Whether the server's answer says that it was done."""
    how_to_look: Callable[[], str] = lambda: ""
    """Returns, before it is sent, how a person finds out what became of it; empty if there is no way to."""
    look_first: Callable[[SpotClient], Awaitable[Reconciliation[Any]]] = _no_way_to_look
    """Finds out whether it was done before."""
    known_by: str = "reference"
    """What it is found by."""
    looks_first: bool = False
    """Whether it may have been done before."""
    other_than_asked: Callable[[Any], str | None] = lambda _found: None
    """Returns how what was done before differs from what is to be done, in words; None if it does not."""
    asked_for: str | None = None
    """A field of the answer that is shown even if it is patient data, since it is available nowhere else."""


def carry_out(act: ConfirmedAction, server: Server, streams: Streams, view: View, *, yes: bool) -> Exit:
    """Ask, do it, show the result.

    Raises:
        ConfigError: a setting is wrong, or there is no token; nothing was asked.
        InvalidInputError: there is no terminal to ask on, or the SDK refuses what is to be sent; nothing was sent.
    """
    settings = server.settings()
    run_in_own_loop(settings.client().close())  # refuses wrong settings before asking
    check_can_ask(yes=yes)
    if act.looks_first and (ended := _look_first(act, settings, streams, view)) is not None:
        return ended
    if not is_confirmed(f"{act.question} on {settings.name}?", streams, yes=yes):
        return Exit.STOPPED
    try:
        with naming_server(settings.base_url.value):
            return run_in_own_loop(_carry_out(act, settings, streams, view))
    except KeyboardInterrupt:
        text = "stopped while it was under way, so it may have been done"
        return _end(streams, f"{text}: {act.advice}", Exit.FAILED, kind="Interrupted")


def _end(streams: Streams, text: str, code: Exit, *, kind: str, error: SpotError | None = None) -> Exit:
    """Say how it ended and what to do; under ``--json`` together with the error that ended it, as one object."""
    if not streams.as_json:
        streams.say(text)
    elif error is not None:
        show_error(error, streams, exit_code=code, hint=text)
    else:
        show_failure(streams, kind, text, hint=None, exit_code=code)
    return code


def _look_first(act: ConfirmedAction, settings: Settings, streams: Streams, view: View) -> Exit | None:
    """Find out whether it was done before; return None if it surely was not, and no longer can be."""
    streams.note("checking whether it was done before, which can take a minute; --never-sent skips that")
    try:
        found = settings.ask(act.look_first)
    except SpotError as error:
        text = "whether it was done before cannot be looked up, so nothing was sent"
        if not streams.as_json:
            show_error(error, streams)
        return _end(streams, text, exit_of(error), kind="NotKnown", error=error)
    if found.value is not None:
        difference = act.other_than_asked(found.value)
        if difference is None:
            streams.say(f"it was done before, with this {act.known_by}: nothing was sent")
        else:
            streams.say(f"{difference}, so nothing was sent: was the {act.known_by} used for something else?")
        if found.duplicates:
            streams.say(f"it was done more than once; the others: {', '.join(found.duplicates)}")
        shown = show_object(found.value, streams, view)
        return shown if difference is None else Exit.FAILED
    if found.state == "not found":
        return None
    if found.error is not None and not streams.as_json:
        show_error(found.error, streams)
    text = (
        "whether it was done before is not known, so nothing was sent: run the command again later, or "
        "with --never-sent if you know that it was not"
    )
    return _end(streams, text, Exit.STOPPED, kind="NotKnown", error=found.error)


async def _carry_out(act: ConfirmedAction, settings: Settings, streams: Streams, view: View) -> Exit:
    async with settings.client() as spot:
        # Before sending: a command that is killed meanwhile can print nothing afterwards.
        if how := act.how_to_look():
            streams.say(how)
        try:
            answer = await act.do(spot)
        except OutcomeUnknownError as error:
            streams.is_code_the_answer = True
            return await _look_after(act, spot, error, streams, view)
        except DecodeError as error:
            streams.is_code_the_answer = True
            if error.outcome == "unknown":
                return await _look_after(act, spot, error, streams, view)
            streams.say(f"{line_of(error)}; it was done all the same: do not run this command again")
            return Exit.OK
        except StatusError as error:
            # A refusal of the last attempt says nothing about an earlier one that got no answer.
            text = f"an earlier attempt may have been executed all the same: {act.advice}"
            show_error(error, streams, hint=text if error.may_be_executed else None)
            if error.may_be_executed and not streams.as_json:
                streams.say(text)
            return exit_of(error)
    streams.is_code_the_answer = True
    show_object(answer, streams, view, asked_for=act.asked_for)
    return Exit.OK if act.is_done(answer) else Exit.FAILED


async def _look_after(
    act: ConfirmedAction, spot: SpotClient, error: OutcomeUnknownError | DecodeError, streams: Streams, view: View
) -> Exit:
    if not streams.as_json:
        streams.say(line_of(error))
    end = partial(_end, streams, code=Exit.FAILED, kind="NotKnown", error=error)
    if act.look is None:
        return end(f"whether it was done cannot be looked up: {act.advice}")
    streams.note("checking whether it was done, which can take a minute")
    try:
        found = await act.look(spot, error)
    except SpotError as failure:
        if not streams.as_json:
            show_error(failure, streams)
        return end(f"whether it was done is still not known: {act.advice}")
    if found.value is not None:
        streams.say("it was done: nothing is left to do")
        if found.duplicates:
            streams.say(f"it was done more than once; the others: {', '.join(found.duplicates)}")
        return show_object(found.value, streams, view)
    if found.state == "not found":
        return end("it was not done: you may run the same command again")
    if found.error is not None and not streams.as_json:
        show_error(found.error, streams)
    return end(f"whether it was done is still not known: {act.advice}")


@frozen
class Reference:
    """What is sent with a create, so that it can be found again."""

    text: str
    sent_at: datetime | None = None
    """When it was sent at the latest, if it was before."""
    since: date | None = None
    is_to_be_looked_up: bool = False
    """Whether it may have been sent before: not one that was just made up."""


def reference_in(metadata: Mapping[str, Any] | None) -> str | None:
    """Return the reference that metadata holds; None if there is none."""
    found = (metadata or {}).get(REFERENCE_KEY)
    return found if isinstance(found, str) else None


def reference_of(client_ref: str | None, metadata: Mapping[str, Any] | None, earlier: EarlierAttempt) -> Reference:
    """Return the reference to send: the given one, the one in the metadata, or a new one.

    Raises:
        InvalidInputError: an empty one was given, or something about an earlier attempt that there cannot have been.
    """
    if client_ref is not None and not client_ref.strip():
        raise InvalidInputError("client_ref must not be empty; nothing was sent")
    moment, day = instant_of(earlier.sent_at), date_of(earlier.since)
    said = earlier.sent_at is not None or earlier.since is not None
    if earlier.never_sent and said:
        raise InvalidInputError("--never-sent excludes --sent-at and --since; nothing was sent")
    text = client_ref if client_ref is not None else reference_in(metadata)
    if text is not None:
        return Reference(text, moment, day, not earlier.never_sent)
    if said:
        raise InvalidInputError("--sent-at and --since are about a reference: pass --client-ref; nothing was sent")
    return Reference(str(uuid4()))


def how_to_look(noun: str, reference: str) -> str:
    """Return the command that finds out what became of a create, to be shown right before it is sent.

    Without an instant: it may be sent later than now, after a 429 say, and waiting a minute costs a person little.
    """
    command = f"spotdx {noun} reconcile --client-ref {shlex.quote(reference)} --since {datetime.now(UTC).date()}"
    return f"client reference {reference}; if no answer comes: {command}"


def instant_of(text: str | None) -> datetime | None:
    """Read ``--sent-at``.

    Raises:
        InvalidInputError: it is not a date and time with a zone, or in the future.
    """
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise InvalidInputError("--sent-at must be a date and time with a zone, such as 2024-01-31T12:00:00Z")
    if moment > datetime.now(UTC):
        raise InvalidInputError("--sent-at must not be in the future: it is when the request was sent at the latest")
    return moment


def date_of(text: str | None) -> date | None:
    """Read ``--since``.

    Raises:
        InvalidInputError: it is not a date.
    """
    try:
        return None if text is None else date.fromisoformat(text)
    except ValueError:
        pass
    raise InvalidInputError("--since must be a date, YYYY-MM-DD")


def look_up(
    question: Callable[[SpotClient], Awaitable[Reconciliation[Any]]], server: Server, streams: Streams, view: View
) -> Exit:
    """Find out what became of a create, and show it.

    Raises:
        SpotError: the look-up failed.
    """
    streams.note("looking, which can take a minute")
    found = server.ask(question)
    streams.is_code_the_answer = True
    if view.as_json:
        value = None if found.value is None else plain(found.value, show_phi=view.show_phi)
        streams.write_json({"state": found.state, "value": value, "duplicates": [*found.duplicates]})
    elif found.value is not None:
        show_object(found.value, streams, view)
    if found.duplicates:
        streams.say(f"it was done more than once; the others with this reference: {', '.join(found.duplicates)}")
    if found.value is not None:
        return Exit.OK
    if found.state == "not found":
        streams.say("it was not done, and no longer can be: it may be sent again")
        return Exit.FAILED
    if found.error is not None and not streams.as_json:
        show_error(found.error, streams)
    streams.say("whether it was done is not known: look again later, and do not send it again before then")
    return Exit.STOPPED
