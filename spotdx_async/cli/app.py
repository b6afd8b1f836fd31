"""The command ``spotdx`` with all its subcommands, and how shells complete them; turns errors into exit codes."""

import logging
import math
from collections.abc import Sequence
from typing import Annotated, Literal, TypeAlias

from cyclopts import App, CycloptsError, Parameter

from spotdx_async.cli.exit_codes import Exit, exit_of, line_of
from spotdx_async.cli.help import COMMANDS, NO_COLOR, VERSION, HelpPages, show_front_page, without_no_color
from spotdx_async.cli.open_files import check_room, reason_of_place
from spotdx_async.cli.output import OurScreen, Streams
from spotdx_async.cli.standard_streams import guarded_outputs
from spotdx_async.errors import SpotError

Shell: TypeAlias = Annotated[Literal["bash", "zsh", "fish"], Parameter(show_choices=True)]

# Sourced as a command it registers the function with zsh; as a file of any name on fpath it is the function.
_FOR_ZSH = """
case "${zsh_eval_context[-1]}" in
  file|eval|cmdarg|toplevel) compdef _cyclopts_spotdx spotdx ;;
  *) _cyclopts_spotdx "$@" ;;
esac
"""
_MODULES = {"completion": "app", "config": "settings", "sandbox": "demo", "tokens": "patients"}  # others: their own
_REPEAT_AFTER_S = 10.0


def run(argv: Sequence[str]) -> int:
    """Run a command and return its exit code. Only unexpected errors are raised."""
    if (page := show_front_page(argv)) is not None:
        return page
    words = without_no_color(argv)
    with guarded_outputs() as out:
        streams = Streams(no_color=len(words) < len(argv))
        code = _exit_of(words, streams)
        out.flush()
        if out.error is None:
            return code
        what = (
            "the exit code is right all the same" if streams.is_code_the_answer else "what was asked for is not there"
        )
        streams.say(f"standard output cannot be written ({out.error.strerror}): {what}")
        return Exit.FAILED if code == Exit.OK and not streams.is_code_the_answer else code


def _exit_of(words: Sequence[str], streams: Streams) -> Exit:
    try:
        code = _run(words, streams)
    except CycloptsError as error:
        page = " ".join(("spotdx", *(error.command_chain or ()), "--help"))
        streams.say(f"{' '.join(str(error).split())} (see {page})")
        return Exit.USAGE
    except SpotError as error:
        streams.say(line_of(error))
        return exit_of(error)
    except OSError as error:
        if (reason := reason_of_place(error)) is None:
            raise
        streams.say(reason)
        return Exit.FAILED
    except KeyboardInterrupt:
        streams.say("stopped: run the command again when you are ready")
        return Exit.INTERRUPTED
    return Exit.OK if code is None else Exit(code)


def make_app() -> App:
    """Build the command with all its subcommands; each is imported when it is first used."""
    app = App(
        name="spotdx",
        help_format="plaintext",
        help_formatter=HelpPages(),
        help_epilogue=f"Every command takes {NO_COLOR}. spotdx --help shows the first steps.",
        version=VERSION,
        default_parameter=Parameter(negative=""),
        suppress_keyboard_interrupt=False,
    )
    for name in COMMANDS:
        module = _MODULES.get(name, name)
        app.command(f"spotdx_async.cli.{module}:{name}", name=name)
    return app


def completion(shell: Shell, /, *, streams: OurScreen) -> int:
    """Print a script that makes the shell complete commands, options and their values.

    Put it where the shell looks for such scripts, then start a new shell.

    Example: spotdx completion bash > ~/.local/share/bash-completion/completions/spotdx
    Example: spotdx completion zsh > ~/.zfunc/_spotdx    # with fpath+=~/.zfunc before compinit in ~/.zshrc
    Example: spotdx completion fish > ~/.config/fish/completions/spotdx.fish

    Args:
        shell: The shell.
        streams: Where to write; no argument of the command line.
    """
    streams.out.write_raw(make_app().generate_completion(prog_name="spotdx", shell=shell))
    if shell == "zsh":
        streams.out.write_raw(_FOR_ZSH)
    return Exit.OK


def _run(argv: Sequence[str], streams: Streams) -> int | None:
    command, bound, ours = make_app().parse_args(
        list(argv), console=streams.pages, print_error=False, exit_on_error=False
    )
    handler = _OnScreen(streams)
    logger = logging.getLogger("spotdx_async")
    logger.addHandler(handler)
    try:
        check_room()
        code: int | None = command(*bound.args, **bound.kwargs, **dict.fromkeys(ours, streams))
    finally:
        logger.removeHandler(handler)
    return code


class _OnScreen(logging.Handler):
    """Shows what the SDK logs, such as a pause that the server asked for, without breaking the progress bar."""

    def __init__(self, streams: Streams) -> None:
        super().__init__(logging.WARNING)
        self._streams = streams
        self._last: tuple[str, float] = ("", -math.inf)

    def emit(self, record: logging.LogRecord) -> None:
        """Write the message as one line; one that repeats is written only now and then."""
        if getattr(record, "spotdx_event", None) == "gate":
            return  # a run has lines of its own for outages
        text, at_s = record.getMessage(), record.created
        if text != self._last[0] or at_s - self._last[1] >= _REPEAT_AFTER_S:
            self._last = (text, at_s)
            self._streams.say(text)
