"""The command ``spotdx`` with all its subcommands; the only place that turns errors into exit codes."""

import logging
import math
from collections.abc import Sequence

from cyclopts import App, CycloptsError, Parameter

from spotdx_async import __version__
from spotdx_async.cli.demo import demo
from spotdx_async.cli.exits import Exit, exit_of, line_of
from spotdx_async.cli.kits import kits
from spotdx_async.cli.orders import orders
from spotdx_async.cli.patients import patients, tokens
from spotdx_async.cli.requisitions import requisitions
from spotdx_async.cli.runs import runs
from spotdx_async.cli.sandbox import sandbox
from spotdx_async.cli.screen import Screen
from spotdx_async.errors import SpotError

__all__ = ["run"]

_REPEAT_AFTER_S = 10.0

_HELP = """The Spot home-testing API from the command line.

The token comes from SPOTDX_TOKEN, the server from SPOTDX_BASE_URL (default: production).

Example: SPOTDX_TOKEN=… spotdx kits update kits.csv --failed failed.csv
"""


def run(argv: Sequence[str]) -> int:
    """Run a command; give its exit code. Only what nobody foresaw is raised."""
    screen = Screen()
    try:
        code = _run(argv, screen)
    except CycloptsError as error:
        screen.say(f"{' '.join(str(error).split())} (spotdx --help says more)")
        return Exit.USAGE
    except SpotError as error:
        screen.say(line_of(error))
        return exit_of(error)
    except KeyboardInterrupt:
        screen.say("stopped")
        return Exit.STOPPED
    return Exit.OK if code is None else Exit(code)


def _run(argv: Sequence[str], screen: Screen) -> int | None:
    command, bound, ours = _app().parse_args(list(argv), console=screen.pages, print_error=False, exit_on_error=False)
    handler = _OnScreen(screen)
    logger = logging.getLogger("spotdx_async")
    logger.addHandler(handler)
    try:
        code: int | None = command(*bound.args, **bound.kwargs, **dict.fromkeys(ours, screen))
    finally:
        logger.removeHandler(handler)
    return code


class _OnScreen(logging.Handler):
    """Shows what the SDK logs, such as a pause that the server asked for, without spoiling the bar."""

    def __init__(self, screen: Screen) -> None:
        super().__init__(logging.WARNING)
        self._screen = screen
        self._last: tuple[str, float] = ("", -math.inf)

    def emit(self, record: logging.LogRecord) -> None:
        """Write the message as one line, and one that comes again and again once in a while."""
        if getattr(record, "spotdx_event", None) == "gate":
            return  # a run tells it in words of its own
        text, at_s = record.getMessage(), record.created
        if text != self._last[0] or at_s - self._last[1] >= _REPEAT_AFTER_S:
            self._last = (text, at_s)
            self._screen.say(text)


def _app() -> App:
    app = App(
        name="spotdx",
        help=_HELP,
        help_format="plaintext",
        version=f"spotdx-async {__version__}",
        default_parameter=Parameter(negative=""),
        suppress_keyboard_interrupt=False,
    )
    for command in (kits, orders, requisitions, patients, tokens, runs, demo, sandbox):
        app.command(command)
    return app
