"""Whether a command that cannot be undone may go on: a yes on the terminal, or ``--yes``."""

import sys
from typing import Annotated, TextIO, TypeAlias

from cyclopts import Parameter

from spotdx_async.cli.streams import Streams
from spotdx_async.errors import InvalidInputError

__all__ = ["Yes", "is_agreed"]

Yes: TypeAlias = Annotated[bool, Parameter(name="--yes", show_default=False)]


def is_agreed(question: str, streams: Streams, *, yes: bool) -> bool:
    """Ask on the terminal, unless ``--yes`` has answered; anything but a clear yes is a no, and is told as one.

    Raises:
        InvalidInputError: nobody can be asked; nothing was sent.
    """
    if yes:
        return True
    if not (_is_terminal(sys.stdin) and _is_terminal(sys.stderr)):
        raise InvalidInputError("nobody can be asked here, since this is no terminal: give --yes to go on unasked")
    streams.ask(f"{question} [y/N] ")
    try:
        answer = sys.stdin.readline()
    except (OSError, UnicodeDecodeError):
        answer = ""
    except KeyboardInterrupt:
        streams.err.line()
        raise
    if answer.strip().lower() in {"y", "yes"}:
        return True
    if not answer.endswith("\n"):
        streams.err.line()  # the end of the input leaves the cursor behind the question
    streams.say("nothing was sent")
    return False


def _is_terminal(stream: TextIO | None) -> bool:
    # A process that was started without standard input has None here.
    return stream is not None and not stream.closed and stream.isatty()
