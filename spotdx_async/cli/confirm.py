"""Acts that must not be done twice: asked about first, done once, and looked after where their outcome is unknown."""

from collections.abc import Awaitable, Callable
from typing import Any

from attrs import frozen

from spotdx_async import OutcomeUnknownError, Reconciliation, SpotClient
from spotdx_async.cli.exit_codes import Exit, exit_of, line_of, naming_server
from spotdx_async.cli.formatting import counted
from spotdx_async.cli.options import Server, View
from spotdx_async.cli.output import show_object
from spotdx_async.cli.prompt import is_agreed
from spotdx_async.cli.settings import Settings
from spotdx_async.cli.streams import Streams
from spotdx_async.errors import DecodeError, SpotError, StatusError
from spotdx_async.models import Model
from spotdx_async.own_loop import run_in_own_loop

__all__ = ["ConfirmedAction", "carry_out"]


@frozen(kw_only=True)
class ConfirmedAction:
    """Something that is done once."""

    question: str
    """What will happen, without patient data; the server is added."""
    do: Callable[[SpotClient], Awaitable[Model]]
    look: Callable[[SpotClient, OutcomeUnknownError | DecodeError], Awaitable[Reconciliation[Any]]] | None
    """Finds out whether it was done after all; None where nobody can."""
    advice: str
    """What a person should do where it stays unknown."""
    is_done: Callable[[Any], bool] = lambda _answer: True
    """Whether the server's answer says so."""
    how_to_look: Callable[[], str] = lambda: ""
    """Says, before it is sent, how a person finds out what became of it; empty where nobody can."""
    asked_for: str | None = None
    """A field of the answer that is shown even where it is patient data, since it can be had nowhere else."""


def carry_out(act: ConfirmedAction, server: Server, streams: Streams, view: View, *, yes: bool) -> Exit:
    """Ask, do it, show what came of it.

    Raises:
        ConfigError: a setting is wrong, or there is no token; nobody was asked.
        InvalidInputError: nobody can be asked, or the SDK refuses what is to be sent; nothing was sent.
    """
    settings = server.settle()
    run_in_own_loop(settings.client().close())  # refuses wrong settings before anybody is asked
    if not is_agreed(f"{act.question} on {settings.name}?", streams, yes=yes):
        return Exit.STOPPED
    try:
        with naming_server(settings.base_url.value):
            return run_in_own_loop(_carry_out(act, settings, streams, view))
    except KeyboardInterrupt:
        streams.say(f"stopped while it was under way, so it may have been done: {act.advice}")
        return Exit.FAILED


async def _carry_out(act: ConfirmedAction, settings: Settings, streams: Streams, view: View) -> Exit:
    async with settings.client() as spot:
        if how := act.how_to_look():
            streams.say(how)
        try:
            answer = await act.do(spot)
        except OutcomeUnknownError as error:
            return await _look_after(act, spot, error, streams, view)
        except DecodeError as error:
            if error.outcome == "unknown":
                return await _look_after(act, spot, error, streams, view)
            streams.say(f"{line_of(error)}; it was done all the same: do not give this command again")
            return Exit.OK
        except StatusError as error:
            _tell_refusal(error, streams, view)
            if error.may_be_executed:
                # A no to the last attempt says nothing of one before, of which no answer came.
                streams.say(f"an earlier attempt may have been carried out all the same: {act.advice}")
            return exit_of(error)
    show_object(answer, streams, view, asked_for=act.asked_for)
    return Exit.OK if act.is_done(answer) else Exit.FAILED


async def _look_after(
    act: ConfirmedAction, spot: SpotClient, error: OutcomeUnknownError | DecodeError, streams: Streams, view: View
) -> Exit:
    streams.say(line_of(error))
    if act.look is None:
        streams.say(f"whether it was done cannot be looked up: {act.advice}")
        return Exit.FAILED
    streams.say("looking whether it was done, which can take a minute")
    try:
        found = await act.look(spot, error)
    except SpotError as trouble:
        streams.say(line_of(trouble))
        streams.say(f"whether it was done is still not known: {act.advice}")
        return Exit.FAILED
    if found.value is not None:
        streams.say("it was done: nothing is left to do")
        if found.duplicates:
            streams.say(f"it was done more than once; the others: {', '.join(found.duplicates)}")
        show_object(found.value, streams, view)
        return Exit.OK
    if found.state == "not found":
        streams.say("it was not done: the same command may be given again")
        return Exit.FAILED
    if found.error is not None:
        streams.say(line_of(found.error))
    streams.say(f"whether it was done is still not known: {act.advice}")
    return Exit.FAILED


def _tell_refusal(error: StatusError, streams: Streams, view: View) -> None:
    streams.say(line_of(error))
    if view.show_phi:
        for reason in error.details:
            streams.say(f"the server says: {reason}")
    elif error.details:
        reasons = counted(len(error.details), "reason")
        streams.say(f"the server gave {reasons}, which may name patients: --show-phi shows them")
