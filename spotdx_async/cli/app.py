"""The command ``spotdx`` with all its subcommands, and how shells complete them; turns errors into exit codes."""

import logging
import math
import sys
from collections.abc import Sequence
from typing import Annotated, Literal, TypeAlias

from cyclopts import App, CycloptsError, Parameter

from spotdx_async.cli.exit_codes import Exit, exit_of
from spotdx_async.cli.failures import show_error, show_failure
from spotdx_async.cli.global_options import GlobalOptions, read_global_options
from spotdx_async.cli.help import COMMANDS, VERSION, HelpPages, show_front_page
from spotdx_async.cli.help_texts import are_removed, restore_texts
from spotdx_async.cli.log_file import Log, log_to
from spotdx_async.cli.open_files import check_room, reason_of_place
from spotdx_async.cli.output import OurScreen, Streams
from spotdx_async.cli.standard_streams import guarded_outputs
from spotdx_async.cli.usage_faults import mistyped_option, usage_fault
from spotdx_async.errors import ConfigError, InvalidInputError, SpotError

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
    line = read_global_options(argv)
    with guarded_outputs() as out:
        streams = Streams(color=line.color)
        streams.as_json, streams.is_quiet = line.as_json, line.is_quiet
        try:
            code = _exit_of(line, streams)
        except KeyboardInterrupt:
            if streams.answer is None:
                raise
            code = streams.answer
        out.flush()
        if out.error is None:
            return code
        what = "the exit code still says what was done" if streams.is_code_the_answer else "the output is incomplete"
        streams.say(f"standard output cannot be written ({out.error.strerror}): {what}")
        return Exit.FAILED if code == Exit.OK and not streams.is_code_the_answer else code


def _exit_of(line: GlobalOptions, streams: Streams) -> Exit:
    if line.fault is not None:
        return _refuse(streams, line.fault, "spotdx --help")
    try:
        with log_to(line.log_file, streams) as log:
            code = _run_logged(line, streams, log)
            log.end(code)
    except ConfigError as error:  # of the log file itself
        show_error(error, streams)
        return Exit.USAGE
    return code


def _run_logged(line: GlobalOptions, streams: Streams, log: Log) -> Exit:
    try:
        code = _run(line, streams, log)
    except CycloptsError as error:
        page = " ".join(("spotdx", *(error.command_chain or ()), "--help"))
        log.fail(error)
        return _refuse(streams, usage_fault(error, line.words), page)
    except SpotError as error:
        log.fail(error)
        show_error(error, streams)
        return exit_of(error)
    except OSError as error:
        if (reason := reason_of_place(error)) is None:
            raise
        log.fail(error)
        if streams.as_json:
            show_failure(streams, type(error).__name__, reason, hint=None, exit_code=Exit.FAILED)
        else:
            streams.say(reason)
        return Exit.FAILED
    except KeyboardInterrupt as error:
        if streams.answer is not None:
            return streams.answer
        log.fail(error)
        advice = "run the command again when you are ready"
        if streams.as_json:
            show_failure(streams, "Interrupted", "stopped", hint=advice, exit_code=Exit.INTERRUPTED)
        else:
            streams.say(f"stopped: {advice}")
        return Exit.INTERRUPTED
    return Exit.OK if code is None else Exit(code)


def _refuse(streams: Streams, fault: str, page: str) -> Exit:
    """Say what is wrong with the line, and which page explains it."""
    if streams.as_json:
        show_failure(streams, "UsageError", fault, hint=f"see {page}", exit_code=Exit.USAGE)
    else:
        streams.say(f"{fault} (see {page})")
    return Exit.USAGE


def make_app() -> App:
    """Build the command with all its subcommands; each is imported when it is first used."""
    app = App(
        name="spotdx",
        help_format="plaintext",
        help_formatter=HelpPages(),
        help_epilogue="Every command takes --color, -q, -v and --log-file: see spotdx --help.",
        version=VERSION,
        version_flags=["--version", "-V"],
        default_parameter=Parameter(negative=""),
        suppress_keyboard_interrupt=False,
    )
    if are_removed():
        _restore_texts()
    for name in COMMANDS:
        module = _MODULES.get(name, name)
        app.command(f"spotdx_async.cli.{module}:{name}", name=name)
    return app


def _restore_texts() -> None:
    from spotdx_async.cli import (
        activations,
        demo,
        doctor,
        kit_lists,
        kit_updates,
        mirror,
        orders,
        patients,
        report_files,
        requisitions,
        runs,
        settings,
    )

    here, of_kits = sys.modules[__name__], (activations, kit_lists, kit_updates, report_files)
    restore_texts((here, demo, doctor, *of_kits, mirror, orders, patients, requisitions, runs, settings))


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


def _run(line: GlobalOptions, streams: Streams, log: Log) -> int | None:
    app = make_app()
    chain, groups, _ = app.parse_commands(line.words)
    if named := [word for word in chain if not word.startswith("-")]:
        groups[len(named)].resolved_commands()  # of a group, whose page shows a line of each
    command, bound, ours = app.parse_args(line.words, console=streams.pages, print_error=False, exit_on_error=False)
    log.begin(chain)
    if (fault := mistyped_option(app, line.words, bound)) is not None:
        raise InvalidInputError(fault)
    options = bound.arguments.values()
    streams.shows_phi = any(getattr(one, "show_phi", False) for one in options)
    streams.as_json = bound.arguments.get("as_json") is True or any(getattr(one, "as_json", False) for one in options)
    handler = _OnScreen(streams, logging.INFO if line.is_verbose else logging.WARNING)
    logger = logging.getLogger("spotdx_async")
    before = logger.level
    if line.is_verbose and logger.getEffectiveLevel() > logging.INFO:
        logger.setLevel(logging.INFO)
    logger.addHandler(handler)
    try:
        check_room()
        code: int | None = command(*bound.args, **bound.kwargs, **dict.fromkeys(ours, streams))
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before)
    return code


class _OnScreen(logging.Handler):
    """Shows what the SDK logs, such as a pause that the server asked for, without breaking the progress bar."""

    def __init__(self, streams: Streams, level: int) -> None:
        super().__init__(level)
        self._streams = streams
        self._last: tuple[str, float] = ("", -math.inf)

    def emit(self, record: logging.LogRecord) -> None:
        """Write the message as one line; one that repeats is written only now and then."""
        if getattr(record, "spotdx_event", None) == "gate":
            return  # a run has lines of its own for outages
        text, at_s = record.getMessage(), record.created
        if text != self._last[0] or at_s - self._last[1] >= _REPEAT_AFTER_S:
            self._last = (text, at_s)
            self._streams.note(text)
