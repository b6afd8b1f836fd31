"""``spotdx`` and ``python -m spotdx_async``: says what is missing where the command line is not installed.

The first page is written before anything else is imported, so that it comes at once.
"""

import sys
from importlib.util import find_spec

__all__ = ["main"]

_OF_THE_EXTRA = {"cyclopts", "rich"}
_INTERRUPTED = 130
"""What shells give for a command that Ctrl-C has ended."""


def main() -> None:
    """Run the command line on this process's arguments, and end the process with its exit code."""
    try:
        code = _run(sys.argv[1:])
    except KeyboardInterrupt:
        # While it was still starting; a command that is under way ends in words of its own.
        sys.stderr.write("spotdx: stopped\n")
        code = _INTERRUPTED
    sys.exit(code)


def _run(argv: list[str]) -> int:
    from spotdx_async.cli.help import tell_at_once  # noqa: PLC0415 - after main's guard against Ctrl-C

    if all(find_spec(package) for package in _OF_THE_EXTRA):
        if tell_at_once(argv):
            return 0
        try:
            from spotdx_async.cli.app import run  # noqa: PLC0415 - the extra may be there in part alone

            return run(argv)
        except ImportError as error:
            # What imports a command when it is asked for wraps the error.
            missing = error if isinstance(error, ModuleNotFoundError) else error.__cause__
            if not isinstance(missing, ModuleNotFoundError) or _package_of(missing) not in _OF_THE_EXTRA:
                raise
    sys.stderr.write("spotdx: the command line is an extra: pip install 'spotdx-async[cli]'\n")
    return 2


def _package_of(missing: ModuleNotFoundError) -> str:
    return (missing.name or "").partition(".")[0]


if __name__ == "__main__":
    main()
