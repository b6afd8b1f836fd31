"""``spotdx`` and ``python -m spotdx_async``: say what is missing if the command line is not installed.

The front page is written before anything else is imported, so that it appears at once.
"""

from __future__ import annotations

import gc
import sys
from importlib.util import find_spec

from spotdx_async.cli.standard_streams import EndingSignals, guarded_outputs, leave, open_closed_streams

TYPE_CHECKING = False  # in place of the import: the front page does not wait for typing
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_OF_THE_EXTRA = {"cyclopts", "rich"}
_INTERRUPTED = 130
"""The exit code that shells report for a command ended by Ctrl-C."""


def main() -> None:
    """Run the command line on this process's arguments and exit with its exit code."""
    open_closed_streams()
    with EndingSignals() as signals, guarded_outputs():
        try:
            code = _run(sys.argv[1:])
        except KeyboardInterrupt:
            # Still starting up: once a command runs, it reports Ctrl-C with a message of its own.
            sys.stderr.write("spotdx: stopped\n")
            code = _INTERRUPTED
        if code == _INTERRUPTED:
            code = signals.code(code)
    leave(code)


def _run(argv: list[str]) -> int:
    from spotdx_async.cli.help import show_front_page  # noqa: PLC0415 - after main's guard against Ctrl-C

    if all(find_spec(package) for package in _OF_THE_EXTRA):
        if (code := show_front_page(argv)) is not None:
            return code
        try:
            run = _command_line()
            return run(argv)
        except ImportError as error:
            # cyclopts imports a command when it is first used and wraps the error, so the cause is looked at.
            missing = error if isinstance(error, ModuleNotFoundError) else error.__cause__
            if not isinstance(missing, ModuleNotFoundError) or _package_of(missing) not in _OF_THE_EXTRA:
                raise
    sys.stderr.write("spotdx: the command line is an extra: pip install 'spotdx-async[cli]'\n")
    return 2


def _command_line() -> Callable[[Sequence[str]], int]:
    """Import the command line while nothing looks for garbage, of which imports make little: what they make stays.

    Nor is it looked through later.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        from spotdx_async.cli.app import run  # noqa: PLC0415 - the extra may be installed in part
    finally:
        if was_on:
            gc.enable()
    gc.freeze()
    return run


def _package_of(missing: ModuleNotFoundError) -> str:
    return (missing.name or "").partition(".")[0]


if __name__ == "__main__":
    main()
