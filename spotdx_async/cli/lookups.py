"""Objects by their ids: a few at once, shown in the order of the ids; one that is missing keeps back no other."""

import asyncio
import sys
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING, TypeVar

from cyclopts import App

from spotdx_async.cli.answers import plain, show_object
from spotdx_async.cli.exit_codes import Exit, naming_server
from spotdx_async.cli.failures import show_error
from spotdx_async.cli.options import HIDING, UNLIMITED, AtMost, Ids, RequestLimits, Shown, View
from spotdx_async.cli.output import OurScreen, Streams, counted
from spotdx_async.cli.settings import USUAL_SERVER_OF_IDS, OnServerOfIds, Server
from spotdx_async.cli.usage_faults import unknown_option
from spotdx_async.errors import (
    AuthenticationError,
    ConfigError,
    InvalidInputError,
    NotSentError,
    OutcomeUnknownError,
    PermissionDeniedError,
    RateLimitError,
    ServerError,
    SpotError,
)
from spotdx_async.own_loop import run_in_own_loop

if TYPE_CHECKING:
    from spotdx_async import SpotClient
    from spotdx_async.models import Model

T = TypeVar("T")

__all__ = ["StopRule", "add_get", "ids_of", "in_order", "show_each"]

_HELP_OF_GET = """Show {nouns}; patient data is hidden.

They are shown in the order of their ids, each once it is there. One that cannot be shown is named on standard
error, and the others still are. With --json several are one object a line.

Exit codes: 0 all are shown; 1 some are not, or the server cannot be asked; 2 wrong usage.

{examples}

Args:
    ids: The {nouns}; - is standard input, one id a line.
    limits: How fast.
    view: How to show them.
    server: The server.
    streams: Where to write; no argument of the command line.
"""

# Every further id would meet them as well.
_OF_ALL = (AuthenticationError, ConfigError, NotSentError)
# They may be of one object, a broken one say; so many in a row are not.
_PERHAPS_OF_ALL = (OutcomeUnknownError, PermissionDeniedError, RateLimitError, ServerError)
_MOST_IN_A_ROW = 3


def add_get(
    app: App, nouns: str, get_of: "Callable[[SpotClient], Callable[[str], Awaitable[Model]]]", *examples: str
) -> None:
    """Add the command that shows objects by their ids.

    Args:
        app: the commands of the noun.
        nouns: what it shows, and the name of ``app``.
        get_of: what gets an object with a client.
        examples: what may follow the name of the command.
    """

    def get(
        ids: Ids,
        /,
        *,
        limits: AtMost = UNLIMITED,
        view: Shown = HIDING,
        server: OnServerOfIds = USUAL_SERVER_OF_IDS,
        streams: OurScreen,
    ) -> int:
        return show_each(ids, get_of, limits=limits, server=server, streams=streams, view=view)

    lines = "\n".join(f"Example: spotdx {nouns} get {words}" for words in examples)
    get.__doc__ = _HELP_OF_GET.format(nouns=nouns, examples=lines)
    app.command(get)


def ids_of(words: Sequence[str]) -> list[str]:
    """Return the ids of a line; those of standard input, one a line, in the place of ``-``.

    Raises:
        InvalidInputError: a word is an option that the command does not know; or there is no id.
    """
    ids: list[str] = []
    for word in words:
        if word == "-":
            # All of them before the first request: whoever types them can still leave with Ctrl-C.
            ids += _ids_in(b"" if sys.stdin is None else sys.stdin.buffer.read())
        elif word.startswith("-"):
            raise InvalidInputError(unknown_option(word, "pass an id of that form by standard input"))
        else:
            ids.append(word)
    if not ids:
        raise InvalidInputError("standard input holds no id")
    return ids


def _ids_in(data: bytes) -> Iterator[str]:
    """Return the lines that are not blank, of whatever a shell writes: UTF-16 too, as PowerShell does."""
    from spotdx_async.files.recognition import encoding_of  # what reads rows is for those who pass ids so

    encoding, mark = encoding_of(data, None)
    text = data.removeprefix(mark).decode(encoding, "surrogateescape" if encoding == "utf-8" else "replace")
    return filter(None, map(str.strip, text.replace("\r", "\n").split("\n")))


