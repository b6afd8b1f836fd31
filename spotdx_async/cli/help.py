"""What ``spotdx`` says at once, without its libraries: the first page and the version; and which commands there are."""

import io
import os
import sys
from collections.abc import Sequence

from spotdx_async import __version__

__all__ = ["COMMANDS", "NO_COLOR", "VERSION", "tell_at_once", "without_no_color"]

NO_COLOR = "--no-color"
"""Understood anywhere on the line, by every command."""
VERSION = f"spotdx-async {__version__}"

COMMANDS = {
    "kits": "Set metadata of kits from a file; show, list, activate kits.",
    "orders": "Create, show, list orders; set their metadata from a file.",
    "requisitions": "Create, show, list requisitions.",
    "patients": "Make a patient known.",
    "tokens": "Make a token with which a patient registers a kit.",
    "runs": "Tell from its journal how far a run is.",
    "doctor": "Look whether everything is in place; say what to do if not.",
    "config": "Show the settings in force, and where each comes from.",
    "completion": "Print what makes bash, zsh or fish complete commands.",
    "demo": "Update kits on a fake server that misbehaves; compare.",
    "sandbox": "Run the fake server on this machine, to try things on.",
}
"""Every command with one line about it."""

_STEPS = (
    ("spotdx demo", "watch a run; needs no token"),
    ("export SPOTDX_TOKEN=…", "the token is never an argument"),
    ("spotdx doctor", "is everything in place?"),
    ("spotdx kits types", "a first question to the server"),
    ("spotdx kits update kits.csv --dry-run", "check every row, send nothing"),
    ("spotdx kits update kits.csv --journal night.journal --failed failed.csv", ""),
)
_OPTIONS = (
    ("--help, -h", "Show this page, or a command's: spotdx kits update --help."),
    ("--profile NAME", "Where a server is asked: its settings; see spotdx config."),
    (NO_COLOR, "Anywhere: no colours. So does NO_COLOR, a pipe, a file."),
    ("--version", "Show the version."),
)
_HELP, _STEP_WIDTH, _NAME_WIDTH = {"--help", "-h"}, 39, 14


def tell_at_once(argv: Sequence[str]) -> bool:
    """Write the first page or the version where the arguments ask for nothing else; False where a command must run."""
    words = without_no_color(argv)
    if not words or (len(words) == 1 and words[0] in _HELP):
        _write(_page())
    elif words == ["--version"]:
        _write(f"{VERSION}\n")
    else:
        return False
    return True


def without_no_color(argv: Sequence[str]) -> list[str]:
    """Give the words without the switch; behind a ``--`` there are no switches."""
    end = argv.index("--") if "--" in argv else len(argv)
    return [word for index, word in enumerate(argv) if word != NO_COLOR or index > end]


def _write(text: str) -> None:
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # what the encoding lacks is no reason to fail
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())  # Python's own last flush goes there
        os.close(nowhere)


def _page() -> str:
    steps = "".join(f"  {step:<{_STEP_WIDTH}}{meaning}".rstrip() + "\n" for step, meaning in _STEPS)
    commands = "".join(f"  {name:<{_NAME_WIDTH}}{meaning}\n" for name, meaning in COMMANDS.items())
    options = "".join(f"  {name:<{_NAME_WIDTH + 2}}{meaning}\n" for name, meaning in _OPTIONS)
    return (
        "Usage: spotdx COMMAND [ARGUMENTS] [OPTIONS]\n\n"
        "The Spot home-testing API from the command line.\n\n"
        f"First steps:\n{steps}\nCommands:\n{commands}\nOptions:\n{options}\n"
        "Exit codes: 0 all is done; 1 something failed, or nobody knows; 2 wrong usage,\n"
        "input or setting, nothing was sent; 3 stopped early, can go on; 130 Ctrl-C.\n"
    )
