"""What ``spotdx`` explains about itself: the front page and version without any library, and the layout of help pages.

Nothing heavy is imported at the top, so that the front page appears at once.
"""

from __future__ import annotations

import io
import sys

from spotdx_async import __version__
from spotdx_async.cli.global_options import read_global_options
from spotdx_async.cli.standard_streams import guarded_outputs

TYPE_CHECKING = False  # in place of the import: the front page does not wait for typing
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from rich.console import Console, ConsoleOptions

VERSION = f"spotdx-async {__version__}"

COMMANDS = {
    "kits": "Set metadata of kits, activate kits, from a file; show, list.",
    "orders": "Create orders, set their metadata, from a file; show, list.",
    "requisitions": "Create requisitions, from a file; show, list.",
    "patients": "Create patients, from a file.",
    "tokens": "Create a token with which a patient registers a kit.",
    "mirror": "Keep a local copy in an SQLite file; export it as tables.",
    "runs": "Show from its journal how far a run has got.",
    "doctor": "Check that everything is set up; say what to do if not.",
    "config": "Show the settings in force, and where each comes from.",
    "completion": "Print a script that completes commands in bash, zsh or fish.",
    "demo": "Update kits on a fake server that misbehaves; compare.",
    "sandbox": "Run the fake server on this machine, to try things on.",
}
"""Every command with one line about it."""

_STEPS = (
    ("spotdx demo", "watch a run; needs no token"),
    ("export SPOTDX_TOKEN=…", "the token is never an argument"),
    ("spotdx doctor", "is everything set up?"),
    ("spotdx kits types", "a first question to the server"),
    ("spotdx kits update kits.csv --dry-run", "check every row, send nothing"),
    ("spotdx kits update kits.csv --journal night.journal --failed failed.csv", ""),
)
_OPTIONS = (
    ("--help, -h", "Show this page, or a command's: spotdx help kits update."),
    ("--profile NAME", "Use the settings of this profile; spotdx config shows them."),
    ("--color WHEN", "auto (on a terminal only), always or never, as --no-color."),
    ("-q, --quiet", "Say only what needs attention; no progress."),
    ("-v, --verbose", "Also say what is retried, and why."),
    ("--log-file PATH", "Log to this file (mode 0600); no token, id or patient data."),
    ("--version, -V", "Show the version."),
)
_HELP, _STEP_WIDTH, _NAME_WIDTH = {"--help", "-h"}, 39, 14
_WIDEST, _UNFOLDED, _INDENT, _COLUMN = 100, 10_000, 2, 24


def show_front_page(argv: Sequence[str]) -> int | None:
    """Write the front page or the version if that is all the arguments ask for; return the exit code.

    None: a command must run.
    """
    found = read_global_options(argv)
    if found.fault is not None:
        return None
    words = found.words
    if not words or (len(words) == 1 and words[0] in _HELP):
        return _write_once(_front_page())
    if words in (["--version"], ["-V"]):
        return _write_once(f"{VERSION}\n")
    return None


def _write_once(text: str) -> int:
    with guarded_outputs() as out:
        out.write(text)
        out.flush()
        if out.error is None:
            return 0
        sys.stderr.write(f"spotdx: standard output cannot be written ({out.error.strerror})\n")
    return 1


def _front_page() -> str:
    steps = "".join(f"  {step:<{_STEP_WIDTH}}{meaning}".rstrip() + "\n" for step, meaning in _STEPS)
    commands = "".join(f"  {name:<{_NAME_WIDTH}}{meaning}\n" for name, meaning in COMMANDS.items())
    options = "".join(f"  {name:<{_NAME_WIDTH + 3}}{meaning}\n" for name, meaning in _OPTIONS)
    return (
        "Usage: spotdx COMMAND [ARGUMENTS] [OPTIONS]\n\n"
        "The Spot home-testing API from the command line.\n\n"
        f"First steps:\n{steps}\nCommands:\n{commands}\nOptions:\n{options}"
        "\nThese may come before the command, too: --base-url, --timeout, --json,\n"
        "--show-phi and --allow-any-id.\n\n"
        "Exit codes: 0 all done; 1 something failed or is unknown; 2 wrong usage, input\n"
        "or setting, nothing was sent; 3 stopped early, can be resumed; 130 Ctrl-C.\n"
    )


class HelpPages:
    """Lays out a command's help: plain text in columns, folded at the terminal's width, 100 at most."""

    def render_usage(self, console: Console, options: ConsoleOptions, usage: Any) -> None:  # noqa: ARG002 - cyclopts names them
        """Write the line that shows how the command is used."""
        if usage:
            line = _plain(usage).removeprefix("Usage: ")
            _write(console, f"Usage: {line}")

    def render_description(self, console: Console, options: ConsoleOptions, description: Any) -> None:  # noqa: ARG002
        """Write what the command does. Paragraphs are refolded; examples keep their own lines."""
        for paragraph in _plain(description).split("\n\n"):
            if paragraph.strip():
                _write(console, "\n" + _folded(paragraph, console))

    def __call__(self, console: Console, options: ConsoleOptions, panel: Any) -> None:  # noqa: ARG002
        """Write a list of options or commands with what each means."""
        from rich.text import Text

        if not panel.entries:
            return
        console.print(Text.assemble("\n", (f"{_plain(panel.title)}:", "bold")), soft_wrap=True)
        for entry in panel.entries:
            _write(console, _line_of(entry, console))


def _line_of(entry: Any, console: Console) -> str:
    import textwrap

    names = ", ".join(entry.display_labels_with_metavar)
    notes = [
        _plain(entry.description),
        f"[choices: {', '.join(entry.choices)}]" if entry.choices else "",
        f"[default: {entry.default}]" if entry.default is not None else "",
        "[required]" if entry.required else "",
    ]
    text = " ".join(" ".join(notes).split())
    first = f"{' ' * _INDENT}{names}".ljust(_COLUMN - 1) + " "
    lines = textwrap.wrap(text, _width(console) - _COLUMN, break_on_hyphens=False) or [""]
    if len(first) > _COLUMN:
        lines = ["", *lines]
    return f"\n{' ' * _COLUMN}".join([first.rstrip() if not lines[0] else first + lines[0], *lines[1:]])


def _folded(paragraph: str, console: Console) -> str:
    import textwrap

    if paragraph.startswith(("Example:", " ")):
        return paragraph
    return textwrap.fill(" ".join(paragraph.split()), _width(console), break_on_hyphens=False)


def _width(console: Console) -> int:
    return max(2 * _COLUMN, min(_WIDEST, console.width))


def _plain(text: Any) -> str:
    """Return the text of what cyclopts passes in, line breaks kept."""
    from rich.console import Console

    if text is None or isinstance(text, str):
        return (text or "").strip()
    console = Console(file=io.StringIO(), width=_UNFOLDED, color_system=None)
    with console.capture() as written:
        console.print(text)
    return "\n".join(line.rstrip() for line in written.get().splitlines()).strip()


def _write(console: Console, text: str) -> None:
    from rich.text import Text

    console.print(Text(text), soft_wrap=True)
