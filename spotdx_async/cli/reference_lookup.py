"""What was created, found again by its client reference: the reference is told before anything is sent."""

import shlex
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from spotdx_async.cli.exit_codes import Exit, line_of
from spotdx_async.cli.options import Server, View
from spotdx_async.cli.output import show_object
from spotdx_async.cli.streams import Streams
from spotdx_async.errors import InvalidInputError

if TYPE_CHECKING:
    from spotdx_async import Reconciliation, SpotClient

__all__ = ["day_of", "how_to_look", "instant_of", "look_up", "reference_of"]

_KEY = "client_ref"  # the client's own, which no setting changes


def reference_of(client_ref: str | None, metadata: Mapping[str, Any] | None) -> str:
    """Give the reference that is sent: the one that was given, the one in the metadata, or a new one.

    Raises:
        InvalidInputError: an empty one was given.
    """
    in_metadata = (metadata or {}).get(_KEY)
    if client_ref is not None:
        if not client_ref.strip():
            raise InvalidInputError("client_ref must not be empty; nothing was sent")
        return client_ref
    return in_metadata if isinstance(in_metadata, str) else str(uuid4())


def how_to_look(noun: str, reference: str) -> str:
    """Say, right before it is sent, how to find out what became of it.

    Without an instant: it may be sent later than now, after a 429 say, and a minute's wait costs a person little.
    """
    command = f"spotdx {noun} reconcile --client-ref {shlex.quote(reference)} --since {datetime.now(UTC).date()}"
    return f"client reference {reference}; should no answer come: {command}"


def instant_of(text: str | None) -> datetime | None:
    """Read ``--sent-at``.

    Raises:
        InvalidInputError: it is no date and time with a zone.
    """
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise InvalidInputError("--sent-at must be a date and time with a zone, such as 2024-01-31T12:00:00Z")
    return moment


def day_of(text: str | None) -> date | None:
    """Read ``--since``.

    Raises:
        InvalidInputError: it is no date.
    """
    try:
        return None if text is None else date.fromisoformat(text)
    except ValueError:
        pass
    raise InvalidInputError("--since must be a date, YYYY-MM-DD")


def look_up(
    question: "Callable[[SpotClient], Awaitable[Reconciliation[Any]]]", server: Server, streams: Streams, view: View
) -> Exit:
    """Ask what became of a create, and show it.

    Raises:
        SpotError: there is no answer to show.
    """
    streams.say("looking, which can take a minute")
    found = server.ask(question)
    if view.as_json:
        from spotdx_async.cli.tables import plain

        value = None if found.value is None else plain(found.value, show_phi=view.show_phi)
        streams.write_json({"state": found.state, "value": value, "duplicates": [*found.duplicates]})
    elif found.value is not None:
        show_object(found.value, streams, view)
    if found.duplicates:
        streams.say(f"it was done more than once; the others with this reference: {', '.join(found.duplicates)}")
    if found.value is not None:
        return Exit.OK
    if found.state == "not found":
        streams.say("it was not done, and cannot be any more: it may be sent again")
        return Exit.FAILED
    if found.error is not None:
        streams.say(line_of(found.error))
    streams.say("whether it was done is not known: look again later, and do not send it again before")
    return Exit.STOPPED
