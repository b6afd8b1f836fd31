"""``spotdx`` and ``python -m spotdx_async``: says what is missing where the command line is not installed."""

import sys

__all__ = ["main"]

_OF_THE_EXTRA = {"cyclopts", "rich"}


def main() -> None:
    """Run the command line on this process's arguments, and end the process with its exit code."""
    try:
        from spotdx_async.cli.app import run  # noqa: PLC0415 - the extra may not be installed
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in _OF_THE_EXTRA:
            raise
    else:
        sys.exit(run(sys.argv[1:]))
    sys.stderr.write("spotdx: the command line is an extra: pip install 'spotdx-async[cli]'\n")
    sys.exit(2)


if __name__ == "__main__":
    main()
