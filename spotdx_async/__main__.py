"""``python -m spotdx_async`` and the console script ``spotdx``."""

import sys

__all__ = ["main"]


def main() -> None:
    """Run the command line, and exit with its code."""
    try:
        from spotdx_async.cli.app import run  # noqa: PLC0415 - its packages are an extra, which may be missing
    except ModuleNotFoundError as error:
        if error.name not in {"cyclopts", "rich"}:
            raise
        sys.stderr.write("spotdx: the command line is an extra: pip install 'spotdx-async[cli]'\n")
        sys.exit(2)
    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
