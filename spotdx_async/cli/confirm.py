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
from spotdx_async.cli.streams import Screen
from spotdx_async.errors import DecodeError, SpotError, StatusError
from spotdx_async.models import Model
from spotdx_async.own_loop import run_in_own_loop

__all__ = ["Act", "carry_out"]


@frozen(kw_only=True)
class Act:
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


def carry_out(act: Act, server: Server, screen: Screen, view: View, *, yes: bool) -> Exit:
    """Ask, do it, show what came of it.

    Raises:
        ConfigError: a setting is wrong, or there is no token; nobody was asked.
        InvalidInputError: nobody can be asked, or the SDK refuses what is to be sent; nothing was sent.
    """
    settings = server.settle()
    run_in_own_loop(settings.client().close())  # refuses wrong settings before anybody is asked
    if not is_agreed(f"{act.question} on {settings.name}?", screen, yes=yes):
        return Exit.STOPPED
    try:
        with naming_server(settings.base_url.value):
            return run_in_own_loop(_carry_out(act, settings, screen, view))
    except KeyboardInterrupt:
        screen.say(f"stopped while it was under way, so it may have been done: {act.advice}")
        return Exit.FAILED


async def _carry_out(act: Act, settings: Settings, screen: Screen, view: View) -> Exit:
    async with settings.client() as spot:
        if how := act.how_to_look():
            screen.say(how)
        try:
            answer = await act.do(spot)
        except OutcomeUnknownError as error:
            return await _look_after(act, spot, error, screen, view)
        except DecodeError as error:
            if error.outcome == "unknown":
                return await _look_after(act, spot, error, screen, view)
            screen.say(f"{line_of(error)}; it was done all the same: do not give this command again")
            return Exit.OK
        except StatusError as error:
            _tell_refusal(error, screen, view)
            if error.may_be_executed:
                # A no to the last attempt says nothing of one before, of which no answer came.
                screen.say(f"an earlier attempt may have been carried out all the same: {act.advice}")
            return exit_of(error)
    show_object(answer, screen, view, asked_for=act.asked_for)
    return Exit.OK if act.is_done(answer) else Exit.FAILED


async def _look_after(
    act: Act, spot: SpotClient, error: OutcomeUnknownError | DecodeError, screen: Screen, view: View
) -> Exit:
    screen.say(line_of(error))
    if act.look is None:
        screen.say(f"whether it was done cannot be looked up: {act.advice}")
        return Exit.FAILED
    screen.say("looking whether it was done, which can take a minute")
    try:
        found = await act.look(spot, error)
    except SpotError as trouble:
        screen.say(line_of(trouble))
        screen.say(f"whether it was done is still not known: {act.advice}")
        return Exit.FAILED
    if found.value is not None:
        screen.say("it was done: nothing is left to do")
        if found.duplicates:
            screen.say(f"it was done more than once; the others: {', '.join(found.duplicates)}")
        show_object(found.value, screen, view)
        return Exit.OK
    if found.state == "not found":
        screen.say("it was not done: the same command may be given again")
        return Exit.FAILED
    if found.error is not None:
        screen.say(line_of(found.error))
    screen.say(f"whether it was done is still not known: {act.advice}")
    return Exit.FAILED


def _tell_refusal(error: StatusError, screen: Screen, view: View) -> None:
    screen.say(line_of(error))
    if view.show_phi:
        for reason in error.details:
            screen.say(f"the server says: {reason}")
    elif error.details:
        reasons = counted(len(error.details), "reason")
        screen.say(f"the server gave {reasons}, which may name patients: --show-phi shows them")