def show_each(
    words: Sequence[str],
    get_of: "Callable[[SpotClient], Callable[[str], Awaitable[Model]]]",
    *,
    limits: RequestLimits,
    server: Server,
    streams: Streams,
    view: View,
) -> Exit:
    """Show the objects with these ids.

    Args:
        words: the ids, or ``-`` for those of standard input.
        get_of: what gets an object with a client.
        limits: how fast.
        server: whom to ask.
        streams: where to write.
        view: how they are shown.

    Raises:
        SpotError: the only object cannot be had, or no object can be.
    """
    ids = ids_of(words)
    settings = server.settings(rate=limits.rate, concurrency=limits.concurrency)
    if len(ids) == 1 and "-" not in words:
        return show_object(settings.ask(lambda spot: get_of(spot)(ids[0])), streams, view)

    async def show_all() -> Exit:
        async with settings.client() as spot:
            found = in_order(get_of(spot), ids, at_once=settings.concurrency.value)
            return await _show(found, len(ids), streams, view)

    with naming_server(settings.base_url.value):
        return run_in_own_loop(show_all())


async def in_order(
    get: Callable[[str], Awaitable[T]], ids: Sequence[str], *, at_once: int
) -> AsyncGenerator[tuple[str, T | SpotError], None]:
    """Yield each id with its object, or with why it cannot be had, in the order of the ids."""

    async def result(an_id: str) -> T | SpotError:
        try:
            return await get(an_id)
        except SpotError as error:
            return error

    tasks: deque[tuple[str, asyncio.Task[T | SpotError]]] = deque()
    try:
        for an_id in ids:
            tasks.append((an_id, asyncio.ensure_future(result(an_id))))
            if len(tasks) >= at_once:
                yield tasks[0][0], await tasks[0][1]
                tasks.popleft()
        while tasks:
            yield tasks[0][0], await tasks[0][1]
            tasks.popleft()
    finally:
        for _, task in tasks:
            task.cancel()
        await asyncio.gather(*(task for _, task in tasks), return_exceptions=True)


class StopRule:
    """Ends a command of several objects by an error that every further one would meet.

    Args:
        noun: what one of them is called.
        done: what the command does with them.
        of_all: errors of that kind, besides those that every such command has.
        is_named: whether an error names its object: not where there is only one, which the line names.
    """

    def __init__(
        self,
        noun: str,
        done: str,
        streams: Streams,
        *,
        of_all: tuple[type[SpotError], ...] = (),
        is_named: bool = True,
    ) -> None:
        self._noun, self._done, self._streams, self._is_named = noun, done, streams, is_named
        self._of_all = (*_OF_ALL, *of_all)
        self._in_a_row = 0

    def succeeded(self) -> None:
        """Note that the last one was had."""
        self._in_a_row = 0

    def failed(self, an_id: str, error: SpotError, *, left: int) -> None:
        """Note an error, and show it.

        Args:
            an_id: of the object.
            error: what it met.
            left: how many objects are not done, this one included.

        Raises:
            SpotError: the same error, if further objects would meet it too.
        """
        self._in_a_row = self._in_a_row + 1 if isinstance(error, _PERHAPS_OF_ALL) else 0
        if isinstance(error, self._of_all) or self._in_a_row == _MOST_IN_A_ROW:
            if self._is_named:
                self._streams.say(f"stopped at {an_id}: {counted(left, self._noun)} not {self._done}")
            raise error
        show_error(error, self._streams, about=an_id if self._is_named else None, exit_code=Exit.FAILED)


async def _show(
    found: "AsyncGenerator[tuple[str, Model | SpotError], None]", count: int, streams: Streams, view: View
) -> Exit:
    exit_code, asked, stop = Exit.OK, 0, StopRule("object", "shown", streams)
    async with aclosing(found):
        async for an_id, one in found:
            asked += 1
            if isinstance(one, SpotError):
                exit_code = Exit.FAILED
                stop.failed(an_id, one, left=count - asked + 1)
                continue
            stop.succeeded()
            _show_one(one, streams, view)
            if streams.is_unread:
                break
    return exit_code


def _show_one(one: "Model", streams: Streams, view: View) -> None:
    if view.as_json:
        streams.write_json(plain(one, show_phi=view.show_phi), is_line=True)
    else:
        show_object(one, streams, view)
        if not streams.is_for_people:
            streams.tell("")
