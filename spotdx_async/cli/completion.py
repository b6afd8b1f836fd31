"""``spotdx completion``: a script that makes a shell complete spotdx's commands and options."""

from typing import Annotated, Literal, TypeAlias

from cyclopts import Parameter

from spotdx_async.cli.exit_codes import Exit
from spotdx_async.cli.output import OurScreen

Shell: TypeAlias = Annotated[Literal["bash", "zsh", "fish"], Parameter(show_choices=True)]

# Sourced as a command it registers the function with zsh; as a file of any name on fpath it is the function.
_FOR_ZSH = """
case "${zsh_eval_context[-1]}" in
  file|eval|cmdarg|toplevel) compdef _cyclopts_spotdx spotdx ;;
  *) _cyclopts_spotdx "$@" ;;
esac
"""


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
    from spotdx_async.cli.app import make_app

    streams.out.write_raw(make_app().generate_completion(prog_name="spotdx", shell=shell))
    if shell == "zsh":
        streams.out.write_raw(_FOR_ZSH)
    return Exit.OK
